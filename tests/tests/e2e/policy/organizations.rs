//! Each organization has policies and aliases of its own.

use aivonx_protocol::{
    ClientError, FaultKind, WireSecret, account,
    key::{self, KeyScope},
    organization::{self, NewOrganization, NodeAccess},
    policy,
    user::{self, Role},
};
use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::{Daemon, Request, new_key, new_user},
};
use serde_json::{Value, json};

use super::{PASSWORD, alias, ctx};

fn organization(slug: &str, models: &[&str]) -> NewOrganization {
    NewOrganization {
        slug: slug.into(),
        name: None,
        require_totp: false,
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    }
}

#[track_caller]
fn fault<T: std::fmt::Debug>(result: Result<T, ClientError>) -> FaultKind {
    match result {
        Err(ClientError::Fault(fault)) => fault.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_organization_has_its_own() {
    let models = ["open:8b", "closed:70b", "there:120b-cloud"];
    let node = FakeNode::start(Kind::Ollama, &models).await;
    let builder = Daemon::builder().config("").plain_listener().node(&node);
    let daemon = builder.access("two_factor = \"optional\"").start().await;
    let root = daemon.control().await;
    let mut secrets = std::collections::BTreeMap::new();
    for (slug, models) in [("acme", &["open*"][..]), ("other", &[])] {
        root.ask(organization::Add(Box::new(organization(slug, models)))).await.unwrap();
        let admin = new_user(&format!("{slug}-admin"), Role::OrgAdmin, Some(slug), Some(PASSWORD));
        root.ask(user::Add(Box::new(admin))).await.unwrap();
        let new = new_key("k", Some(slug), &[KeyScope::Infer]);
        secrets.insert(slug, root.ask(key::Create(Box::new(new))).await.unwrap().secret.expose().to_owned());
    }
    let ask = async |slug: &str, model: &str| {
        let request = Request::json("/api/generate", &json!({"model": model, "prompt": "x"}));
        let request = request.field("authorization", &format!("Bearer {}", secrets[slug]));
        let answer = daemon.ask(&request).await;
        (answer.status, answer.field("x-aivonx-model").map(str::to_owned))
    };
    let admin = daemon.control_as_stranger().await;
    admin
        .ask(account::Login {
            username: "acme-admin".into(),
            password: WireSecret::new(PASSWORD.into()),
            otp: None,
        })
        .await
        .unwrap();

    // Its own organization, named or not; nobody else's.
    alias(&admin, None, "mine", &["open:8b"]).await;
    admin
        .ask(policy::Set {
            organization: Some("acme".into()),
            model: "open*".into(),
            revision: None,
            change: Box::new(ctx(1234, true)),
        })
        .await
        .unwrap();
    let listed = root.ask(policy::Aliases { organization: None }).await.unwrap();
    assert_eq!(listed.iter().map(|a| a.organization.as_deref()).collect::<Vec<_>>(), [Some("acme")]);
    assert_eq!(
        fault(
            admin
                .ask(policy::Set {
                    organization: Some("other".into()),
                    model: "*".into(),
                    revision: None,
                    change: Box::new(ctx(1, true))
                })
                .await
        ),
        FaultKind::NotFound
    );
    let models = || vec!["open:8b".to_owned()];
    assert_eq!(
        fault(
            admin
                .ask(policy::SetAlias {
                    organization: Some("other".into()),
                    alias: "x".into(),
                    models: models(),
                    revision: None
                })
                .await
        ),
        FaultKind::NotFound
    );
    assert_eq!(ask("acme", "mine").await, (200, Some("open:8b".into())));
    assert_eq!(node.requests().pop().unwrap().json()["options"]["num_ctx"], 1234);
    assert_eq!(ask("other", "mine").await.0, 404);
    assert_eq!(ask("other", "open:8b").await, (200, None));
    assert_eq!(node.requests().pop().unwrap().json()["options"], Value::Null);
    // What the fleet sets is seen by all, and changed by none of them.
    alias(&root, None, "everyone", &["closed:70b", "open:8b"]).await;
    alias(&root, Some("other"), "theirs", &["open:8b"]).await;
    let seen: Vec<String> = admin
        .ask(policy::Aliases { organization: None })
        .await
        .unwrap()
        .into_iter()
        .map(|a| a.alias)
        .collect();
    assert_eq!(seen, ["everyone", "mine"]);
    assert_eq!(
        fault(admin.ask(policy::RemoveAlias { organization: None, alias: "everyone".into() }).await),
        FaultKind::NotFound
    );
    assert_eq!(
        fault(admin.ask(policy::Aliases { organization: Some("other".into()) }).await),
        FaultKind::NotFound
    );

    // Lists of models hold: the model must be allowed, or a name that the fleet gave it.
    assert_eq!(ask("acme", "everyone").await, (200, Some("open:8b".into())));
    assert_eq!(ask("other", "everyone").await, (200, Some("closed:70b".into())));
    alias(&admin, None, "open-sesame", &["closed:70b"]).await;
    assert_eq!(ask("acme", "open-sesame").await.0, 404);
    alias(&root, None, "open-to-all", &["closed:70b"]).await;
    assert_eq!(ask("acme", "open-to-all").await, (200, Some("closed:70b".into())));
    // A third party stays refused under any name.
    alias(&root, None, "open-sky", &["there:120b-cloud"]).await;
    let before = node.requests().len();
    assert_eq!(ask("acme", "open-sky").await.0, 403);
    assert_eq!(ask("other", "open-sky").await.0, 403);
    assert_eq!(node.requests().len(), before);

    // With the organization its rules go.
    root.ask(organization::Remove { organization: "acme".into(), revision: None, with_contents: true })
        .await
        .unwrap();
    assert!(
        root.ask(policy::Aliases { organization: None })
            .await
            .unwrap()
            .iter()
            .all(|a| a.organization.as_deref() != Some("acme"))
    );
    assert!(root.ask(policy::List { organization: None }).await.unwrap().is_empty());
}

/// Which of the lists have the model, and what asking for it comes to.
async fn seen(daemon: &Daemon, key: Option<&str>, model: &str) -> ([bool; 3], [u16; 4]) {
    let with = |request: Request| match key {
        Some(key) => request.field("Authorization", &format!("Bearer {key}")),
        None => request,
    };
    let mut lists = [false; 3];
    for (listed, path) in lists.iter_mut().zip(["/api/tags", "/api/ps", "/v1/models"]) {
        let answer = daemon.ask(&with(Request::get(path))).await.expect(200);
        *listed =
            ["name", "id"].iter().any(|field| answer.text().contains(&format!("\"{field}\":\"{model}")));
    }
    let messages = json!([{"role": "user", "content": "x"}]);
    let chat = json!({"model": model, "stream": false, "messages": messages});
    let mut statuses = [0; 4];
    for (status, request) in statuses.iter_mut().zip([
        Request::json("/api/chat", &chat),
        Request::json("/v1/chat/completions", &chat),
        Request::json("/api/show", &json!({"model": model})),
        Request::get(&format!("/v1/models/{model}")),
    ]) {
        *status = daemon.ask(&with(request)).await.status;
    }
    (lists, statuses)
}

#[tokio::test]
async fn models_of_one_organization_do_not_exist_for_others() {
    let node = FakeNode::ollama().await;
    node.with(|s| s.models[0].load());
    let daemon = Daemon::run(&[&node], "").await;
    let (acme, beta) = (daemon.tenant("acme").await, daemon.tenant("beta").await);
    let aivonx = daemon.aivonx();
    let (all, none) = (([true; 3], [200; 4]), ([false; 3], [404; 4]));
    for key in [Some(&*acme), Some(&*beta), None] {
        assert_eq!(seen(&daemon, key, "m").await, all, "{key:?}");
    }

    let set = aivonx.json(&["model", "policy", "set", "m*", "--only-org", "acme"]).await;
    assert_eq!(set["only_orgs"], json!(["acme"]));
    assert_eq!(seen(&daemon, Some(&acme), "m").await, all);
    assert_eq!(seen(&daemon, Some(&beta), "m").await, none);
    assert_eq!(seen(&daemon, None, "m").await, none);
    // As a model that nobody has.
    let ask = |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
        Request::json("/v1/chat/completions", &body).field("Authorization", &format!("Bearer {beta}"))
    };
    let (hidden, unknown) = (daemon.ask(&ask("m")).await, daemon.ask(&ask("n")).await);
    assert_eq!(hidden.text().replace("'m'", "'n'"), unknown.text());
    // No other name leads to it.
    aivonx.ok(&["model", "alias", "set", "chat", "m"]).await;
    aivonx.ok(&["model", "alias", "set", "own", "m", "--org", "beta"]).await;
    for name in ["chat", "own"] {
        let messages = json!([{"role": "user", "content": "x"}]);
        let body = json!({"model": name, "stream": false, "messages": messages});
        let of =
            |key: &str| Request::json("/api/chat", &body).field("Authorization", &format!("Bearer {key}"));
        daemon.ask(&of(&beta)).await.expect(404);
        if name == "chat" {
            daemon.ask(&of(&acme)).await.expect(200);
        }
    }

    aivonx.ok(&["model", "policy", "set", "m*", "--all-orgs"]).await;
    aivonx.ok(&["model", "policy", "set", "m", "--deny-org", "acme", "--num-ctx", "4096"]).await;
    assert_eq!(seen(&daemon, Some(&acme), "m").await, none);
    assert_eq!(seen(&daemon, Some(&beta), "m").await, all);
    assert!(aivonx.ok(&["model", "policy", "list"]).await.contains("m is not for acme"));
    let shown = aivonx.json(&["model", "policy", "show", "m"]).await;
    assert_eq!((&shown["deny_orgs"], &shown["num_ctx"]["tokens"]), (&json!(["acme"]), &json!(4096)));
    for both in [&["--only-org", "acme"][..], &["--only-org", "beta", "--deny-org", "beta"]] {
        let refused = aivonx.run(&[&["model", "policy", "set", "m"], both].concat()).await;
        assert!(refused.code != 0 && refused.stderr.contains("be denied them"), "{}", refused.stderr);
    }
    aivonx.ok(&["model", "policy", "unset", "m"]).await;
    assert_eq!(seen(&daemon, Some(&acme), "m").await, all);
    let unknown = aivonx.run(&["model", "policy", "set", "m", "--only-org", "nobody"]).await;
    assert!(unknown.code != 0 && unknown.stderr.contains("nobody"), "{}", unknown.stderr);
}
