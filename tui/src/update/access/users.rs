//! What can be done with users.

use aivonx_protocol::{
    Request,
    user::{self, NewUser, Role, User, UserChange, UserRequest},
};

use super::{Prepared, says};
use crate::{
    keymap::Do,
    msg::Effect,
    render::text::plural,
    state::{
        Model, Topic,
        calls::Act,
        dialog::RequestsOf,
        form::{self, Field, Form, FormFor},
    },
    update::{account, act, dialogs, forms, security},
};

const RELOAD: &[Topic] = &[Topic::Users];

const ROLES: &[(&str, &str)] = &[
    ("member", "own keys and usage"),
    ("org-admin", "users and keys of one organization"),
    ("operator", "nodes, models, jobs"),
    ("auditor", "reads everything, the audit log too"),
    ("superadmin", "everything"),
];

/// A key of the tab's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    if does == Do::Add {
        // An administrator of one organization adds users to it.
        let own = model.identity.as_ref().and_then(|who| who.organization.clone()).unwrap_or_default();
        return forms::open(model, add_form(&own));
    }
    let chosen: Vec<User> = model.access.users.targets().into_iter().cloned().collect();
    let Some(first) = chosen.first() else { return };
    match does {
        Do::Edit => forms::open(model, edit_form(first)),
        Do::Sessions => security::show(model, out, first.name.clone()),
        Do::Enable => {
            for user in &chosen {
                let (request, what) = set_enabled(user, true);
                act(model, out, request, what);
            }
        }
        Do::Disable => {
            let line = "Sessions, tokens and running requests end; keys that act for the user stop working.";
            let requests = chosen.iter().map(|user| set_enabled(user, false)).collect();
            dialogs::confirm(model, ask("Disable", &chosen), vec![line.into()], "Disable", None, requests);
            dialogs::count(model, out, of(chosen));
        }
        Do::Remove => {
            let line = "Keys and sessions of the user are removed, too. The audit log keeps what was done.";
            let typed = if chosen.len() == 1 { first.name.clone() } else { "remove".to_owned() };
            let requests = chosen.iter().map(remove).collect();
            let title = ask("Remove", &chosen);
            dialogs::confirm(model, title, vec![line.into()], "Remove", Some(typed), requests);
            dialogs::count(model, out, of(chosen));
        }
        Do::ResetPassword => {
            let lines = vec![
                "The password stops working and all sessions end.".into(),
                "You get a code, shown once, with which the user sets a new one.".into(),
            ];
            let what = says(format!("Resetting the password of {}", first.name), first.name.clone(), RELOAD);
            let request = Request::from(user::ResetPassword { user: first.id.clone() });
            let title = format!("Reset the password of {}?", first.name);
            dialogs::confirm(model, title, lines, "Reset", None, vec![(request, what)]);
        }
        // One's own is set up and turned off with one's own proofs.
        Do::ResetTotp
            if model.identity.as_ref().is_some_and(|who| who.user.as_ref() == Some(&first.name)) =>
        {
            account::factor(model, out);
        }
        Do::ResetTotp => {
            let line =
                "Until a new one is set up, the password alone is enough. Be sure who asked you for it.";
            let what = says(
                format!("Taking the second factor of {} away", first.name),
                format!("{} has no second factor any more", first.name),
                RELOAD,
            );
            let request = Request::from(user::ResetTotp { user: first.id.clone() });
            let title = format!("Take the second factor of {} away?", first.name);
            let typed = Some(first.name.clone());
            dialogs::confirm(model, title, vec![line.into()], "Take away", typed, vec![(request, what)]);
        }
        Do::EndSessions => {
            let line = "Tokens end, too: scripts that use them stop working.";
            let requests = chosen.iter().map(logout).collect();
            let title = ask("End all sessions of", &chosen);
            dialogs::confirm(model, title, vec![line.into()], "End", None, requests);
        }
        _ => {}
    }
}

fn of(chosen: Vec<User>) -> RequestsOf {
    RequestsOf::Users(chosen.into_iter().map(|user| user.name).collect())
}

fn ask(verb: &str, chosen: &[User]) -> String {
    match chosen {
        [user] => format!("{verb} user {}?", user.name),
        more => format!("{verb} {}?", plural(more.len() as u64, "user")),
    }
}

fn set_enabled(user: &User, enabled: bool) -> (Request, Act) {
    let request =
        UserRequest::SetEnabled(user::SetEnabled { user: user.id.clone(), revision: None, enabled });
    let (doing, done) = if enabled { ("Enabling", "enabled") } else { ("Disabling", "disabled") };
    let what = says(format!("{doing} {}", user.name), format!("{} is {done}", user.name), RELOAD);
    (Request::User(request), what)
}

fn remove(user: &User) -> (Request, Act) {
    let request = UserRequest::Remove(user::Remove { user: user.id.clone(), revision: None });
    let what = says(format!("Removing {}", user.name), format!("{} is removed", user.name), RELOAD);
    (Request::User(request), what)
}

fn logout(user: &User) -> (Request, Act) {
    let request = UserRequest::Logout(user::Logout { user: user.id.clone(), session: None });
    let what = says(
        format!("Ending the sessions of {}", user.name),
        format!("{} is logged out everywhere", user.name),
        &[],
    );
    (Request::User(request), what)
}

fn common(user: Option<&User>, organization: &str) -> Vec<Field> {
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let name = user.map(|user| user.name.clone()).unwrap_or_default();
    let role = user.map_or("member", |user| user.role.as_str());
    vec![
        Field::text("name", "Name", "what the user logs in with: lower case letters, digits, . _ - @", &name)
            .required()
            .checked(form::name),
        Field::choice("role", "Role", "what the user may do", ROLES, role),
        Field::text(
            "organization",
            "Org",
            "its slug; empty: the whole fleet (no member, no org-admin)",
            organization,
        ),
        Field::text(
            "display_name",
            "Shown as",
            "the name for people",
            &text(user.and_then(|user| user.display_name.as_ref())),
        ),
        Field::text(
            "email",
            "E-mail",
            "for people; nothing is ever sent there",
            &text(user.and_then(|user| user.email.as_ref())),
        ),
    ]
}

fn add_form(organization: &str) -> Form {
    let mut fields = common(None, organization);
    let about = "12 characters or more; empty: you get a code for the user to set one";
    fields.push(Field::secret("password", "Password", about));
    Form::new(FormFor::AddUser, "Add a user", "", fields)
}

fn edit_form(user: &User) -> Form {
    let purpose = FormFor::EditUser(user.id.clone(), user.revision);
    let fields = common(Some(user), user.organization.as_deref().unwrap_or_default());
    let intro = "Another role or organization ends the user's sessions.";
    Form::new(purpose, format!("Change user {}", user.name), intro, fields)
}

fn role(form: &Form) -> Result<Role, String> {
    form.value("role").parse().map_err(|error: aivonx_protocol::user::NoRole| error.to_string())
}

/// Adds the user of this form.
pub(in crate::update) fn add(form: &Form) -> Prepared {
    let name = form.value("name");
    let new = NewUser {
        name: name.clone(),
        display_name: form.given("display_name"),
        email: form.given("email"),
        role: role(form)?,
        organization: form.given("organization"),
        password: form.secret("password"),
    };
    let what = says(format!("Adding {name}"), format!("added {name}"), RELOAD);
    Ok((Request::from(user::Add(Box::new(new))), what))
}

/// What follows if somebody was added: without a password, a code for setting one.
pub(super) fn then(form: &Form) -> Option<(Request, Act)> {
    if form.secret("password").is_some() {
        return None;
    }
    let name = form.value("name");
    let what = says(format!("Making a code for {name}"), name.clone(), RELOAD);
    Some((Request::from(user::ResetPassword { user: name }), what))
}

/// Changes what the form changes.
pub(in crate::update) fn change(model: &Model, form: &Form, id: &str, revision: u64) -> Prepared {
    let known = model.access.users.all().iter().find(|user| user.id == id);
    let user = known.ok_or_else(|| "the user was removed meanwhile".to_owned())?;
    let optional = |key: &str, before: &Option<String>| Some(form.given(key)).filter(|value| value != before);
    let change = UserChange {
        name: Some(form.value("name")).filter(|name| *name != user.name),
        display_name: optional("display_name", &user.display_name),
        email: optional("email", &user.email),
        role: Some(role(form)?).filter(|role| *role != user.role),
        organization: optional("organization", &user.organization),
    };
    if change == UserChange::default() {
        return Err("nothing was changed".into());
    }
    let request = UserRequest::Set(user::Set {
        user: id.to_owned(),
        revision: Some(revision),
        change: Box::new(change),
    });
    let what = says(format!("Changing {}", user.name), format!("{} is changed", user.name), RELOAD);
    Ok((Request::User(request), what))
}
