//! Organizations, users and keys, as requests are judged by them: immutable, rebuilt whole whenever one of their records
//! changes.
//!
//! What outlives a rebuild are the [`Live`] marks: a request under way holds the mark of its key, user and
//! organization, and ends when one of them is withdrawn.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use aivonx_domain::access::Subject;
use aivonx_fleet::RoutingRules;
use aivonx_limits::{
    Accounts, Caps, Kind,
    configured::Given,
    resolve::{Scope, key_caps},
};
use aivonx_protocol::{
    UnixMillis,
    key::{KeyScope, Priority},
    organization::NodeAccess,
    privacy::AnswerMode,
    user::Role,
};
use aivonx_store::{
    AnswersRecord, DisabledKeyRecord, KeyCertificateRecord, KeyQueueingRecord, KeyRecord, ModelAccessRecord,
    OrganizationRecord, PatternRecord, SessionRecord, UserRecord,
};
use aivonx_wire::privacy::{Privacy, Screening};
use ipnet::IpNet;

use super::{
    entries::{Judged, Key, Live, Organization, Scopes, User, of_fleet},
    patterns::{AllCompiled, Compiled, compile_all},
    rules::may_have,
};

/// A way to a key: its present secret, or the one before a rotation.
#[derive(Debug, Clone)]
pub(super) struct FoundKey {
    pub(super) key: Arc<Key>,
    pub(super) until: UnixMillis,
}

/// Organizations, users and keys, and what holds for those who are none of them.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) organizations: HashMap<Arc<str>, Arc<Organization>>,
    pub(super) slugs: HashMap<Arc<str>, Arc<Organization>>,
    pub(super) users: HashMap<Arc<str>, Arc<User>>,
    pub(super) names: HashMap<Arc<str>, Arc<User>>,
    pub(super) keys: HashMap<Arc<str>, Arc<Key>>,
    pub(super) hashes: HashMap<[u8; 32], FoundKey>,
    /// Hashes of revoked keys: requests with them are refused where access is open, too.
    pub(super) revoked: HashSet<[u8; 32]>,
    /// Keys by the names of the client certificates that stand for them.
    pub(super) certificates: HashMap<Box<str>, Arc<Key>>,
    /// What is looked for in the prompts of those without an organization and the answers to them.
    pub(super) screening: Screening,
    /// Patterns that are looked for.
    pub(super) patterns: AllCompiled,
    /// Caps of anonymous callers, and at the login.
    pub(super) anonymous: Caps,
    pub(super) set_up: bool,
    /// Whether streams of any key begin while they wait.
    pub(super) keep_waiting: bool,
    /// What those may use who belong to no organization, if some models are not for them.
    pub(super) anybody: Option<Arc<RoutingRules>>,
    /// The patterns of those models.
    hidden: Vec<String>,
}

/// The records a snapshot is made of.
#[derive(Debug, Default)]
pub struct Records {
    /// Organizations.
    pub organizations: Vec<OrganizationRecord>,
    /// Ids of those that hide from their members what they use together.
    pub hidden_usage: Vec<String>,
    /// Users.
    pub users: Vec<UserRecord>,
    /// Keys.
    pub keys: Vec<KeyRecord>,
    /// Sessions.
    pub sessions: Vec<SessionRecord>,
    /// What everybody has used.
    pub accounts: Arc<Accounts>,
    /// What happens to personal data in the prompts of those without an organization.
    pub privacy: Privacy,
    /// What happens to personal data in answers.
    pub answers: Vec<AnswersRecord>,
    /// Patterns that are looked for in both.
    pub patterns: Vec<PatternRecord>,
    /// Limits that were set.
    pub limits: Given,
    /// How requests of keys wait.
    pub queueing: Vec<KeyQueueingRecord>,
    /// Which certificates stand for keys.
    pub certificates: Vec<KeyCertificateRecord>,
    /// Keys that may not be used for now.
    pub disabled_keys: Vec<DisabledKeyRecord>,
    /// For whom models are.
    pub model_access: Vec<ModelAccessRecord>,
}

/// What everybody may use, while a snapshot is built.
struct Allowed {
    accounts: Arc<Accounts>,
    given: Given,
    fleet: Scope,
    organizations: HashMap<Arc<str>, Scope>,
}

impl Allowed {
    /// What holds in an organization, else in the fleet.
    fn scope(&self, organization: Option<&Arc<Organization>>) -> &Scope {
        organization.and_then(|organization| self.organizations.get(&organization.id)).unwrap_or(&self.fleet)
    }
}

impl Directory {
    /// The directory of `records`, whose sessions have no place in it. Marks of `old` go on where nothing was withdrawn; the others end.
    pub(super) fn build(records: Records, old: Option<&Self>) -> Self {
        let modes: HashMap<&str, AnswerMode> =
            records.answers.iter().map(|record| (&*record.id, record.mode)).collect();
        let answers = |id: &str| modes.get(id).copied().unwrap_or_default();
        let patterns = compile_all(records.patterns, old.map(|old| &old.patterns));
        let mut new = Self {
            organizations: HashMap::new(),
            slugs: HashMap::new(),
            users: HashMap::new(),
            names: HashMap::new(),
            keys: HashMap::new(),
            hashes: HashMap::new(),
            revoked: HashSet::new(),
            screening: Screening {
                privacy: Privacy { answers: answers(AnswersRecord::FLEET), ..records.privacy },
                own: patterns.get(&None).map(Compiled::patterns),
            },
            certificates: HashMap::new(),
            patterns,
            anonymous: records.limits.anonymous(),
            keep_waiting: false,
            anybody: None,
            hidden: ModelAccessRecord::hidden_from(&records.model_access, None),
            set_up: records.users.iter().any(|u| u.role == Role::Superadmin),
        };
        new.anybody = (!new.hidden.is_empty()).then(|| Arc::new(RoutingRules::SHARED.hiding(&new.hidden)));
        let mut allowed = Allowed {
            accounts: records.accounts,
            fleet: records.limits.fleet(),
            given: records.limits,
            organizations: HashMap::new(),
        };
        for record in records.organizations {
            let answers = answers(&record.id);
            let hidden = ModelAccessRecord::hidden_from(&records.model_access, Some(&record.id));
            let hides_usage = records.hidden_usage.contains(&record.id);
            new.add_organization(record, answers, (&hidden, hides_usage), &mut allowed, old);
        }
        for record in records.users {
            new.add_user(record, &allowed, old);
        }
        let queueing: HashMap<String, KeyQueueingRecord> =
            records.queueing.into_iter().map(|record| (record.id.clone(), record)).collect();
        let disabled: HashSet<String> = records.disabled_keys.into_iter().map(|record| record.id).collect();
        for record in records.keys {
            let disabled = disabled.contains(&record.id);
            new.add_key(&record, &allowed, disabled, queueing.get(&record.id), old);
        }
        for record in records.certificates {
            if let Some(key) = new.keys.get(record.id.as_str()) {
                new.certificates.insert(record.name.into(), key.clone());
            }
        }
        new
    }

    fn add_organization(
        &mut self,
        record: OrganizationRecord,
        answers: AnswerMode,
        (hidden, hides_usage): (&[String], bool),
        allowed: &mut Allowed,
        old: Option<&Self>,
    ) {
        let before = old.and_then(|old| old.organizations.get(record.id.as_str()));
        let live = carry(before.map(|o| &o.live), record.enabled);
        let eligible = RoutingRules::of(&record.id, &record.nodes, &record.models, record.cloud_models);
        let eligible = eligible.hiding(hidden);
        let id: Arc<str> = record.id.into();
        let own = self.patterns.get(&Some(id.clone())).map(Compiled::patterns);
        let scope = allowed.given.organization(&id, record.limit_profile);
        allowed.organizations.insert(id.clone(), scope);
        let organization = Arc::new(Organization {
            level: allowed.accounts.level(Kind::Organization, &id, scope.caps()),
            id,
            slug: record.slug.into(),
            enabled: record.enabled,
            require_totp: record.require_totp,
            eligible,
            exclusive: record.nodes == NodeAccess::Exclusive,
            hides_usage,
            live,
            screening: Screening {
                privacy: Privacy { answers, ..Privacy::new(record.privacy, &record.privacy_categories) },
                own,
            },
        });
        self.slugs.insert(organization.slug.clone(), organization.clone());
        self.organizations.insert(organization.id.clone(), organization);
    }

    fn add_user(&mut self, record: UserRecord, allowed: &Allowed, old: Option<&Self>) {
        let before = old.and_then(|old| old.users.get(record.id.as_str()));
        let organization = record.organization.as_deref().and_then(|id| self.organizations.get(id)).cloned();
        let orphan = record.organization.is_some() && organization.is_none();
        let same_epoch = before.filter(|before| before.epoch == record.epoch);
        let enabled = record.enabled && !orphan && organization.as_ref().is_none_or(|o| o.enabled);
        let id: Arc<str> = record.id.as_str().into();
        let limits = allowed.given.user(allowed.scope(organization.as_ref()), &id);
        let user = Arc::new(User {
            level: allowed.accounts.level(Kind::User, &id, limits.caps()),
            id,
            name: record.name.as_str().into(),
            role: record.role,
            eligible: match &organization {
                Some(organization) => organization.eligible.clone(),
                None => of_fleet(record.role).hiding(&self.hidden),
            },
            enabled,
            epoch: record.epoch,
            totp: record.totp.as_ref().is_some_and(|totp| totp.confirmed),
            totp_exempt: record.totp_exempt,
            must_change_password: record.must_change_password,
            live: carry(before.map(|u| &u.live), enabled),
            sessions: carry(same_epoch.map(|u| &u.sessions), enabled),
            subject: Arc::new(Subject {
                organization: organization.as_ref().map(|o| (o.id.clone(), o.slug.clone())),
                user: Some((record.id.as_str().into(), record.name.as_str().into())),
                key: None,
            }),
            organization,
            judged: Judged::of(record),
        });
        self.names.insert(user.name.clone(), user.clone());
        self.users.insert(user.id.clone(), user);
    }

    fn add_key(
        &mut self,
        record: &KeyRecord,
        allowed: &Allowed,
        disabled: bool,
        queueing: Option<&KeyQueueingRecord>,
        old: Option<&Self>,
    ) {
        if record.revoked.is_some() {
            self.revoked.insert(record.hash);
            self.revoked.extend(record.retiring.as_ref().map(|retiring| retiring.hash));
            return;
        }
        let before = old.and_then(|old| old.keys.get(record.id.as_str()));
        let organization = record.organization.as_deref().and_then(|id| self.organizations.get(id)).cloned();
        let user = record.user.as_deref().and_then(|id| self.users.get(id)).cloned();
        let orphan = (record.organization.is_some() && organization.is_none())
            || (record.user.is_some() && user.is_none());
        let enabled = !orphan
            && !disabled
            && organization.as_ref().is_none_or(|o| o.enabled)
            && user.as_ref().is_none_or(|u| u.enabled);
        // What cannot be read must not open a door: a damaged network allows nothing.
        let networks: Option<Vec<IpNet>> = record.networks.iter().map(|n| n.parse().ok()).collect();
        let scopes = match networks {
            Some(_) => self.scopes_now(record, organization.as_deref(), user.as_deref()),
            None => Scopes::default(),
        };
        let id: Arc<str> = record.id.as_str().into();
        let scope = allowed.scope(organization.as_ref());
        let of_user = user.as_ref().map(|user| allowed.given.user(scope, &user.id));
        let limits = allowed.given.key(scope, of_user.as_ref(), &id);
        let key = Arc::new(Key {
            level: allowed.accounts.level(Kind::Key, &id, key_caps(&limits)),
            id,
            scopes,
            eligible: self.eligible_for_key(record, organization.as_ref(), user.as_ref()),
            networks: networks.unwrap_or_default(),
            expires: record.expires.unwrap_or(UnixMillis::MAX),
            pepper: record.pepper,
            enabled,
            live: carry(before.map(|k| &k.live), !disabled),
            subject: Arc::new(Subject {
                organization: organization.as_ref().map(|o| (o.id.clone(), o.slug.clone())),
                user: user.as_ref().map(|u| (u.id.clone(), u.name.clone())),
                key: Some((record.id.as_str().into(), record.name.as_str().into())),
            }),
            organization,
            user,
            priority: queueing.map_or_else(Priority::default, |queueing| queueing.priority),
            keep_waiting: queueing.is_some_and(|queueing| queueing.keep_waiting),
        });
        self.keep_waiting |= key.keep_waiting;
        self.hashes.insert(record.hash, FoundKey { key: key.clone(), until: UnixMillis::MAX });
        if let Some(retiring) = &record.retiring {
            self.hashes.insert(retiring.hash, FoundKey { key: key.clone(), until: retiring.until });
        }
        self.keys.insert(key.id.clone(), key);
    }

    /// What `record` may do now: no scope that its user could not be given any more. A key without a user is limited by
    /// its creator instead; once the creator is gone, by an administrator of its organization.
    fn scopes_now(
        &self,
        record: &KeyRecord,
        organization: Option<&Organization>,
        user: Option<&User>,
    ) -> Scopes {
        let maker = || {
            let maker = self.users.get(record.created_by.as_deref()?)?;
            let here = match &maker.organization {
                Some(of) => organization.is_some_and(|organization| organization.id == of.id),
                None => true,
            };
            (maker.enabled && here).then_some(&**maker)
        };
        let holder = match (user.or_else(maker), organization) {
            (Some(holder), _) => (holder.role, holder.organization.is_some()),
            // The daemon's own user, before there was an administrator.
            (None, _) if record.created_by.is_none() => (Role::Superadmin, false),
            (None, Some(_)) => (Role::OrgAdmin, true),
            (None, None) => (Role::Member, false),
        };
        let exclusive = organization.is_some_and(|organization| organization.exclusive);
        let may = |scope: &KeyScope| may_have(holder.0, holder.1, exclusive, *scope);
        Scopes::of(&record.scopes.iter().copied().filter(may).collect::<Vec<_>>())
    }

    /// A key that belongs to nobody is as good as who made it; once that one is gone, it is for shared nodes.
    fn eligible_for_key(
        &self,
        record: &KeyRecord,
        organization: Option<&Arc<Organization>>,
        user: Option<&Arc<User>>,
    ) -> RoutingRules {
        let of_maker = || match record.created_by.as_deref().map(|id| self.users.get(id)) {
            // The daemon's own user, before there was an administrator.
            None => RoutingRules::ALL.hiding(&self.hidden),
            Some(maker) => match maker {
                Some(maker) => maker.eligible.clone(),
                None => RoutingRules::SHARED.hiding(&self.hidden),
            },
        };
        let whole = match (organization, user) {
            (Some(organization), _) => organization.eligible.clone(),
            (None, Some(user)) => user.eligible.clone(),
            (None, None) => of_maker(),
        };
        whole.narrowed(&record.models)
    }

    /// Ends the marks of everything that is in `self` and no longer in `new` as it was. To be called once `new`
    /// is in place.
    pub(super) fn withdraw_for(&self, new: &Self) {
        for (id, organization) in &self.organizations {
            end_unless(&organization.live, new.organizations.get(id).map(|o| &o.live));
        }
        for (id, user) in &self.users {
            end_unless(&user.live, new.users.get(id).map(|u| &u.live));
            end_unless(&user.sessions, new.users.get(id).map(|u| &u.sessions));
        }
        for (id, key) in &self.keys {
            end_unless(&key.live, new.keys.get(id).map(|k| &k.live));
        }
    }
}

/// The mark of before, if it goes on; else a new one.
fn carry(before: Option<&Arc<Live>>, enabled: bool) -> Arc<Live> {
    match before {
        Some(live) if enabled && !live.ended() => live.clone(),
        _ => {
            let live = Live::default();
            if !enabled {
                live.end();
            }
            Arc::new(live)
        }
    }
}

fn end_unless(old: &Arc<Live>, new: Option<&Arc<Live>>) {
    if !new.is_some_and(|new| Arc::ptr_eq(old, new)) {
        old.end();
    }
}
