# The repositories: made with a throw-away key, used by apt (and checked by rpm, gpg and minisign), and refused by each as soon
# as one byte of them is another. Any packages will do: those in $CARGO_TARGET_DIR/packages, or what build.sh made.
# shellcheck shell=bash disable=SC2154

for tool in gpg apt-ftparchive createrepo_c rpmsign; do
    command -v "$tool" >/dev/null || { skip "$tool is not there (apt-get install gpg apt-utils createrepo-c rpm): no repository was made"; return; }
done
made=$work/repository
export GNUPGHOME=$work/gnupg
install -d -m 700 "$GNUPGHOME"
# gpg-agent ends with its folder.
trap 'gpgconf --kill all' EXIT
gpg --batch --quiet --passphrase '' --quick-generate-key "Throw-away <key@aivonx.example>" rsa3072 sign never
make_repository() {
    packaging/repository.sh "$made" key@aivonx.example >"$work/said" 2>&1 </dev/null || { cat "$work/said" >&2; die "the repositories cannot be made"; }
}
make_repository
(cd "$made" && sha256sum --quiet -c SHA256SUMS) || die "SHA256SUMS is wrong"
sums=$(cat "$made/SHA256SUMS")
AIVONX_VALID_DAYS=30 make_repository
[ "$(cat "$made/SHA256SUMS")" = "$sums" ] || die "made again, packages that were published are others"
grep -q '^Valid-Until: ' "$made/apt/dists/stable/Release" || die "AIVONX_VALID_DAYS does not bound the repository"
! AIVONX_VALID_DAYS=soon packaging/repository.sh "$made" key@aivonx.example 2>"$work/said" || die "AIVONX_VALID_DAYS takes anything"
holds "$work/said" "AIVONX_VALID_DAYS" "from 1 to 9999"
! packaging/repository.sh "$made" nobody@aivonx.example 2>"$work/said" || die "it is made without a key"
holds "$work/said" 'no secret key "nobody@aivonx.example"'
mkdir -p "$work/other/packages"
cp "$packages"/*.deb "$packages"/*.rpm "$work/other/packages/"
echo >>"$work/other/packages/aivonx_${version}_amd64.deb"
! CARGO_TARGET_DIR=$work/other packaging/repository.sh "$made" key@aivonx.example 2>"$work/said" || die "a published package is replaced"
holds "$work/said" "is there, and another: raise the version"
ok "are made, and made again without changing what was published"

# --- apt ----------------------------------------------------------------------------------------------------

# An apt that knows the repository $1 and nothing of this machine's.
apt_in() {
    local repository=$1 root=$work/apt
    shift
    APT_CONFIG=$root/apt.conf "$@" 2>&1 </dev/null | sed "s#$repository#REPOSITORY#" >"$work/said"
    return "${PIPESTATUS[0]}"
}
# Whether apt takes the repository $1, and the package in it.
takes() {
    local root=$work/apt
    rm -rf "$root"
    mkdir -p "$root"/{etc/apt/{apt.conf.d,sources.list.d,preferences.d,trusted.gpg.d},var/{lib/apt/lists/partial,lib/dpkg,cache/apt/archives/partial},taken}
    touch "$root/var/lib/dpkg/status"
    cp "$work/signer.asc" "$root/signer.asc"
    cat >"$root/apt.conf" <<END
Dir "$root";
Dir::State::status "$root/var/lib/dpkg/status";
Dir::Bin::Methods "/usr/lib/apt/methods";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
END
    echo "deb [signed-by=$root/signer.asc] file:$1/apt stable main" >"$root/etc/apt/sources.list"
    apt_in "$1" apt-get --error-on=any update && (cd "$root/taken" && apt_in "$1" apt-get download aivonx)
}
cp "$made/aivonx.asc" "$work/signer.asc"
takes "$made" || { cat "$work/said" >&2; die "apt does not take the repository"; }
cmp "$work"/apt/taken/aivonx_*.deb "$made"/apt/pool/aivonx_"$version"_*.deb || die "apt got another package"
ok "apt takes it with its key alone"

# Makes one byte of the file $1 another: the one in its middle.
change() {
    local at byte
    at=$(($(stat -c %s "$1") / 2))
    byte=$(od -An -tu1 -j "$at" -N 1 "$1")
    # shellcheck disable=SC2059
    printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
# Has the file $1 of a copy of the repository changed, and ends the test if apt takes it.
refuses() {
    rm -rf "$work/changed"
    cp -a "$made" "$work/changed"
    change "$work/changed/$1"
    # apt would go on with the other form of each.
    case $1 in
    */InRelease) rm "$work/changed/apt/dists/stable/Release" ;;
    */Release) rm "$work/changed/apt/dists/stable/InRelease" ;;
    */Packages) rm "$work/changed/$1.gz" ;;
    esac
    ! takes "$work/changed" || die "apt takes a repository of which $1 was changed"
}
refuses apt/dists/stable/InRelease
refuses apt/dists/stable/Release
refuses apt/dists/stable/main/binary-amd64/Packages
refuses "apt/pool/aivonx_${version}_amd64.deb"
gpg --batch --quiet --passphrase '' --quick-generate-key "Another <other@aivonx.example>" rsa3072 sign never
gpg --batch --armor --export other@aivonx.example >"$work/signer.asc"
! takes "$made" || die "apt takes a repository of somebody else's key"
ok "apt refuses it with one byte changed of InRelease, Release, Packages or the package, and by another key"

# --- dnf, checksums, minisign -------------------------------------------------------------------------------

# What dnf does with gpgcheck=1 and repo_gpgcheck=1.
verifies() {
    gpg --batch --quiet --verify "$1" "$2" 2>"$work/said"
}
verifies "$made/dnf/repodata/repomd.xml.asc" "$made/dnf/repodata/repomd.xml" || { cat "$work/said" >&2; die "repomd.xml.asc is not its signature"; }
verifies "$made/SHA256SUMS.asc" "$made/SHA256SUMS" || { cat "$work/said" >&2; die "SHA256SUMS.asc is not its signature"; }
for package in "$made"/apt/pool/*.deb "$made"/dnf/*.rpm; do
    verifies "$package.asc" "$package" || { cat "$work/said" >&2; die "$package.asc is not its signature"; }
done
rpm=$made/dnf/aivonx-$version-1.x86_64.rpm
mkdir "$work/rpmdb"
rpmkeys --dbpath "$work/rpmdb" --import "$made/aivonx.asc"
rpmkeys --dbpath "$work/rpmdb" --checksig --verbose "$rpm" >"$work/said" || { cat "$work/said" >&2; die "rpm does not take the package"; }
grep -q 'Signature.*: OK' "$work/said" || { cat "$work/said" >&2; die "the package is not signed"; }
cp "$rpm" "$made/dnf/repodata/repomd.xml" "$work/"
change "$work/${rpm##*/}"
change "$work/repomd.xml"
! rpmkeys --dbpath "$work/rpmdb" --checksig "$work/${rpm##*/}" >"$work/said" 2>&1 || die "rpm takes a package that was changed"
! verifies "$made/dnf/repodata/repomd.xml.asc" "$work/repomd.xml" || die "a changed repomd.xml has its signature"
ok "rpm and gpg take the dnf repository and the checksums, and refuse them with one byte changed"

if command -v minisign >/dev/null; then
    minisign -G -W -p "$work/minisign.pub" -s "$work/minisign.key" >/dev/null
    AIVONX_MINISIGN_KEY=$work/minisign.key make_repository
    for file in SHA256SUMS "apt/pool/aivonx_${version}_amd64.deb" "${rpm#"$made/"}"; do
        minisign -V -q -p "$work/minisign.pub" -m "$made/$file" || die "$file.minisig is not its signature"
        cp "$made/$file.minisig" "$work/changed.minisig"
        cp "$made/$file" "$work/changed.file"
        change "$work/changed.file"
        ! minisign -V -q -x "$work/changed.minisig" -p "$work/minisign.pub" -m "$work/changed.file" 2>/dev/null || die "a changed $file has its signature"
    done
    ok "minisign takes what is signed, and refuses it with one byte changed"
else
    skip "apt-get install minisign: its signatures were not made"
fi
