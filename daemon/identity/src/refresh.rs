//! Refresh tokens: each login over HTTP begins a family, each use spends the token and gives its successor.
//!
//! A spent token that is used again was stolen, or its successor was: the family ends, for thief and owner
//! alike. There is no grace: a client that lost an answer logs in again. The last 64 spent tokens are
//! remembered; older ones are refused without ending the family.
//!
//! `aivr_....0190c0de-...`: the secret, a dot, the id of the family (a session).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aivonx_domain::TenantScope;
use aivonx_protocol::{UnixMillis, WireSecret, session::SessionKind};
use aivonx_store::{SessionRecord, Store, StoreError, UserRecord};
use subtle::ConstantTimeEq as _;

use super::{
    NoRandom,
    token_format::{self, Kind},
};

/// How long a family lasts, in milliseconds: then the user logs in again.
pub const LIFE_MS: u64 = 30 * 24 * 3600 * 1000;
/// Spent tokens remembered.
const SPENT: usize = 64;
/// Most families of one user; the one unused for the longest makes room.
const FAMILIES: usize = 64;
/// Longest user agent kept, in bytes.
const AGENT: usize = 256;

/// Why a refresh token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Malformed, unknown, ended or expired.
    #[error("the refresh token is wrong, or its session has ended; log in again")]
    Unknown,
    /// It was spent before: its family has been ended.
    #[error("the refresh token was used before; its session has been ended, log in again")]
    Reused(Box<SessionRecord>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No new one can be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// A family with its present token.
pub struct Refreshed {
    /// The family.
    pub session: SessionRecord,
    /// Its token; the one before is spent.
    pub token: WireSecret,
}

impl fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshed").field("session", &self.session.id).finish_non_exhaustive()
    }
}

/// Begins a family for a user who has just logged in.
///
/// # Errors
/// If the store fails or there are no random numbers.
pub async fn begin(
    store: &Store,
    user: &UserRecord,
    address: Option<String>,
    user_agent: Option<&str>,
    now: UnixMillis,
) -> Result<Refreshed, RefreshError> {
    make_room(store, user).await?;
    let secret = token_format::generate(Kind::Refresh)?;
    let session = SessionRecord {
        id: uuid::Uuid::now_v7().to_string(),
        address,
        user_agent: user_agent.map(|agent| agent.chars().take(AGENT).collect()),
        expires: now + LIFE_MS,
        ..SessionRecord::new(SessionKind::Http, user, hash(&secret), now)
    };
    let session = store.sessions().insert(session).await?;
    Ok(Refreshed { token: spell(&secret, &session.id), session })
}

/// Spends `token` and gives its successor. Whether the user may still have one, the caller checks.
///
/// # Errors
/// [`RefreshError`].
pub async fn rotate(store: &Store, token: &str, now: UnixMillis) -> Result<Refreshed, RefreshError> {
    let (presented, id) = read(token).ok_or(RefreshError::Unknown)?;
    let secret = token_format::generate(Kind::Refresh)?;
    let successor = hash(&secret);
    let verdict: Arc<Mutex<Verdict>> = Arc::default();
    let told = verdict.clone();
    let kept = store
        .sessions()
        .alter(id, move |record| {
            let (record, verdict) = spend(record?, &presented, successor, now);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
            record
        })
        .await?;
    let verdict = std::mem::take(&mut *verdict.lock().unwrap_or_else(PoisonError::into_inner));
    match (verdict, kept) {
        (Verdict::Spent, Some(session)) => Ok(Refreshed { token: spell(&secret, &session.id), session }),
        (Verdict::Reused(session), _) => Err(RefreshError::Reused(session)),
        _ => Err(RefreshError::Unknown),
    }
}

/// The family `token` belongs to, if it is its present one; for logging out with it.
///
/// # Errors
/// If the store fails.
pub async fn find(store: &Store, token: &str) -> Result<Option<SessionRecord>, StoreError> {
    let Some((presented, id)) = read(token) else { return Ok(None) };
    let found = store.sessions().get(&TenantScope::All, id).await?;
    Ok(found.filter(|s| s.kind == SessionKind::Http && bool::from(s.hash.ct_eq(&presented))))
}

#[derive(Debug, Default)]
enum Verdict {
    #[default]
    Unknown,
    Spent,
    Reused(Box<SessionRecord>),
}

/// What becomes of a family when a token with the hash `presented` is used.
fn spend(
    mut record: SessionRecord,
    presented: &[u8; 32],
    successor: [u8; 32],
    now: UnixMillis,
) -> (Option<SessionRecord>, Verdict) {
    if record.kind != SessionKind::Http {
        return (Some(record), Verdict::Unknown);
    }
    if now >= record.expires {
        return (None, Verdict::Unknown);
    }
    if bool::from(record.hash.ct_eq(presented)) {
        if record.previous.len() >= SPENT {
            record.previous.drain(..=record.previous.len() - SPENT);
        }
        record.previous.push(std::mem::replace(&mut record.hash, successor));
        record.last_used = now;
        return (Some(record), Verdict::Spent);
    }
    if record.previous.iter().any(|spent| bool::from(spent.ct_eq(presented))) {
        return (None, Verdict::Reused(Box::new(record)));
    }
    // Somebody who knows the id alone, which is no secret, must not be able to end the family.
    (Some(record), Verdict::Unknown)
}

async fn make_room(store: &Store, user: &UserRecord) -> Result<(), StoreError> {
    let own = TenantScope::User { organization: user.organization.clone(), user: user.id.clone() };
    let mut families = store.sessions().list(&own).await?;
    families.retain(|session| session.kind == SessionKind::Http);
    families.sort_by_key(|session| session.last_used);
    let surplus = (families.len() + 1).saturating_sub(FAMILIES);
    for oldest in families.iter().take(surplus) {
        match store.sessions().remove(&TenantScope::All, &oldest.id, None).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn spell(secret: &WireSecret, id: &str) -> WireSecret {
    WireSecret::new(format!("{}.{id}", secret.expose()))
}

/// The hash of the secret, and the id of the family.
fn read(token: &str) -> Option<([u8; 32], &str)> {
    let (secret, id) = token.split_once('.')?;
    let parsed = token_format::parse(Kind::Refresh, secret).ok()?;
    // Ids are written in one form; another never was ours.
    let plain = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    plain.then(|| (parsed.hash(), id))
}

fn hash(secret: &WireSecret) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(secret.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aivonx_store::testing::stand;

    const NOW: UnixMillis = 1_700_000_000_000;

    fn unknown(result: Result<Refreshed, RefreshError>) -> bool {
        matches!(result, Err(RefreshError::Unknown))
    }

    #[tokio::test]
    async fn each_token_is_good_once_and_gives_the_next() {
        let stand = stand().await;
        let user = stand.user("alice", None).await;
        let mut last = begin(&stand.store, &user, None, Some("curl"), NOW).await.unwrap();
        for n in 1..100 {
            let next = rotate(&stand.store, last.token.expose(), NOW + n).await.unwrap();
            assert_eq!((&next.session.id, next.session.last_used), (&last.session.id, NOW + n));
            assert_eq!(next.session.expires, NOW + LIFE_MS);
            assert!(next.session.previous.len() <= SPENT);
            assert!(find(&stand.store, last.token.expose()).await.unwrap().is_none());
            assert!(find(&stand.store, next.token.expose()).await.unwrap().is_some());
            last = next;
        }
        assert!(!format!("{last:?}").contains("aivr_"));
    }

    #[tokio::test]
    async fn a_spent_token_ends_the_family_for_thief_and_owner() {
        let stand = stand().await;
        let user = stand.user("alice", None).await;
        for spent in [0, 1, 3] {
            let mut tokens = vec![begin(&stand.store, &user, None, None, NOW).await.unwrap().token];
            for _ in 0..4 {
                let last = tokens.last().unwrap().expose().to_owned();
                tokens.push(rotate(&stand.store, &last, NOW).await.unwrap().token);
            }
            let other = begin(&stand.store, &user, None, None, NOW).await.unwrap();
            let reused = rotate(&stand.store, tokens[spent].expose(), NOW).await;
            assert!(matches!(reused, Err(RefreshError::Reused(session)) if session.user == user.id));
            for token in &tokens {
                assert!(unknown(rotate(&stand.store, token.expose(), NOW).await));
            }
            assert!(rotate(&stand.store, other.token.expose(), NOW).await.is_ok());
        }
    }

    #[tokio::test]
    async fn of_two_uses_at_once_one_gets_in_and_the_other_ends_the_family() {
        let stand = stand().await;
        let user = stand.user("alice", None).await;
        let first = begin(&stand.store, &user, None, None, NOW).await.unwrap();
        let (a, b) = tokio::join!(
            rotate(&stand.store, first.token.expose(), NOW),
            rotate(&stand.store, first.token.expose(), NOW)
        );
        let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
        assert!(matches!(lost, Err(RefreshError::Reused(_))));
        assert!(unknown(rotate(&stand.store, won.unwrap().token.expose(), NOW).await));
    }

    #[tokio::test]
    async fn what_is_no_token_of_the_family_changes_nothing() {
        let stand = stand().await;
        let user = stand.user("alice", None).await;
        let good = begin(&stand.store, &user, None, None, NOW).await.unwrap();
        let id = &good.session.id;
        let secret = token_format::generate(Kind::Refresh).unwrap();
        let key = token_format::generate(Kind::ApiKey).unwrap();
        for odd in [
            String::new(),
            ".".into(),
            format!("{}.{id}", secret.expose()),
            format!("{}.{id}", key.expose()),
            secret.expose().to_owned(),
            format!("{}.", good.token.expose().split_once('.').unwrap().0),
            format!("{}x", good.token.expose()),
            good.token.expose().to_uppercase(),
        ] {
            assert!(unknown(rotate(&stand.store, &odd, NOW).await), "{odd}");
            assert!(find(&stand.store, &odd).await.unwrap().is_none());
        }
        assert!(rotate(&stand.store, good.token.expose(), NOW).await.is_ok());
    }

    #[tokio::test]
    async fn a_family_ends_after_its_life() {
        let stand = stand().await;
        let user = stand.user("alice", None).await;
        let first = begin(&stand.store, &user, None, None, NOW).await.unwrap();
        let last = rotate(&stand.store, first.token.expose(), NOW + LIFE_MS - 1).await.unwrap();
        assert!(unknown(rotate(&stand.store, last.token.expose(), NOW + LIFE_MS).await));
        assert!(stand.store.sessions().list(&TenantScope::All).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_user_has_a_bounded_number_of_families() {
        let stand = stand().await;
        let user = stand.user("alice", None).await;
        let first = begin(&stand.store, &user, None, None, NOW).await.unwrap();
        let used = begin(&stand.store, &user, None, None, NOW).await.unwrap();
        let used = rotate(&stand.store, used.token.expose(), NOW + 1000).await.unwrap();
        for n in 1..FAMILIES as u64 {
            begin(&stand.store, &user, None, None, NOW + n).await.unwrap();
        }
        assert_eq!(stand.store.sessions().list(&TenantScope::All).await.unwrap().len(), FAMILIES);
        assert!(unknown(rotate(&stand.store, first.token.expose(), NOW).await));
        assert!(rotate(&stand.store, used.token.expose(), NOW).await.is_ok());
    }
}
