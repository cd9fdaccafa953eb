//! The commands of `aivonxd` that do not serve.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use aivonx_config::{self as config, StoreOptions};
use aivonx_gateway::{Acme, Tls};
use aivonx_protocol::Untrusted;
use aivonx_store::{
    Rewrapped, Store,
    database::Server,
    recover::{self, Restored, Snapshot, Summary},
    secrets::{
        MasterKey,
        rekey::{self, Rekeyed},
    },
};

use crate::{
    acme,
    args::{GenCert, Recover, Rekey},
    error::AppError,
    gen_cert, lifecycle, manual,
};

pub(crate) fn say(text: &str) -> Result<(), AppError> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(AppError::system("cannot write to standard output"))
}

/// `aivonxd check --print-default`
pub(crate) fn print_default() -> Result<(), AppError> {
    say(config::print_default().trim_end())
}

/// `aivonxd manual`
pub(crate) fn manual() -> Result<(), AppError> {
    say(manual::sections().trim_end())
}

/// `aivonxd check --config FILE`
pub(crate) fn check(file: &Path) -> Result<(), AppError> {
    let config = config::load(file)?.config;
    let mut text = format!("{}: no mistakes", file.display());
    config.warnings().iter().for_each(|warning| text += &format!("\nwarning: {warning}"));
    let now = jiff::Timestamp::now();
    for tls in Tls::open_all(&config.listen, &Acme::new(&acme::directory(&config)))?.into_iter().flatten() {
        tls.warnings(now).iter().for_each(|warning| text += &format!("\nwarning: {warning}"));
    }
    say(&text)
}

/// `aivonxd gen-cert`
pub(crate) fn gen_cert(args: &GenCert) -> Result<(), AppError> {
    say(&gen_cert::gen_cert(args)?)
}

/// `aivonxd recover`
pub(crate) fn recover(args: &Recover) -> Result<(), AppError> {
    recover::hush_engine();
    let (dir, key, last) = match &args.dir {
        Some(dir) => (dir.clone(), dir.join("master.key"), START),
        None => {
            let config = config::load(&args.config)?.config;
            let key = MasterKey::file(config.secrets.master_key.as_deref(), &config.data_dir);
            let last = last_step(&config);
            (config.data_dir, key, last)
        }
    };
    // What is written must be the daemon's to read. What only root may read has been read before.
    let act_as_owner = || match dir.exists() {
        true => lifecycle::act_as_owner(&dir),
        false => Ok(()),
    };
    let failed = AppError::system("cannot act as the owner of the data directory");
    if args.dir.is_some() && (args.snapshot.is_some() || args.from.is_some()) {
        must_exist(&dir)?;
    }
    let (source, restored) = match (&args.snapshot, &args.from) {
        (Some(file), _) => {
            let file = found(file, &dir.join("snapshots"));
            let snapshot = recover::read(&file)?;
            act_as_owner().map_err(failed)?;
            (file, recover::put_back(&dir, snapshot)?)
        }
        (None, Some(store)) => {
            let store = found(store, &dir);
            act_as_owner().map_err(failed)?;
            let restored = recover::restore_from(&dir, &store)?;
            (store, restored)
        }
        (None, None) => return list(&dir),
    };
    let mut text = restored_text(&source, &restored);
    if !key.exists() {
        text += &format!(
            "\nIts secrets open only with the master key of the daemon it was taken from: before the start put that \
             into {}, or where secrets.master_key says.",
            key.display()
        );
    }
    say(&(text + last))
}

/// What is left to do after a store was put into the data directory.
pub(crate) const START: &str = "\nStart the daemon to serve from it.";

/// The same where the settings are kept in a database.
pub(crate) fn last_step(config: &config::Config) -> &'static str {
    match config.cluster.postgres {
        Some(_) => {
            "\nThe settings are in the embedded store now. Move them into the database of cluster.postgres, then start the \
             daemon: aivonxd move --from sled --to postgres --replace"
        }
        None => START,
    }
}

/// Refuses a data directory that is not there: its name may be misspelt.
pub(crate) fn must_exist(dir: &Path) -> Result<(), AppError> {
    if dir.exists() {
        return Ok(());
    }
    Err(AppError::Usage(format!(
        "{0} is not there; name the data directory with --dir, or make a new one first: mkdir -m 700 {0}",
        dir.display()
    )))
}

/// A bare name stands for the file of that name in `dir`, unless there is one here.
pub(crate) fn found(name: &Path, dir: &Path) -> PathBuf {
    let there = dir.join(name);
    if name.components().count() == 1 && !name.exists() && there.exists() { there } else { name.to_owned() }
}

pub(crate) fn restored_text(source: &Path, restored: &Restored) -> String {
    let mut text = String::new();
    if restored.finished {
        text += "an earlier recovery that was interrupted has been finished first\n";
    }
    text += &format!("restored {}: {}", source.display(), summary(&restored.summary));
    if let Some(aside) = &restored.set_aside {
        let back = way_back(aside);
        text += &format!("\nwhat was there is kept in {}\nto put its settings back: {back}", aside.display());
    }
    for state in &restored.ledgers {
        let is_none = state.records == 0 && state.lost.is_empty();
        text += &match &restored.set_aside {
            Some(aside) if restored.had_old_ledgers && is_none => format!(
                "\n{}: not put back; the older form that was there had it in the store itself, so it is in {}",
                state.ledger.as_str(),
                aside.display()
            ),
            _ => format!("\n{state}"),
        };
    }
    text
}

/// The command that puts the settings of a store back that was set aside in a data directory.
fn way_back(store: &Path) -> String {
    let dir = match store.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let (typed, from) = (shell(dir), shell(store));
    if recover::is_of_same_daemon(dir, store) {
        return format!("aivonxd recover --dir {typed} --from {from}");
    }
    // Into the directory of another daemon it is refused.
    let new = shell(&dir.with_file_name(format!("{}.before", dir.file_name().unwrap_or_default().display())));
    format!("mkdir -m 700 {new} && aivonxd recover --dir {new} --from {from}")
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn list(dir: &Path) -> Result<(), AppError> {
    if !recover::is_data_dir(dir) {
        let what = if dir.exists() { "is no data directory of aivonxd" } else { "is not there" };
        return Err(AppError::Usage(format!(
            "{} {what}; name the data directory with --dir, or the file that says where it is with --config",
            dir.display()
        )));
    }
    let (snapshots, place) = (recover::list(dir)?, dir.join("snapshots"));
    let mut text = match snapshots.len() {
        0 => format!("there are no snapshots in {}", place.display()),
        _ => format!("snapshots in {}, newest first:", place.display()),
    };
    let now = jiff::Timestamp::now();
    for snapshot in &snapshots {
        text += &line(snapshot, now);
    }
    let aside = recover::set_aside(dir)?;
    if !aside.is_empty() {
        text +=
            "\nset aside by earlier recoveries, with what puts the settings of each back if they are whole:";
        for store in &aside {
            text += &format!("\n  {}\n    {}", store.display(), way_back(store));
        }
    }
    match recover::in_use(dir) {
        Some(Some(pid)) => {
            text += &format!("\nprocess {pid} uses the directory: stop it before anything is put back")
        }
        Some(None) => text += "\na process uses the directory: stop it before anything is put back",
        None => text += "\nno daemon uses the directory",
    }
    let dir = dir.display();
    if !snapshots.is_empty() {
        text += &format!("\nPut one back with: aivonxd recover --dir {dir} --snapshot FILE");
    }
    say(&text)
}

/// A snapshot on three lines: its file, its age, and what is in it.
fn line(snapshot: &Snapshot, now: jiff::Timestamp) -> String {
    let size = size(snapshot.bytes);
    let told = match &snapshot.contents {
        Ok(contents) => format!("{}, {size}, {}", age(contents, now), summary(contents)),
        Err(why) => format!("{size}, cannot be used: {}", Untrusted::new(why)),
    };
    format!("\n  {}\n    {told}", snapshot.path.display())
}

fn taken(contents: &Summary) -> jiff::Timestamp {
    let millis = i64::try_from(contents.created).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
}

/// How long ago it was taken, in its largest unit.
fn age(contents: &Summary, now: jiff::Timestamp) -> String {
    match now.duration_since(taken(contents)).as_secs() {
        ..0 => "from a time to come (a clock was wrong)".to_owned(),
        seconds @ 0..120 => format!("{seconds} s old"),
        seconds @ 120..7200 => format!("{} min old", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h old", seconds / 3600),
        seconds => format!("{} days old", seconds / 86_400),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        ..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

pub(crate) fn summary(contents: &Summary) -> String {
    let behind = match contents.changes_behind {
        Some(0) => "nothing is missing".to_owned(),
        Some(1) => "1 change is missing".to_owned(),
        Some(n) => format!("{n} changes are missing"),
        None => "what was changed later is missing".to_owned(),
    };
    let nouns = contents.nouns().filter(|(_, n)| *n > 0).map(|(noun, n)| format!("{noun} {n}"));
    let nouns: Vec<String> = nouns.collect();
    format!("{behind}; taken {:.0}: {}", taken(contents), nouns.join(", "))
}

/// `aivonxd rekey`
pub(crate) fn rekey(args: &Rekey) -> Result<(), AppError> {
    let (dir, options, in_use, server) = match &args.dir {
        Some(dir) => (dir.clone(), StoreOptions::default(), None, None),
        None => {
            let config = config::load(&args.config)?.config;
            let server = Server::configured(&config.cluster)?;
            (config.data_dir, config.store, config.secrets.master_key, server)
        }
    };
    recover::hush_engine();
    if !recover::is_store(&dir) {
        let dir = dir.display();
        return Err(AppError::Usage(format!("{dir} holds no store; name its directory with --dir")));
    }
    // Closing takes a snapshot of the store as it is then: no other may have to make room for it.
    let options = StoreOptions { snapshots: u32::MAX, ..options };
    // Both before the store is touched: a file that is no master key is the likeliest mistake.
    let (old, new) = (MasterKey::load(&args.old)?, MasterKey::load(&args.new)?);
    let in_use = in_use.unwrap_or_else(|| key_in_use(&dir, Path::new(UNIT_KEY)));
    let is_in_place = same_file(&args.new, &in_use);
    lifecycle::act_as_owner(&dir)
        .map_err(AppError::system("cannot act as the owner of the data directory"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(AppError::system("cannot start a thread"))?;
    let rekeyed = runtime.block_on(async {
        let store = Store::open_with(&dir, &options, server).await?;
        let rekeyed = rekey::rekey(&store, old, new).await;
        store.close().await?;
        Ok::<_, AppError>(rekeyed?)
    });
    // An open that hangs must not keep the process.
    runtime.shutdown_background();
    let mut text = rekeyed_text(&rekeyed?);
    if !is_in_place {
        let (new, in_use) = (args.new.display(), in_use.display());
        text += &format!("\nBefore the next start put {new} where the daemon reads its key: {in_use}");
    }
    text += "\nCopies of the store made before still open with the old master key. If others may have it, start the \
             daemon and run: aivonx secrets rotate";
    say(&text)
}

/// What the unit loads as the credential.
pub(crate) const UNIT_KEY: &str = "/etc/aivonx/master.key";

/// Where the daemon reads its key, if the file does not say: beside the store, or, where the package has made it
/// instead, the file that the unit hands to it. Here nobody has handed anything.
pub(crate) fn key_in_use(dir: &Path, unit_key: &Path) -> PathBuf {
    let beside = dir.join("master.key");
    if !beside.exists() && unit_key.exists() { unit_key.to_owned() } else { beside }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn rekeyed_text(rekeyed: &Rekeyed) -> String {
    let keys = |n: usize| if n == 1 { "1 data key".to_owned() } else { format!("{n} data keys") };
    let mut text = match rekeyed.wrapped {
        0 => format!("store: {} under the new master key already", keys(rekeyed.data_keys)),
        n => format!("store: {} put under the new master key", keys(n)),
    };
    for (path, done) in &rekeyed.snapshots {
        let path = path.display();
        text += &match done {
            Rewrapped::Done(n) => format!("\n{path}: {} put under the new master key", keys(*n)),
            Rewrapped::Already => format!("\n{path}: under the new master key already"),
            Rewrapped::NoKeys => format!("\n{path}: holds no data keys"),
            Rewrapped::Left(why) => format!("\n{path}: left as it is: {why}"),
        };
    }
    for path in &rekeyed.set_aside {
        text += &format!("\n{}: set aside by recover, still needs the old master key", path.display());
    }
    text
}
