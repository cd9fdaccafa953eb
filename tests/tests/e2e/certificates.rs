//! Client certificates that stand for keys.

use std::{net::SocketAddr, path::Path};

use aivonx_protocol::daemon;
use aivonx_tests::{
    fake::FakeNode,
    harness::{Answer, Client, Daemon, Request, TlsClient, binary},
    within,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use serde_json::json;
use tempfile::TempDir;

/// An authority for clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("clients.pem"), issuer.pem()).unwrap();
        Self(issuer)
    }

    /// A client with a certificate of these names, which trusts the gateway.
    fn client(&self, dir: &Path, common: &str, names: Vec<SanType>) -> TlsClient {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let [cert_file, key_file] = ["shown.pem", "shown.key"].map(|name| dir.join(name));
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let ca = dir.join("ca.pem");
        TlsClient::trusting(&ca, &[]).showing(&ca, &cert_file, &key_file)
    }
}

struct Gateway {
    daemon: Daemon,
    https: SocketAddr,
}

impl Gateway {
    async fn start(lab: &Path, node: &FakeNode) -> Self {
        let mut command = tokio::process::Command::new(binary("aivonxd"));
        command.args(["gen-cert", "--dir", lab.to_str().unwrap(), "localhost"]);
        let made = within("gen-cert", command.output()).await.unwrap();
        assert!(made.status.success(), "{made:?}");
        let [cert, key, clients] = ["cert.pem", "key.pem", "clients.pem"].map(|name| lab.join(name));
        let listener = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\ntls_cert = {cert:?}\ntls_key = {key:?}\n\
             client_ca = {clients:?}\nclient_certs = \"optional\"\n"
        );
        let daemon = Daemon::builder().mode("required").node(node).config(&listener).start().await;
        let status = daemon.control().await.ask(daemon::GetStatus).await.expect("a status");
        let https = status.listen[1].parse().expect("an address");
        Self { daemon, https }
    }

    async fn ask(&self, client: &TlsClient, request: &Request) -> Answer {
        let tunnel = client.tunnel(self.https, "localhost").await;
        Client::connect(tunnel).await.ask(request).await
    }

    /// Makes a key; returns its secret.
    async fn key(&self, name: &str, more: &[&str]) -> String {
        let made = self.daemon.aivonx().json(&[&["key", "create", name], more].concat()).await;
        made["secret"].as_str().expect("a secret").to_owned()
    }
}

fn chat() -> Request {
    Request::json("/api/chat", &json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
}

#[tokio::test]
async fn a_certificate_stands_for_its_key() {
    let lab = TempDir::new().unwrap();
    let authority = Authority::new(lab.path());
    let node = FakeNode::ollama().await;
    let gateway = Gateway::start(lab.path(), &node).await;
    let aivonx = gateway.daemon.aivonx();
    gateway.key("ci", &[]).await;
    let other = gateway.key("other", &["--scope", "models:read"]).await;
    let dns = |name: &str| vec![SanType::DnsName(name.try_into().unwrap())];
    let shown = authority.client(lab.path(), "somebody", dns("CI.example"));

    gateway.ask(&shown, &chat()).await.expect(401);
    let set = aivonx.json(&["key", "set", "ci", "--certificate", "ci.Example"]).await;
    assert_eq!(set["certificate"], "ci.example");
    assert_eq!(aivonx.json(&["key", "show", "ci"]).await["certificate"], "ci.example");
    assert!(aivonx.ok(&["key", "show", "ci"]).await.contains("ci.example"));
    gateway.ask(&shown, &chat()).await.expect(200);
    gateway.daemon.stderr().until(r"api/chat.*with=ci").await;
    // Without a certificate, and with another that is as good, nobody is known.
    gateway.ask(&TlsClient::trusting(&lab.path().join("ca.pem"), &[]), &chat()).await.expect(401);
    let stranger = authority.client(lab.path(), "ci.example", dns("stranger.example"));
    gateway.ask(&stranger, &chat()).await.expect(401);

    // A key in the request is what counts, and a wrong one is not made up for.
    let with = |secret: &str| chat().field("Authorization", &format!("Bearer {secret}"));
    gateway.ask(&shown, &with(&other)).await.expect(403);
    gateway.ask(&shown, &with("nonsense")).await.expect(401);
    // A page of another site may not lend it from the browser that has it.
    let page = chat().field("Sec-Fetch-Site", "cross-site");
    gateway.ask(&shown, &page).await.expect(403);

    // One that is made with a certificate needs nothing else.
    gateway.key("made", &["--certificate", "made.example"]).await;
    let made = authority.client(lab.path(), "somebody", dns("made.example"));
    gateway.ask(&made, &chat()).await.expect(200);
    let refused = aivonx.run(&["key", "create", "late", "--certificate", "made.example"]).await;
    assert_ne!(refused.code, 0);
    assert_ne!(aivonx.run(&["key", "show", "late"]).await.code, 0, "it is made with it or not at all");

    // Its scopes, and its end.
    aivonx.ok(&["key", "set", "ci", "--scope", "models:read"]).await;
    gateway.ask(&shown, &chat()).await.expect(403);
    gateway.ask(&shown, &Request::get("/api/tags")).await.expect(200);
    let taken = aivonx.run(&["key", "set", "other", "--certificate", "ci.example"]).await;
    assert!(taken.code != 0 && taken.stderr.contains("ci.example"), "{}", taken.stderr);
    aivonx.ok(&["key", "revoke", "ci", "--yes"]).await;
    gateway.ask(&shown, &Request::get("/api/tags")).await.expect(401);
}

#[tokio::test]
async fn the_alternative_names_count_and_else_the_common_name() {
    let lab = TempDir::new().unwrap();
    let authority = Authority::new(lab.path());
    let node = FakeNode::ollama().await;
    let gateway = Gateway::start(lab.path(), &node).await;
    let aivonx = gateway.daemon.aivonx();
    gateway.key("ci", &[]).await;
    let uri = |name: &str| SanType::URI(name.try_into().unwrap());
    let mail = |name: &str| SanType::Rfc822Name(name.try_into().unwrap());
    for (name, common, names) in [
        ("spiffe://lab/Ci", "x", vec![uri("spiffe://lab/Other"), uri("spiffe://lab/Ci")]),
        ("ci@example.org", "x", vec![mail("Ci@example.org")]),
        ("the build", "The Build", Vec::new()),
    ] {
        aivonx.ok(&["key", "set", "ci", "--certificate", name]).await;
        let shown = authority.client(lab.path(), common, names);
        gateway.ask(&shown, &chat()).await.expect(200);
    }
    let shown = authority.client(lab.path(), "the build", vec![uri("spiffe://lab/ci")]);
    gateway.ask(&shown, &chat()).await.expect(401);
    let plain = authority.client(lab.path(), "the build", Vec::new());
    aivonx.ok(&["key", "set", "ci", "--no-certificate"]).await;
    gateway.ask(&plain, &chat()).await.expect(401);
    for nonsense in ["", " x", "a\nb"] {
        let refused = aivonx.run(&["key", "set", "ci", "--certificate", nonsense]).await;
        assert_ne!(refused.code, 0, "{nonsense:?}");
    }
}
