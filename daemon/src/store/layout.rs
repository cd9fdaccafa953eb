//! What lies where in the data directory, who may use it, and whether it is ours.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{StoreError, files};

/// The paths of one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
}

/// Names that other parts of aivonx may have put into the data directory before the store is opened.
const KNOWN: [&str; 5] = ["lock", "master.key", "control.sock", "aivonxd.toml", "lost+found"];

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

    /// Verified snapshots.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
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
        [self.marker(), self.commit(), self.store(), self.snapshots()].iter().any(|p| p.exists())
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
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("open the lock file", &path))?;
        // A process that was just killed, or one being started by the last holder, may have it a moment longer.
        let patience = Instant::now() + Duration::from_secs(1);
        let locked = loop {
            match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < patience => {
                    thread::sleep(Duration::from_millis(10));
                }
                other => break other,
            }
        };
        match locked {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // Only for the message: an unreadable file names nobody.
                let _ = file.read_to_string(&mut text);
                return Err(StoreError::InUse { dir: layout.dir.clone(), pid: text.trim().parse().ok() });
            }
            Err(e) => return Err(StoreError::io("lock", &path)(e.into())),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(StoreError::io("write the lock file", &path))?;
        Ok(Self { _file: file })
    }
}
