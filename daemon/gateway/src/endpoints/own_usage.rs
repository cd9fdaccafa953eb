//! `GET /api/account/usage`: the caller's own usage, in the form of `aivonx usage show --output json`, with each amount in
//! US dollars beside it, and what its organization has used of its limits of the day, unless that is hidden from its
//! members. No role sees the usage of other people here.

use aivonx_domain::TenantScope;
use aivonx_identity::{AccountError, Actor, Caller, Source};
use aivonx_ledgers::usage::Only;
use aivonx_limits::usd;
use aivonx_protocol::{
    Fault, UnixMillis,
    usage::{UsageBy, UsagePer, UsageRow},
    user::Role,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::manage::STOPPED;
use crate::{
    answer::{self, Answer},
    conn::ConnContext,
    error_response::Refusal,
    exchange::Exchange,
};

/// What can be asked for in the query.
pub const PARAMETERS: &str = "the query may have since and until (milliseconds since 1970-01-01 UTC), \
                          by (key or model) and per (hour, day or month)";

/// What is asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    since: Option<UnixMillis>,
    until: Option<UnixMillis>,
    by: Option<UsageBy>,
    per: Option<UsagePer>,
}

impl Asked {
    fn read(query: Option<&str>) -> Result<Self, AccountError> {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let time = || value.parse().map_err(|_| AccountError::Invalid(PARAMETERS.to_owned())).map(Some);
            match (&*name, &*value) {
                ("since", _) => asked.since = time()?,
                ("until", _) => asked.until = time()?,
                ("by", "key") => asked.by = Some(UsageBy::Key),
                ("by", "model") => asked.by = Some(UsageBy::Model),
                ("per", "hour") => asked.per = Some(UsagePer::Hour),
                ("per", "day") => asked.per = Some(UsagePer::Day),
                ("per", "month") => asked.per = Some(UsagePer::Month),
                _ => return Err(AccountError::Invalid(PARAMETERS.to_owned())),
            }
        }
        Ok(asked)
    }
}

pub(crate) async fn answer(
    cx: &ConnContext,
    exchange: &Exchange,
    caller: &Caller,
    query: Option<&str>,
) -> Result<Answer, Refusal> {
    let asked = Asked::read(query)?;
    let source = Source::Http { address: cx.client, user_agent: None, request_id: exchange.id().to_owned() };
    let actor = caller.actor(source).ok_or(AccountError::NoToken)?;
    let hidden = caller.is_usage_hidden();
    let shared = &cx.worker.shared;
    let (identity, usage) = (shared.identity.clone(), shared.usage.clone());
    let report = shared.control.spawn(async move {
        identity.owes_nothing(&actor).await?;
        let reach = Actor { role: Role::Member, ..actor }.reach();
        let span = (asked.since, asked.until);
        let failed = |error| AccountError::from(Fault::from(error));
        let own = usage.report(&reach, &Only::default(), span, asked.by, asked.per).await.map_err(failed)?;
        let of_organization = match reach.organization() {
            Some(id) if !hidden => {
                let reach = TenantScope::Organization(id.to_owned());
                let report = usage.report(&reach, &Only::default(), (None, None), None, None).await;
                Some(report.map_err(failed)?.total)
            }
            _ => None,
        };
        Ok::<_, AccountError>((own, of_organization))
    });
    let (own, of_organization) = report.await.map_err(|_| STOPPED)??;
    // Times, numbers and names always make JSON.
    let mut told = serde_json::to_value(&own).unwrap_or_default();
    told["organization"] = of_organization.map_or(Value::Null, |total| {
        let UsageRow { requests_used, requests_limit, spend_used, spend_limit, .. } = total;
        json!({
            "requests_used": requests_used,
            "requests_limit": requests_limit,
            "spend_used": spend_used,
            "spend_limit": spend_limit,
        })
    });
    with_dollars(&mut told);
    Ok(answer::json(StatusCode::OK, told.to_string().into()))
}

/// Amounts in micro-USD.
const AMOUNTS: [&str; 3] = ["spend", "spend_used", "spend_limit"];

/// Puts each amount in US dollars beside it.
fn with_dollars(told: &mut Value) {
    match told {
        Value::Object(object) => {
            for name in AMOUNTS {
                if let Some(amount) = object.get(name) {
                    let dollars = amount.as_u64().and_then(|micro| usd(micro).parse().ok());
                    object.insert(format!("{name}_usd"), dollars.map_or(Value::Null, Value::Number));
                }
            }
            object.values_mut().for_each(with_dollars);
        }
        Value::Array(list) => list.iter_mut().for_each(with_dollars),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_stand_in_dollars_beside() {
        let mut told =
            json!({"total": {"spend": 1_500_000, "spend_limit": null}, "rows": [{"spend": 1}], "x": 1});
        with_dollars(&mut told);
        let want = json!({
            "total": {"spend": 1_500_000, "spend_usd": 1.5, "spend_limit": null, "spend_limit_usd": null},
            "rows": [{"spend": 1, "spend_usd": 0.000_001}],
            "x": 1,
        });
        assert_eq!(told, want);
    }

    #[test]
    fn the_query_is_what_it_says_or_refused() {
        assert_eq!(Asked::read(None).unwrap(), Asked::default());
        let asked = Asked::read(Some("since=5&until=7&by=model&per=day")).unwrap();
        let want =
            Asked { since: Some(5), until: Some(7), by: Some(UsageBy::Model), per: Some(UsagePer::Day) };
        assert_eq!(asked, want);
        for wrong in ["since=yesterday", "by=node", "by=organization", "user=bob", "per=", "x"] {
            assert!(matches!(Asked::read(Some(wrong)), Err(AccountError::Invalid(_))), "{wrong}");
        }
    }
}
