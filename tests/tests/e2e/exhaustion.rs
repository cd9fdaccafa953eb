//! The disk of the data directory runs out of space and of inodes, and the daemon out of descriptors, again and again,
//! while four writers edit and requests come: nothing that was acknowledged is lost, and what is given back mends it.
//!
//! The disk is a small one in memory, in a mount namespace of the daemon's own; where that is not allowed, this is
//! skipped. A few rounds; as many as `AIVONX_TEST_EXHAUSTIONS` asks for.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_protocol::{
    Client, WireSecret, account, daemon,
    node::{self, NodeChange},
};
use aivonx_tests::{fake::FakeNode, harness::Daemon, within};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const WRITERS: usize = 4;

/// Runs a program in a mount namespace of its own, with a disk of its own at the path before it.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=24m,nr_inodes=300,mode=700 tmpfs "$0" && exec "$@""#;

/// The same, full until the daemon has tried it.
const ON_A_FULL_DISK: &str = r#"mount -t tmpfs -o size=24m,nr_inodes=300,mode=700 tmpfs "$0" || exit
    dd if=/dev/zero of="$0/filler.log" bs=64k 2>/dev/null
    (until [ -e "$0/lock" ]; do sleep 0.1; done; sleep 1; rm "$0/filler.log") &
    exec "$@""#;

/// Whether this system lets us make one.
fn is_allowed() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let mut tried = std::process::Command::new("unshare");
    tried.args(["-m", "sh", "-c", ON_A_SMALL_DISK]).arg(dir.path()).arg("true");
    tried.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What is taken away, and given back when this is dropped.
enum Taken {
    Files(Vec<PathBuf>),
    Descriptors(Pid, Rlimit),
}

impl Drop for Taken {
    fn drop(&mut self) {
        match self {
            Self::Files(files) => files.iter().for_each(|file| drop(fs::remove_file(file))),
            Self::Descriptors(pid, before) => drop(prlimit(Some(*pid), Resource::Nofile, *before)),
        }
    }
}

/// All the space there is.
fn take_space(dir: &Path) -> Taken {
    let path = dir.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    for size in [65_536, 512] {
        let zeros = vec![0; size];
        while file.write_all(&zeros).is_ok() {}
    }
    Taken::Files(vec![path])
}

fn take_inodes(dir: &Path) -> Taken {
    let paths = (0..).map(|n| dir.join(format!("filler-{n}")));
    Taken::Files(paths.take_while(|path| fs::File::create(path).is_ok()).collect())
}

/// All descriptors but a few of those that are open.
fn take_descriptors(pid: u32, random: &mut StdRng) -> Taken {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let before = limit_of(pid);
    let few = Rlimit { current: Some(open + random.random_range(0..4)), ..before };
    prlimit(Some(pid), Resource::Nofile, few).unwrap();
    Taken::Descriptors(pid, before)
}

/// The limits that are in force.
fn limit_of(pid: Pid) -> Rlimit {
    let text = fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<Option<u64>> = line.split_whitespace().skip(3).take(2).map(|n| n.parse().ok()).collect();
    Rlimit { current: numbers[0], maximum: numbers[1] }
}

/// Acknowledged edits of the writers: node -> number of the edit.
type Acknowledged = Arc<Mutex<BTreeMap<String, u64>>>;

/// Edits one node for ever, over a connection that is made anew when the daemon opens its store anew.
async fn write(
    socket: PathBuf,
    token: WireSecret,
    name: String,
    acknowledged: Acknowledged,
    stop: Arc<AtomicBool>,
) {
    let mut client = None;
    let mut edit = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let Some(connected) = &client else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if let Ok(fresh) = Client::connect(&socket, "writer").await
                && fresh.ask(account::Resume { secret: token.clone() }).await.is_ok()
            {
                client = Some(fresh);
            }
            continue;
        };
        edit += 1;
        let labels = BTreeMap::from([("edit".to_owned(), Some(edit.to_string()))]);
        let change = NodeChange { labels, ..NodeChange::default() };
        match connected.ask(node::Set { node: name.clone(), revision: None, change: Box::new(change) }).await
        {
            Ok(_) => drop(acknowledged.lock().unwrap().insert(name.clone(), edit)),
            Err(_) => client = None,
        }
    }
}

/// Asks for an answer again and again. A daemon without descriptors, or one that opens its store anew, may have none; it
/// listens elsewhere then.
async fn ask(socket: PathBuf, token: WireSecret, served: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let request = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 42\r\n\r\n\
                   {\"model\":\"m\",\"stream\":false,\"messages\":[]}";
    let mut address = None;
    while !stop.load(Ordering::Relaxed) {
        let Some(at) = &address else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if let Ok(client) = Client::connect(&socket, "traffic").await
                && client.ask(account::Resume { secret: token.clone() }).await.is_ok()
                && let Ok(status) = client.ask(daemon::GetStatus).await
            {
                address = Some(status.listen[0].clone());
            }
            continue;
        };
        let asked = async {
            let mut stream = TcpStream::connect(at).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        match tokio::time::timeout(Duration::from_secs(10), asked).await {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => {
                served.fetch_add(1, Ordering::Relaxed);
            }
            _ => address = None,
        }
    }
}

/// A daemon on a small disk, with an administrator; its data directory is in `folder`.
async fn start(folder: &Path, script: &str) -> Daemon {
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let config = "[store]\noperation_deadline = \"2s\"\nsnapshots = 1\n";
    let prefix = ["unshare", "-m", "sh", "-c", script, data.to_str().unwrap()];
    Daemon::builder().folder(folder).config(config).behind(&prefix).start_any().await
}

/// The data directory as the daemon sees it.
fn disk_of(daemon: &Daemon) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), daemon.data().display()))
}

#[tokio::test]
async fn a_full_disk_is_waited_for_at_the_start() {
    if !is_allowed() {
        eprintln!("skipped: this system lets us make no mount namespace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = start(folder.path(), ON_A_FULL_DISK).await;
    let said = daemon.stderr().text();
    assert!(said.contains("waits for room on the disk") && said.contains("2097152 are needed"), "{said}");
    daemon.aivonx().ok(&["org", "add", "acme"]).await;
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn changes_are_refused_in_words_while_the_disk_is_full_and_nothing_else_is() {
    if !is_allowed() {
        eprintln!("skipped: this system lets us make no mount namespace");
        return;
    }
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = start(folder.path(), ON_A_SMALL_DISK).await;
    daemon.aivonx().ok(&["node", "add", "n", &node.url()]).await;
    daemon.until_active(1).await;
    let pid = daemon.pid();
    let full = take_space(&disk_of(&daemon));
    let refused = daemon.aivonx().run(&["org", "add", "acme"]).await;
    assert!(
        refused.stderr.contains("is full: ") && refused.stderr.contains("nothing was changed"),
        "{refused:?}"
    );
    let ready = daemon.get("/ready").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("degraded") && ready.text().contains("is full: "), "{}", ready.text());
    let body = serde_json::json!({ "model": "m", "stream": false, "messages": [] });
    assert_eq!(daemon.post("/api/chat", &body).await.status, 200);
    drop(full);
    daemon.aivonx().ok(&["org", "add", "acme"]).await;
    within("word that all is well", async {
        while daemon.get("/ready").await.text().contains("degraded") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(daemon.pid(), pid);
    // Every change has its entry, and nothing was left out.
    let audit = daemon.aivonx().ok(&["audit", "list"]).await;
    assert!(audit.contains("acme") && !audit.contains("audit_overflow"), "{audit}");
    assert!(daemon.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_under_way_when_the_disk_became_full_is_on_it() {
    if !is_allowed() {
        eprintln!("skipped: this system lets us make no mount namespace");
        return;
    }
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = start(folder.path(), ON_A_SMALL_DISK).await;
    daemon.aivonx().ok(&["node", "add", "n", &node.url()]).await;
    daemon.until_active(1).await;
    // Without a file there is none that room could be kept for.
    let body = serde_json::json!({ "model": "m", "stream": false, "messages": [] });
    let requests = async |total: u64| {
        within("the requests in the ledger", async {
            while daemon.aivonx().json(&["usage", "show"]).await["total"]["requests"] != total {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    };
    assert_eq!(daemon.post("/api/chat", &body).await.status, 200);
    requests(1).await;
    let added = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (aivonx, added) = (daemon.aivonx(), added.clone());
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let name = format!("o{writer}-{}", mine.len());
                    if aivonx.run(&["org", "add", &name]).await.code != 0 {
                        return mine;
                    }
                    mine.push(name);
                    added.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    within("the first edits", async {
        while added.load(Ordering::Relaxed) < 2 * WRITERS as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let full = take_space(&disk_of(&daemon));
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(within("a refusal", writer).await.unwrap());
    }
    // In the files, and not in memory until there is room.
    let audit = daemon.aivonx().json(&["audit", "list", "--lines", "1000"]).await.to_string();
    for name in &acknowledged {
        assert!(audit.contains(&format!("\"{name}\"")), "{name} has no entry");
    }
    for _ in 0..20 {
        assert_eq!(daemon.post("/api/chat", &body).await.status, 200);
    }
    requests(21).await;
    drop(full);
    assert!(daemon.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_while_space_inodes_and_descriptors_come_and_go() {
    if !is_allowed() {
        eprintln!("skipped: this system lets us make no mount namespace");
        return;
    }
    let rounds = std::env::var("AIVONX_TEST_EXHAUSTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = start(folder.path(), ON_A_SMALL_DISK).await;
    daemon.aivonx().ok(&["node", "add", "n", &node.url()]).await;
    daemon.until_active(1).await;
    let url = format!("http://localhost:{}", node.address().port());
    for n in 0..WRITERS {
        daemon
            .aivonx()
            .ok(&["node", "add", &format!("w{n}"), &format!("{url}/{n}"), "--kind", "ollama", "--force"])
            .await;
    }
    let (disk, pid) = (disk_of(&daemon), daemon.pid());
    let (acknowledged, stop) = (Acknowledged::default(), Arc::new(AtomicBool::new(false)));
    let token = daemon.token().expect("an administrator's");
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
            tokio::spawn(write(
                daemon.socket().to_owned(),
                token.clone(),
                format!("w{n}"),
                acknowledged,
                stop,
            ))
        })
        .collect();
    let served = Arc::new(AtomicU64::new(0));
    let traffic = tokio::spawn(ask(daemon.socket().to_owned(), token.clone(), served.clone(), stop.clone()));
    let total = || acknowledged.lock().unwrap().values().sum::<u64>();
    let mut random = StdRng::seed_from_u64(14);
    for round in 0..rounds {
        let taken = match random.random_range(0..3) {
            0 => take_space(&disk),
            1 => take_inodes(&disk),
            _ => take_descriptors(daemon.pid(), &mut random),
        };
        tokio::time::sleep(Duration::from_millis(random.random_range(100..3000))).await;
        drop(taken);
        let (edits, requests) = (total(), served.load(Ordering::Relaxed));
        within(&format!("edits and requests after round {round}"), async {
            while total() < edits + 20 || served.load(Ordering::Relaxed) < requests + 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    // All faults were repaired without a restart.
    assert_eq!(daemon.pid(), pid);
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        within("a writer's end", writer).await.unwrap();
    }
    within("the end of the traffic", traffic).await.unwrap();
    let nodes = daemon.nodes().await;
    for (name, edit) in acknowledged.lock().unwrap().iter() {
        let node = nodes.iter().find(|node| node["name"] == **name).unwrap();
        let kept: u64 = node["labels"]["edit"].as_str().unwrap().parse().unwrap();
        assert!(kept >= *edit, "{name}: acknowledged {edit}, kept {kept}");
    }
    let verdict = daemon.aivonx().json(&["audit", "verify"]).await;
    assert_eq!(verdict["intact"], true, "{verdict}");
    assert!(daemon.stop().await.success());
}

/// Leaves this much room, and no more.
fn leave(dir: &Path, free: u64) -> Taken {
    let taken = take_space(dir);
    let file = fs::OpenOptions::new().write(true).open(dir.join("filler")).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(size.saturating_sub(free)).unwrap();
    taken
}

#[tokio::test]
async fn a_backup_that_finds_no_room_leaves_nothing_behind() {
    if !is_allowed() {
        eprintln!("skipped: this system lets us make no mount namespace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path(), ON_A_SMALL_DISK).await;
    let (disk, aivonx) = (disk_of(&daemon), daemon.aivonx());
    aivonx.ok(&["org", "add", "acme"]).await;
    let made = aivonx.json(&["backup", "create"]).await;
    let size = made["bytes"].as_u64().unwrap();
    // From nothing to more than enough.
    for part in 0..6 {
        let taken = leave(&disk, size * part / 4);
        let tried = aivonx.run(&["backup", "create"]).await;
        drop(taken);
        assert!(tried.code == 0 || !tried.stderr.is_empty(), "{tried:?}");
        let listed = aivonx.json(&["backup", "list"]).await;
        let mut names: Vec<_> =
            listed.as_array().unwrap().iter().map(|one| one["file"].as_str().unwrap()).collect();
        let mut files: Vec<_> =
            fs::read_dir(disk.join("backups")).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort_unstable();
        files.sort();
        assert_eq!(files, names, "{tried:?}");
        for name in names {
            aivonx.ok(&["backup", "verify", name]).await;
        }
    }
    let organizations = aivonx.json(&["org", "list"]).await;
    assert!(organizations.to_string().contains("acme"), "{organizations}");
}

/// A disk with the files of the directory at `$1`, on which there is room for `$2` KiB while the backup at `$3` is
/// restored with the program at `$4`. One that ends half way is done again once there is room, as the daemon asks for.
/// What was said is in the file at `$5`.
const RESTORED_ON_A_FULL_DISK: &str = r#"mount -t tmpfs -o size=24m,nr_inodes=300,mode=700 tmpfs "$0" || exit
    cp -a "$1/." "$0/"
    dd if=/dev/zero of="$0/filler.log" bs=1k 2>/dev/null
    truncate -s "-$2K" "$0/filler.log"
    "$4" restore "$3" --dir "$0" >"$5" 2>&1 && echo restored >>"$5"
    rm "$0/filler.log"
    [ ! -e "$0/RESTORING" ] || { "$4" restore "$3" --dir "$0" >"$5" 2>&1 && echo restored >>"$5"; }
    shift 5; exec "$@""#;

#[tokio::test]
async fn a_restoration_that_finds_no_room_loses_nothing() {
    if !is_allowed() {
        eprintln!("skipped: this system lets us make no mount namespace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).config("").start_any().await;
    let aivonx = daemon.aivonx();
    let (backup, before) = (folder.path().join("b"), folder.path().join("before"));
    aivonx.ok(&["org", "add", "acme"]).await;
    aivonx.ok(&["backup", "create", "--to", backup.to_str().unwrap()]).await;
    aivonx.ok(&["org", "add", "newer"]).await;
    daemon.stop().await;
    fs::rename(daemon.data(), &before).unwrap();
    let size = fs::metadata(&backup).unwrap().len() >> 10;
    let mut outcomes = Vec::new();
    // From nothing to more than enough: what is restored is laid out beside what was there.
    for part in 0..5 {
        let data = folder.path().join("data");
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).unwrap();
        let said = folder.path().join("said");
        let (free, program) = ((size * part * part).to_string(), aivonx_tests::harness::binary("aivonxd"));
        let [data, before, backup, program, told] =
            [&data, &before, &backup, &program, &said].map(|path| path.to_str().unwrap().to_owned());
        let script = RESTORED_ON_A_FULL_DISK;
        let prefix: Vec<&str> =
            vec!["unshare", "-m", "sh", "-c", script, &data, &before, &free, &backup, &program, &told];
        let mut daemon = Daemon::builder().folder(folder.path()).config("").behind(&prefix).start_any().await;
        let organizations = daemon.aivonx().json(&["org", "list"]).await.to_string();
        let told = fs::read_to_string(said).unwrap();
        let is_restored = told.ends_with("restored\n");
        assert!(organizations.contains("acme"), "{told}");
        assert_eq!(organizations.contains("newer"), !is_restored, "{told}\n{organizations}");
        assert_eq!(daemon.aivonx().json(&["audit", "verify"]).await["intact"], true, "{told}");
        outcomes.push(is_restored);
        daemon.stop().await;
    }
    assert!(!outcomes[0] && outcomes[4], "{outcomes:?}");
}
