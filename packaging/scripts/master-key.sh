# Makes the master key, once. The daemon gets it as a credential from systemd.
make_master_key() {
    key=/etc/aivonx/master.key
    dir=/var/lib/aivonx
    if [ -e "$key" ]; then
        return 0
    fi
    if [ -e "$dir/master.key" ] || [ -L "$dir/master.key" ]; then
        # The daemon ran here before, without the package, and made its own. Whoever it ran as may have put anything in
        # that place: it is read with their rights, no link is followed, nothing is waited for, and nothing but a key
        # is taken.
        found=$(setpriv --reuid "$(stat -Lc %u "$dir")" --regid "$(stat -Lc %g "$dir")" --clear-groups \
            dd if="$dir/master.key" iflag=nofollow,nonblock bs=64 count=1 status=none 2>/dev/null) || found=
        if printf '%s\n' "$found" | grep -Eqx '[A-Za-z0-9+/]{43}=' && [ "${#found}" -eq 44 ]; then
            (umask 077 && printf '%s\n' "$found" >"$key.new") && sync "$key.new" && mv "$key.new" "$key" &&
                rm -f "$dir/master.key"
            return
        fi
        echo "aivonx: $dir/master.key is not a key that the daemon made there: it is not used" >&2
    fi
    if [ -f "$dir/STORE" ]; then
        echo "aivonx: there is a store in $dir, but its master key is not in $key: put it back from your backup" >&2
        return 0
    fi
    aivonx secrets generate-key --out "$key" >/dev/null
}
