//! Nodes behind TLS with a certificate authority of their own.

use std::{net::SocketAddr, sync::Arc};

use aivonx_tests::{fake::FakeNode, harness::Daemon};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A TLS front for `node` with a certificate for `name`; returns its address and the authority's PEM.
async fn front(node: SocketAddr, name: &str) -> (SocketAddr, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
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
    (address, authority.pem())
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
