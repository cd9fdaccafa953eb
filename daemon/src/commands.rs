//! The commands of `aivonxd` that do not serve.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use aivonx_protocol::Untrusted;

use crate::{
    app::AppError,
    args::{Recover, Rekey},
    config::{self, StoreOptions},
    lifecycle,
    secrets::{
        MasterKey,
        rekey::{self, Rekeyed},
    },
    store::{
        Rewrapped, Store,
        recover::{self, Snapshot, Summary},
    },
};

fn say(text: &str) -> Result<(), AppError> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(AppError::system("cannot write to standard output"))
}

/// `aivonxd check --print-default`
pub(crate) fn print_default() -> Result<(), AppError> {
    say(config::print_default().trim_end())
}

/// `aivonxd check --config FILE`
pub(crate) fn check(file: &Path) -> Result<(), AppError> {
    config::load(file)?;
    say(&format!("{}: no mistakes", file.display()))
}

/// `aivonxd recover`
pub(crate) fn recover(args: &Recover) -> Result<(), AppError> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => config::load(&args.config)?.config.data_dir,
    };
    let Some(file) = &args.snapshot else { return list(&dir) };
    let restored = recover::restore(&dir, file)?;
    let mut text = format!("restored {}: {}", file.display(), summary(&restored.summary));
    if let Some(aside) = &restored.set_aside {
        text += &format!("\nwhat was there is kept in {}", aside.display());
    }
    match &restored.ledgers {
        Ok(records) => text += &format!("\nthe audit log that was there goes on ({records} records)"),
        Err(why) => text += &format!("\nthe audit log begins a new chain: {}", Untrusted::new(why)),
    }
    say(&format!("{text}\nStart the daemon to serve from it."))
}

fn list(dir: &Path) -> Result<(), AppError> {
    let snapshots = recover::list(dir)?;
    if snapshots.is_empty() {
        return say(&format!("there are no snapshots in {}", dir.join("snapshots").display()));
    }
    let lines: Vec<String> = snapshots.iter().map(line).collect();
    say(&format!(
        "{}\nPut one back with: aivonxd recover --dir {} --snapshot FILE",
        lines.join("\n"),
        dir.display()
    ))
}

fn line(snapshot: &Snapshot) -> String {
    let contents = match &snapshot.contents {
        Ok(contents) => summary(contents),
        Err(why) => format!("cannot be used: {why}"),
    };
    format!("{}  {} bytes  {contents}", snapshot.path.display(), snapshot.bytes)
}

fn summary(contents: &Summary) -> String {
    let millis = i64::try_from(contents.created).unwrap_or(i64::MAX);
    let taken = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    let records: Vec<String> = contents.records.iter().map(|(tree, n)| format!("{n} {tree}")).collect();
    let behind = match contents.changes_behind {
        Some(0) => "nothing is missing".to_owned(),
        Some(1) => "1 change is missing".to_owned(),
        Some(n) => format!("{n} changes are missing"),
        None => "how much is missing is not known".to_owned(),
    };
    format!("taken {taken:.0}, {}; {behind}", records.join(", "))
}

/// `aivonxd rekey`
pub(crate) fn rekey(args: &Rekey) -> Result<(), AppError> {
    let (dir, options, in_use) = match &args.dir {
        Some(dir) => (dir.clone(), StoreOptions::default(), None),
        None => {
            let config = config::load(&args.config)?.config;
            (config.data_dir, config.store, config.secrets.master_key)
        }
    };
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
        let store = Store::open(&dir, &options).await?;
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
const UNIT_KEY: &str = "/etc/aivonx/master.key";

/// Where the daemon reads its key, if the file does not say: beside the store, or, where the package has made it
/// instead, the file that the unit hands to it. Here nobody has handed anything.
fn key_in_use(dir: &Path, unit_key: &Path) -> PathBuf {
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
