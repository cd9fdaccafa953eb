use aivonx_protocol::{
    Request,
    config::{self, Reloaded},
    job::JobKind,
    limit::{self, LimitSetting, LimitTarget, LimitValue},
    model::{self, ModelRemoved},
    node::{self, Credential, NewNode, NodeChange, NodeRequest},
    snapshot,
    user::{self, NewUser, Role, UserRequest},
};

use super::*;
use crate::{Source, password::Hasher, rig::Rig};

fn actor() -> Actor {
    Actor {
        user: Some("u1".into()),
        name: "alice".into(),
        role: Role::OrgAdmin,
        organization: Some("o1".into()),
        session: Some("s1".into()),
        source: Source::Control { uid: 1000, gid: 100, pid: Some(7) },
    }
}

/// Every operation that changes something is recorded here, except those that record themselves where they run.
#[test]
fn every_change_is_recorded() {
    for request in Request::samples() {
        let name = request.name();
        let elsewhere = name.starts_with("account.") || name == "node.check";
        let expected = request.needs().changes() && !elsewhere || name == "secrets.validate";
        assert_eq!(of(&request).is_some(), expected, "{name}");
    }
}

#[test]
fn no_record_holds_a_secret() {
    let secret = || aivonx_protocol::WireSecret::new("marked-secret".into());
    let credentials = [
        Credential::Bearer(secret()),
        Credential::Basic { user: "marked-secret".into(), password: secret() },
        Credential::Header { name: "marked-secret".into(), value: secret() },
        Credential::Certificate {
            chain_pem: "marked-secret".into(),
            key_pem: secret(),
            header: Some(("marked-secret".into(), secret())),
        },
    ];
    for sample in Request::samples() {
        let requests: Vec<Request> = match sample {
            Request::Node(NodeRequest::Add(node::Add(new))) => credentials
                .iter()
                .map(|credential| {
                    let new = NewNode { credential: credential.clone(), ..(*new).clone() };
                    Request::from(node::Add(Box::new(new)))
                })
                .collect(),
            Request::Node(NodeRequest::Set(node::Set { node, revision, change })) => credentials
                .iter()
                .map(|credential| {
                    let change = NodeChange { credential: Some(credential.clone()), ..(*change).clone() };
                    let (node, change) = (node.clone(), Box::new(change));
                    Request::from(node::Set { node, revision, change })
                })
                .collect(),
            Request::User(UserRequest::Add(user::Add(new))) => {
                vec![Request::from(user::Add(Box::new(NewUser { password: Some(secret()), ..*new })))]
            }
            other => vec![other],
        };
        for request in requests {
            let Some(record) = of(&request) else { continue };
            assert!(!format!("{record:?}").contains("marked-secret"), "{}: {record:?}", request.name());
        }
    }
}

/// The rule by names is for what nobody thought of: a setting is always shown.
#[tokio::test]
async fn every_setting_is_shown() {
    let hot = Rig::new().await.identity.hot().full();
    let audit = aivonx_ledgers::audit::Audit::memory();
    let limits = LimitSetting::all().into_iter().map(|name| {
        let values = vec![LimitValue { name, limit: Some(20) }];
        Request::from(limit::Set { target: LimitTarget::Own, revision: None, values })
    });
    for request in Request::samples().into_iter().chain(limits) {
        let Some(record) = of(&request) else { continue };
        audit.note(record.entry(&actor(), request.name(), Ended::Ok(None), &hot));
    }
    for entry in audit.kept() {
        let hidden = entry.details.iter().find(|(_, value)| value.contains("[REDACTED]"));
        assert_eq!(hidden, None, "{:?}", entry.via);
    }
}

#[tokio::test]
async fn a_reload_says_what_it_changed_or_why_it_did_not() {
    let hot = Rig::new().await.identity.hot().full();
    let request = Request::from(config::Reload);
    let record = of(&request).unwrap();
    let audit = aivonx_ledgers::audit::Audit::memory();
    let done = Reloaded { applied: vec!["health.interval".into()], needs_restart: vec!["listen".into()] };
    audit.note(record.clone().entry(&actor(), request.name(), Ended::Ok(Some(&Reply::Reloaded(done))), &hot));
    let fault = Fault::new(FaultKind::Invalid, "retires: no such key");
    audit.note(record.entry(&actor(), request.name(), Ended::Fault(&fault), &hot));
    let [done, failed] = &audit.kept()[..] else { panic!("two entries") };
    assert_eq!((done.action, &*done.actor.name, done.outcome), (Action::ConfigReload, "alice", Outcome::Ok));
    assert_eq!((&*done.details["applied"], &*done.details["needs_restart"]), ("health.interval", "listen"));
    assert_eq!(
        (failed.action, &*failed.actor.name, failed.outcome),
        (Action::ConfigReload, "alice", Outcome::Failed)
    );
    assert_eq!(failed.details["why"], "retires: no such key");
}

#[tokio::test]
async fn an_entry_names_what_was_there_and_how_it_ended() {
    let (rig, tenant, _) = Rig::with_two().await;
    rig.identity.settle().await.unwrap();
    let hot = rig.identity.hot().full();
    let request = Request::from(user::Remove { user: "A-member".into(), revision: None });
    let record = of(&request).unwrap().seen(&hot);
    let audit = aivonx_ledgers::audit::Audit::memory();
    // Gone by the time it is written down.
    let empty = Rig::new().await.identity.hot().full();
    audit.note(record.clone().entry(&actor(), request.name(), Ended::Ok(Some(&Reply::Done(()))), &empty));
    let fault = Fault::new(FaultKind::NotFound, "there is no user");
    audit.note(record.clone().entry(&actor(), request.name(), Ended::Fault(&fault), &hot));
    let fault = Fault::new(FaultKind::Conflict, "it has changed");
    audit.note(record.clone().entry(&actor(), request.name(), Ended::Fault(&fault), &hot));
    audit.note(record.entry(&actor(), request.name(), Ended::Broken, &hot));
    audit.note(denied(&actor(), "node.add"));
    let kept = audit.kept();
    let outcomes: Vec<_> = kept.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Denied, Outcome::Failed, Outcome::Failed, Outcome::Denied]);
    for entry in &kept[..4] {
        assert_eq!((entry.action, entry.via.as_deref()), (Action::Delete, Some("user.remove")));
        let object = entry.object.as_ref().unwrap();
        assert_eq!((object.kind.as_str(), object.id.as_deref()), ("user", tenant.member.user.as_deref()));
        assert_eq!(entry.organization.as_ref().unwrap().id, tenant.id);
        assert_eq!((entry.actor.name.as_str(), entry.source.uid), ("alice", Some(1000)));
    }
    assert_eq!((kept[4].action, kept[4].via.as_deref()), (Action::Denied, Some("node.add")));
}

#[tokio::test]
async fn a_removal_that_a_node_refuses_is_failed() {
    let hot = Rig::new().await.identity.hot().full();
    let record = of(&Request::from(model::Remove { model: "m".into(), node: None })).unwrap();
    let audit = aivonx_ledgers::audit::Audit::memory();
    for failed in [vec![], vec![("n1".to_owned(), "500: disk".to_owned()), ("n2".into(), "gone".into())]] {
        let reply = Reply::ModelRemoved(ModelRemoved { removed: vec!["n0".into()], failed });
        audit.note(record.clone().entry(&actor(), "model.remove", Ended::Ok(Some(&reply)), &hot));
    }
    let [done, failed] = &audit.kept()[..] else { panic!("two entries") };
    assert_eq!((done.outcome, done.details.get("why")), (Outcome::Ok, None));
    assert_eq!((failed.outcome, &*failed.details["why"]), (Outcome::Failed, "n1: 500: disk; n2: gone"));
    assert_eq!(failed.details["removed_from"], "n0");
}

#[tokio::test]
async fn a_job_that_does_not_get_through_is_failed() {
    let rig = Rig::new().await;
    let record = of(&Request::from(model::Unload { model: "m".into(), node: None })).unwrap();
    let target = |error: Option<&str>| JobTarget {
        node: "n1".into(),
        state: JobState::Failed,
        status: String::new(),
        completed: 0,
        total: 0,
        error: error.map(str::to_owned),
    };
    for (state, targets, why) in [
        (JobState::Done, vec![], None),
        (JobState::Failed, vec![target(Some("500")), target(None)], Some("the job j failed: n1: 500")),
        (JobState::Cancelled, vec![target(None)], Some("the job j was cancelled")),
    ] {
        let job = Job {
            id: "j".into(),
            kind: JobKind::Unload,
            subject: "m".into(),
            state: JobState::Running,
            started: 1,
            ended: None,
            targets,
            completed: 0,
            total: 0,
        };
        let steps = watch::Sender::new(job);
        let follow = record.clone().follow(
            rig.identity.clone(),
            Arc::new(actor()),
            format!("model.unload {state:?}"),
            steps.subscribe(),
        );
        steps.send_modify(|job| job.state = state);
        follow.await;
        let via = format!("model.unload {state:?}");
        let kept = rig.identity.audit().kept();
        let entry = kept.iter().find(|entry| entry.via.as_deref() == Some(&*via));
        assert_eq!(
            entry.map(|entry| (entry.outcome, &*entry.details["why"])),
            why.map(|why| (Outcome::Failed, why))
        );
    }
}

#[tokio::test]
async fn a_snapshot_is_named_by_its_file() {
    let hot = Rig::new().await.identity.hot().full();
    let audit = aivonx_ledgers::audit::Audit::memory();
    let taken = Reply::samples().into_iter().find(|reply| reply.name() == "snapshot_taken").unwrap();
    let record = of(&Request::from(snapshot::Create)).unwrap();
    audit.note(record.entry(&actor(), "snapshot.create", Ended::Ok(Some(&taken)), &hot));
    let object = audit.kept()[0].object.clone().unwrap();
    assert_eq!(
        (object.kind.as_str(), object.name.as_deref()),
        ("snapshot", Some("20231114T221320.000Z-9.snapshot"))
    );
}

#[tokio::test]
async fn what_is_done_and_not_recorded_is_not_acknowledged() {
    let rig = Rig::new().await;
    let audit = aivonx_ledgers::audit::Audit::open(
        rig.store(),
        &rig.stand.vault,
        (&aivonx_config::Audit::default()).into(),
    )
    .await;
    let identity =
        Identity::open(rig.store().clone(), rig.stand.vault.clone(), audit.unwrap(), Hasher::weak())
            .await
            .unwrap();
    let record = of(&Request::from(user::Remove { user: "u".into(), revision: None })).unwrap();
    let who = actor();
    let write = |ended| record.clone().write(&identity, &who, "user.remove", ended);
    write(Ended::Ok(None)).await.unwrap();
    rig.store().audit_log().tamper_refuse(true).await;
    let fault = write(Ended::Ok(None)).await.unwrap_err();
    assert!(fault.message.contains("user.remove was carried out, but is not recorded"), "{fault:?}");
    assert_eq!(fault.kind, FaultKind::Unavailable);
    // A refusal is its own answer.
    write(Ended::Fault(&Fault::new(FaultKind::Conflict, "it has changed"))).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_that_was_not_taken_is_not_recorded_as_one() {
    let rig = Rig::new().await;
    let file = "1.snapshot".to_owned();
    let snapshot = snapshot::Snapshot {
        file,
        bytes: 1,
        taken: None,
        change: None,
        behind: None,
        contents: Vec::new(),
        problem: None,
    };
    for (is_new, entries) in [(false, 0), (true, 1)] {
        let reply = Reply::SnapshotTaken(snapshot::Taken { snapshot: snapshot.clone(), is_new }.into());
        let record = of(&Request::from(snapshot::Create)).unwrap();
        record.write(&rig.identity, &actor(), "snapshot.create", Ended::Ok(Some(&reply))).await.unwrap();
        assert_eq!(rig.audit.kept().len(), entries);
    }
}
