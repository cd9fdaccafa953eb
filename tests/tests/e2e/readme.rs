//! The README's commands, run as a newcomer would.
//!
//! A block is run if the line before it is `<!-- test -->`. `sh` blocks are run line by line; of `console`
//! blocks the lines after `$ `, and every line of output shown there must appear in what was printed, in
//! order, where `...` stands for anything. A command that ends with ` &` goes on in the background; the next
//! one starts when it has printed the address it listens on. All blocks share one shell session in the
//! repository's root, with the workspace's binaries first in PATH, and with these replaced: `cargo run
//! --release --bin NAME --` by NAME, 127.0.0.1:11434 and :11436 by fake nodes with the models llama3.2 and
//! qwen3:8b, 127.0.0.1:11435 by the address the daemon chose.

use std::{path::PathBuf, process::Stdio};

use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::binary,
    within,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A command and the output shown for it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    output: Vec<String>,
}

/// The runnable commands of a document.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        if line != "<!-- test -->" {
            continue;
        }
        let fence = lines.next().unwrap_or_default();
        let console = match fence {
            "```console" => true,
            "```sh" => false,
            _ => panic!("<!-- test --> stands before {fence:?}, not before ```sh or ```console"),
        };
        let mut continued = false;
        for line in lines.by_ref().take_while(|l| *l != "```") {
            let command = if continued || !console { Some(line) } else { line.strip_prefix("$ ") };
            match (command, steps.last_mut()) {
                (Some(more), Some(last)) if continued => {
                    last.command.push('\n');
                    last.command.push_str(more);
                }
                (Some(command), _) if command.is_empty() || command.starts_with('#') => {}
                (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
                (None, Some(last)) => last.output.push(line.to_owned()),
                (None, None) => panic!("output before the first command: {line}"),
            }
            continued = command.is_some_and(|c| c.ends_with('\\'));
        }
    }
    steps
}

/// Whether the lines shown appear in what was printed, in order; `...` stands for anything.
fn shown_in(shown: &[String], printed: &str) -> Result<(), String> {
    let mut rest = printed;
    for line in shown.iter().map(|l| l.trim()).filter(|l| !l.is_empty()) {
        for part in line.split("...").map(str::trim).filter(|p| !p.is_empty()) {
            // Columns move with what stands in them: only the words count.
            let words: Vec<String> = part.split_whitespace().map(regex::escape).collect();
            let pattern = regex::Regex::new(&words.join(r"\s+")).expect("escaped words");
            match pattern.find(rest) {
                Some(found) => rest = &rest[found.end()..],
                None => return Err(format!("{part:?} is shown, but not printed (any more) in {printed:?}")),
            }
        }
    }
    Ok(())
}

/// One shell for all commands, so that `export` and `cd` last.
struct Shell {
    child: Child,
    /// Closed, it ends the shell, which then ends what runs in the background.
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    fn start(folder: &std::path::Path) -> Self {
        let bin = binary("aivonxd").parent().expect("a file lies in a folder").to_owned();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut child = Command::new("bash")
            .arg("-c")
            .arg("exec 2>&1; set -m; trap 'kill $(jobs -p) 2>/dev/null' EXIT; while IFS= read -r -d '' c; do eval \"$c\"; done")
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder)
            .env("XDG_STATE_HOME", folder)
            .env("NO_COLOR", "1")
            .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let stdin = Some(child.stdin.take().expect("piped"));
        let stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, stdin, stdout }
    }

    /// Runs a command; returns what it printed and its status. A background command's output is read up to
    /// the line `until`.
    async fn run(&mut self, command: &str, until: Option<&str>) -> (String, i32) {
        let marked = match until {
            Some(_) => format!("{command}\0"),
            None => format!("{command}\necho \"@@done $?\"\0"),
        };
        let stdin = self.stdin.as_mut().expect("closed only at the end");
        stdin.write_all(marked.as_bytes()).await.expect("bash reads");
        let mut printed = String::new();
        loop {
            let line = within(command, self.stdout.next_line()).await.expect("bash writes");
            let line = line.unwrap_or_else(|| panic!("the shell ended in {command:?}: {printed}"));
            if let Some((before, status)) = line.split_once("@@done ") {
                printed.push_str(before);
                return (printed, status.parse().expect("a status"));
            }
            printed.push_str(&line);
            printed.push('\n');
            if until.is_some_and(|u| line == u) {
                return (printed, 0);
            }
        }
    }
}

impl Drop for Shell {
    /// On every path, failing ones too: a daemon left behind would outlive the test.
    fn drop(&mut self) {
        self.stdin = None;
        for _ in 0..1000 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.child.start_kill().ok();
    }
}

#[tokio::test]
async fn the_readmes_commands_work() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("README.md")).expect("a README");
    let steps = steps(&text);
    assert!(steps.len() > 5, "the README's commands are marked with <!-- test -->");
    let node = FakeNode::start(Kind::Ollama, &["llama3.2:latest", "qwen3:8b"]).await;
    let second = FakeNode::start(Kind::Ollama, &["llama3.2:latest", "qwen3:8b"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Shell::start(folder.path());
    let mut gateway = "127.0.0.1:11435".to_owned();
    let run = regex::Regex::new(r"cargo run (?:--release |-q )*--bin (\w+)(?: --)?").unwrap();
    let address = regex::Regex::new(r"listening on http://(127\.0\.0\.1:\d+)").unwrap();
    for step in steps {
        let mut command = run.replace_all(&step.command, "$1").into_owned();
        let with_addresses = |text: &str, gateway: &str| {
            text.replace("127.0.0.1:11434", &node.address().to_string())
                .replace("127.0.0.1:11436", &second.address().to_string())
                .replace("127.0.0.1:11435", gateway)
        };
        command = with_addresses(&command, &gateway);
        let daemon = command.contains("aivonxd dev");
        if daemon {
            if !command.contains("--listen") {
                command = command.replace("aivonxd dev", "aivonxd dev --listen 127.0.0.1:0");
            } else {
                command = command.replace(&gateway, "127.0.0.1:0");
            }
            if !command.contains("--node") {
                command = format!("OLLAMA_HOST={} {command}", node.address());
            }
            if !command.trim_end().ends_with('&') {
                command.push_str(" &");
            }
        }
        // The greeting's last part says what to try.
        let (printed, status) = shell.run(&command, daemon.then_some("try")).await;
        if daemon {
            gateway = address.captures(&printed).expect("an address")[1].to_owned();
        }
        assert_eq!(status, 0, "{}\n{printed}", step.command);
        let shown: Vec<String> = step.output.iter().map(|line| with_addresses(line, &gateway)).collect();
        let mut seen = shown_in(&shown, &printed);
        if seen.is_err() && command.starts_with("aivonx logs") {
            // The log gets a request a moment after its client gets the answer: asked again, it has it.
            let asked = within(&command, async {
                while seen.is_err() {
                    tokio::task::yield_now().await;
                    seen = shown_in(&shown, &shell.run(&command, None).await.0);
                }
            });
            asked.await;
        }
        seen.unwrap_or_else(|e| panic!("{}: {e}", step.command));
    }
}

#[test]
fn steps_are_found_and_compared() {
    let text = "# x\n```sh\nnot run\n```\n<!-- test -->\n```console\n$ a \\\n  b\nout 1\n...\n$ c\n```\n<!-- test -->\n```sh\n# no\nd &\n```\n";
    let found = steps(text);
    let commands: Vec<&str> = found.iter().map(|s| s.command.as_str()).collect();
    assert_eq!(commands, ["a \\\n  b", "c", "d &"]);
    assert_eq!(found[0].output, ["out 1", "..."]);
    let lines = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(shown_in(&lines(&["a  1", "...", "b ... d"]), "x\na 1\nq\nb c d\n"), Ok(()));
    assert!(shown_in(&lines(&["b", "a"]), "a\nb\n").is_err());
}
