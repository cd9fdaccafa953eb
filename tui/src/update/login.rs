//! Beginning and ending a session.

use aivonx_protocol::{
    Fault, FaultKind, Reply, Request, WireSecret,
    account::{self as own, Identity},
    handshake::Login,
};

use super::{account, answers, forms, known, load};
use crate::{
    msg::{Effect, Ticket},
    state::{
        Dialog, Link, Model, Purpose, Topic,
        account::AccountStep,
        form::{Field, Form, FormFor},
    },
};

/// Asks for name and password, unless that is asked already.
pub(super) fn ask(model: &mut Model) {
    let asked = |dialog: &Dialog| matches!(dialog, Dialog::Form(form) if form.purpose == FormFor::Login);
    if model.dialogs.iter().any(asked) {
        return;
    }
    let now = model.identity.as_ref().and_then(|who| who.user.clone());
    // Whose session has ended most likely goes on with another.
    let user = now.or_else(|| model.account.user.clone()).unwrap_or_default();
    forms::open(model, form(&user, false));
}

fn form(user: &str, code: bool) -> Form {
    let mut fields = vec![
        Field::text("username", "Name", "who you are to the gateway", user).required(),
        Field::secret("password", "Password", "your password, or the code an administrator gave you")
            .required(),
    ];
    if code {
        let about = "six digits of the authenticator app, or a backup code";
        fields.push(Field::code("otp", "Code", about).required());
    }
    let mut form = Form::new(FormFor::Login, "Log in", "", fields);
    if !user.is_empty() {
        form.at = 1;
    }
    form
}

/// Notes whose session it is. What was seen in another's is forgotten.
pub(super) fn seen(model: &mut Model, who: Option<&Identity>) {
    let Some(user) = who.filter(|who| who.role.is_some()).map(|who| who.user.clone().unwrap_or_default())
    else {
        return;
    };
    if model.account.user.as_ref().is_some_and(|before| *before != user) {
        model.forget();
        model.dialogs.clear();
    }
    model.account.user = Some(user);
}

/// Somebody else has made the first administrator meanwhile: there is something to log in to.
pub(super) fn set_up_elsewhere(model: &mut Model, set_up: bool) {
    let ours = model.calls.steps(AccountStep::SetUp);
    if !set_up || ours || model.identity.as_ref().is_some_and(|who| who.role.is_some()) {
        return;
    }
    if let Link::Up { login, .. } = &mut model.link
        && *login == Login::Setup
    {
        *login = Login::Needed;
        model.dialogs.clear();
        ask(model);
    }
}

/// Logs in with what was just set: asked for is only what is not known.
pub(super) fn again(model: &mut Model, out: &mut Vec<Effect>, user: &str, password: &WireSecret) {
    let mut form = form(user, false);
    if let Some(field) = form.fields.iter_mut().find(|field| field.key == "password") {
        *field = Field::secret("password", "Password", "it is not shown").required().holding(password);
    }
    forms::open(model, form);
    send(model, out);
}

/// Sends the form.
pub(super) fn send(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(Dialog::Form(form)) = model.dialogs.last() else { return };
    let Some(password) = form.secret("password") else { return };
    let otp = form.secret("otp");
    let request =
        Request::from(own::Login { username: form.value("username"), password: password.clone(), otp });
    // What has to be done first may ask for it again.
    model.account.password = Some(password);
    let ticket = model.calls.begin(Purpose::Login, model.now);
    out.push(Effect::Call { ticket, request });
    if let Some(Dialog::Form(form)) = model.dialogs.last_mut() {
        form.sent = Some(ticket);
    }
}

/// The daemon's answer to a login.
pub(super) fn answered(
    model: &mut Model,
    out: &mut Vec<Effect>,
    ticket: Ticket,
    result: Result<Reply, Fault>,
) {
    match result {
        Ok(Reply::LoggedIn(session)) => {
            answers::close(model, ticket);
            begun(model, out, session);
        }
        Ok(other) => model.warn(format!("the login was answered with {}", other.name())),
        Err(fault) => {
            model.account.password = None;
            let wants_code = fault.kind == FaultKind::NotPermitted && fault.field.as_deref() == Some("otp");
            let Some(form) = answers::form(model, ticket) else { return };
            let code = form.secret("password").filter(account::is_code);
            if let Some(code) = code.filter(|_| fault.kind == FaultKind::NotPermitted && !wants_code) {
                let user = form.value("username");
                answers::close(model, ticket);
                return account::redeem(model, &user, Some(&code));
            }
            if wants_code && form.fields.iter().all(|field| field.key != "otp") {
                let about = "six digits of the authenticator app, or a backup code";
                form.fields.push(Field::code("otp", "Code", about).required());
                form.at = form.fields.len() - 1;
                form.sent = None;
                form.fault = None;
            } else {
                form.refuse(fault.field.as_deref(), &answers::said(&fault));
            }
        }
    }
}

/// A session has begun.
pub(super) fn begun(
    model: &mut Model,
    out: &mut Vec<Effect>,
    session: Box<aivonx_protocol::account::LoggedIn>,
) {
    let who = session.identity.clone();
    seen(model, Some(&who));
    model.tell(format!("logged in as {}", who.user.as_deref().unwrap_or("nobody")));
    model.identity = Some(who);
    out.push(Effect::Keep(session));
    // Others may be seen now than before.
    unfollow(model, out);
    out.extend(model.calls.give_up_loads().into_iter().map(Effect::Drop));
    known(model, out);
}

fn unfollow(model: &mut Model, out: &mut Vec<Effect>) {
    let feeds = [model.node_feed.take(), model.logs.feed.take()];
    out.extend(feeds.into_iter().flatten().map(Effect::Drop));
}

/// Ends the session.
pub(super) fn leave(model: &mut Model, out: &mut Vec<Effect>) {
    if model.identity.as_ref().is_none_or(|who| who.session.is_none()) {
        model.warn("you are not logged in");
        return;
    }
    // Who comes next is somebody else.
    model.account.user = None;
    let ticket = model.calls.begin(Purpose::Logout, model.now);
    out.push(Effect::Call { ticket, request: Request::from(own::Logout) });
}

/// The session was ended.
pub(super) fn left(model: &mut Model, out: &mut Vec<Effect>, result: Result<Reply, Fault>) {
    match result {
        Ok(_) => {
            out.push(Effect::Forget);
            unfollow(model, out);
            model.identity = None;
            model.account.user = None;
            model.account.password = None;
            model.forget();
            model.tell("logged out");
            load(model, out, Topic::Identity);
        }
        Err(fault) => model.warn(format!("Logging out: {}", answers::said(&fault))),
    }
}
