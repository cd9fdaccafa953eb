# What to do after the first installation.
say_next_steps() {
    echo "aivonx: 1. make the first administrator: sudo aivonx setup (until then only /health is served)"
    echo "aivonx: 2. add a node: sudo aivonx login, then sudo aivonx node add gpu1 http://gpu1.example:11434"
    echo "aivonx: 3. let others connect: [[listen]] with tls_cert and tls_key, and access.allowed_hosts, in /etc/aivonx/aivonxd.toml, then sudo systemctl restart aivonxd"
}
