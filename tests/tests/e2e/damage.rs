//! Random damages of a data directory with everything in it: it opens whole, or says what is lost, or is refused in words
//! within ten seconds and can be recovered. Nothing is ever silent, and nothing hangs.
//!
//! A few of them; for as many seconds as `AIVONX_DAMAGE_SECONDS` says, or as many of them as `AIVONX_DAMAGES`. They follow
//! from `AIVONX_DAMAGE_SEED` and their number: `AIVONX_DAMAGE_FIRST=N AIVONX_DAMAGES=1` repeats one.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        fs::{FileExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Aivonx, Daemon, Request, binary},
    within,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Map, Value, json};

/// Longest time to a refusal, of which ten seconds are promised; the rest is for a loaded machine.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

/// Damaged at once.
const AT_ONCE: usize = 2;

/// Bytes of a page and of a segment, as engines and disks have them.
const PAGE: usize = 4096;
const SEGMENT: usize = 512 << 10;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// What a gateway says that it has.
#[derive(Debug, Clone, PartialEq)]
struct State {
    configuration: Value,
    /// Last entry of the audit log.
    audit: u64,
    usage: Value,
    counters: Value,
    /// Where anyone could see that something is wrong: status, verdict on the audit log, log.
    told: String,
}

/// The part of what is listed that only somebody's decision changes.
fn decided(listed: &Value) -> Value {
    const FIELDS: [&str; 13] = [
        "id",
        "name",
        "slug",
        "url",
        "role",
        "revision",
        "organization",
        "model",
        "alias",
        "models",
        "prompt",
        "output",
        "limit",
    ];
    match listed {
        Value::Array(all) => all.iter().map(decided).collect(),
        Value::Object(one) => {
            let kept = one.iter().filter(|(field, _)| FIELDS.contains(&field.as_str()));
            // The models of a node are those that it has now.
            let kept = kept.filter(|(field, _)| !(one.contains_key("url") && *field == "models"));
            Value::Object(kept.map(|(field, value)| (field.clone(), value.clone())).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// The command's JSON. A failure is added to `told`, under the name of the `part` it is about.
async fn ask(aivonx: &Aivonx, part: &str, words: &[&str], told: &mut String) -> Value {
    let words = [words, &["--output", "json"]].concat();
    let ran = aivonx.run(&words).await;
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| {
        *told += &format!("{part}: {}: {}\n", words.join(" "), ran.stderr);
        Value::Null
    })
}

async fn survey(aivonx: &Aivonx, log: &str) -> State {
    let mut told = String::new();
    let mut configuration = Map::new();
    for noun in ["node", "org", "user", "key", "price", "model policy", "model alias"] {
        let words: Vec<&str> = noun.split(' ').chain(["list"]).collect();
        configuration.insert(noun.to_owned(), decided(&ask(aivonx, noun, &words, &mut told).await));
    }
    let limits = ask(aivonx, "counters", &["limit", "show", "--org", "o0"], &mut told).await;
    configuration.insert("limit".to_owned(), decided(&limits["limits"]));
    let all = limits["limits"].as_array().into_iter().flatten();
    let of_day = all.filter(|one| one["name"].as_str().is_some_and(|name| name.ends_with(".day")));
    let counters = of_day.map(|one| json!([one["name"], one["used"]])).collect();
    let verdict = ask(aivonx, "audit", &["audit", "verify"], &mut told).await;
    let usage = ask(aivonx, "usage", &["usage", "show", "--by", "org"], &mut told).await;
    let rows = usage["rows"].as_array().into_iter().flatten();
    let usage = rows.map(|row| json!([row["id"], row["requests"], row["prompt_tokens"]])).collect();
    if verdict["intact"] != true || verdict["restarts"] != json!([]) {
        told += &format!("audit verify: {verdict}\n");
    }
    let status = ask(aivonx, "status", &["status"], &mut told).await;
    for warning in status["warnings"].as_array().into_iter().flatten() {
        told += &format!("status: {warning}\n");
    }
    // Without their times, so that they can be compared.
    let loud = log.lines().filter(|line| [" WARN ", " ERROR "].iter().any(|level| line.contains(level)));
    loud.for_each(|line| told += &format!("{}\n", line.split_once(' ').map_or(line, |(_, rest)| rest)));
    State {
        configuration: Value::Object(configuration),
        audit: verdict["last"].as_u64().unwrap_or(0),
        usage,
        counters,
        told,
    }
}

/// A stopped gateway with everything in it, and an older copy of its data.
struct Base {
    folder: tempfile::TempDir,
    token: String,
}

impl Base {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = FakeNode::ollama().await;
        let config = "[audit]\ncheckpoint_entries = 20\n";
        let at = folder.path().join("at");
        fs::create_dir(&at).unwrap();
        let mut daemon = Daemon::builder().folder(&at).config(config).node(&node).start().await;
        fill(&daemon, 0).await;
        assert!(daemon.stop().await.success());
        copy(&at.join("data"), &folder.path().join("older"));
        let mut daemon = Daemon::builder().folder(&at).config(config).start_any().await;
        daemon.until_active(1).await;
        fill(&daemon, 1).await;
        daemon.aivonx().ok(&["secrets", "rotate", "--yes"]).await;
        let token = daemon.token().expect("the harness has logged in").expose().to_owned();
        assert!(daemon.stop().await.success());
        copy(&at.join("data"), &folder.path().join("newer"));
        Self { folder, token }
    }

    fn newer(&self) -> PathBuf {
        self.folder.path().join("newer")
    }

    fn older(&self) -> PathBuf {
        self.folder.path().join("older")
    }

    /// A gateway of its own with a copy of the newer data.
    fn gateway(&self, name: &str) -> Gateway {
        let folder = self.folder.path().join(name);
        copy(&self.newer(), &folder.join("data"));
        Gateway { folder, token: self.token.clone() }
    }
}

async fn fill(daemon: &Daemon, part: usize) {
    let aivonx = daemon.aivonx();
    let org = format!("o{part}");
    aivonx.ok(&["org", "add", &org]).await;
    aivonx.ok(&["limit", "set", "--org", &org, "inference.day=1000", "user.hour=500"]).await;
    aivonx.ok(&["price", "set", &format!("model{part}*"), "0.1", "0.2"]).await;
    aivonx.ok(&["model", "policy", "set", &format!("p{part}*"), "--num-ctx", "4096"]).await;
    aivonx.ok(&["model", "alias", "set", &format!("alias{part}"), "m"]).await;
    for n in 0..6 {
        let user = format!("u{part}{n}");
        aivonx.ok(&["user", "add", &user, "--org", &org]).await;
        let key = aivonx.json(&["key", "create", &format!("k{n}"), "--org", &org, "--user", &user]).await;
        let bearer = format!("Bearer {}", key["secret"].as_str().unwrap());
        let body = json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "x y z"}]});
        for _ in 0..4 {
            daemon.ask(&Request::json("/api/chat", &body).field("Authorization", &bearer)).await.expect(200);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else if path.is_file() {
            fs::copy(&path, to).unwrap();
        }
    }
}

struct Gateway {
    folder: PathBuf,
    token: String,
}

/// What came of a start.
enum Start {
    Opened(Box<State>),
    Refused(String),
}

impl Gateway {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it, looks at what it has, and stops it.
    ///
    /// # Errors
    /// What must never happen.
    async fn start(&self) -> Result<Start, String> {
        let [file, socket, log] = ["aivonxd.toml", "control.sock", "log"].map(|name| self.folder.join(name));
        let config = format!(
            "data_dir = {:?}\n[[listen]]\naddress = \"127.0.0.1:0\"\n[control]\nsocket = {socket:?}\ngroup = \"\"\n\
             [access]\nmode = \"open\"\ntwo_factor = \"optional\"\n[log]\ntarget = \"stderr\"\n[store]\nopen_deadline = \"8s\"\n",
            self.data()
        );
        fs::write(&file, config).unwrap();
        let began = Instant::now();
        let mut daemon = tokio::process::Command::new(binary("aivonxd"))
            .arg("run")
            .arg("--config")
            .arg(&file)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let read = || String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
        loop {
            if let Some(status) = daemon.try_wait().unwrap() {
                let said = read();
                let took = began.elapsed();
                return match status.code() {
                    Some(1) if took < REFUSED_WITHIN => Ok(Start::Refused(said)),
                    _ => Err(format!("ended with {status} after {took:?}: {said}")),
                };
            }
            if read().contains("the gateway serves") {
                break;
            }
            if began.elapsed() > REFUSED_WITHIN {
                return Err(format!("neither serves nor refuses: {}", read()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let aivonx = Aivonx::new(&socket).token(&self.token);
        let state = survey(&aivonx, &read()).await;
        let pid =
            daemon.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = within("the end of a gateway", daemon.wait()).await.unwrap();
        if !ended.success() {
            return Err(format!("it opened, and stopped with {ended}: {}", read()));
        }
        Ok(Start::Opened(Box::new(state)))
    }

    /// Puts the newest snapshot back that can be, and gives what is said of it.
    async fn recover(&self) -> Result<Option<String>, String> {
        let mut names: Vec<_> = match fs::read_dir(self.data().join("snapshots")) {
            Ok(all) => all.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => return Ok(None),
        };
        let change = |path: &PathBuf| path.file_stem()?.to_str()?.split('-').nth(1)?.parse::<u64>().ok();
        names.sort_by_key(|path| std::cmp::Reverse(change(path)));
        for name in names {
            let mut command = tokio::process::Command::new(binary("aivonxd"));
            command
                .arg("recover")
                .arg("--dir")
                .arg(self.data())
                .arg("--snapshot")
                .arg(&name)
                .kill_on_drop(true);
            let output = within("recover", command.output()).await.unwrap();
            let said = [&output.stdout[..], &output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            if said.contains("panicked") || output.status.code().is_none() {
                return Err(format!("recover: {said}"));
            }
            if output.status.success() {
                return Ok(Some(said.into_owned()));
            }
        }
        Ok(None)
    }
}

/// Regular files below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort_unstable();
    found
}

/// A file to damage: the larger ones more often, and every one now and then.
fn pick(data: &Path, random: &mut StdRng) -> PathBuf {
    let all: Vec<_> = files(data)
        .into_iter()
        .filter(|path| !path.ends_with("lock") && !path.ends_with("master.key"))
        .map(|path| (4.0 + (fs::metadata(&path).unwrap().len() as f64).sqrt() / 40.0, path))
        .collect();
    all.choose_weighted(random, |(weight, _)| *weight).unwrap().1.clone()
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
    let end = bytes.len().min(length.saturating_sub(at));
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&bytes[..end], at as u64).unwrap();
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        _ => drop(fs::remove_file(path)),
    }
}

/// Damages `data`, and says how.
fn damage(data: &Path, older: &Path, random: &mut StdRng) -> String {
    let path = pick(data, random);
    let name = path.strip_prefix(data).unwrap().display().to_string();
    let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    let somewhere = |random: &mut StdRng| random.random_range(0..length.max(1));
    let large = [data.join("store/db"), path.clone()].choose(random).unwrap().clone();
    match random.random_range(0..61) {
        0..13 => {
            let bits = *[1, 1, 1, 3, 20, 200].choose(random).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            for _ in 0..bits {
                if let Some(byte) = bytes.get_mut(somewhere(random)) {
                    *byte ^= 1_u8 << random.random_range(0..8_u32);
                }
            }
            fs::write(&path, bytes).unwrap();
            format!("{bits} bits of {name} flipped")
        }
        13..20 => {
            let some = random.random_range(0..=length);
            let lengths = [0, length / 2, some, length.saturating_sub(1), length.saturating_sub(PAGE)];
            let to = *lengths.choose(random).unwrap();
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(to as u64).unwrap();
            format!("{name} cut from {length} to {to}")
        }
        20..33 => {
            let size = *[16, 512, PAGE, 65_536, SEGMENT].choose(random).unwrap();
            let at = somewhere(random);
            let zeros = random.random_bool(0.5);
            let mut bytes = vec![0; size];
            if !zeros {
                random.fill(&mut bytes[..]);
            }
            overwrite(&path, at, &bytes);
            format!("{size} bytes of {name} at {at} are {}", if zeros { "zero" } else { "noise" })
        }
        33..36 => {
            remove(&path);
            format!("{name} removed")
        }
        36 => {
            let dir = *["store", "store/blobs", "snapshots"].choose(random).unwrap();
            remove(&data.join(dir));
            format!("{dir}/ removed")
        }
        37..39 => {
            let other = pick(data, random);
            let (ours, theirs) = (fs::read(&path).unwrap(), fs::read(&other).unwrap());
            fs::write(&path, theirs).unwrap();
            fs::write(&other, ours).unwrap();
            format!("{name} and {} changed places", other.strip_prefix(data).unwrap().display())
        }
        39..43 => {
            let old = files(older);
            let old = old.choose(random).unwrap();
            let name = old.strip_prefix(older).unwrap();
            if name.ends_with("lock") || name.ends_with("master.key") {
                return "nothing".to_owned();
            }
            fs::copy(old, data.join(name)).unwrap();
            format!("{} as it was before", name.display())
        }
        43..52 => {
            let size = *[PAGE, PAGE, SEGMENT].choose(random).unwrap();
            let bytes = fs::read(&large).unwrap();
            let places = (bytes.len() / size).max(1);
            let (from, to) = (random.random_range(0..places) * size, random.random_range(0..places) * size);
            overwrite(&large, to, &bytes[from..bytes.len().min(from + size)]);
            format!("{size} bytes of {} at {from} written at {to} too", large.display())
        }
        52..56 => {
            let mut bytes = fs::read(&path).unwrap();
            let size = *[1, 100, PAGE, SEGMENT].choose(random).unwrap();
            let noise = random.random_bool(0.5);
            bytes.extend((0..size).map(|_| if noise { random.random() } else { 0_u8 }));
            fs::write(&path, bytes).unwrap();
            format!("{size} bytes added to {name}")
        }
        _ => {
            let names =
                ["store/db", "store/conf", "STORE", "COMMIT", "store", "snapshots", "lock", "master.key"];
            let at = data.join(names.choose(random).unwrap());
            remove(&at);
            let kind = *["directory", "link to nothing", "device", "named pipe", "socket", "nothing"]
                .choose(random)
                .unwrap();
            match kind {
                "directory" => fs::create_dir(&at).unwrap(),
                "link to nothing" => symlink("/nonexistent/x", &at).unwrap(),
                "device" => symlink("/dev/null", &at).unwrap(),
                "socket" => drop(UnixListener::bind(&at).unwrap()),
                "named pipe" => {
                    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                    rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
                }
                _ => {}
            }
            format!("{} is a {kind}", at.strip_prefix(data).unwrap().display())
        }
    }
}

/// Whether what is missing from `found` is named in it.
fn judge(found: &State, whole: &State) -> Result<(), String> {
    let known: BTreeSet<&str> = whole.told.lines().collect();
    let told: Vec<&str> = found.told.lines().filter(|line| !known.contains(line)).collect();
    let told = told.join("\n");
    let named = |is_whole: bool, part: &str| match is_whole || told.contains(part) {
        true => Ok(()),
        false => Err(format!("{part} is not whole and nothing names it; told was:\n{told}")),
    };
    named(found.audit >= whole.audit && !told.contains("audit verify:"), "audit")?;
    named(found.usage == whole.usage, "usage")?;
    named(found.counters == whole.counters, "counters")
}

async fn case(base: &Base, whole: &State, number: u64, seed: u64) -> Result<&'static str, String> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
    let gateway = base.gateway(&format!("case-{number}"));
    let what = damage(&gateway.data(), &base.older(), &mut random);
    let failed = |why: String| format!("damage {number}: {what}: {why}");
    let mut came = match gateway.start().await.map_err(&failed)? {
        Start::Opened(state) if state.configuration != whole.configuration => {
            return Err(failed(format!("opened with another configuration: {}", state.configuration)));
        }
        Start::Opened(state) => {
            judge(&state, whole).map_err(&failed)?;
            if state.audit >= whole.audit && state.usage == whole.usage {
                "opened whole"
            } else {
                "opened, loss told"
            }
        }
        Start::Refused(said) => {
            let data = gateway.data();
            let names_the_file =
                ["lock", "master.key"].iter().any(|name| said.contains(data.join(name).to_str().unwrap()));
            if (!said.contains("aivonxd recover") && !names_the_file) || said.contains("panicked") {
                return Err(failed(format!("refused without words: {said}")));
            }
            "refused"
        }
    };
    if came == "refused" && !what.starts_with("lock") && !what.starts_with("master.key") {
        match gateway.recover().await.map_err(&failed)? {
            None => came = "refused, no snapshot is usable",
            Some(told) => {
                let Start::Opened(mut state) = gateway.start().await.map_err(&failed)? else {
                    return Err(failed("not open after recover".into()));
                };
                if told.contains("nothing is missing") && state.configuration != whole.configuration {
                    return Err(failed("another configuration after recover".into()));
                }
                if told.contains("not whole") {
                    state.told += &told;
                }
                judge(&state, whole).map_err(&failed)?;
                came = "refused and recovered";
            }
        }
    }
    fs::remove_dir_all(&gateway.folder).unwrap();
    Ok(came)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_damages_are_told_or_refused_in_words() {
    let base = Base::make().await;
    let undamaged = base.gateway("undamaged");
    let Start::Opened(whole) = undamaged.start().await.unwrap() else { panic!("the base does not open") };
    assert!(whole.audit > 40 && whole.usage.as_array().unwrap().len() == 2, "{whole:?}");
    let seconds: Option<u64> = setting("AIVONX_DAMAGE_SECONDS");
    let count = setting("AIVONX_DAMAGES").unwrap_or(if seconds.is_some() { u64::MAX } else { 6 });
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (first, seed) =
        (setting("AIVONX_DAMAGE_FIRST").unwrap_or(0), setting("AIVONX_DAMAGE_SEED").unwrap_or(14));
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    let work = async || {
        while until.is_none_or(|until| Instant::now() < until) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let outcome = case(&base, &whole, first + number, seed).await;
            outcomes.lock().unwrap().push(outcome);
        }
    };
    futures_util::future::join_all((0..AT_ONCE).map(|_| work())).await;
    let outcomes = outcomes.into_inner().unwrap();
    let mut counted = std::collections::BTreeMap::new();
    outcomes.iter().flatten().for_each(|came| *counted.entry(*came).or_insert(0) += 1);
    eprintln!("{} damages with seed {seed}: {counted:?}", outcomes.len());
    let wrong: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        outcomes.len(),
        wrong.iter().map(|w| w.as_str()).collect::<Vec<_>>().join("\n\n")
    );
}
