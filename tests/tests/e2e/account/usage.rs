//! `GET /api/account/usage`: a caller sees its own usage, and what is left of its limits.

use aivonx_protocol::user;
use std::time::Duration;

use super::*;

const PATH: &str = "/api/account/usage";

impl Gateway {
    async fn access(&self, user: &str) -> String {
        text(&self.login(user, PASSWORD).await.expect(200).json(), "access")
    }

    /// The report for `access`, once it counts so many requests: the last may still be on its way to the ledger.
    async fn usage(&self, access: &str, query: &str, requests: u64) -> Value {
        within("the ledger has every request", async {
            loop {
                let report = self.get(&format!("{PATH}{query}"), access).await.expect(200).json();
                let found = report["total"]["requests"].as_u64().unwrap();
                assert!(found <= requests, "{report}");
                if found == requests {
                    return report;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    /// Adds an administrator of the organization.
    async fn boss(&self) {
        let boss = new_user("boss", Role::OrgAdmin, Some("acme"), Some(PASSWORD));
        self.control.ask(user::Add(Box::new(boss))).await.unwrap();
    }

    /// What the command line says of a user.
    async fn told(&self, user: &str) -> Value {
        self.daemon.aivonx().json(&["usage", "show", "--user", user]).await["total"].clone()
    }
}

#[tokio::test]
async fn everyone_is_told_of_the_own_usage_alone() {
    let g = gateway().await;
    g.user("bob").await;
    g.boss().await;
    let aivonx = g.daemon.aivonx();
    aivonx.ok(&["price", "set", "*", "10", "20"]).await;
    aivonx.ok(&["limit", "set", "--org", "acme", "user.inference.day=50", "user.spend.day=2.5"]).await;
    let [alice, bob, boss] = [g.access("alice").await, g.access("bob").await, g.access("boss").await];
    let made = g.post("/api/account/keys", &alice, &json!({"name": "laptop"})).await.expect(201).json();
    let key = text(&made, "secret");
    // Alice twice and once with her key, Bob once, the administrator never.
    for credential in [&alice, &alice, &key, &bob] {
        g.daemon.ask(&bearer(chat(false), credential)).await.expect(200);
    }

    let answer = g.get(PATH, &alice).await.expect(200);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let mut own = g.usage(&alice, "", 3).await;
    assert_eq!(
        (&own["total"]["spend_limit_usd"], &own["organization"]["spend_limit_usd"]),
        (&json!(2.5), &Value::Null)
    );
    let micro = own["total"]["spend_used"].as_u64().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "it is far below 2^52")]
    let dollars = micro as f64 / 1e6;
    assert_eq!(own["total"]["spend_used_usd"], json!(dollars), "{own}");
    // Bob's too.
    let organization = &own["organization"];
    assert_eq!(
        (&organization["requests_used"], &organization["requests_limit"]),
        (&json!(4), &Value::Null),
        "{own}"
    );
    assert!(organization["spend_used"].as_u64().unwrap() > micro, "{own}");
    // Beside that it is as the command line has it.
    let total = own["total"].as_object_mut().unwrap();
    total.retain(|name, _| !name.ends_with("_usd"));
    let total = &own["total"];
    assert_eq!((&total["requests_used"], &total["requests_limit"]), (&json!(3), &json!(50)), "{own}");
    assert_eq!(total["spend_limit"], json!(2_500_000), "micro-USD: {own}");
    let prompt = total["prompt_tokens"].as_u64().unwrap();
    let output = total["output_tokens"].as_u64().unwrap();
    assert!(prompt > 0, "{own}");
    // Under a cap on money, who does not say how long an answer may be is given this much.
    assert_eq!(output, 3 * 4096, "{own}");
    assert_eq!(total["spend_used"], json!(prompt * 10 + output * 20), "{own}");
    assert_eq!(*total, g.told("alice").await, "as the command line tells it");
    let keys = g.usage(&alice, "?by=key", 3).await;
    let rows = keys["rows"].as_array().unwrap();
    let of_key = rows.iter().find(|row| row["name"] == "laptop").unwrap_or_else(|| panic!("{keys}"));
    assert_eq!((of_key["requests"].as_u64(), rows.len()), (Some(1), 2), "{keys}");
    let days = g.usage(&alice, "?by=model&per=day", 3).await;
    assert!(days["rows"][0]["time"].is_u64() && days["rows"][0]["name"] == "m:latest", "{days}");

    let other = g.usage(&bob, "", 1).await;
    assert_eq!((&other["total"]["requests_used"], &other["rows"]), (&json!(1), &json!([])), "{other}");
    // An administrator of the organization sees its own usage here, too.
    let admin = g.usage(&boss, "?by=model", 0).await;
    assert_eq!((&admin["total"]["requests_used"], &admin["rows"]), (&json!(0), &json!([])), "{admin}");
    for query in ["?user=alice", "?by=user", "?since=yesterday"] {
        refused(&g.get(&format!("{PATH}{query}"), &boss).await, 400, "invalid_request");
    }
}

#[tokio::test]
async fn an_organization_hides_from_its_members_what_it_uses_together() {
    let g = gateway().await;
    g.boss().await;
    let aivonx = g.daemon.aivonx();
    let [alice, boss] = [g.access("alice").await, g.access("boss").await];
    let of = async |access: &str| {
        let report = g.get(PATH, access).await.expect(200).json();
        assert!(report["total"].is_object(), "{report}");
        report["organization"].clone()
    };
    assert!(of(&alice).await.is_object());
    aivonx.ok(&["org", "set", "acme", "--hide-usage"]).await;
    assert!(of(&alice).await.is_null());
    assert!(of(&boss).await.is_object(), "who administers it sees it");
    assert_eq!(aivonx.json(&["org", "show", "acme"]).await["usage_hidden"], true);
    let entries = aivonx.json(&["audit", "list", "--org", "acme", "--object", "acme"]).await.to_string();
    assert!(entries.contains("hide_usage"), "{entries}");
    aivonx.ok(&["org", "set", "acme", "--no-hide-usage"]).await;
    assert!(of(&alice).await.is_object());
}

#[tokio::test]
async fn usage_is_told_to_users_and_to_nobody_else() {
    let g = gateway().await;
    let alice = g.access("alice").await;
    let made = g.post("/api/account/keys", &alice, &json!({"name": "laptop"})).await.expect(201).json();
    refused(&g.get(PATH, &text(&made, "secret")).await, 403, "no_account");
    refused(&g.daemon.get(PATH).await, 401, "token_required");
    assert_eq!(g.get(PATH, "no-such-token").await.status, 401);
    assert_eq!(g.post(PATH, &alice, &json!({})).await.status, 405);
    g.control.ask(user::SetEnabled { user: "alice".into(), revision: None, enabled: false }).await.unwrap();
    refused(&g.get(PATH, &alice).await, 401, "token_invalid");
}
