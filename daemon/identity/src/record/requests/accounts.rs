//! Organizations, users, keys and tokens.

use aivonx_protocol::{
    audit::Action,
    key::{KeyChange, KeyRequest, NewKey},
    organization::{NewOrganization, OrganizationChange, OrganizationRequest},
    token::TokenRequest,
    user::{NewUser, UserChange, UserRequest},
};

use crate::{opaque, record::Record};

pub(super) fn organization(request: &OrganizationRequest) -> Option<Record> {
    match request {
        OrganizationRequest::List
        | OrganizationRequest::Show { .. }
        | OrganizationRequest::Networks { .. } => None,
        OrganizationRequest::Add(new) => {
            let NewOrganization {
                slug,
                name,
                require_totp,
                models,
                nodes,
                cloud_models,
                privacy,
                limit_profile,
            } = &**new;
            Some(
                Record::new(Action::Create, "organization", slug)
                    .of_organization(Some(slug))
                    .maybe("name", name)
                    .with("require_totp", require_totp)
                    .with("models", models)
                    .with("nodes", nodes)
                    .with("cloud_models", cloud_models)
                    .maybe("privacy", privacy)
                    .maybe("limit_profile", limit_profile),
            )
        }
        OrganizationRequest::Set { organization, change, .. } => {
            Some(organization_change(organization, change).of_organization(Some(organization)))
        }
        OrganizationRequest::Remove { organization, with_contents, .. } => Some(
            Record::new(Action::Delete, "organization", organization)
                .of_organization(Some(organization))
                .with("with_contents", with_contents),
        ),
        OrganizationRequest::SetNetworks { organization, networks } => Some(
            Record::new(Action::PermissionChange, "organization", organization)
                .of_organization(Some(organization))
                .with("node_networks", networks),
        ),
    }
}

fn organization_change(organization: &str, change: &OrganizationChange) -> Record {
    let OrganizationChange {
        slug,
        name,
        enabled,
        require_totp,
        models,
        nodes,
        cloud_models,
        privacy,
        limit_profile,
    } = change;
    let rights = models.is_some() || nodes.is_some() || cloud_models.is_some() || require_totp.is_some();
    let action = match enabled {
        Some(true) => Action::Enable,
        Some(false) => Action::Disable,
        None if rights => Action::PermissionChange,
        None => Action::Update,
    };
    Record::new(action, "organization", organization)
        .maybe("slug", slug)
        .maybe("name", name)
        .maybe("enabled", enabled)
        .maybe("require_totp", require_totp)
        .maybe("models", models)
        .maybe("nodes", nodes)
        .maybe("cloud_models", cloud_models)
        .maybe("privacy", privacy)
        .maybe("limit_profile", limit_profile)
}

pub(super) fn user(request: &UserRequest) -> Option<Record> {
    match request {
        UserRequest::List { .. } | UserRequest::Show { .. } | UserRequest::Sessions { .. } => None,
        UserRequest::Add(new) => {
            let NewUser { name, display_name, email, role, organization, password } = &**new;
            Some(
                Record::new(Action::Create, "user", name)
                    .of_organization(organization.as_deref())
                    .maybe("display_name", display_name)
                    .maybe("email", email)
                    .with("role", role)
                    .with("can_log_in", password.is_some()),
            )
        }
        UserRequest::Set { user, change, .. } => {
            let UserChange { name, display_name, email, role, organization } = &**change;
            let rights = role.is_some() || organization.is_some();
            let action = if rights { Action::PermissionChange } else { Action::Update };
            Some(
                Record::new(action, "user", user)
                    .maybe("name", name)
                    .maybe("display_name", display_name)
                    .maybe("email", email)
                    .maybe("role", role)
                    .maybe("organization", organization),
            )
        }
        UserRequest::SetEnabled { user, enabled, .. } => {
            let action = if *enabled { Action::Enable } else { Action::Disable };
            Some(Record::new(action, "user", user))
        }
        UserRequest::Remove { user, .. } => Some(Record::new(Action::Delete, "user", user)),
        UserRequest::ResetPassword { user } => Some(Record::new(Action::PasswordReset, "user", user)),
        UserRequest::ResetTotp { user } => {
            Some(Record::new(Action::TotpChange, "user", user).with("change", "reset by an administrator"))
        }
        UserRequest::Logout { user, session } => {
            let session = session.as_deref().unwrap_or("all");
            Some(Record::new(Action::TokenRevoke, "user", user).with("sessions", session))
        }
    }
}

pub(super) fn key(request: &KeyRequest) -> Option<Record> {
    match request {
        KeyRequest::List { .. } | KeyRequest::Show { .. } => None,
        KeyRequest::Create(new) => {
            let NewKey { name, organization, user, scopes, models, networks, expires } = &**new;
            Some(
                Record::new(Action::KeyCreate, "key", name)
                    .of_organization(organization.as_deref())
                    .maybe("user", user)
                    .with("scopes", scopes)
                    .with("models", models)
                    .with("networks", networks)
                    .with("expires", expires),
            )
        }
        KeyRequest::Set { organization, key, change, .. } => {
            let KeyChange { name, scopes, models, networks, expires } = &**change;
            Some(
                Record::new(Action::KeyUpdate, "key", opaque::shown(key))
                    .of_organization(organization.as_deref())
                    .maybe("name", name)
                    .maybe("scopes", scopes)
                    .maybe("models", models)
                    .maybe("networks", networks)
                    .maybe("expires", expires),
            )
        }
        KeyRequest::Rotate { organization, key, grace_ms } => Some(
            Record::new(Action::KeyRotate, "key", opaque::shown(key))
                .of_organization(organization.as_deref())
                .with("grace_ms", grace_ms),
        ),
        KeyRequest::Revoke { organization, key } => Some(
            Record::new(Action::KeyRevoke, "key", opaque::shown(key))
                .of_organization(organization.as_deref()),
        ),
    }
}

pub(super) fn token(request: &TokenRequest) -> Option<Record> {
    match request {
        TokenRequest::List => None,
        TokenRequest::Create { name, role, lasts_ms } => Some(
            Record::new(Action::TokenCreate, "token", name).maybe("role", role).with("lasts_ms", lasts_ms),
        ),
        TokenRequest::Revoke { token } => Some(Record::new(Action::TokenRevoke, "token", token)),
    }
}
