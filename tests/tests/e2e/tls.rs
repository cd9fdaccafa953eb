//! Nodes behind TLS with a certificate authority of their own.

use std::{net::SocketAddr, sync::Arc};

use aivonx_tests::{fake::FakeNode, harness::Daemon};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A TLS front for `node` with a certificate for `name`; returns its address and the authority's PEM.
async fn front(node: SocketAddr, name: &str) -> (SocketAddr, String) {
    let (address, authority, _) = front_for(node, name, false).await;
    (address, authority)
}

/// The same, which asks for a client certificate of its authority if it is `closed`; with one, and its key, PEM.
async fn front_for(node: SocketAddr, name: &str, closed: bool) -> (SocketAddr, String, (String, String)) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own = KeyPair::generate().unwrap();
    let mut client = CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
    client.not_after = rcgen::date_time_ymd(2199, 12, 31);
    let client = (client.signed_by(&own, &authority).unwrap().pem(), own.serialize_pem());
    let config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    let config =
        if closed { config.with_client_cert_verifier(verifier) } else { config.with_no_client_auth() };
    let config = config
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (Ok(mut outer), Ok(mut inner)) =
                    (acceptor.accept(stream).await, TcpStream::connect(node).await)
                else {
                    return;
                };
                tokio::io::copy_bidirectional(&mut outer, &mut inner).await.ok();
            });
        }
    });
    (address, authority.pem(), client)
}

#[tokio::test]
async fn a_node_that_asks_for_a_client_certificate_is_shown_one() {
    let node = FakeNode::ollama().await;
    let (address, authority, (chain, key)) = front_for(node.address(), "localhost", true).await;
    let daemon = Daemon::run(&[], "[health]\ninterval = \"1s\"\n").await;
    let file = |name: &str, text: &str| {
        let path = daemon.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, chain, key) = (file("ca.pem", &authority), file("own.pem", &chain), file("own.key", &key));
    let token = file("token", "sesame");
    let other = file("other.key", &KeyPair::generate().unwrap().serialize_pem());
    let url = format!("https://localhost:{}", address.port());
    let aivonx = daemon.aivonx();
    let add = ["node", "add", "b", url.as_str(), "--ca-file", &ca];

    let added = aivonx.run(&add).await;
    assert!(added.stdout.contains("--client-cert"), "it says what is missing: {}", added.stdout);
    aivonx.ok(&["node", "remove", "b", "--yes"]).await;
    let wrong = aivonx.run(&[&add[..], &["--client-cert", &chain, "--client-key", &other]].concat()).await;
    assert!(
        wrong.code != 0 && wrong.stderr.contains("not the key of the client certificate"),
        "{}",
        wrong.stderr
    );

    let pair = ["--client-cert", chain.as_str(), "--client-key", key.as_str()];
    aivonx.ok(&[&add[..], &pair, &["--bearer-file", &token]].concat()).await;
    daemon.until_active(1).await;
    let shown = aivonx.ok(&["node", "show", "b"]).await;
    assert!(shown.contains("certificate until 2199-12-31 and header Authorization"), "{shown}");
    assert!(!shown.contains("sesame") && !shown.contains("PRIVATE"), "{shown}");
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    daemon.post("/api/chat", &body).await.expect(200);
    assert_eq!(node.requests().pop().unwrap().head.get("authorization"), Some("Bearer sesame"));

    // It is shown to no other address, and is gone once that is said.
    let moved = aivonx.run(&["node", "set", "b", "--url", "https://localhost:9"]).await;
    assert!(moved.code != 0 && moved.stderr.contains("its own address alone"), "{}", moved.stderr);
    aivonx.ok(&["node", "set", "b", "--no-client-cert"]).await;
    assert!(aivonx.ok(&["node", "show", "b"]).await.contains("credential       none"));
    daemon.until_nodes("it to be refused", |nodes| nodes[0]["pool"] == "standby").await;
    aivonx.ok(&[&["node", "set", "b"][..], &pair].concat()).await;
    daemon.until_active(1).await;
}

#[tokio::test]
async fn a_node_with_its_own_authority_is_trusted_by_name_only() {
    let node = FakeNode::ollama().await;
    let (address, pem) = front(node.address(), "node.internal").await;
    let daemon =
        Daemon::run(&[], "[health]\ninterval = \"1s\"\ntimeout = \"2s\"\nfailures = 1\nsuccesses = 1\n")
            .await;
    let ca = daemon.folder().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let (ca, url) = (ca.to_str().unwrap().to_owned(), format!("https://{address}"));
    let aivonx = daemon.aivonx();
    // Neither an unknown authority nor another name will do.
    for authority in [&[][..], &["--ca-file", ca.as_str()]] {
        let add = ["node", "add", "b", &url, "--kind", "ollama", "--force"];
        let added = aivonx.run(&[&add[..], authority].concat()).await;
        assert_eq!(added.code, 0, "{}", added.stderr);
        daemon
            .until_nodes("it to be refused", |nodes| {
                let error = nodes[0]["last_error"].as_str();
                nodes[0]["pool"] == "standby" && error.is_some_and(|e| !e.is_empty())
            })
            .await;
        if authority.is_empty() {
            aivonx.ok(&["node", "remove", "b", "--yes"]).await;
        }
    }
    aivonx.ok(&["node", "set", "b", "--server-name", "node.internal"]).await;
    aivonx.run(&["node", "check", "b"]).await;
    daemon.until_active(1).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let answer = daemon.post("/api/chat", &body).await.expect(200);
    assert_eq!(answer.field("x-aivonx-node"), Some("b"));
    assert_eq!(answer.lines().last().unwrap()["done"], true);
}
