//! A key with its secret: shown once, ready to use.

use std::net::SocketAddr;

use aivonx_protocol::{
    WireSecret,
    client::Client,
    key::{Key, NewSecretKey},
};
use serde::Serialize;

use crate::{exit::Failure, render::Out};

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

pub(super) fn show(out: &mut Out, made: &NewSecretKey, base: &str) -> Result<(), Failure> {
    let secret = made.secret.expose();
    out.line("This is the only time its secret is shown:\n")?;
    out.line(format_args!("  {secret}\n"))?;
    out.line("Use it, for example:\n")?;
    out.line(format_args!("  export AIVONX_KEY={secret}"))?;
    out.line(format_args!("  curl {base}/api/tags -H \"Authorization: Bearer $AIVONX_KEY\"\n"))?;
    out.line("For clients that cannot send a key: aivonx connect --key-file FILE")
}

/// Where the gateway can be reached from here, as well as its status tells.
pub(super) async fn base(client: &Client) -> String {
    let listen = client.status().await.map(|status| status.listen).unwrap_or_default();
    url(&listen)
}

fn url(listen: &[String]) -> String {
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
