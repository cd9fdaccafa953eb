//! What a route is: its pattern, whose API it is, who may ask, and what becomes of a request.

mod find;
mod table;

use aivonx_protocol::key::KeyScope;
use http::Method;

pub use self::{
    find::{find, meant, plain},
    table::ROUTES,
};
use super::{Dialect, form::Upload};

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
    /// A copy of a model under another name.
    Copy,
    /// A model made out of others, or of files.
    Create,
    /// A model sent to its registry.
    Push,
    /// A file that a model is made of.
    Blob,
    /// The caller's own account.
    Account(Account),
    /// What the caller used.
    OwnUsage,
    /// The node that made a response: one of its own, its inputs, or its end.
    Response,
    /// Known, and never served: 404 with the reason.
    Never(&'static str),
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
    /// Whether what it uses counts against limits and costs something: not where a model is only described, or tokens
    /// are only counted.
    pub metered: bool,
    /// Whether some nodes of the kinds that serve it do not: what they do not find is then the route, not the model.
    pub optional: bool,
    /// What files it takes, if its body is a form.
    pub form: Option<Upload>,
    /// Whether it is a websocket: the model stands in the query, and there is no body.
    pub socket: bool,
}

impl Forward {
    /// A bit of its own for sets, if it is optional; else 0. None is one of an [API](crate::translate::Api)'s.
    #[must_use]
    pub fn bit(&self) -> u64 {
        if !self.optional {
            return 0;
        }
        let optional = ROUTES.iter().filter_map(|route| match &route.action {
            Action::Forward(forward) if forward.optional => Some(forward.path),
            _ => None,
        });
        optional.take(MOST_OPTIONAL).position(|path| path == self.path).map_or(0, |at| FIRST_OPTIONAL << at)
    }
}

impl Forward {
    /// Whether it is one of an engine's own routes, whose clients name no model where there is one alone.
    #[must_use]
    pub fn may_lack_model(&self) -> bool {
        matches!(self.path, "/tokenize" | "/detokenize" | "/infill" | "/rerank" | "/reranking")
    }
}

/// The bit of the first optional route, and how many of them have one.
const FIRST_OPTIONAL: u64 = 1 << 16;
const MOST_OPTIONAL: usize = 48;

/// Path that says whether the process lives.
pub const HEALTH: &str = "/health";

/// Path of the route that counts the tokens of a request of Anthropic's API.
pub const COUNT_TOKENS: &str = "/v1/messages/count_tokens";

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
    /// Whether cloud models may be used, Ollama's shape.
    Status,
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
            Action::Pull | Action::Delete | Action::Copy | Action::Create | Action::Push | Action::Blob => {
                KeyScope::ModelsWrite
            }
            Action::Never(_) => return Need::Nothing,
            Action::Response => KeyScope::Infer,
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
                // Of the status there is only what the caller may use.
                Local::Tags | Local::Ps | Local::Models | Local::Model | Local::Status => {
                    KeyScope::ModelsRead
                }
                Local::ProxyState | Local::ActiveRequests | Local::Metrics => KeyScope::AdminRead,
            },
        })
    }

    /// Whether what it uses counts against limits.
    #[must_use]
    pub fn metered(&self) -> bool {
        matches!(self.action, Action::Forward(forward) if forward.metered)
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
