//! Sends a client to HTTPS.

use std::net::Ipv6Addr;

use http::{HeaderValue, StatusCode, Uri, header};

use super::{
    answer::{self, Answer},
    error_response::Refusal,
    host::HostError,
    listener::HTTPS,
};

/// What stands in the answer for people.
const TEXT: &str = "this gateway is reached over HTTPS\n";

/// The answer to a request for `host`: the same at `port` over HTTPS. 308, so that method and body stay.
pub(super) fn answer(port: u16, host: Option<&str>, uri: &Uri) -> Result<Answer, Refusal> {
    let host = host.ok_or(HostError::Missing)?;
    let location = location(port, host, uri.path_and_query().map_or("/", |path| path.as_str()));
    let location = HeaderValue::try_from(location).map_err(|_| HostError::Unreadable)?;
    let mut answer = answer::text(StatusCode::PERMANENT_REDIRECT, TEXT);
    answer.headers_mut().insert(header::LOCATION, location);
    Ok(answer)
}

fn location(port: u16, host: &str, path: &str) -> String {
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    };
    // `OPTIONS *` has no path.
    let path = if path.starts_with('/') { path } else { "/" };
    if port == HTTPS { format!("https://{host}{path}") } else { format!("https://{host}:{port}{path}") }
}

#[cfg(test)]
mod tests {
    use super::location;

    #[test]
    fn the_same_is_asked_for_over_https() {
        for (port, host, path, is) in [
            (443, "gw.example", "/v1/models?a=b", "https://gw.example/v1/models?a=b"),
            (8443, "gw.example", "//evil.example/", "https://gw.example:8443//evil.example/"),
            (443, "::1", "/", "https://[::1]/"),
            (443, "gw.example", "*", "https://gw.example/"),
        ] {
            assert_eq!(location(port, host, path), is);
        }
    }
}
