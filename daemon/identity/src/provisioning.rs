//! Setting up without a terminal: the first superadmin out of a file, once.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aivonx_config::credentials;
use aivonx_protocol::{WireSecret, account::Setup, organization::LimitProfile};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{AccountError, Identity, Source};

/// Largest file read.
const LARGEST: u64 = 4096;

/// Why the file was not used. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum UnattendedError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{} may be read by others (mode {mode:o}): chmod 600 it, and choose another password", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is something else.
    #[error("{}: {what}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The name or the password is refused, or the store fails.
    #[error("{}: {source}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: AccountError,
    },
}

/// The file as TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    username: String,
    password: WireSecret,
    #[serde(default)]
    no_totp: bool,
    profile: Option<LimitProfile>,
}

/// Where the file is: as configured, else the credential that systemd loaded.
#[must_use]
pub fn file(configured: Option<&Path>) -> Option<PathBuf> {
    configured.map(Path::to_owned).or_else(|| credentials::file(credentials::SETUP))
}

impl Identity {
    /// Makes the first superadmin from `path`, unless one exists or the file was used before. Returns its name.
    ///
    /// # Errors
    /// [`UnattendedError`].
    pub async fn set_up_from(&self, path: &Path) -> Result<Option<String>, UnattendedError> {
        let refused = |source: AccountError| UnattendedError::Refused { path: path.to_owned(), source };
        let settings = self.store.settings();
        if self.is_set_up() || settings.setup_used().await.map_err(|e| refused(e.into()))? {
            return Ok(None);
        }
        let setup = read(path)?;
        let user = self.set_up(setup, &Source::Daemon, "unattended").await.map_err(refused)?;
        settings.set_setup_used().await.map_err(|e| refused(e.into()))?;
        self.settle().await.map_err(|e| refused(e.into()))?;
        Ok(Some(user.name))
    }
}

fn read(path: &Path) -> Result<Setup, UnattendedError> {
    let failed = |source| UnattendedError::Read { path: path.to_owned(), source };
    let form = |what| UnattendedError::Form { path: path.to_owned(), what };
    // A pipe would keep the start waiting for ever.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(form("this is no file"));
    }
    let mode = found.mode() & 0o777;
    if mode & credentials::others(path) != 0 {
        return Err(UnattendedError::Open { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(form("this is more than a name and a password"));
    }
    parse(&text).map_err(form)
}

/// `NAME:PASSWORD` in one line, or TOML.
fn parse(text: &str) -> Result<Setup, &'static str> {
    let line = text.trim_end_matches(['\n', '\r']);
    if let Some((name, password)) = line.split_once(':')
        && !line.contains('\n')
        && !name.contains(['=', '"', '\'', '#', ' '])
    {
        return Ok(Setup {
            username: name.to_owned(),
            password: WireSecret::new(password.to_owned()),
            no_totp: false,
            profile: None,
            recover: false,
        });
    }
    // What the parser says quotes the line, and the password with it.
    let form: Form = toml::from_str(text).map_err(
        |_| "neither NAME:PASSWORD in one line, nor TOML with username, password and optionally no_totp and profile",
    )?;
    Ok(Setup {
        username: form.username,
        password: form.password,
        no_totp: form.no_totp,
        profile: form.profile,
        recover: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let setup = parse("root:a:long = \"password\"\n").unwrap();
        assert_eq!((setup.username.as_str(), setup.password.expose()), ("root", "a:long = \"password\""));
        let text = "username = \"root\"\npassword = \"pass:word\"\nno_totp = true\nprofile = \"team\"\n";
        let setup = parse(text).unwrap();
        assert_eq!((setup.username.as_str(), setup.password.expose()), ("root", "pass:word"));
        assert_eq!((setup.no_totp, setup.profile), (true, Some(LimitProfile::Team)));
        for bad in
            ["", "root", "root:\nmore", "username = \"root\"\n", "username = 'a'\npasword = 'marked'\n"]
        {
            let said = parse(bad);
            // A name without a password is for the rules to refuse.
            assert!(said.is_err() || said.is_ok_and(|s| s.password.expose().is_empty()), "{bad}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_without_reading_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("setup");
        fs::write(&path, "root:marked-password").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, UnattendedError::Open { mode: 0o640, .. }), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read(&path).unwrap().username, "root");
        assert!(matches!(read(dir.path()).unwrap_err(), UnattendedError::Form { .. }));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "username = marked-password").unwrap();
        assert!(!read(&path).unwrap_err().to_string().contains("marked"));
    }
}
