#!/usr/bin/env bash
# Makes a signed apt repository and a signed dnf repository: packaging/repository.sh DIR KEY
#
# The packages in $CARGO_TARGET_DIR/packages (packaging/build.sh) are added to what is in DIR already, and everything is
# signed anew with the GPG key KEY (fingerprint or address), out of the key ring of whoever runs this:
#   DIR/apt  pool/*.deb, dists/stable with InRelease and Release.gpg
#   DIR/dnf  *.rpm, each signed, repodata with repomd.xml.asc
#   DIR/aivonx.asc                   the public key
#   DIR/SHA256SUMS, SHA256SUMS.asc   of every package, signed; with AIVONX_MINISIGN_KEY also SHA256SUMS.minisig, and
#                                    PACKAGE.minisig beside each package, otherwise PACKAGE.asc
#
# Needs gpg, apt-ftparchive, createrepo_c and rpmsign: apt-get install gpg apt-utils createrepo-c rpm.
#
# Environment:
#   AIVONX_MINISIGN_KEY  file of a minisign secret key; made with `minisign -G`. A passphrase is asked for
#   AIVONX_VALID_DAYS    apt refuses the repository after so many days, so that nobody can hold back an update for ever;
#                        run this again before [default: without end]
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

die() {
    echo "packaging/repository.sh: $*" >&2
    exit 1
}
need() {
    command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"
}

[ $# = 2 ] || die "usage: packaging/repository.sh DIR KEY"
need gpg gpg
need apt-ftparchive apt-utils
need createrepo_c createrepo-c
need rpmsign rpm
minisign=${AIVONX_MINISIGN_KEY:-}
if [ -n "$minisign" ]; then
    need minisign minisign
    [ -r "$minisign" ] || die "AIVONX_MINISIGN_KEY: $minisign cannot be read: name the secret key that minisign -G made"
fi
days=${AIVONX_VALID_DAYS:-}
[[ $days =~ ^([1-9][0-9]{0,3})?$ ]] || die "AIVONX_VALID_DAYS is \"$days\": give days, from 1 to 9999, or nothing"
packages=$(realpath -m "${CARGO_TARGET_DIR:-target}/packages")
shopt -s nullglob
debs=("$packages"/*.deb) rpms=("$packages"/*.rpm)
((${#debs[@]} && ${#rpms[@]})) || die "there are not both kinds of packages in $packages: packaging/build.sh all"
# The fingerprint: an address may stand for a key that is added to the ring later.
key=$(gpg --batch --with-colons --list-secret-keys "$2" 2>/dev/null | awk -F: '$1 == "fpr" { print $10; exit }') || true
[ -n "$key" ] || die "gpg has no secret key \"$2\": gpg --list-secret-keys shows those it has"
mkdir -p "$1"/{apt/pool,apt/dists/stable/main/binary-amd64,dnf}
out=$(realpath "$1")

sign() {
    gpg --batch --yes --quiet --digest-algo SHA512 --local-user "$key" "$@"
}
# Signs the file $1 beside itself; with minisign, $2 is what its comment, which is signed too, says.
sign_beside() {
    rm -f "$1.asc" "$1.minisig"
    if [ -n "$minisign" ]; then
        minisign -S -s "$minisign" -t "$2" -m "$1" >/dev/null
    else
        sign --armor --detach-sign --output "$1.asc" "$1"
    fi
}

# A package that is published stays as it is: who has its checksum would refuse another.
for package in "${debs[@]}"; do
    name=apt/pool/${package##*/}
    [ ! -f "$out/$name" ] || cmp -s "$package" "$out/$name" || die "$out/$name is there, and another: raise the version"
    install -m 644 "$package" "$out/$name"
done
for package in "${rpms[@]}"; do
    name=dnf/${package##*/}
    if [ -f "$out/$name" ]; then
        cp "$out/$name" "$out/$name.unsigned"
        rpmsign --delsign "$out/$name.unsigned" >/dev/null 2>&1
        same=yes
        [ "$(rpm -qp --qf '%{SHA256HEADER}' "$package" 2>/dev/null)" = "$(rpm -qp --qf '%{SHA256HEADER}' "$out/$name.unsigned" 2>/dev/null)" ] || same=
        rm "$out/$name.unsigned"
        [ -n "$same" ] || die "$out/$name is there, and another: raise the version"
        continue
    fi
    install -m 644 "$package" "$out/$name.new"
    # Debian's rpm does not know where its gpg is.
    rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $key" --define '_gpg_digest_algo sha512' --addsign "$out/$name.new" >/dev/null 2>"$out/said" ||
        { cat "$out/said" >&2; die "rpmsign does not sign $name"; }
    rm "$out/said"
    mv "$out/$name.new" "$out/$name"
done
sign --armor --export "$key" >"$out/aivonx.asc"

(
    cd "$out/apt"
    apt-ftparchive packages pool >dists/stable/main/binary-amd64/Packages
    gzip -9nkf dists/stable/main/binary-amd64/Packages
    options=()
    for field in Origin=aivonx Label=aivonx Suite=stable Codename=stable Architectures=amd64 Components=main ${days:+ValidTime=$((days * 86400))}; do
        options+=(-o "APT::FTPArchive::Release::$field")
    done
    rm -f dists/stable/{Release,Release.gpg,InRelease}
    apt-ftparchive "${options[@]}" release dists/stable >"$out/Release.new"
    mv "$out/Release.new" dists/stable/Release
    sign --clearsign --output dists/stable/InRelease dists/stable/Release
    sign --armor --detach-sign --output dists/stable/Release.gpg dists/stable/Release
)
createrepo_c --quiet --checksum sha256 "$out/dnf"
sign --armor --detach-sign --output "$out/dnf/repodata/repomd.xml.asc" "$out/dnf/repodata/repomd.xml"

(
    cd "$out"
    sha256sum apt/pool/*.deb dnf/*.rpm >SHA256SUMS
    sign --armor --detach-sign --output SHA256SUMS.asc SHA256SUMS
    [ -z "$minisign" ] || minisign -S -s "$minisign" -t "SHA256SUMS of aivonx" -m SHA256SUMS >/dev/null
    for package in apt/pool/*.deb dnf/*.rpm; do
        sign_beside "$package" "${package##*/}"
    done
)
echo "$out: apt and dnf repositories, signed by $key"
