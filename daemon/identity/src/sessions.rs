//! Sessions of the control socket: begun by a login, gone on with on another connection, ended by time, by
//! their owner, or with everything else of a user whose epoch rises.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::{
    Fault, FaultKind, UnixMillis, WireSecret,
    audit::{Action, Outcome},
    session::SessionKind,
    user::Role,
};
use aivonx_store::{SessionRecord, StoreError, UserRecord};

use super::{
    AccountError, Actor, Identity, RequiredActions, Source,
    login::{address, entry},
    snapshot::{Snapshot, User},
    token_format::{self, Kind},
};

/// A use is written down at most this often; after a restart a session is given as much on top of its idle time.
const NOTED: UnixMillis = 60_000;
/// Most logins of one user at once; the one unused for the longest makes room.
const LOGINS: usize = 32;

/// What is known of sessions beside the snapshot.
pub(super) struct Sessions {
    /// By id.
    uses: Mutex<HashMap<String, Use>>,
    lasts_ms: AtomicU64,
    idle_ms: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    last: UnixMillis,
    /// The last one that was written down, or is about to be.
    noted: UnixMillis,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            uses: Mutex::default(),
            lasts_ms: AtomicU64::new(12 * 3_600_000),
            idle_ms: AtomicU64::new(30 * 60_000),
        }
    }
}

impl Sessions {
    pub(super) fn last_used(&self, id: &str) -> Option<UnixMillis> {
        self.lock().get(id).map(|found| found.last)
    }

    /// Counts a use. Returns whether it is to be written down.
    fn touch(&self, record: &SessionRecord, now: UnixMillis) -> bool {
        let mut uses = self.lock();
        let known =
            uses.entry(record.id.clone()).or_insert(Use { last: record.last_used, noted: record.last_used });
        known.last = known.last.max(now);
        let due = now >= known.noted + NOTED;
        if due {
            known.noted = now;
        }
        due
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Use>> {
        // Nothing panics while it is held.
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// Why a session is worth nothing (any more); a sentence for its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Unknown: it was ended, or never existed.
    #[error("the session was ended, or is not of this gateway")]
    Gone,
    /// Its time is over.
    #[error("the session has expired")]
    Expired,
    /// Not used for too long.
    #[error("the session has ended: it was not used for too long")]
    Idle,
    /// Another user of the machine began it.
    #[error("the session belongs to another user of this machine")]
    OtherUid,
}

impl Ended {
    /// The sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "the session was ended, or is not of this gateway",
            Self::Expired => "the session has expired",
            Self::Idle => "the session has ended: it was not used for too long",
            Self::OtherUid => "the session belongs to another user of this machine",
        }
    }
}

impl From<Ended> for Fault {
    fn from(ended: Ended) -> Self {
        Self::new(FaultKind::NotPermitted, ended.as_str()).hint("Log in: aivonx login")
    }
}

/// Whether a token of a user with role `user` may have the role `token`. Not a matter of rank alone: an operator
/// has no keys, a member has.
#[must_use]
pub fn includes(user: Role, token: Role) -> bool {
    use Role::{Auditor, Member, Operator, OrgAdmin, Superadmin};
    match user {
        // A fleet's org-admin is nothing.
        Superadmin => token != OrgAdmin,
        OrgAdmin => matches!(token, OrgAdmin | Member),
        Operator | Auditor | Member => token == user,
    }
}

impl Identity {
    /// How long logins last, and how long they may be unused, from now on begun; as configured.
    pub fn bound_sessions(&self, lasts: Duration, idle: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.sessions.lasts_ms.store(millis(lasts), Ordering::Relaxed);
        self.sessions.idle_ms.store(millis(idle), Ordering::Relaxed);
    }

    /// Begins a session for a user who has just logged in at the control socket. Takes effect with the next
    /// [`Self::settle`].
    ///
    /// # Errors
    /// If the store fails or there are no random numbers.
    pub async fn begin_session(
        &self,
        user: &UserRecord,
        source: &Source,
    ) -> Result<(SessionRecord, WireSecret), AccountError> {
        self.make_room(user).await?;
        let secret = token_format::generate(Kind::Session)?;
        let now = now();
        let record = SessionRecord {
            peer_uid: uid(source),
            expires: now + self.sessions.lasts_ms.load(Ordering::Relaxed),
            idle_ms: self.sessions.idle_ms.load(Ordering::Relaxed),
            ..SessionRecord::new(SessionKind::Control, user, hash(Kind::Session, &secret), now)
        };
        let record = self.store.sessions().insert(record).await?;
        Ok((record, secret))
    }

    /// The hash of the session or token `secret`, which is good now and for this peer.
    ///
    /// # Errors
    /// `NotPermitted`, saying what is wrong.
    pub fn resume(&self, secret: &WireSecret, source: &Source) -> Result<[u8; 32], Fault> {
        let kind =
            if token_format::looks_like(Kind::Token, secret.expose()) { Kind::Token } else { Kind::Session };
        let parsed = token_format::parse(kind, secret.expose()).map_err(|error| {
            Fault::new(FaultKind::NotPermitted, format!("this is no session or token: {error}"))
                .field("token")
                .hint("Copy it again, or log in: aivonx login")
        })?;
        let hash = parsed.hash();
        match self.in_session(&hash, source, now()) {
            Ok(_) => Ok(hash),
            Err(ended) => {
                if ended == Ended::OtherUid
                    && let Some(record) = self.hot().load().session_by_hash(&hash)
                {
                    let who = Actor {
                        user: None,
                        name: address(source),
                        role: Role::Member,
                        organization: None,
                        session: None,
                        source: source.clone(),
                    };
                    let denied = aivonx_ledgers::audit::Entry::new(Action::Denied)
                        .actor(who.who())
                        .object("session", Some(&record.id), None)
                        .organization(record.organization.as_deref())
                        .outcome(Outcome::Denied);
                    self.audit.note(denied.via("account.resume").detail("reason", "of another uid"));
                }
                Err(ended.into())
            }
        }
    }

    /// Who acts in the session whose secret has this hash, at `now`, and what they owe. Counts as a use.
    ///
    /// # Errors
    /// [`Ended`].
    pub fn in_session(
        &self,
        hash: &[u8; 32],
        source: &Source,
        now: UnixMillis,
    ) -> Result<(Arc<Actor>, RequiredActions), Ended> {
        let hot = self.hot().load();
        let (record, user) = self.standing(&hot, hash, source, now)?;
        if self.sessions.touch(record, now) {
            self.note_use(record.id.clone(), now);
        }
        let role = if includes(user.role, record.role) { record.role } else { user.role };
        let actor = Actor {
            user: Some(user.id.to_string()),
            name: user.name.to_string(),
            role: if record.kind == SessionKind::Token { role } else { user.role },
            organization: user.organization.as_ref().map(|organization| organization.id.to_string()),
            session: Some(record.id.clone()),
            source: source.clone(),
        };
        Ok((Arc::new(actor), user.owed(self.demands_two_factor())))
    }

    /// Id of the user of the session whose secret has this hash. Is no use of it.
    #[must_use]
    pub fn user_of_session(&self, hash: &[u8; 32]) -> Option<String> {
        self.hot().load().session_by_hash(hash).map(|record| record.user.clone())
    }

    /// Whether the session whose secret has this hash can still be used from `source`. Is no use of it.
    #[must_use]
    pub fn stands(&self, hash: &[u8; 32], source: &Source, now: UnixMillis) -> bool {
        self.standing(&self.hot().load(), hash, source, now).is_ok()
    }

    fn standing<'h>(
        &self,
        hot: &'h Snapshot,
        hash: &[u8; 32],
        source: &Source,
        now: UnixMillis,
    ) -> Result<(&'h SessionRecord, &'h User), Ended> {
        let record = hot.session_by_hash(hash).ok_or(Ended::Gone)?;
        let user = hot.user(&record.user).ok_or(Ended::Gone)?;
        if record.kind == SessionKind::Http || !holds(record, user) {
            return Err(Ended::Gone);
        }
        if record.peer_uid.is_some() && record.peer_uid != uid(source) {
            return Err(Ended::OtherUid);
        }
        self.still_good(record, now)?;
        Ok((record, user))
    }

    fn still_good(&self, record: &SessionRecord, now: UnixMillis) -> Result<(), Ended> {
        if now >= record.expires {
            return Err(Ended::Expired);
        }
        let last = self.sessions.last_used(&record.id);
        // What was used since it was last written down is not known after a restart.
        let last = last.unwrap_or_else(|| record.last_used.saturating_add(NOTED).min(now));
        if record.idle_ms > 0 && now >= last.saturating_add(record.idle_ms) {
            return Err(Ended::Idle);
        }
        Ok(())
    }

    fn note_use(&self, id: String, now: UnixMillis) {
        let sessions = self.store.sessions();
        tokio::spawn(async move {
            let noted = sessions.update(&TenantScope::All, &id, None, move |record| {
                record.last_used = record.last_used.max(now);
            });
            match noted.await {
                // Ended in the meantime, or the daemon stops.
                Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Closed) => {}
                Err(error) => tracing::warn!(%error, "the last use of a session is not written down"),
            }
        });
    }

    /// Ends the session `actor` acts in.
    ///
    /// # Errors
    /// If the store fails; `Conflict` if there is no session.
    pub async fn log_out(&self, actor: &Actor, via: &str) -> Result<(), AccountError> {
        let Some(id) = &actor.session else {
            return Err(Fault::new(FaultKind::Conflict, "nobody is logged in here").into());
        };
        match self.store.sessions().remove(&TenantScope::All, id, None).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let user = match &actor.user {
            Some(user) => self.store.users().get(&TenantScope::All, user).await?,
            None => None,
        };
        if let Some(user) = user {
            let entry = entry(Action::Logout, &user, &actor.source, via);
            self.audit.write(entry).await.map_err(|error| AccountError::Other(error.into()))?;
        }
        Ok(())
    }

    /// Removes what has ended by time; to be called now and then.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sweep_sessions(&self, now: UnixMillis) -> Result<(), StoreError> {
        let records = self.store.sessions().list(&TenantScope::All).await?;
        self.sessions.lock().retain(|id, _| records.iter().any(|record| record.id == *id));
        for record in records.iter().filter(|record| self.still_good(record, now).is_err()) {
            match self.store.sessions().remove(&TenantScope::All, &record.id, None).await {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn make_room(&self, user: &UserRecord) -> Result<(), AccountError> {
        let own = TenantScope::User { organization: user.organization.clone(), user: user.id.clone() };
        let mut logins = self.store.sessions().list(&own).await?;
        logins.retain(|session| session.kind == SessionKind::Control);
        logins.sort_by_key(|session| self.sessions.last_used(&session.id).unwrap_or(session.last_used));
        let surplus = (logins.len() + 1).saturating_sub(LOGINS);
        for oldest in logins.iter().take(surplus) {
            match self.store.sessions().remove(&TenantScope::All, &oldest.id, None).await {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Whether nothing that was done to `user` since has ended the session.
fn holds(record: &SessionRecord, user: &User) -> bool {
    user.enabled && record.epoch >= user.epoch
}

/// The uid of a peer of the control socket.
pub(super) fn uid(source: &Source) -> Option<u32> {
    match source {
        Source::Control { uid, .. } => Some(*uid),
        Source::Http { .. } | Source::Daemon => None,
    }
}

/// The hash of a secret just made.
pub(super) fn hash(kind: Kind, secret: &WireSecret) -> [u8; 32] {
    // What was just generated is of its kind; otherwise a hash that no secret has.
    token_format::parse(kind, secret.expose()).map_or([0; 32], |parsed| parsed.hash())
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
