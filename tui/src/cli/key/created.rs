//! A key with its secret: shown once, ready to use.

use std::path::{Path, PathBuf};

use aivonx_protocol::{
    WireSecret,
    client::Client,
    daemon,
    key::{Key, NewSecretKey},
};
use clap::Args;
use serde::Serialize;

use crate::{
    exit::Failure,
    gateway_url::gateway_url,
    render::{Out, text::safe},
    secret_file::SecretFile,
};

/// What `key create` and `key rotate` print as JSON: the key with its secret.
#[derive(Debug, Serialize)]
pub struct Created<'a> {
    #[serde(flatten)]
    key: &'a Key,
    secret: &'a WireSecret,
}

impl<'a> From<&'a NewSecretKey> for Created<'a> {
    fn from(new: &'a NewSecretKey) -> Self {
        Self { key: &new.key, secret: &new.secret }
    }
}

/// Where a new secret goes.
#[derive(Debug, Clone, Default, Args)]
pub struct Secret {
    /// Write the secret to this new file, which only you can read, instead of showing it
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

impl Secret {
    /// The file, made; without one, standard output takes the secret.
    ///
    /// # Errors
    /// See [`SecretFile::create`] and [`Out::check_seen`].
    pub fn place(&self, out: &Out) -> Result<Option<SecretFile>, Failure> {
        match &self.secret_file {
            Some(path) => SecretFile::create("--secret-file", path).map(Some),
            None => out.check_seen().map(|()| None),
        }
    }
}

/// Hands a new secret over: to its file, if it has one, and to `show`, which gets the file's path. A failure before the
/// secret is anywhere goes to `lost`, which says what becomes of what was made.
pub(crate) async fn hand_over<L: Future<Output = Failure>>(
    file: Option<SecretFile>,
    secret: &WireSecret,
    show: impl FnOnce(Option<&Path>) -> Result<(), Failure>,
    lost: impl FnOnce(Failure) -> L,
) -> Result<(), Failure> {
    match file.map(|file| file.write(secret)).transpose() {
        Ok(Some(path)) => show(Some(&path)),
        Ok(None) => match show(None) {
            Ok(()) => Ok(()),
            Err(failure) => Err(lost(failure).await),
        },
        Err(failure) => Err(lost(failure).await),
    }
}

/// The lines printed beside the secret; empty for JSON.
pub(super) async fn about(out: &Out, client: &Client, secret: &WireSecret) -> String {
    // Nobody reads it.
    if out.is_json() { String::new() } else { told(secret.expose(), &base(client).await) }
}

/// Where the secret is.
pub(super) fn in_file(path: &Path) -> String {
    format!("Its secret is in {}.", safe(&path.to_string_lossy()))
}

fn told(secret: &str, base: &str) -> String {
    format!(
        "This is the only time its secret is shown:\n\n  {secret}\n\nUse it, for example:\n\n  \
         export AIVONX_KEY={secret}\n  \
         curl {base}/api/tags -H \"Authorization: Bearer $AIVONX_KEY\"\n\n\
         For clients that cannot send a key: aivonx connect --key-file FILE"
    )
}

/// Base URL of the gateway, as its status reports it.
async fn base(client: &Client) -> String {
    let listen = client.ask(daemon::GetStatus).await.map(|status| status.listen).unwrap_or_default();
    gateway_url(&listen)
}
