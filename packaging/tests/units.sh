# The units, for themselves: how much they would let a daemon do that was taken over.
# shellcheck shell=bash

systemd-analyze security --offline=true --threshold=15 packaging/systemd/aivonxd.service >"$work/score" ||
    { cat "$work/score"; die "aivonxd.service exposes more than 1.5"; }
ok "$(sed -n 's/.*Overall/overall/p' "$work/score" | sed 's/ *[^ 0-9A-Za-z.]*$//')"

# Two descriptors for each connection, and 256.
connections=$(sed -n 's/^connections = //p' packaging/aivonxd.toml)
[ "$(sed -n 's/^LimitNOFILE=//p' packaging/systemd/aivonxd.service)" -ge $((connections * 2 + 256)) ] ||
    die "LimitNOFILE is too low for limits.connections = $connections"
address=$(sed -n 's/^address = "\(.*\)"/\1/p' packaging/aivonxd.toml)
[ "$(sed -n 's/^ListenStream=//p' packaging/systemd/aivonxd.socket)" = "$address" ] ||
    die "aivonxd.socket and the configuration differ: $address"
ok "the units fit the configuration"
