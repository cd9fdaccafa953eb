//! What the parts of the daemon hand to the log.

use std::{collections::BTreeMap, fmt};

use aivonx_protocol::{
    UnixMillis,
    audit::{Action, AuditActor, AuditEntry, AuditObject, AuditOrganization, AuditSource, HexBytes, Outcome},
    config::Reloaded,
};

use super::sensitive;

/// Who did something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Id of the user or key; None for somebody without one.
    pub id: Option<String>,
    /// Name; without an id, as the client claimed it.
    pub name: String,
    /// From where.
    pub source: AuditSource,
}

impl Who {
    /// The daemon itself.
    #[must_use]
    pub fn daemon() -> Self {
        Self { id: None, name: "aivonxd".to_owned(), source: AuditSource::default() }
    }

    /// A user who may send the process signals.
    #[must_use]
    pub fn signal() -> Self {
        Self { id: None, name: "signal".to_owned(), source: AuditSource::default() }
    }

    /// Somebody at the control socket.
    #[must_use]
    pub fn control(
        id: Option<String>,
        name: impl Into<String>,
        uid: u32,
        gid: u32,
        pid: Option<i32>,
    ) -> Self {
        let source = AuditSource { uid: Some(uid), gid: Some(gid), pid, ..AuditSource::default() };
        Self { id, name: name.into(), source }
    }

    /// Somebody who came over HTTP.
    #[must_use]
    pub fn http(
        id: Option<String>,
        name: impl Into<String>,
        address: std::net::IpAddr,
        user_agent: Option<&str>,
    ) -> Self {
        let source = AuditSource {
            address: Some(address.to_string()),
            user_agent: user_agent.map(ToOwned::to_owned),
            ..AuditSource::default()
        };
        Self { id, name: name.into(), source }
    }
}

/// An entry before it has its place in the log. See [`super::Audit::write`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an entry is recorded only once it is given to the log"]
pub struct Entry {
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) who: Who,
    pub(super) organization: Option<AuditOrganization>,
    pub(super) object: Option<AuditObject>,
    pub(super) via: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) details: BTreeMap<String, String>,
}

/// Longest name, id, method and route, characters.
const NAME_MAX: usize = 256;
/// Longest value of a detail, characters.
const VALUE_MAX: usize = 512;
/// Most details of one entry; what is beyond is counted in `more`.
const DETAILS_MAX: usize = 32;

impl Entry {
    /// An entry of the daemon's own about itself that went well, until said otherwise.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            outcome: Outcome::Ok,
            who: Who::daemon(),
            organization: None,
            object: None,
            via: None,
            request_id: None,
            details: BTreeMap::new(),
        }
    }

    /// Who did it.
    pub fn actor(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// Id of the organization it belongs to; None is the fleet. Decides which auditors see it.
    pub fn organization(mut self, id: Option<&str>) -> Self {
        self.organization = id.map(|id| AuditOrganization { id: id.to_owned(), name: None });
        self
    }

    /// The same, with its slug.
    pub fn organization_named(mut self, id: &str, slug: &str) -> Self {
        self.organization = Some(AuditOrganization { id: id.to_owned(), name: Some(slug.to_owned()) });
        self
    }

    /// What was acted on: its kind (`user`), and its id and name as far as known.
    pub fn object(mut self, kind: &str, id: Option<&str>, name: Option<&str>) -> Self {
        self.object = Some(AuditObject {
            kind: kind.to_owned(),
            id: id.map(ToOwned::to_owned),
            name: name.map(ToOwned::to_owned),
        });
        self
    }

    /// The control request (`user.add`) or the method and route (`POST /api/account/login`).
    pub fn via(mut self, via: impl Into<String>) -> Self {
        self.via = Some(via.into());
        self
    }

    /// Our id of the HTTP request.
    pub fn request_id(mut self, id: impl fmt::Display) -> Self {
        self.request_id = Some(id.to_string());
        self
    }

    /// How it ended.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// A further fact. Its name is lower case with underscores; what is named like a secret loses its value, and
    /// credentials inside the text are masked.
    pub fn detail(mut self, name: &str, value: impl fmt::Display) -> Self {
        if self.details.len() >= DETAILS_MAX {
            let more = self.details.entry("more".to_owned()).or_insert_with(|| "0".to_owned());
            *more = (more.parse().unwrap_or(0u64) + 1).to_string();
            return self;
        }
        let name = sensitive::name(name);
        let value = if sensitive::is_hidden(&name) {
            sensitive::REDACTED.to_owned()
        } else {
            cut(sensitive::scrub(value.to_string()), VALUE_MAX)
        };
        self.details.insert(name, value);
        self
    }

    /// What a reload of the configuration changed, and what of it waits for a restart.
    pub fn reloaded(self, done: &Reloaded) -> Self {
        let Reloaded { applied, needs_restart } = done;
        self.detail("applied", applied.join(" ")).detail("needs_restart", needs_restart.join(" "))
    }

    /// The entry at its place. Its hash is not yet made.
    pub(super) fn placed(self, seq: u64, time: UnixMillis) -> AuditEntry {
        let text = |text: String| cut(sensitive::scrub(text), NAME_MAX);
        let maybe = |value: Option<String>| value.map(text);
        let Who { id, name, source } = self.who;
        AuditEntry {
            seq,
            time,
            action: self.action,
            outcome: self.outcome,
            actor: AuditActor { id: maybe(id), name: text(name) },
            source: AuditSource {
                address: maybe(source.address),
                user_agent: maybe(source.user_agent),
                ..source
            },
            organization: self
                .organization
                .map(|o| AuditOrganization { id: text(o.id), name: maybe(o.name) }),
            object: self.object.map(|o| AuditObject {
                kind: text(o.kind),
                id: maybe(o.id),
                name: maybe(o.name),
            }),
            via: maybe(self.via),
            request_id: maybe(self.request_id),
            details: self.details,
            prev: HexBytes([0; 32]),
            hash: HexBytes([0; 32]),
        }
    }
}

/// `text`, with `…` in place of what is beyond `max` characters.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max
        && let Some((at, _)) = text.char_indices().nth(max)
    {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_sensitive_gets_in() {
        let entry = Entry::new(Action::Update)
            .actor(Who::http(None, "x", [10, 0, 0, 1].into(), Some("curl Bearer marked-s3cret-1")))
            .object("node", Some("n"), Some("http://user:marked-s3cret-2@host/"))
            .via("POST /x")
            .detail("new_password", "marked-s3cret-3")
            .detail("Cookie", "marked-s3cret-4")
            .detail("api-key", "marked-s3cret-5")
            .detail("note", "Authorization: Basic marked-s3cret-6")
            .detail("sent", "aivx_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLM")
            .detail("key_id", "0190")
            .detail("prompt_tokens", 12);
        let text = aivonx_protocol::audit::canonical::line(&entry.placed(1, 2));
        assert!(!text.contains("marked-s3cret"), "{text}");
        assert!(!text.contains("efghijkl"), "{text}");
        assert!(text.contains("\"key_id\":\"0190\""), "{text}");
        assert!(text.contains("\"prompt_tokens\":\"12\""), "{text}");
    }

    #[test]
    fn entries_are_bounded() {
        let mut entry = Entry::new(Action::Update).actor(Who::control(None, "ü".repeat(9000), 0, 0, None));
        for n in 0..100 {
            entry = entry.detail(&format!("d{n}"), "x".repeat(5000));
        }
        let entry = entry.placed(1, 2);
        assert_eq!(entry.details.len(), DETAILS_MAX + 1);
        assert_eq!(entry.details["more"], "68");
        assert_eq!(entry.actor.name.chars().count(), NAME_MAX + 1);
        assert!(aivonx_protocol::audit::canonical::form(&entry).len() < 32 << 10);
    }

    #[test]
    fn names_of_details_are_plain() {
        let entry = Entry::new(Action::Update).detail("Max Parallel", 3).detail("é", 1);
        assert_eq!(entry.details.keys().collect::<Vec<_>>(), ["_", "max_parallel"]);
    }
}
