#compdef badbatch
# Completion for badbatch. In ~/.zshrc, after compinit: source <(badbatch completion zsh)
_badbatch() {
    local -a found
    local candidate about
    while IFS=$'\t' read -r candidate about; do
        found+=("${candidate//:/\\:}:$about")
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#found )); then
        _describe badbatch found
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _badbatch ]]; then
    _badbatch "$@"
else
    compdef _badbatch badbatch
fi
