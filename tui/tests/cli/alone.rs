//! The real binary with no daemon: help, usage, and what it says when nobody answers.

use std::{fs, os::unix::net::UnixListener};

use super::server::{aivonx, run};
use aivonx_tui::cli::Cli;
use clap::{Command, CommandFactory as _};

#[test]
fn nobody_answers() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    for line in ["", "status", "node list --output json", "logs -f", "model pull m"] {
        let mut command = aivonx(line);
        command.arg("--socket").arg(&socket);
        let ran = run(command, "");
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{line}: {ran:?}");
        assert!(ran.err.contains(socket.to_str().unwrap()) && ran.err.contains("aivonxd dev"), "{}", ran.err);
    }
}

#[test]
fn every_socket_tried_is_named_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("aivonx");
    fs::create_dir(&state).unwrap();
    drop(UnixListener::bind(state.join("control.sock")).unwrap());
    if fs::exists("/run/aivonx/control.sock").unwrap_or(true) {
        eprintln!("skipped: this machine runs an aivonxd of its own");
        return;
    }
    let mut command = aivonx("status");
    command.env("XDG_STATE_HOME", dir.path());
    let ran = run(command, "");
    assert_eq!(ran.code, Some(3));
    let shown = ran.err.replace(dir.path().to_str().unwrap(), "STATE");
    insta::assert_snapshot!(shown, @r"
    aivonx: no daemon is reachable. Tried:
      /run/aivonx/control.sock: there is no such socket
      STATE/aivonx/control.sock: nobody listens on it: the daemon does not run
    Start one:          sudo systemctl start aivonxd, or without root: aivonxd dev
    Or name its socket: aivonx --socket DIR/control.sock ... (or AIVONX_SOCKET)
    ");
}

#[test]
fn wrong_usage_is_two() {
    for line in [
        "frobnicate",
        "node",
        "node add gpu1",
        "node add gpu1 http://x --max-parallel many",
        "node set gpu1",
        // What is kept beside the record has no revision.
        "node set gpu1 --third-party --revision 3",
        "node set gpu1 --models-at-once 2 --max-parallel 4 --revision 3",
        "key set work --priority high --revision 3",
        "key set work --no-keep-waiting --revision 3",
        "key set work --no-certificate --revision 3",
        "key set work --no-certificate --certificate ci.example",
        "node add gpu1 http://x --bearer secret",
        "node add gpu1 http://x --basic-user ann",
        "node drain gpu1 --timeout 5s",
        "strategy set fastest",
        "logs --since tomorrow",
        "logs --grep (",
        "logs --level loud",
        "status --output yaml",
        "audit export --out -",
    ] {
        let ran = run(aivonx(line), "");
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{line}: {ran:?}");
        assert!(!ran.err.is_empty(), "{line}");
    }
}

/// A socket in the environment is nobody's mistake.
#[test]
fn usage_shows_what_is_missing_alone() {
    let mut command = aivonx("node show");
    command.env("AIVONX_SOCKET", "/nonexistent/control.sock");
    let ran = run(command, "");
    assert!(ran.err.contains("Usage: aivonx node show <NODE>"), "{}", ran.err);
}

#[test]
fn an_unreadable_secret_never_reaches_for_the_daemon() {
    let ran = run(aivonx("node add a http://x --bearer-file /nonexistent/token"), "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("--bearer-file /nonexistent/token: cannot be read"), "{}", ran.err);
}

#[test]
fn every_verb_explains_itself() {
    fn visit(command: &Command, words: &[&str], seen: &mut usize) {
        let ran = run(aivonx(&format!("{} --help", words.join(" "))), "");
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words:?}: {ran:?}");
        assert!(ran.out.contains("Usage: aivonx"), "{words:?}: {}", ran.out);
        let widest = ran.out.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 100, "{words:?}: {}", ran.out);
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            assert!(arg.get_help().is_some(), "{words:?}: {} has no help", arg.get_id());
        }
        *seen += 1;
        for inner in command.get_subcommands() {
            assert!(inner.get_about().is_some(), "{words:?} {} has no help", inner.get_name());
            visit(inner, &[words, &[inner.get_name()]].concat(), seen);
        }
    }
    let mut seen = 0;
    visit(&Cli::command(), &[], &mut seen);
    assert!(seen > 25, "{seen}");
}

#[test]
fn the_version_is_the_packages() {
    let ran = run(aivonx("--version"), "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), concat!("aivonx ", env!("CARGO_PKG_VERSION"), "\n")));
}
