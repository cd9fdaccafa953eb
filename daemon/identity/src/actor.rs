//! Who does something, and where they came from.

use std::net::IpAddr;

use aivonx_domain::TenantScope;
use aivonx_ledgers::audit::Who;
use aivonx_protocol::user::Role;
use aivonx_store::UserRecord;

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Id of the user; None where the peer's uid alone decides.
    pub user: Option<String>,
    /// Its name, kept in the audit log when the user is gone.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Id of the organization it is bound to; None is fleet-wide.
    pub organization: Option<String>,
    /// Id of the session it acts in.
    pub session: Option<String>,
    /// Where it came from.
    pub source: Source,
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The control socket.
    Control {
        /// User of the peer.
        uid: u32,
        /// Its primary group.
        gid: u32,
        /// Its process, where the kernel reports it.
        pid: Option<i32>,
    },
    /// A client over HTTP.
    Http {
        /// Its address.
        address: IpAddr,
        /// What it calls itself. Untrusted text.
        user_agent: Option<String>,
        /// Our id of the request.
        request_id: String,
    },
    /// The daemon itself.
    Daemon,
}

impl Actor {
    /// `user`, with all of its rights and in no session.
    #[must_use]
    pub fn of(user: &UserRecord, source: Source) -> Self {
        Self {
            user: Some(user.id.clone()),
            name: user.name.clone(),
            role: user.role,
            organization: user.organization.clone(),
            session: None,
            source,
        }
    }

    /// Whose records it may touch.
    #[must_use]
    pub fn reach(&self) -> TenantScope {
        match (self.role, &self.organization) {
            (Role::Member, organization) => TenantScope::User {
                organization: organization.clone(),
                // Nobody is a member without being a user; one that were would reach nothing.
                user: self.user.clone().unwrap_or_default(),
            },
            (_, Some(organization)) => TenantScope::Organization(organization.clone()),
            // Never stored so; nothing may follow from it.
            (Role::OrgAdmin, None) => TenantScope::Organization(String::new()),
            (Role::Superadmin | Role::Operator | Role::Auditor, None) => TenantScope::All,
        }
    }

    /// Whether it is bound to an organization.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.organization.is_some()
    }

    /// As the audit log records it.
    #[must_use]
    pub fn who(&self) -> Who {
        let (id, name) = (self.user.clone(), self.name.clone());
        match &self.source {
            Source::Control { uid, gid, pid } => Who::control(id, name, *uid, *gid, *pid),
            Source::Http { address, user_agent, .. } => Who::http(id, name, *address, user_agent.as_deref()),
            Source::Daemon => Who { id, name, ..Who::daemon() },
        }
    }

    /// Our id of the HTTP request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match &self.source {
            Source::Http { request_id, .. } => Some(request_id),
            Source::Control { .. } | Source::Daemon => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::actor;

    #[test]
    fn each_role_reaches_as_far_as_it_should() {
        let own = || TenantScope::Organization("acme".into());
        for role in [Role::Operator, Role::Auditor, Role::OrgAdmin, Role::Superadmin] {
            assert_eq!(actor(Some("u"), role, Some("acme")).reach(), own(), "{role}");
        }
        for role in [Role::Operator, Role::Auditor, Role::Superadmin] {
            assert_eq!(actor(Some("u"), role, None).reach(), TenantScope::All, "{role}");
        }
        let member = actor(Some("u"), Role::Member, Some("acme")).reach();
        assert_eq!(member, TenantScope::User { organization: Some("acme".into()), user: "u".into() });
        assert!(!actor(Some("u"), Role::OrgAdmin, None).reach().covers(None, Some("u")));
        assert_eq!(actor(None, Role::Superadmin, None).reach(), TenantScope::All);
    }
}
