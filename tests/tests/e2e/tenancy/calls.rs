//! Everything that can be done to things by their names and ids.

use aivonx_protocol::{
    Client as Control, ClientError, FaultKind, WireSecret, job,
    key::{self, KeyChange, KeyScope},
    limit::{self, LimitName, LimitSetting, LimitTarget, LimitValue},
    log::{self, LogFilter},
    model,
    node::{self, AdminState, NodeChange},
    operation::Call,
    organization::{self, OrganizationChange},
    strategy,
    usage::{self, UsageFilter},
    user::{self, NewUser, Role, UserChange},
};
use aivonx_tests::within;

use super::{
    STANDARD,
    world::{Ids, new_key, new_node},
};

/// What an operation came to, beside what it is called here.
pub(super) async fn told<O: Call>(
    c: &Control,
    asked: &[&str],
    name: &'static str,
    operation: O,
) -> (&'static str, Result<(), (FaultKind, String)>) {
    (name, outcome(asked, c.ask(operation).await))
}

/// What a call came to: nothing to see, or the fault in words with `asked` taken out of it.
pub(super) fn outcome<T>(asked: &[&str], result: Result<T, ClientError>) -> Result<(), (FaultKind, String)> {
    match result {
        Ok(_) => Ok(()),
        Err(ClientError::Fault(fault)) => {
            let mut text = format!("{} / {:?} / {:?}", fault.message, fault.field, fault.hint);
            for asked in asked {
                text = text.replace(asked, "X");
            }
            Err((fault.kind, text))
        }
        Err(error) => panic!("{error}"),
    }
}

pub(super) type Outcomes = Vec<(&'static str, Result<(), (FaultKind, String)>)>;

/// Everything an operator can do to the things that `ids` name.
pub(super) async fn operate(c: &Control, ids: &Ids) -> Outcomes {
    let (node, job, org) = (&*ids.node, &*ids.job, &*ids.organization);
    let asked = [node, job, org];
    let o = |result| outcome(&asked, result);
    let change = NodeChange { max_parallel: Some(1), ..NodeChange::default() };
    let filter = LogFilter { organization: Some(org.into()), ..LogFilter::default() };
    let follow = async |mut stream: aivonx_protocol::client::EventStream| {
        within("an event", stream.next()).await.expect("an end with a reason").map(drop)
    };
    vec![
        told(c, &asked, "node.show", node::Show { node: node.to_owned() }).await,
        told(c, &asked, "strategy.learned", strategy::ShowLearned { node: node.to_owned() }).await,
        told(
            c,
            &asked,
            "strategy.explain for it",
            strategy::Explain {
                model: "m".into(),
                organization: Some(org.into()),
                prompt: WireSecret::new("hi".into()),
            },
        )
        .await,
        told(
            c,
            &asked,
            "node.set",
            node::Set { node: node.to_owned(), revision: None, change: Box::new(change) },
        )
        .await,
        told(
            c,
            &asked,
            "node.set_state",
            node::SetState { node: node.to_owned(), revision: None, state: AdminState::Disabled },
        )
        .await,
        told(c, &asked, "node.check", node::Check { node: node.to_owned() }).await,
        told(c, &asked, "node.remove", node::Remove { node: node.to_owned(), revision: None }).await,
        told(
            c,
            &asked,
            "node.add for it",
            node::Add(Box::new(new_node("mine", "http://127.0.0.1:9", Some(org)))),
        )
        .await,
        told(
            c,
            &asked,
            "model.pull",
            model::Pull { model: "m".into(), nodes: vec![node.into()], insecure: false },
        )
        .await,
        told(
            c,
            &asked,
            "node.probe for it",
            node::ProbeNew(Box::new(new_node("", "http://127.0.0.1:9", Some(org)))),
        )
        .await,
        told(
            c,
            &asked,
            "node.probe_change",
            node::ProbeChange { node: node.to_owned(), change: Box::new(NodeChange::default()) },
        )
        .await,
        told(
            c,
            &asked,
            "model.load",
            model::Load { model: "m".into(), node: Some(node.into()), keep_alive: None },
        )
        .await,
        told(c, &asked, "model.unload", model::Unload { model: "m".into(), node: Some(node.into()) }).await,
        told(c, &asked, "model.remove", model::Remove { model: "m".into(), node: Some(node.into()) }).await,
        told(c, &asked, "job.show", job::Show { job: job.to_owned() }).await,
        told(c, &asked, "job.cancel", job::Cancel { job: job.to_owned() }).await,
        (
            "job.follow",
            o(match c.follow(job::Follow { job: job.to_owned() }).await {
                Ok(stream) => follow(stream).await,
                Err(error) => Err(error),
            }),
        ),
        told(c, &asked, "log.recent of it", log::Recent { filter: filter.clone(), lines: 10 }).await,
        (
            "log.follow of it",
            o(match c.follow(log::Follow { filter, lines: 10 }).await {
                Ok(stream) => follow(stream).await,
                Err(error) => Err(error),
            }),
        ),
        told(c, &asked, "organization.show", organization::Show { organization: org.to_owned() }).await,
    ]
}

/// Everything an organization's administrator can do to the things that `ids` name.
pub(super) async fn administer(c: &Control, ids: &Ids) -> Outcomes {
    let (user, key, org) = (&*ids.user, &*ids.key, &*ids.organization);
    let asked = [user, key, org];
    let in_org = || Some(org.to_owned());
    let email = UserChange { email: Some(None), ..UserChange::default() };
    let usage = |organization, user: Option<&str>, key: Option<&str>| UsageFilter {
        organization,
        user: user.map(str::to_owned),
        key: key.map(str::to_owned),
        ..UsageFilter::default()
    };
    let scopes = || KeyChange { scopes: Some(vec![KeyScope::Infer]), ..KeyChange::default() };
    let name = OrganizationChange { name: Some("taken over".into()), ..OrganizationChange::default() };
    let into = NewUser {
        name: "intruder".into(),
        display_name: None,
        email: None,
        role: Role::Member,
        organization: in_org(),
        password: None,
    };
    let mut for_user = new_key("borrowed", Some("acme"), &[KeyScope::Infer]);
    for_user.user = Some(user.to_owned());
    let of_org = || LimitTarget::Organization { organization: org.to_owned() };
    let of_user = || LimitTarget::User { user: user.to_owned() };
    let of_key = |organization| LimitTarget::Key { organization, key: key.to_owned() };
    let one = || vec![LimitValue { name: LimitSetting::bare(LimitName::InferenceDay), limit: Some(1) }];
    let for_org = new_key("planted", Some(org), &[KeyScope::Infer]);
    vec![
        told(c, &asked, "organization.show", organization::Show { organization: org.to_owned() }).await,
        told(
            c,
            &asked,
            "organization.set",
            organization::Set { organization: org.to_owned(), revision: None, change: Box::new(name) },
        )
        .await,
        told(c, &asked, "user.list of it", user::List { organization: in_org(), role: None }).await,
        told(c, &asked, "user.show", user::Show { user: user.to_owned() }).await,
        told(
            c,
            &asked,
            "user.set",
            user::Set { user: user.to_owned(), revision: None, change: Box::new(email) },
        )
        .await,
        told(
            c,
            &asked,
            "user.set_enabled",
            user::SetEnabled { user: user.to_owned(), revision: None, enabled: false },
        )
        .await,
        told(c, &asked, "user.reset_password", user::ResetPassword { user: user.to_owned() }).await,
        told(c, &asked, "user.reset_totp", user::ResetTotp { user: user.to_owned() }).await,
        told(c, &asked, "user.sessions", user::Sessions { user: user.to_owned() }).await,
        told(c, &asked, "user.logout", user::Logout { user: user.to_owned(), session: None }).await,
        told(c, &asked, "user.remove", user::Remove { user: user.to_owned(), revision: None }).await,
        told(c, &asked, "user.add to it", user::Add(Box::new(into))).await,
        told(c, &asked, "key.list of it", key::List { organization: in_org(), user: None, all: true }).await,
        told(
            c,
            &asked,
            "key.list of its user",
            key::List { organization: None, user: Some(user.into()), all: true },
        )
        .await,
        told(c, &asked, "key.show in it", key::Show { organization: in_org(), key: key.to_owned() }).await,
        told(c, &asked, "key.show", key::Show { organization: None, key: key.to_owned() }).await,
        told(
            c,
            &asked,
            "key.set",
            key::Set { organization: None, key: key.to_owned(), revision: None, change: Box::new(scopes()) },
        )
        .await,
        told(
            c,
            &asked,
            "key.set in it",
            key::Set {
                organization: in_org(),
                key: key.to_owned(),
                revision: None,
                change: Box::new(scopes()),
            },
        )
        .await,
        told(c, &asked, "key.rotate", key::Rotate { organization: None, key: key.to_owned(), grace_ms: 0 })
            .await,
        told(c, &asked, "key.revoke", key::Revoke { organization: None, key: key.to_owned() }).await,
        told(c, &asked, "limit.show of it", limit::Show { target: of_org() }).await,
        told(c, &asked, "limit.show of its user", limit::Show { target: of_user() }).await,
        told(c, &asked, "limit.show of its key", limit::Show { target: of_key(in_org()) }).await,
        told(c, &asked, "limit.show of a key", limit::Show { target: of_key(None) }).await,
        told(c, &asked, "limit.set of it", limit::Set { target: of_org(), revision: None, values: one() })
            .await,
        told(
            c,
            &asked,
            "limit.set of its user",
            limit::Set { target: of_user(), revision: None, values: one() },
        )
        .await,
        told(
            c,
            &asked,
            "limit.set of its key",
            limit::Set { target: of_key(in_org()), revision: None, values: one() },
        )
        .await,
        told(
            c,
            &asked,
            "limit.unset of it",
            limit::Unset { target: of_org(), revision: None, names: Vec::new() },
        )
        .await,
        told(
            c,
            &asked,
            "limit.unset of its user",
            limit::Unset { target: of_user(), revision: None, names: Vec::new() },
        )
        .await,
        told(c, &asked, "limit.unpriced of it", limit::FindUnpriced { target: of_org() }).await,
        told(c, &asked, "limit.unpriced of its user", limit::FindUnpriced { target: of_user() }).await,
        told(
            c,
            &asked,
            "limit.profile of it",
            limit::SetProfile { organization: in_org(), profile: STANDARD, reset: true },
        )
        .await,
        told(
            c,
            &asked,
            "usage.report of it",
            usage::Report { filter: usage(in_org(), None, None), by: None, per: None },
        )
        .await,
        told(
            c,
            &asked,
            "usage.report of its user",
            usage::Report { filter: usage(None, Some(user), None), by: None, per: None },
        )
        .await,
        told(
            c,
            &asked,
            "usage.report of its key",
            usage::Report { filter: usage(None, None, Some(key)), by: None, per: None },
        )
        .await,
        told(c, &asked, "key.create for its user", key::Create(Box::new(for_user))).await,
        told(c, &asked, "key.create in it", key::Create(Box::new(for_org))).await,
    ]
}
