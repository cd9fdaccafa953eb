//! The commands of `aivonxd` that do not serve.

use std::{io::Write, path::Path};

use crate::{
    app::AppError,
    args::Recover,
    config,
    store::recover::{self, Snapshot, Summary},
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
