use super::{
    migrate::{Schemas, Step},
    tree::Tree,
    *,
};

/// A later version: schema 2 doubles every bound, schema 3 adds a label.
pub(super) const LATER: Schemas = Schemas {
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

/// A later version whose schema 2 has another form of nodes, and whose schema 3 goes back to today's: what a step reads
/// is neither always what this build writes, nor always what it reads.
const OTHER_FORM: Schemas = Schemas {
    current: 3,
    steps: &[
        Step {
            to: 2,
            run: |batch| {
                batch.rewrite(Tree::Node, (1, 2), |node: NodeRecord| Ok((node.name.len() as u64, node)))
            },
        },
        Step {
            to: 3,
            run: |batch| {
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
    let between = Schemas { current: 2, steps: &OTHER_FORM.steps[..1] };
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
    assert!(store.aliases().list(&Reach::All).await.unwrap().is_empty());
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
            engine.plant_tree("tariff")?;
            Ok(())
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    let error = Store::open(dir.path(), &options()).await.map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::NewerTree { tree, .. } if tree == "tariff"), "{error}");
}

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
