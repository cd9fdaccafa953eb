//! Kinds of file damage: each opens whole, or refuses clearly in time and can be recovered from.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use super::{
    child::{Outcome, try_open},
    *,
};

/// What may come of a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// Everything acknowledged must be there.
    OpenWhole,
    /// It must refuse with this in the message.
    Refuse(&'static str),
    /// Either; it depends on what the engine had at that place.
    Either,
}
use May::{Either, OpenWhole, Refuse};

fn truncate(path: &Path, part: f64) {
    let length = fs::metadata(path).unwrap().len();
    OpenOptions::new().write(true).open(path).unwrap().set_len((length as f64 * part) as u64).unwrap();
}

fn flip(path: &Path, at: f64) {
    let bytes = fs::read(path).unwrap();
    // The first byte from there on that holds something.
    let start = ((bytes.len() - 1) as f64 * at) as usize;
    let at = (start..bytes.len()).chain(0..start).find(|i| bytes[*i] != 0).unwrap();
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[!bytes[at]], at as u64).unwrap();
}

fn zero(path: &Path, from: f64, to: f64) {
    let length = fs::metadata(path).unwrap().len() as f64;
    let (from, to) = ((length * from) as u64, (length * to) as u64);
    let zeros = vec![0; (to - from) as usize];
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&zeros, from).unwrap();
}

fn find(dir: &Path, prefix: &str) -> Option<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|p| p.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    all.sort();
    all.pop()
}

/// A page table snapshot of the engine's: the one there is, else one with nothing right in it.
fn snap(dir: &Path) -> PathBuf {
    find(&dir.join("store"), "snap.").unwrap_or_else(|| {
        let path = dir.join("store/snap.0000000000000040");
        fs::write(&path, [7; 100]).unwrap();
        path
    })
}

type Damage = (&'static str, fn(&Path), May);

const DAMAGES: &[Damage] = &[
    ("nothing", |_| (), OpenWhole),
    ("db removed", |d| fs::remove_file(d.join("store/db")).unwrap(), Refuse("store/db is missing")),
    ("db emptied", |d| truncate(&d.join("store/db"), 0.0), Refuse("store/db is empty")),
    ("db cut to a tenth", |d| truncate(&d.join("store/db"), 0.1), Either),
    ("db cut to a quarter", |d| truncate(&d.join("store/db"), 0.25), Either),
    ("db cut to a half", |d| truncate(&d.join("store/db"), 0.5), Either),
    ("db cut to nine tenths", |d| truncate(&d.join("store/db"), 0.9), Either),
    (
        "db cut by one byte",
        |d| {
            let file = OpenOptions::new().write(true).open(d.join("store/db")).unwrap();
            file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        },
        Either,
    ),
    ("db flipped at the start", |d| flip(&d.join("store/db"), 0.0), Either),
    ("db flipped early", |d| flip(&d.join("store/db"), 0.02), Either),
    ("db flipped at a tenth", |d| flip(&d.join("store/db"), 0.1), Either),
    ("db flipped at a third", |d| flip(&d.join("store/db"), 0.33), Either),
    ("db flipped at a half", |d| flip(&d.join("store/db"), 0.5), Either),
    ("db flipped late", |d| flip(&d.join("store/db"), 0.8), Either),
    ("db all zero", |d| zero(&d.join("store/db"), 0.0, 1.0), Refuse("damaged")),
    ("db first sector zero", |d| zero(&d.join("store/db"), 0.0, 0.001), Either),
    ("db middle zero", |d| zero(&d.join("store/db"), 0.3, 0.6), Either),
    (
        "db is text",
        |d| fs::write(d.join("store/db"), "not a database\n".repeat(1000)).unwrap(),
        Refuse("damaged"),
    ),
    ("engine directory removed", |d| fs::remove_dir_all(d.join("store")).unwrap(), Refuse("missing")),
    ("engine's conf damaged", |d| flip(&d.join("store/conf"), 0.5), Either),
    ("engine's conf removed", |d| fs::remove_file(d.join("store/conf")).unwrap(), OpenWhole),
    (
        "unfinished page table",
        |d| fs::write(d.join("store/snap.00000000000000FF.generating"), "half").unwrap(),
        OpenWhole,
    ),
    ("page table cut", |d| truncate(&snap(d), 0.5), OpenWhole),
    ("page table emptied", |d| truncate(&snap(d), 0.0), OpenWhole),
    ("page table flipped", |d| flip(&snap(d), 0.3), OpenWhole),
    (
        "page table removed",
        |d| {
            if let Some(path) = find(&d.join("store"), "snap.") {
                fs::remove_file(path).unwrap();
            }
        },
        OpenWhole,
    ),
    ("STORE removed", |d| fs::remove_file(d.join("STORE")).unwrap(), Refuse("STORE is missing")),
    ("STORE flipped", |d| flip(&d.join("STORE"), 0.6), Refuse("STORE cannot be read")),
    (
        "STORE of another daemon",
        |d| {
            marker::Marker {
                schema: 1,
                daemon: "another".into(),
                state: marker::State::Ready,
                database: None,
            }
            .write(&d.join("STORE"))
            .unwrap();
        },
        Refuse("another store"),
    ),
    (
        "STORE of a newer schema",
        |d| {
            marker::Marker { schema: 99, daemon: "any".into(), state: marker::State::Ready, database: None }
                .write(&d.join("STORE"))
                .unwrap();
        },
        Refuse("schema 99"),
    ),
    ("COMMIT removed", |d| fs::remove_file(d.join("COMMIT")).unwrap(), OpenWhole),
    ("COMMIT zeroed", |d| zero(&d.join("COMMIT"), 0.0, 1.0), OpenWhole),
    (
        "an older copy of the engine's files",
        |d| {
            fs::remove_dir_all(d.join("store")).unwrap();
            copy(&d.join("../older/store"), &d.join("store"));
        },
        Refuse("changes are missing"),
    ),
    ("a snapshot damaged", |d| flip(&find(&d.join("snapshots"), "2").unwrap(), 0.5), OpenWhole),
];

/// A store with a history: records changed and removed, a large one, several sessions; then a copy taken
/// without a clean end, as after a loss of power. Returns what must be there.
async fn build(dir: &Path) -> (Vec<String>, Vec<String>) {
    let at = dir.join("whole");
    let shown = |nodes: Vec<NodeRecord>| -> Vec<String> {
        nodes.iter().map(|n| format!("{}/{}", n.name, n.revision)).collect()
    };
    let store = open(&at).await;
    for i in 0..120 {
        let record = NodeRecord { ca_pem: Some("c".repeat(i * 20)), ..node(&format!("n{i:03}")) };
        let id = store.nodes().insert(record).await.unwrap().id;
        match i % 4 {
            1 => drop(store.nodes().update(&id, None, |n| n.max_parallel = 1).await.unwrap()),
            2 => drop(store.nodes().remove(&id, None).await.unwrap()),
            _ => {}
        }
    }
    store.close().await.unwrap();
    copy(&at, &dir.join("older"));
    let store = open(&at).await;
    for i in 0..20 {
        store.nodes().insert(node(&format!("later{i:02}"))).await.unwrap();
    }
    store.snapshot().await.unwrap();
    let in_snapshot = shown(store.nodes().list().await.unwrap());
    store.nodes().insert(node("last")).await.unwrap();
    let whole = shown(store.nodes().list().await.unwrap());
    // Copied while it is open: nothing was closed or flushed beyond what was acknowledged.
    copy(&at, &dir.join("master"));
    store.close().await.unwrap();
    (whole, in_snapshot)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_damage_opens_whole_or_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, in_snapshot) = build(dir.path()).await;
    each(DAMAGES.len(), |i| {
        let (name, damage, may) = DAMAGES[i];
        let at = dir.path().join(name.replace(' ', "-"));
        copy(&dir.path().join("master"), &at);
        damage(&at);
        judge(&at, may, &whole, &in_snapshot).map_err(|e| format!("{name}: {e}"))
    });
}

/// Damage at places nobody chose. `AIVONX_TEST_DAMAGES` asks for more of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_anywhere_in_the_log_loses_nothing_silently() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, in_snapshot) = build(dir.path()).await;
    let count = std::env::var("AIVONX_TEST_DAMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(16);
    each(count, |i| {
        let at = dir.path().join(i.to_string());
        copy(&dir.path().join("master"), &at);
        let db = at.join("store/db");
        // The golden ratio's multiples spread evenly over the file.
        let place = (i as f64 * 0.618_033_988_75).fract();
        match i % 4 {
            0 | 1 => flip(&db, place),
            2 => zero(&db, place, (place + 0.01).min(1.0)),
            _ => truncate(&db, place),
        }
        judge(&at, Either, &whole, &in_snapshot).map_err(|e| format!("kind {} at {place}: {e}", i % 4))?;
        fs::remove_dir_all(&at).map_err(|e| e.to_string())
    });
}

/// Runs `case` for every number below `count`, three at a time, and fails with all that failed.
fn each(count: usize, case: impl Fn(usize) -> Result<(), String> + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        return;
                    }
                    if let Err(e) = case(i) {
                        failures.lock().unwrap().push(e);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn judge(at: &Path, may: May, whole: &[String], in_snapshot: &[String]) -> Result<(), String> {
    let started = std::time::Instant::now();
    let outcome = try_open(at);
    if std::env::var_os("AIVONX_TEST_SHOW").is_some() {
        let shown = match &outcome {
            Outcome::Opened(n) => format!("opened with {}", n.len()),
            Outcome::Refused(why) => why.clone(),
        };
        eprintln!("{} {:?} {shown}\n", at.file_name().unwrap().to_string_lossy(), started.elapsed());
    }
    match (&outcome, may) {
        (Outcome::Opened(found), OpenWhole | Either) => {
            return if found == whole { Ok(()) } else { Err(format!("opened with {} nodes", found.len())) };
        }
        (Outcome::Refused(why), Refuse(text)) if why.contains(text) => {}
        (Outcome::Refused(why), Either) if why.contains("aivonxd recover") => {}
        _ => return Err(format!("{outcome:?}, but {may:?}")),
    }
    // It refuses again, and has destroyed nothing by trying.
    if !matches!(try_open(at), Outcome::Refused(_)) {
        return Err("refused once, then opened".into());
    }
    let usable = recover::list(at).map_err(|e| e.to_string())?.into_iter().find(|s| s.contents.is_ok());
    let snapshot = usable.ok_or("no usable snapshot")?;
    match recover::restore(at, &snapshot.path) {
        Ok(_) => {}
        // A marker that is whole and names another daemon is not overruled in place.
        Err(StoreError::BadSnapshot { .. })
            if may == Refuse("another store") || may == Refuse("schema 99") =>
        {
            let elsewhere = at.join("../elsewhere").join(at.file_name().unwrap());
            recover::restore(&elsewhere, &snapshot.path).map_err(|e| e.to_string())?;
            return recovered(&elsewhere, in_snapshot);
        }
        Err(e) => return Err(format!("recover: {e}")),
    }
    recovered(at, in_snapshot)
}

fn recovered(at: &Path, in_snapshot: &[String]) -> Result<(), String> {
    match try_open(at) {
        Outcome::Opened(found) if found == in_snapshot => Ok(()),
        other => Err(format!("after recover: {other:?}")),
    }
}
