use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;

/// A directory with pairs of files.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Writes `FILE.pem` and `FILE.key` for these names, good until the end of a year.
    fn pair(&self, file: &str, names: &[&str], year: i32) -> &Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        let key_file = self.path(&format!("{file}.key"));
        fs::write(&key_file, key.serialize_pem()).unwrap();
        private(&key_file);
        self
    }

    fn listen(&self, files: &[&str]) -> Listen {
        let each = |end: &str| files.iter().map(|file| self.path(&format!("{file}.{end}"))).collect();
        Listen { tls_cert: each("pem"), tls_key: each("key"), ..Listen::default() }
    }

    fn why_not(&self, files: &[&str]) -> String {
        Tls::open(2, &self.listen(files), &nowhere()).unwrap_err().to_string()
    }
}

/// Where nothing was obtained.
fn nowhere() -> Arc<Acme> {
    Acme::new(Path::new("/nowhere"))
}

fn private(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The certificate served first.
fn serves(tls: &Tls) -> Vec<u8> {
    tls.served.load().chains[0].cert[0].to_vec()
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_in_words() {
    let disk = Disk::new();
    disk.pair("a", &["a.example"], 2090).pair("b", &["b.example"], 2090);
    assert!(Tls::open(0, &Listen::default(), &nowhere()).unwrap().is_none());

    let crossed = Listen { tls_key: vec![disk.path("b.key")], ..disk.listen(&["a"]) };
    let why = Tls::open(2, &crossed, &nowhere()).unwrap_err().to_string();
    assert!(why.contains("listen[2].tls_key") && why.contains("not the key of the certificate"), "{why}");

    fs::set_permissions(disk.path("a.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let why = disk.why_not(&["b", "a"]);
    // What is root's is read by the group of the daemon, which is not root.
    let is_roots = fs::metadata(disk.path("a.key")).unwrap().uid() == 0;
    let fix = if is_roots { "chown root:aivonx" } else { "chmod 600" };
    assert!(why.contains("mode 0644") && why.contains(fix), "{why}");
    fs::set_permissions(disk.path("a.key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Tls::open(0, &disk.listen(&["a"]), &nowhere()).is_ok(), "its group may read it");

    for (file, text, part) in [
        ("a.pem", "", "holds no certificate"),
        (
            "a.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "the certificate cannot be used",
        ),
        ("b.key", "nothing", "holds no private key"),
    ] {
        fs::write(disk.path(file), text).unwrap();
        let why = disk.why_not(&[&file[..1]]);
        assert!(why.contains(part) && why.contains(file), "{why}");
    }
    assert!(disk.why_not(&["c"]).contains("cannot be read"));
}

#[test]
fn the_name_that_is_asked_for_chooses() {
    let disk = Disk::new();
    disk.pair("a", &["a.example", "127.0.0.1"], 2090).pair("b", &["*.b.example", "B.example"], 2090);
    let pairs = Tls::open(0, &disk.listen(&["a", "b"]), &nowhere()).unwrap().unwrap();
    let chains = pairs.served.load().chains.clone();
    let files = &pairs.files;
    let by_name = ByName::new(read_all(files).unwrap());
    for (name, at) in [
        ("a.example", Some(0)),
        ("A.EXAMPLE", Some(0)),
        ("b.example", Some(1)),
        ("x.b.example", Some(1)),
        ("x.y.b.example", None),
        ("c.example", None),
        ("", None),
    ] {
        let found = by_name.find(name).map(|found| found.cert.clone());
        assert_eq!(found, at.map(|at: usize| chains[at].cert.clone()), "{name}");
    }
    assert_eq!(by_name.first.unwrap().cert, chains[0].cert);
}

#[test]
fn what_is_served_changes_only_for_something_better() {
    let disk = Disk::new();
    disk.pair("a", &["a.example"], 2090);
    let tls = Tls::open(0, &disk.listen(&["a"]), &nowhere()).unwrap().unwrap();
    let first = serves(&tls);
    assert!(!tls.reload().unwrap(), "nothing is new");

    disk.pair("a", &["a.example"], 2020);
    assert!(tls.reload().unwrap_err().to_string().contains("has expired, at 2020-12-31"));
    assert_eq!(serves(&tls), first);
    let said = tls.warnings(Timestamp::now());
    assert!(said.len() == 1 && said[0].contains("the one before is served"), "{said:?}");

    disk.pair("a", &["a.example"], 2091);
    assert!(tls.reload().unwrap());
    assert_ne!(serves(&tls), first);
    assert!(tls.warnings(Timestamp::now()).is_empty());
}

#[test]
fn one_that_expired_while_served_does_not_keep_others_from_being_renewed() {
    let disk = Disk::new();
    disk.pair("old", &["a.example"], 2020).pair("b", &["b.example"], 2090);
    let tls = Tls::open(0, &disk.listen(&["old", "b"]), &nowhere()).unwrap().unwrap();
    disk.pair("b", &["b.example"], 2091);
    assert!(tls.reload().unwrap());
    disk.pair("b", &["b.example"], 2020);
    assert!(tls.reload().unwrap_err().to_string().contains("b.pem"));
    disk.pair("b", &["b.example"], 2092).pair("old", &["a.example"], 2021);
    assert!(tls.reload().is_err(), "another that has expired");
    disk.pair("old", &["a.example"], 2093);
    assert!(tls.reload().unwrap());
    assert!(tls.warnings(Timestamp::now()).is_empty());
}

#[test]
fn files_are_read_once_they_stay_as_they_are() {
    let disk = Disk::new();
    disk.pair("a", &["a.example"], 2090).pair("b", &["a.example"], 2090);
    let tls = Tls::open(0, &disk.listen(&["a"]), &nowhere()).unwrap().unwrap();
    let first = serves(&tls);
    fs::copy(disk.path("b.pem"), disk.path("a.pem")).unwrap();
    tls.look();
    assert_eq!(serves(&tls), first);
    fs::copy(disk.path("b.key"), disk.path("a.key")).unwrap();
    tls.look();
    assert!(tls.warnings(Timestamp::now()).is_empty(), "half of it was never read");
    tls.look();
    assert_ne!(serves(&tls), first);
}

#[test]
fn one_that_has_expired_is_served_with_a_warning() {
    let disk = Disk::new();
    disk.pair("old", &["a.example"], 2020);
    let tls = Tls::open(0, &disk.listen(&["old"]), &nowhere()).unwrap().unwrap();
    let said = tls.warnings(Timestamp::now());
    assert!(said[0].contains("listen[0] has expired, at 2020-12-31"), "{said:?}");
    let soon = "2020-12-30T00:00:00Z".parse().unwrap();
    assert!(tls.warnings(soon)[0].contains("expires at 2020-12-31"));
    assert!(tls.warnings("2020-01-01T00:00:00Z".parse().unwrap()).is_empty());
}

#[test]
fn one_that_is_obtained_may_come_later() {
    let disk = Disk::new();
    let acme = Acme::new(disk.0.path());
    let listen = Listen { acme: vec!["A.example".into()], ..Listen::default() };
    let tls = Tls::open(0, &listen, &acme).unwrap().unwrap();
    assert!(tls.served.load().chains.is_empty() && tls.until().is_none());
    disk.pair("a", &["a.example"], 2020);
    let [cert, key] = ["a.pem", "a.key"].map(|name| fs::read_to_string(disk.path(name)).unwrap());
    let file = acme.file(&listen.acme);
    fs::write(&file, key + &cert).unwrap();
    private(&file);
    let obtained = Obtained::read(&file).unwrap();
    assert_eq!((&obtained.names[..], obtained.from < obtained.until), (&["a.example".to_owned()][..], true));
    assert!(tls.reload().unwrap());
    assert_eq!(serves(&tls), obtained.certificate.to_vec());
    // Who obtains it says so.
    assert!(tls.warnings(Timestamp::now()).is_empty());
    fs::write(&file, "nothing").unwrap();
    assert!(Tls::open(0, &listen, &acme).unwrap().unwrap().served.load().chains.is_empty());
}
