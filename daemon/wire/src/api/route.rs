//! The one table of routes. The path sent to a node comes from here, never from the client's bytes.

use aivonx_protocol::key::KeyScope;
use http::Method;

use super::Dialect;

/// A version of Ollama.
pub type Version = (u32, u32, u32);

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Pattern, as shown in logs and metrics.
    pub pattern: &'static str,
    /// Methods it answers; `HEAD` is implied by `GET`.
    pub methods: &'static [Method],
    /// Whose API it is; paths under `/v1` may be switched to Anthropic's by the request.
    pub dialect: Dialect,
    /// Who answers.
    pub action: Action,
    /// What it is for, in a sentence: aivonx-api(7) prints it.
    pub about: &'static str,
}

/// Who answers a route.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// A node.
    Forward(Forward),
    /// The gateway itself.
    Local(Local),
    /// A pull job.
    Pull,
    /// Removal of a model from the fleet.
    Delete,
    /// The caller's own account.
    Account(Account),
    /// What the caller used.
    OwnUsage,
    /// Known, but not served by this version: 501. The scope is what it will need.
    NotYet(KeyScope),
}

/// What forwarding needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Forward {
    /// Path on the node, under its prefix.
    pub path: &'static str,
    /// What a key must be allowed: [`KeyScope::Infer`] where the body carries a prompt.
    pub scope: KeyScope,
    /// Whether `prompt` may be a list whose entries are answered one by one.
    pub prompt_list: bool,
    /// Lowest Ollama version that serves it; None if Ollama does not.
    pub ollama: Option<Version>,
    /// Whether `openai` nodes serve it.
    pub openai: bool,
    /// What an absent `stream` means; None if the route never streams.
    pub stream_default: Option<bool>,
    /// How its stream is framed and ends.
    pub stream: Stream,
    /// Where the tokens of its output are bound.
    pub output: Output,
    /// Whether usage must be asked for with `stream_options.include_usage`.
    pub ask_usage: bool,
    /// Key that may name the model when `model` is absent or empty: the older `name` of some Ollama routes.
    pub legacy_name: bool,
}

impl Forward {
    /// Whether its body carries a prompt: on all routes but those that only describe a model.
    #[must_use]
    pub fn prompts(&self) -> bool {
        self.scope == KeyScope::Infer
    }

    /// Whether it takes `keep_alive` and `options`: those that run a model by Ollama's own API.
    #[must_use]
    pub fn native(&self) -> bool {
        !self.openai && self.prompts()
    }
}

/// Where the output of a route is bound. Engines know more words for it than the route's own API, and whichever of
/// them stands in a body is governed ([`super::Peek::output_limit`]); this is the one that is written where a bound
/// is wanted and none is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It has no output tokens: embeddings.
    Nothing,
    /// `options.num_predict`
    Predict,
    /// A key of the outermost object. Of OpenAI's two for chat it is `max_tokens`, which every engine knows.
    Key(&'static str),
}

/// How a route's stream is framed, and what its end looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// One JSON object a line, the last with `"done":true`.
    Ndjson,
    /// Server-sent events ending with `data: [DONE]`.
    Done,
    /// Server-sent events ending with `response.completed`, `.failed` or `.incomplete`.
    Responses,
    /// Server-sent events ending with `message_stop`.
    Messages,
    /// Never streams.
    Never,
}

/// What the gateway answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// "Ollama is running", in any state of the fleet: clients ask it before anything else.
    Root,
    /// Lowest version of the fleet.
    Version,
    /// Models of the fleet, Ollama's shape.
    Tags,
    /// Models in memory, Ollama's shape.
    Ps,
    /// Models of the fleet, OpenAI's or Anthropic's shape.
    Models,
    /// One model, OpenAI's or Anthropic's shape.
    Model,
    /// The process lives.
    Health,
    /// The gateway can serve.
    Ready,
    /// "Ollama is running" if a node is active.
    Proxy,
    /// The older system's view of the fleet.
    ProxyState,
    /// The older system's view of running requests.
    ActiveRequests,
    /// Prometheus metrics.
    Metrics,
}

/// What is done about the caller's own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Prove who one is; gives tokens.
    Login,
    /// Give new tokens for a refresh token.
    Refresh,
    /// End the session.
    Logout,
    /// Who the caller is.
    Me,
    /// Change the password.
    Password,
    /// Set a password with an administrator's code.
    PasswordReset,
    /// Set up, disable or renew the second factor.
    Totp,
    /// List keys, or make one.
    Keys,
    /// Revoke a key.
    Key,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const DELETE: &[Method] = &[Method::DELETE];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const POST_HEAD: &[Method] = &[Method::POST, Method::HEAD];

/// Any Ollama version.
const ANY: Option<Version> = Some((0, 0, 0));

const fn ollama(
    pattern: &'static str,
    path: &'static str,
    stream_default: Option<bool>,
    about: &'static str,
) -> Route {
    let (stream, output) = match stream_default {
        Some(_) => (Stream::Ndjson, Output::Predict),
        None => (Stream::Never, Output::Nothing),
    };
    Route {
        pattern,
        methods: POST,
        dialect: Dialect::Ollama,
        action: Action::Forward(Forward {
            path,
            scope: KeyScope::Infer,
            prompt_list: false,
            ollama: ANY,
            openai: false,
            stream_default,
            stream,
            output,
            ask_usage: false,
            legacy_name: false,
        }),
        about,
    }
}

const fn v1(
    path: &'static str,
    lowest: Version,
    stream: Stream,
    output: Output,
    dialect: Dialect,
    about: &'static str,
) -> Route {
    let stream_default = match stream {
        Stream::Never => None,
        _ => Some(false),
    };
    Route {
        pattern: path,
        methods: POST,
        dialect,
        action: Action::Forward(Forward {
            path,
            scope: KeyScope::Infer,
            prompt_list: false,
            ollama: Some(lowest),
            openai: true,
            stream_default,
            stream,
            output,
            ask_usage: matches!(stream, Stream::Done),
            legacy_name: false,
        }),
        about,
    }
}

/// The same, where `prompt` may be a list.
const fn prompt_list(route: Route) -> Route {
    match route {
        Route { action: Action::Forward(forward), .. } => {
            Route { action: Action::Forward(Forward { prompt_list: true, ..forward }), ..route }
        }
        route => route,
    }
}

const fn local(pattern: &'static str, dialect: Dialect, what: Local, about: &'static str) -> Route {
    Route { pattern, methods: GET, dialect, action: Action::Local(what), about }
}

const fn account(
    pattern: &'static str,
    methods: &'static [Method],
    what: Account,
    about: &'static str,
) -> Route {
    Route { pattern, methods, dialect: Dialect::Ollama, action: Action::Account(what), about }
}

const fn not_yet(
    pattern: &'static str,
    methods: &'static [Method],
    dialect: Dialect,
    scope: KeyScope,
) -> Route {
    Route {
        pattern,
        methods,
        dialect,
        action: Action::NotYet(scope),
        about: "Not served by this version: 501.",
    }
}

use Dialect::{Anthropic as A, Ollama as O, Openai as I};

/// Every route, those of the data path first.
pub static ROUTES: &[Route] = &[
    ollama("/api/chat", "/api/chat", Some(true), "Chat."),
    ollama(
        "/api/generate",
        "/api/generate",
        Some(true),
        "Completion of a prompt; an empty prompt loads the model.",
    ),
    ollama("/api/embed", "/api/embed", None, "Embeddings of one or more texts."),
    ollama("/api/embeddings", "/api/embeddings", None, "The older form, for one text."),
    Route {
        pattern: "/api/show",
        methods: POST,
        dialect: O,
        action: Action::Forward(Forward {
            path: "/api/show",
            scope: KeyScope::ModelsRead,
            prompt_list: false,
            ollama: ANY,
            openai: false,
            stream_default: None,
            stream: Stream::Never,
            output: Output::Nothing,
            ask_usage: false,
            legacy_name: true,
        }),
        about: "What a model is: its template, parameters and capabilities.",
    },
    v1("/v1/chat/completions", (0, 0, 0), Stream::Done, Output::Key("max_tokens"), I, "Chat."),
    prompt_list(v1(
        "/v1/completions",
        (0, 0, 0),
        Stream::Done,
        Output::Key("max_tokens"),
        I,
        "Completion of a prompt.",
    )),
    v1("/v1/embeddings", (0, 0, 0), Stream::Never, Output::Nothing, I, "Embeddings of one or more texts."),
    v1("/v1/responses", (0, 13, 3), Stream::Responses, Output::Key("max_output_tokens"), I, "Responses."),
    v1("/v1/messages", (0, 14, 0), Stream::Messages, Output::Key("max_tokens"), A, "Messages."),
    local(
        "/",
        O,
        Local::Root,
        "`Ollama is running`, whatever the state of the fleet: clients ask it before anything else.",
    ),
    local("/api/version", O, Local::Version, "The lowest version among the nodes."),
    local("/api/tags", O, Local::Tags, "The models the caller may use."),
    local("/api/ps", O, Local::Ps, "The models in memory."),
    local(
        "/v1/models",
        I,
        Local::Models,
        "The models the caller may use; with the field `anthropic-version` in that dialect.",
    ),
    local(MODEL_PATTERN, I, Local::Model, "One model."),
    Route {
        pattern: "/api/pull",
        methods: POST,
        dialect: O,
        action: Action::Pull,
        about: "Has a model pulled, by a job that goes on when the client leaves; its progress is the stream.",
    },
    Route {
        pattern: "/api/delete",
        methods: DELETE,
        dialect: O,
        action: Action::Delete,
        about: "Removes a model from every node of the caller that has it.",
    },
    local("/health", O, Local::Health, "200 while the process lives."),
    local("/api/health", O, Local::Health, "The same."),
    local(
        "/ready",
        O,
        Local::Ready,
        "200 when requests can be served; `status` is `degraded`, with the reason, while the store takes no changes.",
    ),
    local("/api/proxy", O, Local::Proxy, "`Ollama is running` if a node is active."),
    local("/api/proxy/state", O, Local::ProxyState, "The nodes and their state."),
    local("/api/proxy/active-requests", O, Local::ActiveRequests, "The requests that are running."),
    local("/metrics", O, Local::Metrics, "Metrics for Prometheus."),
    ollama("/api/proxy/generate", "/api/generate", Some(true), "Older name of `/api/generate`."),
    ollama("/api/proxy/chat", "/api/chat", Some(true), "Older name of `/api/chat`."),
    ollama("/api/proxy/embed", "/api/embed", None, "Older name of `/api/embed`."),
    ollama("/api/proxy/embeddings", "/api/embeddings", None, "Older name of `/api/embeddings`."),
    account("/api/account/login", POST, Account::Login, "Proves who one is, and gives tokens."),
    account(
        "/api/account/refresh",
        POST,
        Account::Refresh,
        "Gives new tokens for a refresh token, which is spent.",
    ),
    account(
        "/api/account/logout",
        POST,
        Account::Logout,
        "Ends the session of the access token, or of the refresh token in the body.",
    ),
    account("/api/account/me", GET, Account::Me, "Who the caller is."),
    account(
        "/api/account/password",
        POST,
        Account::Password,
        "Sets another password; the other sessions end.",
    ),
    account(
        "/api/account/password/reset",
        POST,
        Account::PasswordReset,
        "Sets a password with an administrator's code.",
    ),
    account(
        "/api/account/totp",
        POST,
        Account::Totp,
        "Sets up, confirms or disables the second factor, or makes new backup codes.",
    ),
    account(
        "/api/account/keys",
        GET_POST,
        Account::Keys,
        "Lists the caller's keys, or makes one, whose secret is shown once.",
    ),
    account(KEY_PATTERN, DELETE, Account::Key, "Revokes one of the caller's keys."),
    Route {
        pattern: "/api/account/usage",
        methods: GET,
        dialect: O,
        action: Action::OwnUsage,
        about: "What the caller used.",
    },
    not_yet("/api/push", POST, O, KeyScope::ModelsWrite),
    not_yet("/api/create", POST, O, KeyScope::ModelsWrite),
    not_yet("/api/copy", POST, O, KeyScope::ModelsWrite),
    not_yet("/api/status", GET, O, KeyScope::AdminRead),
    not_yet(BLOB_PATTERN, POST_HEAD, O, KeyScope::ModelsWrite),
    not_yet("/v1/audio/transcriptions", POST, I, KeyScope::Infer),
];

const MODEL_PATTERN: &str = "/v1/models/:model";
const BLOB_PATTERN: &str = "/api/blobs/:digest";
const KEY_PATTERN: &str = "/api/account/keys/:id";

/// The route of `path`, and what stands in its parameter.
///
/// A path with `%`, `//`, a dot segment or a control byte matches nothing: no model, digest or route needs
/// them, and two readers may disagree about what they mean.
#[must_use]
pub fn find(path: &str) -> Option<(&'static Route, Option<&str>)> {
    if let Some(route) = ROUTES.iter().find(|r| r.pattern == path) {
        return (!path.contains(':')).then_some((route, None));
    }
    let (pattern, parameter) = path
        .strip_prefix("/v1/models/")
        .map(|p| (MODEL_PATTERN, p))
        .or_else(|| path.strip_prefix("/api/blobs/").map(|p| (BLOB_PATTERN, p)))
        .or_else(|| path.strip_prefix("/api/account/keys/").map(|p| (KEY_PATTERN, p)))?;
    let odd = parameter.is_empty()
        || parameter.contains('%')
        || parameter.split('/').any(|s| s.is_empty() || s == "." || s == "..")
        || !parameter.bytes().all(|b| b.is_ascii_graphic());
    if odd {
        return None;
    }
    ROUTES.iter().find(|r| r.pattern == pattern).map(|r| (r, Some(parameter)))
}

/// What a request must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: clients ask it before they have a key, or cannot send one.
    Nothing,
    /// A scope.
    Scope(KeyScope),
    /// To be a user, with an access token: a key may not manage the account it acts for.
    User,
    /// The same, unless the body proves it.
    UserOrBody,
}

impl Route {
    /// What it needs. Exhaustive on purpose: a new action does not compile before it is decided.
    #[must_use]
    pub fn need(&self) -> Need {
        Need::Scope(match self.action {
            Action::Forward(forward) => forward.scope,
            Action::Pull | Action::Delete => KeyScope::ModelsWrite,
            Action::NotYet(scope) => scope,
            Action::OwnUsage => return Need::User,
            Action::Account(what) => {
                return match what {
                    Account::Login | Account::Refresh | Account::PasswordReset => Need::Nothing,
                    Account::Logout => Need::UserOrBody,
                    Account::Me | Account::Password | Account::Totp | Account::Keys | Account::Key => {
                        Need::User
                    }
                };
            }
            Action::Local(what) => match what {
                Local::Root | Local::Version | Local::Health | Local::Ready | Local::Proxy => {
                    return Need::Nothing;
                }
                Local::Tags | Local::Ps | Local::Models | Local::Model => KeyScope::ModelsRead,
                Local::ProxyState | Local::ActiveRequests | Local::Metrics => KeyScope::AdminRead,
            },
        })
    }

    /// Whether `method` is served; `HEAD` is where `GET` is.
    #[must_use]
    pub fn allows(&self, method: &Method) -> bool {
        self.methods.contains(method) || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    /// Value of `Allow` for a 405.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        if self.methods.contains(&Method::GET) {
            names.push("HEAD");
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, ROUTES, find};

    #[test]
    fn every_pattern_is_found_once() {
        for route in ROUTES {
            assert_eq!(ROUTES.iter().filter(|r| r.pattern == route.pattern).count(), 1, "{}", route.pattern);
            if !route.pattern.contains(':') {
                assert!(find(route.pattern).is_some(), "{}", route.pattern);
            }
        }
    }

    #[test]
    fn odd_paths_match_nothing() {
        for path in [
            "/api/chat/",
            "//api/chat",
            "/api//chat",
            "/api/%63hat",
            "/api/../api/chat",
            "/api/./chat",
            "/v1/models/",
            "/v1/models/:model/..",
            "/v1/models/a%2fb",
            "/v1/models/../x",
            "/v1/models/a//b",
            "/V1/models",
            "",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
        let (route, model) = find("/v1/models/hf.co/org/repo:q4").unwrap();
        assert_eq!((route.pattern, model), ("/v1/models/:model", Some("hf.co/org/repo:q4")));
    }

    #[test]
    fn aliases_reach_the_same_path_on_the_node() {
        let (alias, _) = find("/api/proxy/chat").unwrap();
        let Action::Forward(forward) = alias.action else { panic!("not forwarded") };
        assert_eq!(forward.path, "/api/chat");
    }
}
