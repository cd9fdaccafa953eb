//! Tests of the checks and of the status.

use std::{fs::File, os::unix::fs::PermissionsExt as _, time::Duration};

use aivonx_config::StoreOptions;
use aivonx_protocol::{WireSecret, secrets::CheckOutcome};

use super::*;
use crate::{
    NodeRecord, StoredCredential,
    secrets::{Secrets, rotate},
};

struct Rig {
    dir: tempfile::TempDir,
    store: Store,
    vault: Vault,
    secrets: Secrets,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            cache_bytes: 16 << 20,
            snapshots: 9,
            snapshot_interval: Duration::from_secs(86_400),
            open_deadline: Duration::from_secs(30),
            operation_deadline: Duration::from_secs(20),
        };
        let store = Store::open(&dir.path().join("data"), &options).await.unwrap();
        let master = MasterKey::load_or_generate(&dir.path().join("master.key")).unwrap();
        let vault = Vault::open(master, &store).await.unwrap();
        let secrets = Secrets::new(store.clone(), vault.clone());
        Self { dir, store, vault, secrets }
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("master.key")
    }

    async fn node(&self, name: &str, damage: bool) {
        let id = format!("id-{name}");
        let mut sealed = self.vault.seal("node", &id, &WireSecret::new("s".into())).unwrap();
        sealed.ciphertext[0] ^= u8::from(damage);
        let record = NodeRecord {
            id,
            name: name.into(),
            credential: StoredCredential::Bearer(sealed),
            ..crate::secrets::rotate::tests::node("", StoredCredential::None)
        };
        self.store.nodes().insert(record).await.unwrap();
    }

    /// Outcome of every check by name, and everything that was said.
    async fn validate(&self, refusing: &[(String, String)]) -> (HashMap<String, CheckOutcome>, String) {
        let checks = self.secrets.validate(refusing).await.unwrap();
        let said = checks.iter().map(|c| format!("{} {:?} {} {:?}\n", c.name, c.outcome, c.finding, c.fix));
        (checks.iter().map(|c| (c.name.clone(), c.outcome)).collect(), said.collect())
    }

    async fn only_wrong(&self, name: &str, outcome: CheckOutcome, says: &str) {
        let (outcomes, said) = self.validate(&[]).await;
        let wrong: Vec<_> = outcomes.iter().filter(|(_, outcome)| **outcome != CheckOutcome::Ok).collect();
        assert_eq!(wrong, [(&name.to_owned(), &outcome)], "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn all_in_order() {
    let rig = Rig::new().await;
    rig.node("a", false).await;
    rig.store.snapshot().await.unwrap();
    let (outcomes, said) = rig.validate(&[]).await;
    assert!(outcomes.values().all(|outcome| *outcome == CheckOutcome::Ok), "{said}");
    let names = ["present", "private", "form", "elsewhere", "opens", "distinct", "age", "rotation", "nodes"];
    assert!(names.iter().all(|name| outcomes.contains_key(*name)), "{said}");
    assert!(said.contains("1 secret opens") && said.contains("2 keys"), "{said}");
    let key = fs::read_to_string(rig.key()).unwrap();
    assert!(!said.contains(key.trim()));
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_found_alone() {
    let rig = Rig::new().await;
    rig.node("bad", true).await;
    rig.only_wrong("opens", CheckOutcome::Fail, "node credentials of id-bad").await;
    rig.store.nodes().remove("id-bad", None).await.unwrap();

    File::options().write(true).open(rig.key()).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    rig.only_wrong("age", CheckOutcome::Warn, "aivonxd rekey").await;
    File::options().write(true).open(rig.key()).unwrap().set_modified(std::time::SystemTime::now()).unwrap();

    rig.vault.add_key(&rig.store).await.unwrap();
    rig.only_wrong("rotation", CheckOutcome::Warn, "not finished").await;
    rotate::finish(&rig.store, &rig.vault, &|_| std::ops::ControlFlow::Continue(())).await.unwrap();

    let snapshot = rig.store.snapshot().await.unwrap();
    let mut bytes = fs::read(&snapshot).unwrap();
    bytes[30] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    rig.only_wrong("snapshots", CheckOutcome::Warn, "1 of 1").await;
    fs::remove_file(snapshot).unwrap();

    let refusing = [("gpu1".to_owned(), "GET /api/version answered 401".to_owned())];
    let (outcomes, said) = rig.validate(&refusing).await;
    assert_eq!(outcomes["nodes"], CheckOutcome::Fail);
    assert!(said.contains("gpu1 (GET /api/version answered 401)"), "{said}");
}

#[tokio::test]
async fn a_master_key_file_that_is_gone_open_or_another_is_found_while_the_daemon_runs() {
    let rig = Rig::new().await;
    rig.node("a", false).await;
    let right = fs::read(rig.key()).unwrap();
    fs::set_permissions(rig.key(), fs::Permissions::from_mode(0o640)).unwrap();
    let (outcomes, said) = rig.validate(&[]).await;
    assert_eq!((outcomes["private"], outcomes["form"]), (CheckOutcome::Fail, CheckOutcome::Warn), "{said}");
    assert!(said.contains("chmod 0600"));
    fs::remove_file(rig.key()).unwrap();
    let (outcomes, said) = rig.validate(&[]).await;
    assert_eq!((outcomes["present"], outcomes["opens"]), (CheckOutcome::Fail, CheckOutcome::Fail), "{said}");
    MasterKey::load_or_generate(&rig.key()).unwrap();
    let (outcomes, said) = rig.validate(&[]).await;
    assert_eq!((outcomes["form"], outcomes["opens"]), (CheckOutcome::Ok, CheckOutcome::Fail), "{said}");
    fs::write(rig.key(), "password\n").unwrap();
    let (outcomes, said) = rig.validate(&[]).await;
    assert_eq!(outcomes["form"], CheckOutcome::Fail, "{said}");
    fs::write(rig.key(), right).unwrap();
    assert!(rig.validate(&[]).await.0.values().all(|outcome| *outcome == CheckOutcome::Ok));
}

#[tokio::test]
async fn a_key_beside_the_store_is_worth_a_word() {
    let rig = Rig::new().await;
    let inside = rig.dir.path().join("data/sub");
    fs::create_dir(&inside).unwrap();
    fs::copy(rig.key(), inside.join("master.key")).unwrap();
    std::os::unix::fs::symlink(inside.join("master.key"), rig.dir.path().join("link.key")).unwrap();
    let data = rig.dir.path().join("data");
    for path in [inside.join("master.key"), rig.dir.path().join("link.key")] {
        assert_eq!(elsewhere(&path, &data).outcome, CheckOutcome::Warn, "{}", path.display());
    }
    assert_eq!(elsewhere(&rig.key(), &data).outcome, CheckOutcome::Ok);
}

#[tokio::test]
async fn the_status_says_which_snapshots_need_retired_keys() {
    let rig = Rig::new().await;
    rig.node("a", false).await;
    rig.node("b", false).await;
    rig.store.snapshot().await.unwrap();
    rig.secrets.rotate(&|_| std::ops::ControlFlow::Continue(())).await.unwrap();
    rig.store.snapshot().await.unwrap();
    let status = rig.secrets.status().await.unwrap();
    assert_eq!((status.data_keys.len(), status.data_keys[0].number, status.data_keys[0].sealed), (1, 2, 2));
    assert_eq!((status.sealed[0].kind.as_str(), status.sealed[0].count), ("node credentials", 2));
    assert!(!status.unfinished);
    let keys: Vec<_> = status.snapshots.iter().map(|s| (s.data_keys.clone(), s.retired.clone())).collect();
    assert_eq!(keys, [(vec![2], vec![]), (vec![1], vec![1])]);
    assert!(status.snapshots.iter().all(|snapshot| snapshot.problem.is_none()));
}
