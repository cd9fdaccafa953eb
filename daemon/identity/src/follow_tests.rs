use std::net::IpAddr;

use aivonx_protocol::{WireSecret, user::Role};
use aivonx_store::{OrganizationRecord, UserRecord};

use super::*;
use crate::{
    Source,
    rig::{Rig, user_record},
};

const PASSWORD: &str = "kettle-orbit-ninety-fjord";

fn http() -> Source {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    Source::Http { address, user_agent: None, request_id: "request-1".into() }
}

impl Rig {
    async fn log_in(&self, name: &str) {
        let password = WireSecret::new(PASSWORD.into());
        let proven = self.identity.authenticate(name, &password, None, &http(), "test").await.unwrap();
        self.identity.http_login(proven, &http()).await.unwrap();
    }

    /// A member who can log in.
    async fn member(&self, name: &str) -> UserRecord {
        let hash = self.identity.hashers.at(&Source::Daemon).hash(WireSecret::new(PASSWORD.into())).await;
        let record = UserRecord { password: Some(hash.unwrap()), ..user_record(name, Role::Member, None) };
        self.store().users().insert(record).await.unwrap()
    }

    async fn settled(&self) -> Arc<Snapshot> {
        self.identity.settle().await.unwrap();
        self.identity.hot().full()
    }
}

fn sessions_of(snapshot: &Snapshot, user: &str) -> usize {
    snapshot.sessions().filter(|session| session.user == user).count()
}

#[tokio::test]
async fn a_login_rebuilds_nothing_but_the_session_that_it_begins() {
    let (rig, tenant, _) = Rig::with_two().await;
    let (ada, bob) = (rig.member("ada").await, rig.member("bob").await);
    rig.log_in("bob").await;
    let before = rig.settled().await;
    rig.log_in("ada").await;
    let after = rig.settled().await;
    assert_eq!((sessions_of(&before, &ada.id), sessions_of(&after, &ada.id)), (0, 1));
    assert!(rig.store().users().get(&TenantScope::All, &ada.id).await.unwrap().unwrap().last_login.is_some());
    assert!(before.shares_directory(&after) && Arc::ptr_eq(&before.material, &after.material));
    let of_bob = before.sessions().find(|session| session.user == bob.id).unwrap();
    assert!(Arc::ptr_eq(of_bob, after.session(&of_bob.id).unwrap()), "not read again");

    // The end of a session ends that alone.
    rig.store().sessions().remove(&TenantScope::All, &of_bob.id, None).await.unwrap();
    let ended = rig.settled().await;
    assert!(ended.session(&of_bob.id).is_none() && ended.session_by_hash(&of_bob.hash).is_none());
    assert!(ended.shares_directory(&after) && sessions_of(&ended, &ada.id) == 1);

    // What anybody is judged by rebuilds everything, along with a login too.
    let promote = |user: &mut UserRecord| user.role = Role::Auditor;
    rig.store().users().update(&TenantScope::All, &ada.id, None, promote).await.unwrap();
    rig.log_in("ada").await;
    let promoted = rig.settled().await;
    assert!(!promoted.shares_directory(&ended) && promoted.user(&ada.id).unwrap().role == Role::Auditor);
    assert!(Arc::ptr_eq(&promoted.user(&bob.id).unwrap().live, &before.user(&bob.id).unwrap().live));
    rig.store().users().remove(&TenantScope::All, &ada.id, None).await.unwrap();
    let removed = rig.settled().await;
    assert!(removed.user(&ada.id).is_none() && sessions_of(&removed, &ada.id) == 0);
    let disable = |organization: &mut OrganizationRecord| organization.enabled = false;
    rig.store().organizations().update(&TenantScope::All, &tenant.id, None, disable).await.unwrap();
    assert!(!rig.settled().await.organization(&tenant.id).unwrap().enabled);
}

#[tokio::test]
async fn a_refresh_finds_its_session_by_the_new_secret_alone() {
    let rig = Rig::new().await;
    let ada = rig.member("ada").await;
    rig.log_in("ada").await;
    let before = rig.settled().await;
    let session = before.sessions().find(|session| session.user == ada.id).unwrap().clone();
    rig.store()
        .sessions()
        .update(&TenantScope::All, &session.id, None, |session| session.hash = [7; 32])
        .await
        .unwrap();
    let after = rig.settled().await;
    assert!(after.session_by_hash(&session.hash).is_none());
    assert_eq!(after.session_by_hash(&[7; 32]).unwrap().id, session.id);
    assert!(after.shares_directory(&before));
}
