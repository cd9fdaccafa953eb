//! The methods about who may do what, called with the samples' own values.

use aivonx_protocol::{
    Client, Request, WireSecret,
    account::AccountRequest,
    key::KeyRequest,
    limit::LimitTarget,
    money::MicroUsd,
    organization::{LimitProfile, OrganizationRequest, PrivacyMode},
    user::UserRequest,
};

fn secret() -> WireSecret {
    WireSecret::new("s".into())
}

/// Calls every method once, whose request is the sample wherever one has much in it.
pub(super) async fn call_every_method(client: &Client) {
    for request in Request::samples() {
        match request {
            Request::Account(AccountRequest::Setup(setup)) => {
                assert_eq!(client.setup(*setup).await.unwrap().idle_ms, 1_800_000);
            }
            Request::Organization(OrganizationRequest::Add(new)) => {
                assert_eq!(client.organization_add(*new).await.unwrap().slug, "acme");
            }
            Request::Organization(OrganizationRequest::Set { organization, revision, change }) => {
                let set = client.organization_set(&organization, revision, *change).await.unwrap();
                assert_eq!(set.slug, "acme");
            }
            Request::User(UserRequest::Add(new)) => {
                assert_eq!(client.user_add(*new).await.unwrap().name, "alice");
            }
            Request::User(UserRequest::Set { user, revision, change }) => {
                assert_eq!(client.user_set(&user, revision, *change).await.unwrap().name, "alice");
            }
            Request::Key(KeyRequest::Create(new)) => {
                assert_eq!(client.key_create(*new).await.unwrap().secret.expose(), "aivx_s");
            }
            Request::Key(KeyRequest::Set { organization, key, revision, change }) => {
                assert_eq!(client.key_set(organization, &key, revision, *change).await.unwrap().name, "ci");
            }
            _ => {}
        }
    }
    assert_eq!(client.login("alice", secret(), None).await.unwrap().secret.expose(), "s");
    assert_eq!(client.resume(secret()).await.unwrap().uid, 1000);
    assert_eq!(client.whoami().await.unwrap().backup_codes, 9);
    client.password(secret(), secret()).await.unwrap();
    assert_eq!(client.totp_begin(secret()).await.unwrap().secret.expose(), "JBSWY3DP");
    assert_eq!(client.totp_confirm(secret()).await.unwrap().len(), 1);
    client.totp_disable(secret(), secret()).await.unwrap();
    assert_eq!(client.backup_codes(secret(), secret()).await.unwrap().len(), 1);
    client.verify(secret()).await.unwrap();
    client.redeem("alice", secret(), secret()).await.unwrap();
    client.logout().await.unwrap();
    assert_eq!(client.organization_list().await.unwrap().len(), 1);
    assert_eq!(client.organization_show("acme").await.unwrap().slug, "acme");
    assert_eq!(client.organization_remove("acme", None, true).await.unwrap().keys, 3);
    assert_eq!(client.organization_networks(None).await.unwrap()[0].networks, ["10.0.0.0/8"]);
    let set = client.organization_set_networks("acme", vec!["10.0.0.0/8".into()]).await.unwrap();
    assert_eq!(set[0].organization, "0190-org");
    assert_eq!(client.user_list(None, None).await.unwrap().len(), 1);
    assert_eq!(client.user_show("alice").await.unwrap().name, "alice");
    assert!(client.user_set_enabled("alice", None, true).await.unwrap().enabled);
    client.user_remove("alice", None).await.unwrap();
    assert_eq!(client.user_reset_password("alice").await.unwrap().code.expose(), "abcd-efgh");
    assert!(client.user_reset_totp("alice").await.unwrap().totp);
    assert_eq!(client.user_sessions("alice").await.unwrap().len(), 1);
    assert_eq!(client.user_logout("alice", None).await.unwrap(), 3);
    assert_eq!(client.key_list(None, None, false).await.unwrap().len(), 1);
    assert_eq!(client.key_show(None, "ci").await.unwrap().name, "ci");
    assert_eq!(client.key_rotate(None, "ci", 0).await.unwrap().key.name, "ci");
    assert_eq!(client.key_revoke(None, "ci").await.unwrap().name, "ci");
    assert_eq!(client.token_create("backup", None, 60_000).await.unwrap().secret.expose(), "s");
    assert_eq!(client.token_list().await.unwrap().len(), 1);
    client.token_revoke("backup").await.unwrap();
    assert_eq!(client.lockout_list(true).await.unwrap().len(), 1);
    assert_eq!(client.lockout_clear(None, None).await.unwrap(), 2);
    assert_eq!(client.limit_show(LimitTarget::Own).await.unwrap().revision, 4);
    assert_eq!(client.limit_set(LimitTarget::Own, None, Vec::new()).await.unwrap().limits.len(), 1);
    assert_eq!(client.limit_unset(LimitTarget::Own, Some(4), Vec::new()).await.unwrap().revision, 4);
    assert!(client.limit_profiles().await.unwrap()[0].fleet);
    let set = client.limit_set_profile(None, LimitProfile::Team, false).await.unwrap();
    assert_eq!(set.profile, LimitProfile::Standard);
    assert_eq!(client.limit_unpriced(LimitTarget::Own).await.unwrap().models, ["qwen3:8b"]);
    assert_eq!(client.price_list().await.unwrap().len(), 1);
    let price = client.price_set("llama3*", MicroUsd(1), MicroUsd(2)).await.unwrap();
    assert_eq!(price.output, MicroUsd(600_000));
    client.price_remove("llama3*").await.unwrap();
    assert_eq!(client.privacy_show(None).await.unwrap().mode, PrivacyMode::Redact);
    assert_eq!(client.privacy_set(None, None, None).await.unwrap().categories.len(), 2);
    let report = client.privacy_test(None, WireSecret::new("x".into())).await.unwrap();
    assert_eq!(report.findings[0].count, 2);
}
