#!/usr/bin/env bash
# Makes an OCI image layout without a container engine: packaging/container/build.sh DIR
#
# The image holds the programs, the libraries they need, CA certificates, licences and a configuration: no shell, no
# package manager. `skopeo copy oci:DIR docker://...` and `podman load -i` of a tar of DIR take it to where it runs.
#
# Run packaging/build.sh first: the stripped programs are taken from it. The libraries are those of this machine.
#
# Environment:
#   AIVONX_BIN_DIR     take the programs from here instead of from $CARGO_TARGET_DIR/packaging/bin
#   AIVONX_VERSION     version of the image [default: the workspace's]
#   SOURCE_DATE_EPOCH  time of everything in the image [default: the last commit's]; the same programs, libraries,
#                      certificates and epoch give the same bytes
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

readonly PROGRAMS=(aivonxd aivonx)
# Nobody's number on the machines where containers run.
readonly ID=65532

die() {
    echo "packaging/container/build.sh: $*" >&2
    exit 1
}

[ $# = 1 ] || die "usage: packaging/container/build.sh DIR"
[ "$(uname -m)" = x86_64 ] || die "images are made on x86_64 only"
[ ! -e "$1" ] || [ -z "$(ls -A "$1")" ] || die "$1 is not empty: name a new directory"
mkdir -p "$1"
out=$(realpath "$1")
bin=$(realpath -m "${AIVONX_BIN_DIR:-${CARGO_TARGET_DIR:-target}/packaging/bin}")
for program in "${PROGRAMS[@]}"; do
    [ -x "$bin/$program" ] || die "$bin/$program is not there: run packaging/build.sh first, or set AIVONX_BIN_DIR"
done
version=${AIVONX_VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)}
[ -n "$version" ] || die "Cargo.toml names no version"
revision=$(git rev-parse HEAD 2>/dev/null || true)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
created=$(date -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

# --- what is in it ------------------------------------------------------------------------------------------

root=$work/root
install -D -m 755 -t "$root/usr/bin" "${PROGRAMS[@]/#/$bin/}"
# At the places where the loader looks for them without a cache.
libraries=$(for program in "${PROGRAMS[@]}"; do ldd "$bin/$program"; done)
! grep -F 'not found' <<<"$libraries" >&2 || die "the libraries above are missing"
grep -oE '/[^ ]+' <<<"$libraries" | grep -vF "$bin/" | sort -u | while IFS= read -r library; do
    install -D -m 755 "$(realpath "$library")" "$root$library"
done
for certificates in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt ''; do
    [ -n "$certificates" ] || die "there are no CA certificates: apt-get install ca-certificates"
    if [ -f "$certificates" ]; then break; fi
done
install -D -m 644 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
install -D -m 644 packaging/container/aivonxd.toml "$root/etc/aivonx/aivonxd.toml"
echo "aivonx:x:$ID:$ID:aivonx:/data:/nonexistent" >"$root/etc/passwd"
echo "aivonx:x:$ID:" >"$root/etc/group"
echo "hosts: files dns" >"$root/etc/nsswitch.conf"
chmod 644 "$root"/etc/{passwd,group,nsswitch.conf}
install -D -m 644 -t "$root/usr/share/licenses/aivonx" LICENSE LICENSE-MIT LICENSE-APACHE
packaging/third-party >"$root/usr/share/licenses/aivonx/THIRD-PARTY"
# For mounts, on a root that is read-only.
install -d "$root"/{data,dev,proc,run/secrets/aivonx,sys,tmp}

# --- the layout ---------------------------------------------------------------------------------------------

# Puts the file $1 among the blobs; sets `digest` and `size`.
blob() {
    digest=$(sha256sum "$1") digest=${digest%% *} size=$(stat -c %s "$1")
    install -D -m 644 "$1" "$out/blobs/sha256/$digest"
}

pack=(tar -C "$root" --sort=name --format=gnu --mtime="@$epoch" --numeric-owner)
"${pack[@]}" --owner=0 --group=0 --exclude=./data -cf "$work/layer.tar" .
"${pack[@]}" --owner="$ID" --group="$ID" --mode=0700 -rf "$work/layer.tar" ./data
diff_id=$(sha256sum "$work/layer.tar") diff_id=${diff_id%% *}
gzip -9n "$work/layer.tar"
blob "$work/layer.tar.gz"
layer_digest=$digest layer_size=$size

# What a file of the layout says of the image, without the braces around it.
labels=$(
    cat <<END
"org.opencontainers.image.title": "aivonx",
"org.opencontainers.image.description": "Hardened gateway for fleets of self-hosted LLM nodes",
"org.opencontainers.image.version": "$version",
"org.opencontainers.image.revision": "$revision",
"org.opencontainers.image.created": "$created",
"org.opencontainers.image.licenses": "MIT OR Apache-2.0"
END
)
# Healthcheck is Docker's own field, in nanoseconds.
cat >"$work/config.json" <<END
{
"created": "$created", "architecture": "amd64", "os": "linux",
"config": {
"User": "$ID:$ID",
"Env": ["PATH=/usr/bin", "HOME=/data", "AIVONX_SOCKET=/data/control.sock", "CREDENTIALS_DIRECTORY=/run/secrets/aivonx"],
"Entrypoint": ["/usr/bin/aivonxd", "run", "--config", "/etc/aivonx/aivonxd.toml"],
"WorkingDir": "/data",
"Volumes": {"/data": {}},
"ExposedPorts": {"11435/tcp": {}},
"StopSignal": "SIGTERM",
"Healthcheck": {"Test": ["CMD", "/usr/bin/aivonx", "status"], "Interval": 30000000000, "Timeout": 5000000000, "StartPeriod": 60000000000, "Retries": 3},
"Labels": {$labels}
},
"rootfs": {"type": "layers", "diff_ids": ["sha256:$diff_id"]},
"history": [{"created": "$created", "created_by": "packaging/container/build.sh"}]
}
END
blob "$work/config.json"
cat >"$work/manifest.json" <<END
{
"schemaVersion": 2,
"mediaType": "application/vnd.oci.image.manifest.v1+json",
"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:$digest", "size": $size},
"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:$layer_digest", "size": $layer_size}],
"annotations": {$labels}
}
END
blob "$work/manifest.json"
cat >"$out/index.json" <<END
{
"schemaVersion": 2,
"mediaType": "application/vnd.oci.image.index.v1+json",
"manifests": [{
"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:$digest", "size": $size,
"platform": {"architecture": "amd64", "os": "linux"},
"annotations": {"org.opencontainers.image.ref.name": "$version"}
}]
}
END
echo '{"imageLayoutVersion": "1.0.0"}' >"$out/oci-layout"
echo "$out: aivonx $version, sha256:$digest"
