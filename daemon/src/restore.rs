//! `aivonxd restore`

use std::path::{Path, PathBuf};

use aivonx_backup::{self as backup, KeyPlaced, Opener, read_secret};
use aivonx_config::{self as config, StoreOptions};
use aivonx_store::{recover, secrets::MasterKey};

use crate::{
    args::{OpenWith, Restore},
    commands::{START, UNIT_KEY, found, key_in_use, last_step, must_exist, restored_text, say, summary},
    error::AppError,
    lifecycle,
};

/// Puts a backup back.
pub(crate) fn restore(args: &Restore) -> Result<(), AppError> {
    recover::hush_engine();
    let (dir, options, configured, last) = match &args.dir {
        Some(dir) => (dir.clone(), StoreOptions::default(), None, START),
        None => {
            let config = config::load(&args.config)?.config;
            let last = last_step(&config);
            (config.data_dir, config.store, config.secrets.master_key, last)
        }
    };
    must_exist(&dir)?;
    if let Some(pid) = recover::in_use(&dir) {
        let process = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
        return Err(AppError::Usage(format!("{process} uses {}: stop the daemon first", dir.display())));
    }
    let file = found(&args.backup, &dir.join("backups"));
    let key_file = configured.unwrap_or_else(|| key_in_use(&dir, Path::new(UNIT_KEY)));
    // What only root may read is read before root is given up.
    let key = key_file.exists().then(|| MasterKey::load(&key_file)).transpose()?;
    let opened = backup::open(&file, opener(&args.with, &key_file)?)?;
    lifecycle::act_as_owner(&dir)
        .map_err(AppError::system("cannot act as the owner of the data directory"))?;
    if args.check {
        return say(&format!("{} could be restored: {}", file.display(), summary(&opened.check(&dir)?)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(AppError::system("cannot start a thread"))?;
    let done = runtime.block_on(backup::restore(&dir, opened, &key_file, key, &options));
    // An open that hangs must not keep the process.
    runtime.shutdown_background();
    let (restored, placed) = done?;
    let mut text = restored_text(&file, &restored);
    if restored.set_aside.is_some() {
        text += "\nits audit log, usage and snapshots are beside it, under names with the same time";
    }
    let key = key_file.display();
    match placed {
        KeyPlaced::Same => {}
        KeyPlaced::Changed => text += &format!("\nits secrets were put under the master key in {key}"),
        KeyPlaced::Written => text += &format!("\nits master key was written to {key}, where none was"),
    }
    say(&(text + last))
}

fn opener(with: &OpenWith, key_file: &Path) -> Result<Opener, AppError> {
    let secret = |file: &PathBuf| read_secret(file);
    Ok(match with {
        OpenWith { passphrase_file: Some(file), .. } => Opener::Passphrase(secret(file)?),
        OpenWith { private_key: Some(file), .. } => Opener::Private(secret(file)?),
        OpenWith { master_key: Some(file), .. } => Opener::Master(MasterKey::load(file)?),
        // Which one it is sealed with is said when none is there.
        OpenWith { .. } if !key_file.exists() => Opener::None,
        OpenWith { .. } => Opener::Master(MasterKey::load(key_file)?),
    })
}
