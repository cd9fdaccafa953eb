//! Tracing set-up, journald, redaction, the log hub (live tail) and metrics.
//!
//! Every event takes the same way: the tap (a tracing layer) writes it down redacted and cut on the thread
//! it happened on, puts it into the [`hub::Hub`] (10 000 events in memory) and into a bounded queue; one
//! thread takes it from there to the sink (journald, standard error or a file). No thread of the daemon ever
//! waits for the sink, for a reader of the hub or for a scrape.
//!
//! # Fields
//! In the journal they bear the prefix `AIVONX_` (`journalctl AIVONX_NODE=gpu1`), in JSON lines their own name.
//!
//! | field | meaning |
//! |---|---|
//! | `node` | name of a node |
//! | `model` | name of a model, as the catalogue has it |
//! | `request_id` | our id of a request, also in its answer's `X-Request-Id` |
//! | `client_request_id` | the client's own `X-Request-Id` |
//! | `client` | address of the client |
//! | `method`, `route`, `status` | of a request; the route is a pattern, never the client's path |
//! | `outcome` | `complete`, `refused`, `no_node`, `node_failed`, `broken`, `client_gone`, `timed_out`, `ended` |
//! | `retries` | attempts after the first |
//! | `bytes_in`, `bytes_out` | of the bodies |
//! | `prompt_tokens`, `output_tokens` | as counted by the node |
//! | `first_byte_ms`, `duration_ms` | from the request's head |
//! | `error` | why something failed; untrusted text, escaped wherever it is printed |
//! | `event` | a word for what happened, for filters and alerts |
//! | `uid`, `pid` | peer of the control socket |
//!
//! One event per request has the target `access`; its level is `warn` if the node failed or broke off, else
//! `info`. Values of `event` used here: `log_lost`, `log_fallback`, `access_lost`, `panic`.
//!
//! A field whose name contains password, secret, token, key, authorization, cookie, prompt or body prints
//! `[REDACTED]` unless it is a known count; see [`redact`].

pub mod access;
mod file;
mod filter;
mod format;
pub mod histogram;
pub mod hub;
pub mod init;
pub mod journald;
pub mod level;
pub mod metrics;
mod page;
mod panic;
mod pipe;
pub mod process;
mod record;
pub mod redact;
pub mod sink;
mod stream;
mod tap;
#[cfg(test)]
mod tests;
mod wording;

pub use access::{AccessRecord, Outcome};
pub use filter::FilterError;
pub use hub::{Follow, FollowItem, Hub};
pub use init::{InitError, Telemetry, init};
pub use level::LevelError;
pub use metrics::{CONTENT_TYPE, Gauges, Metrics, NodeGauge};
pub use sink::AccessSink;
