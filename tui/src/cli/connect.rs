//! `aivonx connect`: for clients that cannot send a key.

use std::{
    fs::File,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use http::HeaderValue;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use crate::{
    exit::Failure,
    forward::{self, Upstream, UpstreamError},
    input,
    render::out::note,
};

/// `connect`
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// File with the key, which only you can read (- is standard input)
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// The gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:11435")]
    pub to: String,
    /// An authority, in a PEM file, that signed its certificate, beside those of the system
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Where clients connect to: a loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:11434")]
    pub listen: SocketAddr,
}

/// What `connect` prints as JSON when it is ready.
#[derive(Debug, Clone, Serialize)]
pub struct Forwarding {
    /// URL for clients.
    pub listen: String,
    /// URL of the gateway.
    pub to: String,
}

/// Forwards until a signal ends it.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: ConnectArgs) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(Failure::usage(format!("--listen {}: is no loopback address", args.listen))
            .with_hint("Whoever can connect there uses your key: only programs of this machine may."));
    }
    let key = key(&args.key_file)?;
    let upstream = Upstream::trusting(&args.to, args.ca.as_deref()).map_err(|error| match error {
        UpstreamError::Url(_) => Failure::usage(format!("--to: {error}")),
        other => Failure::failed(other.to_string()),
    })?;
    // Before the first line is printed, so that a script that waits for the line can send signals.
    let mut signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listener = forward::bind(args.listen).await.map_err(|error| {
        Failure::failed(format!("cannot listen on {}: {error}", args.listen))
            .with_hint("Is Ollama running there? Name another address: --listen 127.0.0.1:PORT")
    })?;
    let address = listener.local_addr()?;
    if upstream.is_exposed() {
        note(format_args!("The key goes to {} unencrypted; use https:// if it can.", upstream.name));
    }
    let ready = Forwarding { listen: format!("http://{address}"), to: upstream.name.clone() };
    if context.out.is_json() {
        context.out.json_line(&ready)?;
    } else {
        context.out.line(format_args!(
            "{} leads to {} with your key. Ctrl-C ends it.\nFor example, in another terminal: \
             OLLAMA_HOST={address} ollama list",
            ready.listen, ready.to
        ))?;
    }
    // A reader in a pipe waits for it.
    context.out.raw("")?;
    tokio::select! {
        () = forward::serve(listener, Arc::new(upstream), key) => {}
        _ = signals.0.recv() => {}
        _ = signals.1.recv() => {}
    }
    Ok(())
}

/// The key as the header that carries it.
fn key(file: &Path) -> Result<HeaderValue, Failure> {
    if file != Path::new("-") {
        private(file)?;
    }
    let key = input::secret("--key-file", file)?;
    let unusable = || {
        Failure::failed(format!("--key-file {}: holds no key", file.display()))
            .with_hint("It has to hold the secret alone, on one line, as `aivonx key create` shows it.")
    };
    let text = key.expose();
    if text.is_empty() || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(unusable());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Refuses a file that others can read. What cannot be looked at is refused when it is read.
fn private(file: &Path) -> Result<(), Failure> {
    let Ok(found) = File::open(file).and_then(|file| file.metadata()) else { return Ok(()) };
    if found.is_file() && found.mode() & 0o077 != 0 {
        return Err(Failure::NotPermitted {
            message: format!(
                "--key-file {}: is open to others (mode {:04o})",
                file.display(),
                found.mode() & 0o7777
            ),
            hint: Some(format!("Close it: chmod 600 {}", file.display())),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_key_is_read_from_a_private_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let with = |text: &str, mode: u32| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            key(&file).map_err(|failure| failure.to_string())
        };
        let value = with("aivx_abc\n", 0o600).unwrap();
        assert_eq!((value.as_bytes(), value.is_sensitive()), (b"Bearer aivx_abc".as_slice(), true));
        assert!(with("aivx_abc", 0o400).is_ok());
        for mode in [0o640, 0o604] {
            assert!(with("aivx_abc", mode).unwrap_err().contains("chmod 600"));
        }
        for text in ["two\nlines", "with blank", "é", "export AIVONX_KEY=aivx x"] {
            assert!(with(text, 0o600).unwrap_err().contains("holds no key"), "{text}");
        }
        assert!(with("", 0o600).unwrap_err().contains("is empty"));
    }
}
