//! What a snapshot is made of: organizations, users and keys as requests are judged by them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use aivonx_domain::access::Subject;
use aivonx_fleet::RoutingRules;
use aivonx_limits::Level;
use aivonx_protocol::{
    UnixMillis,
    key::{KeyScope, Priority},
    user::Role,
};
use aivonx_store::{StoredTotp, UserRecord};
use aivonx_wire::privacy::Screening;
use ipnet::IpNet;

use super::RequiredActions;

/// Whether something may still be used, shared by everything that uses it.
#[derive(Debug, Default)]
pub struct Live {
    ended: AtomicBool,
    used: AtomicU64,
}

impl Live {
    /// Whether it was withdrawn.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Remembers a use.
    pub fn touch(&self, now: UnixMillis) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// When it was last used since the start.
    #[must_use]
    pub fn last_used(&self) -> Option<UnixMillis> {
        Some(self.used.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// An organization.
#[derive(Debug)]
pub struct Organization {
    /// Its id.
    pub id: Arc<str>,
    /// Its slug.
    pub slug: Arc<str>,
    /// Whether its users and keys may do anything.
    pub enabled: bool,
    /// Whether its users must use two-factor authentication.
    pub require_totp: bool,
    /// What of the fleet it may use.
    pub eligible: RoutingRules,
    /// Whether it has nodes of its own alone.
    pub exclusive: bool,
    /// Whether it hides from its members what it uses together.
    pub hides_usage: bool,
    /// Ends when it is disabled or removed.
    pub live: Arc<Live>,
    /// What it may use, and has used.
    pub level: Arc<Level>,
    /// What happens to personal data in its prompts.
    pub screening: Screening,
}

/// A user.
#[derive(Debug)]
pub struct User {
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// Its organization.
    pub organization: Option<Arc<Organization>>,
    /// What of the fleet it may use.
    pub eligible: RoutingRules,
    /// Whether it may do anything: itself and its organization are enabled.
    pub enabled: bool,
    /// Sessions and tokens of an older epoch are void.
    pub epoch: u64,
    /// Whether two-factor authentication is set up.
    pub totp: bool,
    /// Whether the configuration does not demand that of it.
    pub totp_exempt: bool,
    /// Whether the password must be changed first.
    pub must_change_password: bool,
    /// Ends when it is disabled or removed; its keys end with it.
    pub live: Arc<Live>,
    /// Ends when its epoch rises too; its sessions and tokens end with it.
    pub sessions: Arc<Live>,
    /// As records of finished requests name it.
    pub subject: Arc<Subject>,
    /// What it may use, and has used.
    pub level: Arc<Level>,
    /// What of its record all this comes from.
    pub(super) judged: Judged,
}

/// A user's record without what a login changes and nobody is judged by. Everything else counts, so that what is added
/// to records does too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged(UserRecord);

impl Judged {
    pub(super) fn of(record: UserRecord) -> Self {
        let totp = record.totp.map(|totp| StoredTotp { last_step: 0, ..totp });
        Self(UserRecord {
            last_login: None,
            password: None,
            backup_codes: Vec::new(),
            revision: 0,
            totp,
            ..record
        })
    }
}

impl User {
    /// What it has to do before anything but managing the own account. `demanded` is whether the configuration
    /// demands two-factor authentication of every user.
    #[must_use]
    pub fn owed(&self, demanded: bool) -> RequiredActions {
        let enrol = demanded && !self.totp_exempt
            || self.organization.as_ref().is_some_and(|organization| organization.require_totp);
        RequiredActions { password: self.must_change_password, enrol: enrol && !self.totp }
    }
}

/// What a key or user may do over HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self(0b1_1111);

    const fn bit(scope: KeyScope) -> u8 {
        match scope {
            KeyScope::Infer => 1,
            KeyScope::ModelsRead => 2,
            KeyScope::ModelsWrite => 4,
            KeyScope::AdminRead => 8,
            KeyScope::NodesChoose => 16,
        }
    }

    /// These scopes, and what they imply.
    #[must_use]
    pub fn of(scopes: &[KeyScope]) -> Self {
        let bits = scopes.iter().fold(0, |bits, scope| bits | Self::bit(*scope));
        Self(if bits & Self::bit(KeyScope::Infer) != 0 {
            bits | Self::bit(KeyScope::ModelsRead)
        } else {
            bits
        })
    }

    /// What a user of `role` may do with an access token.
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        use KeyScope::{AdminRead, Infer, ModelsRead, ModelsWrite, NodesChoose};
        match role {
            Role::Superadmin => Self::ALL,
            Role::Operator => Self::of(&[Infer, ModelsRead, ModelsWrite, AdminRead, NodesChoose]),
            Role::Auditor => Self::of(&[ModelsRead, AdminRead]),
            Role::OrgAdmin | Role::Member => Self::of(&[Infer, ModelsRead]),
        }
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn has(self, scope: KeyScope) -> bool {
        self.0 & Self::bit(scope) != 0
    }
}

/// What a user of the fleet itself may use: those who see every node, every node.
pub(super) fn of_fleet(role: Role) -> RoutingRules {
    match role {
        Role::Superadmin | Role::Operator | Role::Auditor => RoutingRules::ALL,
        Role::OrgAdmin | Role::Member => RoutingRules::SHARED,
    }
}

/// An API key.
#[derive(Debug)]
pub struct Key {
    /// Its id.
    pub id: Arc<str>,
    /// Its organization.
    pub organization: Option<Arc<Organization>>,
    /// The user it acts for.
    pub user: Option<Arc<User>>,
    /// What it may do now: what it was given, as far as its user (or else its creator) may still have it.
    pub scopes: Scopes,
    /// What of the fleet it may use: at most what its organization and its user may.
    pub eligible: RoutingRules,
    /// Networks it may be used from; empty is anywhere.
    pub networks: Vec<IpNet>,
    /// From when on it is worth nothing; `u64::MAX` is never.
    pub expires: UnixMillis,
    /// Number of the pepper of its present hash.
    pub pepper: u32,
    /// It is enabled, and so are its user and organization where there are any.
    pub enabled: bool,
    /// Ends when it is disabled, revoked or removed.
    pub live: Arc<Live>,
    /// As records of finished requests name it.
    pub subject: Arc<Subject>,
    /// What it may use, and has used.
    pub level: Arc<Level>,
    /// Which of the requests that wait go first.
    pub priority: Priority,
    /// Whether its streams begin while they wait.
    pub keep_waiting: bool,
}

impl Key {
    /// Whether it, its user or its organization was withdrawn.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.live.ended()
            || self.user.as_ref().is_some_and(|user| user.live.ended())
            || self.organization.as_ref().is_some_and(|organization| organization.live.ended())
    }
}
