use std::sync::Arc;

use tokio::sync::broadcast;

use super::*;
use crate::{
    change::Change,
    database::{Server, Tables},
    member::MemberState,
    relocate,
    testing::PostgresServer,
};

/// A server with the tables made, and the gateway's role to use them.
fn migrated() -> Option<PostgresServer> {
    let postgres = PostgresServer::start()?;
    postgres.server().migrate("aivonx").unwrap();
    Some(postgres)
}

fn server(postgres: &PostgresServer) -> Server {
    Server::at(postgres.url("aivonx").parse().unwrap(), None).unwrap()
}

async fn open_on(dir: &Path, postgres: &PostgresServer) -> Result<Store, StoreError> {
    Store::open_with(dir, &options(), Some(server(postgres))).await
}

async fn refusal(dir: &Path, postgres: &PostgresServer) -> String {
    open_on(dir, postgres).await.unwrap_err().to_string()
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn settings_are_kept_by_a_role_with_data_rights_alone() {
    let Some(postgres) = PostgresServer::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    // Nothing is made at a start.
    let why = refusal(dir.path(), &postgres).await;
    assert!(why.contains("aivonxd migrate --apply"), "{why}");
    assert!(matches!(server(&postgres).tables().unwrap(), Tables::Missing(_)));
    assert!(server(&postgres).migrate("aivonx").is_err(), "not with the rights of the gateway's role");
    postgres.server().migrate("aivonx").unwrap();
    postgres.server().migrate("aivonx").unwrap();
    assert_eq!(server(&postgres).tables().unwrap(), Tables::Ready);
    assert_eq!(server(&postgres).needless_rights().unwrap(), [""; 0]);
    assert!(postgres.server().needless_rights().unwrap().contains(&"it is a superuser".to_owned()));

    let store = open_on(dir.path(), &postgres).await.unwrap();
    let a = store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
    assert!(!dir.path().join("store").exists());
    let store = open_on(dir.path(), &postgres).await.unwrap();
    assert_eq!(store.nodes().list().await.unwrap(), [a]);
    store.verify().await.unwrap();
    store.close().await.unwrap();

    let why = Store::open(dir.path(), &options()).await.unwrap_err().to_string();
    assert!(why.contains("cluster.postgres is not set"), "{why}");
    postgres.sql("aivonx", "UPDATE aivonx.version SET version = 99");
    let why = refusal(dir.path(), &postgres).await;
    assert!(why.contains("version 99"), "{why}");
    // The tables of an earlier version are brought up to this one.
    postgres.sql("aivonx", "UPDATE aivonx.version SET version = 1");
    let why = refusal(dir.path(), &postgres).await;
    assert!(why.contains("version 1, not 2"), "{why}");
    postgres.server().migrate("aivonx").unwrap();
    // Those of the next one are made before the first gateway is upgraded.
    postgres.sql("aivonx", "UPDATE aivonx.version SET version = 3");
    open_on(dir.path(), &postgres).await.unwrap().close().await.unwrap();
    postgres.sql("aivonx", "UPDATE aivonx.version SET version = 2");
    postgres.sql("aivonx", "DELETE FROM aivonx.record WHERE space = 'node'");
    let why = refusal(dir.path(), &postgres).await;
    assert!(why.contains("damaged") && why.contains("node"), "{why}");
}

async fn names(store: &Store) -> Vec<String> {
    store.nodes().list().await.unwrap().into_iter().map(|node| node.name).collect()
}

#[tokio::test]
async fn a_new_data_directory_joins_and_a_copy_of_one_is_refused() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (first, other, copied) =
        (dir.path().join("first"), dir.path().join("other"), dir.path().join("copied"));
    let store = open_on(&first, &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    let second = open_on(&other, &postgres).await.unwrap();
    assert_eq!(names(&second).await, ["a"]);
    assert_eq!(second.settings().daemon_id(), store.settings().daemon_id());
    assert_ne!(second.member_id(), store.member_id());
    second.nodes().insert(node("b")).await.unwrap();
    store.nodes().insert(node("c")).await.unwrap();
    assert_eq!(names(&store).await, ["a", "b", "c"]);
    store.verify().await.unwrap();
    second.verify().await.unwrap();
    // The copy of a machine is not the machine.
    copy(&first, &copied);
    let why = refusal(&copied, &postgres).await;
    assert!(why.contains("two gateways with one are refused") && why.contains("/first"), "{why}");
    store.close().await.unwrap();
    second.nodes().insert(node("d")).await.unwrap();
    let states: Vec<_> = second.members().await.unwrap().into_iter().map(|member| member.state).collect();
    assert!(states.contains(&MemberState::Serving) && states.contains(&MemberState::Stopped), "{states:?}");
    // One that was killed comes back at once, and lets a copy in when it was not seen for long.
    postgres.sql(
        "aivonx",
        "UPDATE aivonx.member SET place = 'elsewhere', seen = clock_timestamp() WHERE place IS NULL",
    );
    let why = refusal(&first, &postgres).await;
    assert!(why.contains("30 seconds"), "{why}");
    postgres.sql(
        "aivonx",
        "UPDATE aivonx.member SET seen = clock_timestamp() - interval '31 seconds' WHERE place = 'elsewhere'",
    );
    let again = open_on(&first, &postgres).await.unwrap();
    assert_eq!(names(&again).await, ["a", "b", "c", "d"]);
    again.close().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn one_that_was_killed_starts_again_at_once() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(dir.path(), &postgres).await.unwrap();
    let place = postgres.sql("aivonx", "SELECT place FROM aivonx.member");
    store.close().await.unwrap();
    // In its turn.
    postgres.sql(
        "aivonx",
        &format!(
            "UPDATE aivonx.member SET place = '{place}', seen = clock_timestamp(); \
             UPDATE aivonx.writer SET turn = 'its', until = clock_timestamp() + interval '2 seconds'"
        ),
    );
    let store = open_on(dir.path(), &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn one_that_was_superseded_writes_nothing_and_learns_of_it() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (first, copied) = (dir.path().join("first"), dir.path().join("copied"));
    let (at, to) = (dir.path().join("new"), server(&postgres));
    let why = blocking(move || relocate::take_over(&at, to, false)).await.unwrap_err().to_string();
    assert!(why.contains("it joins"), "{why}");
    let store = open_on(&first, &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    copy(&first, &copied);
    let (at, to) = (copied.clone(), server(&postgres));
    let why = blocking(move || relocate::take_over(&at, to, false)).await.unwrap_err().to_string();
    assert!(why.contains("--force"), "{why}");
    let (at, to) = (copied.clone(), server(&postgres));
    blocking(move || relocate::take_over(&at, to, true)).await.unwrap();
    // By the change, or by a look just before it.
    let error = store.nodes().insert(node("late")).await.unwrap_err().to_string();
    assert!(error.contains("was taken over"), "{error}");
    assert!(store.superseded().await.contains("was taken over"));
    let second = open_on(&copied, &postgres).await.unwrap();
    assert_eq!(names(&second).await, ["a"]);
    let _ = store.close().await;
    second.nodes().insert(node("b")).await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_fenced_member_writes_nothing_and_learns_of_it() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (first, other) = (dir.path().join("first"), dir.path().join("other"));
    let store = open_on(&first, &postgres).await.unwrap();
    let second = open_on(&other, &postgres).await.unwrap();
    let fenced = store.member_id().unwrap().to_owned();
    assert!(second.fence_member(&fenced).await.unwrap());
    assert!(!second.fence_member(&fenced).await.unwrap());
    let error = store.nodes().insert(node("late")).await.unwrap_err().to_string();
    assert!(error.contains("was fenced"), "{error}");
    assert!(store.superseded().await.contains("was fenced"));
    let _ = store.close().await;
    assert!(refusal(&first, &postgres).await.contains("was fenced"));
    second.nodes().insert(node("a")).await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn members_of_another_version_are_refused() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&dir.path().join("first"), &postgres).await.unwrap();
    postgres.sql("aivonx", "UPDATE aivonx.member SET version = '99.0.0'");
    let why = refusal(&dir.path().join("other"), &postgres).await;
    assert!(why.contains("runs aivonxd 99.0.0"), "{why}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_others_change_is_followed_and_what_they_missed_is_any() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&dir.path().join("first"), &postgres).await.unwrap();
    let second = open_on(&dir.path().join("other"), &postgres).await.unwrap();
    let mut changes = second.subscribe();
    let a = store.nodes().insert(node("a")).await.unwrap();
    let told = async |changes: &mut broadcast::Receiver<Change>, wanted: Change| {
        let told = async { while changes.recv().await.unwrap() != wanted {} };
        tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    };
    let one = |id: &str| Change { collection: Collection::Node, id: id.to_owned(), revision: 0 };
    told(&mut changes, one(&a.id)).await;
    store.settings().set_strategy(aivonx_protocol::strategy::Strategy::RoundRobin).await.unwrap();
    told(&mut changes, Change { collection: Collection::Strategy, ..one("") }).await;
    // What it knew is forgotten before it looks.
    postgres.sql(
        "aivonx",
        "WITH new AS (UPDATE aivonx.writer SET revision = revision + 5 RETURNING revision), old AS (DELETE FROM \
         aivonx.change) INSERT INTO aivonx.change SELECT revision, 'node', '', 'x' FROM new",
    );
    told(&mut changes, Change { collection: Collection::Pattern, ..one("") }).await;
    store.close().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_write_at_once_lose_nothing_and_share_no_name() {
    const EACH: usize = 12;
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    // All at once into a database that is empty.
    let open = |n: usize| {
        let (at, to) = (dir.path().join(n.to_string()), server(&postgres));
        tokio::spawn(async move { Store::open_with(&at, &options(), Some(to)).await.unwrap() })
    };
    let mut stores = Vec::new();
    for opening in (0..3).map(open).collect::<Vec<_>>() {
        stores.push(opening.await.unwrap());
    }
    let writes = stores.iter().enumerate().map(|(n, store)| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut shared = 0;
            for i in 0..EACH {
                store.nodes().insert(node(&format!("own-{n}-{i}"))).await.unwrap();
                shared += usize::from(store.nodes().insert(node(&format!("shared-{i}"))).await.is_ok());
                store.settings().hide_usage(format!("{n}-{i}"), true).await.unwrap();
            }
            shared
        })
    });
    let mut shared = 0;
    for write in writes.collect::<Vec<_>>() {
        shared += write.await.unwrap();
    }
    assert_eq!(shared, EACH, "each name was taken once");
    for store in &stores {
        assert_eq!(names(store).await.len(), 4 * EACH);
        assert_eq!(store.settings().hidden_usage().await.unwrap().len(), 3 * EACH, "no update was lost");
        store.verify().await.unwrap();
    }
    for store in stores {
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_member_needs_the_master_key_of_the_others() {
    use crate::secrets::{MasterKey, SecretsError, Vault};

    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (first, other) = (dir.path().join("first"), dir.path().join("other"));
    let store = open_on(&first, &postgres).await.unwrap();
    let second = open_on(&other, &postgres).await.unwrap();
    let vault = Vault::unlock(&dir.path().join("key"), &store).await.unwrap();
    let absent = Vault::unlock(&dir.path().join("absent"), &second).await.unwrap_err();
    assert!(matches!(absent, SecretsError::MissingMasterKey { .. }), "{absent}");
    MasterKey::load_or_generate(&dir.path().join("wrong")).unwrap();
    let wrong = Vault::unlock(&dir.path().join("wrong"), &second).await.unwrap_err();
    assert!(matches!(wrong, SecretsError::WrongMasterKey { .. }), "{wrong}");
    // What is sealed under a key that another member made opens.
    let others = Vault::unlock(&dir.path().join("key"), &second).await.unwrap();
    crate::secrets::rotate::rotate(&store, &vault, &|_| std::ops::ControlFlow::Continue(())).await.unwrap();
    let secret = aivonx_protocol::WireSecret::new("hidden".into());
    let sealed = vault.seal("node", "id", &secret).unwrap();
    while others.open_sealed("node", "id", &sealed).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.close().await.unwrap();
    second.close().await.unwrap();
}

/// A store of two changes, whose database lacks the second, and takes the state back without another claim.
async fn gone_back(dir: &Path, postgres: &PostgresServer) -> Store {
    let store = open_on(dir, postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    postgres.sql(
        "aivonx",
        "CREATE TABLE old AS SELECT * FROM aivonx.record; CREATE TABLE old_writer AS SELECT revision FROM aivonx.writer; \
         CREATE TABLE old_change AS SELECT * FROM aivonx.change",
    );
    store.nodes().insert(node("b")).await.unwrap();
    postgres.sql(
        "aivonx",
        "BEGIN; DELETE FROM aivonx.record; INSERT INTO aivonx.record SELECT * FROM old; \
         DELETE FROM aivonx.change; INSERT INTO aivonx.change SELECT * FROM old_change; \
         UPDATE aivonx.writer SET revision = (SELECT revision FROM old_writer); COMMIT",
    );
    store
}

async fn loss_is_found(store: &Store) {
    while !store.trouble().is_some_and(|trouble| trouble.what.contains("its last 1 changes are missing")) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn nothing_is_written_on_top_of_an_earlier_state() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = gone_back(dir.path(), &postgres).await;
    let error = store.nodes().insert(node("c")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Database(why) if why.contains("an earlier state")), "{error}");
    loss_is_found(&store).await;
    let _ = store.close().await;
    let why = refusal(dir.path(), &postgres).await;
    assert!(why.contains("its last 1 changes are missing"), "{why}");
}

#[tokio::test]
async fn an_earlier_state_that_others_changed_since_is_noticed_too() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = gone_back(dir.path(), &postgres).await;
    postgres.sql(
        "aivonx",
        "WITH new AS (UPDATE aivonx.writer SET revision = revision + 10000000 RETURNING revision) \
         INSERT INTO aivonx.change SELECT revision, 'node', '', 'x' FROM new",
    );
    let error = store.nodes().insert(node("c")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Database(why) if why.contains("an earlier state")), "{error}");
    loss_is_found(&store).await;
    let _ = store.close().await;
}

#[tokio::test]
async fn an_earlier_state_is_noticed_without_a_change() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = gone_back(dir.path(), &postgres).await;
    loss_is_found(&store).await;
    let _ = store.close().await;
}

#[tokio::test]
async fn changes_are_refused_while_the_server_is_away_and_taken_when_it_is_back() {
    let Some(postgres) = migrated() else { return };
    let postgres = Arc::new(postgres);
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(dir.path(), &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    let server = postgres.clone();
    blocking(move || server.stop()).await;
    let error = store.nodes().insert(node("b")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Database(why) if why.contains("aivonx")), "{error}");
    // It is noticed without a change, too.
    while store.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let error = store.nodes().insert(node("b")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Away(_)), "{error}");
    let server = postgres.clone();
    blocking(move || server.begin()).await;
    while store.trouble().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    store.nodes().insert(node("b")).await.unwrap();
    // One that is idle when the server restarts goes on, too.
    let server = postgres.clone();
    blocking(move || {
        server.stop();
        server.begin();
    })
    .await;
    while store.nodes().insert(node("c")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.nodes().list().await.unwrap().len(), 3);
    let _ = store.close().await;
}

#[tokio::test]
async fn a_server_that_goes_away_during_the_open_is_no_damage() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    // Nor is one that takes its time.
    let options = StoreOptions { open_deadline: Duration::ZERO, ..options() };
    let store = Store::open_with(dir.path(), &options, Some(server(&postgres))).await.unwrap();
    store.close().await.unwrap();
    blocking(move || {
        let engine = server(&postgres).engine_to_read().unwrap();
        engine.verify().unwrap();
        postgres.stop();
        let damaged = keeper::damage(Path::new("x"), None);
        for unread in [engine.verify().map(drop), engine.ledgers().map(drop)] {
            let error = unread.unwrap_err().report(&damaged);
            assert!(matches!(error, StoreError::Database(_)), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn settings_are_moved_only_to_a_database_that_nobody_uses() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let moved = dir.path().join("moved");
    open(&moved).await.close().await.unwrap();
    let into = |replace: bool| {
        let (from, to) = (moved.clone(), server(&postgres));
        blocking(move || relocate::to_database(&from, to, replace))
    };
    let store = open_on(&dir.path().join("new"), &postgres).await.unwrap();
    let why = into(true).await.unwrap_err().to_string();
    assert!(why.contains("stop all its members first"), "{why}");
    store.close().await.unwrap();
    into(true).await.unwrap();
    open_on(&moved, &postgres).await.unwrap().close().await.unwrap();
    // What it lacks now was another installation's.
    let why = refusal(&dir.path().join("new"), &postgres).await;
    assert!(why.contains("belongs to another store"), "{why}");
}

#[tokio::test]
async fn what_is_damaged_is_not_taken_over() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&dir.path().join("first"), &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
    postgres.sql("aivonx", "DELETE FROM aivonx.record WHERE space = 'node'");
    let row = || postgres.sql("aivonx", "SELECT epoch FROM aivonx.member");
    let before = row();
    let (at, to) = (dir.path().join("first"), server(&postgres));
    let why = blocking(move || relocate::take_over(&at, to, false)).await.unwrap_err().to_string();
    assert!(why.contains("damaged"), "{why}");
    assert_eq!(row(), before);
}

#[tokio::test]
async fn settings_are_moved_there_and_back_and_are_the_same() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data");
    let store = open(&at).await;
    let a = store.nodes().insert(node("a")).await.unwrap();
    store.nodes().insert(node("b")).await.unwrap();
    store.nodes().remove(&store.nodes().by_name("b").await.unwrap().unwrap().id, None).await.unwrap();
    let daemon = store.settings().daemon_id().to_owned();
    let before = store.run(|engine, _| Ok(engine.verify().unwrap())).await.unwrap();
    store.close().await.unwrap();

    let why = refusal(&at, &postgres).await;
    assert!(why.contains("aivonxd move --from sled --to postgres"), "{why}");
    let (from, to) = (at.clone(), server(&postgres));
    let moved = blocking(move || relocate::to_database(&from, to, false)).await.unwrap();
    assert!(moved.kept.unwrap().join("db").is_file());
    let store = open_on(&at, &postgres).await.unwrap();
    assert_eq!(store.settings().daemon_id(), daemon);
    assert_eq!(store.run(|engine, _| Ok(engine.verify().unwrap())).await.unwrap(), before);
    assert_eq!(store.nodes().list().await.unwrap(), [a]);
    let (from, to) = (at.clone(), server(&postgres));
    assert!(blocking(move || relocate::to_sled(&from, to)).await.is_err(), "in use");
    store.nodes().insert(node("c")).await.unwrap();
    let before = store.run(|engine, _| Ok(engine.verify().unwrap())).await.unwrap();
    store.close().await.unwrap();

    let (from, to) = (at.clone(), server(&postgres));
    blocking(move || relocate::to_sled(&from, to)).await.unwrap();
    let store = open(&at).await;
    assert_eq!(store.run(|engine, _| Ok(engine.verify().unwrap())).await.unwrap(), before);
    store.close().await.unwrap();
    // The database has them still.
    let (from, to) = (at.clone(), server(&postgres));
    let why = blocking(move || relocate::to_database(&from, to, false)).await.unwrap_err().to_string();
    assert!(why.contains("--replace"), "{why}");
    let (from, to) = (at.clone(), server(&postgres));
    blocking(move || relocate::to_database(&from, to, true)).await.unwrap();
    let store = open_on(&at, &postgres).await.unwrap();
    assert_eq!(store.run(|engine, _| Ok(engine.verify().unwrap())).await.unwrap(), before);
    store.close().await.unwrap();
}
