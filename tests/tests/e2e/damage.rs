//! Random damages of a data directory with everything in it: it opens whole, or says what is lost, or is refused in words
//! within ten seconds and can be recovered. Nothing is ever silent, and nothing hangs.
//!
//! A few of them; for as many seconds as `AIVONX_DAMAGE_SECONDS` says, or as many of them as `AIVONX_DAMAGES`. They follow
//! from `AIVONX_DAMAGE_SEED` and their number: `AIVONX_DAMAGE_FIRST=N AIVONX_DAMAGES=1` repeats one.

mod harm;
mod survey;

use std::{
    collections::BTreeSet,
    fs,
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
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;

use self::{
    harm::damage,
    survey::{State, survey},
};

/// Longest time to a refusal, of which ten seconds are promised; the rest is for a loaded machine.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

/// Damaged at once.
const AT_ONCE: usize = 2;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
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

/// What lies beside the store, where a damage is no damage to the store: the refusal names it and how it is
/// mended, and there is nothing to recover.
const BESIDE: [&str; 3] = ["lock", "master.key", "snapshots"];

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
            let names = |name: &&str| said.contains(data.join(name).to_str().unwrap());
            if (!said.contains("aivonxd recover") && !BESIDE.iter().any(names)) || said.contains("panicked") {
                return Err(failed(format!("refused without words: {said}")));
            }
            "refused"
        }
    };
    if came == "refused" && !BESIDE.iter().any(|name| what.starts_with(name)) {
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
