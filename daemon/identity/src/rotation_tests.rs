//! Tests of replacing peppers and signing keys.

use aivonx_ledgers::audit::Audit;
use aivonx_protocol::WireSecret;
use aivonx_store::{
    RetiringHash,
    testing::{Stand, stand},
};

use super::*;
use crate::{
    Caller, NotKnown, api_key,
    jwt::{self, AUDIENCE, Claims, Extent},
    password::Hasher,
};

const HOUR: Duration = Duration::from_secs(3600);

async fn open(stand: &Stand) -> Arc<Identity> {
    let (store, vault) = (stand.store.clone(), stand.vault.clone());
    Identity::open(store, vault, Audit::memory(), Hasher::new(1)).await.unwrap()
}

/// A key of the fleet, hashed with the newest pepper.
async fn key(identity: &Identity, name: &str) -> (KeyRecord, WireSecret) {
    let secret = api_key::generate().unwrap();
    let hash = {
        let snapshot = identity.hot().load();
        let (number, pepper) = &snapshot.material.peppers[0];
        (*number, pepper.hash(secret.expose()))
    };
    let record = KeyRecord { prefix: "aivx_".into(), ..KeyRecord::new(name, hash) };
    let record = identity.store.keys().insert(record).await.unwrap();
    identity.settle().await.unwrap();
    (record, secret)
}

fn use_key(identity: &Identity, secret: &WireSecret) -> Result<bool, NotKnown> {
    let snapshot = identity.hot().full();
    let (_, renewal) = Caller::of_key(&snapshot, secret.expose(), [127, 0, 0, 1].into(), now())?;
    let renews = renewal.is_some();
    if let Some(renewal) = renewal {
        identity.renewal(renewal);
    }
    Ok(renews)
}

/// Returns once `is_so`, which a change of a record makes so.
async fn until(identity: &Identity, is_so: impl AsyncFn() -> bool) {
    let mut changes = identity.changes();
    while !is_so().await {
        changes.changed().await.unwrap();
    }
}

async fn get(identity: &Identity, record: &KeyRecord) -> KeyRecord {
    identity.store.keys().get(&TenantScope::All, &record.id).await.unwrap().unwrap()
}

async fn of_kind(identity: &Identity, kind: SecretKind) -> Vec<(u32, Option<UnixMillis>)> {
    let records = identity.of_kind(kind).await.unwrap();
    records.into_iter().map(|record| (record.number, record.retire_at)).collect()
}

#[tokio::test]
async fn keys_move_to_the_new_pepper_when_used_and_the_rest_is_revoked_at_the_deadline() {
    let stand = stand().await;
    let identity = open(&stand).await;
    let (used, used_secret) = key(&identity, "used").await;
    let (idle, idle_secret) = key(&identity, "idle").await;
    assert_eq!(identity.rotate(SecretKind::Pepper, HOUR).await.unwrap(), 2);
    let (new, new_secret) = key(&identity, "new").await;
    assert_eq!(new.pepper, 2);

    assert!(use_key(&identity, &used_secret).unwrap(), "found under the old pepper");
    let renewed = async |record: &KeyRecord| {
        until(&identity, async || get(&identity, record).await.pepper == 2).await;
    };
    renewed(&used).await;
    // Another task writes it, so the store can have it before the snapshot does.
    until(&identity, async || !use_key(&identity, &used_secret).unwrap()).await;

    let deadline = of_kind(&identity, SecretKind::Pepper).await[0].1.unwrap();
    assert_eq!(identity.retire_due(deadline - 1).await.unwrap(), Some(deadline));
    identity.settle().await.unwrap();
    assert!(use_key(&identity, &idle_secret).is_ok());
    // Used, but not moved yet: the write was lost.
    renewed(&idle).await;
    let put_back = |key: &mut KeyRecord| (key.pepper, key.hash) = (1, [9; 32]);
    identity.store.keys().update(&TenantScope::All, &idle.id, None, put_back).await.unwrap();
    assert_eq!(identity.retire_due(deadline).await.unwrap(), None);
    identity.settle().await.unwrap();
    assert_eq!(of_kind(&identity, SecretKind::Pepper).await, [(2, None)]);
    assert!(get(&identity, &idle).await.revoked.is_some());
    assert!(use_key(&identity, &idle_secret).is_err());
    assert!(use_key(&identity, &used_secret).is_ok() && use_key(&identity, &new_secret).is_ok());
    assert_eq!(identity.hot().load().material.peppers.len(), 1);
    let audited = identity.audit.kept();
    assert_eq!(audited.len(), 1, "{audited:?}");
    assert_eq!(audited[0].object.as_ref().unwrap().name.as_deref(), Some("idle"));
    assert_eq!(identity.retire_due(deadline).await.unwrap(), None, "it can be repeated");
}

#[tokio::test]
async fn a_secret_before_a_rotation_ends_with_its_pepper() {
    let stand = stand().await;
    let identity = open(&stand).await;
    let (record, _) = key(&identity, "ci").await;
    identity.rotate(SecretKind::Pepper, HOUR).await.unwrap();
    let rotate = |key: &mut KeyRecord| {
        key.retiring = Some(RetiringHash { pepper: key.pepper, hash: key.hash, until: u64::MAX });
        (key.pepper, key.hash) = (2, [8; 32]);
    };
    identity.store.keys().update(&TenantScope::All, &record.id, None, rotate).await.unwrap();
    identity.retire_due(u64::MAX).await.unwrap();
    let record = get(&identity, &record).await;
    assert!(record.revoked.is_none() && record.retiring.is_none());
    assert!(identity.audit.kept().is_empty());
}

#[tokio::test]
async fn the_old_signing_key_verifies_until_it_is_due() {
    let stand = stand().await;
    let identity = open(&stand).await;
    let claims = Claims {
        iss: identity.daemon_id().into(),
        aud: AUDIENCE.into(),
        sub: "user".into(),
        org: None,
        role: aivonx_protocol::user::Role::Member,
        epoch: 1,
        sid: "session".into(),
        ext: Extent::Full,
        iat: 1000,
        exp: 2000,
        jti: "token".into(),
    };
    let token = identity.hot().load().material.signer.sign(&claims);
    let verifies = |identity: &Identity, token: &WireSecret| {
        let snapshot = identity.hot().full();
        jwt::verify(token.expose(), &snapshot.material.verifiers, 1_000_000, identity.daemon_id()).is_ok()
    };
    identity.rotate(SecretKind::TokenSigning, SIGNING_GRACE).await.unwrap();
    let new = identity.hot().load().material.signer.sign(&claims);
    assert!(verifies(&identity, &token) && verifies(&identity, &new) && token != new);
    identity.retire_due(u64::MAX).await.unwrap();
    identity.settle().await.unwrap();
    assert!(!verifies(&identity, &token) && verifies(&identity, &new));
    assert_eq!(of_kind(&identity, SecretKind::TokenSigning).await, [(2, None)]);
}

#[tokio::test]
async fn what_a_crash_left_undecided_is_decided_and_what_was_decided_stays() {
    let stand = stand().await;
    let identity = open(&stand).await;
    identity.rotate(SecretKind::Pepper, HOUR).await.unwrap();
    let first = of_kind(&identity, SecretKind::Pepper).await[0].1.unwrap();
    // The crash: a third is there, and nothing says when the second goes.
    identity.rotate(SecretKind::Pepper, HOUR).await.unwrap();
    let forget = |record: &mut SecretRecord| record.retire_at = None;
    identity.store.secrets().update(&TenantScope::All, "pepper-2", None, forget).await.unwrap();
    assert_eq!(identity.retire_due(first - 1).await.unwrap(), Some(first));
    let peppers = of_kind(&identity, SecretKind::Pepper).await;
    assert_eq!((peppers[0].1, peppers[2]), (Some(first), (3, None)));
    assert!(peppers[1].1.unwrap() > first + 20 * 24 * 3_600_000, "the usual deadline");
}

#[tokio::test]
async fn it_is_forgotten_by_itself() {
    let stand = stand().await;
    let identity = open(&stand).await;
    let (record, secret) = key(&identity, "idle").await;
    follow(&identity);
    identity.rotate(SecretKind::Pepper, Duration::from_millis(50)).await.unwrap();
    until(&identity, async || of_kind(&identity, SecretKind::Pepper).await.len() == 1).await;
    identity.settle().await.unwrap();
    assert!(get(&identity, &record).await.revoked.is_some() && use_key(&identity, &secret).is_err());
}
