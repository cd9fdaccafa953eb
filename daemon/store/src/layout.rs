//! What lies where in the data directory, who may use it, and whether it is ours.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{StoreError, backend::sled::LETTING_GO, files, ledgers::Ledger};

/// The paths of one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
}

/// Names that other parts of aivonx may have put into the data directory before the store is opened.
const KNOWN: [&str; 8] = [
    "acme",
    "lock",
    "master.key",
    "control.sock",
    "aivonxd.toml",
    "lost+found",
    "backups",
    "backup.restoring",
];

impl Layout {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The engine's directory.
    pub(super) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// The engine's log, where everything is.
    pub(super) fn db(&self) -> PathBuf {
        self.dir.join("store/db")
    }

    /// A store that is being made by `recover`, see [`super::swap`].
    pub(super) fn restoring(&self) -> PathBuf {
        self.dir.join("store.restoring")
    }

    /// Where a store that was set aside is copied to be read.
    pub(super) fn reading(&self) -> PathBuf {
        self.dir.join("store.reading")
    }

    /// Where a backup is laid out before it is put in place, see [`super::whole`].
    pub(super) fn staged(&self) -> PathBuf {
        self.dir.join("backup.restoring")
    }

    /// There while a backup is half in place.
    pub(super) fn half_restored(&self) -> PathBuf {
        self.dir.join("RESTORING")
    }

    /// Verified snapshots.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// The directory of a ledger.
    pub(super) fn ledger(&self, ledger: Ledger) -> PathBuf {
        self.ledgers().join(ledger.directory())
    }

    /// The ledgers.
    pub(super) fn ledgers(&self) -> PathBuf {
        self.dir.join("ledger")
    }

    /// The marker.
    pub(super) fn marker(&self) -> PathBuf {
        self.dir.join("STORE")
    }

    /// The number of the last acknowledged change.
    pub(super) fn commit(&self) -> PathBuf {
        self.dir.join("COMMIT")
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Makes the directory if it is not there, and refuses one that holds something that is not ours.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.dir) {
            Ok(meta) if !meta.is_dir() => {
                return Err(StoreError::BadPath {
                    path: self.dir.clone(),
                    what: "the data directory must be a directory, this is something else".into(),
                });
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => files::make_dir(&self.dir)?,
            Err(e) => return Err(StoreError::io("look at the data directory", &self.dir)(e)),
        }
        if !self.is_ours()
            && let Some(entry) = self.foreign_entry()?
        {
            return Err(StoreError::ForeignDirectory { dir: self.dir.clone(), entry });
        }
        self.tighten(&self.dir)
    }

    /// Whether any trace of a store is there.
    pub(super) fn is_ours(&self) -> bool {
        let parts = [
            self.marker(),
            self.commit(),
            self.store(),
            self.restoring(),
            self.snapshots(),
            self.ledgers(),
            self.half_restored(),
        ];
        // A link to nothing is a trace too.
        parts.iter().any(|part| fs::symlink_metadata(part).is_ok())
    }

    /// A marker that is no regular file, and what it is instead. To read it could take for ever.
    pub(super) fn misplaced(&self) -> Option<(PathBuf, &'static str)> {
        let found = |path: PathBuf| files::in_place_of_file(&path).map(|what| (path, what));
        [self.marker(), self.commit()].into_iter().find_map(found)
    }

    /// What stands in place of the ledgers' directories, and what it is.
    pub(super) fn misplaced_ledgers(&self) -> Vec<(PathBuf, &'static str)> {
        let dirs = [self.ledgers()].into_iter().chain(Ledger::ALL.map(|ledger| self.ledger(ledger)));
        dirs.filter_map(|path| files::in_place_of_dir(&path).map(|what| (path, what))).collect()
    }

    fn foreign_entry(&self) -> Result<Option<String>, StoreError> {
        let failed = |e| StoreError::io("list the data directory", &self.dir)(e);
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let known = KNOWN.contains(&name.as_str())
                || name.starts_with("control.sock")
                || name.starts_with("STORE.")
                || name.contains(".log");
            if !known {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Takes group's and others' rights away.
    fn tighten(&self, dir: &Path) -> Result<(), StoreError> {
        let mode = fs::metadata(dir).map_err(StoreError::io("look at", dir))?.permissions().mode();
        if mode & 0o077 == 0 {
            return Ok(());
        }
        // Somebody's /tmp given by mistake must not be closed to everyone else.
        if mode & 0o002 != 0 {
            return Err(StoreError::BadPath {
                path: dir.to_owned(),
                what: "anyone may write to this directory; give one of its own, or `chmod 0700` it".into(),
            });
        }
        tracing::warn!(dir = %dir.display(), mode = format!("{:o}", mode & 0o7777), "the data directory was open to others, now 0700");
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(StoreError::io("set the mode of", dir))
    }
}

/// The lock on a data directory; released on drop, and by the kernel if the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock or says who has it.
    pub(super) fn take(layout: &Layout) -> Result<Self, StoreError> {
        let path = layout.lock_file();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = files::open_regular(&path, &mut options).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput => StoreError::BadPath {
                path: path.clone(),
                what: format!("{e}; remove it, nothing is kept in it"),
            },
            _ => StoreError::io("open the lock file", &path)(e),
        })?;
        if !lock(&file, LOCK_WAIT).map_err(StoreError::io("lock", &path))? {
            return Err(StoreError::InUse { dir: layout.dir.clone(), pid: holder(&mut file) });
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(StoreError::io("write the lock file", &path))?;
        Ok(Self { _file: file })
    }

    /// As [`Self::take`], for who is about to move the engine's files: those may be in use though the lock is free, for
    /// to remove the lock file does not end the process that had it.
    pub(super) fn take_to_move(layout: &Layout) -> Result<Self, StoreError> {
        let held = Self::take(layout)?;
        match files::open_regular(&layout.db(), OpenOptions::new().read(true)) {
            Ok(db) if !lock(&db, LETTING_GO).map_err(StoreError::io("lock", &layout.db()))? => {
                Err(StoreError::InUse { dir: layout.dir.clone(), pid: None })
            }
            // A file that cannot be opened is in nobody's use that matters.
            _ => Ok(held),
        }
    }

    /// Whether a process uses the directory, and which, if it said so.
    pub(super) fn held(layout: &Layout) -> Option<Option<u32>> {
        let open = |path: &Path| files::open_regular(path, OpenOptions::new().read(true)).ok();
        let is_locked = |file: &File| matches!(lock(file, Duration::ZERO), Ok(false));
        if let Some(mut file) = open(&layout.lock_file()).filter(is_locked) {
            return Some(holder(&mut file));
        }
        open(&layout.db()).is_some_and(|db| is_locked(&db)).then_some(None)
    }
}

/// How long a lock is waited for: a process that was just killed, or one being started by the last holder, may have it
/// a moment longer.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Locks `file` unless another process has it locked for longer than `patience`.
fn lock(file: &File, patience: Duration) -> io::Result<bool> {
    let end = Instant::now() + patience;
    loop {
        match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {
                thread::sleep(Duration::from_millis(10))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Which process says in a lock file that it has it. Only for messages: an unreadable file names nobody.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
