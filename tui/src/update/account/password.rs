//! One's own password.

use aivonx_protocol::account::AccountRequest;

use super::{Prepared, Step, barred, forms, stands};
use crate::model::{
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

/// What the form asks for.
pub(super) fn request(model: &Model, form: &Form) -> Prepared {
    let old = form.secret("old").or_else(|| model.account.password.clone());
    let old = old.ok_or(("old", "this is needed"))?;
    let new = form.secret("new").ok_or(("new", "this is needed"))?;
    if form.secret("again").as_ref() != Some(&new) {
        return Err(("again", "the two are not the same"));
    }
    Ok((Step::Password, AccountRequest::Password { old, new }))
}
