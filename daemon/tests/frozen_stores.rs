//! Data directories as former builds left them, one for each schema of the store: every later build opens each and
//! reads all of it.
//!
//! `frozen_stores/schema-N.tar.gz` is such a directory, with its master key; `schema-N.json` is what must be read
//! from it. A later build may know more about a record, but must find everything that stands there. To freeze the
//! directory of a new schema, once:
//!
//!     cargo test -p aivonx-daemon --test frozen_stores -- --ignored freeze

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod frozen_stores {
    pub(crate) mod fill;
    pub(crate) mod read;
}

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use aivonx_config::StoreOptions;
use aivonx_ledgers::audit::{self, Audit};
use aivonx_store::{
    Store, recover,
    secrets::{MasterKey, Vault},
};
use frozen_stores::{fill, read};
use serde_json::Value;

/// The schema whose directory [`freeze`] makes: that of this build.
const SCHEMA: u32 = 2;

struct Opened {
    store: Store,
    vault: Vault,
    audit: Audit,
}

async fn open(dir: &Path) -> Opened {
    let store = Store::open(dir, &StoreOptions::default()).await.unwrap();
    let master = MasterKey::load_or_generate(&dir.join("master.key")).unwrap();
    let vault = Vault::open(master, &store).await.unwrap();
    let options = audit::Options {
        checkpoint_entries: 20,
        checkpoint_interval: Duration::from_secs(3600),
        checkpoint_file: None,
        retention: Duration::ZERO,
        fold: Duration::from_secs(60),
    };
    let audit = Audit::open(&store, &vault, options).await.unwrap();
    Opened { store, vault, audit }
}

impl Opened {
    async fn close(self) {
        self.audit.close().await;
        self.store.close().await.unwrap();
    }
}

fn frozen(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen_stores").join(name)
}

/// The newest schema that is frozen.
fn newest() -> u32 {
    (1..).take_while(|schema| frozen(&format!("schema-{schema}.json")).exists()).last().unwrap_or(0)
}

fn tar(arguments: &[&str], dir: &Path) {
    let done = Command::new("tar").args(arguments).current_dir(dir).status().unwrap();
    assert!(done.success(), "tar {arguments:?}: {done}");
}

/// Unpacks the directory of a schema; returns it with what must be in it.
fn unpack(schema: u32, dir: &Path) -> Value {
    let archive = frozen(&format!("schema-{schema}.tar.gz"));
    tar(&["-xpzf", archive.to_str().unwrap()], dir);
    let text = fs::read(frozen(&format!("schema-{schema}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Asserts that all of `expected` is in `found`: objects may have more fields by now, lists not more elements.
fn assert_found(expected: &Value, found: &Value, at: &str) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, expected) in expected {
                let found = found.get(name).unwrap_or_else(|| panic!("{at}.{name} is not there any more"));
                assert_found(expected, found, &format!("{at}.{name}"));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.len(), found.len(), "number of elements of {at}");
            for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
                assert_found(expected, found, &format!("{at}[{n}]"));
            }
        }
        _ => assert_eq!(expected, found, "{at}"),
    }
}

#[tokio::test]
async fn every_record_of_every_schema_is_read() {
    for schema in 1..=newest() {
        let dir = tempfile::tempdir().unwrap();
        let expected = unpack(schema, dir.path());
        let opened = open(dir.path()).await;
        assert_found(&expected, &read::all(&opened).await, &format!("schema {schema}: "));
        assert!(opened.audit.verify(&[], None).await.unwrap().intact);
        opened.close().await;
        // What the first open may have migrated is read by the second.
        let opened = open(dir.path()).await;
        assert_found(&expected, &read::all(&opened).await, &format!("schema {schema}, opened again: "));
        opened.store.verify().await.unwrap();
        opened.close().await;
    }
}

#[tokio::test]
async fn the_snapshots_of_every_schema_are_restored() {
    for schema in 1..=newest() {
        let dir = tempfile::tempdir().unwrap();
        let expected = unpack(schema, dir.path());
        let snapshot = recover::list(dir.path()).unwrap().remove(0);
        recover::restore(dir.path(), &snapshot.path).unwrap();
        let opened = open(dir.path()).await;
        assert_found(
            &expected["records"],
            &read::records(&opened.store, &opened.vault).await,
            &format!("snapshot of schema {schema}: "),
        );
        opened.close().await;
    }
}

/// A new schema comes with a frozen directory of its own.
#[test]
fn the_schema_of_this_build_is_frozen() {
    assert_eq!(newest(), SCHEMA);
}

#[tokio::test]
#[ignore = "writes the frozen directory of this build's schema"]
async fn freeze() {
    let name = format!("schema-{SCHEMA}");
    assert!(!frozen(&format!("{name}.json")).exists(), "{name} is frozen");
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path()).await;
    fill::all(&opened).await;
    let found = read::all(&opened).await;
    opened.close().await;
    let archive = frozen(&format!("{name}.tar.gz"));
    let dir = dir.path();
    tar(
        &[
            "-czf",
            archive.to_str().unwrap(),
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--exclude=./lock",
            ".",
        ],
        dir,
    );
    let text = serde_json::to_string_pretty(&found).unwrap();
    fs::write(frozen(&format!("{name}.json")), text + "\n").unwrap();
}
