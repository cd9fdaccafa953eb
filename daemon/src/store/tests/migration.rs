use super::{
    migrate::{Schemas, Step},
    tree::Tree,
    *,
};

/// A later version: schema 2 doubles every bound, schema 3 adds a label.
const LATER: Schemas = Schemas {
    current: 3,
    steps: &[
        Step {
            to: 2,
            run: |batch| {
                for (key, mut record) in batch.all::<NodeRecord>(Tree::Node)? {
                    record.max_parallel *= 2;
                    batch.put(Tree::Node, &key, &record)?;
                }
                Ok(())
            },
        },
        Step {
            to: 3,
            run: |batch| {
                for (key, mut record) in batch.all::<NodeRecord>(Tree::Node)? {
                    record.labels.insert("schema".into(), "3".into());
                    batch.put(Tree::Node, &key, &record)?;
                }
                Ok(())
            },
        },
    ],
};

const FAILING: Schemas = Schemas { current: 2, steps: &[Step { to: 2, run: |_| Err(StoreError::Closed) }] };

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
    assert!(matches!(error, StoreError::NewerSchema { found: 3, known: 1, .. }), "{error}");

    // The way back is the snapshot taken before.
    let all = recover::list(dir.path()).unwrap();
    let backup = all.iter().find(|s| s.path.to_string_lossy().contains("before-schema-3")).unwrap();
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
    assert!(matches!(&error, StoreError::Migration { to: 2, .. }), "{error}");
    assert_eq!(open(dir.path()).await.nodes().list().await.unwrap().len(), 1);
}
