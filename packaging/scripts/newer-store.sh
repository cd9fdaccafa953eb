# Refuses to go on if the store was written by a later version than this one.
refuse_newer_store() {
    dir=$(sed -n 's/^data_dir *= *"\(.*\)".*/\1/p' /etc/aivonx/aivonxd.toml 2>/dev/null | head -n 1)
    dir=${dir:-/var/lib/aivonx}
    # The daemon's user may have put anything in its place: see make_master_key.
    found=$({ setpriv --reuid "$(stat -Lc %u "$dir")" --regid "$(stat -Lc %g "$dir")" --clear-groups \
        dd if="$dir/STORE" iflag=nofollow,nonblock bs=4096 count=1 status=none; } 2>/dev/null |
        sed -n 's/^schema \([0-9]\{1,9\}\)$/\1/p' | head -n 1)
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
