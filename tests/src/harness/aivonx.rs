//! The real `aivonx`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::process::{Child, Command};

use super::binary;
use crate::within;

/// The command line, pointed at one control socket.
#[derive(Debug, Clone)]
pub struct Aivonx {
    socket: PathBuf,
    token: Option<String>,
    home: Option<PathBuf>,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it wrote on standard output.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
}

impl Aivonx {
    /// Pointed at `socket`.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), token: None, home: None }
    }

    /// Using this control token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Keeping its session under this directory, and using no token.
    #[must_use]
    pub fn home(mut self, home: &Path) -> Self {
        (self.home, self.token) = (Some(home.to_owned()), None);
        self
    }

    /// The command, ready to start.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("aivonx"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("AIVONX_SOCKET", &self.socket)
            .env("NO_COLOR", "1")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(token) = &self.token {
            command.env("AIVONX_TOKEN", token);
        }
        if let Some(home) = &self.home {
            command.env("HOME", home);
        }
        command
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let what = format!("aivonx {}", arguments.join(" "));
        let output = within(&what, self.command(arguments).output()).await.expect("aivonx starts");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it with `input` on standard input.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self.start(arguments, Stdio::piped());
        let mut stdin = child.stdin.take().expect("piped");
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await.ok();
        drop(stdin);
        let output = within("aivonx", child.wait_with_output()).await.expect("aivonx starts");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it.
    #[must_use]
    pub fn start(&self, arguments: &[&str], stdin: Stdio) -> Child {
        self.command(arguments).stdin(stdin).spawn().expect("aivonx starts")
    }

    /// Runs it and demands success.
    pub async fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments).await;
        assert_eq!(ran.code, 0, "aivonx {}: {}{}", arguments.join(" "), ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs it with `--output json`, demands success and reads the answer.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        let text = self.ok(&all).await;
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("aivonx {}: {e} in {text:?}", all.join(" ")))
    }
}
