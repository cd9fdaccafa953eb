//! The one table: what a node's answer, or the lack of one, means for the request and for the node.

use aivonx_fleet::{Node, Scope};
use http::StatusCode;
use memchr::memmem;

use super::upstream::SendError;

/// What an attempt came to. In this order an answer is worse for the client: of several the first is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// The node did its work, or the client asked for something wrong: the client gets the answer.
    Served,
    /// The node is well, but has no room now: another may have.
    Busy,
    /// The node failed over the request, or over the model: another may not.
    Failed,
    /// The node does not have the model, though it listed it: another may.
    Missing,
    /// What stands in front of the engine answered for it.
    FrontEnd,
    /// The node does not serve this, and is not to blame: another may.
    Unasked,
    /// The node is set up wrongly, and its answer is none for a client.
    Misfit,
    /// The node takes nobody's requests: another may.
    Unreachable,
}

/// What is to blame for an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Nobody,
    /// The node, for this model.
    Model,
    /// The node, whatever the model.
    Node,
    /// The way to the node: once is enough.
    Connection,
}

impl Blame {
    /// Holds it against `node`, which was asked for `model`.
    pub(super) fn on(self, node: &Node, model: &str) {
        match self {
            Self::Nobody => {}
            Self::Model => node.live.hold(Scope::Model(model)),
            Self::Node => node.live.hold(Scope::Node),
            Self::Connection => node.live.hold(Scope::Connection),
        }
    }
}

/// What the beginning of an answer's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// There is no byte of it.
    Nothing,
    /// A page for a browser: no engine wrote it.
    Page,
    /// An engine says that it has no room now.
    Full,
    /// An engine says that it cannot load or run the model.
    Engine,
    /// An engine says that it does not have the model.
    NoModel,
    /// Some other error, where an error was not to be expected.
    Error,
    /// Anything else.
    Other,
}

/// What engines say when they have no room now, in lower case.
const FULL: &[&str] = &[
    "server busy",
    "maximum pending requests",
    "loading model",
    "no slot available",
    "no slots available",
    "queue is full",
    "overloaded",
    "too many requests",
];

/// What Ollama, llama.cpp, vLLM, LM Studio and what stands in front of them say when a model cannot be loaded or run.
const ENGINE: &[&str] = &[
    "llama runner",
    "llama-server",
    "model runner",
    "runner process",
    "error was encountered while running the model",
    "unexpected eof",
    "do load request",
    "cuda error",
    "cuda out of memory",
    "hip error",
    "rocm error",
    "vk::",
    "ggml_",
    "gpu vram usage didn't recover",
    "more system memory",
    "out of memory",
    "failed to load",
    "unable to load",
    "error loading model",
    "model has crashed",
    "model failed to load",
    "enginedead",
    "engine is dead",
    "engine core",
    "timed out waiting for llama",
    "insufficient system resources",
];

/// What engines say of a model that they do not have, beside the word "model".
const NO_MODEL: &[&str] = &["not found", "does not exist", "no such model", "not installed"];

impl Class {
    /// Of an error's `text`, or of its beginning.
    pub(super) fn of_error(text: &[u8]) -> Self {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Self::Nothing;
        }
        if text.starts_with(b"<") {
            return Self::Page;
        }
        let text = text.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| memmem::find(&text, words.as_bytes()).is_some());
        if says(FULL) {
            Self::Full
        } else if says(ENGINE) {
            Self::Engine
        } else if says(&["model"]) && says(NO_MODEL) {
            Self::NoModel
        } else {
            Self::Other
        }
    }

    /// Of an error that came in the place of output.
    pub(super) fn instead_of_output(words: &str) -> Self {
        match Self::of_error(words.as_bytes()) {
            Self::Nothing | Self::Page | Self::Other => Self::Error,
            class => class,
        }
    }
}

impl Meaning {
    /// What an answer means whose body begins like that.
    pub(super) fn of_answer(status: StatusCode, class: Class) -> Self {
        match (status.as_u16(), class) {
            (200..=299, Class::Nothing | Class::Engine | Class::Error) => Self::Failed,
            (200..=299, Class::Page) => Self::FrontEnd,
            (200..=299, Class::Full) => Self::Busy,
            (200..=299, Class::NoModel) => Self::Missing,
            // What the gateway sent as its credential is no work of the node; a redirect is not followed.
            (300..=399 | 401 | 407, _) => Self::Misfit,
            (403, Class::Page) => Self::FrontEnd,
            (404 | 410, _) | (400, Class::NoModel) => Self::Missing,
            // Ollama with a full queue, llama.cpp while it loads, vLLM and proxies at their limits.
            (425 | 429 | 503 | 529, _) => Self::Busy,
            // LM Studio says so of a model that crashed or could not be loaded.
            (408, _) | (400..=499, Class::Engine) => Self::Failed,
            // A node that is too old, or a gateway that leads back here: another one may not.
            (501 | 505 | 508, _) => Self::Unasked,
            (520.., _) | (500..=599, Class::Page) => Self::FrontEnd,
            (500..=599, Class::Full) => Self::Busy,
            (500..=599, Class::NoModel) => Self::Missing,
            (500..=599, _) => Self::Failed,
            _ => Self::Served,
        }
    }

    /// What it means that there is no answer.
    pub(super) fn of_error(error: &SendError) -> Self {
        match error {
            SendError::NoRoom => Self::Unasked,
            SendError::Dial(_) => Self::Unreachable,
            SendError::Closed { .. }
            | SendError::Died { .. }
            | SendError::Garbage(_)
            | SendError::Empty
            | SendError::Broke(_) => Self::Failed,
        }
    }

    /// Whether another node may do better.
    pub(super) fn tries_another(self) -> bool {
        self != Self::Served
    }

    /// Whom it speaks against.
    pub(super) fn blames(self) -> Blame {
        match self {
            Self::Served | Self::Busy | Self::Missing | Self::Unasked => Blame::Nobody,
            Self::Failed => Blame::Model,
            Self::FrontEnd | Self::Misfit => Blame::Node,
            Self::Unreachable => Blame::Connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use aivonx_fleet::DialError;
    use http::StatusCode;

    use super::{Blame, Class, Meaning, SendError};

    #[test]
    fn every_answer_has_its_meaning() {
        let engine =
            r#"{"error":"llama runner process has terminated: CUDA error: unspecified launch failure"}"#;
        let memory = r#"{"error":"model requires more system memory (9.1 GiB) than is available (3.2 GiB)"}"#;
        let page = "<html><head><title>502 Bad Gateway</title></head></html>";
        for (status, body, meaning) in [
            (200, "{}", Meaning::Served),
            (200, "", Meaning::Failed),
            (200, page, Meaning::FrontEnd),
            (302, "", Meaning::Misfit),
            (400, r#"{"error":"invalid format"}"#, Meaning::Served),
            (400, r#"{"error":"The model has crashed without additional information."}"#, Meaning::Failed),
            (401, "{}", Meaning::Misfit),
            (403, r#"{"error":"denied"}"#, Meaning::Served),
            (403, page, Meaning::FrontEnd),
            (404, r#"{"error":"model 'm' not found"}"#, Meaning::Missing),
            (404, "404 page not found", Meaning::Missing),
            (408, "", Meaning::Failed),
            (413, page, Meaning::Served),
            (422, "{}", Meaning::Served),
            (429, "{}", Meaning::Busy),
            (500, engine, Meaning::Failed),
            (500, memory, Meaning::Failed),
            (500, r#"{"error":"unexpected EOF"}"#, Meaning::Failed),
            (500, "Internal Server Error", Meaning::Failed),
            (500, "", Meaning::Failed),
            (500, page, Meaning::FrontEnd),
            (500, r#"{"error":{"message":"no slot available"}}"#, Meaning::Busy),
            (501, "{}", Meaning::Unasked),
            (502, "{}", Meaning::Failed),
            (502, page, Meaning::FrontEnd),
            (503, page, Meaning::Busy),
            (503, r#"{"error":"server busy, please try again"}"#, Meaning::Busy),
            (504, "{}", Meaning::Failed),
            (508, "{}", Meaning::Unasked),
            (522, "error code: 522", Meaning::FrontEnd),
            (529, "{}", Meaning::Busy),
            (530, page, Meaning::FrontEnd),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let class = Class::of_error(body.as_bytes());
            assert_eq!(Meaning::of_answer(status, class), meaning, "{status} {body}");
        }
        for (words, meaning) in [
            ("unexpected EOF", Meaning::Failed),
            ("whatever", Meaning::Failed),
            ("", Meaning::Failed),
            ("server busy, please try again", Meaning::Busy),
            ("model 'm' not found", Meaning::Missing),
        ] {
            let class = Class::instead_of_output(words);
            assert_eq!(Meaning::of_answer(StatusCode::OK, class), meaning, "{words}");
        }
    }

    #[test]
    fn every_failure_has_its_meaning() {
        let os = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let tcp = |error| SendError::Dial(DialError::Tcp(error));
        for (error, meaning) in [
            (tcp(os(rustix::io::Errno::CONNREFUSED)), Meaning::Unreachable),
            (tcp(io::Error::other("no such name")), Meaning::Unreachable),
            (SendError::Dial(DialError::Tls(reset())), Meaning::Unreachable),
            (SendError::Dial(DialError::TimedOut(Duration::from_secs(1))), Meaning::Unreachable),
            (SendError::NoRoom, Meaning::Unasked),
            (SendError::Closed { reused: false }, Meaning::Failed),
            (SendError::Died { reused: true, source: reset() }, Meaning::Failed),
            (SendError::Garbage("no status line"), Meaning::Failed),
            (SendError::Empty, Meaning::Failed),
            (SendError::Broke(reset()), Meaning::Failed),
        ] {
            assert_eq!(Meaning::of_error(&error), meaning, "{error}");
        }
    }

    #[test]
    fn who_is_busy_or_lacks_a_model_is_not_to_blame() {
        use Meaning::{Busy, Failed, FrontEnd, Misfit, Missing, Served, Unasked, Unreachable};
        for (meaning, blame) in [
            (Served, Blame::Nobody),
            (Busy, Blame::Nobody),
            (Missing, Blame::Nobody),
            (Unasked, Blame::Nobody),
            (Failed, Blame::Model),
            (FrontEnd, Blame::Node),
            (Misfit, Blame::Node),
            (Unreachable, Blame::Connection),
        ] {
            assert_eq!(
                (meaning.blames(), meaning.tries_another()),
                (blame, meaning != Served),
                "{meaning:?}"
            );
        }
    }
}
