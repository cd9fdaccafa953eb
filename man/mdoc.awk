# Turns what the program's sources say into mdoc. -v form=
#   tables  Markdown with headings, paragraphs and tables of two columns
#   keys    the default configuration file
#   fields  the table of fields in daemon/telemetry/src/fields.rs
#   catalog the journal's message catalog
#   enum    the variants of the Rust enumeration -v name=, numbered as on the wire

# Text no formatter takes for a request; `literal` is bold, keeps its dashes and is not hyphenated.
function text(s,    n, i, parts, out, c, w, words, m, exact) {
    gsub(/\\/, "\\e", s)
    n = split(s, parts, "`")
    out = ""
    for (i = 1; i <= n; i++) {
        m = split(parts[i], words, " ")
        if (i % 2 == 0) {
            gsub(/-/, "\\-", parts[i])
            gsub(/[^ ]+/, "\\%&", parts[i])
            out = out "\\fB" parts[i] "\\fP"
            continue
        }
        w = ""
        for (c = 1; c <= m; c++) {
            exact = words[c] ~ /^-/ || words[c] ~ /[\/:_=]/
            if (exact) gsub(/-/, "\\-", words[c])
            if (exact && words[c] ~ /^[a-z\/]/) words[c] = "\\%" words[c]
            w = w (c > 1 ? " " : "") words[c]
        }
        if (m && parts[i] ~ /^ /) w = " " w
        if (m && parts[i] ~ / $/) w = w " "
        if (!m && parts[i] ~ / /) w = " "
        out = out w
    }
    return out
}
function say(s) {
    s = text(s)
    while (match(s, /[^.][.!?] [A-Z\\]/)) {
        line(substr(s, 1, RSTART + 1))
        s = substr(s, RSTART + 3)
    }
    line(s)
}
function line(s) {
    if (s ~ /^[.']/) s = "\\&" s
    if (s != "") print s
}
function open_list() {
    if (!listed) print ".Bl -tag -width Ds"
    listed = 1
}
function close_list() {
    if (listed) print ".El"
    listed = 0
}
function item(s) {
    open_list()
    print ".It " text(s)
}
function flush_paragraph() {
    if (paragraph != "") {
        if (said) print ".Pp"
        say(paragraph)
        said = 1
    }
    paragraph = ""
}

form == "tables" && /^## / {
    flush_paragraph(); close_list()
    print ".Ss " text(substr($0, 4))
    header = 0; said = 0
    next
}
form == "tables" && /^# / { next }
form == "tables" && /^\|---/ { next }
form == "tables" && /^\|/ {
    flush_paragraph()
    if (!header) { header = 1; next }
    sub(/^\| */, ""); sub(/ *\|$/, "")
    at = index($0, " | ")
    item(substr($0, 1, at - 1))
    say(closed(substr($0, at + 3)))
    next
}
form == "tables" && /^$/ { flush_paragraph(); next }
form == "tables" { close_list(); paragraph = paragraph (paragraph == "" ? "" : " ") $0; next }

function closed(s) {
    return toupper(substr(s, 1, 1)) substr(s, 2) (s ~ /[.!?]$/ ? "" : ".")
}

form == "keys" && /^#/ {
    s = substr($0, 3)
    if (s ~ /^Accepted: /) accepting = 1
    if (accepting) accepted = accepted (accepted == "" ? "" : " ") s
    else paragraph = paragraph (paragraph == "" ? "" : " ") s
    next
}
form == "keys" && /^\[/ {
    close_list()
    gsub(/\[/, "\\(lB"); gsub(/\]/, "\\(rB")
    print ".Ss " $0
    say(paragraph)
    paragraph = ""; accepted = ""; accepting = 0
    next
}
form == "keys" && / = / {
    at = index($0, " = ")
    item("`" substr($0, 1, at - 1) "`")
    say(paragraph)
    restart = sub(/ *\[restart\]$/, "", accepted)
    sub(/^Accepted: /, "", accepted)
    print ".br"
    say("Accepted: " accepted)
    print ".br"
    say("Default: `" substr($0, at + 3) "`." (restart ? " Changes take effect at the next start." : ""))
    paragraph = ""; accepted = ""; accepting = 0
    next
}
form == "keys" && /^$/ { paragraph = ""; accepted = ""; accepting = 0; next }

form == "fields" && /^fields! \{/ { within = 1; next }
form == "fields" && /^\}/ { within = 0; next }
form == "fields" && within && /^    [a-z_]+: ".*",$/ {
    name = $1; sub(/:$/, "", name)
    meaning = $0; sub(/^[^"]*"/, "", meaning); sub(/",$/, "", meaning)
    item("`AIVONX_" toupper(name) "`")
    say(closed(meaning))
    next
}

form == "catalog" && /^# [a-z_]+$/ { end_message(); event = $2; next }
form == "catalog" && /^-- / { id = $2; next }
form == "catalog" && /^Subject: / {
    item("`" event "`")
    say(closed(substr($0, 10)))
    print ".br"
    say("`MESSAGE_ID=" id "`")
    body = 0; said = 1
    next
}
form == "catalog" && /^[A-Z][A-Za-z-]+: / && !body { next }
form == "catalog" && /^#/ { next }
form == "catalog" && /^    / {
    flush_paragraph()
    if (!command) print ".Bd -literal -offset indent"
    command = 1
    s = substr($0, 5)
    gsub(/@/, "", s); gsub(/-/, "\\-", s)
    print s
    next
}
form == "catalog" && /^$/ { body = 1; end_command(); flush_paragraph(); next }
form == "catalog" && event != "" { end_command(); gsub(/@/, ""); paragraph = paragraph (paragraph == "" ? "" : " ") $0; next }
function end_command() {
    if (command) print ".Ed"
    command = 0
}
function end_message() {
    end_command()
    flush_paragraph()
}

form == "enum" && $0 ~ ("^pub enum " name " \\{") { within = 1; number = 0; paragraph = ""; next }
form == "enum" && within && /^\}/ { within = 0; paragraph = ""; next }
form == "enum" && within && /^    \/\/\/ / { paragraph = paragraph (paragraph == "" ? "" : " ") substr($0, 9); next }
form == "enum" && within && /^    [A-Z]/ {
    variant = $1; sub(/[^A-Za-z0-9].*/, "", variant)
    # Links of the documentation, and paths of Rust, mean nothing here.
    gsub(/\[`/, "`", paragraph); gsub(/`\]/, "`", paragraph); gsub(/`\([^)]*\)/, "`", paragraph)
    gsub(/`[A-Za-z]+::/, "`", paragraph)
    item(number++ " `" variant "`")
    say(paragraph)
    paragraph = ""
    next
}

END {
    end_command()
    flush_paragraph()
    close_list()
}
