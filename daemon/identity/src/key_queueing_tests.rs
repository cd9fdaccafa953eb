use aivonx_protocol::key::NewKey;

use super::*;
use crate::rig::{Rig, root};

async fn key(rig: &Rig, actor: &Actor, organization: Option<&str>, name: &str) -> String {
    let new = NewKey {
        name: name.into(),
        organization: organization.map(str::to_owned),
        user: None,
        scopes: vec![aivonx_protocol::key::KeyScope::Infer],
        models: vec![],
        networks: vec![],
        expires: None,
    };
    rig.identity.create_key(actor, new).await.unwrap().key.id
}

#[tokio::test]
async fn nobody_gives_a_priority_that_others_pay_for() {
    let (rig, a, b) = Rig::with_two().await;
    let identity = &rig.identity;
    let set = |actor: Actor, key: String, priority| async move {
        let set = identity.set_key_queueing(&actor, None, &key, Some(priority), None).await;
        set.map(|all| all[0].priority).map_err(|fault| (fault.kind, fault.field.unwrap_or_default()))
    };
    let refused = Err((FaultKind::NotPermitted, "priority".to_owned()));
    let (of_a, of_member) =
        (key(&rig, &root(), Some("a"), "ci").await, key(&rig, &a.member, None, "own").await);

    assert_eq!(set(a.admin.clone(), of_a.clone(), Priority::Low).await, Ok(Priority::Low));
    assert_eq!(set(a.admin.clone(), of_a.clone(), Priority::Normal).await, Ok(Priority::Normal));
    assert_eq!(set(a.admin.clone(), of_a.clone(), Priority::High).await, refused);
    assert_eq!(set(root(), of_a.clone(), Priority::High).await, Ok(Priority::High));
    // What was given may be given back, and stays when something else is changed.
    assert_eq!(set(a.admin.clone(), of_a.clone(), Priority::High).await, Ok(Priority::High));
    let kept = identity.set_key_queueing(&a.admin, None, &of_a, None, Some(true)).await.unwrap();
    assert_eq!((kept[0].priority, kept[0].keep_waiting), (Priority::High, true));

    assert_eq!(set(a.member.clone(), of_member.clone(), Priority::Low).await, Ok(Priority::Low));
    assert_eq!(set(a.member.clone(), of_member.clone(), Priority::Normal).await, refused);
    rig.assert_foreign("key", &of_a, identity.set_key_queueing(&b.admin, None, &of_a, None, Some(true)))
        .await;
    let seen = identity.key_queueing(&b.admin, None, None).await.unwrap();
    assert!(seen.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn what_is_said_of_a_key_is_in_force_and_goes_with_it() {
    let rig = Rig::new().await;
    let id = key(&rig, &root(), None, "ci").await;
    let hot = || rig.identity.hot().full();
    assert!(!hot().keeps_waiting());
    rig.identity.set_key_queueing(&root(), None, "ci", Some(Priority::High), Some(true)).await.unwrap();
    let found = hot().key(&id).cloned().unwrap();
    assert_eq!((found.priority, found.keep_waiting, hot().keeps_waiting()), (Priority::High, true, true));
    rig.store().keys().remove(&TenantScope::All, &id, None).await.unwrap();
    assert!(rig.store().key_queueing().list(&TenantScope::All).await.unwrap().is_empty());
}
