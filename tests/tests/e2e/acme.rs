//! Certificates that are obtained by ACME, of a directory that is as strict as a real one.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use aivonx_protocol::daemon;
use aivonx_tests::{
    acme::{Directory, Plan},
    harness::{Client, Daemon, Request, TlsClient, tls::served},
    within,
};
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

/// A daemon whose second listener obtains certificates for these names, and where that is. Its third answers on plain
/// HTTP.
struct Gateway {
    daemon: Daemon,
    https: SocketAddr,
    root: std::path::PathBuf,
}

impl Gateway {
    async fn start(lab: &Path, directory: &Directory, names: &[&str], more: &str) -> Self {
        let root = lab.join("root.pem");
        std::fs::create_dir_all(lab.join("gateway")).expect("a directory of our own");
        let listeners = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\nacme = {names:?}\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\nredirect = true\n"
        );
        let config = format!("{}{more}\n{listeners}", directory.config(&root));
        let daemon = Daemon::builder().folder(&lab.join("gateway")).config(&config).start().await;
        let status = daemon.control().await.ask(daemon::GetStatus).await.expect("a status");
        let [https, plain] = [1, 2].map(|at| status.listen[at].parse::<SocketAddr>().expect("an address"));
        directory.leads_to(https, plain);
        Self { daemon, https, root }
    }

    fn client(&self) -> TlsClient {
        TlsClient::trusting(&self.root, &["http/1.1"])
    }

    /// The certificate served for `name`, as soon as there is one.
    async fn certificate(&self, name: &str) -> CertificateDer<'static> {
        within("a certificate", async {
            loop {
                if let Ok(stream) = self.client().connect(self.https, name).await {
                    return served(&stream);
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        })
        .await
    }

    /// Waits until another certificate is served than this one.
    async fn renewed(&self, name: &str, before: &CertificateDer<'static>) {
        within("another certificate", async {
            while self.certificate(name).await == *before {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        })
        .await;
    }

    async fn warnings(&self) -> String {
        self.daemon.aivonx().json(&["status"]).await["warnings"].to_string()
    }
}

fn lasting(seconds: u64) -> Plan {
    Plan { lifetime: Duration::from_secs(seconds), ..Plan::default() }
}

const YEAR: u64 = 365 * 24 * 3600;

#[tokio::test]
async fn a_certificate_is_obtained_kept_and_not_asked_for_again() {
    let lab = TempDir::new().unwrap();
    // Nonces that are refused are nothing special.
    let directory = Directory::start(Plan { bad_nonces: 2, ..lasting(YEAR) }).await;
    let names = ["gw.example", "Other.example"];
    let mut gateway = Gateway::start(lab.path(), &directory, &names, "challenge = \"tls-alpn-01\"").await;
    let first = gateway.certificate("gw.example").await;
    assert_eq!(gateway.certificate("other.example").await, first);
    gateway.daemon.stderr().until("a certificate for gw.example, other.example was obtained").await;
    let tunnel = gateway.client().tunnel(gateway.https, "gw.example").await;
    Client::connect(tunnel).await.ask(&Request::get("/health")).await.expect(200);
    assert!(directory.asked().iter().any(|path| path.starts_with("tls-alpn-01/")));
    // Who asks for the proof when there is none gets nothing of what is served.
    let looks = TlsClient::trusting(&gateway.root, &["acme-tls/1"]);
    assert!(looks.connect(gateway.https, "gw.example").await.is_err());
    let metrics = gateway.daemon.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("aivonx_certificate_failures_total 0"), "{metrics}");
    assert!(metrics.contains("aivonx_certificate_expiry_time_seconds 1") || metrics.contains("seconds 2"));
    assert!(!gateway.warnings().await.contains("certificate"));

    // For the daemon's eyes only.
    let kept = gateway.daemon.data().join("acme");
    let authority = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept), mode(&authority)), (0o700, 0o700));
    let mut files =
        std::fs::read_dir(&authority).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    let found: Vec<_> =
        files.iter().map(|file| (file.file_name().unwrap().to_str().unwrap(), mode(file))).collect();
    assert_eq!(found, [("account.json", 0o600), ("gw.example.pem", 0o600)]);

    // Over a restart it is there at once.
    gateway.daemon.stop().await;
    let gateway = Gateway::start(lab.path(), &directory, &names, "").await;
    let again = gateway.client().connect(gateway.https, "gw.example").await.expect("a certificate");
    assert_eq!(served(&again), first);
    assert_eq!((directory.issued(), directory.accounts()), (1, 1));
}

#[tokio::test]
async fn names_are_proved_on_the_plain_listener() {
    let lab = TempDir::new().unwrap();
    let directory = Directory::start(lasting(YEAR)).await;
    let gateway = Gateway::start(lab.path(), &directory, &["gw.example"], "challenge = \"http-01\"").await;
    gateway.certificate("gw.example").await;
    assert!(directory.asked().iter().any(|path| path.starts_with("http-01/")));
}

#[tokio::test]
async fn a_certificate_is_renewed_in_time_and_what_fails_is_tried_again() {
    let lab = TempDir::new().unwrap();
    let directory = Directory::start(lasting(20)).await;
    let gateway = Gateway::start(lab.path(), &directory, &["gw.example"], "").await;
    let first = gateway.certificate("gw.example").await;
    directory.plan(|plan| (plan.rate_limited, plan.retry_after) = (100, 1));
    gateway
        .daemon
        .stderr()
        .until("no certificate for gw.example was obtained; the one before is served")
        .await;
    let warnings = gateway.warnings().await;
    assert!(warnings.contains("too many orders of yours") && warnings.contains("tried again"), "{warnings}");
    let metrics = gateway.daemon.get("/metrics").await.expect(200).text();
    assert!(!metrics.contains("aivonx_certificate_failures_total 0"), "{metrics}");
    assert_eq!(gateway.certificate("gw.example").await, first);

    directory.plan(|plan| (plan.lifetime, plan.rate_limited) = (Duration::from_secs(YEAR), 0));
    gateway.renewed("gw.example", &first).await;
    assert_eq!(directory.issued(), 2);
    assert!(!gateway.warnings().await.contains("gw.example"));
}

#[tokio::test]
async fn the_authority_says_when_to_renew() {
    let lab = TempDir::new().unwrap();
    let directory = Directory::start(Plan { window: Some((0.0, 0.1)), ..lasting(20) }).await;
    let gateway = Gateway::start(lab.path(), &directory, &["gw.example"], "").await;
    let first = gateway.certificate("gw.example").await;
    directory.plan(|plan| plan.lifetime = Duration::from_secs(YEAR));
    gateway.renewed("gw.example", &first).await;
    assert_eq!(directory.replaced().len(), 1);
    let id = directory.asked().into_iter().rfind(|path| path.starts_with("ari/")).unwrap();
    assert!(id.contains('.'), "{id}");
}

#[tokio::test]
async fn a_proof_that_is_not_found_is_said_in_words() {
    let lab = TempDir::new().unwrap();
    let directory = Directory::start(Plan { leads_nowhere: true, ..lasting(YEAR) }).await;
    let gateway = Gateway::start(lab.path(), &directory, &["gw.example"], "").await;
    gateway.daemon.stderr().until("no certificate for gw.example was obtained; there is none to serve").await;
    let warnings = gateway.warnings().await;
    assert!(warnings.contains("did not find the proof") && warnings.contains("gw.example"), "{warnings}");
    // The others are served all the while.
    gateway.daemon.get("/health").await.expect(200);
    assert_eq!(directory.issued(), 0);
}

#[tokio::test]
async fn an_account_that_is_forgotten_is_made_anew() {
    let lab = TempDir::new().unwrap();
    let directory = Directory::start(lasting(YEAR)).await;
    let mut gateway = Gateway::start(lab.path(), &directory, &["gw.example"], "").await;
    gateway.certificate("gw.example").await;
    gateway.daemon.stop().await;
    directory.plan(|plan| plan.forgets_accounts = true);
    let gateway = Gateway::start(lab.path(), &directory, &["new.example"], "").await;
    gateway.daemon.stderr().until("who are you").await;
    gateway.certificate("new.example").await;
    assert_eq!(directory.accounts(), 2);
}
