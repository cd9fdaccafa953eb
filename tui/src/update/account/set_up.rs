//! The first administrator.

use aivonx_protocol::{
    account::{AccountRequest, LoggedIn, Setup},
    handshake::Login,
    organization::LimitProfile,
};

use super::{AccountStep, Prepared, forms, stands};
use crate::{
    msg::Effect,
    state::{
        Dialog, Link, Model,
        dialog::Text,
        form::{self, Field, Form, FormFor},
        steps::set_up_line,
    },
    update::login,
};

const PROFILES: &[(&str, &str)] = &[
    ("standard", "100 requests a day per user, 10 USD a day; personal data removed"),
    ("team", "no daily request caps; 10 USD a day; personal data noticed"),
    ("unlimited", "no limits; personal data not looked for"),
];

/// Asks for what the first administrator needs, or says who may.
pub(in crate::update) fn ask(model: &mut Model) {
    let Link::Up { .. } = model.link else { return model.warn("not connected") };
    if model.identity.as_ref().is_some_and(|who| who.set_up)
        || model.status.as_ref().is_some_and(|status| status.set_up)
    {
        return model.warn("there is an administrator already; :login");
    }
    if model.settings.read_only {
        return model.warn("started with --read-only");
    }
    if !model.account.may_set_up {
        return refer(model);
    }
    if !stands(model, &FormFor::SetUp) {
        forms::open(model, form());
    }
}

/// Says who can do it.
fn refer(model: &mut Model) {
    let title = "There is no administrator yet";
    if model.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Text(text) if text.title == title)) {
        return;
    }
    let rows = vec![
        (
            "who".to_owned(),
            "Only root and the user that the daemon runs as can make the first one.".to_owned(),
        ),
        ("how".to_owned(), set_up_line(model)),
        ("then".to_owned(), "This console notices it by itself, and asks you to log in.".to_owned()),
    ];
    model.dialogs.push(Dialog::Text(Box::new(Text { title: title.into(), rows, scroll: 0 })));
}

fn form() -> Form {
    let fields = vec![
        Field::text("username", "Name", "lower case letters, digits, . _ - @", "admin")
            .required()
            .checked(form::name),
        Field::secret(
            "password",
            "Password",
            "12 characters or more; not digits alone, no name, not a common one",
        )
        .required(),
        Field::secret("again", "Once more", "the same password again").required(),
        Field::choice("profile", "Limits", "what organizations begin with", PROFILES, "standard"),
        Field::toggle("factor", "2FA", "ask it for a code of an authenticator app, too: the next step", true),
    ];
    let intro = "Nobody can use this gateway yet. This makes its first administrator, who may do everything.";
    let mut form = Form::new(FormFor::SetUp, "Set up the gateway", intro, fields);
    // The name is good as it stands.
    form.at = 1;
    form
}

/// What the form asks for.
pub(super) fn request(form: &Form) -> Prepared {
    let password = form.secret("password").ok_or(("password", "this is needed"))?;
    if form.secret("again").as_ref() != Some(&password) {
        return Err(("again", "the two are not the same"));
    }
    let profile = match &*form.value("profile") {
        "team" => LimitProfile::Team,
        "unlimited" => LimitProfile::Unlimited,
        _ => LimitProfile::Standard,
    };
    let setup = Setup {
        username: form.value("username"),
        password,
        no_totp: !form.is_on("factor"),
        profile: Some(profile),
        recover: false,
    };
    Ok((AccountStep::SetUp, AccountRequest::Setup(setup)))
}

/// There is an administrator, who is logged in.
pub(super) fn done(model: &mut Model, out: &mut Vec<Effect>, session: Box<LoggedIn>) {
    if let Link::Up { login, .. } = &mut model.link
        && *login == Login::Setup
    {
        *login = Login::Needed;
    }
    if let Some(status) = &mut model.status {
        status.set_up = true;
    }
    login::begun(model, out, session);
    model.tell("the gateway has its first administrator: you");
}
