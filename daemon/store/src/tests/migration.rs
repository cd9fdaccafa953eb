use std::fs;

use aivonx_protocol::audit::{AuditEntry, Checkpoint};

use super::{
    migrate::{Schemas, Step},
    tree::Tree,
    *,
};
use aivonx_domain::TenantScope;

/// A later version: schema 3 doubles every bound, schema 4 adds a label.
pub(super) const LATER: Schemas = Schemas {
    current: 4,
    steps: &[
        Step {
            to: 3,
            run: |batch, _| {
                for (key, mut record) in batch.all::<NodeRecord>(Tree::Node)? {
                    record.max_parallel *= 2;
                    batch.put(Tree::Node, &key, &record)?;
                }
                Ok(())
            },
        },
        Step {
            to: 4,
            run: |batch, _| {
                for (key, mut record) in batch.all::<NodeRecord>(Tree::Node)? {
                    record.labels.insert("schema".into(), "3".into());
                    batch.put(Tree::Node, &key, &record)?;
                }
                Ok(())
            },
        },
    ],
};

/// A later version whose schema 3 has another form of nodes, and whose schema 4 goes back to today's: what a step reads
/// is neither always what this build writes, nor always what it reads.
const OTHER_FORM: Schemas = Schemas {
    current: 4,
    steps: &[
        Step {
            to: 3,
            run: |batch, _| {
                batch.rewrite(Tree::Node, (1, 2), |node: NodeRecord| Ok((node.name.len() as u64, node)))
            },
        },
        Step {
            to: 4,
            run: |batch, _| {
                batch.rewrite(Tree::Node, (2, 1), |(length, mut node): (u64, NodeRecord)| {
                    node.labels.insert("length".into(), length.to_string());
                    Ok(node)
                })
            },
        },
    ],
};

#[tokio::test]
async fn a_step_reads_the_form_it_comes_from_and_writes_the_one_it_leads_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = store.nodes().insert(node("four")).await.unwrap().id;
    store.close().await.unwrap();

    // One step at a time, as an upgrade by way of the version between does.
    let between = Schemas { current: 3, steps: &OTHER_FORM.steps[..1] };
    Store::open_as(dir.path(), &options(), between).await.unwrap().close().await.unwrap();
    let store = Store::open_as(dir.path(), &options(), OTHER_FORM).await.unwrap();
    assert_eq!(store.nodes().get(&id).await.unwrap().unwrap().labels["length"], "4");
    store.verify().await.unwrap();
}

/// As a build would have written the store that does not have `tree` yet.
async fn without_tree(dir: &Path, tree: Tree) {
    let store = open(dir).await;
    store
        .run(move |engine, _| {
            assert!(engine.forget_tree(tree)?, "there was a sum of it");
            Ok(())
        })
        .await
        .unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_tree_that_an_older_build_did_not_have_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let id = {
        let store = open(dir.path()).await;
        let id = store.nodes().insert(node("a")).await.unwrap().id;
        store.close().await.unwrap();
        id
    };
    without_tree(dir.path(), Tree::Alias).await;
    let store = open(dir.path()).await;
    assert!(store.nodes().get(&id).await.unwrap().is_some());
    assert!(store.aliases().list(&TenantScope::All).await.unwrap().is_empty());
    // The first record of the new tree brings its sum.
    store.nodes().insert(node("b")).await.unwrap();
    store.close().await.unwrap();
    open(dir.path()).await.verify().await.unwrap();
}

#[tokio::test]
async fn a_tree_of_a_later_build_is_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store
        .run(|engine, _| {
            engine.plant("tariff", b"key", b"value")?;
            Ok(())
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    let error = Store::open(dir.path(), &options()).await.map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::NewerTree { tree, .. } if tree == "tariff"), "{error}");
}

const FAILING: Schemas =
    Schemas { current: 3, steps: &[Step { to: 3, run: |_, _| Err(StoreError::Closed) }] };

#[tokio::test]
async fn goes_forward_in_steps_with_a_backup_and_never_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = store.nodes().insert(node("a")).await.unwrap().id;
    store.close().await.unwrap();

    let store = Store::open_as(dir.path(), &options(), LATER).await.unwrap();
    let record = store.nodes().get(&id).await.unwrap().unwrap();
    assert_eq!((record.max_parallel, record.labels["schema"].as_str()), (8, "3"));
    store.close().await.unwrap();
    let store = Store::open_as(dir.path(), &options(), LATER).await.unwrap();
    assert_eq!(store.nodes().get(&id).await.unwrap().unwrap().max_parallel, 8, "once only");
    store.close().await.unwrap();

    let error = Store::open(dir.path(), &options()).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 4, known: 2, .. }), "{error}");

    // The way back is the snapshot taken before.
    let all = recover::list(dir.path()).unwrap();
    let backup = all.iter().find(|s| s.path.to_string_lossy().contains("before-schema-4")).unwrap();
    recover::restore(dir.path(), &backup.path).unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.nodes().get(&id).await.unwrap().unwrap().max_parallel, 4);
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_old_schema() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
    let error = Store::open_as(dir.path(), &options(), FAILING).await.unwrap_err();
    assert!(matches!(&error, StoreError::Migration { to: 3, .. }), "{error}");
    assert_eq!(open(dir.path()).await.nodes().list().await.unwrap().len(), 1);
}

/// Has the store in `dir` be one of schema 1, with this audit log in the engine.
async fn as_schema_1(dir: &Path, entries: &[AuditEntry], checkpoints: &[Checkpoint], head: &AuditHead) {
    let store = open(dir).await;
    let (entries, checkpoints, head) = (entries.to_vec(), checkpoints.to_vec(), head.clone());
    let daemon = store.daemon().to_owned();
    store
        .run(move |engine, _| {
            let encoded = |tree: &str, key: &[u8], bytes: Result<Vec<u8>, CodecError>| {
                engine.plant(tree, key, &bytes.unwrap())
            };
            for entry in &entries {
                let key = entry.seq.to_be_bytes();
                encoded("audit", &key, codec::encode("audit", &key, 1, entry))?;
            }
            for checkpoint in &checkpoints {
                let key = checkpoint.seq.to_be_bytes();
                encoded("audit_checkpoint", &key, codec::encode("audit_checkpoint", &key, 1, checkpoint))?;
            }
            encoded("audit_head", b"head", codec::encode("audit_head", b"head", 1, &head))?;
            engine.write_schema(Some(1), |_| Ok(()))
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    marker::Marker { schema: 1, daemon, state: marker::State::Ready, database: None }
        .write(&dir.join("STORE"))
        .unwrap();
}

#[tokio::test]
async fn the_audit_log_of_schema_1_goes_on_also_if_taking_it_over_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (entries, checkpoints, head) = super::super::audit::old_log(700);
    as_schema_1(dir.path(), &entries, &checkpoints, &head).await;
    for round in 0..3 {
        let store = open(dir.path()).await;
        let log = store.audit_log();
        assert_eq!(log.head().await.unwrap().as_ref(), Some(&head));
        let walked = log.walk(0, 1000).await.unwrap();
        assert_eq!(walked.len(), 700);
        assert!(walked.iter().zip(&entries).all(|((_, read), entry)| read.as_ref() == Ok(entry)));
        let found = log.checkpoints().await.unwrap();
        assert_eq!(found, checkpoints.iter().map(|c| (c.seq, Ok(c.clone()))).collect::<Vec<_>>());
        let trees = store.run(|engine, _| engine.backend().spaces()).await.unwrap();
        assert!(!trees.contains(&"audit".to_owned()), "it is not kept twice");
        store.close().await.unwrap();
        if round == 0 {
            // As if the process had ended before the new schema was noted, and before the last entries were there.
            as_schema_1(dir.path(), &entries, &checkpoints, &head).await;
            let log = fs::read_dir(dir.path().join("ledger/audit")).unwrap().next().unwrap().unwrap().path();
            let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
            fs::remove_file(dir.path().join("COMMIT")).unwrap();
        }
    }
}
