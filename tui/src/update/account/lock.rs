//! The locked screen: nothing is shown, and no key counts, until the password was typed again. The feeds run on.

use aivonx_protocol::{
    Fault, FaultKind, Reply,
    account::{self, AccountRequest},
};

use super::{AccountStep, answers, ask, load};
use crate::{
    keymap::Do,
    msg::Effect,
    state::{Model, Topic, account::Lock, secret_input::SecretInput},
};

/// Locks the screen, or says why that cannot be.
pub(super) fn begin(model: &mut Model) {
    if model.account.lock.is_some() {
        return;
    }
    if let Some(why) = why_no_lock(model) {
        return model.warn(format!("no lock: {why}"));
    }
    let lock = Lock { since: model.now, password: SecretInput::default(), sent: None, fault: None };
    model.account.lock = Some(lock);
    model.line = None;
    model.notice = None;
}

/// Locks what nobody has touched for long enough.
pub(in crate::update) fn tick(model: &mut Model) {
    let idle = model.now.saturating_sub(model.last_key);
    let due = model.settings.lock_after_ms.is_some_and(|after| idle >= after);
    if due && model.account.lock.is_none() && why_no_lock(model).is_none() {
        begin(model);
    }
}

/// A key of the locked screen's own.
pub(in crate::update) fn locked(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    let up = model.is_up();
    let Some(lock) = &mut model.account.lock else { return };
    match does {
        Do::Redraw => out.push(Effect::Redraw),
        Do::Cancel => {
            lock.password.clear();
            lock.fault = None;
            if let Some(ticket) = lock.sent.take() {
                model.calls.end(ticket);
                out.push(Effect::Drop(ticket));
            }
        }
        // A locked console must not start unlocked the next time.
        Do::Quit if up && !model.calls.steps(AccountStep::Leave) => {
            out.push(Effect::Forget);
            ask(model, out, AccountStep::Leave, AccountRequest::Logout(account::Logout));
        }
        Do::Quit => out.push(Effect::Quit),
        Do::Submit if lock.sent.is_none() && lock.password.len() > 0 => {
            if !up {
                lock.fault = Some("there is no connection to the daemon now".into());
                return;
            }
            let password = lock.password.secret();
            let ticket =
                ask(model, out, AccountStep::Unlock, AccountRequest::Verify(account::Verify { password }));
            if let Some(lock) = &mut model.account.lock {
                lock.sent = Some(ticket);
                lock.fault = None;
            }
        }
        _ => {}
    }
}

/// Whether it was the password.
pub(super) fn answered(model: &mut Model, out: &mut Vec<Effect>, result: Result<Reply, Fault>) {
    let Some(lock) = &mut model.account.lock else { return };
    lock.sent = None;
    lock.password.clear();
    match result {
        Ok(_) => {
            model.account.lock = None;
            model.last_key = model.now;
            super::super::refresh(model, out);
        }
        Err(fault) => {
            let over = fault.kind == FaultKind::NotPermitted;
            lock.fault = Some(answers::said(&fault));
            if over {
                // The session itself may be over: asking for the identity finds out.
                load(model, out, Topic::Identity);
            }
        }
    }
}

/// Why the screen cannot be locked, if so: without a password of one's own nobody could open it again.
fn why_no_lock(model: &Model) -> Option<&'static str> {
    use aivonx_protocol::session::SessionKind;
    let who = model.identity.as_ref();
    match who.and_then(|who| who.session.as_ref()) {
        Some(session) if session.kind == SessionKind::Control => None,
        Some(_) => Some("a token is in use here, which has no password"),
        None if who.is_some_and(|who| who.role.is_some()) => {
            Some("you are here by your uid, so there is no password to open it with")
        }
        None => Some("nobody is logged in"),
    }
}
