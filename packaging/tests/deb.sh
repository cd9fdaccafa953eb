# The .deb: installed, set up, upgraded, removed, purged.
# shellcheck shell=bash disable=SC2154

root=$work/debian
deb=$packages/aivonx_${version}_amd64.deb
# What it depends on, the first of each choice, and nothing else: what it needs beyond that shows.
# shellcheck disable=SC2046
clone_root "$root" passwd $(dpkg-deb -f "$deb" Depends | sed 's/|[^,]*//g; s/([^)]*)//g; s/,/ /g')
cp "$deb" "$root/root/new.deb"
dpkg-deb -R "$deb" "$work/old"
sed -i "s/^Version: .*/Version: $OLD/" "$work/old/DEBIAN/control"
dpkg-deb --root-owner-group -Znone -b "$work/old" "$root/root/old.deb" >/dev/null
install_deb() {
    in_root dpkg -i "/root/$1.deb" >"$work/said" 2>&1 || { cat "$work/said" >&2; die "$1.deb cannot be installed"; }
}
state() {
    in_root dpkg-query -W -f '${db:Status-Status} ${Version}' aivonx 2>/dev/null
}

listing >"$work/before"
install_deb old
holds "$work/said" "aivonx: 1. " "sudo aivonx setup" "aivonx: 2. " "aivonx: 3. "
[ "$(grep -c '^aivonx: ' "$work/said")" = 3 ] || { cat "$work/said" >&2; die "more was said than three lines"; }
[ "$(in_root stat -c '%U %G %a' /etc/aivonx/master.key)" = "root root 600" ] || die "the master key is not root's alone"
master_key=$(sha256sum <"$root/etc/aivonx/master.key")
case $AIVONX_NAMESPACES in
*mount*) [ "$(in_root stat -c '%U %G %a' /var/lib/aivonx)" = "aivonx aivonx 700" ] || die "/var/lib/aivonx is not the daemon's alone" ;;
esac
in_root id aivonx >/dev/null || die "there is no user aivonx"
cmp -s packaging/aivonxd.toml "$root/etc/aivonx/aivonxd.toml" || die "the configuration is not the default one"
[ -L "$root/etc/systemd/system/multi-user.target.wants/aivonxd.service" ] || die "the service is not enabled"
[ ! -e "$root/etc/systemd/system/sockets.target.wants/aivonxd.socket" ] || die "the socket is enabled"
ok "installs: user, directories, master key, configuration, service enabled, three lines"

in_root aivonxd version --dependencies >"$work/said" && holds "$work/said" "rustls "
python3 - "$root/usr/share/doc/aivonx" <<'EOF' || die "the bill of materials or the VEX document is wrong"
import json, sys
bom = json.load(open(f"{sys.argv[1]}/sbom.cdx.json"))
programs = {c["name"] for c in bom["components"] if c["type"] == "application"}
assert programs == {"aivonx-daemon", "aivonx-tui", "aivonx-sim"}, programs
assert any(c["name"] == "ratatui" for c in bom["components"]), "what aivonx links is missing"
assert json.load(open(f"{sys.argv[1]}/vex.json"))["statements"]
EOF
ok "says what it is made of"

verify() {
    systemd-analyze --root="$root" verify --man=no aivonxd.service aivonxd.socket >"$work/verify" 2>&1 || true
    [ ! -s "$work/verify" ] || { cat "$work/verify" >&2; die "systemd-analyze verify has something to say $1"; }
}
verify "of the units"
for sample in "$root"/usr/share/doc/aivonx/examples/*.conf; do
    install -D -m 644 "$sample" "$root/etc/systemd/system/aivonxd.service.d/${sample##*/}"
    verify "of ${sample##*/}"
    rm -r "$root/etc/systemd/system/aivonxd.service.d"
done
ok "systemd-analyze verify prints nothing, of the units and of each sample"

# The simulator is found from /proc/self/exe, which a root without mounts lacks.
case $AIVONX_NAMESPACES in
*mount*)
    in_root aivonxd dev --dir /root/demo --listen 127.0.0.1:0 --simulate 1 --until-eof </dev/null >"$work/said" 2>&1 ||
        { cat "$work/said" >&2; die "it simulates no nodes"; }
    holds "$work/said" "node sim1 http://127.0.0.1:" "simulated"
    rm -r "$root/root/demo"
    ok "simulates nodes"
    ;;
esac

# What an administrator changes must stay: a port that is free, and one below 1024 where nobody else is.
sed -i 's/^address = .*/address = "127.0.0.1:0"/' "$root/etc/aivonx/aivonxd.toml"
case $AIVONX_NAMESPACES in
*net*)
    sed -i '/^\[control\]/i [[listen]]\naddress = "127.0.0.1:443"\ndiagnostics = true\n' "$root/etc/aivonx/aivonxd.toml"
    install -D -m 644 -t "$root/etc/systemd/system/aivonxd.service.d" "$root/usr/share/doc/aivonx/examples/10-low-ports.conf"
    ;;
*) skip "no network namespace: that port 443 is bound without root was not tried" ;;
esac
configuration=$(sha256sum <"$root/etc/aivonx/aivonxd.toml")
start_node
start_daemon
! grep -E 'WARN|ERROR' "$work/daemon.log" | grep -vE 'there is no administrator yet|hard limit on open files' || die "the daemon has something to complain of"
[ ! -e "$root/var/lib/aivonx/master.key" ] || die "the daemon made a key of its own"
set_up
chat
case $AIVONX_NAMESPACES in
*net*) (port=443 && expect 200 /metrics) ;;
esac
in_root aivonx secrets validate >"$work/said" || { cat "$work/said" >&2; die "the secrets do not check out"; }
stop_daemon
ok "runs as the unit says, is set up, serves a request"

install_deb new
[ "$(state)" = "installed $version" ] || die "the upgrade left $(state)"
! grep -q '^aivonx: ' "$work/said" || die "an upgrade has nothing to say"
[ "$(sha256sum <"$root/etc/aivonx/aivonxd.toml")" = "$configuration" ] || die "the upgrade changed the configuration"
[ "$(sha256sum <"$root/etc/aivonx/master.key")" = "$master_key" ] || die "the upgrade changed the master key"
start_daemon
chat
stop_daemon
ok "upgrades: configuration, key, node, user and API key are as they were"

# A store of a later version: this package must not be put over it, and the daemon does not open it.
store=$root/var/lib/aivonx/STORE
cp -p "$store" "$work/STORE"
schema=$(sed -n 's/^schema //p' "$store")
later=$(sed "/^check /d; s/^schema .*/schema $((schema + 1))/" "$work/STORE")
printf '%s\ncheck %s\n' "$later" "$(printf '%s\n' "$later" | sha256sum | cut -c1-16)" >"$store"
! in_root dpkg -i /root/old.deb >"$work/said" 2>&1 || die "a package older than the store can be installed"
holds "$work/said" "is older than the store in /var/lib/aivonx" "Nothing was changed" "aivonxd recover --snapshot" "before-schema-$((schema + 1))"
[ "$(state)" = "installed $version" ] || die "the refused package left $(state)"
! in_root setpriv --reuid=aivonx --regid=aivonx --clear-groups aivonxd run >"$work/said" 2>&1 || die "the daemon opens a later store"
holds "$work/said" "has schema $((schema + 1)), this aivonxd knows schemas up to $schema" "install the version that wrote it" "aivonxd recover"
cp -p "$work/STORE" "$store"
ok "an older package and an older daemon refuse the store, and say what to do"

sums var/lib/aivonx etc/aivonx >"$work/kept"
in_root dpkg -r aivonx >"$work/said" 2>&1 || { cat "$work/said" >&2; die "it cannot be removed"; }
holds "$work/said" "aivonx: kept: /var/lib/aivonx"
sums var/lib/aivonx etc/aivonx | cmp -s - "$work/kept" || die "removal lost something of the data"
install_deb new
start_daemon
chat
stop_daemon
in_root dpkg -r aivonx >"$work/said" 2>&1
ok "removal loses nothing: installed again, it goes on"

rm -rf "$root/root/ci.key" "$root/etc/systemd/system/aivonxd.service.d"
rm -rf "$root/root/.local" "$root/root/.config" "$root/root/.cache"
in_root dpkg -P aivonx >"$work/said" 2>&1 || { cat "$work/said" >&2; die "it cannot be purged"; }
holds "$work/said" "aivonx: removing /var/lib/aivonx"
listing | diff "$work/before" - >"$work/left" || { cat "$work/left" >&2; die "purging left the above"; }
# The accounts' own backups (passwd-) aside.
! grep -r --exclude='*-' aivonx "$root/etc" >"$work/left" 2>&1 || { cat "$work/left" >&2; die "purging left the above in /etc"; }
ok "purging says so, and leaves nothing"

# As in an image that is being built: nothing of the kernel is there.
case $AIVONX_NAMESPACES in
*mount*)
    umount "$root/proc"
    install_deb new
    [ "$(state)" = "installed $version" ] && [ -s "$root/etc/aivonx/master.key" ] || die "it does not install without /proc"
    in_root dpkg -P aivonx >"$work/said" 2>&1 || { cat "$work/said" >&2; die "it cannot be purged without /proc"; }
    ok "installs and goes without /proc"
    ;;
esac

if [ -f "$packages/aivonx-dbgsym_${version}_amd64.deb" ]; then
    dpkg-deb -x "$packages/aivonx-dbgsym_${version}_amd64.deb" "$work/dbgsym"
    for program in bin/aivonx bin/aivonxd libexec/aivonx/aivonx-sim; do
        id=$(readelf -n "$work/old/usr/$program" | sed -n 's/.*Build ID: //p')
        [ -f "$work/dbgsym/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug" ] || die "no symbols for $program"
    done
    ok "the symbols fit the programs"
fi
