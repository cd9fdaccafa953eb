//! Putting a backup back, while no daemon runs.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use aivonx_config::StoreOptions;
use aivonx_protocol::backup::Header;
use aivonx_store::{
    Staged, Store,
    recover::{Restored, Summary},
    secrets::{MasterKey, rekey},
};
use zeroize::Zeroizing;

use crate::{
    BackupError,
    archive::{MASTER_KEY, Signed},
    seal::{ContentKey, Opener, open_key},
};

/// A backup that was found whole and opened.
pub struct Opened {
    signed: Signed,
    key: ContentKey,
    /// The master key it was opened with.
    master: Option<MasterKey>,
}

/// Checks and opens the backup at `path`.
///
/// # Errors
/// If it is not whole, or `opener` does not open it.
pub fn open(path: &Path, opener: Opener) -> Result<Opened, BackupError> {
    let signed = Signed::read(path)?;
    let key = open_key(&signed.header.key, &opener)
        .map_err(|what| BackupError::Closed { path: path.to_owned(), what })?;
    let master = match opener {
        Opener::Master(master) => Some(master),
        Opener::Passphrase(_) | Opener::Private(_) | Opener::None => None,
    };
    Ok(Opened { signed, key, master })
}

impl Opened {
    /// What it says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.signed.header
    }

    /// Lays it out in the data directory `dir`, and gives the master key of its secrets.
    fn lay_out(
        &self,
        dir: &Path,
        key_file: &Path,
    ) -> Result<(Staged, Summary, Option<MasterKey>), BackupError> {
        let staged = Staged::lay(dir)?;
        let mut master = None;
        let laid = self.signed.each(&self.key, |name, content| {
            if name != MASTER_KEY {
                return Ok(staged.add(name, content)?);
            }
            let mut text = Zeroizing::new(Vec::with_capacity(64));
            content.take(1024).read_to_end(&mut text).map_err(BackupError::io("read", &self.signed.path))?;
            master = Some(MasterKey::from_text(&text, key_file)?);
            Ok(())
        });
        match laid.and_then(|()| Ok(staged.check()?)) {
            Ok(summary) => Ok((staged, summary, master)),
            Err(error) => {
                // It is of no use; what failed is what is told of.
                let _ = staged.discard();
                Err(error)
            }
        }
    }

    /// Reads all of it, and checks it as a restoration would, in the data directory `dir`, which it leaves as it was.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, dir: &Path) -> Result<Summary, BackupError> {
        let (staged, summary, _) = self.lay_out(dir, Path::new(MASTER_KEY))?;
        staged.discard()?;
        Ok(summary)
    }
}

/// Which master key the restored store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlaced {
    /// That which was in its place already.
    Same,
    /// The backup's secrets were put under that which is in its place.
    Changed,
    /// The backup's own was written in its place, where none was.
    Written,
}

/// Puts `opened` in place of what the data directory `dir` holds, which is set aside. `key_file` is where the daemon will
/// read its master key, and `key` what is there.
///
/// # Errors
/// If the directory is in use, or the backup cannot be put there. Repeating it is always allowed.
pub async fn restore(
    dir: &Path,
    opened: Opened,
    key_file: &Path,
    key: Option<MasterKey>,
    options: &StoreOptions,
) -> Result<(Restored, KeyPlaced), BackupError> {
    let (staged, _, own) = opened.lay_out(dir, key_file)?;
    let Some(own) = own.or(opened.master) else {
        staged.discard()?;
        let what = "it has no master key in it".to_owned();
        return Err(BackupError::Closed { path: opened.signed.path, what });
    };
    if key.is_none() {
        // Before the store that needs it.
        write_key(key_file, &own).map_err(BackupError::io("write the master key to", key_file))?;
    }
    let restored = staged.put(&opened.signed.path)?;
    let placed = match key {
        None => KeyPlaced::Written,
        Some(there) if there.tag() == own.tag() => KeyPlaced::Same,
        Some(there) => {
            // Closing takes a snapshot: no other may have to make room for it.
            let options = StoreOptions { snapshots: u32::MAX, ..options.clone() };
            let store = Store::open(dir, &options).await?;
            let changed = rekey::rekey(&store, own, there).await;
            store.close().await?;
            changed?;
            KeyPlaced::Changed
        }
    };
    Ok((restored, placed))
}

fn write_key(path: &Path, key: &MasterKey) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.text().as_bytes())?;
    file.sync_all()
}
