//! What moves files about is killed after each of its steps, and at any time in between: the next run finishes it or
//! does it again, and nothing is ever worse than before.

use std::{fs, os::unix::process::ExitStatusExt as _, path::PathBuf, process::Child};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    child::{Outcome, start, start_until, try_open},
    migration::LATER,
    *,
};

pub(super) const ROLES: [&str; 4] = ["restore", "put", "snapshot", "migrate"];

/// What a child does.
pub(super) async fn work(role: &str, dir: &Path) {
    println!("\nBEGUN");
    match role {
        "restore" => drop(recover::restore(dir, &kept(dir)).unwrap()),
        "put" => {
            let staged = Staged::lay(dir).unwrap();
            for (name, content) in parts(dir) {
                staged.add(&name, &mut &*content).unwrap();
            }
            staged.check().unwrap();
            staged.put(Path::new("b")).unwrap();
        }
        "snapshot" => {
            let store = open(dir).await;
            store.nodes().insert(node("later")).await.unwrap();
            println!("\nACKNOWLEDGED");
            for _ in 0..3 {
                store.snapshot().await.unwrap();
            }
            store.close().await.unwrap();
        }
        _ => Store::open_as(dir, &options(), LATER).await.unwrap().close().await.unwrap(),
    }
    println!("\nDONE");
}

/// What was kept of a copy for the store in `dir`.
fn parts(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(dir.with_file_name("parts")).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, hex)| (name.to_owned(), hex::decode(hex).unwrap()))
        .collect()
}

/// The snapshot with all nodes but the last: not always the newest, for a daemon takes one when it stops.
fn kept(dir: &Path) -> PathBuf {
    let has = |one: &recover::Snapshot| one.contents.as_ref().is_ok_and(|c| c.records["node"] == KEPT);
    recover::list(dir).unwrap().into_iter().find(has).unwrap().path
}

const KEPT: usize = 12;

/// A store with three snapshots, the last of which lacks a node; and the nodes of the snapshot, and of the store.
async fn base(dir: &Path) -> (Vec<String>, Vec<String>) {
    let shown = async |store: &Store| -> Vec<String> {
        let nodes = store.nodes().list().await.unwrap();
        nodes.iter().map(|node| format!("{}/{}", node.name, node.revision)).collect()
    };
    let store = open(dir).await;
    for n in 0..KEPT {
        store.nodes().insert(node(&format!("n{n:02}"))).await.unwrap();
        if n % 5 == 0 {
            store.snapshot().await.unwrap();
        }
    }
    store.snapshot().await.unwrap();
    let kept = shown(&store).await;
    store.nodes().insert(node("not-kept")).await.unwrap();
    let all = shown(&store).await;
    // As after a loss of power: nothing was closed, and no snapshot taken at the end.
    copy(dir, &dir.with_extension("base"));
    store.close().await.unwrap();
    fs::remove_dir_all(dir).unwrap();
    fs::rename(dir.with_extension("base"), dir).unwrap();
    (kept, all)
}

/// Runs `role` on copies of `base`, ended after every step there is, and killed at random times within it. `check` is
/// given the directory then.
fn interrupt(role: &str, base: &Path, mut check: impl FnMut(&Path, &str)) {
    let at = base.with_extension("tried");
    let begin = |end_at| {
        let _ = fs::remove_dir_all(&at);
        copy(base, &at);
        start_until(role, &at, end_at)
    };
    let mut steps = 0;
    loop {
        let output = begin(Some(steps)).wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        assert!(output.status.signal().is_some(), "{}", String::from_utf8_lossy(&output.stdout));
        check(&at, &format!("{role}, ended after step {steps}"));
        steps += 1;
    }
    assert!(steps > 3, "{role} has only {steps} steps");
    // How long it takes when nobody interrupts it.
    let took = {
        let mut child = begin(None);
        let begun = until_begun(&mut child);
        assert!(child.wait().unwrap().success());
        begun.elapsed()
    };
    let mut random = StdRng::seed_from_u64(14);
    for kill in 0..kills(3) {
        let mut child = begin(None);
        until_begun(&mut child);
        std::thread::sleep(took.mul_f64(random.random_range(0.0..1.0)));
        child.kill().unwrap();
        child.wait().unwrap();
        check(&at, &format!("{role}, kill {kill}"));
    }
}

fn until_begun(child: &mut Child) -> std::time::Instant {
    use std::io::BufRead as _;
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = out.lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "BEGUN"), "it ended before it began");
    // Nothing may hold the child up that nobody reads.
    std::thread::spawn(move || lines.for_each(drop));
    std::time::Instant::now()
}

fn run(role: &str, dir: &Path) {
    let output = start(role, dir).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Names in the directory that begin with `prefix`.
fn with_prefix(dir: &Path, prefix: &str) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_that_is_interrupted_is_finished_or_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data");
    let (kept, all) = base(&at).await;
    let mut later = false;
    interrupt("restore", &at, |at, when| {
        // The store is opened next by the daemon or by another recovery, in turns.
        later = !later;
        if later {
            let Outcome::Opened(found) = try_open(at) else { panic!("{when}: refused") };
            assert!(found == kept || found == all, "{when}: {found:?}");
            assert!(with_prefix(at, "store.restoring").is_empty(), "{when}");
        }
        run("restore", at);
        assert_eq!(try_open(at), Outcome::Opened(kept.clone()), "{when}");
        assert_eq!(with_prefix(at, "store."), with_prefix(at, "store.damaged-"), "{when}: leftovers");
        assert!(with_prefix(&at.join("store"), "STORE").is_empty(), "{when}");
        // What was there is still there, whole.
        let aside = recover::set_aside(at).unwrap();
        recover::restore_from(at, &aside[0]).unwrap();
        assert_eq!(try_open(at), Outcome::Opened(all.clone()), "{when}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_half_in_place_is_refused_until_it_is_put_again() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data");
    let store = open(&at).await;
    store.nodes().insert(node("copied")).await.unwrap();
    let (send, copied) = std::sync::mpsc::channel();
    let each = move |_: &Copied, name: &str, content: &[u8]| {
        send.send(format!("{name} {}\n", hex::encode(content))).map_err(std::io::Error::other)
    };
    store.copy(each).await.unwrap();
    fs::write(dir.path().join("parts"), copied.iter().collect::<String>()).unwrap();
    store.nodes().insert(node("later")).await.unwrap();
    store.close().await.unwrap();
    let of = |names: &[&str]| Outcome::Opened(names.iter().map(|name| format!("{name}/1")).collect());
    let (before, after) = (of(&["copied", "later"]), of(&["copied"]));
    interrupt("put", &at, |at, when| {
        match try_open(at) {
            Outcome::Refused(why) => assert!(why.contains("aivonxd restore FILE"), "{when}: {why}"),
            found => assert!(found == before || found == after, "{when}: {found:?}"),
        }
        run("put", at);
        assert_eq!(try_open(at), after, "{when}");
        assert!(with_prefix(at, "RESTORING").is_empty() && with_prefix(at, "backup.").is_empty(), "{when}");
        assert!(!with_prefix(at, "store.before-").is_empty(), "{when}: what was there is gone");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_interrupted_leaves_all_others_and_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data");
    let (_, all) = base(&at).await;
    interrupt("snapshot", &at, |at, when| {
        let Outcome::Opened(found) = try_open(at) else { panic!("{when}: refused") };
        assert!(all.iter().all(|node| found.contains(node)), "{when}: {found:?}");
        let listed = recover::list(at).unwrap();
        assert!(listed.len() >= 2 && listed.iter().all(|one| one.contents.is_ok()), "{when}: {listed:?}");
        let names = with_prefix(&at.join("snapshots"), "");
        assert!(names.iter().all(|name| name.ends_with(".snapshot")), "{when}: {names:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_interrupted_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data");
    let (_, all) = base(&at).await;
    let runtime = tokio::runtime::Handle::current();
    interrupt("migrate", &at, |at, when| {
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let store = Store::open_as(at, &options(), LATER).await.unwrap();
                let nodes = store.nodes().list().await.unwrap();
                assert_eq!(nodes.len(), all.len(), "{when}");
                for node in nodes {
                    let migrated = (node.max_parallel, node.labels.get("schema").map(String::as_str));
                    assert_eq!(migrated, (8, Some("3")), "{when}");
                }
                store.verify().await.unwrap();
                store.close().await.unwrap();
            });
        });
    });
}
