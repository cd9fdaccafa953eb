//! Listeners that speak HTTPS.

use std::{net::SocketAddr, path::Path};

use aivonx_protocol::daemon;
use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon, H2Client, Request, TlsClient, binary, tls::served},
    within,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

/// Runs `aivonxd` with these arguments to its end: exit code, and all it wrote.
async fn aivonxd(arguments: &[&str]) -> (i32, String) {
    let command = Command::new(binary("aivonxd")).args(arguments).kill_on_drop(true).output();
    let output = within("aivonxd's end", command).await.expect("it is built");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// Makes an authority and a certificate for `name` in `dir`, which must not hold some.
async fn gen_cert(dir: &Path, names: &[&str]) {
    let dir = dir.to_str().expect("UTF-8");
    let (code, said) = aivonxd(&[&["gen-cert", "--dir", dir], names].concat()).await;
    assert_eq!(code, 0, "{said}");
}

fn file(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

/// The keys of a listener with the certificates in these directories.
fn keys(dirs: &[&Path]) -> String {
    let all = |name| dirs.iter().map(|dir| format!("\"{}\"", file(dir, name))).collect::<Vec<_>>().join(", ");
    format!("tls_cert = [{}]\ntls_key = [{}]\n", all("cert.pem"), all("key.pem"))
}

/// A daemon with a second listener, which speaks HTTPS; and where that is.
async fn with_tls(nodes: &[&FakeNode], dirs: &[&Path]) -> (Daemon, SocketAddr) {
    let listener = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{}", keys(dirs));
    let daemon = Daemon::run(nodes, &listener).await;
    let status = daemon.control().await.ask(daemon::GetStatus).await.expect("a status");
    let address = status.listen[1].parse().expect("an address");
    (daemon, address)
}

fn chat() -> Request {
    Request::json("/api/chat", &json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
}

#[tokio::test]
async fn dev_serves_https_with_a_certificate_of_gen_cert() {
    let lab = TempDir::new().unwrap();
    gen_cert(lab.path(), &["localhost", "127.0.0.1"]).await;
    let (code, said) = aivonxd(&["gen-cert", "--dir", lab.path().to_str().unwrap(), "localhost"]).await;
    assert!(code == 2 && said.contains("is there already"), "{said}");

    let node = FakeNode::ollama().await;
    let (cert, key) = (file(lab.path(), "cert.pem"), file(lab.path(), "key.pem"));
    let builder = Daemon::builder().node(&node).arg("--tls-cert").arg(&cert).arg("--tls-key").arg(&key);
    let daemon = builder.start().await;
    assert!(daemon.stdout().text().contains("listening on https://127.0.0.1:"));

    let ca = lab.path().join("ca.pem");
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let client = TlsClient::of_versions(&ca, &["h2", "http/1.1"], versions);
        let stream = client.connect(daemon.address(), "localhost").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }
    let stranger = TlsClient::trusting(&ca, &[]).connect(daemon.address(), "other.example").await;
    assert!(stranger.unwrap_err().to_string().contains("certificate"));

    // Without ALPN, as with its name, HTTP/1.1 is spoken.
    for alpn in [&[][..], &["http/1.1"]] {
        let address = TlsClient::trusting(&ca, alpn).tunnel(daemon.address(), "localhost").await;
        let mut client = Client::connect(address).await;
        let answer = client.ask(&chat()).await.expect(200);
        assert_eq!(answer.lines().last().unwrap()["done"], true);
        for path in ["/health", "/nowhere"] {
            let answer = client.ask(&Request::get(path)).await;
            let hsts = answer.head.all("strict-transport-security");
            assert_eq!(hsts, ["max-age=31536000; includeSubDomains"], "{path}");
        }
    }
    let address = TlsClient::trusting(&ca, &[]).tunnel(daemon.address(), "localhost").await;
    let mut client = Client::connect(address).await;
    client.send_raw("GET", b"GET / HTTP/1.1\r\nHost: localhost\r\na b: c\r\n\r\n").await;
    let refused = client.answer().await.expect(400);
    assert_eq!(refused.head.all("strict-transport-security"), ["max-age=31536000; includeSubDomains"]);
    assert_eq!(refused.head.all("x-frame-options"), ["DENY"]);
    let address = TlsClient::trusting(&ca, &["h2"]).tunnel(daemon.address(), "127.0.0.1").await;
    let health = H2Client::connect(address).await.ask("GET", "/health", &[], "").await;
    assert_eq!(health.status, 200);

    // Who writes http:// is helped.
    let answer = daemon.get("/health").await.expect(400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert_eq!(answer.head.all("x-frame-options"), ["DENY"]);
    assert_eq!(answer.field("strict-transport-security"), None);
}

#[tokio::test]
async fn a_new_certificate_is_served_while_streams_go_on() {
    let lab = TempDir::new().unwrap();
    let dirs = ["one", "two", "three"].map(|name| lab.path().join(name));
    for dir in &dirs {
        gen_cert(dir, &["localhost"]).await;
    }
    let [live, next, last] = &dirs;
    let replace = |from: &Path, name: &str| {
        std::fs::copy(from.join(name), live.join(name)).unwrap();
    };
    let node = FakeNode::ollama().await;
    node.with(|s| s.models[0].load());
    let (daemon, address) = with_tls(&[&node], &[live]).await;
    let client = |dir: &Path| TlsClient::trusting(&dir.join("ca.pem"), &[]);
    let first = served(&client(live).connect(address, "localhost").await.unwrap());

    // A stream that is under way all the time.
    node.gate();
    let mut stream = Client::connect(client(live).tunnel(address, "localhost").await).await;
    stream.send(&chat()).await;
    node.release(1);
    let head = stream.head().await;
    stream.piece().await.unwrap().unwrap();

    // A key that does not belong to the certificate is refused, and loudly.
    let live_ca = live.join("first-ca.pem");
    std::fs::copy(live.join("ca.pem"), &live_ca).unwrap();
    let first_client = TlsClient::trusting(&live_ca, &[]);
    replace(next, "key.pem");
    let reload = daemon.aivonx().run(&["config", "reload"]).await;
    assert_ne!(reload.code, 0);
    assert!(reload.stderr.contains("not the key of the certificate"), "{}", reload.stderr);
    let status = daemon.aivonx().json(&["status"]).await;
    assert!(status["warnings"].to_string().contains("the one before is served"), "{status}");
    daemon.stderr().until("certificate on the disk is not usable").await;
    assert_eq!(served(&first_client.connect(address, "localhost").await.unwrap()), first);

    replace(next, "cert.pem");
    let said = daemon.aivonx().ok(&["config", "reload"]).await;
    assert!(said.contains("listen[1].tls_cert"), "{said}");
    let second = served(&client(next).connect(address, "localhost").await.unwrap());
    assert_ne!(second, first);

    // And without being asked.
    replace(last, "cert.pem");
    replace(last, "key.pem");
    within("the third certificate", async {
        while client(last).connect(address, "localhost").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let status = daemon.aivonx().json(&["status"]).await;
    assert!(!status["warnings"].to_string().contains("certificate"), "{status}");

    node.release(100);
    let answer = stream.rest(head).await;
    assert!(answer.cut.is_none());
    assert_eq!(answer.lines().last().unwrap()["done"], true);
}

#[tokio::test]
async fn the_name_that_is_asked_for_chooses_the_certificate() {
    let lab = TempDir::new().unwrap();
    let dirs = ["one", "two"].map(|name| lab.path().join(name));
    gen_cert(&dirs[0], &["one.example"]).await;
    gen_cert(&dirs[1], &["*.two.example"]).await;
    let (_daemon, address) = with_tls(&[], &[&dirs[0], &dirs[1]]).await;
    for (dir, name) in [(&dirs[0], "one.example"), (&dirs[1], "a.two.example")] {
        let client = TlsClient::trusting(&dir.join("ca.pem"), &[]);
        client.connect(address, name).await.unwrap();
    }
    // The first stands for all other names.
    let why = TlsClient::trusting(&dirs[0].join("ca.pem"), &[]).connect(address, "x.example").await;
    assert!(why.unwrap_err().to_string().contains("not valid for name"));
}

/// An authority for clients in `DIR/clients.pem`, and a certificate of it in `client.pem` and `client.key`.
fn client_certificates(dir: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["ci.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("clients.pem", authority.pem()),
        ("client.pem", certificate.pem()),
        ("client.key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn clients_show_certificates_where_they_have_to() {
    let lab = TempDir::new().unwrap();
    gen_cert(lab.path(), &["localhost"]).await;
    client_certificates(lab.path());
    let other = lab.path().join("other");
    std::fs::create_dir(&other).unwrap();
    client_certificates(&other);
    let listener = |mode: &str| {
        let clients = file(lab.path(), "clients.pem");
        let keys = keys(&[lab.path()]);
        format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n{keys}client_ca = \"{clients}\"\nclient_certs = \"{mode}\"\n"
        )
    };
    let daemon = Daemon::run(&[], &(listener("required") + &listener("optional"))).await;
    let status = daemon.control().await.ask(daemon::GetStatus).await.expect("a status");
    let [required, optional] = [1, 2].map(|at| status.listen[at].parse::<SocketAddr>().expect("an address"));
    let ca = lab.path().join("ca.pem");
    let nobody = TlsClient::trusting(&ca, &[]);
    let showing = |dir: &Path| nobody.showing(&ca, &dir.join("client.pem"), &dir.join("client.key"));
    // With TLS 1.3 a client hears of it only when it reads.
    let health = async |client: &TlsClient, address: SocketAddr| {
        let tunnel = client.tunnel(address, "localhost").await;
        let mut client = Client::connect(tunnel).await;
        client.send(&Request::get("/health")).await;
        client.try_head().await.map(|head| head.status())
    };
    assert_eq!(health(&showing(lab.path()), required).await, Some(200));
    assert_eq!(health(&nobody, required).await, None);
    assert_eq!(health(&showing(&other), required).await, None);
    assert_eq!(health(&nobody, optional).await, Some(200));
    assert_eq!(health(&showing(lab.path()), optional).await, Some(200));
    assert_eq!(health(&showing(&other), optional).await, None);

    // Another authority is taken up like another certificate.
    std::fs::copy(other.join("clients.pem"), lab.path().join("clients.pem")).unwrap();
    daemon.aivonx().ok(&["config", "reload"]).await;
    assert_eq!(health(&showing(&other), required).await, Some(200));
    assert_eq!(health(&showing(lab.path()), required).await, None);
}

#[tokio::test]
async fn a_plain_listener_sends_its_clients_to_https() {
    let lab = TempDir::new().unwrap();
    gen_cert(lab.path(), &["localhost"]).await;
    let node = FakeNode::ollama().await;
    let listeners = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n{}[[listen]]\naddress = \"127.0.0.1:0\"\nredirect = true\n",
        keys(&[lab.path()])
    );
    let daemon = Daemon::run(&[&node], &format!("[proxy]\ntrusted = [\"127.0.0.1\"]\n{listeners}")).await;
    let status = daemon.control().await.ask(daemon::GetStatus).await.expect("a status");
    let [https, plain] = [1, 2].map(|at| status.listen[at].parse::<SocketAddr>().expect("an address"));
    for request in [
        chat().field("Host", "localhost:80"),
        Request::get("/health?a=b").field("Host", "localhost"),
        Request::get("/nowhere").field("Host", "localhost").field("Authorization", "Bearer x"),
        Request::new("OPTIONS", "/api/chat").field("Host", "localhost"),
    ] {
        let answer = Client::connect(plain).await.ask(&request).await.expect(308);
        let location = answer.field("location").unwrap();
        assert!(location.starts_with(&format!("https://localhost:{}/", https.port())), "{location}");
        assert_eq!(answer.field("strict-transport-security"), None);
        assert_eq!(answer.field("x-frame-options"), Some("DENY"));
    }
    let answer = Client::connect(plain).await.ask(&Request::get("/health?a=b")).await.expect(308);
    assert_eq!(answer.field("location"), Some(&*format!("https://127.0.0.1:{}/health?a=b", https.port())));
    // Nor is anything served to whom a proxy says to come over HTTPS.
    let proxied = chat().field("Host", "localhost").field("X-Forwarded-Proto", "https");
    Client::connect(plain).await.ask(&proxied).await.expect(308);
    // Nobody is sent to where a stranger wants it.
    Client::connect(plain).await.ask(&Request::get("/").field("Host", "evil.example")).await.expect(403);
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_before_it_starts() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = TempDir::new().unwrap();
    let dirs = ["one", "two"].map(|name| lab.path().join(name));
    for dir in &dirs {
        gen_cert(dir, &["localhost"]).await;
    }
    let config = lab.path().join("aivonxd.toml");
    let check = async |keys: &str| {
        let data = lab.path().join("data");
        let text = format!(
            "data_dir = {data:?}\naccess.allowed_hosts = ['*']\n[[listen]]\naddress = \"0.0.0.0:0\"\n{keys}"
        );
        std::fs::write(&config, text).unwrap();
        let file = config.to_str().unwrap();
        let (checked, run) = (aivonxd(&["check", "--config", file]).await, ["run", "--config", file]);
        // What `check` takes would go on to serve.
        if checked.0 != 0 {
            let (code, said) = aivonxd(&run).await;
            assert!(code == 1, "{said}");
        }
        checked
    };
    let (code, said) = check(&keys(&[&dirs[0]])).await;
    assert_eq!(code, 0, "{said}");
    let crossed =
        format!("tls_cert = {:?}\ntls_key = {:?}\n", dirs[0].join("cert.pem"), dirs[1].join("key.pem"));
    for (keys, part) in [
        ("", "without TLS"),
        (&*crossed, "not the key of the certificate"),
        ("tls_cert = '/nowhere/cert.pem'\ntls_key = '/nowhere/key.pem'\n", "cannot be read"),
        ("tls_cert = '/nowhere/cert.pem'\n", "names 1 file"),
    ] {
        let (code, said) = check(keys).await;
        assert!(code == 1 && said.contains(part), "{said}");
    }
    std::fs::set_permissions(dirs[0].join("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = check(&keys(&[&dirs[0]])).await;
    assert!(code == 1 && said.contains("mode 0644") && said.contains("chmod 6"), "{said}");
    for keys in ["i_understand = true\n", "redirect = true\n"] {
        let (code, said) = check(keys).await;
        assert_eq!(code, 0, "{said}");
    }
}

#[tokio::test]
async fn openssl_speaks_tls_1_2_and_1_3_and_nothing_older() {
    let lab = TempDir::new().unwrap();
    gen_cert(lab.path(), &["localhost"]).await;
    let (daemon, address) = with_tls(&[], &[lab.path()]).await;
    let (ca, address) = (file(lab.path(), "ca.pem"), address.to_string());
    for (version, shown) in
        [("-tls1_3", Some("TLSv1.3")), ("-tls1_2", Some("TLSv1.2")), ("-tls1_1", None), ("-tls1", None)]
    {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", "localhost", "-CAfile", &ca]);
        command.args(["-verify_return_error", "-alpn", "h2", "-cipher", "DEFAULT@SECLEVEL=0", version]);
        let command = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output();
        let Ok(output) = within("openssl's end", command).await else {
            eprintln!("skipped: there is no openssl");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match shown {
            Some(shown) => {
                assert!(output.status.success() && said.contains("Verification: OK"), "{version}: {said}");
                assert!(said.contains(shown) && said.contains("ALPN protocol: h2"), "{version}: {said}");
            }
            None => {
                assert!(!output.status.success() && !said.contains("ALPN protocol: h2"), "{version}: {said}")
            }
        }
    }
    daemon.get("/health").await.expect(200);
}

#[tokio::test]
async fn no_request_fails_while_certificates_change() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
    let lab = TempDir::new().unwrap();
    let dirs: Vec<_> = (0..4).map(|n| lab.path().join(n.to_string())).collect();
    let mut all = String::new();
    for dir in &dirs {
        gen_cert(dir, &["localhost"]).await;
        all += &std::fs::read_to_string(dir.join("ca.pem")).unwrap();
    }
    let trusted = lab.path().join("all.pem");
    std::fs::write(&trusted, all).unwrap();
    let live = &dirs[0];
    let (daemon, address) = with_tls(&[], &[live]).await;
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = TlsClient::trusting(&trusted, &[]);
    let load = async {
        while !stop.load(Relaxed) {
            let tunnel = client.tunnel(address, "localhost").await;
            Client::connect(tunnel).await.ask(&Request::get("/health")).await.expect(200);
            served.fetch_add(1, Relaxed);
        }
    };
    let changes = async {
        for dir in &dirs[1..] {
            let before = served.load(Relaxed);
            for name in ["cert.pem", "key.pem"] {
                std::fs::copy(dir.join(name), live.join(name)).unwrap();
            }
            daemon.aivonx().ok(&["config", "reload"]).await;
            within("requests after the change", async {
                while served.load(Relaxed) < before + 5 {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            })
            .await;
        }
        stop.store(true, Relaxed);
    };
    tokio::join!(load, changes);
    let last = TlsClient::trusting(&dirs[3].join("ca.pem"), &[]);
    last.connect(address, "localhost").await.expect("the last is served");
}

#[tokio::test]
async fn the_gateway_is_looked_at_from_outside() {
    let (node, lab) = (FakeNode::ollama().await, TempDir::new().unwrap());
    gen_cert(lab.path(), &["127.0.0.1"]).await;
    let (daemon, address) = with_tls(&[&node], &[lab.path()]).await;
    let (aivonx, url, ca) = (daemon.aivonx(), format!("https://{address}"), file(lab.path(), "ca.pem"));
    let outcome = |checks: &serde_json::Value, name: &str| {
        let found = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {checks}"))["outcome"].as_str().unwrap().to_owned()
    };
    let checks = aivonx.json(&["check", "--probe", &url, "--ca", &ca]).await;
    for name in ["tls", "strict-transport-security", "x-frame-options", "content-security-policy", "server"] {
        assert_eq!(outcome(&checks, name), "ok", "{checks}");
    }
    // The harness's gateway is open.
    assert_eq!(outcome(&checks, "access"), "warn");
    // Nobody signed it that the system knows.
    assert_eq!(aivonx.run(&["check", "--probe", &url]).await.code, 1);
    let plain = aivonx.json(&["check", "--probe", &daemon.url()]).await;
    assert_eq!(outcome(&plain, "redirect"), "ok");
    let own = aivonx.run(&["check", "--output", "json"]).await;
    let own = serde_json::from_str(&own.stdout).unwrap();
    assert_eq!(outcome(&own, "certificate"), "ok");
}
