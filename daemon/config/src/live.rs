//! The configuration in effect: read once, read again on request, watched by those who follow it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_protocol::config::{Reloaded, Setting};
use tokio::sync::watch;

use super::{
    load::{Loaded, load},
    mistake::Mistakes,
    model::{AccessMode, Config, Listen, TwoFactor},
    origin::{Origin, Origins},
    sections::{LISTEN, LISTEN_KEYS, SECTIONS, dotted},
    table::Applies,
};

/// The configuration in effect, with where each value comes from. Clones share it.
#[derive(Debug, Clone)]
pub struct Live {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// None in dev, which has no file.
    file: Option<PathBuf>,
    current: watch::Sender<Arc<Config>>,
    /// Held while both this and `current` are read or changed.
    origins: Mutex<Origins>,
}

/// What `aivonxd dev` is asked for beside what it does by itself.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `access.allowed_hosts`.
    pub hosts: Vec<String>,
    /// `access.allowed_origins`.
    pub origins: Vec<String>,
    /// `listen[0].tls_cert` and `tls_key`.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl Live {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_file(path: &Path) -> Result<Self, Mistakes> {
        let Loaded { config, origins } = load(path)?;
        Ok(Self::new(Some(path.to_owned()), config, origins))
    }

    /// What `aivonxd dev` runs with: everything in `dir`, one listener with diagnostics, models may be managed,
    /// bodies may name private addresses, no second factor is demanded.
    #[must_use]
    pub fn dev(dir: &Path, listen: SocketAddr, access: AccessMode, asked: Asked) -> Self {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let mut config = Config::default();
        config.control.socket = dir.join("control.sock");
        config.control.group = String::new();
        config.data_dir = dir;
        config.access.mode = access;
        config.access.allow_model_management = true;
        config.access.allowed_hosts = asked.hosts;
        config.access.allowed_origins = asked.origins;
        config.access.private_addresses = true;
        config.access.two_factor = TwoFactor::Optional;
        // Whoever measures asks on one connection.
        config.limits.connection_requests = 0;
        let (tls_cert, tls_key) = asked.tls.into_iter().unzip();
        config.listen =
            vec![Listen { address: listen, diagnostics: true, tls_cert, tls_key, ..Listen::default() }];
        let mut origins = Origins::default();
        for key in [
            "data_dir",
            "listen[0].address",
            "listen[0].diagnostics",
            "listen[0].tls_cert",
            "listen[0].tls_key",
            "control.socket",
            "control.group",
            "access.mode",
            "access.allow_model_management",
            "access.allowed_hosts",
            "access.allowed_origins",
            "access.private_addresses",
            "access.two_factor",
            "limits.connection_requests",
        ] {
            origins.set(key, Origin::CommandLine);
        }
        Self::new(None, config, origins)
    }

    fn new(file: Option<PathBuf>, config: Config, origins: Origins) -> Self {
        let current = watch::Sender::new(Arc::new(config));
        Self { inner: Arc::new(Inner { file, current, origins: Mutex::new(origins) }) }
    }

    /// The file; None in dev, which has none.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.inner.file.as_deref()
    }

    /// The values in effect. Data-plane threads follow [`Live::subscribe`] instead of asking per request.
    #[must_use]
    pub fn get(&self) -> Arc<Config> {
        self.inner.current.borrow().clone()
    }

    /// The values in effect, now and whenever a reload changes some.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.inner.current.subscribe()
    }

    /// Every key with its value and origin, in the order of the default file. No value is secret: key material is
    /// named by path.
    #[must_use]
    pub fn show(&self) -> Vec<Setting> {
        let origins = self.origins();
        let config = self.get();
        let setting = |key: String, value| {
            let origin = origins.get(&key).to_string();
            Setting { key, value, origin }
        };
        let mut settings = Vec::new();
        for section in &SECTIONS {
            for key in section.keys {
                settings.push(setting(dotted(section.name, key.name), (key.show)(&config)));
            }
            if section.name.is_empty() {
                for (at, listen) in config.listen.iter().enumerate() {
                    let prefix = format!("{LISTEN}[{at}]");
                    settings.extend(
                        LISTEN_KEYS.iter().map(|key| setting(dotted(&prefix, key.name), (key.show)(listen))),
                    );
                }
            }
        }
        settings
    }

    /// Reads the file again, puts into effect what may change in a running daemon, and says what did and what
    /// waits for a restart. Without a file there is nothing to do.
    ///
    /// # Errors
    /// Everything that is wrong with the file; then nothing changes.
    pub fn reload(&self) -> Result<Reloaded, Mistakes> {
        let mut origins = self.origins();
        let mut done = Reloaded { applied: Vec::new(), needs_restart: Vec::new() };
        let Some(file) = &self.inner.file else { return Ok(done) };
        let Loaded { config: mut next, origins: mut next_origins } = load(file)?;
        let running = self.get();
        let mut keep_body_bytes = false;
        if next.listen != running.listen {
            next.listen.clone_from(&running.listen);
            next_origins.keep(LISTEN, &origins);
            done.needs_restart.push(LISTEN.into());
        }
        // A larger body than the running budget could never be let in: the two wait together.
        if next.limits.body_bytes > running.limits.body_budget_bytes {
            keep_body_bytes = true;
        }
        for section in &SECTIONS {
            for key in section.keys {
                if (key.show)(&running) == (key.show)(&next) {
                    continue;
                }
                let name = dotted(section.name, key.name);
                if key.applies == Applies::Reload && !(keep_body_bytes && name == "limits.body_bytes") {
                    done.applied.push(name);
                } else {
                    (key.copy)(&running, &mut next);
                    next_origins.keep(&name, &origins);
                    done.needs_restart.push(name);
                }
            }
        }
        *origins = next_origins;
        if !done.applied.is_empty() {
            self.inner.current.send_replace(Arc::new(next));
        }
        Ok(done)
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        // Replaced as a whole, so a panic elsewhere cannot have left half of it.
        self.inner.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Written {
        dir: tempfile::TempDir,
    }

    impl Written {
        fn new(text: &str) -> (Self, Live) {
            let written = Self { dir: tempfile::tempdir().unwrap() };
            written.write(text);
            let live = Live::from_file(&written.path()).unwrap();
            (written, live)
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("aivonxd.toml")
        }

        fn write(&self, text: &str) {
            fs::write(self.path(), text).unwrap();
        }
    }

    fn setting(live: &Live, key: &str) -> (String, String) {
        let found = live.show().into_iter().find(|setting| setting.key == key).unwrap();
        (found.value, found.origin)
    }

    #[test]
    fn shows_every_key_with_its_origin() {
        let (written, live) =
            Written::new("[limits]\nbody_bytes = 1048576\n[[listen]]\n[[listen]]\naddress='[::1]:0'");
        let file = written.path().display().to_string();
        assert_eq!(setting(&live, "limits.body_bytes"), ("\"1MiB\"".into(), format!("{file}:2")));
        assert_eq!(setting(&live, "limits.connections"), ("10000".into(), "default".into()));
        assert_eq!(setting(&live, "listen[0].address"), ("\"127.0.0.1:11435\"".into(), "default".into()));
        assert_eq!(setting(&live, "listen[1].address"), ("\"[::1]:0\"".into(), format!("{file}:5")));
        let keys: usize = SECTIONS.iter().map(|section| section.keys.len()).sum();
        assert_eq!(live.show().len(), keys + 2 * LISTEN_KEYS.len());
    }

    #[test]
    fn reload_applies_what_is_safe_and_keeps_the_rest_running() {
        let (written, live) = Written::new("[proxy]\nretries = 1\nthreads = 2\n");
        let mut watched = live.subscribe();
        watched.mark_unchanged();
        written.write(
            "data_dir = '/new'\n[[listen]]\naddress = '127.0.0.1:1'\n[proxy]\nretries = 0\nthreads = 3\n[log]\nlevel = 'debug'\n",
        );
        let done = live.reload().unwrap();
        assert_eq!(done.applied, ["proxy.retries", "log.level"]);
        assert_eq!(done.needs_restart, ["listen", "data_dir", "proxy.threads"]);
        assert!(watched.has_changed().unwrap());
        let config = watched.borrow_and_update().clone();
        assert_eq!((config.proxy.retries, config.proxy.threads, config.log.level.as_str()), (0, 2, "debug"));
        assert_eq!(
            (&config.data_dir, &config.listen),
            (&Config::default().data_dir, &Config::default().listen)
        );
        let file = written.path().display().to_string();
        assert_eq!(setting(&live, "proxy.threads"), ("2".into(), format!("{file}:3")));
        assert_eq!(setting(&live, "log.level"), ("\"debug\"".into(), format!("{file}:8")));
        assert_eq!(setting(&live, "listen[0].address").1, "default");
        // What waits is listed until the restart.
        let again = live.reload().unwrap();
        assert_eq!((again.applied.len(), again.needs_restart.len()), (0, 3));
        assert!(!watched.has_changed().unwrap());
    }

    #[test]
    fn a_mistake_changes_nothing() {
        let (written, live) = Written::new("[proxy]\nretries = 1\n");
        let before = (live.get(), live.show());
        written.write("[proxy]\nretries = 0\nthreads = -1\n");
        assert_eq!(live.reload().unwrap_err().count(), 1);
        fs::remove_file(written.path()).unwrap();
        assert!(live.reload().unwrap_err().to_string().contains("no such file"));
        assert_eq!((live.get(), live.show()), before);
    }

    #[test]
    fn a_body_larger_than_the_running_budget_waits_for_it() {
        let (written, live) = Written::new("[limits]\nbody_bytes = '1MiB'\nbody_budget_bytes = '2MiB'\n");
        written.write("[limits]\nbody_bytes = '4MiB'\nbody_budget_bytes = '8MiB'\n");
        let done = live.reload().unwrap();
        assert_eq!(done.needs_restart, ["limits.body_bytes", "limits.body_budget_bytes"]);
        assert_eq!(live.get().limits.body_bytes, 1 << 20);
    }

    #[test]
    fn dev_needs_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let live =
            Live::dev(dir.path(), SocketAddr::from(([127, 0, 0, 1], 0)), AccessMode::Open, Asked::default());
        let config = live.get();
        assert_eq!(config.control.socket, dir.path().join("control.sock"));
        assert!(config.access.allow_model_management && config.listen[0].diagnostics);
        assert_eq!(setting(&live, "listen[0].address"), ("\"127.0.0.1:0\"".into(), "command line".into()));
        assert_eq!(setting(&live, "access.mode"), ("\"open\"".into(), "command line".into()));
        assert_eq!(setting(&live, "proxy.retries").1, "default");
        assert_eq!(live.reload().unwrap(), Reloaded { applied: Vec::new(), needs_restart: Vec::new() });
    }
}
