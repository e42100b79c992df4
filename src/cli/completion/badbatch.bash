# Completion for badbatch. In ~/.bashrc: source <(badbatch completion bash)
_badbatch() {
    local candidate _
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        COMPREPLY+=("$candidate")
    done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _badbatch badbatch
