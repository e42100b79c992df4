# Completion for badbatch. In ~/.config/fish/config.fish: badbatch completion fish | source
function __badbatch_candidates
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c badbatch -n 'test (count (__badbatch_candidates)) -gt 0' -f -a '(__badbatch_candidates)'
