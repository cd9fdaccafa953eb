# fish completion of aivonx(1). Installed as /usr/share/fish/vendor_completions.d/aivonx.fish.

function __aivonx_complete
    set -l words (commandline -opc) (commandline -ct)
    aivonx complete -- $words[2..-1] 2>/dev/null
end

complete -c aivonx -f -a '(__aivonx_complete)'
