//! `aivonx check --isolation`: whether anyone of one organization sees or changes what is another's.
//!
//! Two organizations are made for it on the running gateway and removed again. In the name of each role of the one, every
//! operation there is names what is the other's; the requests are those of the protocol's samples. Their names end in a
//! random suffix, kept in the store before they are made: what bears it was made by this, and nothing else is removed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use aivonx_domain::{TenantScope, now};
use aivonx_fleet::Ended;
use aivonx_identity::{Actor, RequiredActions, Source};
use aivonx_protocol::{
    Fault, FaultKind, Reply, Request,
    frame::MAX_OUT,
    job::JobKind,
    key::{KeyScope, NewKey},
    node::{Credential, NewNode, NodeKind},
    operation,
    organization::{NewOrganization, NodeAccess, Organization},
    secrets::Check,
    session::SessionKind,
    user::{NewUser, Role},
    wire,
};
use aivonx_store::SessionRecord;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    Services,
    access::{Peer, Standing, check},
    connection::Connection,
};

/// How the throw-away organizations and all that is theirs are called.
const PREFIX: &str = "isolation-check";

/// How long the token of the other organization would last, milliseconds.
const LASTS: u64 = 3_600_000;

/// The roles that are bound to an organization.
const ROLES: [Role; 4] = [Role::Operator, Role::Auditor, Role::OrgAdmin, Role::Member];

/// Runs the check. It goes on when who asked for it leaves, because what was made has to be removed.
pub(crate) type Runner = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<Check>, Fault>> + Send + Sync>;

/// The check of these services. A handler cannot hold the services that it is one of.
pub(crate) fn runner(services: Weak<Services>) -> Runner {
    let turn = Arc::new(Mutex::new(()));
    Arc::new(move || {
        let (services, turn) = (services.upgrade(), turn.clone().try_lock_owned());
        Box::pin(async move {
            let turn = turn.map_err(|_| {
                Fault::new(FaultKind::Conflict, "it runs already")
                    .hint("wait for its end, and start it again")
            })?;
            let services = services.ok_or_else(|| Fault::new(FaultKind::Unavailable, "the gateway stops"))?;
            let work = tokio::spawn(async move {
                let _turn = turn;
                // Of a run that the end of the daemon cut off.
                if let Some(suffix) = services.store.settings().isolation_check().await? {
                    remove(&services, &suffix).await?;
                }
                let suffix = format!("{:016x}", rand::random::<u64>());
                services.store.settings().set_isolation_check(suffix.clone()).await?;
                let found = run(&services, &suffix).await;
                let removed = remove(&services, &suffix).await;
                found.and_then(|mut checks| {
                    removed?;
                    checks.push(Check::ok("isolation cleanup", "the organizations made for it are removed"));
                    Ok(checks)
                })
            });
            work.await.unwrap_or_else(|_| {
                Err(Fault::new(FaultKind::Internal, "the check ended by a mistake in it"))
            })
        })
    })
}

/// What is the other organization's, by the names that a request may use.
struct Foreign {
    organization: Organization,
    user: String,
    user_id: String,
    key: String,
    key_id: String,
    node: String,
    node_id: String,
    token: String,
    token_id: String,
    job_id: String,
}

impl Foreign {
    /// What shows in an answer to the operation that it is about them: ids, and names that nothing else has.
    fn marks(&self, operation: &str) -> Vec<&str> {
        let Self { organization, user, user_id, key, key_id, node, node_id, token_id, job_id, .. } = self;
        let (id, slug) = (organization.id.as_str(), organization.slug.as_str());
        // What one asked for in vain is in the audit log of one's own organization, by the name that one gave.
        if operation.starts_with("audit.") {
            return vec![id];
        }
        vec![id, slug, user, user_id, key, key_id, node, node_id, token_id, job_id]
    }

    /// A sample with what is theirs in the place of the names that samples have.
    fn named_in(&self, sample: &Request) -> Option<Request> {
        let mut value = serde_json::to_value(sample).ok()?;
        self.put_into(&mut value);
        serde_json::from_value(value).ok()
    }

    fn put_into(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(other) = self.instead(text) {
                    *text = other;
                }
            }
            Value::Array(all) => all.iter_mut().for_each(|one| self.put_into(one)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    // Their own is not what is tried.
                    if name == "organization" && value.is_null() {
                        *value = Value::String(self.organization.slug.clone());
                    }
                    self.put_into(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn instead(&self, text: &str) -> Option<String> {
        Some(match text {
            "acme" | "lab" => self.organization.slug.clone(),
            "alice" => self.user.clone(),
            "ci" | "0190-key" => self.key_id.clone(),
            "acme/ci" => format!("{}/{}", self.organization.slug, self.key),
            "gpu1" | "0190-id" => self.node.clone(),
            "backup" => self.token.clone(),
            "0190-session" => self.token_id.clone(),
            "j1" => self.job_id.clone(),
            "mine" => format!("{PREFIX}-model"),
            "0190-request" => format!("{PREFIX}-request"),
            // Nothing of the real fleet may be touched, and nothing outside be connected to.
            text if text.starts_with("http") => "http://127.0.0.1:9".to_owned(),
            text if ["llama3", "qwen3", "gpt-4o"].iter().any(|model| text.starts_with(model)) => {
                format!("{PREFIX}-model")
            }
            _ => return None,
        })
    }
}

/// What is about the caller itself names nothing that could be another's.
fn is_tried(name: &str) -> bool {
    !name.starts_with("account.")
}

async fn run(services: &Services, suffix: &str) -> Result<Vec<Check>, Fault> {
    let root = root();
    let [own, other] = slugs(suffix);
    let own = organization(services, &root, own).await?;
    let other = organization(services, &root, other).await?;
    let foreign = foreign(services, &root, other).await?;
    let before = snapshot(services, &foreign).await?;
    let mut checks = vec![control(services, &root, &foreign).await];
    for role in ROLES {
        let actor = actor(services, &root, &own, role).await?;
        checks.push(tried(services, &actor, &foreign).await);
    }
    checks.push(if snapshot(services, &foreign).await? == before {
        Check::ok("isolation changes", "nothing of the other organization was changed")
    } else {
        Check::fail("isolation changes", "something of the other organization was changed", REPORT)
    });
    Ok(checks)
}

const REPORT: &str =
    "this is a fault of aivonx: report it, and keep organizations apart on gateways of their own";

/// Whether the check sees anything: the fleet's superadmin does.
async fn control(services: &Services, root: &Actor, foreign: &Foreign) -> Check {
    let show = aivonx_protocol::organization::Show { organization: foreign.organization.slug.clone() };
    match leaks(services, root, foreign, show.into()).await {
        true => Check::ok("isolation control", "the superadmin sees the organizations made for it"),
        false => Check::fail(
            "isolation control",
            "the superadmin does not see the organizations made for it",
            REPORT,
        ),
    }
}

async fn tried(services: &Services, actor: &Actor, foreign: &Foreign) -> Check {
    let name = format!("isolation {}", actor.role);
    let (mut tried, mut leaking) = (0_u32, Vec::new());
    for sample in Request::samples().into_iter().filter(|sample| is_tried(sample.name())) {
        let operation = sample.name();
        let Some(request) = foreign.named_in(&sample) else {
            leaking.push(format!("{operation} (it could not be tried)"));
            continue;
        };
        tried += 1;
        if leaks(services, actor, foreign, request).await {
            leaking.push(operation.to_owned());
        }
    }
    if leaking.is_empty() {
        return Check::ok(&name, format!("{tried} operations reach nothing of another organization"));
    }
    Check::fail(
        &name,
        format!("something of another organization is reached by {}", leaking.join(", ")),
        REPORT,
    )
}

/// Whether the answer to a request is about what is foreign.
async fn leaks(services: &Services, actor: &Actor, foreign: &Foreign, request: Request) -> bool {
    let peer = Peer { uid: services.rule.daemon_uid, gid: services.rule.daemon_uid, pid: None };
    let connection = Arc::new(Connection::new(peer, None));
    let standing = Standing::User(Arc::new(actor.clone()), RequiredActions::default());
    let Ok(permitted) = check(&services.rule, true, &connection, &standing, request) else { return false };
    let marks = foreign.marks(permitted.request().name());
    match permitted.serve(services).await {
        operation::Answer::Reply(Ok(reply)) => is_about(&reply, &marks),
        // What a stream would bring is seen by the lists it goes by.
        operation::Answer::Reply(Err(_)) | operation::Answer::Stream(_) => false,
    }
}

fn is_about(reply: &Reply, marks: &[&str]) -> bool {
    let Ok(bytes) = wire::encode(reply, 0, MAX_OUT) else { return true };
    let has = |mark: &str| bytes.windows(mark.len()).any(|part| part == mark.as_bytes());
    marks.iter().any(|mark| has(mark))
}

/// The records of the other organization.
async fn snapshot(services: &Services, foreign: &Foreign) -> Result<Vec<String>, Fault> {
    let (store, own) = (&services.store, TenantScope::Organization(foreign.organization.id.clone()));
    let mut all: Vec<String> = Vec::new();
    all.extend(store.organizations().list(&own).await?.iter().map(|record| format!("{record:?}")));
    all.extend(
        store.users().list(&own).await?.iter().map(|record| format!("{} {}", record.id, record.revision)),
    );
    all.extend(
        store.keys().list(&own).await?.iter().map(|record| format!("{} {}", record.id, record.revision)),
    );
    all.extend(store.policies().list(&own).await?.iter().map(|record| format!("{record:?}")));
    all.extend(store.aliases().list(&own).await?.iter().map(|record| format!("{record:?}")));
    all.extend(store.sessions().list(&own).await?.iter().map(|record| record.id.clone()));
    all.extend(services.fleet.list(&own).iter().map(|node| format!("{} {}", node.id, node.revision)));
    all.push(format!("{:?}", store.disabled_keys().get(&TenantScope::All, &foreign.key_id).await?));
    all.push(format!("{:?}", store.limits().get(&TenantScope::All, &foreign.organization.id).await?));
    Ok(all)
}

fn root() -> Actor {
    Actor {
        user: None,
        name: PREFIX.to_owned(),
        role: Role::Superadmin,
        organization: None,
        session: None,
        source: Source::Daemon,
    }
}

/// The slugs of the two organizations of a run.
fn slugs(suffix: &str) -> [String; 2] {
    ["a", "b"].map(|which| format!("{PREFIX}-{which}-{suffix}"))
}

/// The name of the node of the organization `slug`.
fn node_name(slug: &str) -> String {
    format!("{slug}-node")
}

async fn organization(services: &Services, root: &Actor, slug: String) -> Result<Organization, Fault> {
    let new = NewOrganization {
        slug,
        name: None,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    };
    services.identity.add_organization(root, new, &[]).await
}

async fn user(
    services: &Services,
    root: &Actor,
    of: &Organization,
    role: Role,
) -> Result<(String, String), Fault> {
    let new = NewUser {
        name: format!("{}-{role}", of.slug),
        display_name: None,
        email: None,
        role,
        organization: Some(of.id.clone()),
        password: None,
    };
    let added = services.identity.add_user(root, new).await?;
    Ok((added.id, added.name))
}

async fn actor(services: &Services, root: &Actor, of: &Organization, role: Role) -> Result<Actor, Fault> {
    let (id, name) = user(services, root, of, role).await?;
    Ok(Actor { user: Some(id), name, role, organization: Some(of.id.clone()), ..root.clone() })
}

async fn foreign(services: &Services, root: &Actor, organization: Organization) -> Result<Foreign, Fault> {
    let (user_id, user) = user(services, root, &organization, Role::Member).await?;
    let new = NewKey {
        name: format!("{}-key", organization.slug),
        organization: Some(organization.id.clone()),
        user: None,
        scopes: vec![KeyScope::Infer],
        models: Vec::new(),
        networks: Vec::new(),
        expires: None,
    };
    let key = services.identity.create_key(root, new).await?.key;
    let node = NewNode {
        name: node_name(&organization.slug),
        // Nothing listens on the discard port, so it serves nobody.
        url: "http://127.0.0.1:9".to_owned(),
        kind: Some(NodeKind::Openai),
        credential: Credential::None,
        ca_pem: None,
        server_name: None,
        max_parallel: 1,
        labels: BTreeMap::new(),
        force: true,
        organization: Some(organization.id.clone()),
    };
    let node = services.fleet.add(&TenantScope::All, node).await?.node;
    let own = TenantScope::Organization(organization.id.clone());
    let record = services.store.users().find(&own, None, &user_id).await?;
    let token = SessionRecord {
        name: Some(format!("{PREFIX}-token")),
        expires: now().saturating_add(LASTS),
        ..SessionRecord::new(SessionKind::Token, &record, rand::random(), now())
    };
    let token = services.store.sessions().insert(token).await?;
    let job = services.fleet.jobs().begin(&own, JobKind::Pull, PREFIX, async move |_| Ended::Done)?;
    Ok(Foreign {
        user,
        user_id,
        key: key.name,
        key_id: key.id,
        node: node.name,
        node_id: node.id,
        token: token.name.unwrap_or_default(),
        token_id: token.id,
        job_id: job.id,
        organization,
    })
}

/// Removes what the run with this suffix made.
async fn remove(services: &Services, suffix: &str) -> Result<(), Fault> {
    let (root, slugs) = (root(), slugs(suffix));
    for node in services.fleet.list(&TenantScope::All) {
        if slugs.iter().any(|slug| node.name == node_name(slug)) {
            services.fleet.remove(&TenantScope::All, &node.id, None).await?;
        }
    }
    for organization in services.identity.organizations(&root).await? {
        if slugs.contains(&organization.slug) {
            services.identity.remove_organization(&root, &organization.id, None, true).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations that name nothing that could be another's: lists, and what is the whole fleet's.
    const NAME_NOTHING: &[&str] = &[
        "daemon.status",
        "daemon.pulse",
        "cluster.members",
        "cluster.fence",
        "node.list",
        "node.watch",
        "model.list",
        "model.placements",
        "strategy.show",
        "strategy.set",
        "job.list",
        "log.follow",
        "config.show",
        "config.reload",
        "organization.list",
        "organization.hidden_usage",
        "key.disabled",
        "token.list",
        "lockout.list",
        "audit.show",
        "audit.follow",
        "audit.verify",
        "audit.export",
        "audit.keys",
        "audit.checkpoint",
        "audit.walk",
        "audit.follow_from",
        "audit.export_from",
        "audit.losses",
        "secrets.status",
        "secrets.validate",
        "secrets.rotate",
        "limit.profiles",
        "limit.unpriced",
        "price.list",
        "usage.losses",
        "policy.access",
        "running.list",
        "running.queued",
        "snapshot.list",
        "snapshot.create",
        "snapshot.newest",
        "backup.list",
        "backup.create",
        "backup.export",
        "backup.verify",
        "backup.newest",
        "block.list",
        "block.add",
        "route.list",
        "check.run",
        "check.isolation",
        "incident.detect",
        "model.drifts",
        "strategy.models",
        "strategy.set_model",
    ];

    fn foreign() -> Foreign {
        let mut samples = Reply::samples().into_iter();
        let organization = samples
            .find_map(|reply| if let Reply::Organization(found) = reply { Some(*found) } else { None })
            .unwrap();
        let name = |what: &str| format!("{PREFIX}-b-{what}");
        Foreign {
            organization: Organization { slug: name("org"), ..organization },
            user: name("user"),
            user_id: name("user-id"),
            key: name("key"),
            key_id: name("key-id"),
            node: name("node"),
            node_id: name("node-id"),
            token: name("token"),
            token_id: name("token-id"),
            job_id: name("job-id"),
        }
    }

    #[test]
    fn every_operation_that_names_something_is_tried_with_what_is_foreign() {
        let foreign = foreign();
        let mut left = Vec::new();
        for sample in Request::samples().into_iter().filter(|sample| is_tried(sample.name())) {
            let name = sample.name();
            let request = foreign.named_in(&sample).unwrap_or_else(|| panic!("{name} cannot be tried"));
            assert_eq!(request.name(), name);
            let text = format!("{request:?}");
            if !text.contains(PREFIX) && !NAME_NOTHING.contains(&name) {
                left.push(name);
            }
        }
        assert!(left.is_empty(), "name what is foreign in these, or list them: {left:#?}");
    }
}
