# Refuses to go on if the store was written by a later version than this one.
refuse_newer_store() {
    dir=$(sed -n 's/^data_dir *= *"\(.*\)".*/\1/p' /etc/aivonx/aivonxd.toml 2>/dev/null | head -n 1)
    dir=${dir:-/var/lib/aivonx}
    found=$(sed -n 's/^schema \([0-9][0-9]*\)$/\1/p' "$dir/STORE" 2>/dev/null || true)
    if [ "${found:-0}" -le @SCHEMA@ ]; then
        return 0
    fi
    cat >&2 <<EOF
aivonx @VERSION@ is older than the store in $dir: the store has schema $found, this version knows up to @SCHEMA@.
Nothing was changed. Either keep the version that is installed, or go back to a snapshot from before the upgrade;
what was changed since then is lost, the present store is set aside:
    sudo systemctl stop aivonxd
    sudo aivonxd recover --list
    sudo aivonxd recover --snapshot $dir/snapshots/...-before-schema-$((@SCHEMA@ + 1)).snapshot
and then install aivonx @VERSION@ again.
EOF
    return 1
}
