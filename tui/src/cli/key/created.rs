//! A key with its secret: shown once, ready to use.

use std::{net::SocketAddr, path::PathBuf};

use aivonx_protocol::{
    WireSecret,
    client::Client,
    key::{Key, NewSecretKey},
};
use clap::Args;
use serde::Serialize;

use super::super::Context;
use crate::{exit::Failure, render::text::safe, secret_file::SecretFile};

/// Where a gateway listens unless told otherwise.
const BASE: &str = "http://127.0.0.1:11435";

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
    /// The file, made.
    ///
    /// # Errors
    /// See [`SecretFile::create`].
    pub fn file(&self) -> Result<Option<SecretFile>, Failure> {
        self.secret_file.as_ref().map(|path| SecretFile::create("--secret-file", path)).transpose()
    }
}

/// Writes the secret to its file, if there is one; what to tell people about it.
pub(super) async fn keep(
    context: &Context,
    client: &Client,
    file: Option<SecretFile>,
    made: &NewSecretKey,
) -> Result<String, Failure> {
    let told = match file {
        Some(file) => {
            let told = format!("Its secret is in {}.", safe(&file.path().to_string_lossy()));
            file.write(&made.secret)?;
            told
        }
        // Nobody reads it.
        None if context.out.is_json() => String::new(),
        None => told(made.secret.expose(), &base(client).await),
    };
    Ok(told)
}

fn told(secret: &str, base: &str) -> String {
    format!(
        "This is the only time its secret is shown:\n\n  {secret}\n\nUse it, for example:\n\n  \
         export AIVONX_KEY={secret}\n  \
         curl {base}/api/tags -H \"Authorization: Bearer $AIVONX_KEY\"\n\n\
         For clients that cannot send a key: aivonx connect --key-file FILE"
    )
}

/// Where the gateway can be reached from here, as well as its status tells.
async fn base(client: &Client) -> String {
    let listen = client.status().await.map(|status| status.listen).unwrap_or_default();
    url(&listen)
}

/// The address to reach a gateway at that listens there.
pub(crate) fn url(listen: &[String]) -> String {
    let address = listen.iter().find_map(|text| text.parse::<SocketAddr>().ok());
    address.map_or_else(
        || BASE.to_owned(),
        |mut address| {
            if address.ip().is_unspecified() {
                address.set_ip(if address.is_ipv4() {
                    [127, 0, 0, 1].into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            format!("http://{address}")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_works_from_here() {
        let of = |listen: &[&str]| url(&listen.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), BASE);
        assert_eq!(of(&["0.0.0.0:8080", "10.0.0.1:1"]), "http://127.0.0.1:8080");
        assert_eq!(of(&["[::]:8080"]), "http://[::1]:8080");
        assert_eq!(of(&["elsewhere", "10.0.0.1:80"]), "http://10.0.0.1:80");
    }
}
