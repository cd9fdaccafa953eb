# Makes the .deb and its -dbgsym; part of packaging/build.sh.
# shellcheck shell=bash disable=SC2154

# Writes DEBIAN/md5sums and builds the tree $1 as $2.
build_deb() {
    local root=$1 name=$2
    (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0r md5sum >DEBIAN/md5sums)
    # What Installed-Size counts: KiB of files, rounded up each, and one for everything else.
    sed -i "s/@SIZE@/$(find "$root" -path "$root/DEBIAN" -prune -o -type f -printf '%s\n' -o -printf '0\n' |
        awk '{ kib += $1 ? int(($1 + 1023) / 1024) : 1 } END { print kib }')/" "$root/DEBIAN/control"
    chmod 644 "$root"/DEBIAN/*
    find "$root/DEBIAN" -name 'p*' -exec chmod 755 {} +
    date_all "$root"
    # xz: dpkg of Debian and of Ubuntu both read it.
    local compress=(-Zxz)
    [ "${AIVONX_COMPRESS:-}" = fast ] && compress=(-Zgzip -z1)
    dpkg-deb --root-owner-group "${compress[@]}" --build "$root" "$out/$name" >/dev/null
}

deb=$work/deb/aivonx
install -d "$deb/DEBIAN"
stage "$deb" /usr/share/zsh/vendor-completions
install -D -m 644 packaging/deb/copyright "$deb/usr/share/doc/aivonx/copyright"
gzip -9n <"$work/THIRD-PARTY" >"$deb/usr/share/doc/aivonx/THIRD-PARTY.gz"
gzip -9n <CHANGELOG.md >"$deb/usr/share/doc/aivonx/CHANGELOG.md.gz"
cat >"$work/changelog" <<EOF
aivonx ($version) stable; urgency=medium

  * Release $version. What is new is told in CHANGELOG.md.gz.

 -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")
EOF
gzip -9n <"$work/changelog" >"$deb/usr/share/doc/aivonx/changelog.gz"
install -D -m 644 packaging/deb/lintian-overrides "$deb/usr/share/lintian/overrides/aivonx"
for script in control preinst postinst prerm postrm; do
    expand "packaging/deb/$script" >"$deb/DEBIAN/$script"
done
echo /etc/aivonx/aivonxd.toml >"$deb/DEBIAN/conffiles"
build_deb "$deb" "aivonx_${version}_amd64.deb"

dbgsym=$work/deb/aivonx-dbgsym
install -d "$dbgsym/DEBIAN" "$dbgsym/usr/share/doc"
cp -a "$work/symbols/usr/lib" "$dbgsym/usr/"
ln -s aivonx "$dbgsym/usr/share/doc/aivonx-dbgsym"
expand packaging/deb/control.dbgsym >"$dbgsym/DEBIAN/control"
echo "Build-Ids: ${build_ids[*]}" >>"$dbgsym/DEBIAN/control"
build_deb "$dbgsym" "aivonx-dbgsym_${version}_amd64.deb"
