//! What the gateway answers itself, from the snapshot: no node is asked.

use aivonx_fleet::{NoNode, Node, NodeScope, RoutingRules, Snapshot};
use aivonx_identity::Caller;
use aivonx_wire::api::{Dialect, route::Local};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::{
    answer::{self, Answer},
    conn::ConnContext,
    error_response::Refusal,
    fields::{Field, Fields},
    policy::{self, Shape},
    shared::Phase,
};

const RUNNING: &str = "Ollama is running";

/// What was asked beside the path's pattern.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) dialect: Dialect,
    /// The variable part of the path.
    pub(crate) parameter: Option<&'a str>,
    pub(crate) query: Option<&'a str>,
    pub(crate) fields: &'a Fields<'a>,
}

/// Answers `what` for `caller`, about the nodes that are `eligible`.
pub(crate) async fn answer(
    cx: &ConnContext,
    what: Local,
    asked: Asked<'_>,
    caller: &Caller,
    eligible: &RoutingRules,
) -> Result<Answer, Refusal> {
    // A listener for diagnostics shows everything to everyone who reaches it.
    let realm = if cx.listener.diagnostics { NodeScope::ALL } else { NodeScope::from(caller.eligible()) };
    if what == Local::Metrics {
        return metrics(cx, realm, asked.fields).await;
    }
    let shared = &cx.worker.shared;
    let snapshot = shared.hot.load();
    let ok = |body: Bytes| answer::json(StatusCode::OK, body);
    Ok(match what {
        Local::Root => answer::text(StatusCode::OK, RUNNING),
        Local::Proxy if snapshot.nodes.iter().any(|n| n.takes_requests()) => {
            answer::text(StatusCode::OK, RUNNING)
        }
        Local::Proxy => answer::text(StatusCode::SERVICE_UNAVAILABLE, "no node is active"),
        Local::Version => {
            let chosen = eligible.chosen().and_then(|id| snapshot.nodes.iter().find(|node| node.id == *id));
            let known = match chosen {
                Some(node) => node.seen.version.as_ref().map(|(text, _)| &**text),
                None => snapshot.version.as_deref(),
            };
            // A version that is not known is written as Ollama's own builds from source write it.
            let version = known.unwrap_or("0.0.0");
            ok(json!({ "version": version }).to_string().into())
        }
        Local::Tags => ok(match &*shared.policy.load() {
            None => snapshot.lists(eligible).tags.clone(),
            Some(rules) => policy::with_aliases(Shape::Tags, rules, &snapshot, eligible),
        }),
        Local::Ps => {
            let list = snapshot.lists(eligible).ps.clone();
            ok(if cx.worker.settings().node_header { list } else { without_nodes(&list) })
        }
        Local::Models => {
            let models = match &*shared.policy.load() {
                None => snapshot.lists(eligible).models.clone(),
                Some(rules) => policy::with_aliases(Shape::Models, rules, &snapshot, eligible),
            };
            ok(match asked.dialect {
                Dialect::Anthropic => anthropic_models(&models, asked.query)?,
                _ => models,
            })
        }
        Local::Model => {
            let name = asked.parameter.unwrap_or_default();
            let alias = || policy::entry(name, shared.policy.load().as_deref()?, &snapshot, eligible);
            let object = snapshot.lists(eligible).model(name).cloned().or_else(alias).ok_or_else(|| {
                Refusal::NoNode(NoNode::UnknownModel { model: name.to_owned(), nearest: Vec::new() })
            })?;
            ok(match asked.dialect {
                Dialect::Anthropic => anthropic_model(&object).to_string().into(),
                _ => policy::as_asked(object, name),
            })
        }
        Local::Health => {
            ok(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }).to_string().into())
        }
        Local::Ready => ready(*shared.phase.borrow(), &snapshot, (shared.trouble)()),
        Local::ProxyState => ok(proxy_state(&snapshot, &realm).to_string().into()),
        Local::ActiveRequests => {
            ok(active_requests(&snapshot, &realm, node_id(asked.query)).to_string().into())
        }
        Local::Status => {
            let (disabled, source) = if eligible.cloud() { (false, "none") } else { (true, "config") };
            ok(json!({ "cloud": { "disabled": disabled, "source": source } }).to_string().into())
        }
        Local::Metrics => return Err(Refusal::Internal("metrics are answered above")),
    })
}

async fn metrics(cx: &ConnContext, realm: NodeScope, fields: &Fields<'_>) -> Result<Answer, Refusal> {
    let older = takes_plain_alone(fields.all(Field::Accept));
    let kind = if older { aivonx_telemetry::PLAIN_TYPE } else { aivonx_telemetry::CONTENT_TYPE };
    let shared = &cx.worker.shared;
    let render = shared.metrics.clone();
    // Formatting thousands of series belongs to the control plane.
    let page = move || {
        let page = render(&realm);
        if older { aivonx_telemetry::plain(&page) } else { page }
    };
    let text = shared.control.spawn_blocking(page).await;
    let text = text.map_err(|_| Refusal::Internal("metrics could not be rendered"))?;
    let mut answer = answer::typed(StatusCode::OK, HeaderValue::from_static(kind), text.into());
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, origin"));
    Ok(answer)
}

/// Whether a client asks for plain text by its name, and not for the newer format of metrics: `*/*` beside it is the
/// rest of an older scraper's list.
fn takes_plain_alone<'h>(accept: impl Iterator<Item = &'h HeaderValue>) -> bool {
    let fields = accept.filter_map(|field| field.to_str().ok());
    let kinds: Vec<String> = fields.flat_map(|field| field.split(',')).filter_map(accepted).collect();
    let takes = |kind: &str| kinds.iter().any(|taken| taken == kind);
    takes("text/plain") && !takes("application/openmetrics-text")
}

/// The type of one range of an `Accept`, unless its weight is 0 (RFC 9110, 12.5.1).
fn accepted(range: &str) -> Option<String> {
    let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
    let is_refused =
        parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("q")
                && value.trim().parse().is_ok_and(|weight: f64| weight <= 0.0)
        });
    (!is_refused).then(|| kind.trim().to_ascii_lowercase())
}

/// The list of what is in memory without the names of the nodes.
fn without_nodes(ps: &[u8]) -> Bytes {
    let mut list: Value = serde_json::from_slice(ps).unwrap_or_default();
    for model in list["models"].as_array_mut().into_iter().flatten() {
        if let Some(model) = model.as_object_mut() {
            model.remove("node");
        }
    }
    list.to_string().into()
}

fn owns(realm: &NodeScope, node: &Node) -> bool {
    realm.covers(node.organization.as_deref())
}

/// A gateway whose store failed goes on serving, and keeps its traffic.
fn ready(phase: Phase, snapshot: &Snapshot, trouble: Option<String>) -> Answer {
    let reason = if phase != Phase::Running {
        "draining"
    } else if !snapshot.nodes.iter().any(|n| n.takes_requests()) {
        "no node is active"
    } else if let Some(reason) = trouble {
        let body = json!({ "status": "degraded", "reason": reason });
        return answer::json(StatusCode::OK, body.to_string().into());
    } else {
        return answer::json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"ready\"}"));
    };
    let body = json!({ "status": "not ready", "reason": reason }).to_string();
    answer::json(StatusCode::SERVICE_UNAVAILABLE, body.into())
}

/// One entry of `/v1/models` in Anthropic's shape.
fn anthropic_model(openai: &[u8]) -> Value {
    let object: Value = serde_json::from_slice(openai).unwrap_or_default();
    anthropic_object(&object)
}

fn anthropic_object(openai: &Value) -> Value {
    let created =
        openai["created"].as_i64().and_then(|s| jiff::Timestamp::from_second(s).ok()).unwrap_or_default();
    json!({
        "type": "model",
        "id": openai["id"],
        "display_name": openai["id"],
        "created_at": created.to_string(),
    })
}

/// The models, or of many the page that the query asks for: `limit`, and `after_id` or `before_id`, which the list is
/// read from or up to. Without a limit all of them, for there are programs that know no second page.
fn anthropic_models(openai: &[u8], query: Option<&str>) -> Result<Bytes, Refusal> {
    let list: Value = serde_json::from_slice(openai).unwrap_or_default();
    let mut data: Vec<Value> = list["data"].as_array().into_iter().flatten().map(anthropic_object).collect();
    let (mut limit, mut backwards, mut more) = (data.len(), false, false);
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let at = || data.iter().position(|model| model["id"] == *value);
        match &*name {
            "limit" => {
                let given = value.parse().ok().filter(|limit| (1..=1000).contains(limit));
                limit = given.ok_or(Refusal::Limit)?;
            }
            "after_id" => drop(at().map(|at| data.drain(..=at))),
            "before_id" => {
                backwards = true;
                drop(at().map(|at| data.drain(at..)));
            }
            _ => {}
        }
    }
    if data.len() > limit {
        more = true;
        if backwards { drop(data.drain(..data.len() - limit)) } else { data.truncate(limit) }
    }
    let edge = |entry: Option<&Value>| entry.map_or(Value::Null, |e| e["id"].clone());
    let (first, last) = (edge(data.first()), edge(data.last()));
    let body = json!({ "data": data, "has_more": more, "first_id": first, "last_id": last });
    Ok(body.to_string().into())
}

/// The state in the shape of the proxy this gateway replaces.
fn proxy_state(snapshot: &Snapshot, realm: &NodeScope) -> Value {
    let mut state = json!({
        "active": [], "standby": [], "node_id_map": {}, "latencies": {}, "active_counts": {}, "models": {}
    });
    for node in snapshot.nodes.iter().filter(|node| owns(realm, node)) {
        let url = &*node.url;
        let pool = if node.takes_requests() { "active" } else { "standby" };
        if let Some(list) = state[pool].as_array_mut() {
            list.push(url.into());
        }
        state["node_id_map"][&*node.id] = url.into();
        state["latencies"][url] = seconds(node);
        state["active_counts"][url] = node.live.active().into();
        state["models"][url] = models_of(snapshot, node).into();
    }
    state
}

fn active_requests(snapshot: &Snapshot, realm: &NodeScope, only: Option<&str>) -> Value {
    let mut total = 0;
    let nodes: Vec<Value> = snapshot
        .nodes
        .iter()
        .filter(|n| owns(realm, n))
        .filter(|n| only.is_none_or(|id| *n.id == *id || *n.name == *id))
        .map(|node| {
            let active = node.live.active();
            total += u64::from(active);
            let mut entry = Map::new();
            entry.insert("id".into(), node.id.as_ref().into());
            entry.insert("name".into(), node.name.as_ref().into());
            entry.insert("address".into(), node.url.as_ref().into());
            entry.insert("active_requests".into(), active.into());
            entry.insert("status".into(), if node.takes_requests() { "active" } else { "standby" }.into());
            entry.insert("latency".into(), seconds(node));
            entry.insert("models".into(), models_of(snapshot, node).into());
            entry.into()
        })
        .collect();
    json!({ "nodes": nodes, "total_active_requests": total })
}

fn seconds(node: &Node) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a latency are far below 2^52")]
    node.live.latency_us().map_or(Value::Null, |us| (us as f64 / 1e6).into())
}

fn models_of(snapshot: &Snapshot, node: &Node) -> Vec<String> {
    let Some(index) = snapshot.nodes.iter().position(|n| n.id == node.id) else { return Vec::new() };
    let mut names: Vec<String> = snapshot
        .ollama
        .values()
        .chain(snapshot.openai.values())
        .filter(|e| e.nodes.iter().any(|i| usize::from(*i) == index))
        .map(|e| e.name.to_string())
        .collect();
    names.sort_unstable();
    names
}

/// `node_id` of a query string.
fn node_id(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("node_id=")).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_is_for_those_who_take_no_other() {
        for (accept, plain) in [
            (&["text/plain"][..], true),
            (&["text/html", "TEXT/Plain;version=0.0.4;q=0.5"], true),
            (&["text/plain, application/openmetrics-text;q=0"], true),
            (&["text/plain;q=0.5, Application/OpenMetrics-Text;version=1.0.0"], false),
            (&["text/plain", "application/openmetrics-text"], false),
            (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], true),
            (&["*/*"], false),
            (&["text/plain;q=0"], false),
            (&["text/plainer"], false),
            (&[], false),
        ] {
            let fields: Vec<HeaderValue> = accept.iter().copied().map(HeaderValue::from_static).collect();
            assert_eq!(takes_plain_alone(fields.iter()), plain, "{accept:?}");
        }
    }
}
