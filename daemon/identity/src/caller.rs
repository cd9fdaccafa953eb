//! Who a request over HTTP is from: one keyed hash and one map read for a key, a signature for an access token.

use std::{net::IpAddr, sync::Arc};

use aivonx_domain::access::Subject;
use aivonx_fleet::RoutingRules;
use aivonx_limits::Levels;
use aivonx_protocol::{
    UnixMillis,
    key::{KeyScope, Priority},
    permission::Permission,
    user::Role,
};

use super::{
    Actor, Source, api_key,
    jwt::{self, Claims, Extent, JwtError},
    snapshot::{Key, Organization, Scopes, Snapshot, User},
};

/// Who a request is from.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody in particular, and what those may use if some models are not for them.
    Anonymous(Option<Arc<RoutingRules>>),
    /// A key.
    Key(Arc<Key>),
    /// A user with an access token.
    User {
        /// The user.
        user: Arc<User>,
        /// Id of its session.
        session: Arc<str>,
        /// How much the token opens.
        extent: Extent,
    },
}

/// Why a credential is refused. Clients get the same sentence for all of these; the log has the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    /// No such key.
    #[error("the key is not valid")]
    Key,
    /// A key that was disabled, revoked or rotated, has expired, or whose owner was disabled.
    #[error(
        "the key is not valid any more: it, its user or its organization was disabled, or it was revoked or has expired"
    )]
    ShutOff,
    /// A key with a typing error.
    #[error("the key is mistyped: its checksum does not match")]
    Mistyped,
    /// Used from elsewhere.
    #[error("the key is not valid from this address")]
    Network,
    /// A token that is not ours, or was revoked.
    #[error("the access token is not valid: {0}")]
    Token(JwtError),
    /// The token's user or session was withdrawn.
    #[error("the access token was revoked")]
    Revoked,
    /// Neither the form of a key nor of a token.
    #[error("this is neither an API key nor an access token of this gateway")]
    Foreign,
    /// Two different ones.
    #[error("two different credentials were sent; send one, or the same in both fields")]
    Several,
}

impl NotKnown {
    /// Whether the credential was good once or is good elsewhere: it is refused even where access
    /// is open.
    #[must_use]
    pub fn is_shut_off(self) -> bool {
        match self {
            Self::ShutOff | Self::Network | Self::Revoked | Self::Token(JwtError::Expired) => true,
            Self::Key | Self::Mistyped | Self::Token(_) | Self::Foreign | Self::Several => false,
        }
    }
}

/// A key found under an older pepper, to be written under the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The key's id.
    pub key: Arc<str>,
    /// Number of the pepper it was found under.
    pub found: u32,
    /// Number of the newest pepper.
    pub pepper: u32,
    /// The hash under it.
    pub hash: [u8; 32],
}

/// Whether a key may be used now and from `address`.
fn check(key: &Key, address: IpAddr, now: UnixMillis) -> Result<(), NotKnown> {
    if !key.enabled || key.expires <= now || key.ended() {
        return Err(NotKnown::ShutOff);
    }
    let address = address.to_canonical();
    if !key.networks.is_empty() && !key.networks.iter().any(|network| network.contains(&address)) {
        return Err(NotKnown::Network);
    }
    Ok(())
}

impl Caller {
    /// The caller whose key is `secret`. The second value is there if its hash should be renewed.
    ///
    /// # Errors
    /// [`NotKnown`].
    pub fn of_key(
        snapshot: &Snapshot,
        secret: &str,
        address: IpAddr,
        now: UnixMillis,
    ) -> Result<(Self, Option<Renewal>), NotKnown> {
        // The checksum spares the hash for what was mistyped.
        api_key::parse(secret).map_err(|_| NotKnown::Mistyped)?;
        let mut newest = None;
        let mut found = Err(NotKnown::Key);
        for (number, pepper) in &snapshot.material.peppers {
            let hash = pepper.hash(secret);
            let first = *newest.get_or_insert((*number, hash));
            if let Some(key) = snapshot.key_by_hash(&hash, now) {
                let renewal = (first.0 != *number).then(|| Renewal {
                    key: key.id.clone(),
                    found: *number,
                    pepper: first.0,
                    hash: first.1,
                });
                found = Ok((key.clone(), renewal));
                break;
            }
            if snapshot.was_key(&hash) {
                found = Err(NotKnown::ShutOff);
                break;
            }
        }
        let (key, renewal) = found?;
        Ok((Self::admitted(key, address, now)?, renewal))
    }

    /// The caller for whom a certificate with one of these names stands; None if it stands for nobody.
    ///
    /// # Errors
    /// [`NotKnown`].
    pub fn of_certificate(
        snapshot: &Snapshot,
        names: &[String],
        address: IpAddr,
        now: impl FnOnce() -> UnixMillis,
    ) -> Option<Result<Self, NotKnown>> {
        Some(Self::admitted(snapshot.key_by_certificate(names)?.clone(), address, now()))
    }

    /// The caller with this key, if it may be used now and from here.
    fn admitted(key: Arc<Key>, address: IpAddr, now: UnixMillis) -> Result<Self, NotKnown> {
        check(&key, address, now)?;
        key.live.touch(now);
        Ok(Self::Key(key))
    }

    /// The same caller as `snapshot` has it; None if it may not ask any more, or not from `address`.
    #[must_use]
    pub fn again(&self, snapshot: &Snapshot, address: IpAddr, now: UnixMillis) -> Option<Self> {
        if !self.lasts(snapshot, address, now) {
            return None;
        }
        Some(match self {
            Self::Anonymous(_) => Self::Anonymous(snapshot.anybody().cloned()),
            Self::Key(key) => Self::Key(snapshot.key(&key.id)?.clone()),
            Self::User { user, session, extent } => {
                let user = snapshot.user(&user.id)?.clone();
                Self::User { user, session: session.clone(), extent: *extent }
            }
        })
    }

    /// Whether it may still ask, and from `address`.
    #[must_use]
    pub fn lasts(&self, snapshot: &Snapshot, address: IpAddr, now: UnixMillis) -> bool {
        match self {
            Self::Anonymous(_) => true,
            Self::Key(key) => snapshot.key(&key.id).is_some_and(|key| check(key, address, now).is_ok()),
            Self::User { user: was, session, .. } => {
                snapshot.user(&was.id).is_some_and(|user| user.enabled && user.epoch == was.epoch)
                    && snapshot.session(session).is_some_and(|session| session.expires > now)
            }
        }
    }

    /// The caller of an access token that `claims` were read from. `demanded` is as for [`User::owed`]: what a token
    /// opens is decided by what its user owes now, not by what was owed when it was made.
    ///
    /// # Errors
    /// [`NotKnown`].
    pub fn of_claims(
        snapshot: &Snapshot,
        claims: &Claims,
        demanded: bool,
        now: UnixMillis,
    ) -> Result<Self, NotKnown> {
        if claims.exp.saturating_mul(1000) <= now {
            return Err(NotKnown::Token(JwtError::Expired));
        }
        let user = snapshot.user(&claims.sub).ok_or(NotKnown::Revoked)?;
        let session = snapshot.session(&claims.sid).ok_or(NotKnown::Revoked)?;
        if !user.enabled
            || user.epoch != claims.epoch
            || session.epoch != claims.epoch
            || session.user != claims.sub
            || session.expires <= now
        {
            return Err(NotKnown::Revoked);
        }
        let extent = if user.owed(demanded).is_nothing() { Extent::Full } else { Extent::Enrol };
        Ok(Self::User { user: user.clone(), session: session.id.as_str().into(), extent })
    }

    /// Reads a token; see [`jwt::verify`].
    ///
    /// # Errors
    /// [`NotKnown::Token`].
    pub fn read_token(
        snapshot: &Snapshot,
        token: &str,
        daemon: &str,
        now: UnixMillis,
    ) -> Result<Claims, NotKnown> {
        jwt::verify(token, &snapshot.material.verifiers, now, daemon).map_err(NotKnown::Token)
    }

    /// Its organization.
    #[must_use]
    pub fn organization(&self) -> Option<&Arc<Organization>> {
        match self {
            Self::Anonymous(_) => None,
            Self::Key(key) => key.organization.as_ref(),
            Self::User { user, .. } => user.organization.as_ref(),
        }
    }

    /// Whether what its organization uses together is hidden from it.
    #[must_use]
    pub fn is_usage_hidden(&self) -> bool {
        let user = match self {
            Self::Anonymous(_) => None,
            Self::Key(key) => key.user.as_ref(),
            Self::User { user, .. } => Some(user),
        };
        let reads = user.is_some_and(|user| Permission::OrganizationRead.is_of(user.role, true));
        !reads && self.organization().is_some_and(|organization| organization.hides_usage)
    }

    /// Whether it may do what needs `scope`. Nobody in particular has none here: what the access mode grants to
    /// anonymous callers is not for the credential to say.
    #[must_use]
    pub fn may(&self, scope: KeyScope) -> bool {
        match self {
            Self::Anonymous(_) => false,
            Self::Key(key) => key.scopes.has(scope),
            Self::User { user, extent, .. } => {
                *extent == Extent::Full && Scopes::of_role(user.role).has(scope)
            }
        }
    }

    /// What of the fleet it may use. Nobody in particular: the nodes that are for everyone.
    #[must_use]
    pub fn eligible(&self) -> &RoutingRules {
        static ANYBODY: RoutingRules = RoutingRules::SHARED;
        match self {
            Self::Anonymous(rules) => rules.as_deref().unwrap_or(&ANYBODY),
            Self::Key(key) => &key.eligible,
            Self::User { user, .. } => &user.eligible,
        }
    }

    /// Which of the requests that wait go first.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self {
            Self::Key(key) => key.priority,
            Self::Anonymous(_) | Self::User { .. } => Priority::default(),
        }
    }

    /// Whether its streams begin while they wait.
    #[must_use]
    pub fn keeps_waiting(&self) -> bool {
        matches!(self, Self::Key(key) if key.keep_waiting)
    }

    /// Whether it was withdrawn: what runs under it ends.
    #[must_use]
    pub fn ended(&self) -> bool {
        match self {
            Self::Anonymous(_) => false,
            Self::Key(key) => key.ended(),
            Self::User { user, .. } => {
                user.sessions.ended() || user.organization.as_ref().is_some_and(|o| o.live.ended())
            }
        }
    }

    /// Whether it may not ask any more because it, its user or its organization was disabled.
    #[must_use]
    pub fn is_disabled(&self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Anonymous(_) => false,
            Self::Key(key) => snapshot.key(&key.id).is_some_and(|key| !key.enabled),
            Self::User { user, .. } => snapshot.user(&user.id).is_some_and(|user| !user.enabled),
        }
    }

    /// The caller as the audit log names it: the user, else the key.
    #[must_use]
    pub fn acting(&self, source: Source) -> Actor {
        let subject = self.subject();
        let named = subject.and_then(|subject| subject.user.as_ref().or(subject.key.as_ref()));
        let user = match self {
            Self::Anonymous(_) => None,
            Self::Key(key) => key.user.as_ref(),
            Self::User { user, .. } => Some(user),
        };
        Actor {
            user: named.map(|(id, _)| id.to_string()),
            name: named.map_or("anonymous", |(_, name)| name).to_owned(),
            role: user.map_or(Role::Member, |user| user.role),
            organization: self.organization().map(|organization| organization.id.to_string()),
            session: None,
            source,
        }
    }

    /// The user it is, as the one who acts; a key acts for a user but is not one.
    #[must_use]
    pub fn actor(&self, source: Source) -> Option<Actor> {
        let Self::User { user, session, .. } = self else { return None };
        Some(Actor {
            user: Some(user.id.to_string()),
            name: user.name.to_string(),
            role: user.role,
            organization: user.organization.as_ref().map(|organization| organization.id.to_string()),
            session: Some(session.to_string()),
            source,
        })
    }

    /// The levels whose limits it is under. Nobody in particular is under none: anonymous callers count by address.
    #[must_use]
    pub fn levels(&self) -> Levels<'_> {
        let (user, key) = match self {
            Self::Anonymous(_) => (None, None),
            Self::Key(key) => (key.user.as_ref(), Some(&key.level)),
            Self::User { user, .. } => (Some(user), None),
        };
        [self.organization().map(|organization| &organization.level), user.map(|user| &user.level), key]
    }

    /// As records of finished requests name it.
    #[must_use]
    pub fn subject(&self) -> Option<&Arc<Subject>> {
        match self {
            Self::Anonymous(_) => None,
            Self::Key(key) => Some(&key.subject),
            Self::User { user, .. } => Some(&user.subject),
        }
    }
}
