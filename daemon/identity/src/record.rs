//! Operations in the audit log, whether they were asked over the control socket or over HTTP.
//!
//! Every operation that changes something says what is noted of it; here follow who asked, and how it ended. Login, set-up and
//! everything about the caller's own credentials are recorded by `identity`, where it is known what happened
//! and where requests over HTTP come by too.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use aivonx_ledgers::audit::Entry;
use aivonx_protocol::{
    Fault, FaultKind, Reply, Request, UnixMillis,
    audit::{Action, Noted, Outcome},
    job::{Job, JobState, JobTarget},
};
use tokio::sync::watch;

use crate::{Actor, Identity, Snapshot, snapshot::Organization, token_format};

/// What is to be recorded of a request, successful or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    noted: Noted,
    /// The object as it was before.
    before: Option<Object>,
    /// When it was asked.
    asked: UnixMillis,
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    id: String,
    name: String,
    /// Id of its organization.
    organization: Option<String>,
}

/// How a request ended.
pub enum Ended<'a> {
    /// Carried out, with this answer.
    Ok(Option<&'a Reply>),
    /// Refused or failed.
    Fault(&'a Fault),
    /// By a mistake in the daemon.
    Broken,
}

impl<'a> Ended<'a> {
    pub fn of(result: Result<&'a Reply, &'a Fault>) -> Self {
        match result {
            Ok(reply) => Self::Ok(Some(reply)),
            Err(fault) => Self::Fault(fault),
        }
    }
}

/// What is to be recorded of `request`, if it is to be recorded here.
pub fn of(request: &Request) -> Option<Record> {
    let mut noted = request.noted()?;
    // A key may be named by its secret.
    if noted.kind == "key" {
        noted.object = token_format::shown(&noted.object).to_owned();
    }
    Some(Record { noted, before: None, asked: aivonx_domain::now() })
}

impl Record {
    /// Remembers what the object is before the request changes or removes it.
    pub fn seen(mut self, hot: &Snapshot) -> Self {
        self.before = match self.noted.kind {
            "user" => {
                let user = hot
                    .user(&self.noted.object)
                    .or_else(|| hot.user_by_name(&self.noted.object.to_lowercase()));
                user.map(|user| Object {
                    id: user.id.to_string(),
                    name: user.name.to_string(),
                    organization: user.organization.as_ref().map(|found| found.id.to_string()),
                })
            }
            "organization" => organization_of(hot, &self.noted.object).map(|found| Object {
                id: found.id.to_string(),
                name: found.slug.to_string(),
                organization: Some(found.id.to_string()),
            }),
            _ => None,
        };
        self
    }

    /// Writes down what `actor` asked as `name`, once it has ended.
    ///
    /// # Errors
    /// If it was carried out and the entry is not durable: in place of the answer, which would promise more than is on
    /// the disk.
    pub async fn write(
        self,
        identity: &Identity,
        actor: &Actor,
        name: &str,
        ended: Ended<'_>,
    ) -> Result<(), Fault> {
        if self.was_so_before(&ended) {
            return Ok(());
        }
        let is_done = matches!(ended, Ended::Ok(_));
        let entry = self.entry(actor, name, ended, &identity.hot().load());
        let Err(error) = identity.audit().write(entry).await else { return Ok(()) };
        tracing::error!(event = "audit_failed", %error, "{name} could not be recorded");
        if !is_done {
            return Ok(());
        }
        let message = format!("{name} was carried out, but is not recorded in the audit log yet: {error}");
        Err(Fault::new(FaultKind::Unavailable, message).hint(
            "Do not repeat it. Its entry is kept in memory until the disk takes it; see `aivonx status`.",
        ))
    }

    /// Writes down that the job that was begun so failed or was cancelled, if so.
    pub async fn follow(
        self,
        identity: Arc<Identity>,
        actor: Arc<Actor>,
        name: String,
        mut job: watch::Receiver<Job>,
    ) {
        // The sender goes with the daemon.
        let Ok(undone) = job.wait_for(|job| job.state != JobState::Running).await.map(|job| why_undone(&job))
        else {
            return;
        };
        if let Some(why) = undone {
            let fault = Fault::new(FaultKind::Unavailable, why);
            // Nobody waits for an answer.
            let _ = self.write(&identity, &actor, &name, Ended::Fault(&fault)).await;
        }
    }

    /// It was asked with this key.
    pub fn by_key(self, id: &str) -> Self {
        Self { noted: self.noted.with("key_id", id), ..self }
    }

    /// Whether nothing was changed: a key had been revoked already, or there was a snapshot of everything.
    fn was_so_before(&self, ended: &Ended<'_>) -> bool {
        match ended {
            Ended::Ok(Some(Reply::Key(key))) if self.noted.action == Action::KeyRevoke => {
                key.revoked.is_some_and(|at| at < self.asked)
            }
            Ended::Ok(Some(Reply::SnapshotTaken(taken))) => !taken.is_new,
            _ => false,
        }
    }

    /// The entry of what `actor` asked as `name`.
    fn entry(self, actor: &Actor, name: &str, ended: Ended<'_>, hot: &Snapshot) -> Entry {
        let Noted { action, kind, object, organization, details } = self.noted;
        let outcome = match &ended {
            Ended::Ok(Some(Reply::ModelRemoved(done))) if !done.failed.is_empty() => Outcome::Failed,
            Ended::Ok(_) => Outcome::Ok,
            Ended::Fault(fault) if matches!(fault.kind, FaultKind::NotPermitted | FaultKind::NotFound) => {
                Outcome::Denied
            }
            Ended::Fault(_) | Ended::Broken => Outcome::Failed,
        };
        let after = match &ended {
            Ended::Ok(Some(reply)) => answered(reply, hot),
            _ => None,
        };
        let mut entry = Entry::new(action).actor(actor.who()).via(name).outcome(outcome);
        // The organization of the object before, else of the object now, else the one named, else the caller's.
        let known = self.before.as_ref().or(after.as_ref());
        let named = organization.as_deref().and_then(|named| organization_of(hot, named));
        let organization = known
            .and_then(|object| object.organization.clone())
            .or_else(|| named.map(|found| found.id.to_string()))
            .or_else(|| actor.organization.clone());
        entry = entry.organization(organization.as_deref());
        entry = match known {
            Some(known) => entry.object(kind, Some(&known.id), Some(&known.name)),
            None if object.is_empty() => entry.object(kind, None, None),
            None if uuid::Uuid::try_parse(&object).is_ok() => entry.object(kind, Some(&object), None),
            None => entry.object(kind, None, Some(&object)),
        };
        if let Some(id) = actor.request_id() {
            entry = entry.request_id(id);
        }
        for (name, value) in details {
            entry = entry.detail(name, value);
        }
        match ended {
            Ended::Fault(fault) => entry.detail("why", &fault.message),
            Ended::Broken => entry.detail("why", "a mistake in aivonxd"),
            Ended::Ok(Some(Reply::OrganizationRemoved(removed))) => {
                entry.detail("users", removed.users).detail("removed_keys_count", removed.keys)
            }
            Ended::Ok(Some(Reply::Reloaded(done))) => entry.reloaded(done),
            Ended::Ok(Some(Reply::ModelRemoved(done))) if !done.failed.is_empty() => {
                let why = done.failed.iter().map(|(node, why)| format!("{node}: {why}"));
                entry
                    .detail("why", why.collect::<Vec<_>>().join("; "))
                    .detail("removed_from", done.removed.join(", "))
            }
            Ended::Ok(Some(Reply::SessionsEnded(count) | Reply::LockoutsCleared(count))) => {
                entry.detail("count", count)
            }
            Ended::Ok(_) => entry,
        }
    }
}

/// The entry of a refusal: `actor` asked for what its role does not have.
pub fn denied(actor: &Actor, name: &str) -> Entry {
    Entry::new(Action::Denied)
        .actor(actor.who())
        .organization(actor.organization.as_deref())
        .via(name)
        .outcome(Outcome::Denied)
        .detail("role", actor.role)
}

fn organization_of<'h>(hot: &'h Snapshot, named: &str) -> Option<&'h Organization> {
    hot.organization(named).or_else(|| hot.organization_by_slug(named)).map(|found| &**found)
}

/// Why a job did not do all it was begun for; target by target if it failed.
fn why_undone(job: &Job) -> Option<String> {
    let why = |target: &JobTarget| Some(format!("{}: {}", target.node, target.error.as_ref()?));
    match job.state {
        JobState::Running | JobState::Done => None,
        JobState::Cancelled => Some(format!("the job {} was cancelled", job.id)),
        JobState::Failed => {
            let reasons: Vec<String> = job.targets.iter().filter_map(why).collect();
            Some(format!("the job {} failed: {}", job.id, reasons.join("; ")))
        }
    }
}

/// The object that a reply shows.
fn answered(reply: &Reply, hot: &Snapshot) -> Option<Object> {
    let object = |id: &str, name: &str, slug: Option<&str>| Object {
        id: id.to_owned(),
        name: name.to_owned(),
        organization: slug.and_then(|slug| organization_of(hot, slug)).map(|found| found.id.to_string()),
    };
    match reply {
        Reply::Node(node) => Some(object(&node.id, &node.name, node.organization.as_deref())),
        Reply::Probe(probe) => {
            Some(object(&probe.node.id, &probe.node.name, probe.node.organization.as_deref()))
        }
        Reply::Organization(found) => Some(object(&found.id, &found.slug, Some(&found.id))),
        Reply::User(user) => Some(object(&user.id, &user.name, user.organization.as_deref())),
        Reply::Key(key) => Some(object(&key.id, &key.name, key.organization.as_deref())),
        Reply::NewKey(new) => Some(object(&new.key.id, &new.key.name, new.key.organization.as_deref())),
        Reply::Limits(limits) => {
            let name = limits.name.as_deref().unwrap_or_default();
            limits.id.as_deref().map(|id| object(id, name, limits.organization.as_deref()))
        }
        Reply::SnapshotTaken(taken) => Some(object(&taken.snapshot.file, &taken.snapshot.file, None)),
        Reply::NewSession(new) => {
            let name = new.session.name.as_deref().unwrap_or_default();
            Some(object(&new.session.id, name, new.session.organization.as_deref()))
        }
        _ => None,
    }
}
