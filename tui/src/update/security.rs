//! What can be done about lockouts, sessions and keys of the daemon's own.

use aivonx_protocol::{
    Request, lockout::LockoutRequest, secrets::SecretsRequest, session::SessionKind, token::TokenRequest,
    user::UserRequest,
};

use super::{dialogs, load};
use crate::{
    keymap::Do,
    model::{Model, Right, Screen, Topic, calls::Act, security::Tab},
    msg::Effect,
};

/// Asks for what the tab shows.
pub(super) fn refresh(model: &mut Model, out: &mut Vec<Effect>) {
    match model.security.tab {
        Tab::Lockouts => load(model, out, Topic::Lockouts),
        Tab::Sessions => load(model, out, Topic::Sessions),
        Tab::Secrets => {
            load(model, out, Topic::Secrets);
            load(model, out, Topic::Checks);
        }
    }
}

/// The request for sessions: of the user asked for, or the caller's own; the caller's tokens where it may not
/// see more.
pub(super) fn sessions(model: &Model) -> Option<Request> {
    let own = model.identity.as_ref().and_then(|who| who.user.clone());
    let whose = model.security.whose.clone().or(own)?;
    Some(match model.why_not(Right::UsersRead) {
        None => Request::User(UserRequest::Sessions { user: whose }),
        Some(_) => Request::Token(TokenRequest::List),
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
                    let request = LockoutRequest::Clear {
                        user: Some(one.user.clone()),
                        address: Some(one.address.clone()),
                    };
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
            let request = SecretsRequest::Rotate { peppers: false, signing: false, deadline_ms: None };
            let what = Act {
                doing: "Beginning to rotate the data keys".into(),
                done: "rotating".into(),
                reload: vec![Topic::Jobs],
            };
            let lines = vec![
                "New data keys are made and every secret is encrypted anew, while all goes on.".into(),
                "Peppers and signing keys: aivonx secrets rotate --peppers --signing".into(),
            ];
            let requests = vec![(Request::Secrets(request), what)];
            dialogs::confirm(
                model,
                "Rotate the data keys?".into(),
                lines,
                "Rotate",
                Some("rotate".into()),
                requests,
            );
        }
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
                    Request::Token(TokenRequest::Revoke { token: one.id.clone() })
                }
                _ => Request::User(UserRequest::Logout {
                    user: one.user.clone(),
                    session: Some(one.id.clone()),
                }),
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
