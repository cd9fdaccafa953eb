//! What tells a browser which pages may read the gateway's answers (Fetch, 3.2). Which pages these are is decided in
//! [`host`](super::host), for every request.

use aivonx_wire::api::Route;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::answer::{Answer, AnswerBody};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, HEAD, OPTIONS");

/// Fields of an answer that a page may read beside the usual ones.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "retry-after, x-aivonx-estimated, x-aivonx-model, x-aivonx-node, x-aivonx-queue, x-aivonx-translated, \
     x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-request-id, x-should-retry",
);

/// Seconds for which a browser need not ask again; none remembers it longer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// What a preflight's answer depends on.
const VARY: HeaderValue =
    HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");

const ASKED: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;

/// The answer to `OPTIONS`, a browser's preflight or not. Nothing is done for it.
pub(super) fn options(route: Option<&Route>, asked: &HeaderMap) -> Answer {
    let mut answer = Answer::new(AnswerBody::Sent);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    if let Some(allow) = route.and_then(|route| HeaderValue::from_str(&route.allow()).ok()) {
        headers.insert(header::ALLOW, allow);
    }
    if asked.contains_key(header::ORIGIN) && asked.contains_key(ASKED) {
        headers.insert(header::VARY, VARY);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        // Whatever a page sends: the gateway passes on what it knows.
        if let Some(fields) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
        }
    }
    answer
}

/// Lets a page from `origin`, which is allowed, read the answer. Cookies and the like are none of the gateway's
/// credentials, so that `Access-Control-Allow-Credentials` never stands here.
pub(super) fn on_answer(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.entry(header::VARY).or_insert(HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::EXPOSED;
    use crate::{
        endpoints::count_tokens::X_AIVONX_ESTIMATED,
        headers::{X_AIVONX_MODEL, X_AIVONX_NODE, X_AIVONX_QUEUE, X_AIVONX_TRANSLATED},
    };

    #[test]
    fn pages_may_read_what_the_gateway_says_of_an_answer() {
        let exposed = EXPOSED;
        let exposed: Vec<&str> = exposed.to_str().unwrap().split(", ").collect();
        for name in [X_AIVONX_ESTIMATED, X_AIVONX_MODEL, X_AIVONX_NODE, X_AIVONX_QUEUE, X_AIVONX_TRANSLATED] {
            assert!(exposed.contains(&name.as_str()), "{name}");
        }
    }
}
