//! Limits on money, and models that cost nothing because nobody gave them a price.

use super::*;

const SAYS: &str = "no price, so this limit cannot hold";

fn asks() -> [Request; 4] {
    let chat = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    [
        Request::json("/api/generate", &json!({"model": "m", "prompt": "hi"})),
        Request::json("/v1/chat/completions", &chat),
        Request::json("/v1/messages", &chat),
        Request::json("/api/embed", &json!({"model": "m", "input": "hi"})),
    ]
}

#[tokio::test]
async fn where_a_limit_cannot_hold_is_said() {
    let rig = Rig::new().await;
    let aivonx = rig.daemon.aivonx();
    let show = ["limit", "show", "--org", ORGANIZATION];
    assert!(!aivonx.ok(&show).await.contains("no price"), "no money is limited");
    let set = aivonx.ok(&["limit", "set", "--org", ORGANIZATION, "spend.day=0.000001"]).await;
    assert!(set.contains(&format!("{SAYS}: spend.day for m:latest")), "{set}");
    let shown = aivonx.ok(&show).await;
    assert!(shown.contains(SAYS) && shown.contains("spend.unpriced"), "{shown}");
    let json = aivonx.json(&show).await;
    assert_eq!(json["unpriced"], json!({"then": "free", "models": ["m:latest"]}));
    rig.chat(false).await.expect(200);

    aivonx.ok(&["price", "set", "*", "0", "0"]).await;
    assert!(!aivonx.ok(&show).await.contains("no price"), "nothing is a price, too");
    aivonx.ok(&["price", "remove", "*"]).await;
    aivonx.ok(&["price", "set", "other*", "1", "1"]).await;
    assert!(aivonx.ok(&show).await.contains("for m:latest"), "others do not count");
}

#[tokio::test]
async fn what_has_no_price_is_refused_where_that_is_wanted() {
    let rig = Rig::new().await;
    let aivonx = rig.daemon.aivonx();
    let org = &["limit", "set", "--org", ORGANIZATION];
    for (value, says) in
        [("spend.unpriced=0", "free or refuse"), ("spend.unpriced=unlimited", "free or refuse")]
    {
        let ran = aivonx.run(&[org, &[value][..]].concat()).await;
        assert!(ran.code != 0 && ran.stderr.contains(says), "{}", ran.stderr);
    }
    rig.limit(&["spend.unpriced=refuse"]).await;
    rig.chat(false).await.expect(200);
    rig.limit(&["spend.day=1"]).await;
    let shown = aivonx.ok(&["limit", "show", "--org", ORGANIZATION]).await;
    assert!(shown.contains("refused (spend.unpriced=refuse): m:latest"), "{shown}");
    let before = rig.node.requests().len();
    for request in asks() {
        let told = rig.daemon.ask(&rig.with_key(request)).await.expect(403);
        let error = told.json()["error"].clone();
        let text = error.as_str().or_else(|| error["message"].as_str()).unwrap();
        assert!(
            text.contains("model m has no price") || text.contains("model m:latest has no price"),
            "{text}"
        );
    }
    assert_eq!(rig.node.requests().len(), before, "nothing was forwarded");
    aivonx.ok(&["price", "set", "m", "1", "1"]).await;
    rig.chat(false).await.expect(200);
    aivonx.ok(&["price", "remove", "m"]).await;

    // The nearest choice counts, and a limit on any level.
    rig.limit(&["spend.day=unlimited"]).await;
    rig.chat(false).await.expect(200);
    aivonx.ok(&["limit", "set", "--org", ORGANIZATION, "--key", "key", "spend.month=1"]).await;
    rig.chat(false).await.expect(403);
    rig.limit(&["spend.unpriced=free"]).await;
    rig.chat(false).await.expect(200);
    aivonx.ok(&["limit", "set", "spend.unpriced=refuse"]).await;
    rig.chat(false).await.expect(200);
    aivonx.ok(&["limit", "unset", "--org", ORGANIZATION, "spend.unpriced"]).await;
    rig.chat(false).await.expect(403);
}
