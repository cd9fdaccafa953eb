# Makes the master key, once. The daemon gets it as a credential from systemd.
make_master_key() {
    key=/etc/aivonx/master.key
    if [ -e "$key" ]; then
        return 0
    fi
    if [ -f /var/lib/aivonx/master.key ]; then
        # The daemon ran here before, without the package, and made its own.
        mv /var/lib/aivonx/master.key "$key"
        chown root:root "$key"
        chmod 0600 "$key"
        return 0
    fi
    if [ -f /var/lib/aivonx/STORE ]; then
        echo "aivonx: there is a store in /var/lib/aivonx, but its master key is not in $key: put it back from your backup" >&2
        return 0
    fi
    aivonx secrets generate-key --out "$key" >/dev/null
}
