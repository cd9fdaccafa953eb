use std::{fs, path::Path};

use aivonx_config::{self as config, Config, StoreOptions};
use aivonx_domain::TenantScope;
use aivonx_ledgers::audit::{Audit, Entry};
use aivonx_protocol::{
    WireSecret,
    audit::Action,
    backup::{PRIVATE_KEY, Sealing},
};
use aivonx_store::{
    OrganizationRecord, Store, StoreError,
    secrets::{MasterKey, Vault},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{BackupError, Backups, KeyPlaced, Opener, open, public_key, restore, seal::check_recipient};

struct Gateway {
    store: Store,
    audit: Audit,
    backups: Backups,
    _dir: tempfile::TempDir,
}

impl Gateway {
    async fn new(options: config::Backup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("master.key");
        let store = Store::open(dir.path(), &Config::default().store).await.unwrap();
        let vault = Vault::unlock(&key, &store).await.unwrap();
        let audit = Audit::open(&store, &vault, (&Config::default().audit).into()).await.unwrap();
        let backups = Backups::new(store.clone(), audit.clone(), key, options).unwrap();
        let gateway = Self { store, audit, backups, _dir: dir };
        gateway.organization("acme").await;
        gateway
    }

    async fn organization(&self, slug: &str) {
        self.audit.write(Entry::new(Action::Create)).await.unwrap();
        let record = OrganizationRecord { id: slug.to_owned(), ..OrganizationRecord::new(slug) };
        self.store.organizations().insert(record).await.unwrap();
    }

    fn dir(&self) -> &Path {
        self.store.dir()
    }

    async fn export(&self, sealing: Sealing, to: &Path) {
        let (_, mut file) = self.backups.export(sealing).await.unwrap();
        std::io::copy(&mut file, &mut fs::File::create(to).unwrap()).unwrap();
    }

    async fn close(&self) {
        self.audit.close().await;
        self.store.close().await.unwrap();
    }
}

async fn organizations(dir: &Path) -> Vec<String> {
    let store = Store::open(dir, &StoreOptions::default()).await.unwrap();
    let vault = Vault::unlock(&dir.join("master.key"), &store).await.unwrap();
    // Its key is sealed under the master key.
    let audit = Audit::open(&store, &vault, (&Config::default().audit).into()).await.unwrap();
    assert!(audit.verify(&[], None).await.unwrap().intact);
    audit.close().await;
    let found = store.organizations().list(&TenantScope::All).await.unwrap();
    store.close().await.unwrap();
    found.into_iter().map(|organization| organization.slug).collect()
}

fn phrase(text: &str) -> WireSecret {
    WireSecret::new(text.to_owned())
}

#[tokio::test]
async fn each_opens_with_what_it_was_sealed_with_and_nothing_else() {
    let gateway = Gateway::new(config::Backup::default()).await;
    let private = WireSecret::new(format!("{PRIVATE_KEY}{}", STANDARD.encode([9_u8; 32])));
    let recipient = public_key(&private).unwrap();
    let at = tempfile::tempdir().unwrap();
    let path = |name: &str| at.path().join(name);
    gateway.export(Sealing::Master, &path("master")).await;
    gateway.export(Sealing::Passphrase(phrase("correct horse")), &path("phrase")).await;
    gateway.export(Sealing::Recipient(recipient), &path("recipient")).await;
    assert_eq!(fs::read_dir(gateway.dir().join("backups")).unwrap().count(), 0, "nothing of them is kept");
    let mistaken = check_recipient(private.expose()).unwrap_err().to_string();
    assert!(
        mistaken.contains("this is the private key") && !mistaken.contains(private.expose()),
        "{mistaken}"
    );
    let master = || Opener::Master(MasterKey::load(&gateway.dir().join("master.key")).unwrap());
    let other = path("other.key");
    let other = || Opener::Master(MasterKey::load_or_generate(&other).unwrap());
    let refused = |name: &str, opener| match open(&path(name), opener) {
        Err(BackupError::Closed { what, .. }) => what,
        other => panic!("{name}: {:?}", other.map(|_| ()).err()),
    };
    assert!(refused("master", other()).contains("not the one"));
    assert!(refused("master", Opener::None).contains("--master-key"));
    assert!(refused("phrase", master()).contains("--passphrase-file"));
    assert_eq!(refused("phrase", Opener::Passphrase(phrase("correct horsf"))), "the passphrase is wrong");
    assert!(refused("recipient", Opener::Passphrase(phrase("correct horse"))).contains("--private-key"));
    let wrong = WireSecret::new(STANDARD.encode([8_u8; 32]));
    assert!(refused("recipient", Opener::Private(wrong)).contains("not the one"));
    for (name, opener) in [
        ("master", master()),
        ("phrase", Opener::Passphrase(phrase("correct horse"))),
        ("recipient", Opener::Private(private.clone())),
    ] {
        let to = path(&format!("{name}-restored"));
        fs::create_dir(&to).unwrap();
        let opened = open(&path(name), opener).unwrap();
        assert!(
            opened.check(&to).unwrap().nouns().any(|(noun, count)| noun == "organizations" && count == 1)
        );
        assert_eq!(fs::read_dir(&to).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(), 0);
        let key = to.join("master.key");
        let (restored, placed) = restore(&to, opened, &key, None, &StoreOptions::default()).await.unwrap();
        assert_eq!((placed, restored.set_aside), (KeyPlaced::Written, None));
        assert_eq!(organizations(&to).await, ["acme"]);
    }
    for (sealing, why) in [
        (Sealing::Passphrase(phrase("short")), "too short"),
        (Sealing::Recipient("c29tZXRoaW5n".into()), "no recipient's key"),
    ] {
        let error = gateway.backups.export(sealing).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    gateway.close().await;
}

#[tokio::test]
async fn any_changed_bit_and_any_cut_is_found_and_changes_nothing() {
    let gateway = Gateway::new(config::Backup::default()).await;
    let at = tempfile::tempdir().unwrap();
    let (file, to) = (at.path().join("b"), at.path().join("to"));
    gateway.export(Sealing::Master, &file).await;
    gateway.close().await;
    let whole = fs::read(&file).unwrap();
    let key = MasterKey::load(&gateway.dir().join("master.key")).unwrap();
    let opener = || Opener::Master(MasterKey::from_text(key.text().as_bytes(), Path::new("k")).unwrap());
    let changed = (0..100).map(|n| {
        let mut bytes = whole.clone();
        // Spread over the file, ends included.
        let at = n * (whole.len() - 1) / 99;
        bytes[at] ^= 1 << (n % 8);
        bytes
    });
    let cut = [0, 1, 20, whole.len() / 2, whole.len() - 1].map(|to| whole[..to].to_vec());
    let longer = [whole.as_slice(), b"x"].concat();
    for (n, bytes) in changed.chain(cut).chain([longer]).enumerate() {
        fs::write(&file, bytes).unwrap();
        assert!(matches!(open(&file, opener()), Err(BackupError::Bad { .. })), "{n}");
    }
    assert!(!to.exists());
}

#[tokio::test]
async fn over_a_store_that_is_there_the_old_one_is_set_aside_and_its_key_stays() {
    let gateway = Gateway::new(config::Backup::default()).await;
    let other = Gateway::new(config::Backup::default()).await;
    other.organization("other").await;
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("b");
    gateway.export(Sealing::Passphrase(phrase("correct horse")), &file).await;
    let opened = || open(&file, Opener::Passphrase(phrase("correct horse"))).unwrap();
    let key_file = other.dir().join("master.key");
    let key = || Some(MasterKey::load(&key_file).unwrap());
    let options = StoreOptions::default();
    let busy = restore(other.dir(), opened(), &key_file, key(), &options).await.unwrap_err();
    assert!(matches!(busy, BackupError::Store(StoreError::InUse { .. })), "{busy}");
    let _ = (gateway.close().await, other.close().await);
    for _ in 0..2 {
        let (restored, placed) = restore(other.dir(), opened(), &key_file, key(), &options).await.unwrap();
        assert_eq!(placed, KeyPlaced::Changed);
        let aside = restored.set_aside.unwrap();
        assert!(aside.is_dir(), "{}", aside.display());
        assert_eq!(organizations(other.dir()).await, ["acme"]);
    }
}

#[tokio::test]
async fn the_newest_are_kept_each_read_back() {
    let options = config::Backup { keep: 2, ..Default::default() };
    let gateway = Gateway::new(options).await;
    assert_eq!(gateway.backups.newest(), None);
    let mut made = Vec::new();
    for n in 0..3 {
        gateway.organization(&format!("o{n}")).await;
        made.push(gateway.backups.create().await.unwrap());
    }
    let kept = gateway.backups.list().await.unwrap();
    let files = |of: &[aivonx_protocol::backup::Backup]| -> Vec<String> {
        of.iter().map(|one| one.file.clone()).collect()
    };
    assert_eq!(files(&kept), [made[2].file.clone(), made[1].file.clone()]);
    assert_eq!(gateway.backups.newest(), made[2].made);
    assert_eq!(gateway.backups.verify(&kept[0].file).await.unwrap().problem, None);
    for unknown in ["../master.key", "nothing.backup", "/etc/passwd"] {
        assert!(matches!(gateway.backups.verify(unknown).await, Err(BackupError::Unknown(_))), "{unknown}");
    }
    // Made while the clock was a year ahead, before the others: it goes first all the same.
    let early = gateway.dir().join("backups").join("20991231T000000.000Z-1.backup");
    fs::copy(gateway.dir().join("backups").join(&kept[1].file), &early).unwrap();
    gateway.organization("o3").await;
    let newest = gateway.backups.create().await.unwrap();
    let kept = gateway.backups.list().await.unwrap();
    assert_eq!(files(&kept), [newest.file, made[2].file.clone()]);
    assert!(!early.exists());
    let path = gateway.dir().join("backups").join(&kept[0].file);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(gateway.backups.verify(&kept[0].file).await.is_err());
    gateway.close().await;
}
