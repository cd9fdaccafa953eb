# bash completion of aivonx(1). Installed as /usr/share/bash-completion/completions/aivonx.

_aivonx() {
    # bash takes words apart at : and =, which are part of ours: they are put together again where the line has
    # no space between them.
    local rest="${COMP_LINE:0:COMP_POINT}" last="" i part line reply
    local -a words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        part="${COMP_WORDS[i]}"
        if ((i == 0)) || [[ "$rest" == [[:space:]]* ]]; then
            words+=("$part")
        else
            words[${#words[@]} - 1]+="$part"
        fi
        rest="${rest#"${rest%%[![:space:]]*}"}"
        rest="${rest#"$part"}"
    done
    last="${words[${#words[@]} - 1]}"

    # What stands before the last of them is not bash's to replace.
    local kept=""
    if [[ "$last" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
        kept="${last%"${last##*:}"}"
    fi
    if [[ "$last" == --*=* && "$COMP_WORDBREAKS" == *=* && "${last##*[:=]}" == "${last##*=}" ]]; then
        kept="${last%"${last##*=}"}"
    fi

    COMPREPLY=()
    while IFS= read -r line; do
        reply="${line%%$'\t'*}"
        [[ "$reply" == "$kept"* ]] || continue
        COMPREPLY+=("$(printf '%q' "${reply#"$kept"}")")
    done < <(aivonx complete -- "${words[@]:1}" 2>/dev/null)

    # Directories and options with a value go on.
    if ((${#COMPREPLY[@]} == 1)) && [[ "${COMPREPLY[0]}" == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _aivonx aivonx
