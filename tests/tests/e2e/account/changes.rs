//! Changes over HTTP are in the audit log, just as those over the control socket.

use aivonx_protocol::{
    WireSecret, account,
    audit::{self, AuditEntry, AuditFilter, Outcome},
    block,
    key::{self, NewKey},
    token,
    user::{self, UserChange},
};
use aivonx_wire::api::route::{Account, Action, ROUTES, Route};

use super::*;
use crate::otp::otp;

impl Gateway {
    async fn audit(&self, via: &str) -> Vec<AuditEntry> {
        let page = self
            .control
            .ask(audit::List {
                filter: AuditFilter::default(),
                cursor: None,
                limit: 1000,
                oldest_first: true,
            })
            .await
            .unwrap();
        page.entries.into_iter().filter(|entry| entry.via.as_deref() == Some(via)).collect()
    }

    /// A key that may pull and delete.
    async fn manager(&self) -> (String, String) {
        let new = new_key("manager", None, &[KeyScope::ModelsWrite]);
        let made = self.control.ask(key::Create(Box::new(new))).await.unwrap();
        (made.key.id, made.secret.expose().to_owned())
    }

    /// Makes the change that `route` is for; None if it is for none.
    async fn change(&self, route: &Route, manager: &str) -> Option<Answer> {
        let own = |what: Account| async move {
            let name = match what {
                Account::Me => panic!("{what:?} changes nothing"),
                // It goes on with a session, as each use of one does; a token used twice is another matter.
                Account::Refresh => return None,
                what => format!("{what:?}").to_lowercase(),
            };
            self.user(&name).await;
            let tokens = self.login(&name, PASSWORD).await.expect(200).json();
            let (access, pattern) = (text(&tokens, "access"), route.pattern);
            Some(match what {
                Account::Me | Account::Refresh => unreachable!("see above"),
                Account::Login => self.login(&name, PASSWORD).await,
                Account::Logout => self.post(pattern, &access, &json!({})).await,
                Account::Password => self.post(pattern, &access, &json!({"old": PASSWORD, "new": NEW})).await,
                Account::PasswordReset => {
                    let code =
                        self.control.ask(user::ResetPassword { user: name.clone() }).await.unwrap().code;
                    let body = json!({"username": name, "code": code.expose(), "password": NEW});
                    self.daemon.post(pattern, &body).await
                }
                Account::Totp => {
                    let begin = json!({"action": "begin", "password": PASSWORD});
                    let offer = self.post(pattern, &access, &begin).await.expect(200).json();
                    let code = otp(&text(&offer, "secret"), 0);
                    self.post(pattern, &access, &json!({"action": "confirm", "code": code})).await
                }
                Account::Keys => self.post(pattern, &access, &json!({"name": "one"})).await,
                Account::Key => {
                    let made = self.post("/api/account/keys", &access, &json!({"name": "two"})).await;
                    let path = pattern.replace(":id", &text(&made.expect(201).json(), "id"));
                    self.delete(&path, &access).await
                }
            })
        };
        let model = json!({"model": "m", "stream": false});
        match route.action {
            // A node is asked for something, and nothing is different afterwards; or it is not served.
            Action::Forward(_) | Action::Response | Action::Blob | Action::Never(_) => None,
            Action::Local(_) | Action::OwnUsage => panic!("{} only tells", route.pattern),
            Action::Pull | Action::Push => Some(self.post(route.pattern, manager, &model).await),
            Action::Copy => {
                let names = json!({"source": "m", "destination": "copy"});
                Some(self.post(route.pattern, manager, &names).await)
            }
            Action::Create => {
                let body = json!({"model": "made", "from": "m", "stream": false});
                Some(self.post(route.pattern, manager, &body).await)
            }
            Action::Delete => {
                let request = Request::json(route.pattern, &model).method("DELETE");
                Some(self.daemon.ask(&bearer(request, manager)).await)
            }
            Action::Account(what) => own(what).await,
        }
    }
}

#[tokio::test]
async fn every_change_over_http_leaves_an_entry() {
    let g = gateway().await;
    let (key, manager) = g.manager().await;
    let mut seen = 0;
    for route in ROUTES {
        for method in route.methods.iter().filter(|method| !method.is_safe()) {
            let Some(answer) = g.change(route, &manager).await else { continue };
            let via = format!("{method} {}", route.pattern);
            assert!(answer.status < 300, "{via}: {} {}", answer.status, answer.text());
            let entries = g.audit(&via).await;
            let entry = entries.iter().find(|entry| entry.outcome == Outcome::Ok);
            let entry = entry.unwrap_or_else(|| panic!("{via} leaves no entry"));
            assert!(entry.source.address.is_some() && entry.actor.id.is_some(), "{entry:?}");
            if matches!(route.action, Action::Pull | Action::Delete) {
                assert_eq!(entry.details["key_id"], key);
            }
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen}");
    // What was refused is there too, and says why.
    let request = Request::json("/api/delete", &json!({"model": "none"})).method("DELETE");
    g.daemon.ask(&bearer(request, &manager)).await.expect(404);
    let entries = g.audit("DELETE /api/delete").await;
    let refused = entries.iter().find(|entry| entry.outcome != Outcome::Ok).expect("an entry");
    assert_eq!(refused.object.as_ref().unwrap().name.as_deref(), Some("none"));
    assert!(refused.details["why"].contains("none"), "{refused:?}");
}

#[tokio::test]
async fn failed_resets_are_counted_together() {
    let g = gateway().await;
    let reset = |name: String| {
        let daemon = &g.daemon;
        let body = json!({"username": name, "code": "0000-0000-0000-0000", "password": NEW});
        async move { daemon.post("/api/account/password/reset", &body).await.expect(400) }
    };
    for n in 0..60 {
        reset(format!("u{n}")).await;
    }
    let written = g.audit("POST /api/account/password/reset").await.len();
    assert!((1..=21).contains(&written), "{written}, even if a minute passed in between");
}

#[tokio::test]
async fn a_key_may_do_what_its_user_may_now() {
    let g = gateway().await;
    let new = new_user("sue", Role::Operator, None, None);
    g.control.ask(user::Add(Box::new(new))).await.unwrap();
    let new = NewKey { user: Some("sue".into()), ..new_key("sues", None, &KeyScope::ALL) };
    let made = g.control.ask(key::Create(Box::new(new))).await.unwrap();
    let secret = made.secret.expose();
    let delete = async || {
        let request = Request::json("/api/delete", &json!({"model": "none"})).method("DELETE");
        g.daemon.ask(&bearer(request, secret)).await.status
    };
    assert_eq!(delete().await, 404);
    let role = |role| UserChange { role: Some(role), ..UserChange::default() };
    g.control
        .ask(user::Set { user: "sue".into(), revision: None, change: Box::new(role(Role::Auditor)) })
        .await
        .unwrap();
    assert_eq!(delete().await, 403);
    let shown =
        g.control.ask(key::Show { organization: None, key: made.key.id.clone() }).await.unwrap().scopes;
    assert_eq!(shown, [KeyScope::Infer, KeyScope::ModelsRead, KeyScope::AdminRead]);
    g.control
        .ask(user::Set { user: "sue".into(), revision: None, change: Box::new(role(Role::Operator)) })
        .await
        .unwrap();
    assert_eq!(delete().await, 404);
}

#[tokio::test]
async fn making_ones_own_keys_and_tokens_counts_and_revoking_does_not() {
    let builder = Daemon::builder().config("").plain_listener().access("two_factor = \"optional\"");
    let g = furnished(FakeNode::ollama().await, builder.start().await).await;
    g.daemon.aivonx().ok(&["limit", "set", "token.hour=5"]).await;
    let (access, _) = g.tokens(PASSWORD).await;
    let make = async |name: &str| g.post("/api/account/keys", &access, &json!({"name": name})).await;
    let mut made = Vec::new();
    for name in ["a", "b"] {
        made.push(text(&make(name).await.expect(201).json(), "id"));
    }
    // Over the control socket they count as well, and so does another secret.
    let alice = g.daemon.control_as_stranger().await;
    alice
        .ask(account::Login {
            username: "alice".into(),
            password: WireSecret::new(PASSWORD.into()),
            otp: None,
        })
        .await
        .unwrap();
    let new = new_key("c", None, &[KeyScope::Infer]);
    alice.ask(key::Create(Box::new(new))).await.unwrap();
    alice.ask(token::Create { name: "t".into(), role: None, lasts_ms: 3_600_000 }).await.unwrap();
    let rotated = alice.ask(key::Rotate { organization: None, key: "c".into(), grace_ms: 0 }).await.unwrap();
    for named in ["c", &rotated.key.id, &rotated.key.prefix, rotated.secret.expose()] {
        let told = alice
            .ask(key::Rotate { organization: None, key: named.to_owned(), grace_ms: 0 })
            .await
            .unwrap_err()
            .to_string();
        assert!(told.contains("token.hour"), "{told}");
    }
    let told = alice
        .ask(token::Create { name: "u".into(), role: None, lasts_ms: 3_600_000 })
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("token.hour"), "{told}");
    alice.ask(token::Revoke { token: "t".into() }).await.unwrap();
    let told = make("d").await.expect(429).json();
    assert_eq!((&told["limit"], &told["used"]), (&json!(5), &json!(5)), "{told}");
    for id in &made {
        g.delete(&format!("/api/account/keys/{id}"), &access).await.expect(204);
    }
    make("d").await.expect(429);
}

#[tokio::test]
async fn a_blocked_user_gets_no_new_tokens_and_sets_no_password() {
    let g = gateway().await;
    let code = g.control.ask(user::ResetPassword { user: "alice".into() }).await.unwrap().code;
    let reset = json!({"username": "alice", "code": code.expose(), "password": NEW});
    let block = || {
        let (target, reason) = ("alice".to_owned(), String::new());
        block::Add { target, lasts_ms: None, reason }
    };
    g.control.ask(block()).await.expect("a block");
    let refused = g.daemon.post("/api/account/password/reset", &reset).await.expect(403);
    assert!(refused.text().contains("blocked"), "{}", refused.text());
    g.control.ask(block::Remove { target: "alice".into() }).await.expect("no block");
    g.daemon.post("/api/account/password/reset", &reset).await.expect(204);

    let (_, refresh) = g.tokens(NEW).await;
    g.control.ask(block()).await.expect("a block");
    g.login("alice", NEW).await.expect(403);
    // Nobody else learns of it.
    super::refused(&g.login("alice", PASSWORD).await, 401, "invalid_credentials");
    g.refresh(&refresh).await.expect(403);
    // Refusals are recorded soon, not before their answers.
    let filter = AuditFilter { actions: vec![audit::Action::Denied], ..AuditFilter::default() };
    let mut denied = g.control.follow(audit::Follow { filter, lines: 1000 }).await.unwrap();
    let mut missing = std::collections::BTreeSet::from([
        "POST /api/account/login",
        "POST /api/account/refresh",
        "POST /api/account/password/reset",
    ]);
    while !missing.is_empty() {
        let event = within("the denials", denied.next()).await.unwrap().unwrap();
        let aivonx_protocol::Event::Audit(entry) = event else { continue };
        assert_eq!(entry.actor.name, "alice");
        assert!(missing.remove(entry.via.as_deref().unwrap()), "{entry:?}");
    }
    g.control.ask(block::Remove { target: "alice".into() }).await.expect("no block");
    g.refresh(&refresh).await.expect(200);
}
