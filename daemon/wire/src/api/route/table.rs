//! The one table of routes. The path sent to a node comes from here, never from the client's bytes.

use aivonx_protocol::key::KeyScope;
use http::Method;

use super::{Account, Action, COUNT_TOKENS, Forward, HEALTH, Local, Output, Route, Stream, Version};
use crate::api::{Dialect, form::Upload};

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const DELETE: &[Method] = &[Method::DELETE];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const POST_HEAD: &[Method] = &[Method::POST, Method::HEAD];
const ANY_METHOD: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Why what Ollama does with an account at ollama.com is not done here.
const NO_ACCOUNT: &str =
    "the nodes' own account at ollama.com is not managed through the gateway; sign in on the node itself";

/// Why Ollama's own searches are not passed on.
const NO_SEARCH: &str =
    "Ollama's experimental API, which sends queries to a third party, is not served through the gateway";

/// Why nothing is kept for later.
const NO_BATCHES: &str = "the gateway keeps no files and runs no batches; send each request to its own route";

/// Why a conversation is not made shorter here.
const NO_COMPACTION: &str = "the gateway does not shorten conversations; shorten it yourself, and send the rest to /v1/responses as input";

/// Why the tokens of a request to `/v1/responses` are not counted.
const NO_INPUT_TOKENS: &str =
    "tokens are not counted here; /v1/messages/count_tokens and /tokenize count them";

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
            metered: true,
            optional: false,
            form: None,
            socket: false,
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
            metered: true,
            optional: false,
            form: None,
            socket: false,
        }),
        about,
    }
}

/// What some engines behind OpenAI's API serve: those that `about` names, or the like.
const fn engines(path: &'static str, about: &'static str) -> Route {
    let route = v1(path, (0, 0, 0), Stream::Never, Output::Nothing, Dialect::Openai, about);
    match route {
        Route { action: Action::Forward(forward), .. } => {
            let forward = Forward { ollama: None, optional: true, ..forward };
            Route { action: Action::Forward(forward), ..route }
        }
        route => route,
    }
}

/// A conversation in both directions, for as long as both sides want.
const fn socket(path: &'static str, about: &'static str) -> Route {
    let route = engines(path, about);
    match route {
        Route { action: Action::Forward(forward), .. } => {
            let forward = Forward { socket: true, ..forward };
            Route { methods: GET, action: Action::Forward(forward), ..route }
        }
        route => route,
    }
}

/// What takes a form with a file.
const fn uploads(route: Route, upload: Upload) -> Route {
    match route {
        Route { action: Action::Forward(forward), .. } => {
            let forward = Forward { form: Some(upload), ..forward };
            Route { action: Action::Forward(forward), ..route }
        }
        route => route,
    }
}

/// What some nodes of Ollama serve, too, and no version of it tells which.
const fn ollamas_too(route: Route) -> Route {
    match route {
        Route { action: Action::Forward(forward), .. } => {
            Route { action: Action::Forward(Forward { ollama: ANY, ..forward }), ..route }
        }
        route => route,
    }
}

/// What makes nothing, and only counts tokens or looks at them.
const fn unmetered(route: Route) -> Route {
    match route {
        Route { action: Action::Forward(forward), .. } => {
            Route { action: Action::Forward(Forward { metered: false, ..forward }), ..route }
        }
        route => route,
    }
}

/// Where `prompt` may be a list.
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

/// What changes the models that nodes have.
const fn manages(pattern: &'static str, action: Action, about: &'static str) -> Route {
    Route { pattern, methods: POST, dialect: Dialect::Ollama, action, about }
}

/// What a node could do and a gateway for several tenants does not.
const fn never(pattern: &'static str, dialect: Dialect, why: &'static str) -> Route {
    Route { pattern, methods: ANY_METHOD, dialect, action: Action::Never(why), about: "Not served: 404." }
}

const RANKS: &str = "Ranking of documents by a query.";

const SCORES: &str = "Scores of pairs of texts.";

/// llama.cpp's completion of what lies between two texts.
const fn infill() -> Route {
    let route = engines("/infill", "Completion between a prefix and a suffix, as llama.cpp serves it.");
    match route {
        Route { action: Action::Forward(forward), .. } => {
            let (stream, output) = (Stream::Done, Output::Key("n_predict"));
            let forward = Forward { stream_default: Some(false), stream, output, ..forward };
            Route { action: Action::Forward(forward), ..route }
        }
        route => route,
    }
}

const fn counted() -> Route {
    let route = engines(
        COUNT_TOKENS,
        "The tokens that a request to `/v1/messages` has, counted by a node that can; otherwise estimated by what nodes \
         counted of the model's prompts before, and the field `X-Aivonx-Estimated: tokens` says so; it counts against no \
         limit.",
    );
    Route { dialect: Dialect::Anthropic, ..unmetered(route) }
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
            metered: false,
            optional: false,
            form: None,
            socket: false,
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
    engines("/v1/rerank", RANKS),
    engines("/v2/rerank", RANKS),
    engines("/rerank", RANKS),
    engines("/v1/reranking", RANKS),
    engines("/reranking", RANKS),
    engines("/v1/score", SCORES),
    engines("/score", SCORES),
    unmetered(engines("/tokenize", "The tokens of a text; counts against no limit.")),
    unmetered(engines("/detokenize", "The text of tokens; counts against no limit.")),
    infill(),
    ollamas_too(uploads(
        engines("/v1/audio/transcriptions", "The text of speech, which is the file of a form."),
        Upload::Audio,
    )),
    uploads(
        engines("/v1/audio/translations", "The text of speech in English; a form likewise."),
        Upload::Audio,
    ),
    engines("/v1/audio/speech", "Speech of a text; the sound comes as the node makes it."),
    ollamas_too(engines("/v1/images/generations", "Images of a text.")),
    ollamas_too(uploads(
        engines("/v1/images/edits", "Images of a text and other images, which are the files of a form."),
        Upload::Image,
    )),
    socket(
        "/v1/realtime",
        "A websocket to a node that has one, with the model in the query: `?model=NAME`. Each answer counts as a request; \
         what `response.done` says it came to counts against the limits at once.",
    ),
    v1("/v1/responses", (0, 13, 3), Stream::Responses, Output::Key("max_output_tokens"), I, "Responses."),
    Route {
        pattern: "/v1/responses/:id",
        methods: &[Method::GET, Method::DELETE, Method::POST],
        dialect: I,
        action: Action::Response,
        about: "A response of the caller's organization, `ID/input_items`, or with POST `ID/cancel`: from the node that \
                made it, as long as the gateway remembers which.",
    },
    v1("/v1/messages", (0, 14, 0), Stream::Messages, Output::Key("max_tokens"), A, "Messages."),
    counted(),
    local(
        "/",
        O,
        Local::Root,
        "`Ollama is running`, whatever the state of the fleet: clients ask it before anything else.",
    ),
    local("/api/version", O, Local::Version, "The lowest version among the nodes; 0.0.0 if none says it."),
    local("/api/tags", O, Local::Tags, "The models the caller may use."),
    local("/api/ps", O, Local::Ps, "The models in memory."),
    local(
        "/v1/models",
        I,
        Local::Models,
        "The models the caller may use; with the field `anthropic-version` in that dialect.",
    ),
    local("/v1/models/:model", I, Local::Model, "One model."),
    Route {
        pattern: "/api/pull",
        methods: POST,
        dialect: O,
        action: Action::Pull,
        about: "Has a model pulled, by a job that goes on when the client leaves; its progress is the stream.",
    },
    manages(
        "/api/copy",
        Action::Copy,
        "Copies a model under another name, on every node of the caller that has it.",
    ),
    manages(
        "/api/create",
        Action::Create,
        "Makes a model, by a job whose progress is the stream, on the nodes of the caller that have all of what it is made \
         of; 409 names what no node has together.",
    ),
    manages(
        "/api/push",
        Action::Push,
        "Sends a model to its registry, by a job whose progress is the stream.",
    ),
    Route {
        methods: POST_HEAD,
        ..manages(
            "/api/blobs/:digest",
            Action::Blob,
            "Brings a file to a node of the caller, which must have the digest that it is sent under; HEAD asks every node \
             whether it has it.",
        )
    },
    Route {
        pattern: "/api/delete",
        methods: DELETE,
        dialect: O,
        action: Action::Delete,
        about: "Removes a model from every node of the caller that has it.",
    },
    local(HEALTH, O, Local::Health, "200 while the process lives."),
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
    local(
        "/api/status",
        O,
        Local::Status,
        "Whether models that run at third parties may be used, as Ollama says it.",
    ),
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
    account("/api/account/keys/:id", DELETE, Account::Key, "Revokes one of the caller's keys."),
    Route {
        pattern: "/api/account/usage",
        methods: GET,
        dialect: O,
        action: Action::OwnUsage,
        about: "What the caller used.",
    },
    never("/api/me", O, NO_ACCOUNT),
    never("/api/signout", O, NO_ACCOUNT),
    never("/api/user/keys/:key", O, NO_ACCOUNT),
    never("/api/experimental/:route", O, NO_SEARCH),
    never("/v1/files", I, NO_BATCHES),
    never("/v1/files/:id", I, NO_BATCHES),
    never("/v1/batches", I, NO_BATCHES),
    never("/v1/batches/:id", I, NO_BATCHES),
    never("/v1/messages/batches", A, NO_BATCHES),
    never("/v1/messages/batches/:id", A, NO_BATCHES),
    never("/v1/responses/compact", I, NO_COMPACTION),
    never("/v1/responses/input_tokens", I, NO_INPUT_TOKENS),
];

#[cfg(test)]
mod tests {
    use super::{Action, ROUTES};
    use crate::api::route::find;

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
    fn aliases_reach_the_same_path_on_the_node() {
        let (alias, _) = find("/api/proxy/chat").unwrap();
        let Action::Forward(forward) = alias.action else { panic!("not forwarded") };
        assert_eq!(forward.path, "/api/chat");
    }
}
