//! What can be done about lockouts, sessions, keys of the daemon's own, and attacks.

pub(super) mod blocks;
mod incident;

use aivonx_protocol::{
    Request, check, config,
    lockout::{self, LockoutRequest},
    secrets::{self, Check, SecretsRequest},
    session::SessionKind,
    snapshot,
    token::{self, TokenRequest},
    user,
};

pub(super) use self::incident::{begun, contained, detect, reported};
use super::{act, dialogs, forms, load, nodes::Prepared};
use crate::{
    keymap::Do,
    msg::Effect,
    nouns,
    state::{
        Dialog, Model, Right, Screen, Topic,
        calls::Act,
        dialog::Text,
        form::{Field, Form, FormFor},
        security::{SecurityForm, Tab},
    },
    time_arg,
};

/// Asks for what the tab shows.
pub(super) fn refresh(model: &mut Model, out: &mut Vec<Effect>) {
    load(model, out, Topic::NewestSnapshot);
    match model.security.tab {
        Tab::Lockouts => load(model, out, Topic::Lockouts),
        Tab::Sessions => load(model, out, Topic::Sessions),
        Tab::Secrets => {
            load(model, out, Topic::Secrets);
            load(model, out, Topic::Checks);
        }
        Tab::Snapshots => load(model, out, Topic::Snapshots),
        Tab::Blocks => load(model, out, Topic::Blocks),
        Tab::Incidents => load(model, out, Topic::Findings),
        Tab::Check => load(model, out, Topic::Setup),
    }
}

/// The request for sessions: of the user asked for, or the caller's own; the caller's tokens where it may not
/// see more.
pub(super) fn sessions(model: &Model) -> Option<Request> {
    let own = model.identity.as_ref().and_then(|who| who.user.clone());
    let whose = model.security.whose.clone().or(own)?;
    Some(match model.why_not(Right::UsersRead) {
        None => Request::from(user::Sessions { user: whose }),
        Some(_) => Request::from(token::List),
    })
}

/// Shows the sessions of a user.
pub(super) fn show(model: &mut Model, out: &mut Vec<Effect>, user: String) {
    model.security.whose = Some(user);
    model.security.tab = Tab::Sessions;
    model.security.sessions.clear();
    out.extend(model.calls.give_up(Topic::Sessions).into_iter().map(Effect::Drop));
    super::keys::go(model, out, Screen::Security);
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match (does, model.security.tab) {
        (Do::NextTab | Do::PreviousTab, tab) => {
            let at = Tab::ALL.iter().position(|one| *one == tab).unwrap_or(0);
            let step = if does == Do::NextTab { 1 } else { Tab::ALL.len() - 1 };
            model.security.tab = Tab::ALL[(at + step) % Tab::ALL.len()];
            model.detail = false;
            refresh(model, out);
        }
        (Do::Unlock, Tab::Lockouts) => {
            let requests: Vec<_> = model
                .security
                .lockouts
                .targets()
                .into_iter()
                .map(|one| {
                    let request = LockoutRequest::Clear(lockout::Clear {
                        user: Some(one.user.clone()),
                        address: Some(one.address.clone()),
                    });
                    let what = Act {
                        doing: format!("Unlocking {}", one.user),
                        done: format!("{} may log in again from {}", one.user, one.address),
                        reload: vec![Topic::Lockouts],
                    };
                    (Request::Lockout(request), what)
                })
                .collect();
            let title = match &*requests {
                [] => return,
                [(_, what)] => format!("{}?", what.doing),
                more => format!("Unlock {} of them?", more.len()),
            };
            let lines = vec!["The failed logins are forgotten. If they were an attack, it goes on.".into()];
            dialogs::confirm(model, title, lines, "Unlock", None, requests);
        }
        (Do::Remove, Tab::Sessions) => end(model),
        (Do::Validate, Tab::Secrets) => {
            load(model, out, Topic::Secrets);
            load(model, out, Topic::Checks);
        }
        (Do::Rotate, Tab::Secrets) => {
            if let Some(why) = model.why_not(Right::SecretsRotate) {
                return model.warn(why);
            }
            forms::open(model, rotate_form(false));
        }
        (Do::Add, Tab::Sessions) => ask_token(model),
        (Do::Add, Tab::Snapshots) => {
            if let Some(why) = model.why_not(Right::SnapshotsTake) {
                return model.warn(why);
            }
            let what = Act {
                doing: "Taking a snapshot".into(),
                done: "took a snapshot".into(),
                reload: vec![Topic::Snapshots, Topic::NewestSnapshot],
            };
            act(model, out, Request::from(snapshot::Create), what);
        }
        (Do::Add, Tab::Blocks) => blocks::add(model, ""),
        (Do::Remove, Tab::Blocks) => blocks::remove(model),
        (Do::Contain, Tab::Incidents) => incident::contain(model),
        (Do::Report, Tab::Incidents) => incident::report(model),
        (Do::Since, Tab::Incidents) => incident::ask_since(model),
        (Do::Rotate, Tab::Incidents) => forms::open(model, rotate_form(true)),
        (Do::ResetTotp, Tab::Incidents) => {
            load(model, out, Topic::Users);
            load(model, out, Topic::Organizations);
            incident::reset_two_factor(model);
        }
        (Do::Isolation, Tab::Check) => ask_isolation(model),
        _ => {}
    }
}

fn end(model: &mut Model) {
    let requests: Vec<_> = model
        .security
        .sessions
        .targets()
        .into_iter()
        .map(|one| {
            let named = one.name.clone().unwrap_or_else(|| one.id.clone());
            let request = match one.kind {
                // One's own tokens need no right over users.
                SessionKind::Token if model.why_not(Right::UsersWrite).is_some() => {
                    Request::from(token::Revoke { token: one.id.clone() })
                }
                _ => Request::from(user::Logout { user: one.user.clone(), session: Some(one.id.clone()) }),
            };
            let what = Act {
                doing: format!("Ending {named} of {}", one.user),
                done: format!("{named} of {} has ended", one.user),
                reload: vec![Topic::Sessions],
            };
            (request, what)
        })
        .collect();
    let title = match &*requests {
        [] => return,
        [(_, what)] => format!("{}?", what.doing.replacen("Ending", "End", 1)),
        more => format!("End {} sessions?", more.len()),
    };
    let lines = vec!["Whoever uses it has to log in again; a script with it stops working.".into()];
    dialogs::confirm(model, title, lines, "End", None, requests);
}

/// Asks what is replaced; at first everything, if `all`.
fn rotate_form(all: bool) -> Form {
    let fields = vec![
        Field::toggle(
            "peppers",
            "Peppers",
            "what keys are hashed with: unused by the deadline, they are gone",
            all,
        ),
        Field::text("deadline", "Deadline", "how long keys may take to be used, such as 30d", "30d")
            .required()
            .checked(span_check)
            .with("peppers", &["yes"]),
        Field::toggle("signing", "Signing", "what access tokens are signed with; old ones stay good", all),
        Field::text("sure", "Sure?", "type: rotate", "")
            .required()
            .checked(|text| if text == "rotate" { Ok(()) } else { Err("type: rotate".into()) }),
    ];
    let intro =
        "New data keys are made and every secret is encrypted anew, while all goes on. It is a job: see 4.";
    Form::new(FormFor::RotateSecrets, "Rotate the keys that secrets are kept under", intro, fields)
}

fn span_check(text: &str) -> Result<(), String> {
    millis(text).map(|_| ())
}

/// A span of time in milliseconds.
fn millis(text: &str) -> Result<u64, String> {
    time_arg::span(text)
        .and_then(|span| u64::try_from(span.as_millis()).ok())
        .ok_or_else(|| "a span of time, such as 12h or 90d".to_owned())
}

/// Rotates as that form says.
pub(super) fn rotate(form: &Form) -> Prepared {
    let peppers = form.is_on("peppers");
    let deadline_ms = if peppers { Some(millis(&form.value("deadline"))?) } else { None };
    let request =
        SecretsRequest::Rotate(secrets::Rotate { peppers, signing: form.is_on("signing"), deadline_ms });
    let what = Act {
        doing: "Beginning to rotate".into(),
        done: "rotating".into(),
        reload: vec![Topic::Jobs, Topic::Secrets],
    };
    Ok((Request::Secrets(request), what))
}

/// The request of a form of the screen's own; None where something else comes first.
pub(super) fn prepared(model: &mut Model, out: &mut Vec<Effect>, what: SecurityForm) -> Option<Prepared> {
    let Some(Dialog::Form(form)) = model.dialogs.last() else { return None };
    let form = form.clone();
    let asked = match what {
        SecurityForm::Block => return Some(blocks::block(&form)),
        SecurityForm::Report => {
            incident::gather(model, out);
            return None;
        }
        SecurityForm::Since => {
            incident::look_since(model, out);
            return None;
        }
        SecurityForm::Contain => incident::confirm_contain(model, &form),
        SecurityForm::ResetTwoFactor => incident::confirm_reset(model, &form),
    };
    asked.err().map(Err)
}

fn ask_isolation(model: &mut Model) {
    let lines = vec![
        "Two organizations with users and keys are made, every request is tried on what is the other's, and \
         they are removed again. Nothing else is touched."
            .to_owned(),
    ];
    let what =
        Act { doing: "Trying isolation".into(), done: String::new(), reload: vec![Topic::Organizations] };
    let requests = vec![(Request::from(check::Isolation), what)];
    dialogs::confirm(model, "Try isolation?".into(), lines, "Try it", None, requests);
}

/// Shows how that came out.
pub(super) fn isolation(model: &mut Model, checks: &[Check]) {
    let row = |check: &Check| {
        let fix = check.fix.as_ref().map(|fix| format!("\n{fix}")).unwrap_or_default();
        (nouns::check::outcome(check).text, format!("{}: {}{fix}", check.name, check.finding))
    };
    let rows = checks.iter().map(row).collect();
    let title = "Isolation of organizations".to_owned();
    model.dialogs.push(Dialog::Text(Box::new(Text { title, rows, scroll: 0 })));
}

/// Asks for what a control token needs.
pub(super) fn ask_token(model: &mut Model) {
    if let Some(why) = model.why_not(Right::OwnAccount) {
        return model.warn(why);
    }
    let roles = [
        ("as you", "what you may do, at the time it is used"),
        ("auditor", "reads everything, the audit log too"),
        ("operator", "nodes, models, jobs"),
        ("org-admin", "users and keys of one organization"),
        ("member", "own keys and usage"),
    ];
    let fields = vec![
        Field::text("name", "Name", "what it is for; unique among yours", "").required(),
        Field::choice("role", "May", "never more than you", &roles, "as you"),
        Field::text("lasts", "Lasts", "such as 90d; a minute to 400 days", "90d")
            .required()
            .checked(span_check),
    ];
    let intro = "A session of your own for scripts, which use it instead of a password. It is shown once.";
    forms::open(model, Form::new(FormFor::Token, "Make a control token", intro, fields));
}

/// Makes the token of that form.
pub(super) fn make_token(form: &Form) -> Prepared {
    let name = form.value("name");
    let request = TokenRequest::Create(token::Create {
        name: name.clone(),
        role: form.value("role").parse().ok(),
        lasts_ms: millis(&form.value("lasts"))?,
    });
    let what = Act {
        doing: format!("Making token {name}"),
        done: format!("made token {name}"),
        reload: vec![Topic::Sessions],
    };
    Ok((Request::Token(request), what))
}

/// Shows the daemon's configuration.
pub(super) fn config(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some(why) = model.why_not(Right::ConfigRead) {
        return model.warn(why);
    }
    let what = Act { doing: "Reading the configuration".into(), done: String::new(), reload: Vec::new() };
    act(model, out, Request::from(config::Show), what);
}

/// Has the configuration file read again.
pub(super) fn reload_config(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some(why) = model.why_not(Right::ConfigReload) {
        return model.warn(why);
    }
    let what = Act {
        doing: "Having the configuration read again".into(),
        done: String::new(),
        reload: vec![Topic::Status],
    };
    act(model, out, Request::from(config::Reload), what);
}
