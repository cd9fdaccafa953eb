//! Which route a path is.

use std::borrow::Cow;

use super::{Route, table::ROUTES};

/// The path without slashes that say nothing: repeated ones, which a base URL with a slash at its end makes, and the
/// last one. No route tells them apart, and no node is sent this path.
#[must_use]
pub fn plain(path: &str) -> Cow<'_, str> {
    let repeats = path.as_bytes().windows(2).any(|pair| pair == b"//");
    if !repeats && (path.len() <= 1 || !path.ends_with('/')) {
        return Cow::Borrowed(path);
    }
    let mut plain = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        plain.push('/');
        plain.push_str(segment);
    }
    if plain.is_empty() {
        plain.push('/');
    }
    Cow::Owned(plain)
}

/// The route of a [plain](plain) path, and what stands in its parameter.
///
/// A path with `%`, a dot segment or a control byte matches nothing: no route needs them, and two readers may disagree about
/// what they mean. Names of models and digests of blobs alone may be written in percent-encoding, as clients write them:
/// they are looked up, and go no further as they came.
#[must_use]
pub fn find(path: &str) -> Option<(&'static Route, Option<Cow<'_, str>>)> {
    if let Some(route) = ROUTES.iter().find(|r| r.pattern == path) {
        return (!path.contains(':')).then_some((route, None));
    }
    let (route, parameter) = ROUTES.iter().find_map(|route| {
        let (before, _) = route.pattern.split_once(':')?;
        path.strip_prefix(before).map(|parameter| (route, parameter))
    })?;
    let parameter = match route.pattern {
        MODEL | BLOB => decoded(parameter)?,
        _ => Cow::Borrowed(parameter),
    };
    let odd = parameter.is_empty()
        || parameter.split('/').any(|segment| segment == "." || segment == "..")
        || parameter.chars().any(char::is_control)
        || (route.pattern != MODEL && !parameter.bytes().all(|b| b.is_ascii_graphic() && b != b'%'));
    (!odd).then_some((route, Some(parameter)))
}

const MODEL: &str = "/v1/models/:model";
const BLOB: &str = "/api/blobs/:digest";

/// A path's text without percent-encoding; None if it is none.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let digits = str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Longest path that is looked at for what was meant.
const LONGEST: usize = 256;

/// The route of Ollama, OpenAI or Anthropic that an unknown path was probably meant for: a base URL lacks `/v1` or
/// `/api`, or has it twice, or something before it.
#[must_use]
pub fn meant(path: &str) -> Option<&'static Route> {
    let path = path.to_ascii_lowercase();
    if path.len() > LONGEST {
        return None;
    }
    let of = |path: &str| find(path).map(|(route, _)| route).filter(|r| r.pattern.len() > 1);
    let ends = path.match_indices('/').map(|(at, _)| &path[at..]);
    let before = ["", "/v1", "/api", "/v1/audio", "/v1/images", "/v1/messages"];
    let mut tried = ends.flat_map(|end| before.map(|before| format!("{before}{end}")));
    tried.find_map(|path| of(&path))
}

#[cfg(test)]
mod tests {
    use super::{find, meant, plain};

    #[test]
    fn odd_paths_match_nothing() {
        for path in [
            "/api/%63hat",
            "/api/../api/chat",
            "/api/./chat",
            "/v1/models/",
            "/v1/models/:model/..",
            "/v1/models/%2e%2e",
            "/v1/models/a%2F..%2Fb",
            "/v1/models/a%00",
            "/v1/models/a%0a",
            "/v1/models/a%2",
            "/v1/models/a%+1",
            "/v1/models/%ff",
            "/v1/models/../x",
            "/api/blobs/sha256%3A%2e%2e%2F00/..",
            "/api/blobs/sha256%253A00",
            "/api/blobs/%2e%2e",
            "/api/blobs/sha256%3A%00",
            "/V1/models",
            "",
        ] {
            assert!(find(&plain(path)).is_none_or(|(route, _)| route.pattern == "/v1/models"), "{path}");
        }
    }

    #[test]
    fn models_are_named_as_clients_write_them() {
        for (path, model) in [
            ("/v1/models/hf.co/org/repo:q4", "hf.co/org/repo:q4"),
            ("/v1/models/hf.co%2Forg%2frepo%3Aq4", "hf.co/org/repo:q4"),
            ("/v1/models/%2Fsrv%2FMy%20Model.gguf", "/srv/My Model.gguf"),
            ("/v1/models/%C3%A9", "é"),
            ("/v1/models/50%25", "50%"),
        ] {
            let (route, found) = find(path).unwrap();
            assert_eq!((route.pattern, found.as_deref()), ("/v1/models/:model", Some(model)));
        }
    }

    #[test]
    fn the_colon_of_a_digest_may_be_encoded() {
        let (route, found) = find("/api/blobs/sha256%3A00ff").unwrap();
        assert_eq!((route.pattern, found.as_deref()), ("/api/blobs/:digest", Some("sha256:00ff")));
    }

    #[test]
    fn slashes_that_say_nothing_do_not_count() {
        for (path, pattern) in [
            ("//api/tags", "/api/tags"),
            ("/api/tags/", "/api/tags"),
            ("/v1//chat/completions", "/v1/chat/completions"),
            ("///v1///models//", "/v1/models"),
            ("//v1/models/a", "/v1/models/:model"),
            ("//", "/"),
            ("/", "/"),
        ] {
            assert_eq!(find(&plain(path)).unwrap().0.pattern, pattern, "{path}");
        }
        assert!(matches!(plain("/api/chat"), std::borrow::Cow::Borrowed(_)));
    }

    #[test]
    fn a_wrong_base_url_is_seen_through() {
        for (path, pattern) in [
            ("/chat/completions", "/v1/chat/completions"),
            ("/models", "/v1/models"),
            ("/models/m", "/v1/models/:model"),
            ("/messages", "/v1/messages"),
            ("/tags", "/api/tags"),
            ("/speech", "/v1/audio/speech"),
            ("/v1/transcriptions", "/v1/audio/transcriptions"),
            ("/edits", "/v1/images/edits"),
            ("/count_tokens", "/v1/messages/count_tokens"),
            ("/v1/v1/chat/completions", "/v1/chat/completions"),
            ("/openai/v1/responses", "/v1/responses"),
            ("/v1/api/chat", "/api/chat"),
            ("/api/api/generate", "/api/generate"),
            ("/api/v1/chat/completions", "/v1/chat/completions"),
            ("/V1/Chat/Completions", "/v1/chat/completions"),
        ] {
            assert!(find(path).is_none(), "{path}");
            assert_eq!(meant(path).map(|route| route.pattern), Some(pattern), "{path}");
        }
        for path in ["/nowhere", "/", "/api/%63hat", "/v1/../x"] {
            assert!(meant(path).is_none(), "{path}");
        }
    }
}
