//! `aivonx connect` between a client and a gateway that the test plays itself.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Stdio},
};

use super::server::{aivonx, run};
use rustix::{
    net::{AddressFamily, SocketType},
    process::{Pid, Signal, kill_process},
};

const KEY: &str = "aivx_0123456789";

/// The forwarder, running.
struct Forwarder {
    child: Child,
    address: String,
    to: SocketAddr,
    gateway: TcpListener,
    _dir: tempfile::TempDir,
}

fn key_file(dir: &tempfile::TempDir) -> String {
    let file = dir.path().join("key");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_owned()
}

impl Forwarder {
    fn start() -> Self {
        Self::to(None)
    }

    /// One that leads to this address, else to the gateway that the test plays.
    fn to(address: Option<SocketAddr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = address.unwrap_or_else(|| gateway.local_addr().unwrap());
        let mut command = aivonx(&format!(
            "connect --key-file {} --to http://{to} --listen 127.0.0.1:0 --output json",
            key_file(&dir)
        ));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["to"], format!("http://{to}"));
        let address = ready["listen"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { child, address, to, gateway, _dir: dir }
    }

    fn client(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(&self.address).unwrap())
    }

    fn accept(&self) -> BufReader<TcpStream> {
        BufReader::new(self.gateway.accept().unwrap().0)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a head, in lower case but for the first.
fn head(stream: &mut BufReader<TcpStream>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the connection ended: {lines:?}");
        let line = line.trim_end();
        if line.is_empty() {
            return lines;
        }
        lines.push(if lines.is_empty() { line.to_owned() } else { line.to_ascii_lowercase() });
    }
}

fn send(stream: &mut BufReader<TcpStream>, text: &str) {
    stream.get_mut().write_all(text.as_bytes()).unwrap();
}

fn exactly(stream: &mut BufReader<TcpStream>, count: usize) -> String {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_request_gets_the_key_and_streams_both_ways() {
    let forwarder = Forwarder::start();
    let mut client = forwarder.client();
    send(
        &mut client,
        "POST /api/chat?x=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer mine\r\nX-Api-Key: mine\r\n\
         Cookie: a=b\r\nOrigin: http://localhost:3000\r\nTE: trailers\r\nX-Other: kept\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
    );
    let mut gateway = forwarder.accept();
    let lines = head(&mut gateway);
    assert_eq!(lines[0], "POST /api/chat?x=1 HTTP/1.1");
    let has = |line: &str| lines.iter().any(|l| l == line);
    assert!(has(&format!("authorization: bearer {KEY}")) && has("x-other: kept"), "{lines:?}");
    assert!(has(&format!("host: {}", forwarder.gateway.local_addr().unwrap())), "{lines:?}");
    for gone in ["mine", "x-api-key", "cookie", "origin", "te:"] {
        assert!(
            !lines.iter().any(|line| line.starts_with(gone) || line.contains("mine")),
            "{gone}: {lines:?}"
        );
    }
    // The first chunk arrives although the second has not been sent, in both directions.
    assert_eq!(exactly(&mut gateway, 8), "3\r\none\r\n");
    send(&mut client, "3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(exactly(&mut gateway, 13), "3\r\ntwo\r\n0\r\n\r\n");
    send(
        &mut gateway,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Request-Id: 7\r\n\r\n4\r\nfour\r\n",
    );
    let lines = head(&mut client);
    assert!(lines[0].ends_with("200 OK") && lines.iter().any(|l| l == "x-request-id: 7"), "{lines:?}");
    assert_eq!(exactly(&mut client, 9), "4\r\nfour\r\n");
    send(&mut gateway, "4\r\nfive\r\n0\r\n\r\n");
    assert_eq!(exactly(&mut client, 14), "4\r\nfive\r\n0\r\n\r\n");
    // Both connections serve the next request.
    send(&mut client, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(head(&mut gateway)[0], "HEAD / HTTP/1.1");
    send(&mut gateway, "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n");
    assert!(head(&mut client).iter().any(|line| line == "content-length: 17"));
}

#[test]
fn a_client_that_leaves_ends_the_request() {
    let forwarder = Forwarder::start();
    let mut client = forwarder.client();
    send(&mut client, "GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut gateway = forwarder.accept();
    head(&mut gateway);
    send(&mut gateway, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    head(&mut client);
    drop(client);
    let mut rest = Vec::new();
    // Ends when the forwarder closes the connection, with or without a reset.
    let _ = gateway.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn a_gateway_that_closed_meanwhile_is_connected_again() {
    let forwarder = Forwarder::start();
    let mut client = forwarder.client();
    for _ in 0..2 {
        send(&mut client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut gateway = forwarder.accept();
        head(&mut gateway);
        send(&mut gateway, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        drop(gateway);
        let lines = head(&mut client);
        assert!(lines[0].ends_with("200 OK") && !lines.iter().any(|l| l.contains("close")), "{lines:?}");
        assert_eq!(exactly(&mut client, 2), "ok");
    }
}

#[test]
fn what_a_web_page_sends_is_refused_and_never_forwarded() {
    let forwarder = Forwarder::start();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n", "403"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", "403"),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "403"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let mut client = forwarder.client();
        send(&mut client, request);
        let lines = head(&mut client);
        assert!(lines[0].contains(status), "{request}: {lines:?}");
        assert!(!lines.iter().any(|line| line.contains(KEY)));
    }
    forwarder.gateway.set_nonblocking(true).unwrap();
    assert!(forwarder.gateway.accept().is_err(), "nobody has reached the gateway");
}

#[test]
fn a_gateway_that_does_not_answer_is_named() {
    // Bound and not listening: nobody else is given the port, and nobody answers on it.
    let held = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = rustix::net::getsockname(&held).unwrap();
    let silent = SocketAddr::try_from(silent).unwrap();
    for (to, says) in [(Some(silent), "cannot be reached"), (None, "broke off")] {
        let forwarder = Forwarder::to(to);
        let mut client = forwarder.client();
        send(&mut client, "GET /api/tags HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        if to.is_none() {
            head(&mut forwarder.accept());
        }
        let lines = head(&mut client);
        assert!(lines[0].contains("502"), "{lines:?}");
        let mut body = String::new();
        client.read_to_string(&mut body).unwrap();
        assert!(
            body.contains(&format!("the gateway http://{}", forwarder.to)) && body.contains(says),
            "{body}"
        );
    }
}

#[test]
fn a_signal_ends_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut forwarder = Forwarder::start();
        kill_process(Pid::from_child(&forwarder.child), signal).unwrap();
        assert_eq!(forwarder.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn it_starts_only_where_the_key_is_safe() {
    let dir = tempfile::tempdir().unwrap();
    let file = key_file(&dir);
    for (options, code, says) in [
        ("--listen 0.0.0.0:0", 2, "no loopback address"),
        ("--listen [::]:0", 2, "no loopback address"),
        ("--to gateway:80", 2, "--to: "),
        ("--to ftp://gateway", 2, "--to: "),
    ] {
        let ran = run(aivonx(&format!("connect --key-file {file} {options}")), "");
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{options}: {ran:?}");
        assert!(ran.err.contains(says), "{options}: {}", ran.err);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let ran = run(aivonx(&format!("connect --key-file {file} --listen 127.0.0.1:0")), "");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.err.contains("is open to others (mode 0640)"), "{}", ran.err);
}
