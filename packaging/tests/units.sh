# The units and the profiles, for themselves: how much they would let a daemon do that was taken over.
# shellcheck shell=bash

systemd-analyze security --offline=true --threshold=12 packaging/systemd/aivonxd.service >"$work/score" ||
    { cat "$work/score"; die "aivonxd.service exposes more than 1.2"; }
ok "$(sed -n 's/.*Overall/overall/p' "$work/score" | sed 's/ *[^ 0-9A-Za-z.]*$//')"

# Two descriptors for each connection, and 256.
connections=$(sed -n 's/^connections = //p' packaging/aivonxd.toml)
[ "$(sed -n 's/^LimitNOFILE=//p' packaging/systemd/aivonxd.service)" -ge $((connections * 2 + 256)) ] ||
    die "LimitNOFILE is too low for limits.connections = $connections"
address=$(sed -n 's/^address = "\(.*\)"/\1/p' packaging/aivonxd.toml)
[ "$(sed -n 's/^ListenStream=//p' packaging/systemd/aivonxd.socket)" = "$address" ] ||
    die "aivonxd.socket and the configuration differ: $address"
ok "the units fit the configuration"

# Nothing goes to the kernel, and no cache is asked.
if command -v apparmor_parser >/dev/null; then
    apparmor_parser -QK packaging/apparmor/usr.bin.aivonxd 2>"$work/said" || { cat "$work/said" >&2; die "the AppArmor profile does not compile"; }
    holds packaging/apparmor/usr.bin.aivonxd "flags=(complain)" "include if exists <local/usr.bin.aivonxd>"
    ok "the AppArmor profile compiles, and complains first"
else
    skip "apt-get install apparmor: its profile was not compiled"
fi
if command -v checkmodule >/dev/null && command -v semodule_package >/dev/null; then
    {
        checkmodule -M -m -o "$work/aivonx.mod" packaging/selinux/aivonx.te &&
            semodule_package -o "$work/aivonx.pp" -m "$work/aivonx.mod" -f packaging/selinux/aivonx.fc
    } >"$work/said" 2>&1 || { cat "$work/said" >&2; die "the SELinux module does not build"; }
    holds packaging/selinux/aivonx.te "permissive aivonxd_t;"
    ok "the SELinux module builds, and is permissive first"
else
    skip "apt-get install checkpolicy semodule-utils: the SELinux module was not built"
fi
