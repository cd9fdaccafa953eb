# What the tests of the packages share.
# shellcheck shell=bash disable=SC2154

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
packages=$target/packages
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
readonly OLD=0.0.0~old

die() {
    echo "packages: $*" >&2
    exit 1
}
ok() {
    echo "  ok: $*"
}
skip() {
    echo "  skipped: $*"
    echo "$*" >>"$work/skipped"
}
# Ends the test unless the file $1 holds the words after it.
holds() {
    local file=$1 words
    shift
    for words; do
        grep -qF -- "$words" "$file" || { cat "$file" >&2; die "missing above: $words"; }
    done
}

prepare_namespaces() {
    case $AIVONX_NAMESPACES in
    *net*) ip link set lo up || die "apt-get install iproute2 (or set AIVONX_NAMESPACES to 'mount pid')" ;;
    esac
    case $AIVONX_NAMESPACES in
    *mount*) ;;
    *) skip "mounts are not permitted: the roots have no /proc" ;;
    esac
}

# --- roots --------------------------------------------------------------------------------------------------

# Makes in $1 a root of what dpkg calls essential, the packages named after it, and all they depend on, copied from
# this machine: no mirror is needed, and dpkg in it knows what is installed.
clone_root() {
    local root=$1 wanted
    shift
    mkdir -p "$root"/{dev,etc,proc,run,sys,tmp,root,usr/{bin,sbin,lib,lib32,lib64,libx32},var/{tmp,log,lib/dpkg/info,lib/dpkg/updates,lib/dpkg/triggers}}
    ln -s usr/bin usr/sbin usr/lib usr/lib32 usr/lib64 usr/libx32 "$root/"
    wanted=$(dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Essential}|${Provides}|${Pre-Depends}, ${Depends}\n' |
        awk -F'|' -v named="$*" '
            # A package that is there under this name, with what it is and what it needs.
            function trim(s) { gsub(/[[:space:]]|\([^)]*\)|:[a-z0-9]+/, "", s); return s }
            $1 ~ /^.i/ {
                have[$2] = $2; rest = $0; sub(/^[^|]*\|[^|]*\|[^|]*\|[^|]*\|/, "", rest); needs[$2] = rest
                n = split($4, provided, ","); for (i = 1; i <= n; i++) if (!(trim(provided[i]) in have)) have[trim(provided[i])] = $2
                if ($3 == "yes") named = named " " $2
            }
            END {
                n = split(named, queue, " ")
                for (at = 1; at <= n; at++) {
                    package = have[queue[at]]
                    if (package == "" || seen[package]++) continue
                    print package
                    groups = split(needs[package], group, ",")
                    for (g = 1; g <= groups; g++) {
                        choices = split(group[g], choice, "|")
                        for (c = 1; c <= choices; c++) if (trim(choice[c]) in have) { queue[++n] = trim(choice[c]); break }
                    }
                }
            }')
    # shellcheck disable=SC2086
    dpkg-query -L $wanted | sed -nE 's#^/(bin|sbin|lib|lib32|lib64|libx32)/#/usr/\1/#; \#^/usr/(share/(doc|man|locale|info|lintian)|src|include)/#d; \#^/.#p' |
        sort -u | while IFS= read -r file; do
        if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' ".$file"; fi
    done >"$work/files"
    tar -C / --null --no-recursion -cf - -T "$work/files" 2>/dev/null | tar -C "$root" -xf -
    for name in passwd group; do
        cp "/usr/share/base-passwd/$name.master" "$root/etc/$name"
    done
    sed 's/:.*/:*:20000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
    sed 's/:.*/:*::/' "$root/etc/group" >"$root/etc/gshadow"
    chmod 640 "$root"/etc/{g,}shadow
    # shellcheck disable=SC2086
    dpkg-query -s $wanted >"$root/var/lib/dpkg/status"
    touch "$root/var/lib/dpkg/available"
    for name in $wanted; do
        cp -p /var/lib/dpkg/info/"$name"{,:*}.* "$root/var/lib/dpkg/info/" 2>/dev/null || true
    done
    case $AIVONX_NAMESPACES in
    *mount*)
        mount -t proc proc "$root/proc"
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        ;;
    esac
    mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || touch "$root/dev/null"
    mknod -m 666 "$root/dev/urandom" c 1 9 2>/dev/null || true
}
in_root() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot "$root" "$@"
}
# Every file of the root that a package may have to do with, but for the package manager's own books.
listing() {
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./var/lib/dpkg -o -path ./var/lib/rpm -o \
        -path ./usr/lib/sysimage -o -path ./var/log -o -path ./var/lib/systemd/catalog -o -path ./var/cache/ldconfig -o \
        -path ./etc/.pwd.lock -o -name '*-' -path './etc/*' \) -prune -o -printf '%y %m %U %G %p\n' | sort)
}
# The bytes of everything under the folders named.
sums() {
    (cd "$root" && find "$@" -type f -print0 | sort -z | xargs -0 sha256sum)
}

# --- the daemon ---------------------------------------------------------------------------------------------

# What the unit in the root says of $1, or the last of its drop-ins that says anything.
unit() {
    {
        sed -n "s/^$1=//p" "$root/usr/lib/systemd/system/aivonxd.service"
        sed -sn "s/^$1=//p" "$root"/etc/systemd/system/aivonxd.service.d/*.conf 2>/dev/null || true
    } | tail -n 1
}

# Starts the daemon in the root as the unit says, and waits until it serves. Sets `daemon` and `port`.
start_daemon() {
    local user credentials=/run/credentials/aivonxd.service directory capabilities log=$work/daemon.log
    user=$(unit User)
    # What systemd makes before it starts the program.
    for directory in "var/lib/$(unit StateDirectory) $(unit StateDirectoryMode)" "run/$(unit RuntimeDirectory) $(unit RuntimeDirectoryMode)"; do
        in_root install -d -o "$user" -g "$(unit Group)" -m "${directory#* }" "/${directory% *}"
    done
    # The credentials of a unit, as systemd grants them where the file system knows no access lists.
    in_root install -d -o "$user" -m 0500 "$credentials"
    local credential name source
    for credential in $(sed -n 's/^LoadCredential=//p' "$root"/usr/lib/systemd/system/aivonxd.service "$root"/etc/systemd/system/aivonxd.service.d/*.conf 2>/dev/null); do
        name=${credential%%:*} source=${credential#*:}
        in_root install -o "$user" -m 0400 "$source" "$credentials/$name"
    done
    capabilities=-all$(unit AmbientCapabilities | sed 's/^CAP_/,+/' | tr '[:upper:]' '[:lower:]')
    local limits=(prlimit --nofile="$(unit LimitNOFILE)" --core=0 --)
    "${limits[@]}" true 2>/dev/null || limits=()
    : >"$log"
    "${limits[@]}" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" \
        setpriv --reuid="$user" --regid="$(unit Group)" --clear-groups --no-new-privs \
        --bounding-set="$capabilities" --inh-caps="$capabilities" --ambient-caps="$capabilities" \
        sh -c "umask $(unit UMask); CREDENTIALS_DIRECTORY=$credentials exec $(unit ExecStart)" >"$log" 2>&1 &
    daemon=$!
    echo "$daemon" >>"$work/pids"
    local _
    for _ in $(seq 600); do
        if port=$(grep -o 'the gateway serves.* listen="\?127\.0\.0\.1:[0-9]*' "$log"); then
            port=${port##*:}
            return
        fi
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.1
    done
    cat "$log" >&2
    die "the daemon does not serve"
}
stop_daemon() {
    kill -TERM "$daemon"
    wait "$daemon" || { cat "$work/daemon.log" >&2; die "the daemon did not end well"; }
    # As systemd does.
    rm -rf --one-file-system "$root/run/$(unit RuntimeDirectory)" "$root/run/credentials"
}
stop_all() {
    local pid
    if [ -f "$work/pids" ]; then
        while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done <"$work/pids"
    fi
    case $AIVONX_NAMESPACES in
    *mount*) umount -l "$work"/*/proc "$work"/*/dev 2>/dev/null || true ;;
    esac
}

# GET $1 or, with a body in $2, POST $1, with the key in $key; prints status line, head and body.
ask() {
    exec 9<>"/dev/tcp/127.0.0.1/$port"
    {
        printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n' "$([ $# -gt 1 ] && echo POST || echo GET)" "$1"
        [ -z "${key:-}" ] || printf 'Authorization: Bearer %s\r\n' "$key"
        [ $# -lt 2 ] || printf 'Content-Type: application/json\r\nContent-Length: %s\r\n' "${#2}"
        printf '\r\n%s' "${2:-}"
    } >&9
    timeout 60 cat <&9
    exec 9>&-
}
# Asks and ends the test unless the answer has the status $1.
expect() {
    local status=$1
    shift
    ask "$@" >"$work/answer" || true
    head -n 1 "$work/answer" | grep -q " $status " || { cat "$work/answer" >&2; die "$1 does not answer $status"; }
}

# The model server of the tests. Sets `node`.
start_node() {
    local program=$target/debug/fake-node _
    [ -x "$program" ] || die "$program is not there: cargo build -p aivonx-tests --bins"
    # Made here: the shell of the program may make it later than it is read below.
    : >"$work/node.log"
    "$program" >>"$work/node.log" 2>&1 &
    echo $! >>"$work/pids"
    for _ in $(seq 100); do
        node=$(sed -n 's/^listening on //p' "$work/node.log")
        [ -z "$node" ] || return 0
        sleep 0.1
    done
    die "the fake node does not start"
}

# From a fresh installation to a request served: an administrator, a node, a key in `key`.
set_up() {
    local password="seven quiet lamps under glass"
    expect 200 /health
    expect 503 /api/tags
    in_root aivonx setup --username admin --password-file - --no-totp --profile team <<<"$password" >"$work/said"
    in_root aivonx login --username admin --password-file - <<<"$password" >"$work/said"
    in_root aivonx node add gpu1 "$node" >"$work/said"
    in_root aivonx org add acme >"$work/said"
    in_root aivonx key create ci --org acme --secret-file /root/ci.key >"$work/said"
    key=$(cat "$root/root/ci.key")
}
chat() {
    expect 200 /api/chat '{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}]}'
    holds "$work/answer" '"done":true'
}
