use aivonx_protocol::key::{Key, KeyScope, NewKey, NewSecretKey};

use super::*;
use crate::rig::{Rig, root};

async fn made(rig: &Rig, name: &str, organization: Option<&str>) -> NewSecretKey {
    let new = NewKey {
        name: name.into(),
        organization: organization.map(str::to_owned),
        user: None,
        scopes: vec![KeyScope::Infer],
        models: vec![],
        networks: vec![],
        expires: None,
    };
    rig.identity.create_key(&root(), new).await.unwrap()
}

async fn found(rig: &Rig, actor: &Actor, wanted: &str) -> Result<Key, Fault> {
    rig.identity.key(actor, None, wanted).await
}

#[tokio::test]
async fn a_key_is_found_by_all_that_is_known_of_it() {
    let (rig, a, b) = Rig::with_two().await;
    let (laptop, _) = (made(&rig, "laptop", Some("a")).await, made(&rig, "ci", Some("b")).await);
    let (id, prefix, secret) = (&laptop.key.id, &laptop.key.prefix, laptop.secret.expose());
    let (list, question) = (format!("{prefix}…"), format!("{prefix}..."));
    let header = format!(" Bearer {secret} ");
    for wanted in ["laptop", "a/laptop", id, prefix, &list, &question, secret, &header] {
        for actor in [&root(), &a.admin] {
            assert_eq!(found(&rig, actor, wanted).await.unwrap().id, *id, "{wanted}");
            assert_eq!(rig.identity.key(actor, Some("a"), wanted).await.unwrap().id, *id, "{wanted}");
        }
        let elsewhere = rig.identity.key(&root(), Some("b"), wanted).await.unwrap_err();
        assert_eq!(elsewhere.kind, FaultKind::NotFound, "{elsewhere}");
        let foreign = found(&rig, &b.admin, wanted).await.unwrap_err();
        assert_eq!(foreign.kind, FaultKind::NotFound, "{foreign}");
        assert!(!format!("{foreign} {:?}", rig.audit.kept()).contains(&secret[token_format::SHOWN..]));
    }
    // A revoked one, too, and the secret before a rotation.
    let rotated = rig.identity.rotate_key(&root(), None, secret, 60_000).await.unwrap();
    assert_eq!(found(&rig, &root(), secret).await.unwrap().id, *id);
    rig.identity.revoke_key(&root(), None, rotated.secret.expose()).await.unwrap();
    for wanted in ["laptop", &rotated.key.prefix, rotated.secret.expose()] {
        assert!(found(&rig, &root(), wanted).await.unwrap().revoked.is_some(), "{wanted}");
    }
    let next = made(&rig, "laptop", Some("a")).await;
    assert_eq!(found(&rig, &root(), "laptop").await.unwrap().id, next.key.id, "the one in use");
}

#[tokio::test]
async fn where_several_are_meant_each_is_named() {
    let (rig, a, _) = Rig::with_two().await;
    let keys =
        [made(&rig, "ci", Some("a")).await, made(&rig, "ci", Some("b")).await, made(&rig, "ci", None).await];
    let fault = rig.identity.revoke_key(&root(), None, "ci").await.unwrap_err();
    assert_eq!((fault.kind, &*fault.message), (FaultKind::Invalid, "\"ci\" means 3 keys"));
    let hint = fault.hint.unwrap();
    for (made, place) in keys.iter().zip(["--org a", "--org b", "of the fleet"]) {
        assert!(hint.contains(&format!("{} ({place}, {})", made.key.id, made.key.prefix)), "{hint}");
    }
    assert_eq!(found(&rig, &a.admin, "ci").await.unwrap().id, keys[0].key.id, "of one's own");
    assert_eq!(rig.identity.key(&root(), Some("b"), "ci").await.unwrap().id, keys[1].key.id);
}

#[tokio::test]
async fn what_is_mistyped_is_said_and_never_shown() {
    let (rig, ..) = Rig::with_two().await;
    let made = made(&rig, "ci", None).await;
    let secret = made.secret.expose();
    let other = if secret.as_bytes()[20] == b'a' { "b" } else { "a" };
    let mistyped = format!("{}{other}{}", &secret[..20], &secret[21..]);
    for wrong in [&secret[..40], &mistyped, &format!("{secret}0")] {
        let fault = found(&rig, &root(), wrong).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Invalid, "{fault}");
        assert!(!format!("{fault:?}").contains(&secret[token_format::SHOWN..20]), "{fault:?}");
    }
    let cut = found(&rig, &root(), &secret[..40]).await.unwrap_err();
    assert!(cut.hint.is_some_and(|hint| hint.ends_with(&made.key.prefix)), "{}", cut.message);
    // Names may begin like secrets.
    let named = self::made(&rig, "aivx_of-the-workstation", None).await;
    assert_eq!(found(&rig, &root(), "aivx_of-the-workstation").await.unwrap().id, named.key.id);
}
