//! `aivonx secrets validate`: one check after the other, each with what was found and what to do.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aivonx_config::credentials;
use aivonx_domain::{TenantScope, named};
use aivonx_protocol::{
    UnixMillis,
    secrets::{Check, OwnKeyKind, SecretsStatus},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{MasterKey, SecretsError, Vault, cipher::digest};
use crate::{DataKeyRecord, Store};

/// Keys older than this are worth replacing.
const OLD: UnixMillis = 365 * 24 * 3600 * 1000;

/// Looks at everything there is to look at. `master` is the file of the master key.
pub(super) async fn validate(
    store: &Store,
    master: &Path,
    refusing: &[(String, String)],
    status: &SecretsStatus,
) -> Result<Vec<Check>, SecretsError> {
    let mut checks = file(master, store.dir());
    let data_keys = store.data_keys().list().await?;
    // The file as it lies there now, not what the daemon has read: at the next start that is what counts.
    let vault = match MasterKey::load(master) {
        Ok(key) => Some(Vault::open(key, store).await),
        Err(_) => None,
    };
    checks.push(match &vault {
        Some(Ok(vault)) => sample(store, vault).await?,
        Some(Err(error)) => Check::fail("opens", error, "put the right master key there, from your backup"),
        None => Check::fail("opens", "nothing can be opened without the master key", "see above"),
    });
    if let Some(Ok(vault)) = &vault {
        checks.push(distinct(vault, master, store).await?);
    }
    checks.push(age(master, status));
    checks.push(rotation(&data_keys));
    checks.push(api_keys(status));
    checks.push(snapshots(status));
    checks.push(nodes(refusing));
    Ok(checks)
}

/// The file of the master key: there, closed to others, a key, and where it lies.
fn file(master: &Path, data_dir: &Path) -> Vec<Check> {
    let shown = master.display();
    let meta = match fs::metadata(master) {
        Ok(meta) => meta,
        Err(error) => {
            let fix = match error.kind() {
                io::ErrorKind::NotFound => {
                    "put it back, from your backup; without it nothing opens after a restart"
                }
                _ => "let the daemon's user read it",
            };
            return vec![Check::fail(
                "present",
                format!("the master key {shown} cannot be read: {error}"),
                fix,
            )];
        }
    };
    let mut checks = vec![Check::ok("present", format!("the master key is {shown}"))];
    let mode = meta.mode() & 0o7777;
    checks.push(if mode & credentials::others(master) == 0 {
        Check::ok("private", format!("its mode is {mode:04o}"))
    } else {
        Check::fail(
            "private",
            format!("its mode is {mode:04o}, others may use it"),
            format!("chmod 0600 {shown}"),
        )
    });
    checks.push(match MasterKey::load(master) {
        Ok(_) => Check::ok("form", "it is 256 bits that look random"),
        // Reported above; whether it is a key is checked once that is repaired.
        Err(SecretsError::Exposed { .. }) => {
            Check::warn("form", "not looked at, because others may use it", "see above")
        }
        Err(error) => Check::fail("form", error, "put the right master key there, from your backup"),
    });
    checks.push(elsewhere(master, data_dir));
    checks
}

fn elsewhere(master: &Path, data_dir: &Path) -> Check {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (key, dir): (PathBuf, PathBuf) = (real(master), real(data_dir));
    if key.starts_with(&dir) {
        let finding = "it lies beside the store: it protects copies of the store, no more";
        return Check::warn(
            "elsewhere",
            finding,
            "move it out of the data directory and name it in secrets.master_key",
        );
    }
    Check::ok("elsewhere", "it does not lie beside the store")
}

/// Whether what is sealed opens with the key file as it is now.
async fn sample(store: &Store, vault: &Vault) -> Result<Check, SecretsError> {
    let all = store.data_keys().sealed().await?;
    let count = all.len();
    let vault = vault.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let closed = all.into_iter().filter(|held| !vault.opens(held.tree, &held.record, &held.sealed));
        closed.map(|held| format!("{} of {}", held.kind, held.record)).collect::<Vec<_>>()
    });
    // It panics nowhere; if it did, nothing would be known to open.
    let closed = opened.await.unwrap_or_else(|error| vec![error.to_string()]);
    if closed.is_empty() {
        let s = if count == 1 { "secret opens" } else { "secrets open" };
        return Ok(Check::ok("opens", format!("{count} {s}")));
    }
    let named = named(&closed);
    Ok(Check::fail(
        "opens",
        format!("{} of {count} secrets do not open: {named}", closed.len()),
        "set them again",
    ))
}

/// Whether no two keys are the same bits.
async fn distinct(vault: &Vault, master: &Path, store: &Store) -> Result<Check, SecretsError> {
    let mut digests: Vec<(String, [u8; 32])> = vault.digests();
    digests.push(("the master key".into(), MasterKey::load(master)?.digest()));
    for record in store.secrets().list(&TenantScope::All).await? {
        // One that does not open has been said above.
        if let Ok(text) = vault.open_sealed("secret", &record.id, &record.sealed) {
            // Compared as the bits that the text stands for: the same key may be written in two ways.
            let bits = Zeroizing::new(STANDARD.decode(text.expose()).unwrap_or_default());
            let bits = if bits.is_empty() { text.expose().as_bytes() } else { &bits };
            digests.push((record.id, digest(bits)));
        }
    }
    let mut seen: HashMap<[u8; 32], String> = HashMap::new();
    let count = digests.len();
    for (name, digest) in digests {
        if let Some(other) = seen.insert(digest, name.clone()) {
            let fix = "replace them: aivonx secrets rotate --peppers --signing, and aivonxd rekey";
            return Ok(Check::fail("distinct", format!("{other} and {name} are the same"), fix));
        }
    }
    Ok(Check::ok("distinct", format!("{count} keys, no two of them the same")))
}

fn age(master: &Path, status: &SecretsStatus) -> Check {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let is_old = |created: UnixMillis| now.saturating_sub(created) > OLD;
    let mut old = Vec::new();
    let mut fix = Vec::new();
    let written = fs::metadata(master).ok().and_then(|meta| u64::try_from(meta.mtime()).ok());
    if written.is_some_and(|seconds| is_old(seconds.saturating_mul(1000))) {
        old.push("the master key's file".to_owned());
        fix.push("aivonxd rekey");
    }
    let mut rotate = String::new();
    let data_keys = status.data_keys.iter().filter(|key| is_old(key.created));
    old.extend(data_keys.map(|key| format!("data key {}", key.number)));
    for key in status.keys.iter().filter(|key| key.in_use && is_old(key.created)) {
        old.push(format!("{} {}", key.kind.as_str(), key.number));
        rotate += match key.kind {
            OwnKeyKind::Pepper => " --peppers",
            OwnKeyKind::TokenSigning => " --signing",
            // The audit log replaces its own.
            OwnKeyKind::AuditSigning => "",
        };
    }
    let rotate = format!("aivonx secrets rotate{rotate}");
    if old.len() > fix.len() {
        fix.push(&rotate);
    }
    if old.is_empty() {
        return Check::ok("age", "no key is older than a year");
    }
    Check::warn(
        "age",
        format!("older than a year: {}", named(&old)),
        format!("replace them: {}", fix.join(", ")),
    )
}

fn api_keys(status: &SecretsStatus) -> Check {
    if status.waiting.is_empty() {
        return Check::ok("api keys", "none waits to move to a new pepper");
    }
    let named: Vec<String> = status.waiting.iter().map(|key| key.name.clone()).collect();
    let finding = format!(
        "{} not used since the pepper was replaced and revoked at the deadline: {}",
        status.waiting_total,
        self::named(&named)
    );
    Check::warn(
        "api keys",
        finding,
        "use them, or replace them with `aivonx key rotate`; see `aivonx secrets status`",
    )
}

fn rotation(data_keys: &[DataKeyRecord]) -> Check {
    match data_keys.len() {
        0 | 1 => Check::ok("rotation", "no rotation is unfinished"),
        n => Check::warn(
            "rotation",
            format!("{n} data keys: a rotation is at work, or was not finished"),
            "if no job is at work (aivonx job list), finish it: aivonx secrets rotate",
        ),
    }
}

fn snapshots(status: &SecretsStatus) -> Check {
    let count = status.snapshots.len();
    let closed = status.snapshots.iter().filter(|snapshot| snapshot.problem.is_some());
    let closed: Vec<String> = closed.map(|snapshot| snapshot.file.clone()).collect();
    if closed.is_empty() {
        return Check::ok("snapshots", format!("{count} kept, all open with this master key"));
    }
    let finding =
        format!("{} of {count} kept do not open with this master key: {}", closed.len(), named(&closed));
    Check::warn(
        "snapshots",
        finding,
        "repeat `aivonxd rekey` with the master key they are under, or delete them",
    )
}

fn nodes(refusing: &[(String, String)]) -> Check {
    if refusing.is_empty() {
        return Check::ok("nodes", "no node refuses its credential");
    }
    let said: Vec<String> = refusing.iter().map(|(node, why)| format!("{node} ({why})")).collect();
    let fix = format!("give it another: aivonx node set {} --bearer-file FILE", refusing[0].0);
    Check::fail("nodes", format!("refuse their credential: {}", named(&said)), fix)
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
