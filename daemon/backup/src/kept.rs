//! Making backups while the gateway serves, and keeping the last of them.

use std::{
    cmp::Reverse,
    fmt,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_config as config;
use aivonx_domain::now;
use aivonx_ledgers::audit::Audit;
use aivonx_protocol::{
    UnixMillis,
    backup::{Backup, FORMAT, Header, SealedKey, Sealing},
};
use aivonx_store::{Copied, Store, secrets::MasterKey};

use crate::{
    BackupError,
    archive::{self, MASTER_KEY, Signed, Writing},
    seal::{self, Opener},
};

/// The end of every backup's name.
const EXTENSION: &str = "backup";
/// The end of one that is being written.
const UNFINISHED: &str = "unfinished";
/// How soon a gateway without any backup makes its first: what is being set up should be in it.
const FIRST: Duration = Duration::from_secs(3600);
/// How soon one that failed is tried again.
const AGAIN: Duration = Duration::from_secs(900);

/// Makes backups and keeps them. Clones share it.
#[derive(Clone)]
pub struct Backups {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    audit: Audit,
    /// File of the master key.
    master: PathBuf,
    dir: PathBuf,
    options: config::Backup,
    /// Held while one is made.
    making: tokio::sync::Mutex<()>,
    /// When the newest was made; 0 is never.
    newest: AtomicU64,
    /// Why the last that was due was not made.
    failure: Mutex<Option<String>>,
}

impl Backups {
    /// Of the store, signed with the audit log's key, under the master key in the file `master`.
    ///
    /// # Errors
    /// If `[backup]` names a recipient that is none.
    pub fn new(
        store: Store,
        audit: Audit,
        master: PathBuf,
        options: config::Backup,
    ) -> Result<Self, BackupError> {
        if !options.recipient.is_empty() {
            seal::check_recipient(&options.recipient)?;
        }
        let dir = store.dir().join("backups");
        let newest = paths(&dir).unwrap_or_default().iter().find_map(|path| archive::header(path).ok());
        let newest = newest.map_or(0, |(header, _)| header.made).into();
        let (making, failure) = Default::default();
        Ok(Self { inner: Arc::new(Inner { store, audit, master, dir, options, making, newest, failure }) })
    }

    /// When the newest was made.
    #[must_use]
    pub fn newest(&self) -> Option<UnixMillis> {
        Some(self.inner.newest.load(Ordering::Relaxed)).filter(|made| *made > 0)
    }

    /// Why the last that was due was not made, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kept ones, newest first.
    ///
    /// # Errors
    /// If their directory cannot be read.
    pub async fn list(&self) -> Result<Vec<Backup>, BackupError> {
        let dir = self.inner.dir.clone();
        blocking(move || {
            let look = |path: PathBuf| {
                let bytes = fs::metadata(&path).map_or(0, |found| found.len());
                match archive::header(&path) {
                    Ok((header, bytes)) => Backup::of(name(&path), bytes, &header),
                    Err(error) => Backup::bad(name(&path), bytes, error.to_string()),
                }
            };
            Ok(paths(&dir)?.into_iter().map(look).collect())
        })
        .await
    }

    /// Makes one, reads it back, keeps it, and removes the oldest beyond `backup.keep`.
    ///
    /// # Errors
    /// If the store does not check out, or the disk is full; nothing is removed then.
    pub async fn create(&self) -> Result<Backup, BackupError> {
        let sealing = match self.inner.options.recipient.as_str() {
            "" => Sealing::Master,
            recipient => Sealing::Recipient(recipient.to_owned()),
        };
        let (unfinished, header, _making) = self.make(sealing).await?;
        let inner = self.inner.clone();
        blocking(move || {
            let path = inner.dir.join(file_name(&header));
            fs::rename(&unfinished, &path).map_err(BackupError::io("move", &unfinished))?;
            sync(&inner.dir)?;
            inner.newest.fetch_max(header.made, Ordering::Relaxed);
            let old = paths(&inner.dir)?.into_iter().skip(inner.options.keep as usize);
            old.for_each(|old| {
                if let Err(error) = fs::remove_file(&old) {
                    tracing::warn!(file = %old.display(), %error, "an old backup is not removed");
                }
            });
            let bytes = fs::metadata(&path).map_or(0, |found| found.len());
            tracing::info!(event = "backup", file = %path.display(), bytes, "backup made and read back");
            Ok(Backup::of(name(&path), bytes, &header))
        })
        .await
    }

    /// Makes one that opens with `sealing`, reads it back, and gives its file, which nobody else can open.
    ///
    /// # Errors
    /// As of [`Self::create`]; and if `sealing` is of no use.
    pub async fn export(&self, sealing: Sealing) -> Result<(Backup, File), BackupError> {
        let (unfinished, header, _making) = self.make(sealing).await?;
        blocking(move || {
            let file = File::open(&unfinished).map_err(BackupError::io("open", &unfinished));
            fs::remove_file(&unfinished).map_err(BackupError::io("remove", &unfinished))?;
            let file = file?;
            let bytes = file.metadata().map_err(BackupError::io("look at", &unfinished))?.len();
            Ok((Backup::of(file_name(&header), bytes, &header), file))
        })
        .await
    }

    /// Reads a kept one to its end, and opens it if the master key does that.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn verify(&self, file: &str) -> Result<Backup, BackupError> {
        let is_name = Path::new(file).components().count() == 1 && file.ends_with(EXTENSION);
        let path = self.inner.dir.join(file);
        if !is_name || !path.is_file() {
            return Err(BackupError::Unknown(file.to_owned()));
        }
        let inner = self.inner.clone();
        blocking(move || {
            let signed = Signed::read(&path)?;
            let Signed { header, bytes, .. } = &signed;
            if matches!(header.key, SealedKey::Master { .. }) {
                let opener = Opener::Master(MasterKey::load(&inner.master)?);
                let closed = |what| BackupError::Closed { path: path.clone(), what };
                let key = seal::open_key(&header.key, &opener).map_err(closed)?;
                read_through(&signed, &key)?;
            }
            Ok(Backup::of(name(&path), *bytes, header))
        })
        .await
    }

    /// Writes one and reads it back; one after the other, for they take a file each of the size of all.
    async fn make(
        &self,
        sealing: Sealing,
    ) -> Result<(PathBuf, Header, tokio::sync::MutexGuard<'_, ()>), BackupError> {
        let making = self.inner.making.lock().await;
        let inner = self.inner.clone();
        let (master, key, sealed) = blocking(move || {
            let master = MasterKey::load(&inner.master)?;
            let (key, sealed) = seal::new_key(&sealing, &master)?;
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&inner.dir)
                .map_err(BackupError::io("create", &inner.dir))?;
            remove_unfinished(&inner.dir)?;
            Ok((master, key, sealed))
        })
        .await?;
        let signer = self.inner.audit.keys()?.into_iter().find(|key| key.current).map(|key| key.key);
        let signer =
            signer.ok_or_else(|| BackupError::Sealing("there is no key to sign it with".to_owned()))?;
        let made = now();
        let path = self.inner.dir.join(format!("{}.{EXTENSION}.{UNFINISHED}", time(made)));
        let daemon = self.inner.store.settings().daemon_id().to_owned();
        let header = move |copied: &Copied| Header {
            format: FORMAT,
            daemon: daemon.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made,
            change: copied.change,
            schema: copied.schema,
            key: sealed.clone(),
            signer,
        };
        let writing = Arc::new(Mutex::new(None::<Writing>));
        let (to, file, begin, content_key) = (writing.clone(), path.clone(), header.clone(), key.clone());
        let copied = self
            .inner
            .store
            .copy(move |copied, name, content| {
                let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
                let to = match &mut *to {
                    Some(to) => to,
                    None => to.insert(Writing::begin(&file, &begin(copied), &content_key)?),
                };
                to.add(name, content)
            })
            .await;
        let written = match copied {
            Ok(copied) => self.finish(&path, header(&copied), writing, master, key).await,
            Err(error) => Err(error.into()),
        };
        match written {
            Ok(header) => Ok((path, header, making)),
            Err(error) => {
                // It may be what a full disk wants back.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    async fn finish(
        &self,
        path: &Path,
        header: Header,
        writing: Arc<Mutex<Option<Writing>>>,
        master: MasterKey,
        key: seal::ContentKey,
    ) -> Result<Header, BackupError> {
        let (audit, path) = (self.inner.audit.clone(), path.to_owned());
        blocking(move || {
            let failed = |error| BackupError::io("write", &path)(error);
            let writing = writing.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut writing = writing.ok_or_else(|| failed(io::Error::other("nothing was copied")))?;
            if !matches!(header.key, SealedKey::Master { .. }) {
                writing.add(MASTER_KEY, master.text().as_bytes()).map_err(failed)?;
            }
            writing.finish(|message| audit.sign(message).map_err(io::Error::other)).map_err(failed)?;
            read_through(&Signed::read(&path)?, &key)?;
            Ok(header)
        })
        .await
    }

    /// Makes one whenever it is due, until the store is closed.
    pub async fn run(self) {
        if self.inner.options.interval.is_zero() {
            return;
        }
        loop {
            let interval = self.inner.options.interval;
            let wait = match (self.failure(), self.newest()) {
                (Some(_), _) => AGAIN.min(interval),
                (None, None) => FIRST.min(interval),
                (None, Some(newest)) => {
                    interval.saturating_sub(Duration::from_millis(now().saturating_sub(newest)))
                }
            };
            tokio::time::sleep(wait).await;
            let made = self.create().await;
            if let Err(error) = &made {
                tracing::error!(event = "backup_failed", %error, "the backup that is due is not made; it is tried again");
            }
            *self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner) =
                made.err().map(|error| error.to_string());
        }
    }
}

/// `TIME-CHANGE.backup`, in UTC.
fn file_name(header: &Header) -> String {
    format!("{}-{}.{EXTENSION}", time(header.made), header.change)
}

fn time(millis: UnixMillis) -> impl fmt::Display {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(0)).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
}

/// The number of the change in a name; none in one that somebody else gave.
fn change_in_name(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.split('-').nth(1)?.parse().ok()
}

/// Decrypts all of it.
fn read_through(signed: &Signed, key: &seal::ContentKey) -> Result<(), BackupError> {
    signed.each(key, |_, content| {
        io::copy(content, &mut io::sink()).map_err(BackupError::io("read", &signed.path)).map(drop)
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(aivonx_store::StoreError::Panicked(e.to_string()).into()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sync(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(BackupError::io("sync", dir))
}

/// The backups in `dir`, newest first: by the change they have, then by the time, for a clock may have been wrong. None if
/// there is no such directory.
fn paths(dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(BackupError::io("list", dir))?,
    };
    let entries: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = entries.map_err(BackupError::io("list", dir))?;
    paths.retain(|path| path.extension().is_some_and(|end| end == EXTENSION));
    paths.sort_unstable_by_key(|path| Reverse((change_in_name(path), path.clone())));
    Ok(paths)
}

/// Removes what a process that was killed left half written.
fn remove_unfinished(dir: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(dir).map_err(BackupError::io("list", dir))? {
        let path = entry.map_err(BackupError::io("list", dir))?.path();
        if path.extension().is_some_and(|end| end == UNFINISHED) {
            fs::remove_file(&path).map_err(BackupError::io("remove", &path))?;
        }
    }
    Ok(())
}
