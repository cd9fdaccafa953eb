use std::{net::IpAddr, sync::Arc};

use aivonx_ledgers::audit::Audit;
use aivonx_protocol::audit::AuditEntry;
use aivonx_store::{
    OrganizationRecord, StoredTotp,
    testing::{Stand, stand},
};

use super::*;
use crate::{
    backup_code::{self, Purpose},
    password::Hasher,
    totp::TotpSecret,
};

const PASSWORD: &str = "kettle-orbit-ninety-fjord";

struct Rig {
    stand: Stand,
    audit: Audit,
    identity: Arc<Identity>,
    alice: UserRecord,
}

async fn open(stand: &Stand, audit: &Audit) -> Arc<Identity> {
    let (store, vault) = (stand.store.clone(), stand.vault.clone());
    Identity::open(store, vault, audit.clone(), Hasher::weak()).await.unwrap()
}

async fn rig() -> Rig {
    let (stand, audit) = (stand().await, Audit::memory());
    let identity = open(&stand, &audit).await;
    let hash = identity.hashers.at(&Source::Daemon).hash(secret(PASSWORD)).await.unwrap();
    let alice = stand.user("alice", Some(hash)).await;
    Rig { stand, audit, identity, alice }
}

fn secret(text: &str) -> WireSecret {
    WireSecret::new(text.to_owned())
}

fn from(address: &str) -> Source {
    let address: IpAddr = address.parse().unwrap();
    Source::Http { address, user_agent: Some("curl".into()), request_id: "request-1".into() }
}

impl Rig {
    async fn login(&self, name: &str, password: &str) -> Result<Authenticated, AccountError> {
        self.login_with(name, password, None, "192.0.2.1").await
    }

    async fn login_with(
        &self,
        name: &str,
        password: &str,
        otp: Option<&str>,
        address: &str,
    ) -> Result<Authenticated, AccountError> {
        let otp = otp.map(secret);
        self.identity.authenticate(name, &secret(password), otp.as_ref(), &from(address), "test").await
    }

    async fn change(&self, change: impl FnOnce(&mut UserRecord) + Send + 'static) {
        self.stand.store.users().update(&TenantScope::All, &self.alice.id, None, change).await.unwrap();
    }

    fn recorded(&self) -> Vec<AuditEntry> {
        self.audit.kept()
    }

    fn actions(&self) -> Vec<Action> {
        self.recorded().iter().map(|entry| entry.action).collect()
    }
}

fn code_of(result: Result<Authenticated, AccountError>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "in")
}

#[tokio::test]
async fn the_right_password_gets_in_and_is_recorded() {
    let rig = rig().await;
    let done = rig.login("Alice", PASSWORD).await.unwrap();
    assert!(done.user.last_login.is_some() && done.owed.is_nothing());
    let entry = &rig.recorded()[0];
    assert_eq!((entry.action, entry.outcome), (Action::Login, Outcome::Ok));
    assert_eq!(entry.actor.id.as_deref(), Some(&*rig.alice.id));
    assert_eq!(entry.source.address.as_deref(), Some("192.0.2.1"));
    assert_eq!((entry.via.as_deref(), entry.request_id.as_deref()), (Some("test"), Some("request-1")));
}

#[tokio::test]
async fn whatever_is_wrong_is_told_alike() {
    let rig = rig().await;
    let organization = OrganizationRecord { enabled: false, ..OrganizationRecord::new("acme") };
    let organization = rig.stand.store.organizations().insert(organization).await.unwrap();
    let refused = |result: Result<Authenticated, AccountError>| result.unwrap_err().to_string();
    let mut told = vec![
        refused(rig.login("alice", "wrong").await),
        refused(rig.login("nobody", PASSWORD).await),
        refused(rig.login("", "").await),
        refused(rig.login(&"x".repeat(1 << 16), PASSWORD).await),
    ];
    rig.change(|user| user.enabled = false).await;
    told.push(refused(rig.login("alice", PASSWORD).await));
    let id = organization.id.clone();
    rig.change(|user| (user.enabled, user.organization) = (true, Some(id))).await;
    told.push(refused(rig.login("alice", PASSWORD).await));
    rig.change(|user| (user.password, user.organization) = (None, None)).await;
    told.push(refused(rig.login("alice", PASSWORD).await));
    assert!(told.iter().all(|text| *text == told[0]), "{told:?}");
    assert!(rig.actions().iter().all(|action| *action == Action::LoginFailed));
    assert_eq!(rig.identity.counters.login_failures.load(Ordering::Relaxed), 7);
    let text = format!("{:?}", rig.recorded());
    assert!(!text.contains(PASSWORD), "{text}");
}

#[tokio::test]
async fn five_failures_lock_known_and_unknown_names_alike() {
    for name in ["alice", "nobody"] {
        let rig = rig().await;
        for _ in 0..5 {
            assert_eq!(code_of(rig.login(name, "wrong").await), "invalid_credentials");
        }
        let sixth = rig.login(name, PASSWORD).await.unwrap_err();
        assert!(matches!(sixth, AccountError::Locked(s) if (3590..=3600).contains(&s)), "{sixth}");
        assert_eq!(rig.actions().iter().filter(|a| **a == Action::Lockout).count(), 1);
        assert_eq!(rig.identity.counters.lockouts.load(Ordering::Relaxed), 1);
        // A restart keeps it, another address is free, an administrator lifts it.
        let identity = open(&rig.stand, &rig.audit).await;
        let again = Rig { identity, ..rig };
        assert_eq!(code_of(again.login(name, PASSWORD).await), "locked");
        let elsewhere = again.login_with("alice", PASSWORD, None, "192.0.2.2").await;
        assert_eq!(code_of(elsewhere), "in");
        assert_eq!(again.identity.lockouts().clear(Some(name), None).await.unwrap(), 1);
        assert_eq!(code_of(again.login("alice", PASSWORD).await), "in");
    }
}

#[tokio::test]
async fn attempts_at_once_get_no_more_than_five_guesses() {
    let rig = Arc::new(rig().await);
    let tries: Vec<_> = (0..40)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move { code_of(rig.login("alice", "wrong").await) })
        })
        .collect();
    let mut guesses = 0;
    for one in tries {
        guesses += usize::from(one.await.unwrap() == "invalid_credentials");
    }
    assert_eq!(guesses, 5);
    assert_eq!(code_of(rig.login("alice", PASSWORD).await), "locked");
}

#[tokio::test]
async fn a_spray_delays_the_owner_and_lets_them_in() {
    let rig = rig().await;
    // Opening a store has deadlines of its own.
    tokio::time::pause();
    for last in 0..100 {
        let result = rig.login_with("alice", "wrong", None, &format!("198.51.100.{last}")).await;
        assert_eq!(code_of(result), "invalid_credentials");
    }
    let began = tokio::time::Instant::now();
    assert_eq!(code_of(rig.login("alice", PASSWORD).await), "in");
    assert!(began.elapsed().as_secs() >= 9, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_second_factor_is_asked_for_only_after_the_right_password() {
    let rig = rig().await;
    let shared = TotpSecret::generate().unwrap();
    let codes = backup_code::generate_backup().unwrap();
    let secret = rig.stand.vault.seal(second_factor::TREE, &rig.alice.id, &shared.base32()).unwrap();
    let hashes =
        codes.iter().map(|c| backup_code::hash(Purpose::Backup, &rig.alice.id, c.expose())).collect();
    rig.change(move |user| {
        user.totp = Some(StoredTotp { secret, confirmed: true, last_step: 0 });
        user.backup_codes = hashes;
    })
    .await;
    assert_eq!(code_of(rig.login("alice", "wrong").await), "invalid_credentials");
    for otp in [None, Some("")] {
        assert_eq!(code_of(rig.login_with("alice", PASSWORD, otp, "192.0.2.1").await), "otp_required");
    }
    let code = shared.code(now());
    let with = |otp: String| {
        let rig = &rig;
        async move { code_of(rig.login_with("alice", PASSWORD, Some(&otp), "192.0.2.1").await) }
    };
    assert_eq!(with(code.expose().to_owned()).await, "in");
    assert_eq!(with(code.expose().to_owned()).await, "otp_invalid");
    assert_eq!(with(codes[0].expose().to_owned()).await, "in");
    assert!(rig.actions().contains(&Action::BackupCodeUsed));
    // Wrong codes count like wrong passwords.
    for _ in 0..5 {
        assert_eq!(with("not-a-code".into()).await, "otp_invalid");
    }
    assert_eq!(with(codes[1].expose().to_owned()).await, "locked");
}

#[tokio::test]
async fn a_weak_hash_is_made_anew() {
    let rig = rig().await;
    let (store, vault) = (rig.stand.store.clone(), rig.stand.vault.clone());
    let identity = Identity::open(store, vault, rig.audit.clone(), Hasher::new(1)).await.unwrap();
    let rig = Rig { identity, ..rig };
    for _ in 0..2 {
        let user = rig.login("alice", PASSWORD).await.unwrap().user;
        assert!(user.password.unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }
}

#[tokio::test]
async fn what_is_owed_follows_configuration_and_organization() {
    let rig = rig().await;
    rig.identity.demand_two_factor(true);
    let owed = rig.login("alice", PASSWORD).await.unwrap().owed;
    assert_eq!(owed, RequiredActions { password: false, enrol: true });
    rig.identity.demand_two_factor(false);
    rig.change(|user| user.must_change_password = true).await;
    let owed = rig.login("alice", PASSWORD).await.unwrap().owed;
    assert_eq!(owed, RequiredActions { password: true, enrol: false });
}
