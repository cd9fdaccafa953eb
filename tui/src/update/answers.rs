//! What follows from the daemon's answers.

use aivonx_protocol::{Fault, FaultKind, Reply, account::Identity, key::NewSecretKey};

use super::{account, audit, dialogs, failed, known, load, login, probe, security};
use crate::{
    msg::{Effect, Ticket},
    state::{
        Dialog, Model, Purpose, Topic,
        calls::Act,
        dialog::{Reveal, Text},
        steps,
    },
};

/// A call was answered.
pub(super) fn answered(
    model: &mut Model,
    out: &mut Vec<Effect>,
    ticket: Ticket,
    result: Result<Reply, Fault>,
) {
    // What was given up is of no interest any more.
    let Some(purpose) = model.calls.end(ticket) else { return };
    match (purpose, result) {
        (Purpose::Load(topic), Ok(reply)) => loaded(model, out, topic, reply),
        (Purpose::Load(topic), Err(fault)) => {
            // A session that has ended is noticed here first.
            if fault.kind == FaultKind::NotPermitted && topic != Topic::Identity {
                load(model, out, Topic::Identity);
            }
            failed(model, topic, fault);
        }
        (Purpose::Act(act), Ok(reply)) => {
            close(model, ticket);
            done(model, out, act, reply);
        }
        (Purpose::Act(act) | Purpose::Chain(act, _), Err(fault)) => {
            let why = said(&fault);
            match form(model, ticket) {
                Some(form) => form.refuse(fault.field.as_deref(), &why),
                None => model.warn(format!("{}: {why}", act.doing)),
            }
            for topic in act.reload {
                load(model, out, topic);
            }
        }
        (Purpose::Chain(act, then), Ok(reply)) => {
            close(model, ticket);
            done(model, out, act, reply);
            for (request, what) in then {
                super::act(model, out, request, what);
            }
        }
        (Purpose::Each(each), result) => dialogs::each_answered(model, out, *each, result),
        (Purpose::Count, result) => dialogs::counted(model, ticket, result),
        (Purpose::Account(step), result) => account::answered(model, out, step, ticket, result),
        (Purpose::Probe, result) => probe::answered(model, ticket, result),
        (Purpose::Login, result) => login::answered(model, out, ticket, result),
        // Not the daemon's to answer.
        (Purpose::Work(_), _) => {}
        (Purpose::Logout, result) => login::left(model, out, result),
    }
}

fn loaded(model: &mut Model, out: &mut Vec<Effect>, topic: Topic, reply: Reply) {
    match reply {
        Reply::Status(status) => {
            let set_up = status.set_up;
            model.status = Some(*status);
            login::set_up_elsewhere(model, set_up);
        }
        Reply::Pulse(pulse) => model.overview.heard(*pulse, model.now),
        Reply::Identity(identity) => {
            login::seen(model, Some(&identity));
            let before = model.identity.replace(*identity);
            let stands =
                |who: &Identity| (who.role, who.user.clone(), who.must_enrol, who.must_change_password);
            if before.as_ref().map(stands) == model.identity.as_ref().map(stands) {
                account::settle(model, out);
            } else {
                known(model, out);
            }
        }
        Reply::Nodes(nodes) => {
            for node in &nodes {
                model.nodes.note(node);
            }
            model.nodes.list.set(nodes, model.now);
        }
        Reply::Models(models) => model.models.list.set(models, model.now),
        Reply::Drifts(drifts) => model.models.drifts = drifts,
        Reply::Placements(all) => model.models.kept.set(all, model.now),
        Reply::ModelStrategies(all) => model.models.strategies.set(all, model.now),
        Reply::ModelAccess(all) => model.models.restrictions.set(all, model.now),
        Reply::NodeWakes(all) => super::nodes::wakes(model, all),
        Reply::Jobs(jobs) => {
            model.jobs.set(jobs, model.now);
            super::jobs::attend(model, out);
        }
        Reply::Strategy(strategy) => super::strategy::show(model, strategy),
        Reply::Organizations(all) => model.access.organizations.set(all, model.now),
        Reply::NodeNetworks(all) => {
            let all = all.into_iter().map(|one| (one.organization, one.networks));
            model.access.networks = Some(all.collect());
        }
        Reply::HiddenUsage(ids) => model.access.hidden_usage = Some(ids),
        Reply::Users(users) => model.access.users.set(users, model.now),
        Reply::Keys(keys) => model.access.keys.set(keys, model.now),
        Reply::DisabledKeys(ids) => model.access.disabled_keys = ids,
        Reply::AuditPage(page) => {
            model.audit.next = page.next;
            if topic == Topic::AuditMore {
                model.audit.list.extend(page.entries, model.now);
            } else {
                model.audit.list.set(page.entries, model.now);
            }
        }
        Reply::Running(running) => model.requests.list.set(running, model.now),
        Reply::Queued(all) => {
            model.requests.queued = all.into_iter().map(|one| (one.id.clone(), one)).collect();
        }
        Reply::Lockouts(all) => model.security.lockouts.set(all, model.now),
        Reply::Sessions(all) => model.security.sessions.set(all, model.now),
        reply @ (Reply::Usage(_)
        | Reply::Limits(_)
        | Reply::LimitProfiles(_)
        | Reply::Unpriced(_)
        | Reply::Prices(_)
        | Reply::Policies(_)
        | Reply::Aliases(_)
        | Reply::Privacy(_)
        | Reply::AnswerPrivacy(_)
        | Reply::Patterns(_)) => super::usage::loaded(model, topic, reply),
        Reply::Secrets(status) => model.security.secrets = Some(*status),
        Reply::Checks(checks) if topic == Topic::Setup => model.security.setup.set(checks, model.now),
        Reply::Checks(checks) => model.security.checks.set(checks, model.now),
        Reply::Blocks(all) => model.security.blocks.set(all, model.now),
        Reply::Findings(all) => model.security.findings.set(all, model.now),
        Reply::Snapshots(all) => model.security.snapshots.set(all, model.now),
        Reply::NewestSnapshot(newest) => model.security.newest_snapshot = newest,
        other => {
            let fault = Fault::new(FaultKind::Internal, format!("it was answered with {}", other.name()));
            failed(model, topic, fault);
        }
    }
    // What has used nothing yet is listed as well.
    if matches!(topic, Topic::Organizations | Topic::Users | Topic::Keys) {
        super::usage::fill(model);
    }
}

fn done(model: &mut Model, out: &mut Vec<Effect>, act: Act, reply: Reply) {
    match reply {
        Reply::Node(node) => {
            model.nodes.list.put(*node, model.now);
            model.tell(act.done);
        }
        Reply::Probe(probe) => {
            let text = format!("{}: {}", act.done, probe.finding);
            let id = probe.node.id.clone();
            model.nodes.list.put(probe.node, model.now);
            model.nodes.list.choose(&id);
            if probe.healthy {
                model.tell(text);
            } else {
                model.warn(text);
            }
        }
        Reply::Job(job) => {
            model.tell(format!("{}: job {}, see 4", act.done, job.id));
            security::begun(model, &job);
            model.jobs.put(*job, model.now);
        }
        Reply::ModelRemoved(removed) => match removed.failed.first() {
            Some((node, why)) => model.warn(format!("{node} refused: {why}")),
            None => model.tell(format!("{} from {}", act.done, removed.removed.join(", "))),
        },
        Reply::NewKey(new) => reveal_key(model, *new),
        Reply::ResetCode(code) => {
            let until = crate::render::text::time(code.expires, &model.zone);
            model.dialogs.push(Dialog::Reveal(Box::new(Reveal {
                title: format!("A code for {}", act.done),
                lines: vec![
                    format!("It sets a new password, once, until {until}. Hand it over on a safe way."),
                    "The user logs in with it in the console, in place of the password; over HTTP:".into(),
                ],
                secret: code.code,
                command: Some(steps::reset_line(model, &act.done)),
                copied: false,
            })));
        }
        reply
        @ (Reply::Limits(_) | Reply::Privacy(_) | Reply::AnswerPrivacy(_) | Reply::PrivacyReport(_)) => {
            super::usage::done(model, &act.done, reply);
        }
        Reply::NewSession(new) => {
            let until = crate::render::text::time(new.session.expires, &model.zone);
            let name = new.session.name.clone().unwrap_or_default();
            model.dialogs.push(Dialog::Reveal(Box::new(Reveal {
                title: format!("Control token {name}"),
                lines: vec![format!(
                    "This is the only time it is shown. It is good until {until}, as {}. For scripts:",
                    new.session.role
                )],
                secret: new.secret,
                command: Some(format!("export AIVONX_TOKEN={}", crate::state::dialog::SECRET)),
                copied: false,
            })));
        }
        Reply::Config(settings) => {
            let rows = settings
                .into_iter()
                .map(|one| (one.key, format!("{}\n({})", one.value, one.origin)))
                .collect();
            let title = "The daemon's configuration, as it is in effect".to_owned();
            model.dialogs.push(Dialog::Text(Box::new(Text { title, rows, scroll: 0 })));
        }
        Reply::Reloaded(reloaded) => reloaded_config(model, &reloaded),
        Reply::AuditKeys(keys) => audit::keys(model, &keys),
        Reply::Contained(all) => security::contained(model, &all),
        Reply::Checks(checks) => security::isolation(model, &checks),
        Reply::AuditCheckpoint(checkpoint) => audit::checkpoint(model, &checkpoint),
        _ => model.tell(act.done),
    }
    for topic in act.reload {
        load(model, out, topic);
    }
}

fn reloaded_config(model: &mut Model, reloaded: &aivonx_protocol::config::Reloaded) {
    let named = |keys: &[String]| keys.join(" ");
    match (&*reloaded.applied, &*reloaded.needs_restart) {
        ([], []) => model.tell("the file was read again: nothing in it has changed"),
        (applied, []) => model.tell(format!("in effect now: {}", named(applied))),
        ([], restart) => {
            model.warn(format!("changed, but only a restart makes it count: {}", named(restart)))
        }
        (applied, restart) => model.warn(format!(
            "in effect now: {}; only a restart makes these count: {}",
            named(applied),
            named(restart)
        )),
    }
}

/// Shows a new key's secret, with a line that works.
fn reveal_key(model: &mut Model, new: NewSecretKey) {
    model.dialogs.push(Dialog::Reveal(Box::new(Reveal {
        title: format!("The secret of key {}", new.key.name),
        lines: vec!["This is the only time it is shown. A line that tries it stands below.".into()],
        secret: new.secret,
        command: Some(steps::line(model, crate::state::dialog::SECRET)),
        copied: false,
    })));
    model.access.keys.put(new.key, model.now);
}

/// The form that was sent with this call.
pub(super) fn form(model: &mut Model, ticket: Ticket) -> Option<&mut crate::state::form::Form> {
    model.dialogs.iter_mut().find_map(|dialog| match dialog {
        Dialog::Form(form) if form.sent == Some(ticket) => Some(&mut **form),
        _ => None,
    })
}

/// Closes the form that was sent with this call.
pub(super) fn close(model: &mut Model, ticket: Ticket) {
    model.dialogs.retain(|dialog| !matches!(dialog, Dialog::Form(form) if form.sent == Some(ticket)));
}

/// What a fault says, with what to do about it.
pub(super) fn said(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{}. {hint}", fault.message.trim_end_matches('.')),
        None => fault.message.clone(),
    }
}
