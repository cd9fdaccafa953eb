//! What one role may make of another, of an organization and of keys.

use aivonx_domain::Globs;
use aivonx_protocol::{
    Fault, FaultKind,
    key::KeyScope,
    organization::{LimitProfile, NodeAccess},
    user::Role,
};
use aivonx_store::{OrganizationRecord, UserRecord};

use super::Actor;

fn refused(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::NotPermitted, message)
}

/// Whether a role goes with being bound to an organization.
pub(super) fn check_role(role: Role, bound: bool) -> Result<(), Fault> {
    let fault = |message: &str, field: &str, fix: &str| {
        Err(Fault::new(FaultKind::Invalid, message.to_owned()).field(field).hint(fix))
    };
    match (role, bound) {
        (Role::Superadmin, true) => fault(
            "a superadmin belongs to no organization",
            "org",
            "leave the organization out, or choose another role",
        ),
        (Role::OrgAdmin | Role::Member, false) => {
            fault(&format!("a user of role {role} belongs to an organization"), "org", "name one with --org")
        }
        _ => Ok(()),
    }
}

/// Whether `actor` may make users of `role`, or give it. Nobody gives more than they have.
pub(super) fn check_grant(actor: &Actor, role: Role) -> Result<(), Fault> {
    match (actor.role, role) {
        (Role::Superadmin, _) | (Role::OrgAdmin, Role::OrgAdmin | Role::Member) => Ok(()),
        _ => Err(refused(format!("{} may not give the role {role}", article(actor.role)))
            .field("role")
            .hint("a superadmin may")),
    }
}

/// Whether `actor` may change or remove `user`, who is within its reach.
pub(super) fn check_manage(actor: &Actor, user: &UserRecord) -> Result<(), Fault> {
    check_grant(actor, user.role).map_err(|_| {
        refused(format!("{} may not change {}", article(actor.role), article(user.role)))
            .hint("a superadmin may")
    })
}

/// Whether somebody of this role may have a key of this scope. `exclusive` is whether the organization it is
/// bound to has nodes of its own alone: only those can be changed without changing what others run.
pub(super) fn may_have(role: Role, bound: bool, exclusive: bool, scope: KeyScope) -> bool {
    match scope {
        KeyScope::Infer | KeyScope::ModelsRead => true,
        KeyScope::ModelsWrite => match role {
            Role::Superadmin => true,
            Role::Operator => !bound || exclusive,
            Role::OrgAdmin => exclusive,
            Role::Auditor | Role::Member => false,
        },
        // Metrics and state are the whole fleet's.
        KeyScope::AdminRead => matches!(role, Role::Superadmin | Role::Operator | Role::Auditor) && !bound,
        // It goes past what keeps the whole fleet in balance.
        KeyScope::NodesChoose => matches!(role, Role::Superadmin | Role::Operator) && !bound,
    }
}

/// Whether `actor` may give these scopes to a key of `organization` that acts for `user`, or is handed out its
/// secret anew: a key never exceeds its maker, nor the user it acts for.
pub(super) fn check_scopes(
    actor: &Actor,
    organization: Option<&OrganizationRecord>,
    user: Option<&UserRecord>,
    scopes: &[KeyScope],
) -> Result<(), Fault> {
    let exclusive = organization.is_some_and(|organization| organization.nodes == NodeAccess::Exclusive);
    let fault = |scope: KeyScope, who: String| {
        let fault = refused(format!("{who} may not have keys of scope {scope}")).field("scope");
        let own_nodes = scope == KeyScope::ModelsWrite && !exclusive && organization.is_some();
        fault.hint(if own_nodes {
            "a superadmin may make it, or give the organization nodes of its own"
        } else {
            "leave the scope out"
        })
    };
    for scope in scopes {
        if !may_have(actor.role, actor.is_bound(), exclusive, *scope) {
            return Err(fault(*scope, article(actor.role)));
        }
        if let Some(user) = user
            && !may_have(user.role, user.organization.is_some(), exclusive, *scope)
        {
            return Err(fault(*scope, article(user.role)));
        }
    }
    Ok(())
}

/// An org-admin narrows what its organization may use; how far it reaches is for a superadmin to say.
pub(super) fn check_narrowing(old: &OrganizationRecord, new: &OrganizationRecord) -> Result<(), Fault> {
    let fault = |field: &str, what: &str| {
        Err(refused(format!("an org-admin may not {what}")).field(field).hint("a superadmin may"))
    };
    let same_but =
        OrganizationRecord { models: old.models.clone(), limit_profile: old.limit_profile, ..new.clone() };
    if same_but != *old {
        return fault("org", "change more of the organization than its models and limits");
    }
    if rank(new.limit_profile) > rank(old.limit_profile) {
        return fault("limit-profile", "loosen the limits of the organization");
    }
    if !Globs::new(&new.models).narrows(&Globs::new(&old.models)) {
        return fault("models", "allow the organization more models");
    }
    Ok(())
}

fn rank(profile: LimitProfile) -> u8 {
    match profile {
        LimitProfile::Standard => 0,
        LimitProfile::Team => 1,
        LimitProfile::Unlimited => 2,
    }
}

/// The role with its article, for sentences.
fn article(role: Role) -> String {
    match role {
        Role::Operator | Role::Auditor | Role::OrgAdmin => format!("an {role}"),
        Role::Superadmin | Role::Member => format!("a {role}"),
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
