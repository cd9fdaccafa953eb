//! `aivonx check --probe`: how a gateway looks from outside.

use std::{error::Error, io, iter, path::Path};

use aivonx_protocol::{check::max_age, secrets::Check};
use http::{HeaderMap, StatusCode, header, response::Parts};
use rustls::{AlertDescription, CertificateError};

use crate::{
    exit::Failure,
    forward::{Upstream, UpstreamError},
};

/// The steps in which `Strict-Transport-Security` is raised, seconds: each is held until nothing breaks.
const HSTS: [u64; 4] = [300, 86_400, 2_592_000, 31_536_000];

/// Fields for browsers that every answer has.
const FIELDS: [&str; 5] = [
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "permissions-policy",
    "content-security-policy",
];

/// Looks at the gateway at `url`.
///
/// # Errors
/// If `url` or `ca` cannot be used.
pub(super) async fn run(url: &str, ca: Option<&Path>) -> Result<Vec<Check>, Failure> {
    let upstream = Upstream::trusting(url, ca).map_err(|error| match error {
        UpstreamError::Url(_) => Failure::usage(format!("--probe: {error}")),
        other => Failure::failed(other.to_string()),
    })?;
    let health = match upstream.head_of("/health").await {
        Ok(health) => health,
        Err(error) => return Ok(vec![unreachable(&upstream, &error)]),
    };
    // So a listener with TLS answers what is said to it in plain.
    if !upstream.is_secure() && health.status == StatusCode::BAD_REQUEST {
        let finding = format!("{}: plain HTTP is refused there with 400", upstream.name);
        return Ok(vec![Check::fail("connection", finding, with_tls(&upstream))]);
    }
    let mut checks = Vec::new();
    if upstream.is_secure() {
        checks.push(Check::ok("tls", "the certificate is trusted and for this name"));
        checks.push(hsts(&health.headers));
        checks.push(plain_port(&upstream).await);
    } else {
        checks.push(redirect(&health, !upstream.is_exposed()));
    }
    checks.extend(FIELDS.map(|name| field(&health.headers, name)));
    checks.push(server(&health.headers));
    if let Ok(list) = upstream.head_of("/api/tags").await {
        checks.push(access(list.status.as_u16()));
    }
    Ok(checks)
}

const CLOSED: &str = "the connection was closed before an answer";

/// The error, and those that it comes from, the innermost last.
fn causes(error: &io::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        match error.downcast_ref::<io::Error>() {
            // Its `source` passes over the error that it holds.
            Some(error) => error.get_ref().map(|held| held as &(dyn Error + 'static)),
            None => error.source(),
        }
    }

    let first: &(dyn Error + 'static) = error;
    iter::successors(Some(first), |error| cause(*error))
}

/// Why there is no answer, in one line, and what helps.
fn unreachable(upstream: &Upstream, error: &io::Error) -> Check {
    let (name, host) = (&upstream.name, upstream.host_name());
    let (what, fix) = match causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => certificate(why, host),
        Some(rustls::Error::InvalidMessage(_)) => (
            "what answers there does not speak TLS".to_owned(),
            format!(
                "give its address as {}, or the port of a listener with TLS",
                name.replacen("https", "http", 1)
            ),
        ),
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => (
            "a client certificate is required there".to_owned(),
            "give the address of a listener that does not require one".to_owned(),
        ),
        Some(why) => (
            format!("there is no TLS connection: {why}"),
            "the gateway's log may say why: aivonx logs".to_owned(),
        ),
        None => {
            let http = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
            // The innermost is what the system said.
            let system = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
            let kind = system.unwrap_or(error).kind();
            let what = match kind {
                io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
                io::ErrorKind::TimedOut => "there was no answer in time".to_owned(),
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::NotConnected
                | io::ErrorKind::BrokenPipe => CLOSED.to_owned(),
                _ if http.is_some_and(|e| e.is_incomplete_message() || e.is_closed() || e.is_canceled()) => {
                    CLOSED.to_owned()
                }
                _ if http.is_some() => "what answers there is no HTTP".to_owned(),
                _ => error.to_string(),
            };
            let fix = if upstream.is_secure() || kind == io::ErrorKind::ConnectionRefused {
                "see aivonx status for where it listens".to_owned()
            } else {
                with_tls(upstream)
            };
            (what, fix)
        }
    };
    Check::fail(if upstream.is_secure() { "tls" } else { "connection" }, format!("{name}: {what}"), fix)
}

fn with_tls(upstream: &Upstream) -> String {
    format!("if it speaks TLS, give {}", upstream.name.replacen("http", "https", 1))
}

/// What is wrong with the certificate that was shown for `host`.
fn certificate(why: &CertificateError, host: &str) -> (String, String) {
    use CertificateError as E;
    match why {
        E::Expired | E::ExpiredContext { .. } => {
            ("its certificate has expired".to_owned(), "renew it: aivonx-security(7)".to_owned())
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            ("its certificate is not valid yet".to_owned(), "set the clocks of both machines".to_owned())
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => (
            format!("its certificate is not for {host}"),
            format!("give a name that it is for, or have one issued for {host} too"),
        ),
        E::UnknownIssuer => (
            "nobody here trusts the authority that signed its certificate".to_owned(),
            "name that authority: --ca FILE".to_owned(),
        ),
        // The one that is named has the same name and another key.
        E::BadSignature => (
            "its certificate was issued by another authority than --ca names".to_owned(),
            "name the authority that issued it: --ca FILE".to_owned(),
        ),
        other => (format!("its certificate cannot be used: {other}"), "have another one issued".to_owned()),
    }
}

fn hsts(headers: &HeaderMap) -> Check {
    const NAME: &str = "strict-transport-security";
    let all: Vec<&str> = headers.get_all(NAME).iter().filter_map(|value| value.to_str().ok()).collect();
    let set = |step: u64| {
        format!("set headers.hsts = \"max-age={step}; includeSubDomains\", and wait until nothing breaks")
    };
    let [value] = all[..] else {
        let finding = format!("it is there {} times", all.len());
        return Check::fail(NAME, finding, set(HSTS[0]));
    };
    let age = max_age(value).unwrap_or_default();
    match HSTS.into_iter().find(|step| *step > age) {
        None => Check::ok(NAME, format!("{value}: the last step")),
        Some(next) => Check::warn(NAME, format!("{value}; the next step is {next}"), set(next)),
    }
}

/// What a browser finds that was given the name without `https://`.
async fn plain_port(upstream: &Upstream) -> Check {
    let host = upstream.host_name();
    let url = if host.contains(':') { format!("http://[{host}]") } else { format!("http://{host}") };
    match Upstream::new(&url) {
        Ok(plain) => match plain.head_of("/health").await {
            Ok(answer) => redirect(&answer, false),
            Err(_) => Check::ok("redirect", "nothing answers without TLS on port 80"),
        },
        Err(error) => Check::warn("redirect", error, "see aivonxd.toml(5), listen.redirect"),
    }
}

/// Whether an answer over plain HTTP sends clients to HTTPS. `here` is whether only this machine reaches it.
fn redirect(answer: &Parts, here: bool) -> Check {
    const NAME: &str = "redirect";
    let target =
        answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = answer.status.as_u16();
    if status == 308 && target.starts_with("https://") {
        return Check::ok(NAME, format!("plain HTTP is sent to {target}"));
    }
    if here {
        return Check::ok(NAME, "plain HTTP, on this machine alone");
    }
    Check::fail(
        NAME,
        format!("plain HTTP is answered with {status}"),
        "let that listener redirect (listen.redirect = true), or close it",
    )
}

fn field(headers: &HeaderMap, name: &str) -> Check {
    match headers.get_all(name).iter().count() {
        1 => Check::ok(name, "it is there once"),
        0 => Check::fail(
            name,
            "it is missing",
            "see [headers] in aivonxd.toml(5), and what a proxy takes away",
        ),
        count => Check::fail(
            name,
            format!("it is there {count} times"),
            "a proxy adds it too: let one of them do it",
        ),
    }
}

fn server(headers: &HeaderMap) -> Check {
    match headers.get(header::SERVER).map(|value| value.to_str().unwrap_or("something")) {
        None => Check::ok("server", "answers do not say what made them"),
        Some(value) => Check::warn(
            "server",
            format!("answers say what made them: {value}"),
            "take the field away in the proxy",
        ),
    }
}

fn access(status: u16) -> Check {
    match status {
        401 | 403 => Check::ok("access", "models are not listed without a key"),
        200 => Check::warn("access", "models are listed without a key", "set access.mode = \"required\""),
        other => Check::ok("access", format!("models are not listed without a key ({other})")),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use aivonx_protocol::secrets::CheckOutcome::{Fail, Ok, Warn};
    use http::{HeaderValue, Response};

    use super::*;

    fn with(name: &'static str, values: &[&'static str]) -> HeaderMap {
        values.iter().fold(HeaderMap::new(), |mut headers, value| {
            headers.append(name, HeaderValue::from_static(value));
            headers
        })
    }

    #[test]
    fn the_next_step_of_hsts_is_named() {
        let of = |values: &[&'static str]| hsts(&with("strict-transport-security", values));
        for (value, outcome, next) in [
            ("max-age=31536000; includeSubDomains", Ok, ""),
            ("max-age=2592000", Warn, "max-age=31536000;"),
            ("max-age=300", Warn, "max-age=86400;"),
            ("max-age=0", Warn, "max-age=300;"),
        ] {
            let check = of(&[value]);
            assert_eq!(check.outcome, outcome, "{value}");
            assert!(check.fix.unwrap_or_default().contains(next), "{value}");
        }
        assert_eq!([of(&[]).outcome, of(&["max-age=300", "max-age=300"]).outcome], [Fail, Fail]);
    }

    #[test]
    fn fields_are_there_once() {
        let of = |values: &[&'static str]| field(&with("x-frame-options", values), "x-frame-options").outcome;
        assert_eq!([of(&["DENY"]), of(&[]), of(&["DENY", "DENY"])], [Ok, Fail, Fail]);
        assert_eq!(server(&with("server", &["nginx"])).outcome, Warn);
        assert_eq!([access(401).outcome, access(200).outcome, access(404).outcome], [Ok, Warn, Ok]);
    }

    #[test]
    fn what_is_wrong_with_the_connection_is_said_in_one_line() {
        let at = |url: &str| Upstream::new(url).unwrap();
        let tls = |why: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, why);
        for (url, error, finding, fix) in [
            (
                "https://gw:1",
                tls(rustls::Error::InvalidCertificate(CertificateError::Expired)),
                "https://gw:1: its certificate has expired",
                "renew",
            ),
            (
                "https://gw:1",
                tls(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)),
                "https://gw:1: its certificate is not for gw",
                "issued for gw",
            ),
            (
                "https://gw:1",
                tls(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
                "https://gw:1: nobody here trusts",
                "--ca FILE",
            ),
            (
                "https://gw:1",
                tls(rustls::Error::InvalidCertificate(CertificateError::BadSignature)),
                "https://gw:1: its certificate was issued by another authority than --ca names",
                "--ca FILE",
            ),
            (
                "https://gw:1",
                tls(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
                "https://gw:1: what answers there does not speak TLS",
                "http://gw:1",
            ),
            (
                "https://gw:1",
                tls(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)),
                "https://gw:1: a client certificate is required there",
                "listener",
            ),
            (
                "http://gw:1",
                io::ErrorKind::UnexpectedEof.into(),
                "http://gw:1: the connection was closed",
                "https://gw:1",
            ),
            (
                "http://gw:1",
                io::ErrorKind::ConnectionRefused.into(),
                "http://gw:1: nothing listens there",
                "aivonx status",
            ),
        ] {
            let check = unreachable(&at(url), &error);
            assert!(check.finding.starts_with(finding), "{}", check.finding);
            assert!(check.fix.as_ref().is_some_and(|said| said.contains(fix)), "{check:?}");
        }
    }

    #[tokio::test]
    async fn a_listener_that_closes_is_not_taken_for_another_protocol() {
        for (heard, said) in
            [(false, ""), (true, ""), (true, "HTTP/1.1 200 OK\r\nserv"), (true, "SSH-2.0\r\n")]
        {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let upstream = Upstream::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
            let serving = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                if heard {
                    let _ = stream.read(&mut [0; 4096]).unwrap();
                    stream.write_all(said.as_bytes()).unwrap();
                }
            });
            let error = upstream.head_of("/health").await.unwrap_err();
            serving.join().unwrap();
            let what = if said.starts_with("SSH") { "what answers there is no HTTP" } else { CLOSED };
            let check = unreachable(&upstream, &error);
            assert!(check.finding.ends_with(what), "{}: {error:?}", check.finding);
        }
    }

    #[test]
    fn plain_http_is_sent_to_https() {
        let of = |status: u16, target: &str, here| {
            let answer = Response::builder().status(status).header("location", target).body(()).unwrap();
            redirect(&answer.into_parts().0, here).outcome
        };
        assert_eq!([of(308, "https://gw/", false), of(308, "http://gw/", false)], [Ok, Fail]);
        assert_eq!([of(200, "", false), of(200, "", true)], [Fail, Ok]);
    }
}
