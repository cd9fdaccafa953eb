//! Proving a second factor: a code of the authenticator or a backup code, each taken once.

use aivonx_domain::TenantScope;
use aivonx_protocol::{Fault, FaultKind, UnixMillis};
use aivonx_store::{
    Store, StoreError, UserRecord,
    secrets::{SecretsError, Vault},
};

use super::{
    backup_code::{self, Purpose},
    totp::{NotASecret, TotpSecret},
};

/// Tree the shared secrets are sealed to.
pub(crate) const TREE: &str = "user";

/// What was proven with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// A code of the authenticator.
    Authenticator,
    /// A backup code; so many are left.
    BackupCode(usize),
}

/// Why a second factor could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shared secret does not open.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The shared secret decrypts, but to something that is not a TOTP secret.
    #[error("the second factor of user {0}: {1}")]
    NotASecret(String, NotASecret),
}

/// Whether `otp` proves the second factor of `user`, who has one. A code that is right is spent, durably, when
/// this returns: of two logins with the same code at the same time, one gets in.
///
/// # Errors
/// [`FactorError`].
pub async fn prove(
    store: &Store,
    vault: &Vault,
    user: &UserRecord,
    otp: &str,
    now: UnixMillis,
) -> Result<Option<Factor>, FactorError> {
    if backup_code::looks_like(otp) {
        let otp = aivonx_protocol::WireSecret::new(otp.to_owned());
        let spent = spend(store, user, move |record| {
            let at = backup_code::find(Purpose::Backup, &record.id, &record.backup_codes, otp.expose())?;
            record.backup_codes.remove(at);
            Some(())
        });
        return Ok(spent.await?.map(|record| Factor::BackupCode(record.backup_codes.len())));
    }
    let Some(totp) = user.totp.as_ref().filter(|totp| totp.confirmed) else { return Ok(None) };
    let secret = open(vault, user, &totp.secret)?;
    let Some(step) = secret.verify(otp, now, totp.last_step) else { return Ok(None) };
    let spent = spend(store, user, move |record| {
        // Another may have used it since the record was read.
        let totp = record.totp.as_mut().filter(|t| t.confirmed && t.last_step < step)?;
        totp.last_step = step;
        Some(())
    });
    Ok(spent.await?.map(|_| Factor::Authenticator))
}

/// The shared secret of `user`.
///
/// # Errors
/// [`FactorError`].
pub(crate) fn open(
    vault: &Vault,
    user: &UserRecord,
    sealed: &aivonx_store::secrets::Sealed,
) -> Result<TotpSecret, FactorError> {
    let secret = vault.open_sealed(TREE, &user.id, sealed)?;
    TotpSecret::from_base32(secret.expose()).map_err(|e| FactorError::NotASecret(user.name.clone(), e))
}

/// Changes the record as it is now; None if `change` finds nothing to spend.
async fn spend(
    store: &Store,
    user: &UserRecord,
    change: impl FnOnce(&mut UserRecord) -> Option<()> + Send + 'static,
) -> Result<Option<UserRecord>, StoreError> {
    let change =
        |record: &mut UserRecord| change(record).ok_or_else(|| Fault::new(FaultKind::NotPermitted, "spent"));
    match store.users().try_update(&TenantScope::All, &user.id, None, change).await {
        Ok(record) => Ok(Some(record)),
        Err(StoreError::Refused(_) | StoreError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aivonx_store::{
        StoredTotp,
        testing::{Stand, stand},
    };

    const NOW: UnixMillis = 1_700_000_000_000;

    async fn enrolled(
        stand: &Stand,
        name: &str,
    ) -> (UserRecord, TotpSecret, Vec<aivonx_protocol::WireSecret>) {
        let user = stand.user(name, None).await;
        let secret = TotpSecret::generate().unwrap();
        let codes = backup_code::generate_backup().unwrap();
        let sealed = stand.vault.seal(TREE, &user.id, &secret.base32()).unwrap();
        let hashes = codes.iter().map(|c| backup_code::hash(Purpose::Backup, &user.id, c.expose())).collect();
        let users = stand.store.users();
        let user = users.update(&TenantScope::All, &user.id, None, |record| {
            record.totp = Some(StoredTotp { secret: sealed, confirmed: true, last_step: 0 });
            record.backup_codes = hashes;
        });
        (user.await.unwrap(), secret, codes)
    }

    #[tokio::test]
    async fn a_code_of_the_authenticator_is_taken_once_even_at_the_same_time() {
        let stand = stand().await;
        let (user, secret, _) = enrolled(&stand, "alice").await;
        let code = secret.code(NOW);
        let both = tokio::join!(
            prove(&stand.store, &stand.vault, &user, code.expose(), NOW),
            prove(&stand.store, &stand.vault, &user, code.expose(), NOW)
        );
        let proven = [both.0.unwrap(), both.1.unwrap()];
        assert_eq!(proven.iter().flatten().collect::<Vec<_>>(), [&Factor::Authenticator]);
        let user = stand.store.users().get(&TenantScope::All, &user.id).await.unwrap().unwrap();
        assert_eq!(prove(&stand.store, &stand.vault, &user, code.expose(), NOW).await.unwrap(), None);
        let next = secret.code(NOW + 30_000);
        let proven = prove(&stand.store, &stand.vault, &user, next.expose(), NOW + 30_000).await.unwrap();
        assert_eq!(proven, Some(Factor::Authenticator));
    }

    #[tokio::test]
    async fn each_backup_code_is_taken_once_and_of_its_user_alone() {
        let stand = stand().await;
        let (user, _, codes) = enrolled(&stand, "alice").await;
        let (other, ..) = enrolled(&stand, "bob").await;
        for (spent, code) in codes.iter().enumerate() {
            assert_eq!(prove(&stand.store, &stand.vault, &other, code.expose(), NOW).await.unwrap(), None);
            let proven = prove(&stand.store, &stand.vault, &user, code.expose(), NOW).await.unwrap();
            assert_eq!(proven, Some(Factor::BackupCode(codes.len() - spent - 1)));
            assert_eq!(prove(&stand.store, &stand.vault, &user, code.expose(), NOW).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_factor_that_was_never_confirmed_proves_nothing() {
        let stand = stand().await;
        let (user, secret, _) = enrolled(&stand, "alice").await;
        let users = stand.store.users();
        let user = users.update(&TenantScope::All, &user.id, None, |record| {
            record.totp.as_mut().unwrap().confirmed = false;
        });
        let user = user.await.unwrap();
        let code = secret.code(NOW);
        assert_eq!(prove(&stand.store, &stand.vault, &user, code.expose(), NOW).await.unwrap(), None);
        assert_eq!(prove(&stand.store, &stand.vault, &user, "", NOW).await.unwrap(), None);
    }
}
