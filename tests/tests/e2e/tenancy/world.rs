//! Two organizations that have the same things, and a fleet around them.

use std::collections::BTreeMap;

use aivonx_protocol::{
    Client as Control, WireSecret, account,
    audit::{self, AuditFilter},
    daemon, job,
    key::{self, KeyScope},
    lockout,
    log::{self, Level, LogFilter},
    model,
    node::{self, Credential, NewNode},
    organization::{self, NewOrganization, NodeAccess},
    token,
    user::{self, NewUser, Role},
};
pub(super) use aivonx_tests::harness::new_key;
use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Daemon, Request},
};
use serde_json::json;

/// Of every user.
const PASSWORD: &str = "nine slow herons over salt";

/// Names or ids of one organization's things.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    pub(super) organization: String,
    pub(super) node: String,
    pub(super) user: String,
    pub(super) key: String,
    pub(super) job: String,
}

impl Ids {
    /// What is nowhere.
    pub(super) fn nothing() -> Self {
        let all = |text: &str| text.to_owned();
        Self {
            organization: all("qqqq"),
            node: all("wwww"),
            user: all("vvvv"),
            key: all("zzzz"),
            job: all("jjjj"),
        }
    }
}

/// `acme` with the node `anvil`, `other` with `osprey`, and `commons`, which is shared. Each node has a model
/// of its organization's name, and `everywhere`. Each organization has a user of every role, two keys, and a
/// pull at work.
pub(super) struct World {
    pub(super) daemon: Daemon,
    /// A superadmin.
    pub(super) root: Control,
    pub(super) anvil: FakeNode,
    pub(super) osprey: FakeNode,
    pub(super) commons: FakeNode,
    pub(super) acme_id: String,
    pub(super) other_id: String,
    /// Secrets of the keys `work` (infer, models:read, models:write) and `watch` (admin:read), by organization.
    pub(super) secrets: BTreeMap<(&'static str, &'static str), String>,
    pub(super) jobs: BTreeMap<&'static str, String>,
    other_ids: Ids,
    /// What `other` had at the start.
    pub(super) before: String,
}

pub(super) fn new_node(name: &str, url: &str, organization: Option<&str>) -> NewNode {
    NewNode {
        name: name.into(),
        url: url.into(),
        kind: None,
        credential: Credential::None,
        ca_pem: None,
        server_name: None,
        max_parallel: 0,
        labels: BTreeMap::new(),
        force: false,
        organization: organization.map(str::to_owned),
    }
}

fn new_organization(slug: &str) -> NewOrganization {
    NewOrganization {
        slug: slug.into(),
        name: None,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Exclusive,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    }
}

impl World {
    pub(super) async fn new() -> Self {
        let builder = Daemon::builder().config("").plain_listener();
        let daemon = builder.access("two_factor = \"optional\"\nallow_model_management = true").start().await;
        let root = daemon.control().await;
        let mut nodes = BTreeMap::new();
        let (mut secrets, mut jobs, mut ids) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (organization, name) in [(Some("acme"), "anvil"), (Some("other"), "osprey"), (None, "commons")] {
            let model = format!("{}-model:latest", organization.unwrap_or("shared"));
            let node = FakeNode::start(Kind::Ollama, &[&model, "everywhere:latest"]).await;
            if let Some(slug) = organization {
                ids.insert(
                    slug,
                    root.ask(organization::Add(Box::new(new_organization(slug)))).await.unwrap().id,
                );
            }
            let probe =
                root.ask(node::Add(Box::new(new_node(name, &node.url(), organization)))).await.unwrap();
            assert!(probe.healthy, "{}", probe.finding);
            nodes.insert(name, node);
        }
        for slug in ["acme", "other"] {
            for (role, what) in [
                (Role::Operator, "operator"),
                (Role::Auditor, "auditor"),
                (Role::OrgAdmin, "admin"),
                (Role::Member, "member"),
            ] {
                let user = NewUser {
                    name: format!("{slug}-{what}"),
                    display_name: None,
                    email: Some(format!("{slug}-{what}@example.org")),
                    role,
                    organization: Some(slug.into()),
                    password: Some(WireSecret::new(PASSWORD.into())),
                };
                root.ask(user::Add(Box::new(user))).await.unwrap();
            }
            let work = [KeyScope::Infer, KeyScope::ModelsRead, KeyScope::ModelsWrite];
            for (name, scopes) in [("work", &work[..]), ("watch", &[KeyScope::AdminRead])] {
                let made = root
                    .ask(key::Create(Box::new(new_key(&format!("{slug}-{name}"), Some(slug), scopes))))
                    .await;
                secrets.insert((slug, name), made.unwrap().secret.expose().to_owned());
            }
        }
        let [Some(anvil), Some(osprey), Some(commons)] =
            ["anvil", "osprey", "commons"].map(|name| nodes.remove(name))
        else {
            unreachable!("made above")
        };
        let mut world = Self {
            acme_id: ids["acme"].clone(),
            other_id: ids["other"].clone(),
            daemon,
            root,
            anvil,
            osprey,
            commons,
            secrets,
            jobs: BTreeMap::new(),
            other_ids: Ids::nothing(),
            before: String::new(),
        };
        for slug in ["acme", "other"] {
            let operator = world.log_in(&format!("{slug}-operator")).await;
            // It stays at work as long as the test.
            let node = if slug == "acme" { &world.anvil } else { &world.osprey };
            node.fail_next(Fault::StallAfter(1));
            let job = operator
                .ask(model::Pull { model: format!("{slug}-pulled"), nodes: Vec::new(), insecure: false })
                .await
                .unwrap();
            jobs.insert(slug, job.id);
            node.until_requests(1).await;
            let request = Request::json("/api/show", &json!({"model": format!("{slug}-model")}));
            world.ask(slug, "work", request).await.expect(200);
        }
        world.jobs = jobs;
        world.other_ids = Ids {
            organization: world.other_id.clone(),
            node: world.root.ask(node::Show { node: "osprey".into() }).await.unwrap().id,
            user: world.root.ask(user::Show { user: "other-member".into() }).await.unwrap().id,
            key: world
                .root
                .ask(key::Show { organization: Some("other".into()), key: "other-work".into() })
                .await
                .unwrap()
                .id,
            job: world.jobs["other"].clone(),
        };
        world.before = world.state().await;
        world
    }

    /// `other`'s things by name.
    pub(super) fn names(&self) -> Ids {
        Ids {
            organization: "other".into(),
            node: "osprey".into(),
            user: "other-member".into(),
            key: "other-work".into(),
            job: self.jobs["other"].clone(),
        }
    }

    /// `other`'s things by id.
    pub(super) fn ids(&self) -> Ids {
        self.other_ids.clone()
    }

    /// What those of `acme` must never hear.
    pub(super) fn foreign_words(&self) -> Vec<String> {
        let ids = self.ids();
        let words = [
            "osprey",
            "commons",
            "other-model",
            "shared-model",
            "other-member",
            "other-work",
            "other-pulled",
        ];
        words
            .map(str::to_owned)
            .into_iter()
            .chain([ids.node, ids.user, ids.key, ids.job, ids.organization])
            .collect()
    }

    /// A connection on which this user has logged in.
    pub(super) async fn log_in(&self, user: &str) -> Control {
        let control = self.daemon.control_as_stranger().await;
        control
            .ask(account::Login {
                username: user.to_owned(),
                password: WireSecret::new(PASSWORD.into()),
                otp: None,
            })
            .await
            .unwrap_or_else(|e| panic!("{user}: {e}"));
        control
    }

    /// A request with one of the keys.
    pub(super) async fn ask(
        &self,
        organization: &'static str,
        key: &'static str,
        request: Request,
    ) -> aivonx_tests::harness::Answer {
        let secret = &self.secrets[&(organization, key)];
        self.daemon.ask(&request.field("authorization", &format!("Bearer {secret}"))).await
    }

    /// What `other` has, as the superadmin sees it, without what changes all the time.
    pub(super) async fn state(&self) -> String {
        let nodes = self.root.ask(node::List).await.unwrap().into_iter().filter(|n| n.name != "anvil");
        let nodes: Vec<_> =
            nodes.map(|n| (n.id, n.name, n.revision, n.admin_state, n.organization)).collect();
        let other = || Some("other".to_owned());
        let users =
            self.root.ask(user::List { organization: other(), role: None }).await.unwrap().into_iter();
        let users: Vec<_> = users.map(|u| (u.id, u.name, u.revision, u.enabled)).collect();
        let keys = self
            .root
            .ask(key::List { organization: other(), user: None, all: true })
            .await
            .unwrap()
            .into_iter();
        let keys: Vec<_> = keys.map(|k| (k.id, k.name, k.revision, k.revoked)).collect();
        let job = self.root.ask(job::Show { job: self.jobs["other"].clone() }).await.unwrap().state;
        let organization =
            self.root.ask(organization::Show { organization: "other".into() }).await.unwrap().revision;
        format!("{nodes:?} {users:?} {keys:?} {job:?} {organization}")
    }

    /// Everything that the lists say to `control`, as text. What it may not list says nothing.
    pub(super) async fn everything_listed(&self, control: &Control) -> String {
        let log = LogFilter { level: Some(Level::Trace), ..LogFilter::default() };
        [
            format!("{:?}", control.ask(node::List).await),
            format!("{:?}", control.ask(model::List).await),
            format!("{:?}", control.ask(job::List).await),
            format!("{:?}", control.ask(organization::List).await),
            format!("{:?}", control.ask(user::List { organization: None, role: None }).await),
            format!("{:?}", control.ask(key::List { organization: None, user: None, all: true }).await),
            format!("{:?}", control.ask(lockout::List { all: true }).await),
            format!("{:?}", control.ask(token::List).await),
            format!("{:?}", control.ask(log::Recent { filter: log, lines: 10_000 }).await),
            format!(
                "{:?}",
                control
                    .ask(audit::List {
                        filter: AuditFilter::default(),
                        cursor: None,
                        limit: 1000,
                        oldest_first: true
                    })
                    .await
            ),
            format!("{:?}", control.ask(daemon::GetStatus).await),
        ]
        .join("\n")
    }
}
