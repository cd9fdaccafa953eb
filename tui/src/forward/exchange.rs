//! One request through the forwarder.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;

use super::{
    answer::{self, Answer},
    guard,
    upstream::{Line, Upstream},
};

/// Fields that belong to one connection, not to what is sent over it.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Credentials of the client's own: the key stands in their place.
const CREDENTIALS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// What all requests have in common.
pub(super) struct Exchange {
    pub(super) upstream: Arc<Upstream>,
    /// `Bearer KEY`, marked as sensitive.
    pub(super) key: HeaderValue,
}

impl Exchange {
    /// Checks a request, sends it on with the key, and gives the answer back as it comes. If it is dropped, the
    /// request to the gateway breaks off.
    pub(super) async fn run(&self, request: Request<Incoming>, line: &mut Line) -> Response<Answer> {
        let path = request.uri().path().to_owned();
        let is_anthropic = request.headers().contains_key("anthropic-version");
        let refuse = |status, why: &str| answer::error(&path, is_anthropic, status, why);
        if let Err(refused) = guard::check(request.uri(), request.headers()) {
            return refuse(StatusCode::FORBIDDEN, &refused.to_string());
        }
        if request.method() == Method::CONNECT {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served");
        }
        let request = self.onward(request);
        match line.send(&self.upstream, request).await {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                strip(&mut head.headers);
                Response::from_parts(head, Answer::Gateway(body))
            }
            Err(error) => refuse(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }

    /// The request as the gateway gets it.
    fn onward(&self, request: Request<Incoming>) -> Request<Incoming> {
        let (mut head, body) = request.into_parts();
        strip(&mut head.headers);
        for name in &CREDENTIALS {
            head.headers.remove(name);
        }
        // Continuing was agreed with the client here.
        head.headers.remove(header::EXPECT);
        head.headers.insert(header::AUTHORIZATION, self.key.clone());
        head.headers.insert(header::HOST, self.upstream.host().clone());
        // A page of this machine was let through by us; the gateway knows nothing of it.
        head.headers.remove(header::ORIGIN);
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = self.upstream.path(path).unwrap_or_else(|| Uri::from_static("/"));
        head.version = http::Version::HTTP_11;
        Request::from_parts(head, body)
    }
}

/// Removes what belongs to the connection it came over.
fn strip(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // What frames the body is read by hyper, and no one's to drop.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in HOP_BY_HOP.iter().chain(&listed) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Mine"),
            ("connection", "content-length"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("content-length", "3"),
            ("accept", "*/*"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-length"]);
    }
}
