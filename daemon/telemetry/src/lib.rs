//! Tracing set-up, journald, redaction, the log hub (live tail) and metrics.
//!
//! Every event takes the same way: a tracing layer writes it down redacted and cut on the thread
//! it happened on, puts it into the [`hub::Hub`] (10 000 events in memory) and into a bounded queue; one
//! thread takes it from there to the sink (journald, standard error or a file). No thread of the daemon ever
//! waits for the sink, for a reader of the hub or for a scrape.
//!
//! Fields: see [`FIELDS`]. One event per request has the target `access`; its level is `warn` if the node
//! failed or broke off, else `info`.
//!
//! # Values of `event`
//!
//! | event | what happened |
//! |---|---|
//! | `start`, `stop` | the gateway starts, serves, stops; what it found odd at the start |
//! | `setup_needed` | there is no administrator, so that next to nothing is served |
//! | `store_damaged` | the store does not check out, so that the gateway does not start |
//! | `store_failed` | the store or a ledger takes nothing because the disk failed or is full; it is opened anew, or written again, when that takes writes |
//! | `config_reload` | the configuration was read again: what changed |
//! | `config_reload_failed` | why the configuration stays as it was |
//! | `certificate_loaded` | a listener serves a new certificate |
//! | `certificate_obtained`, `certificate_not_obtained` | by ACME: another, or none; what was served is served on, and it is tried again |
//! | `certificate_refused` | a changed certificate cannot be used; the one before is served |
//! | `watchdog` | a part of the daemon stands still, systemd will restart it |
//! | `panic` | a thread panicked |
//! | `node_added`, `node_changed`, `node_removed` | by an administrator; simulated nodes at the next start |
//! | `node_state` | an administrator enabled, drained or disabled a node |
//! | `node_active`, `node_standby`, `node_absent` | health: a node takes requests, takes none, is waited for |
//! | `node_asleep`, `node_called` | a node that nobody asks is left alone; it is woken, with `reason` `request`, `placement` or `by hand` |
//! | `engine_roused` | a vLLM that slept is woken for a request |
//! | `node_kind` | the kind of a node that did not answer when it was added is now known |
//! | `node_checked` | a probe's finding (`debug`) |
//! | `node_unusable` | a stored node cannot be used, such as for a credential that does not open |
//! | `model_removed` | from a node |
//! | `strategy_set` | the scheduler's |
//! | `fleet_sync` | a change of the store was not taken in |
//! | `simulate` | a simulated node, or the traffic to it, does not work |
//! | `secret_made`, `secret_retired`, `secret_kept` | a pepper or signing key is new, is forgotten, or could not be |
//! | `job_started`, `job_done`, `job_ended` | a pull or another job began, is complete, or ended before it was |
//! | `control_connected` | a client of the control socket, with `uid` and `pid` |
//! | `control_refused`, `control_full` | a client may not do this, or found no room |
//! | `control_change`, `control_change_failed` | a client's change was carried out or not |
//! | `control_failed`, `control_dropped` | an answer or a connection failed |
//! | `control_accept_failed` | the control socket cannot accept |
//! | `control_made_anew` | the control socket had been removed, and is made anew or cannot be |
//! | `login_failed`, `lockout`, `lockout_cleared`, `setup`, `recover`, `password_change`, `password_reset`, `totp_change`, `backup_code_used`, `permission_change`, `key_create`, `key_rotate`, `key_revoke`, `token_create`, `token_revoke`, `token_reuse`, `denied`, `cross_org_denied`, `secrets_rotate`, `export`, `audit_retention`, `audit_overflow`, `chain_start`, `chain_lost`, `restore` | entries of the audit log that are about security, with `actor`, `organization` and `object` |
//! | `audit_checkpoint` | a signed checkpoint of the audit log: `checkpoint` is what `aivonx audit verify --anchor` compares |
//! | `audit_failed` | the audit log could not be written |
//! | `audit_broken` | the audit log does not verify, or begins anew |
//! | `usage_failed`, `usage_lost` | the usage ledger could not be written, or misses requests, and how many |
//! | `identity_stale` | users and keys could not be read anew: the old ones stay in force |
//! | `policy_stale` | model policy could not be read anew: the old one stays in force |
//! | `pattern_unusable` | a pattern of an organization's own cannot be compiled any more: it is not looked for |
//! | `renewal_failed` | an API key could not be written under the newest pepper |
//! | `prices_stale` | prices could not be read anew: the old ones stay in force |
//! | `limits_lost` | counters of limits could not be read or saved |
//! | `budget_degraded`, `budget_recovered` | the database in which gateways share limits does not answer, or does again |
//! | `budget_expired` | a gateway did not renew its slice of a limit, which counts as spent, with `limit`, `subject`, `member`, `amount`, `spent` |
//! | `budget_put_right`, `budget_let_go` | so much that counted as spent was not, or counts as spent because a restart lost it, with `limit`, `subject`, `amount` |
//! | `budget_restored` | the database of shared limits went back to an earlier state |
//! | `backup`, `backup_failed` | a backup was made and read back, or not, though it was due |
//! | `learned_lost` | what was learned of the nodes could not be read or kept |
//! | `inventory_too_large` | the list of models of a node that may sleep is too large to be kept over a restart |
//! | `model_placed`, `placement_failed` | a model is to be kept loaded, or a node did not load one that is |
//! | `load_seen_through` | a node loaded a model whose client had left, or did not (`loaded`) |
//! | `limit_reached` | a limit refused a request; `limit` is its name |
//! | `log_fallback` | the log goes elsewhere than configured |
//! | `log_lost`, `access_lost` | events or records of requests were dropped, and how many |
//!
//! A field whose name contains password, secret, token, key, authorization, cookie, prompt or body (all of them are
//! in `redact/names.rs`) prints `[REDACTED]` unless it is a known count, and so does a member of JSON inside a text
//! that is named so, at any depth; see [`redact`].

mod access_format;
mod access_queue;
mod counts;
mod exposition;
pub mod fields;
mod file;
mod filter;
mod format;
mod gauges;
pub mod hub;
pub mod init;
pub mod journald;
mod layer;
pub mod messages;
pub mod metrics;
mod panic;
mod plain;
pub mod process;
mod queue;
mod record;
pub mod redact;
mod reissue;
pub mod sink;
mod stream;
#[cfg(test)]
mod tests;
mod view;

pub use access_queue::{AccessSink, WAITING_MAX};
pub use fields::FIELDS;
pub use filter::{FilterError, LogScope};
pub use gauges::{AuditGauges, BudgetGauges, Gauges, NodeGauge, Refusals};
pub use hub::{Follow, FollowItem, Hub};
pub use init::{InitError, Telemetry, init};
pub use metrics::{CONTENT_TYPE, Metrics};
pub use plain::{PLAIN_TYPE, plain};
