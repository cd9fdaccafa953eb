//! What is kept of the authority: the account, and each certificate with its key. For the daemon's eyes only.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aivonx_config as config;
use instant_acme::{Account, AccountCredentials, NewAccount};
use zeroize::Zeroizing;

use super::{client::Client, order::ObtainError};

/// The account with the authority.
pub(super) struct AccountFile {
    path: PathBuf,
    directory: String,
    contact: Vec<String>,
    accept_terms: bool,
}

impl AccountFile {
    pub(super) fn new(dir: &Path, config: &config::Acme) -> Self {
        Self {
            path: dir.join("account.json"),
            directory: config.directory.clone(),
            contact: config.contact.iter().map(|address| format!("mailto:{address}")).collect(),
            accept_terms: config.accept_terms,
        }
    }

    /// Opens the account, which is made if there is none.
    pub(super) async fn open(&self, client: &Client) -> Result<Account, ObtainError> {
        let builder = Account::builder_with_http(Box::new(client.clone()));
        match fs::read(&self.path).map(Zeroizing::new) {
            Ok(text) => {
                let known: AccountCredentials =
                    serde_json::from_slice(&text).map_err(|error| failed(&self.path, error.into()))?;
                Ok(builder.from_credentials(known).await?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // One that could not be kept would be made anew at each attempt, of which the authority counts every one.
                let probe = self.path.with_extension("probe");
                put(&probe, b"", |_| Ok(()))?;
                let _ = fs::remove_file(&probe);
                let contact: Vec<&str> = self.contact.iter().map(String::as_str).collect();
                let new = NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: self.accept_terms,
                    only_return_existing: false,
                };
                let (account, known) = builder.create(&new, self.directory.clone(), None).await?;
                let text = serde_json::to_vec(&known).map_err(|error| failed(&self.path, error.into()))?;
                put(&self.path, &Zeroizing::new(text), |_| Ok(()))?;
                Ok(account)
            }
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    /// Has the next one made anew. If that fails, so does the next attempt, which says why.
    pub(super) fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The authorities that sign the certificate of the directory.
pub(super) fn read_root(path: &Path) -> Result<String, ObtainError> {
    fs::read_to_string(path).map_err(|error| failed(path, error))
}

fn failed(path: &Path, source: io::Error) -> ObtainError {
    ObtainError::File { path: path.display().to_string(), source }
}

/// Puts a file in its place once `check` takes it: after a crash it is wholly old or wholly new.
pub(super) fn put<T>(
    path: &Path,
    bytes: &[u8],
    check: impl FnOnce(&Path) -> Result<T, ObtainError>,
) -> Result<T, ObtainError> {
    let dir = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed(dir, error))?;
    let new = path.with_extension("new");
    // One that a crash has left is not read by anybody.
    let _ = fs::remove_file(&new);
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(|error| failed(&new, error))?;
    let checked = check(&new).inspect_err(|_| drop(fs::remove_file(&new)))?;
    let moved = || {
        fs::rename(&new, path)?;
        File::open(dir)?.sync_all()
    };
    moved().map_err(|error| failed(path, error))?;
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_that_cannot_be_kept_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        // Where the next file is written first.
        fs::create_dir_all(dir.path().join("account.new/in-the-way")).unwrap();
        let account = AccountFile {
            path: dir.path().join("account.json"),
            directory: "https://127.0.0.1:1/directory".into(),
            contact: vec![],
            accept_terms: true,
        };
        let refused = account.open(&Client::new(None)).await.err();
        assert!(matches!(refused, Some(ObtainError::File { .. })), "{refused:?}");
    }
}
