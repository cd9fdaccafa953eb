use std::sync::Arc;

use super::*;
use crate::{
    database::{Server, Tables},
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
    postgres.sql("aivonx", "DELETE FROM aivonx.record WHERE space = 'node'");
    let why = refusal(dir.path(), &postgres).await;
    assert!(why.contains("damaged") && why.contains("node"), "{why}");
}

#[tokio::test]
async fn a_second_gateway_is_refused() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (first, other, copied) =
        (dir.path().join("first"), dir.path().join("other"), dir.path().join("copied"));
    let store = open_on(&first, &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    let why = refusal(&other, &postgres).await;
    assert!(why.contains("give each gateway a database of its own"), "{why}");
    // The copy of a machine is not the machine.
    copy(&first, &copied);
    let why = refusal(&copied, &postgres).await;
    assert!(why.contains("two gateways on one database are refused") && why.contains("/first"), "{why}");
    store.nodes().insert(node("b")).await.unwrap();
    store.close().await.unwrap();
    // It is gone, but the settings are its own.
    let why = refusal(&other, &postgres).await;
    assert!(why.contains("aivonxd takeover"), "{why}");
    // One that was killed comes back at once, and lets others in when it was not seen for long.
    postgres.sql(
        "aivonx",
        "UPDATE aivonx.writer SET holder = 'x', place = 'elsewhere', seen = clock_timestamp()",
    );
    let why = refusal(&first, &postgres).await;
    assert!(why.contains("30 seconds"), "{why}");
    postgres.sql("aivonx", "UPDATE aivonx.writer SET seen = clock_timestamp() - interval '31 seconds'");
    open_on(&first, &postgres).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn one_that_was_killed_starts_again_at_once() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    open_on(dir.path(), &postgres).await.unwrap().close().await.unwrap();
    let holder = "holder = 'process 1', seen = clock_timestamp()";
    let place = postgres.server().backend(dir.path(), "x").err().map(|e| e.to_string());
    assert!(place.is_some_and(|why| why.contains("another data directory")));
    let store = open_on(dir.path(), &postgres).await.unwrap();
    let place = postgres.sql("aivonx", "SELECT place FROM aivonx.writer");
    store.close().await.unwrap();
    postgres.sql("aivonx", &format!("UPDATE aivonx.writer SET place = '{place}', {holder}"));
    open_on(dir.path(), &postgres).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn one_that_was_superseded_writes_nothing_and_learns_of_it() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (first, other) = (dir.path().join("first"), dir.path().join("other"));
    let store = open_on(&first, &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    let (at, to) = (other.clone(), server(&postgres));
    let why = blocking(move || relocate::take_over(&at, to, false)).await.unwrap_err().to_string();
    assert!(why.contains("--force"), "{why}");
    let (at, to) = (other.clone(), server(&postgres));
    let taken = blocking(move || relocate::take_over(&at, to, true)).await.unwrap();
    assert!(taken.is_new);
    let error = store.nodes().insert(node("late")).await.unwrap_err();
    assert!(matches!(error, StoreError::Superseded(_)), "{error}");
    assert!(store.superseded().await.contains("was taken over"));
    let second = open_on(&other, &postgres).await.unwrap();
    let names: Vec<_> = second.nodes().list().await.unwrap().into_iter().map(|node| node.name).collect();
    assert_eq!(names, ["a"]);
    let _ = store.close().await;
    second.nodes().insert(node("b")).await.unwrap();
    second.close().await.unwrap();
    let why = refusal(&first, &postgres).await;
    assert!(why.contains("aivonxd takeover"), "{why}");
}

/// A store of two changes, whose database lacks the second, and takes the state back without another claim.
async fn gone_back(dir: &Path, postgres: &PostgresServer) -> Store {
    let store = open_on(dir, postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    postgres.sql(
        "aivonx",
        "CREATE TABLE old AS SELECT * FROM aivonx.record; CREATE TABLE old_writer AS SELECT revision FROM aivonx.writer",
    );
    store.nodes().insert(node("b")).await.unwrap();
    postgres.sql(
        "aivonx",
        "BEGIN; DELETE FROM aivonx.record; INSERT INTO aivonx.record SELECT * FROM old; \
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
    // What is idle when the server restarts notices nothing.
    let server = postgres.clone();
    blocking(move || {
        server.stop();
        server.begin();
    })
    .await;
    assert_eq!(store.nodes().list().await.unwrap().len(), 2);
    store.close().await.unwrap();
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
async fn an_empty_database_is_free_to_use_whoever_had_it() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (new, moved) = (dir.path().join("new"), dir.path().join("moved"));
    let owned = "UPDATE aivonx.writer SET owner = 'gone', seen = clock_timestamp(), place = 'elsewhere'";
    open(&moved).await.close().await.unwrap();
    let into = |at: &Path| {
        let (from, to) = (at.to_owned(), server(&postgres));
        blocking(move || relocate::to_database(&from, to, false))
    };
    // Not one that another process is about to use.
    postgres.sql("aivonx", &format!("{owned}, holder = 'x'"));
    let why = refusal(&new, &postgres).await;
    assert!(why.contains("another data directory"), "{why}");
    let why = into(&moved).await.unwrap_err().to_string();
    assert!(why.contains("in use by"), "{why}");

    postgres.sql("aivonx", &format!("{owned}, holder = NULL"));
    into(&moved).await.unwrap();
    open_on(&moved, &postgres).await.unwrap().close().await.unwrap();
    postgres.sql("aivonx", &format!("DELETE FROM aivonx.record; {owned}, holder = NULL"));
    open_on(&new, &postgres).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn what_is_damaged_is_not_taken_over() {
    let Some(postgres) = migrated() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open_on(&dir.path().join("first"), &postgres).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
    postgres.sql("aivonx", "DELETE FROM aivonx.record WHERE space = 'node'");
    let row = || postgres.sql("aivonx", "SELECT epoch, owner FROM aivonx.writer");
    let before = row();
    let (at, to) = (dir.path().join("other"), server(&postgres));
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
