//! What a gateway says that it has, and what it says is wrong.

use aivonx_tests::harness::Aivonx;
use serde_json::{Map, Value, json};

/// What a gateway says that it has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) configuration: Value,
    /// Last entry of the audit log.
    pub(super) audit: u64,
    pub(super) usage: Value,
    pub(super) counters: Value,
    /// Where anyone could see that something is wrong: status, verdict on the audit log, log.
    pub(super) told: String,
}

/// The part of what is listed that only somebody's decision changes.
fn decided(listed: &Value) -> Value {
    const FIELDS: [&str; 13] = [
        "id",
        "name",
        "slug",
        "url",
        "role",
        "revision",
        "organization",
        "model",
        "alias",
        "models",
        "prompt",
        "output",
        "limit",
    ];
    match listed {
        Value::Array(all) => all.iter().map(decided).collect(),
        Value::Object(one) => {
            let kept = one.iter().filter(|(field, _)| FIELDS.contains(&field.as_str()));
            // The models of a node are those that it has now.
            let kept = kept.filter(|(field, _)| !(one.contains_key("url") && *field == "models"));
            Value::Object(kept.map(|(field, value)| (field.clone(), value.clone())).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// The command's JSON. A failure is added to `told`, under the name of the `part` it is about.
async fn ask(aivonx: &Aivonx, part: &str, words: &[&str], told: &mut String) -> Value {
    let words = [words, &["--output", "json"]].concat();
    let ran = aivonx.run(&words).await;
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| {
        *told += &format!("{part}: {}: {}\n", words.join(" "), ran.stderr);
        Value::Null
    })
}

pub(super) async fn survey(aivonx: &Aivonx, log: &str) -> State {
    let mut told = String::new();
    let mut configuration = Map::new();
    for noun in ["node", "org", "user", "key", "price", "model policy", "model alias"] {
        let words: Vec<&str> = noun.split(' ').chain(["list"]).collect();
        configuration.insert(noun.to_owned(), decided(&ask(aivonx, noun, &words, &mut told).await));
    }
    let limits = ask(aivonx, "counters", &["limit", "show", "--org", "o0"], &mut told).await;
    configuration.insert("limit".to_owned(), decided(&limits["limits"]));
    let all = limits["limits"].as_array().into_iter().flatten();
    let of_day = all.filter(|one| one["name"].as_str().is_some_and(|name| name.ends_with(".day")));
    let counters = of_day.map(|one| json!([one["name"], one["used"]])).collect();
    let verdict = ask(aivonx, "audit", &["audit", "verify"], &mut told).await;
    let usage = ask(aivonx, "usage", &["usage", "show", "--by", "org"], &mut told).await;
    let rows = usage["rows"].as_array().into_iter().flatten();
    let usage = rows.map(|row| json!([row["id"], row["requests"], row["prompt_tokens"]])).collect();
    if verdict["intact"] != true || verdict["restarts"] != json!([]) {
        told += &format!("audit verify: {verdict}\n");
    }
    let status = ask(aivonx, "status", &["status"], &mut told).await;
    for warning in status["warnings"].as_array().into_iter().flatten() {
        told += &format!("status: {warning}\n");
    }
    // Without their times, so that they can be compared.
    let loud = log.lines().filter(|line| [" WARN ", " ERROR "].iter().any(|level| line.contains(level)));
    loud.for_each(|line| told += &format!("{}\n", line.split_once(' ').map_or(line, |(_, rest)| rest)));
    State {
        configuration: Value::Object(configuration),
        audit: verdict["last"].as_u64().unwrap_or(0),
        usage,
        counters,
        told,
    }
}
