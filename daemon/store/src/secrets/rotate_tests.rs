//! Tests of rotation: stopped and killed at every point, with others writing meanwhile.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aivonx_config::StoreOptions;
use aivonx_domain::TenantScope;
use aivonx_protocol::WireSecret;
use rand::Rng as _;

use super::*;
use crate::{
    NodeRecord, SecretKind, SecretRecord, StoreError, StoredCredential, StoredTotp, UserRecord,
    secrets::{MasterKey, Sealed},
    tests::kills,
};

fn options() -> StoreOptions {
    StoreOptions {
        cache_bytes: 16 << 20,
        snapshots: 2,
        snapshot_interval: Duration::from_secs(86_400),
        open_deadline: Duration::from_secs(30),
        operation_deadline: Duration::from_secs(20),
    }
}

async fn open(dir: &Path) -> (Store, Vault) {
    let store = Store::open(dir, &options()).await.unwrap();
    let master = MasterKey::load_or_generate(&dir.join("master.key")).unwrap();
    let vault = Vault::open(master, &store).await.unwrap();
    (store, vault)
}

pub(in crate::secrets) fn node(name: &str, credential: StoredCredential) -> NodeRecord {
    NodeRecord {
        id: format!("id-{name}"),
        credential,
        created: 1,
        ..NodeRecord::new(name, "http://127.0.0.1:1")
    }
}

fn seal(vault: &Vault, name: &str, secret: &str) -> Sealed {
    vault.seal("node", &format!("id-{name}"), &WireSecret::new(secret.into())).unwrap()
}

/// `count` nodes, each with a secret of its own, in every form a credential has.
async fn fill(store: &Store, vault: &Vault, count: usize) {
    for n in 0..count {
        let name = format!("n{n}");
        let sealed = seal(vault, &name, &format!("secret of {name}"));
        let credential = match n % 4 {
            0 => StoredCredential::Bearer(sealed),
            1 => StoredCredential::Basic { user: "u".into(), password: sealed },
            2 => StoredCredential::Header { name: "x".into(), value: sealed },
            _ => StoredCredential::Certificate { chain: "c".into(), until: 1, key: sealed, header: None },
        };
        store.nodes().insert(node(&name, credential)).await.unwrap();
    }
    store.nodes().insert(node("open", StoredCredential::None)).await.unwrap();
}

fn sealed_in(credential: &StoredCredential) -> Option<&Sealed> {
    match credential {
        StoredCredential::None => None,
        StoredCredential::Bearer(s)
        | StoredCredential::Basic { password: s, .. }
        | StoredCredential::Header { value: s, .. }
        | StoredCredential::Certificate { key: s, .. } => Some(s),
    }
}

/// Every secret opens and is its own node's.
async fn check(store: &Store, vault: &Vault, count: usize) {
    let nodes = store.nodes().list().await.unwrap();
    let mut seen = 0;
    for node in &nodes {
        if let Some(sealed) = sealed_in(&node.credential) {
            let opened = vault.open_sealed("node", &node.id, sealed).unwrap();
            assert_eq!(opened.expose(), format!("secret of {}", node.name));
            seen += 1;
        }
    }
    assert_eq!(seen, count);
}

async fn key_ids(store: &Store) -> Vec<u32> {
    store.data_keys().list().await.unwrap().iter().map(|record| record.id).collect()
}

fn go(_: &[Part]) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn done(outcome: Outcome) -> Rotated {
    match outcome {
        Outcome::Done(rotated) => rotated,
        Outcome::Stopped => panic!("stopped"),
    }
}

#[tokio::test]
async fn everything_is_sealed_anew_and_the_old_key_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path()).await;
    fill(&store, &vault, 40).await;
    let before = store.nodes().list().await.unwrap();
    let mut changes = store.subscribe();
    let steps = Mutex::new(Vec::new());
    let report = |parts: &[Part]| {
        steps.lock().unwrap().push(parts.first().map(|part| (part.done, part.total)));
        ControlFlow::Continue(())
    };
    let rotated = done(rotate(&store, &vault, &report).await.unwrap());
    assert_eq!((rotated.data_key, &*rotated.retired, rotated.unopened.len()), (2, &[1][..], 0));
    assert_eq!(rotated.parts, [Part { kind: "node credentials", done: 40, total: 40 }]);
    let steps = steps.into_inner().unwrap();
    assert_eq!(steps, [None, Some((0, 40)), Some((16, 40)), Some((32, 40)), Some((40, 40))]);
    assert_eq!(key_ids(&store).await, [2]);
    assert!(!is_unfinished(&store).await.unwrap());
    check(&store, &vault, 40).await;
    let after = store.nodes().list().await.unwrap();
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old.revision, new.revision, "for everyone else nothing has changed");
        let key = sealed_in(&new.credential).map(|sealed| sealed.key);
        assert_eq!(key, sealed_in(&old.credential).map(|_| 2));
    }
    assert!(changes.try_recv().is_err(), "nobody is told");
    store.close().await.unwrap();
    let (store, vault) = open(dir.path()).await;
    check(&store, &vault, 40).await;
}

/// One secret of every kind there is: a kind that is added and not here is missed by the count at the end.
#[tokio::test]
async fn secrets_of_every_kind_are_sealed_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path()).await;
    fill(&store, &vault, 3).await;
    let secret = |text: &str| WireSecret::new(text.into());
    let user = UserRecord {
        totp: Some(StoredTotp {
            secret: vault.seal("user", "id-user", &secret("totp")).unwrap(),
            confirmed: true,
            last_step: 7,
        }),
        ..crate::testing::record("id-user", "alice")
    };
    store.users().insert(user).await.unwrap();
    for kind in [SecretKind::Pepper, SecretKind::TokenSigning, SecretKind::AuditSigning] {
        let id = format!("{kind:?}");
        let record = SecretRecord {
            sealed: vault.seal("secret", &id, &secret(&id)).unwrap(),
            id,
            kind,
            number: 1,
            created: 0,
            retire_at: None,
            revision: 0,
        };
        store.secrets().insert(record).await.unwrap();
    }
    let rotated = done(rotate(&store, &vault, &go).await.unwrap());
    let kinds: Vec<_> = rotated.parts.iter().map(|part| (part.kind, part.done)).collect();
    let expected = [
        ("audit signing keys", 1),
        ("node credentials", 3),
        ("peppers", 1),
        ("token signing keys", 1),
        ("two-factor secrets", 1),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(key_ids(&store).await, [2]);
    check(&store, &vault, 3).await;
    let user = store.users().get(&TenantScope::All, "id-user").await.unwrap().unwrap();
    let totp = user.totp.unwrap();
    assert_eq!(vault.open_sealed("user", "id-user", &totp.secret).unwrap().expose(), "totp");
    assert_eq!((user.revision, totp.last_step, totp.confirmed), (1, 7, true));
    for record in store.secrets().list(&TenantScope::All).await.unwrap() {
        assert_eq!(vault.open_sealed("secret", &record.id, &record.sealed).unwrap().expose(), record.id);
    }
}

#[tokio::test]
async fn stopped_at_any_point_it_is_finished_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut generations = 0;
    for stop_at in 0..6 {
        for again in [true, false] {
            let (store, vault) = open(dir.path()).await;
            if generations == 0 {
                fill(&store, &vault, 40).await;
            }
            generations += 1;
            let calls = AtomicUsize::new(0);
            let report = |_: &[Part]| match calls.fetch_add(1, Ordering::Relaxed) == stop_at {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let outcome = rotate(&store, &vault, &report).await.unwrap();
            assert_eq!(outcome == Outcome::Stopped, stop_at < 5, "at {stop_at}");
            check(&store, &vault, 40).await;
            store.close().await.unwrap();

            let (store, vault) = open(dir.path()).await;
            check(&store, &vault, 40).await;
            assert_eq!(is_unfinished(&store).await.unwrap(), (1..5).contains(&stop_at));
            let next =
                if again { rotate(&store, &vault, &go).await } else { finish(&store, &vault, &go).await };
            let rotated = done(next.unwrap());
            assert_eq!(key_ids(&store).await, [rotated.data_key]);
            check(&store, &vault, 40).await;
            store.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_made_meanwhile_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path()).await;
    fill(&store, &vault, 30).await;
    let stop = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for writer in 0..3 {
        let (store, vault, stop) = (store.clone(), vault.clone(), stop.clone());
        writers.push(tokio::spawn(async move {
            let mut edits = 0_u32;
            while stop.load(Ordering::Relaxed) == 0 {
                let name = format!("n{}", writer * 10 + edits as usize % 10);
                edits += 1;
                // Every other edit brings a new secret, sealed a little before it is stored.
                let sealed =
                    edits.is_multiple_of(2).then(|| seal(&vault, &name, &format!("secret of {name}")));
                tokio::task::yield_now().await;
                let edit = move |node: &mut NodeRecord| {
                    node.max_parallel += 1;
                    if let Some(sealed) = sealed {
                        node.credential = StoredCredential::Bearer(sealed);
                    }
                };
                match store.nodes().update(&format!("id-{name}"), None, edit).await {
                    Ok(_) => {}
                    Err(StoreError::StaleSeal { .. }) => edits -= 1,
                    Err(other) => panic!("{other}"),
                }
            }
            edits
        }));
    }
    for _ in 0..5 {
        done(rotate(&store, &vault, &go).await.unwrap());
        assert_eq!(key_ids(&store).await.len(), 1);
    }
    stop.store(1, Ordering::Relaxed);
    let mut edits = 0;
    for writer in writers {
        edits += writer.await.unwrap();
    }
    let nodes = store.nodes().list().await.unwrap();
    assert_eq!(nodes.iter().map(|node| node.max_parallel).sum::<u32>(), edits);
    check(&store, &vault, 30).await;
}

#[tokio::test]
async fn what_was_sealed_under_a_key_that_is_gone_cannot_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path()).await;
    let late = node("late", StoredCredential::Bearer(seal(&vault, "late", "secret of late")));
    done(rotate(&store, &vault, &go).await.unwrap());
    let refused = store.nodes().insert(late).await.unwrap_err();
    assert!(matches!(refused, StoreError::StaleSeal { .. }) && refused.is_refusal(), "{refused}");
    assert!(store.nodes().list().await.unwrap().is_empty());
    let again = node("late", StoredCredential::Bearer(seal(&vault, "late", "secret of late")));
    store.nodes().insert(again).await.unwrap();
    check(&store, &vault, 1).await;
}

#[tokio::test]
async fn a_secret_that_does_not_open_is_named_and_keeps_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path()).await;
    fill(&store, &vault, 20).await;
    let mut broken = seal(&vault, "bad", "secret of bad");
    broken.ciphertext[0] ^= 1;
    store.nodes().insert(node("bad", StoredCredential::Bearer(broken))).await.unwrap();
    let rotated = done(rotate(&store, &vault, &go).await.unwrap());
    assert_eq!((rotated.parts[0].done, rotated.retired.len()), (20, 0));
    assert_eq!(rotated.unopened.len(), 1);
    assert!(rotated.unopened[0].record == "id-bad" && rotated.unopened[0].why.contains("set it again"));
    assert_eq!(key_ids(&store).await, [1, 2]);
    // Mended, it holds up nothing any more.
    let sealed = seal(&vault, "bad", "secret of bad");
    let mend = |node: &mut NodeRecord| node.credential = StoredCredential::Bearer(sealed);
    store.nodes().update("id-bad", None, mend).await.unwrap();
    assert_eq!(done(finish(&store, &vault, &go).await.unwrap()).retired, [1]);
    check(&store, &vault, 21).await;
}

#[tokio::test]
async fn a_master_key_that_was_exchanged_or_lost_stops_it_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path()).await;
    let path = dir.path().join("master.key");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(rotate(&store, &vault, &go).await, Err(SecretsError::Io { .. })));
    MasterKey::load_or_generate(&path).unwrap();
    assert!(matches!(rotate(&store, &vault, &go).await, Err(SecretsError::WrongMasterKey { .. })));
    assert_eq!(key_ids(&store).await, [1]);
}

const CHILD: &str = "AIVONX_TEST_ROTATE_DIR";

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "secrets::rotate::tests::as_child", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn say(line: &str) {
    // One write, so that a kill cannot tear a line.
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Not a test: what is killed. Rotates again and again, while a node is changed. Without the variable it does
/// nothing.
#[test]
fn as_child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, vault) = open(Path::new(&dir)).await;
        let editor = store.clone();
        tokio::spawn(async move {
            loop {
                let edited =
                    editor.nodes().update("id-n0", None, |node| node.max_parallel += 1).await.unwrap();
                say(&format!("\nEDIT {}", edited.max_parallel));
            }
        });
        loop {
            let report = |_: &[Part]| {
                say("\nSTEP");
                ControlFlow::Continue(())
            };
            rotate(&store, &vault, &report).await.unwrap();
        }
    });
}

#[tokio::test]
async fn killed_at_random_points_every_secret_opens_and_it_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path()).await;
    fill(&store, &vault, 40).await;
    store.close().await.unwrap();
    let mut unfinished = 0;
    for round in 0..kills(20) {
        let mut child = start(dir.path());
        let (steps, delay) = {
            let mut random = rand::rng();
            (random.random_range(1..12), random.random_range(0..2000))
        };
        let (mut seen, mut edits) = (0, 0);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some(count) = line.strip_prefix("EDIT ") {
                edits = count.parse().unwrap();
            }
            if line == "STEP" {
                seen += 1;
                if seen == steps {
                    // Not only between steps: anywhere within one.
                    std::thread::sleep(Duration::from_micros(delay));
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(seen >= steps, "round {round}: it ended by itself");
        let (store, vault) = open(dir.path()).await;
        check(&store, &vault, 40).await;
        let edited = store.nodes().get("id-n0").await.unwrap().unwrap();
        assert!(edited.max_parallel >= edits, "round {round}: an acknowledged change is lost");
        if is_unfinished(&store).await.unwrap() {
            unfinished += 1;
            if round % 2 == 0 {
                let rotated = done(finish(&store, &vault, &go).await.unwrap());
                assert_eq!(key_ids(&store).await, [rotated.data_key]);
                check(&store, &vault, 40).await;
            }
        }
        store.close().await.unwrap();
    }
    assert!(unfinished > 0, "no kill came in the middle");
    let (store, vault) = open(dir.path()).await;
    done(finish(&store, &vault, &go).await.unwrap());
    assert_eq!(key_ids(&store).await.len(), 1);
    check(&store, &vault, 40).await;
}
