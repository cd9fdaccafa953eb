#!/usr/bin/env bash
# Makes the packages: packaging/build.sh deb|rpm|all
#
# Out of a checkout come, in $CARGO_TARGET_DIR/packages (default target/packages):
#   aivonx_VERSION_amd64.deb       aivonx-VERSION-1.x86_64.rpm              the programs, stripped
#   aivonx-dbgsym_VERSION_amd64.deb  aivonx-debuginfo-VERSION-1.x86_64.rpm  their debug symbols
#
# Needs cargo, a C compiler, binutils, and dpkg-deb or rpmbuild (Debian and Ubuntu have both: `apt-get install
# binutils dpkg-dev rpm`). These two and no cargo plug-in: they are on every machine that has to do with packages,
# the scripts and the spec file look as packagers know them, and nothing is compiled first to compile with.
#
# Environment:
#   AIVONX_BIN_DIR     take the programs from here instead of building them
#   AIVONX_VERSION     version of the packages [default: the workspace's]
#   AIVONX_MAINTAINER  "Name <address>" in the packages
#   AIVONX_COMPRESS    fast: packages that are larger and sooner there, for tests
#   SOURCE_DATE_EPOCH  time of everything in the packages [default: the last commit's]; the same sources, compiler
#                      and epoch give the same bytes
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

# RHEL 9 has 2.34, Ubuntu 22.04 2.35, Debian 12 2.36.
readonly GLIBC_MAX=2.34
readonly PROGRAMS=(aivonxd aivonx)
# What the programs start themselves, from /usr/libexec/aivonx.
readonly HELPERS=(aivonx-sim)

die() {
    echo "packaging/build.sh: $*" >&2
    exit 1
}
need() {
    command -v "$1" >/dev/null || die "$1 is missing: $2"
}

case "${1:-}" in
deb | rpm) formats=("$1") ;;
all) formats=(deb rpm) ;;
*) die "usage: packaging/build.sh deb|rpm|all" ;;
esac
[ "$(uname -m)" = x86_64 ] || die "packages are made on x86_64 only"
need objdump "apt-get install binutils"
for format in "${formats[@]}"; do
    case $format in
    deb) need dpkg-deb "apt-get install dpkg" ;;
    rpm) need rpmbuild "apt-get install rpm, dnf install rpm-build" ;;
    esac
done

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/packages
work=$target/packaging
rm -rf "$work"
mkdir -p "$out" "$work"

version=${AIVONX_VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)}
[ -n "$version" ] || die "Cargo.toml names no version"
# 1.0.0-rc.1 comes before 1.0.0 for both.
version=${version//-/\~}
maintainer=${AIVONX_MAINTAINER:-The aivonx authors <aivonx@users.noreply.github.com>}
# The schema of the store that this version writes: an older package must not be put over a newer store.
schema=$(sed -n 's/.*Schemas = Schemas { current: \([0-9]*\),.*/\1/p' daemon/store/src/migrate.rs)
[ -n "$schema" ] || die "daemon/store/src/migrate.rs does not tell the store's schema"
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
fi
export SOURCE_DATE_EPOCH

# --- programs -----------------------------------------------------------------------------------------------

if [ -n "${AIVONX_BIN_DIR:-}" ]; then
    bin=$(realpath "$AIVONX_BIN_DIR")
else
    need cargo "see https://rustup.rs"
    # Whose home the sources were in is nobody's business, and would make every build another.
    flags="--remap-path-prefix=$PWD=aivonx --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
    RUSTFLAGS="${RUSTFLAGS:-} $flags" CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=0 \
        cargo build --release --locked "${PROGRAMS[@]/#/--bin=}" "${HELPERS[@]/#/--bin=}"
    bin=$target/release
fi
for program in "${PROGRAMS[@]}" "${HELPERS[@]}"; do
    [ -x "$bin/$program" ] || die "$bin/$program is not there"
done

# The newest GLIBC that the programs need. Fails on anything above GLIBC_MAX.
glibc() {
    local versions newest
    versions=$(objdump -T "${PROGRAMS[@]/#/$bin/}" "${HELPERS[@]/#/$bin/}" | grep -o 'GLIBC_[A-Z0-9_.]*' | sort -Vu)
    newest=$(sed -n 's/^GLIBC_\([0-9.]*\)$/\1/p' <<<"$versions" | tail -1)
    if grep -qv '^GLIBC_[0-9.]*$' <<<"$versions" || ! printf '%s\n' "$newest" "$GLIBC_MAX" | sort -VC; then
        objdump -T "${PROGRAMS[@]/#/$bin/}" "${HELPERS[@]/#/$bin/}" | grep -E "$(grep -v '^GLIBC_2\.[0-9.]*$' <<<"$versions" |
            tr '\n' '|')GLIBC_${newest//./\\.}\)" >&2
        die "the programs need symbols above GLIBC_$GLIBC_MAX, see above: they would not start on RHEL 9"
    fi
    echo "$newest"
}
glibc=$(glibc)

# Splits each program into itself, without symbols, and its symbols, found by build id by gdb, coredumpctl and perf.
build_ids=()
for program in "${PROGRAMS[@]}" "${HELPERS[@]}"; do
    id=$(readelf -n "$bin/$program" | sed -n 's/.*Build ID: //p')
    [ -n "$id" ] || die "$bin/$program has no build id: link with --build-id"
    build_ids+=("$id")
    symbols=$work/symbols/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
    install -d "${symbols%/*}" "$work/bin"
    objcopy --only-keep-debug --compress-debug-sections "$bin/$program" "$symbols"
    strip --strip-unneeded --remove-section=.comment -o "$work/bin/$program" "$bin/$program"
    (cd "${symbols%/*}" && objcopy --add-gnu-debuglink="${symbols##*/}" "$work/bin/$program")
    chmod 644 "$symbols"
done

# --- what is beside them ------------------------------------------------------------------------------------

# Manual pages, and whatever else that script renders.
if [ -x man/build.sh ]; then
    AIVONX_BIN_DIR=$bin man/build.sh "$work/man"
fi
packaging/third-party >"$work/THIRD-PARTY"
"$bin/aivonxd" version --dependencies --output cyclonedx "${PROGRAMS[@]/#/$bin/}" "${HELPERS[@]/#/$bin/}" >"$work/sbom.cdx.json"
AIVONX_MAINTAINER=$maintainer packaging/vex >"$work/vex.json"

# Puts what both packages hold under $1; $2 is the place of zsh's completions.
stage() {
    local root=$1 zsh=$2 file
    install -D -m 755 -t "$root/usr/bin" "${PROGRAMS[@]/#/$work/bin/}"
    install -D -m 755 -t "$root/usr/libexec/aivonx" "${HELPERS[@]/#/$work/bin/}"
    install -D -m 644 -t "$root/etc/aivonx" packaging/aivonxd.toml
    install -D -m 644 -t "$root/usr/lib/systemd/system" packaging/systemd/aivonxd.{service,socket}
    install -D -m 644 -t "$root/usr/lib/sysusers.d" packaging/sysusers.d/aivonx.conf
    install -D -m 644 -t "$root/usr/lib/tmpfiles.d" packaging/tmpfiles.d/aivonx.conf
    install -D -m 644 -t "$root/usr/share/doc/aivonx" README.md "$work/sbom.cdx.json" "$work/vex.json"
    install -D -m 644 -t "$root/usr/share/doc/aivonx/examples" packaging/systemd/drop-in/*.conf
    for file in apparmor container fail2ban logrotate prometheus selinux; do
        [ -d "packaging/$file" ] || continue
        install -d "$root/usr/share/doc/aivonx/examples/$file"
        (cd "packaging/$file" && find . -type f ! -name build.sh -exec install -D -m 644 {} "$root/usr/share/doc/aivonx/examples/$file/{}" \;)
    done
    for file in packaging/journald/*.catalog; do
        [ -f "$file" ] && install -D -m 644 -t "$root/usr/lib/systemd/catalog" "$file"
    done
    for program in "${PROGRAMS[@]}"; do
        completion "$program.bash" "$root/usr/share/bash-completion/completions/$program"
        completion "_$program" "$root$zsh/_$program"
        completion "$program.fish" "$root/usr/share/fish/vendor_completions.d/$program.fish"
    done
    for file in "$work"/man/*.[1-8]; do
        [ -f "$file" ] || continue
        install -d "$root/usr/share/man/man${file##*.}"
        gzip -9n <"$file" >"$root/usr/share/man/man${file##*.}/${file##*/}.gz"
    done
}
# Installs the completion named $1 as $2, if there is one.
completion() {
    local file
    for file in "packaging/completions/$1" "$work/man/$1" "$work/man/completions/$1"; do
        if [ -f "$file" ]; then
            install -D -m 644 "$file" "$2"
            return
        fi
    done
}
# Gives everything under $1 the time of the sources.
date_all() {
    find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}
# Writes the template $1 with its values and the scripts it includes to standard output.
expand() {
    awk -v version="$version" -v schema="$schema" -v maintainer="$maintainer" -v glibc="$glibc" \
        -v date="$(date -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" '
        function show(line) {
            gsub("@VERSION@", version, line); gsub("@SCHEMA@", schema, line)
            gsub("@MAINTAINER@", maintainer, line); gsub("@GLIBC@", glibc, line); gsub("@DATE@", date, line)
            print line
        }
        /^#@include / { while ((getline line < ("packaging/scripts/" $2)) > 0) if (line !~ /^# shellcheck/) show(line); next }
        { show($0) }' "$1"
}

for format in "${formats[@]}"; do
    # shellcheck source=/dev/null
    . "packaging/$format/make.sh"
done
ls -l "$out"
