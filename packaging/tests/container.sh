# The image: its layout, two builds of it, and its life in runc or crun with nothing permitted. It is made of the programs
# in $AIVONX_BIN_DIR or $CARGO_TARGET_DIR/packaging/bin.
# shellcheck shell=bash disable=SC2154

image=$work/image
for copy in image again; do
    packaging/container/build.sh "$work/$copy" >"$work/said" 2>&1 || { cat "$work/said" >&2; die "the image cannot be made"; }
done
diff -r "$image" "$work/again" >&2 || die "the image is another in each build"
rm -r "$work/again"
ok "a second build gives the same image"

# What is named must be there, with the size and the digest that are named; unpacked, it becomes a root and the
# configuration of the runtime.
python3 - "$image" "$work/bundle" <<'END' || die "the layout is wrong"
import gzip, hashlib, io, json, os, sys, tarfile
image, bundle = sys.argv[1:]
assert json.load(open(f"{image}/oci-layout"))["imageLayoutVersion"] == "1.0.0"
named = set()
def blob(descriptor):
    kind, digest = descriptor["digest"].split(":")
    data = open(f"{image}/blobs/{kind}/{digest}", "rb").read()
    assert kind == "sha256" and hashlib.sha256(data).hexdigest() == digest and len(data) == descriptor["size"], descriptor
    named.add(digest)
    return data
manifest = json.loads(blob(json.load(open(f"{image}/index.json"))["manifests"][0]))
config = json.loads(blob(manifest["config"]))
packed = [gzip.decompress(blob(layer)) for layer in manifest["layers"]]
assert named == set(os.listdir(f"{image}/blobs/sha256")), "blobs that nothing names"
assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in packed]
run = config["config"]
assert run["User"] == "65532:65532" and run["Volumes"] == {"/data": {}}, run
assert run["Entrypoint"][:3] == ["/usr/bin/aivonxd", "run", "--config"], run
assert run["Healthcheck"]["Test"] == ["CMD", "/usr/bin/aivonx", "status"], run
for label in ("title", "version", "created", "licenses"):
    assert run["Labels"][f"org.opencontainers.image.{label}"], label
layer = tarfile.open(fileobj=io.BytesIO(packed[0]))
members = layer.getmembers()
names = [member.name for member in members]
assert len(set(names)) == len(names) and len({member.mtime for member in members}) == 1
for member in members:
    assert member.isfile() or member.isdir(), member.name
    assert not member.mode & 0o6022, f"{member.name} is writable, or set-uid"
    assert (member.uid, member.gid) == ((65532, 65532) if member.name == "./data" else (0, 0)), member.name
programs = {os.path.basename(m.name) for m in members if m.isfile() and m.mode & 0o111 and "/lib" not in m.name}
assert programs == {"aivonxd", "aivonx"}, programs
layer.extractall(f"{bundle}/rootfs")

private = ["nosuid", "nodev", "noexec"]
json.dump({
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 65532, "gid": 65532}, "args": run["Entrypoint"], "env": run["Env"], "cwd": run["WorkingDir"],
        "noNewPrivileges": True, "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
    },
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/data", "type": "bind", "source": f"{bundle}/data", "options": ["rbind", "rw", *private]},
        {"destination": "/run/secrets/aivonx", "type": "bind", "source": f"{bundle}/secrets", "options": ["rbind", "ro", *private]},
    ],
    # The network is that of the tests.
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
}, open(f"{bundle}/config.json", "w"))
END
ok "digests, sizes, configuration and contents of the layout"

bundle=$work/bundle
for tool in openssl jq curl; do
    command -v "$tool" >/dev/null || { skip "apt-get install $tool: the image was not run"; return; }
done
install -d -m 700 "$bundle"/{data,secrets}
# Those of the image, on this machine: what an operator does.
"${AIVONX_BIN_DIR:-$target/packaging/bin}/aivonx" secrets generate-key --out "$bundle/secrets/aivonx-master-key" >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=aivonx -addext subjectAltName=DNS:aivonx \
    -keyout "$bundle/secrets/tls.key" -out "$bundle/secrets/tls.crt" 2>/dev/null
# As a Kubernetes secret is mounted: root's, readable for the group.
chown root:65532 "$bundle"/secrets/*
chmod 440 "$bundle"/secrets/*
# And a volume: root's, open to the group.
chown root:65532 "$bundle/data"
chmod 2770 "$bundle/data"
chmod 755 "$work" "$bundle" "$bundle/secrets"
name=aivonx-test-$$
oci() {
    "${runtime[@]}" --root "$work/runtime" "$@"
}
inside() {
    oci exec "$name" "$@"
}
: >"$work/container.log"
# With a program that ends at once, to see whether this machine permits containers.
install -d "$work/try"
jq --arg root "$bundle/rootfs" '.process.args = ["/usr/bin/aivonx", "--version"] | .root.path = $root' "$bundle/config.json" >"$work/try/config.json"
# Control groups are not to be had everywhere, and no business of this test.
for command in "crun --cgroup-manager=disabled" runc ''; do
    read -ra runtime <<<"$command"
    if [ -z "$command" ]; then
        skip "neither crun nor runc makes a container here ($(tail -n 1 "$work/said")): the image was not run"
        return
    fi
    ! oci run --bundle "$work/try" "$name-try" >"$work/said" 2>&1 </dev/null || break
done
oci run --bundle "$bundle" "$name" >"$work/container.log" 2>&1 </dev/null &
container=$!
echo "$container" >>"$work/pids"
for _ in $(seq 600); do
    grep -q '"event":"start".*"listen"\|the gateway serves' "$work/container.log" && break
    kill -0 "$container" 2>/dev/null || break
    sleep 0.1
done
inside /usr/bin/aivonx status >"$work/said" 2>&1 || { cat "$work/container.log" "$work/said" >&2; die "the health check fails"; }
holds "$work/said" "run mode"
asked() {
    curl --silent --show-error --max-time 30 --cacert "$bundle/secrets/tls.crt" --resolve "aivonx:11435:127.0.0.1" "$@"
}
asked --fail https://aivonx:11435/health >"$work/said" || { cat "$work/container.log" >&2; die "it does not serve"; }
pid=$(oci state "$name" | jq .pid)
holds "/proc/$pid/status" "NoNewPrivs:	1" "CapBnd:	0000000000000000" "CapEff:	0000000000000000" "Uid:	65532	65532	65532	65532"
inside /usr/bin/aivonx setup --username admin --password-file - --no-totp --profile team <<<"seven quiet lamps under glass" >"$work/said" 2>&1 ||
    { cat "$work/said" >&2; die "it cannot be set up"; }
inside /usr/bin/aivonx status >"$work/said" 2>&1 || { cat "$work/said" >&2; die "the health check fails after the set-up"; }
[ -f "$bundle/data/store/STORE" ] || die "the store is not in the volume"
[ ! -e "$bundle/data/store/master.key" ] || die "a master key was made beside the store"
! inside /usr/bin/aivonx secrets generate-key --out /etc/aivonx/other 2>"$work/said" || die "the root can be written to"
oci kill "$name" TERM
wait "$container" || { cat "$work/container.log" >&2; die "it does not end well"; }
! grep -E '"level":"ERROR"' "$work/container.log" >&2 || die "it has something to complain of"
ok "runs in ${runtime[0]} as 65532 on a read-only root without capabilities, is set up, serves, ends when told"

# Without its key it must not start with one of its own.
rm "$bundle/secrets/aivonx-master-key"
! oci run --bundle "$bundle" "$name-keyless" >"$work/said" 2>&1 </dev/null || die "it starts without its master key"
holds "$work/said" "/run/secrets/aivonx/aivonx-master-key"
ok "without its master key it does not start"
