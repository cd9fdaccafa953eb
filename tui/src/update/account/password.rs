//! One's own password.

use aivonx_protocol::{
    WireSecret,
    account::{self, AccountRequest},
};

use super::{AccountStep, Prepared, barred, forms, stands};
use crate::state::{
    Model,
    form::{Field, Form, FormFor},
};

/// Asks for a new one.
pub(in crate::update) fn ask(model: &mut Model) {
    if barred(model).is_some() || stands(model, &FormFor::Password) {
        return;
    }
    let known = model.account.password.is_some();
    let must = model.identity.as_ref().is_some_and(|who| who.must_change_password);
    let mut fields = Vec::new();
    if !known {
        fields.push(Field::secret("old", "As it is", "the password, or the code you were given").required());
    }
    let rules = "12 characters or more; not digits alone, no name, not a common one";
    fields.push(Field::secret("new", "New one", rules).required());
    fields.push(Field::secret("again", "Once more", "the same password again").required());
    let intro = if must {
        "Your password has to be changed before anything else."
    } else {
        "Your other sessions end with it."
    };
    forms::open(model, Form::new(FormFor::Password, "Change your password", intro, fields));
}

/// Whether this has the form of a code that sets a new password: letters and digits in fours.
pub(in crate::update) fn is_code(text: &WireSecret) -> bool {
    let fours: Vec<&str> = text.expose().trim().split('-').collect();
    fours.len() > 2
        && fours.iter().all(|four| four.len() == 4 && four.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Asks for a new password, to be set with this code.
pub(in crate::update) fn redeem(model: &mut Model, user: &str, code: Option<&WireSecret>) {
    if model.settings.read_only {
        return model.warn("started with --read-only");
    }
    let rules = "12 characters or more; not digits alone, no name, not a common one";
    let mut field = Field::secret("code", "Code", "the code an administrator gave you").required();
    if let Some(code) = code {
        field = field.holding(code);
    }
    let fields = vec![
        Field::text("username", "Name", "who you are to the gateway", user).required(),
        field,
        Field::secret("password", "New one", rules).required(),
        Field::secret("again", "Once more", "the same password again").required(),
    ];
    let intro = match code {
        Some(_) => {
            "That is not the password, but looks like the code of an administrator: with it you set one."
        }
        None => "With the code of an administrator, which is good once.",
    };
    let mut form = Form::new(FormFor::Redeem, "Set your password", intro, fields);
    form.at = if code.is_some() { 2 } else { 0 };
    forms::open(model, form);
}

/// What that form asks for.
pub(super) fn redeem_request(form: &Form) -> Prepared {
    let code = form.secret("code").ok_or(("code", "this is needed"))?;
    let password = form.secret("password").ok_or(("password", "this is needed"))?;
    if form.secret("again").as_ref() != Some(&password) {
        return Err(("again", "the two are not the same"));
    }
    Ok((
        AccountStep::Redeem,
        AccountRequest::Redeem(account::Redeem { username: form.value("username"), code, password }),
    ))
}

/// What the form asks for.
pub(super) fn request(model: &Model, form: &Form) -> Prepared {
    let old = form.secret("old").or_else(|| model.account.password.clone());
    let old = old.ok_or(("old", "this is needed"))?;
    let new = form.secret("new").ok_or(("new", "this is needed"))?;
    if form.secret("again").as_ref() != Some(&new) {
        return Err(("again", "the two are not the same"));
    }
    Ok((AccountStep::Password, AccountRequest::Password(account::Password { old, new })))
}
