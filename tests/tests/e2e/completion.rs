//! Completion in the real shells, with names from the real daemon.

use std::{
    path::Path,
    process::{Command, Output},
    time::Instant,
};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, binary},
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/completions");

/// Loads aivonx.bash and asks it as readline would: the words taken apart at `:` and `=`, as `COMP_WORDBREAKS` says.
const BASH: &str = r#"
    set -u
    source "$SCRIPTS/aivonx.bash"
    COMP_LINE="$LINE" COMP_POINT=${#LINE} COMP_WORDS=() COMP_CWORD=0
    COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
    rest="$LINE"
    while [ -n "$rest" ]; do
        [[ "$rest" =~ ^[[:space:]]+ ]] && rest="${rest#"${BASH_REMATCH[0]}"}"
        if [[ "$rest" =~ ^[:=]+ ]] || [[ "$rest" =~ ^[^[:space:]:=]+ ]]; then
            COMP_WORDS+=("${BASH_REMATCH[0]}")
            rest="${rest#"${BASH_REMATCH[0]}"}"
        fi
    done
    [[ "$LINE" == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _aivonx
    printf '%s\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
"#;

/// zsh completes in a terminal only; it is given one, and a key that says what has become of the line.
const ZSH: &str = r#"
    zmodload zsh/zpty || exit 77
    zpty z zsh -f -i
    zpty -w z 'PS1= ; fpath=($SCRIPTS $fpath); autoload -Uz compinit; compinit -u -D'
    zpty -w z 'say() { print -r -- "@""@$BUFFER@""@"; BUFFER=""; zle accept-line }; zle -N say; bindkey "^X" say'
    zpty -w z 'print -r -- READ""Y'
    while zpty -r z line; do [[ "$line" == *READY* ]] && break; done
    zpty -w -n z "$LINE"$'\t'$'\x18'
    while zpty -r z line; do [[ "$line" == *@@*@@* ]] && break; done
    print -r -- "$line"
    zpty -d z
"#;

struct Shell<'a> {
    socket: &'a Path,
    home: &'a Path,
}

impl Shell<'_> {
    fn run(&self, program: &str, script: &str, line: &str) -> Option<Output> {
        let bins = binary("aivonx");
        let path = std::env::var("PATH").unwrap_or_default();
        // A shell that waits for its terminal for ever must not hold up the tests.
        let ran = Command::new("timeout")
            .args(["60", program, "-c"])
            .arg(script)
            .env_clear()
            .env("PATH", format!("{}:{path}", bins.parent().unwrap().display()))
            .env("HOME", self.home)
            .env("XDG_CONFIG_HOME", self.home)
            .env("TERM", "dumb")
            .env("AIVONX_SOCKET", self.socket)
            .env("SCRIPTS", SCRIPTS)
            .env("LINE", line)
            .current_dir(self.home)
            .output()
            .unwrap();
        // 127: there is no such program; 77: not with what we need.
        (!matches!(ran.status.code(), Some(77 | 127))).then_some(ran)
    }

    /// What the shell says, a candidate a line; None if it is not here.
    fn said(&self, program: &str, script: &str, line: &str) -> Option<Vec<String>> {
        let ran = self.run(program, script, line)?;
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert!(stderr.is_empty(), "{program}: {line:?}: {stderr}");
        let text = String::from_utf8(ran.stdout).unwrap();
        Some(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn bash(&self, line: &str) -> Vec<String> {
        self.said("bash", BASH, line).expect("bash is everywhere")
    }

    fn fish(&self, line: &str) -> Option<Vec<String>> {
        let found = self.said("fish", r#"source "$SCRIPTS/aivonx.fish"; complete -C "$LINE""#, line)?;
        Some(found.iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect())
    }

    /// The line as zsh left it.
    fn zsh(&self, line: &str) -> Option<String> {
        let said = self.said("zsh", ZSH, line)?.join("");
        Some(said.split("@@").nth(1).unwrap_or_else(|| panic!("zsh: {line:?}: {said:?}")).to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_know_verbs_and_the_daemons_names() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    aivonx.ok(&["org", "add", "zeta"]).await;
    aivonx.ok(&["key", "create", "ci-key", "--org", "acme"]).await;
    let password = daemon.folder().join("password");
    std::fs::write(&password, "seven quiet lamps under glass\n").unwrap();
    std::os::unix::fs::chown(&password, None, None).unwrap();
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = password.to_str().unwrap();
    aivonx.ok(&["user", "add", "alice", "--org", "acme", "--password-file", file]).await;

    let home = tempfile::tempdir().unwrap();
    let shell = Shell { socket: daemon.socket(), home: home.path() };
    for (line, want) in [
        ("aivonx node dr", "drain"),
        ("aivonx node show ", "node1"),
        ("aivonx node show no", "node1"),
        ("aivonx logs --node n", "node1"),
        ("aivonx key show --org acme ci", "ci-key"),
        ("aivonx user show ali", "alice"),
        ("aivonx key list --org ac", "acme"),
        ("aivonx strategy set lea", "least_active"),
    ] {
        assert_eq!(shell.bash(line), [want], "bash: {line:?}");
        if let Some(found) = shell.fish(line) {
            assert_eq!(found, [want], "fish: {line:?}");
        }
    }
    // bash is given what stands behind the last place at which it takes words apart.
    assert_eq!(shell.bash("aivonx model show m:la"), ["latest"]);
    assert_eq!(shell.bash("aivonx model show m:"), ["latest"]);
    assert_eq!(shell.bash("aivonx logs --node=no"), ["node1"]);
    assert_eq!(shell.bash("aivonx key list --org "), ["acme", "zeta"]);
    match shell.zsh("aivonx model show m:la") {
        Some(line) => {
            assert_eq!(line.trim_end(), "aivonx model show m:latest");
            assert_eq!(shell.zsh("aivonx node show no").unwrap().trim_end(), "aivonx node show node1");
            assert_eq!(shell.zsh("aivonx logs --node=no").unwrap().trim_end(), "aivonx logs --node=node1");
        }
        None => eprintln!("SKIPPED for zsh: it is not here"),
    }
    if shell.fish("aivonx ").is_none() {
        eprintln!("SKIPPED for fish: it is not here");
    }
    // A file's name is completed as anywhere.
    std::fs::write(home.path().join("ci.key"), "").unwrap();
    assert_eq!(shell.bash("aivonx connect --key-file ci"), ["ci.key"]);
}

/// Nothing is printed and nobody waits if the daemon is away, stands still, or wants a login.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_nothing_is_said() {
    let home = tempfile::tempdir().unwrap();
    let away = home.path().join("away.sock");
    let still = home.path().join("still.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&still).unwrap();
    let closed = Daemon::builder().config("").not_set_up().start_any().await;
    for socket in [&*away, &*still, closed.socket()] {
        let shell = Shell { socket, home: home.path() };
        let began = Instant::now();
        assert_eq!(shell.bash("aivonx node show n"), Vec::<String>::new());
        // Far more than the time it allows the daemon, for a machine that is busy.
        assert!(began.elapsed().as_secs() < 20, "{:?} for {}", began.elapsed(), socket.display());
        assert_eq!(shell.bash("aivonx node dr"), ["drain"]);
        if let Some(found) = shell.fish("aivonx node show n") {
            assert_eq!(found, Vec::<String>::new());
        }
    }
}
