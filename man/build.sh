#!/usr/bin/env bash
# man/build.sh [OUT]: renders every manual page into OUT (default: target/man). Takes the binaries from AIVONX_BIN_DIR,
# or builds them.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(dirname "$here")"
out="${1:-$root/target/man}"

bins="${AIVONX_BIN_DIR:-}"
if [ -z "$bins" ]; then
    cargo build --quiet --locked --manifest-path "$root/Cargo.toml" -p aivonx-tui -p aivonx-daemon --bins
    bins="${CARGO_TARGET_DIR:-$root/target}/debug"
fi
for binary in aivonx aivonxd; do
    [ -x "$bins/$binary" ] || { echo "man/build.sh: there is no $bins/$binary; set AIVONX_BIN_DIR" >&2; exit 1; }
done
version="$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)"
mkdir -p "$out"

mdoc() {
    awk -v form="$1" -f "$here/mdoc.awk"
}

# The enumeration $2 of the protocol's file $1.
enumeration() {
    awk -v form=enum -v name="$2" -f "$here/mdoc.awk" <"$root/protocol/src/$1"
}

# What is asked of each noun: the nouns in the order of Request, each from its own file.
requests() {
    sed -n '/^pub enum Request {/,/^}/s/^    \([A-Za-z]*\)(\([a-z]*\)::\([A-Za-z]*\)),$/\1 \2 \3/p' "$root/protocol/src/request.rs" |
        while read -r noun module name; do
            file="$module.rs"
            [ -e "$root/protocol/src/$file" ] || file="$module/mod.rs"
            echo ".Ss $noun"
            enumeration "$file" "$name"
        done
}

# What a line .\"@PART of a page stands for.
part() {
    case "$1" in
        'enum '*) enumeration ${1#enum } ;;
        requests) requests ;;
        commands) "$bins/aivonx" manual ;;
        keys) "$bins/aivonxd" check --print-default | mdoc keys ;;
        routes) "$bins/aivonxd" manual ;;
        json)
            # What is printed of a noun stands beside what tables say of it.
            { cat "$here/aivonx-json.md"; sed -n '/^\/\/! ##/,/^$/s,^//! \{0\,1\},,p' "$root"/tui/src/nouns/*.rs; } | mdoc tables
            ;;
        fields) mdoc fields <"$root/daemon/telemetry/src/fields.rs" ;;
        events) sed -n 's,^//! |,|,p' "$root/daemon/telemetry/src/lib.rs" | mdoc tables ;;
        messages) mdoc catalog <"$root/packaging/journald/aivonx.catalog" ;;
        *) echo "man/build.sh: no part is called $1" >&2; return 1 ;;
    esac
}

# Breaks long lines of text, which no sentence's end is taken from.
wrap() {
    awk '
        /^\.Bd -literal/ { exact = 1 }
        /^\.Ed/ { exact = 0 }
        exact || /^\./ || length($0) <= 80 { print; next }
        {
            line = ""
            for (i = 1; i <= NF; i++) {
                if (line != "" && length(line) + 1 + length($i) > 80 && $i !~ /^[.\x27]/) { print line; line = $i }
                else line = line (line == "" ? "" : " ") $i
            }
            print line
        }'
}

for page in "$here"/*.[1-8]; do
    to="$out/$(basename "$page")"
    while IFS= read -r line; do
        case "$line" in
            '.\"@'*) part "${line#'.\"@'}" ;;
            '.Os aivonx') printf '%s %s\n' "$line" "$version" ;;
            *) printf '%s\n' "$line" ;;
        esac
    done <"$page" | wrap >"$to.new"
    mv "$to.new" "$to"
done
