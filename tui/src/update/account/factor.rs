//! One's own second factor: set up with a picture, turned off, new backup codes.

use aivonx_protocol::{
    Fault, WireSecret,
    account::{self, AccountRequest, TotpOffer},
};

use super::{AccountStep, Prepared, ask, barred, forms, stands};
use crate::{
    keymap::Do,
    msg::Effect,
    render::text::plural,
    state::{
        Dialog, Model,
        account::Enrol,
        form::{Field, Form, FormFor},
    },
};

/// What can be done about it, as things stand: set it up, or turn it off and make new backup codes.
pub(in crate::update) fn factor(model: &mut Model, out: &mut Vec<Effect>) {
    if barred(model).is_some() {
        return;
    }
    let Some(who) = &model.identity else { return };
    if !who.totp {
        return enrol(model, out);
    }
    if stands(model, &FormFor::SecondFactor) {
        return;
    }
    let options = [
        ("new backup codes", "the old ones are void then"),
        (
            "turn it off",
            "where the rules allow it; also to move to another authenticator: then set it up anew",
        ),
    ];
    let fields = vec![
        Field::choice("what", "What", "what to do", &options, "new backup codes"),
        Field::secret("password", "Password", "yours, again").required(),
        Field::code("otp", "Code", "six digits of the authenticator app, or a backup code").required(),
    ];
    let intro = format!("It is on, with {} left.", plural(who.backup_codes.into(), "backup code"));
    forms::open(model, Form::new(FormFor::SecondFactor, "Your second factor", &intro, fields));
}

/// What that form asks for.
pub(super) fn request(form: &Form) -> Prepared {
    let password = form.secret("password").ok_or(("password", "this is needed"))?;
    let code = form.secret("otp").ok_or(("otp", "this is needed"))?;
    Ok(if form.value("what") == "turn it off" {
        (AccountStep::Disable, AccountRequest::TotpDisable(account::TotpDisable { password, code }))
    } else {
        (AccountStep::Codes, AccountRequest::BackupCodes(account::BackupCodes { password, code }))
    })
}

/// Sets it up: with the password just typed, else that is asked for.
pub(in crate::update) fn enrol(model: &mut Model, out: &mut Vec<Effect>) {
    let under_way = model.calls.steps(AccountStep::Offer)
        || stands(model, &FormFor::Enrol)
        || model.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Enrol(_)));
    if under_way || barred(model).is_some() {
        return;
    }
    if let Some(password) = model.account.password.clone() {
        ask(model, out, AccountStep::Offer, AccountRequest::TotpBegin(account::TotpBegin { password }));
        return;
    }
    let must = model.identity.as_ref().is_some_and(|who| who.must_enrol);
    let intro = if must {
        "Two-factor authentication is required here: a code of an authenticator app beside the password."
    } else {
        "A code of an authenticator app is asked for at every login then, beside the password."
    };
    let fields = vec![Field::secret("password", "Password", "yours, again").required()];
    forms::open(model, Form::new(FormFor::Enrol, "Set up your second factor", intro, fields));
}

/// What that form asks for.
pub(super) fn offer_request(form: &Form) -> Prepared {
    let password = form.secret("password").ok_or(("password", "this is needed"))?;
    Ok((AccountStep::Offer, AccountRequest::TotpBegin(account::TotpBegin { password })))
}

/// The daemon offers one.
pub(super) fn offered(model: &mut Model, offer: TotpOffer) {
    model.account.password = None;
    model.dialogs.push(Dialog::Enrol(Box::new(Enrol::new(offer))));
}

/// The code was not taken.
pub(super) fn refused(model: &mut Model, fault: &Fault) {
    for dialog in &mut model.dialogs {
        if let Dialog::Enrol(enrol) = dialog {
            enrol.sent = None;
            enrol.code.clear();
            // Its advice is for those who have one, and backup codes.
            enrol.fault = Some(fault.message.clone());
        }
    }
}

/// A key of the picture's own.
pub(in crate::update) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    let up = model.is_up();
    let Some(Dialog::Enrol(enrol)) = model.dialogs.last_mut() else { return };
    match does {
        Do::Cancel => match enrol.sent.take() {
            Some(ticket) => {
                enrol.fault = Some("given up; it may have been taken all the same".into());
                model.calls.end(ticket);
                out.push(Effect::Drop(ticket));
            }
            None => {
                model.dialogs.pop();
                model.account.wants_factor = false;
                model.warn("the second factor is not set up; :2fa begins again");
            }
        },
        Do::Copy => {
            enrol.copied = true;
            out.push(Effect::Copy(WireSecret::new(enrol.offer.secret.expose().to_owned())));
        }
        Do::Invert => enrol.inverted = !enrol.inverted,
        Do::Submit if enrol.sent.is_none() => {
            if enrol.code.len() == 0 {
                enrol.fault = Some("type the six digits that the app shows".into());
                return;
            }
            if !up {
                enrol.fault = Some("there is no connection to the daemon now".into());
                return;
            }
            let code = enrol.code.secret();
            let ticket = ask(
                model,
                out,
                AccountStep::Confirm,
                AccountRequest::TotpConfirm(account::TotpConfirm { code }),
            );
            if let Some(Dialog::Enrol(enrol)) = model.dialogs.last_mut() {
                enrol.sent = Some(ticket);
                enrol.fault = None;
            }
        }
        _ => {}
    }
}
