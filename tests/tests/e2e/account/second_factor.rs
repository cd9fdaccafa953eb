//! Two-factor authentication over HTTP.

use aivonx_protocol::organization::{self, OrganizationChange};

use super::*;
use crate::otp::otp;

#[tokio::test]
async fn a_second_factor_is_set_up_used_and_taken_off_over_http() {
    let g = gateway().await;
    let (before, _) = g.tokens(PASSWORD).await;
    let (other, _) = g.tokens(PASSWORD).await;
    let totp_with = |access: &str, body: Value| {
        let (g, access) = (&g, access.to_owned());
        async move { g.post("/api/account/totp", &access, &body).await }
    };
    let totp = |body: Value| totp_with(&before, body);
    refused(&totp(json!({"action": "confirm", "code": "123456"})).await, 409, "totp_disabled");
    let offer = totp(json!({"action": "begin", "password": PASSWORD})).await.expect(200).json();
    let secret = text(&offer, "secret");
    assert!(text(&offer, "uri").starts_with("otpauth://totp/aivonx:alice?secret="));
    refused(&totp(json!({"action": "confirm", "code": "0"})).await, 400, "otp_invalid");
    let done = totp(json!({"action": "confirm", "code": otp(&secret, 0)})).await.expect(200).json();
    let codes: Vec<String> = serde_json::from_value(done["backup_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    let access = text(&done, "access");
    g.get("/api/account/me", &access).await.expect(200);
    // What was given without the second factor is worth nothing any more.
    for spent in [&before, &other] {
        refused(&g.get("/api/account/me", spent).await, 401, "token_invalid");
    }
    let totp = |body: Value| totp_with(&access, body);

    refused(&g.login("alice", PASSWORD).await, 401, "otp_required");
    refused(&g.login("alice", "wrong").await, 401, "invalid_credentials");
    let ahead = otp(&secret, 1);
    g.login_with(PASSWORD, &ahead).await.expect(200);
    refused(&g.login_with(PASSWORD, &ahead).await, 400, "otp_invalid");
    g.login_with(PASSWORD, &codes[0]).await.expect(200);
    refused(&g.login_with(PASSWORD, &codes[0]).await, 400, "otp_invalid");
    let me = g.get("/api/account/me", &access).await.expect(200).json();
    assert_eq!((&me["totp"], &me["backup_codes"]), (&json!(true), &json!(9)));
    let renew = json!({"action": "codes", "password": PASSWORD, "code": codes[1]});
    let new: Vec<String> =
        serde_json::from_value(totp(renew).await.expect(200).json()["backup_codes"].clone()).unwrap();
    refused(&g.login_with(PASSWORD, &codes[2]).await, 400, "otp_invalid");
    totp(json!({"action": "disable", "password": PASSWORD, "code": new[0]})).await.expect(204);
    g.login("alice", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_login_in_two_steps_is_one() {
    let g = gateway().await;
    let (access, _) = g.tokens(PASSWORD).await;
    let begin = json!({"action": "begin", "password": PASSWORD});
    let offer = g.post("/api/account/totp", &access, &begin).await.expect(200).json();
    let confirm = json!({"action": "confirm", "code": otp(&text(&offer, "secret"), 0)});
    let done = g.post("/api/account/totp", &access, &confirm).await.expect(200).json();
    let codes: Vec<String> = serde_json::from_value(done["backup_codes"].clone()).unwrap();
    g.daemon.aivonx().ok(&["limit", "set", "login.hour=3"]).await;
    for code in &codes[..2] {
        refused(&g.login("alice", PASSWORD).await, 401, "otp_required");
        g.login_with(PASSWORD, code).await.expect(200);
    }
    // In one step it is one as well, and so is one that fails.
    g.login_with(PASSWORD, "000000").await.expect(400);
    let told = g.login("alice", PASSWORD).await.expect(429);
    assert_eq!((&told.json()["limit"], &told.json()["used"]), (&json!(3), &json!(3)), "{}", told.text());
    g.login_with(PASSWORD, &codes[2]).await.expect(429);
}

#[tokio::test]
async fn a_token_of_before_is_worth_no_more_than_a_new_one() {
    let g = gateway().await;
    let (access, _) = g.tokens(PASSWORD).await;
    g.daemon.ask(&bearer(chat(false), &access)).await.expect(200);
    let demand = |on| OrganizationChange { require_totp: Some(on), ..OrganizationChange::default() };
    g.control
        .ask(organization::Set {
            organization: "acme".into(),
            revision: None,
            change: Box::new(demand(true)),
        })
        .await
        .unwrap();
    let answer = g.daemon.ask(&bearer(chat(false), &access)).await;
    refused(&answer, 403, "totp_enrolment_required");
    g.get("/api/account/me", &access).await.expect(200);
    let (meanwhile, _) = g.tokens(PASSWORD).await;
    let answer = g.daemon.ask(&bearer(chat(false), &meanwhile)).await;
    refused(&answer, 403, "totp_enrolment_required");
    g.control
        .ask(organization::Set {
            organization: "acme".into(),
            revision: None,
            change: Box::new(demand(false)),
        })
        .await
        .unwrap();
    for access in [access, meanwhile] {
        g.daemon.ask(&bearer(chat(false), &access)).await.expect(200);
    }
}

#[tokio::test]
async fn who_must_enrol_can_do_nothing_else() {
    let g = gateway().await;
    let change = OrganizationChange { require_totp: Some(true), ..OrganizationChange::default() };
    g.control
        .ask(organization::Set { organization: "acme".into(), revision: None, change: Box::new(change) })
        .await
        .unwrap();
    let tokens = g.login("alice", PASSWORD).await.expect(200).json();
    assert_eq!(tokens["must_enrol"], true);
    let access = text(&tokens, "access");
    g.get("/api/account/me", &access).await.expect(200);
    assert_eq!(g.daemon.ask(&bearer(chat(false), &access)).await.status, 403);
    assert_eq!(g.get("/api/tags", &access).await.status, 403);
    refused(&g.get("/api/account/keys", &access).await, 403, "totp_enrolment_required");
    let begin = json!({"action": "begin", "password": PASSWORD});
    let offer = g.post("/api/account/totp", &access, &begin).await.expect(200).json();
    let secret = text(&offer, "secret");
    let confirm = json!({"action": "confirm", "code": otp(&secret, 0)});
    let done = g.post("/api/account/totp", &access, &confirm).await.expect(200).json();
    assert_eq!(done["must_enrol"], false);
    let access = text(&done, "access");
    g.daemon.ask(&bearer(chat(false), &access)).await.expect(200);
    g.get("/api/account/keys", &access).await.expect(200);
    let disable = json!({"action": "disable", "password": PASSWORD, "code": otp(&secret, 1)});
    refused(&g.post("/api/account/totp", &access, &disable).await, 403, "totp_required");
}
