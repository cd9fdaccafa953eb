//! What a connection may do depends on who has logged in on it, at every moment.

use aivonx_identity::{Actor, RequiredActions, Source};
use aivonx_protocol::{
    ClientError, Fault, FaultKind, WireSecret, account, daemon,
    handshake::Login,
    log::{self, LogFilter},
    node,
    user::Role,
};

use super::{OWN, Rest, Rig, Standing};

pub(super) fn user(role: Role, owed: RequiredActions) -> Option<Standing> {
    let source = Source::Control { uid: 1000, gid: 1000, pid: None };
    let actor = Actor {
        user: Some("u1".into()),
        name: "alice".into(),
        role,
        organization: None,
        session: Some("s1".into()),
        source,
    };
    Some(Standing::User(actor.into(), owed))
}

impl Rest {
    fn now(&self, standing: Option<Standing>) {
        self.fake.standing.send_replace(standing);
        self.fake.changes.send_modify(|n| *n += 1);
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Fault {
    match result {
        Err(ClientError::Fault(fault)) if fault.kind == FaultKind::NotPermitted => fault,
        other => panic!("{other:?}"),
    }
}

fn secret() -> WireSecret {
    WireSecret::new("a password".into())
}

#[tokio::test(start_paused = true)]
async fn every_request_is_judged_anew() {
    let rig = Rig::of(OWN);
    rig.fake.standing.send_replace(Some(Standing::Stranger));
    let (client, rest) = rig.client().await;
    assert_eq!(client.daemon().login, Login::Needed);
    rest.fake.gate.add_permits(100);
    assert!(
        refused(client.ask(node::Check { node: "gpu1".into() }).await).hint.unwrap().contains("aivonx login")
    );
    assert!(rest.fake.refused.lock().unwrap().is_empty(), "a stranger is nobody's denial");

    rest.now(user(Role::Operator, RequiredActions::default()));
    refused(client.ask(node::Check { node: "gpu1".into() }).await);
    client.ask(account::Login { username: "alice".into(), password: secret(), otp: None }).await.unwrap();
    client.ask(node::Check { node: "gpu1".into() }).await.unwrap();

    rest.now(user(Role::Member, RequiredActions::default()));
    assert!(refused(client.ask(node::Check { node: "gpu1".into() }).await).message.contains("member"));
    assert_eq!(*rest.fake.refused.lock().unwrap(), ["node.check"]);

    rest.now(user(Role::Superadmin, RequiredActions { password: true, enrol: false }));
    assert!(
        refused(client.ask(node::Check { node: "gpu1".into() }).await)
            .hint
            .unwrap()
            .contains("aivonx passwd")
    );
    client.ask(daemon::GetStatus).await.unwrap();

    rest.now(Some(Standing::Ended("your session was ended")));
    assert!(refused(client.ask(node::Check { node: "gpu1".into() }).await).message.contains("ended"));
    rest.now(user(Role::Superadmin, RequiredActions::default()));
    client.ask(node::Check { node: "gpu1".into() }).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_the_session_it_runs_in() {
    let rig = Rig::of(1000);
    rig.fake.standing.send_replace(user(Role::Auditor, RequiredActions::default()));
    let (client, rest) = rig.client().await;
    client.ask(account::Login { username: "alice".into(), password: secret(), otp: None }).await.unwrap();
    let mut events = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    events.next().await.unwrap().unwrap();
    // A change that leaves the session as it is ends nothing.
    rest.now(user(Role::Operator, RequiredActions::default()));
    events.next().await.unwrap().unwrap();
    rest.now(Some(Standing::Ended("your session was ended")));
    let end = loop {
        match events.next().await.unwrap() {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert!(refused::<()>(Err(end)).message.contains("ended"));
    rest.fake.dropped.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn a_stream_ends_when_the_role_no_longer_has_it() {
    let rig = Rig::of(1000);
    rig.fake.standing.send_replace(user(Role::Auditor, RequiredActions::default()));
    let (client, rest) = rig.client().await;
    client.ask(account::Login { username: "alice".into(), password: secret(), otp: None }).await.unwrap();
    let mut events = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    events.next().await.unwrap().unwrap();
    rest.now(user(Role::Member, RequiredActions::default()));
    while let Ok(_event) = events.next().await.unwrap() {}
    // The connection stays.
    client.ask(daemon::GetStatus).await.unwrap();
}

#[tokio::test]
async fn the_first_administrator_takes_the_others_rights() {
    let rig = Rig::of(OWN);
    let (client, rest) = rig.client().await;
    assert_eq!(client.daemon().login, Login::NotNeeded);
    let mut events = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    events.next().await.unwrap().unwrap();
    rest.now(Some(Standing::Stranger));
    while let Ok(_event) = events.next().await.unwrap() {}
    refused(client.ask(node::Check { node: "gpu1".into() }).await);
}
