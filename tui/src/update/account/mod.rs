//! What follows about one's own account: set-up, password, second factor, lock. Beginning and ending a session
//! is in [`login`](super::login).

mod factor;
mod lock;
mod password;
mod set_up;
#[cfg(test)]
mod tests;

use aivonx_protocol::{
    Fault, Reply, Request, WireSecret,
    account::{self, AccountRequest},
};

pub(super) use self::{
    factor::{carry_out, enrol, factor},
    lock::{locked, tick},
    password::{ask as password, is_code, redeem},
    set_up::ask as set_up,
};
use super::{answers, forms, load, login};
use crate::{
    msg::{Effect, Ticket},
    state::{Dialog, Model, Purpose, Right, Topic, account::AccountStep, dialog::Reveal, form::FormFor},
};

/// The screen is locked, or not, and why.
pub(super) fn lock(model: &mut Model) {
    lock::begin(model);
}

/// Sends a form that is about one's own account.
pub(super) fn send(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(Dialog::Form(form)) = model.dialogs.last() else { return };
    let prepared = match form.purpose {
        FormFor::SetUp => set_up::request(form),
        FormFor::Password => password::request(model, form),
        FormFor::Redeem => password::redeem_request(form),
        FormFor::Enrol => factor::offer_request(form),
        FormFor::SecondFactor => factor::request(form),
        _ => return,
    };
    match prepared {
        Err((field, why)) => forms::refuse_at(model, field, why),
        Ok((step, request)) => {
            remember(model, step, &request);
            let ticket = ask(model, out, step, request);
            if let Some(Dialog::Form(form)) = model.dialogs.last_mut() {
                form.sent = Some(ticket);
            }
        }
    }
}

/// What a form asks for, or the field that is wrong and why.
type Prepared = Result<(AccountStep, AccountRequest), (&'static str, &'static str)>;

/// What was typed is needed for what has to be done next.
fn remember(model: &mut Model, step: AccountStep, request: &AccountRequest) {
    let password = match request {
        AccountRequest::Setup(setup) => {
            model.account.wants_factor = !setup.no_totp;
            &setup.password
        }
        AccountRequest::Password(account::Password { new, .. }) if owes(model) => new,
        _ => return,
    };
    debug_assert!(matches!(step, AccountStep::SetUp | AccountStep::Password), "nothing else is remembered");
    model.account.password = Some(password.clone());
}

/// Whether something has to be done before anything else.
fn owes(model: &Model) -> bool {
    model.identity.as_ref().is_some_and(|who| who.must_change_password || who.must_enrol)
}

fn ask(model: &mut Model, out: &mut Vec<Effect>, step: AccountStep, request: AccountRequest) -> Ticket {
    let ticket = model.calls.begin(Purpose::Account(step), model.now);
    out.push(Effect::Call { ticket, request: Request::Account(request) });
    ticket
}

/// Leads on to what has to be done before anything else: a new password, a second factor.
pub(super) fn settle(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(who) = model.identity.as_ref().filter(|who| who.role.is_some() && who.user.is_some()) else {
        return;
    };
    let (change, must_enrol, has_factor) = (who.must_change_password, who.must_enrol, who.totp);
    if has_factor {
        model.account.wants_factor = false;
    }
    if change {
        password::ask(model);
    } else if must_enrol || model.account.wants_factor {
        enrol(model, out);
    } else {
        model.account.password = None;
    }
}

/// The daemon's answer to something about one's own account.
pub(super) fn answered(
    model: &mut Model,
    out: &mut Vec<Effect>,
    step: AccountStep,
    ticket: Ticket,
    result: Result<Reply, Fault>,
) {
    match (step, result) {
        (AccountStep::Unlock, result) => lock::answered(model, out, result),
        (AccountStep::Leave, _) => out.push(Effect::Quit),
        (AccountStep::Confirm, Err(fault)) => factor::refused(model, &fault),
        (_, Err(fault)) => {
            let why = answers::said(&fault);
            if step == AccountStep::Password || step == AccountStep::SetUp {
                // What was typed is typed again.
                model.account.password = None;
                model.account.wants_factor = false;
            }
            match answers::form(model, ticket) {
                Some(form) => {
                    // A new password is what can be wrong about one.
                    let field = match (step, fault.field.as_deref()) {
                        (AccountStep::Password, Some("password")) => Some("new"),
                        // The one in use, which is wrong, is named by none.
                        (AccountStep::Password, None) => Some("old"),
                        (AccountStep::Offer | AccountStep::Disable | AccountStep::Codes, None) => {
                            Some("password")
                        }
                        (_, field) => field,
                    };
                    form.refuse(field, &why);
                }
                None => {
                    model.account.password = None;
                    model.account.wants_factor = false;
                    model.warn(format!("{}: {why}", step.doing()));
                }
            }
        }
        (AccountStep::SetUp, Ok(Reply::LoggedIn(session))) => {
            answers::close(model, ticket);
            set_up::done(model, out, session);
        }
        (AccountStep::Password, Ok(_)) => {
            answers::close(model, ticket);
            model.tell("the password is changed; your other sessions have ended");
            load(model, out, Topic::Identity);
        }
        (AccountStep::Redeem, Ok(_)) => {
            let form = answers::form(model, ticket);
            let typed = form.and_then(|form| Some((form.value("username"), form.secret("password")?)));
            answers::close(model, ticket);
            if let Some((user, password)) = typed {
                login::again(model, out, &user, &password);
            }
        }
        (AccountStep::Offer, Ok(Reply::TotpOffer(offer))) => {
            answers::close(model, ticket);
            factor::offered(model, offer);
        }
        (AccountStep::Disable, Ok(_)) => {
            answers::close(model, ticket);
            model.tell("the second factor is off: the password alone is enough now");
            load(model, out, Topic::Identity);
        }
        (AccountStep::Confirm | AccountStep::Codes, Ok(Reply::BackupCodes(codes))) => {
            answers::close(model, ticket);
            model.dialogs.retain(|dialog| !matches!(dialog, Dialog::Enrol(_)));
            model.account.wants_factor = false;
            model.account.password = None;
            reveal(model, &codes);
            load(model, out, Topic::Identity);
        }
        (_, Ok(other)) => model.warn(format!("{}: it was answered with {}", step.doing(), other.name())),
    }
}

/// Backup codes are shown once.
fn reveal(model: &mut Model, codes: &[WireSecret]) {
    let all: Vec<&str> = codes.iter().map(WireSecret::expose).collect();
    model.tell("the second factor is on");
    model.dialogs.push(Dialog::Reveal(Box::new(Reveal {
        title: "Your backup codes".into(),
        lines: vec![
            "Each is good once in place of a code, if the authenticator is lost. Write them down or copy them: \
             they are not shown again."
                .into(),
        ],
        secret: WireSecret::new(all.join("\n")),
        command: None,
        copied: false,
    })));
}

/// Why nothing can be done about one's own account, said; None if it can.
fn barred(model: &mut Model) -> Option<()> {
    let why = model.why_not(Right::OwnAccount)?;
    model.warn(why);
    Some(())
}

/// Whether such a form stands there already.
fn stands(model: &Model, purpose: &FormFor) -> bool {
    model.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Form(form) if form.purpose == *purpose))
}
