//! `aivonxd gen-cert`: a certificate authority and a server's certificate for a laboratory.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::{Duration, SystemTime},
};

use aivonx_protocol::Untrusted;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::{args::GenCert, error::AppError};

/// For how long they are good. Clients take no certificate of a server that is good for much longer than a year.
const OF_AUTHORITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
const OF_SERVER: Duration = Duration::from_secs(397 * 24 * 3600);

/// Clocks of clients may be behind.
const BEFORE: Duration = Duration::from_secs(3600);

/// Makes the files, and says what to do with them.
///
/// # Errors
/// A name that no certificate can have, or a file that is there already.
pub(crate) fn gen_cert(args: &GenCert) -> Result<String, AppError> {
    let dir = std::path::absolute(&args.dir).map_err(AppError::system("cannot resolve --dir"))?;
    args.names.iter().try_for_each(|name| check(name))?;
    let made = make(&args.names).map_err(|error| {
        AppError::Usage(format!("{}: {error}; give host names or IP addresses", args.names.join(" ")))
    })?;
    let files = made.map(|(name, text, mode)| (dir.join(name), text, mode));
    if let Some((taken, ..)) = files.iter().find(|(path, ..)| path.symlink_metadata().is_ok()) {
        return Err(AppError::Usage(format!(
            "{} is there already, and is not overwritten; name another directory with --dir, or remove it first",
            taken.display()
        )));
    }
    fs::create_dir_all(&dir).map_err(|source| AppError::Directory { path: dir.clone(), source })?;
    for (path, text, mode) in &files {
        write(path, text, *mode).map_err(|source| AppError::Directory { path: path.clone(), source })?;
    }
    let [ca, _, cert, key] = files.map(|(path, ..)| path);
    let mut said = said(&args.names, &ca, &cert, &key);
    if fs::metadata(&key).is_ok_and(|made| made.uid() == 0) {
        let key = key.display();
        // The daemon of the package is not root.
        said += &format!("\nlet the daemon read the key: chown root:aivonx {key}; chmod 640 {key}");
    }
    Ok(said)
}

/// Refuses a name that no client would find in a certificate.
fn check(name: &str) -> Result<(), AppError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_host = |name: &str| name.len() <= 253 && name.split('.').all(label);
    let is_address = |name: &str| name.parse::<IpAddr>().is_ok();
    if is_address(name) || is_host(name.strip_prefix("*.").unwrap_or(name)) {
        return Ok(());
    }
    // A URL or an address with a port is the likeliest mistake.
    let bare = name.split_once("://").map_or(name, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or_default();
    let bare = match bare.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default(),
        None => bare.rsplit_once(':').map_or(bare, |(host, _port)| host),
    };
    let fix = if is_address(bare) || is_host(bare) {
        format!("write {bare}")
    } else {
        "give host names (gw.example.org, *.example.org) or IP addresses".to_owned()
    };
    let shown = Untrusted::new(name);
    Err(AppError::Usage(format!("\"{shown}\" is no name that a certificate can have; {fix}")))
}

fn said(names: &[String], ca: &Path, cert: &Path, key: &Path) -> String {
    format!(
        "made a certificate for {names} and the authority that signed it\nserve with it: aivonxd dev --tls-cert \
         {cert} --tls-key {key}\nor below [[listen]]:\n  tls_cert = \"{cert}\"\n  tls_key = \"{key}\"\nclients trust \
         {ca}: curl --cacert {ca} https://{first}:11435/health",
        names = names.join(", "),
        first = names.first().map_or("localhost", String::as_str),
        ca = ca.display(),
        cert = cert.display(),
        key = key.display(),
    )
}

/// Name, text and mode of each file: the authority's certificate and key, then the server's.
fn make(names: &[String]) -> Result<[(&'static str, String, u32); 4], rcgen::Error> {
    let now = SystemTime::now();
    let mut authority = CertificateParams::new(Vec::new())?;
    (authority.not_before, authority.not_after) = ((now - BEFORE).into(), (now + OF_AUTHORITY).into());
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "aivonx laboratory authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(names)?;
    (server.not_before, server.not_after) = ((now - BEFORE).into(), (now + OF_SERVER).into());
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    if let Some(name) = names.first() {
        server.distinguished_name.push(DnType::CommonName, name);
    }
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    Ok([
        ("ca.pem", authority.pem(), 0o644),
        ("ca.key", authority.key().serialize_pem(), 0o600),
        ("cert.pem", certificate.pem(), 0o644),
        ("key.pem", key.serialize_pem(), 0o600),
    ])
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use aivonx_config::Listen;
    use aivonx_gateway::{Acme, Tls};

    use super::*;

    fn run(dir: &Path, names: &[&str]) -> Result<String, AppError> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        gen_cert(&GenCert { dir: dir.to_owned(), names })
    }

    #[test]
    fn an_unusable_name_is_reported_with_the_fix() {
        for good in ["localhost", "gw.example.org", "*.example.org", "127.0.0.1", "::1"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for (bad, fix) in [
            ("https://gw.example.org/", "write gw.example.org"),
            ("gw:11435", "write gw"),
            ("[::1]:443", "write ::1"),
            ("a b", "give host names"),
            ("", "give host names"),
            ("bücher.example", "give host names"),
            ("*", "give host names"),
        ] {
            let said = check(bad).unwrap_err().to_string();
            assert!(said.starts_with('"') && said.contains(fix), "{said}");
        }
    }

    #[test]
    fn what_is_made_can_be_served_and_is_not_overwritten() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("new/lab");
        let said = run(&dir, &["localhost", "127.0.0.1"]).unwrap();
        assert!(said.contains("localhost, 127.0.0.1"), "{said}");
        let is_root = fs::metadata(dir.join("key.pem")).unwrap().uid() == 0;
        assert_eq!(said.contains("chown root:aivonx"), is_root, "{said}");
        let listen = Listen {
            tls_cert: vec![dir.join("cert.pem")],
            tls_key: vec![dir.join("key.pem")],
            ..Listen::default()
        };
        assert!(Tls::open(0, &listen, &Acme::new(&dir)).unwrap().is_some());
        for (name, mode) in [("ca.pem", 0o644), ("ca.key", 0o600), ("cert.pem", 0o644), ("key.pem", 0o600)] {
            let is = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(is & !0o044, mode & !0o044, "{name}");
        }
        let before = fs::read(dir.join("cert.pem")).unwrap();
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            fs::remove_file(dir.join(name)).unwrap();
        }
        let why = run(&dir, &["localhost"]).unwrap_err();
        assert!(why.to_string().contains("ca.key is there already"), "{why}");
        assert!(!dir.join("cert.pem").exists() && !before.is_empty());
    }

    #[test]
    fn names_that_no_certificate_can_have_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let why = run(dir.path(), &["ü.example"]).unwrap_err().to_string();
        assert!(why.contains("give host names"), "{why}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
