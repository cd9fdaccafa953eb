# The .rpm: installed, set up, upgraded, erased, with its scriptlets, in a root that has everything but RPM's books.
# shellcheck shell=bash disable=SC2154

root=$work/redhat
rpm=$packages/aivonx-$version-1.x86_64.rpm
clone_root "$root" systemd procps passwd ca-certificates
# The same programs as a lower version; in a hurry.
AIVONX_VERSION=${OLD/\~/-} AIVONX_COMPRESS=fast AIVONX_BIN_DIR=$work/bin CARGO_TARGET_DIR=$work/lower \
    bash -c 'mkdir -p "$AIVONX_BIN_DIR" && cd "$AIVONX_BIN_DIR" && rpm2cpio "$1" | cpio -idm --quiet "./usr/bin/*" "./usr/libexec/*" &&
        mv usr/bin/* usr/libexec/aivonx/* . && cd "$2" && packaging/build.sh rpm' - "$rpm" "$PWD" >"$work/said" 2>&1 ||
    { cat "$work/said" >&2; die "the older package cannot be made"; }
old=$(echo "$work"/lower/packages/aivonx-0*.rpm)
in_rpm() {
    rpm --root "$root" "$@" >"$work/said" 2>&1
}
must() {
    "$@" || { cat "$work/said" >&2; die "failed: $*"; }
}
must in_rpm --initdb
# What it requires is provided by this root, but no RPM has told.
must in_rpm --nodeps -i "$old"
holds "$work/said" "aivonx: 1. " "sudo aivonx setup" "aivonx: 2. " "aivonx: 3. "
[ "$(in_root stat -c '%U %G %a' /etc/aivonx/master.key)" = "root root 600" ] || die "the master key is not root's alone"
master_key=$(sha256sum <"$root/etc/aivonx/master.key")
[ -L "$root/etc/systemd/system/multi-user.target.wants/aivonxd.service" ] || die "the service is not enabled"
[ ! -e "$root/etc/systemd/system/sockets.target.wants/aivonxd.socket" ] || die "the socket is enabled"
systemd-analyze --root="$root" verify --man=no aivonxd.service aivonxd.socket >"$work/verify" 2>&1 || true
[ ! -s "$work/verify" ] || { cat "$work/verify" >&2; die "systemd-analyze verify has something to say"; }
ok "installs"

sed -i 's/^address = .*/address = "127.0.0.1:0"/' "$root/etc/aivonx/aivonxd.toml"
start_node
start_daemon
set_up
chat
stop_daemon
ok "runs as the unit says, is set up, serves a request"

must in_rpm --nodeps -U "$rpm"
# Debian's rpm would rather be another program.
! grep -vE '^(warning|rpm): ' "$work/said" || die "an upgrade has nothing to say"
grep -q '^address = "127.0.0.1:0"' "$root/etc/aivonx/aivonxd.toml" || die "the upgrade changed the configuration"
[ "$(sha256sum <"$root/etc/aivonx/master.key")" = "$master_key" ] || die "the upgrade changed the master key"
[ -L "$root/etc/systemd/system/multi-user.target.wants/aivonxd.service" ] || die "the upgrade disabled the service"
start_daemon
chat
stop_daemon
ok "upgrades"

sed -i 's/^schema .*/schema 9999/' "$root/var/lib/aivonx/STORE"
! in_rpm --nodeps -U --oldpackage "$old" || die "a package older than the store can be installed"
holds "$work/said" "is older than the store in /var/lib/aivonx" "aivonxd recover --snapshot"
[ "$(rpm --root "$root" -q --qf '%{VERSION}' aivonx)" = "$version" ] || die "the refused package was installed"
ok "an older package refuses the store, and says what to do"

sums var/lib/aivonx >"$work/kept"
must in_rpm -e aivonx
holds "$work/said" "aivonx: kept: /var/lib/aivonx"
sums var/lib/aivonx | cmp -s - "$work/kept" || die "erasing lost something of the data"
[ "$(sha256sum <"$root/etc/aivonx/master.key")" = "$master_key" ] || die "erasing lost the master key"
[ -f "$root/etc/aivonx/aivonxd.toml.rpmsave" ] || die "erasing lost the configuration"
[ ! -e "$root/usr/bin/aivonxd" ] && [ ! -e "$root/etc/systemd/system/multi-user.target.wants/aivonxd.service" ] || die "erasing left the daemon"
ok "erasing keeps the data"
