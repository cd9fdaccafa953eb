use std::{net::IpAddr, sync::Arc};

use aivonx_ledgers::audit::Audit;
use aivonx_protocol::audit::Outcome;
use aivonx_store::{
    StoredReset,
    testing::{Stand, stand},
};

use super::*;
use crate::{
    Caller, NotKnown, RequiredActions, Source,
    access_token::Tokens,
    backup_code::{self, Purpose},
    jwt::Extent,
    password::Hasher,
};

const PASSWORD: &str = "kettle-orbit-ninety-fjord";
const NEW: &str = "walnut-harbour-eleven-moth";
const VIA: &str = "test";

struct Rig {
    stand: Stand,
    audit: Audit,
    identity: Arc<Identity>,
    alice: String,
}

async fn rig() -> Rig {
    let (stand, audit) = (stand().await, Audit::memory());
    let (store, vault) = (stand.store.clone(), stand.vault.clone());
    let identity = Identity::open(store, vault, audit.clone(), Hasher::weak()).await.unwrap();
    let hash = identity.hashers.at(&Source::Daemon).hash(secret(PASSWORD)).await.unwrap();
    let alice = stand.user("alice", Some(hash)).await.id;
    Rig { stand, audit, identity, alice }
}

fn secret(text: &str) -> WireSecret {
    WireSecret::new(text.to_owned())
}

fn here() -> Source {
    let address: IpAddr = [192, 0, 2, 1].into();
    Source::Http { address, user_agent: None, request_id: "request-1".into() }
}

fn code_of<T>(result: Result<T, AccountError>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "done")
}

impl Rig {
    async fn login(&self, password: &str, otp: Option<&str>) -> Result<Tokens, AccountError> {
        let otp = otp.map(secret);
        let proven =
            self.identity.authenticate("alice", &secret(password), otp.as_ref(), &here(), VIA).await?;
        self.identity.http_login(proven, &here()).await
    }

    async fn refresh(&self, token: &WireSecret) -> Result<Tokens, AccountError> {
        self.identity.http_refresh(token, &here(), VIA).await
    }

    /// Who an access token is from, as the data path sees it.
    fn caller(&self, access: &WireSecret) -> Result<Caller, NotKnown> {
        let snapshot = self.identity.hot().full();
        let claims = Caller::read_token(&snapshot, access.expose(), self.identity.daemon_id(), now())?;
        Caller::of_claims(&snapshot, &claims, self.identity.demands_two_factor(), now())
    }

    fn actor(&self, access: &WireSecret) -> Actor {
        self.caller(access).unwrap().actor(here()).unwrap()
    }

    async fn record(&self) -> UserRecord {
        self.stand.store.users().get(&TenantScope::All, &self.alice).await.unwrap().unwrap()
    }

    async fn change(&self, change: impl FnOnce(&mut UserRecord) + Send + 'static) {
        self.stand.store.users().update(&TenantScope::All, &self.alice, None, change).await.unwrap();
        self.identity.settle().await.unwrap();
    }

    fn recorded(&self, action: Action) -> usize {
        self.audit.kept().iter().filter(|entry| entry.action == action).count()
    }

    /// Sets up a second factor; returns it with the backup codes.
    async fn enrol(&self, actor: &Actor) -> (TotpSecret, Vec<WireSecret>) {
        let offer = self.identity.totp_begin(actor, &secret(PASSWORD), VIA).await.unwrap();
        let shared = TotpSecret::from_base32(offer.secret.expose()).unwrap();
        let codes = self.identity.totp_confirm(actor, &shared.code(now()), VIA).await.unwrap();
        (shared, codes)
    }
}

#[tokio::test]
async fn a_login_gives_tokens_that_the_data_path_knows_at_once() {
    let rig = rig().await;
    let tokens = rig.login(PASSWORD, None).await.unwrap();
    assert_eq!((tokens.expires_in, tokens.owed), (900, RequiredActions::default()));
    let actor = rig.actor(&tokens.access);
    assert_eq!((actor.user.as_deref(), &*actor.name), (Some(&*rig.alice), "alice"));
    let (user, slug, owed) = rig.identity.profile(&actor).await.unwrap();
    assert_eq!((&*user.name, slug, owed), ("alice", None, RequiredActions::default()));
    assert!(!format!("{tokens:?}").contains("aivr_"));
}

#[tokio::test]
async fn refreshing_goes_on_and_reuse_ends_everything_of_the_family() {
    let rig = rig().await;
    let first = rig.login(PASSWORD, None).await.unwrap();
    let other = rig.login(PASSWORD, None).await.unwrap();
    let second = rig.refresh(&first.refresh).await.unwrap();
    assert!(rig.caller(&first.access).is_ok() && rig.caller(&second.access).is_ok());
    assert_eq!(code_of(rig.refresh(&first.refresh).await), "refresh_invalid");
    assert_eq!(rig.recorded(Action::TokenReuse), 1);
    // The access tokens of the family end with it, though none has expired; other logins do not.
    assert_eq!(rig.caller(&first.access).unwrap_err(), NotKnown::Revoked);
    assert_eq!(rig.caller(&second.access).unwrap_err(), NotKnown::Revoked);
    assert_eq!(code_of(rig.refresh(&second.refresh).await), "refresh_invalid");
    assert!(rig.caller(&other.access).is_ok());
    assert!(rig.refresh(&other.refresh).await.is_ok());
}

#[tokio::test]
async fn what_was_begun_before_there_was_a_second_factor_ends_with_it() {
    let rig = rig().await;
    let (mine, other) = (rig.login(PASSWORD, None).await.unwrap(), rig.login(PASSWORD, None).await.unwrap());
    rig.enrol(&rig.actor(&mine.access)).await;
    assert_eq!(code_of(rig.refresh(&other.refresh).await), "refresh_invalid");
    assert_eq!(rig.caller(&other.access).unwrap_err(), NotKnown::Revoked);
    // It was proven here.
    let renewed = rig.refresh(&mine.refresh).await.unwrap();
    assert!(rig.caller(&renewed.access).is_ok());
}

#[tokio::test]
async fn logging_out_revokes_what_has_not_expired() {
    let rig = rig().await;
    let by_access = rig.login(PASSWORD, None).await.unwrap();
    rig.identity.http_logout(&rig.actor(&by_access.access), VIA).await.unwrap();
    let by_refresh = rig.login(PASSWORD, None).await.unwrap();
    rig.identity.http_logout_with(&by_refresh.refresh, &here(), VIA).await.unwrap();
    for tokens in [by_access, by_refresh] {
        assert_eq!(rig.caller(&tokens.access).unwrap_err(), NotKnown::Revoked);
        assert_eq!(code_of(rig.refresh(&tokens.refresh).await), "refresh_invalid");
        let again = rig.identity.http_logout_with(&tokens.refresh, &here(), VIA).await;
        assert_eq!(code_of(again), "refresh_invalid");
    }
    assert_eq!(rig.recorded(Action::Logout), 2);
}

#[tokio::test]
async fn a_disabled_or_revoked_user_gets_no_new_tokens() {
    for epoch in [false, true] {
        let rig = rig().await;
        let tokens = rig.login(PASSWORD, None).await.unwrap();
        rig.change(move |user| if epoch { user.epoch += 1 } else { user.enabled = false }).await;
        assert!(rig.caller(&tokens.access).is_err());
        assert_eq!(code_of(rig.refresh(&tokens.refresh).await), "refresh_invalid");
        // And its family is gone for good.
        rig.change(|user| user.enabled = true).await;
        assert_eq!(code_of(rig.refresh(&tokens.refresh).await), "refresh_invalid");
    }
}

#[tokio::test]
async fn changing_the_password_keeps_this_session_and_ends_the_others() {
    let rig = rig().await;
    let mine = rig.login(PASSWORD, None).await.unwrap();
    let other = rig.login(PASSWORD, None).await.unwrap();
    let actor = rig.actor(&mine.access);
    let change = |old: &'static str, new: &'static str| {
        let (identity, actor) = (rig.identity.clone(), actor.clone());
        async move { code_of(identity.change_password(&actor, &secret(old), &secret(new), VIA).await) }
    };
    assert_eq!(change("wrong", NEW).await, "invalid_credentials");
    assert_eq!(change(PASSWORD, PASSWORD).await, "password_unchanged");
    assert_eq!(change(PASSWORD, "short").await, "password_refused");
    assert_eq!(change(PASSWORD, "alice-alice-1").await, "password_refused");
    assert_eq!(change(PASSWORD, NEW).await, "done");
    assert_eq!(change(PASSWORD, PASSWORD).await, "invalid_credentials");
    let record = rig.record().await;
    assert!(record.password_changed > 0 && record.epoch == 2);

    assert_eq!(rig.caller(&mine.access).unwrap_err(), NotKnown::Revoked);
    let (access, _) = rig.identity.access_token(&actor).await.unwrap();
    assert!(rig.caller(&access).is_ok());
    assert!(rig.refresh(&mine.refresh).await.is_ok());
    assert!(rig.caller(&other.access).is_err());
    assert_eq!(code_of(rig.refresh(&other.refresh).await), "refresh_invalid");
    assert_eq!(code_of(rig.login(PASSWORD, None).await), "invalid_credentials");
    assert_eq!(code_of(rig.login(NEW, None).await), "done");
    assert_eq!(rig.recorded(Action::PasswordChange), 1);
}

#[tokio::test]
async fn guessing_the_password_of_an_open_session_locks_like_logging_in() {
    let rig = rig().await;
    let actor = rig.actor(&rig.login(PASSWORD, None).await.unwrap().access);
    for _ in 0..5 {
        let tried = rig.identity.change_password(&actor, &secret("wrong"), &secret(NEW), VIA).await;
        assert_eq!(code_of(tried), "invalid_credentials");
    }
    let tried = rig.identity.change_password(&actor, &secret(PASSWORD), &secret(NEW), VIA).await;
    assert_eq!(code_of(tried), "locked");
    assert_eq!(code_of(rig.identity.totp_begin(&actor, &secret(PASSWORD), VIA).await), "locked");
}

#[tokio::test]
async fn a_reset_code_is_good_once_for_its_user_and_its_hour() {
    let rig = rig().await;
    let before = rig.login(PASSWORD, None).await.unwrap();
    let code = backup_code::generate().unwrap();
    let give = |expires: u64| {
        let hash = backup_code::hash(Purpose::Reset, &rig.alice, code.expose());
        rig.change(move |user| {
            (user.password, user.reset) = (None, Some(StoredReset { hash, expires }));
            user.must_change_password = true;
        })
    };
    let redeem = |name: &'static str, code: WireSecret, new: &'static str| {
        let identity = rig.identity.clone();
        async move { code_of(identity.redeem_reset(name, &code, &secret(new), &here(), VIA).await) }
    };
    give(now() - 1).await;
    assert_eq!(redeem("alice", code.clone(), NEW).await, "reset_code_invalid");
    give(now() + 3_600_000).await;
    assert_eq!(redeem("bob", code.clone(), NEW).await, "reset_code_invalid");
    assert_eq!(redeem("alice", backup_code::generate().unwrap(), NEW).await, "reset_code_invalid");
    assert_eq!(redeem("alice", secret(""), NEW).await, "reset_code_invalid");
    // A refused password leaves the code unspent.
    assert_eq!(redeem("alice", code.clone(), "short").await, "password_refused");
    // Of two at once one gets through; the lockout of the forgotten password is lifted.
    for _ in 0..5 {
        assert_eq!(code_of(rig.login("guess", None).await), "invalid_credentials");
    }
    let both = tokio::join!(redeem("Alice", code.clone(), NEW), redeem("alice", code.clone(), NEW));
    assert_eq!([both.0, both.1].iter().filter(|done| **done == "done").count(), 1);
    assert_eq!(redeem("alice", code, NEW).await, "reset_code_invalid");
    assert!(rig.caller(&before.access).is_err());
    assert_eq!(code_of(rig.refresh(&before.refresh).await), "refresh_invalid");
    assert!(!rig.record().await.must_change_password);
    assert_eq!(code_of(rig.login(NEW, None).await), "done");
    let done = rig.audit.kept();
    let done = done.iter().filter(|e| e.action == Action::PasswordReset && e.outcome == Outcome::Ok);
    assert_eq!(done.count(), 1);
}

#[tokio::test]
async fn a_second_factor_counts_once_it_is_confirmed() {
    let rig = rig().await;
    let actor = rig.actor(&rig.login(PASSWORD, None).await.unwrap().access);
    let (identity, none) = (&rig.identity, secret("000000"));
    assert_eq!(code_of(identity.totp_confirm(&actor, &none, VIA).await), "totp_disabled");
    assert_eq!(code_of(identity.backup_codes(&actor, &secret(PASSWORD), &none, VIA).await), "totp_disabled");
    assert_eq!(code_of(identity.totp_begin(&actor, &secret("wrong"), VIA).await), "invalid_credentials");
    // The first offer is void once there is a second.
    let first = identity.totp_begin(&actor, &secret(PASSWORD), VIA).await.unwrap();
    assert!(first.uri.expose().starts_with("otpauth://totp/aivonx:alice?secret="));
    let first = TotpSecret::from_base32(first.secret.expose()).unwrap();
    assert_eq!(code_of(rig.login(PASSWORD, None).await), "done");
    let (shared, codes) = rig.enrol(&actor).await;
    assert_eq!(code_of(identity.totp_confirm(&actor, &first.code(now()), VIA).await), "totp_enabled");
    assert_eq!(code_of(identity.totp_begin(&actor, &secret(PASSWORD), VIA).await), "totp_enabled");
    assert_eq!(code_of(rig.login(PASSWORD, None).await), "otp_required");
    // The code that confirmed it is spent.
    assert_eq!(code_of(rig.login(PASSWORD, Some(shared.code(now()).expose())).await), "otp_invalid");
    assert_eq!(code_of(rig.login(PASSWORD, Some(codes[0].expose())).await), "done");
    // New backup codes void the old ones.
    let new = identity.backup_codes(&actor, &secret(PASSWORD), &codes[1], VIA).await.unwrap();
    assert_eq!(code_of(rig.login(PASSWORD, Some(codes[2].expose())).await), "otp_invalid");
    assert_eq!(code_of(rig.login(PASSWORD, Some(new[0].expose())).await), "done");

    identity.demand_two_factor(true);
    let off = |code: &WireSecret| {
        let (identity, actor, code) = (rig.identity.clone(), actor.clone(), code.clone());
        async move { code_of(identity.totp_disable(&actor, &secret(PASSWORD), &code, VIA).await) }
    };
    assert_eq!(off(&new[1]).await, "totp_required");
    identity.demand_two_factor(false);
    assert_eq!(off(&none).await, "otp_invalid");
    assert_eq!(off(&new[1]).await, "done");
    assert_eq!(code_of(rig.login(PASSWORD, None).await), "done");
    let record = rig.record().await;
    assert!(record.totp.is_none() && record.backup_codes.is_empty());
    assert_eq!(rig.recorded(Action::TotpChange), 3);
    let text = format!("{:?}", rig.audit.kept());
    assert!(!text.contains(PASSWORD) && !text.contains(shared.base32().expose()), "{text}");
}

#[tokio::test]
async fn who_owes_something_gets_tokens_for_that_alone() {
    let rig = rig().await;
    rig.identity.demand_two_factor(true);
    let tokens = rig.login(PASSWORD, None).await.unwrap();
    assert_eq!(tokens.owed, RequiredActions { password: false, enrol: true });
    let caller = rig.caller(&tokens.access).unwrap();
    assert!(matches!(caller, Caller::User { extent: Extent::Enrol, .. }));
    assert!(!caller.may(aivonx_protocol::key::KeyScope::ModelsRead));
    let actor = rig.actor(&tokens.access);
    assert_eq!(code_of(rig.identity.owes_nothing(&actor).await), "totp_enrolment_required");
    rig.change(|user| user.must_change_password = true).await;
    assert_eq!(code_of(rig.identity.owes_nothing(&actor).await), "password_change_required");
    rig.enrol(&actor).await;
    rig.identity.change_password(&actor, &secret(PASSWORD), &secret(NEW), VIA).await.unwrap();
    let (access, owed) = rig.identity.access_token(&actor).await.unwrap();
    assert!(owed.is_nothing());
    assert!(matches!(rig.caller(&access).unwrap(), Caller::User { extent: Extent::Full, .. }));
    assert_eq!(code_of(rig.identity.owes_nothing(&actor).await), "done");
}

#[tokio::test]
async fn who_is_no_user_has_no_account() {
    let rig = rig().await;
    let source = Source::Control { uid: 0, gid: 0, pid: None };
    let uid = Actor {
        user: None,
        name: "uid 0".into(),
        role: aivonx_protocol::user::Role::Superadmin,
        organization: None,
        session: None,
        source,
    };
    let tried = rig.identity.change_password(&uid, &secret(PASSWORD), &secret(NEW), VIA).await;
    assert_eq!(code_of(tried), "no_account");
    assert!(Caller::Anonymous(None).actor(here()).is_none());
}
