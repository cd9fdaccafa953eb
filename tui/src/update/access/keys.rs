//! What can be done with keys.

use aivonx_protocol::{
    Request,
    key::{self, Key, KeyChange, KeyRequest, KeyScope, NewKey},
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
    time_arg,
    update::{act, dialogs, forms},
};

const RELOAD: &[Topic] = &[Topic::Keys, Topic::DisabledKeys];
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// A key of the tab's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    if does == Do::Add {
        return make(model);
    }
    let chosen: Vec<Key> = model.access.keys.targets().into_iter().cloned().collect();
    let Some(first) = chosen.first() else { return };
    match does {
        Do::Edit => forms::open(model, edit_form(first)),
        Do::Rotate => forms::open(model, rotate_form(first)),
        Do::Enable => {
            for key in &chosen {
                let (request, what) = set_enabled(key, true);
                act(model, out, request, what);
            }
        }
        Do::Disable => {
            let title = ask("Disable", &chosen);
            let line = "Clients that use it are refused at once; running requests end.";
            let requests = chosen.iter().map(|key| set_enabled(key, false)).collect();
            dialogs::confirm(model, title, vec![line.into()], "Disable", None, requests);
            dialogs::count(model, out, of(chosen));
        }
        Do::Remove => {
            let title = ask("Revoke", &chosen);
            let line = "Clients that use it are refused at once; running requests end. It cannot be undone.";
            let requests = chosen
                .iter()
                .map(|key| {
                    let request = KeyRequest::Revoke(key::Revoke {
                        organization: key.organization.clone(),
                        key: key.id.clone(),
                    });
                    let what =
                        says(format!("Revoking {}", key.name), format!("{} is revoked", key.name), RELOAD);
                    (Request::Key(request), what)
                })
                .collect();
            let typed = if chosen.len() == 1 { first.name.clone() } else { "revoke".to_owned() };
            dialogs::confirm(model, title, vec![line.into()], "Revoke", Some(typed), requests);
            dialogs::count(model, out, of(chosen));
        }
        _ => {}
    }
}

/// What the dialog asks.
fn ask(verb: &str, chosen: &[Key]) -> String {
    match chosen {
        [key] => format!("{verb} key {}?", key.name),
        more => format!("{verb} {}?", plural(more.len() as u64, "key")),
    }
}

fn of(chosen: Vec<Key>) -> RequestsOf {
    RequestsOf::Keys(chosen.into_iter().map(|key| (key.organization, key.name)).collect())
}

fn set_enabled(key: &Key, enabled: bool) -> (Request, Act) {
    let request = key::SetEnabled { organization: key.organization.clone(), key: key.id.clone(), enabled };
    let (doing, done) = if enabled { ("Enabling", "enabled") } else { ("Disabling", "disabled") };
    let what = says(format!("{doing} {}", key.name), format!("{} is {done}", key.name), RELOAD);
    (Request::from(request), what)
}

/// Opens the form for a new one.
pub(super) fn make(model: &mut Model) {
    let who = model.identity.as_ref();
    let organization = who.and_then(|who| who.organization.clone()).unwrap_or_default();
    forms::open(model, add_form(&organization));
}

fn scopes_check(text: &str) -> Result<(), String> {
    scopes(text).map(|_| ())
}

fn scopes(text: &str) -> Result<Vec<KeyScope>, String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(|word| word.parse::<KeyScope>().map_err(|error| error.to_string())).collect()
}

fn span_check(text: &str) -> Result<(), String> {
    days(text).map(|_| ())
}

/// A span of time in milliseconds.
fn days(text: &str) -> Result<u64, String> {
    time_arg::span(text)
        .and_then(|span| u64::try_from(span.as_millis()).ok())
        .ok_or_else(|| "a span of time, such as 12h or 90d".to_owned())
}

fn common(key: Option<&Key>) -> Vec<Field> {
    let scopes = key.map_or_else(
        || "infer".to_owned(),
        |key| key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
    );
    let models = key.map(|key| key.models.join(" ")).unwrap_or_default();
    let networks = key.map(|key| key.networks.join(" ")).unwrap_or_default();
    let expires = if key.is_some() {
        "from now, such as 90d; - is never; empty: as it is"
    } else {
        "from now, such as 90d; empty: never"
    };
    let check = if key.is_some() { span_or_never } else { span_check };
    vec![
        Field::text(
            "scopes",
            "Scopes",
            "infer, models:read, models:write, admin:read, nodes:choose",
            &scopes,
        )
        .required()
        .checked(scopes_check),
        Field::text(
            "models",
            "Models",
            "such as llama3* qwen3:8b; empty: what its organization may",
            &models,
        ),
        Field::text("networks", "From", "networks such as 192.0.2.0/24; empty: anywhere", &networks),
        Field::text("expires", "Expires", expires, "").checked(check),
    ]
}

fn span_or_never(text: &str) -> Result<(), String> {
    if text == "-" { Ok(()) } else { span_check(text) }
}

fn name_field(name: &str) -> Field {
    Field::text("name", "Name", "what it is for: lower case letters, digits, . _ -", name)
        .required()
        .checked(form::name)
}

fn add_form(organization: &str) -> Form {
    let mut fields = vec![
        name_field(""),
        Field::text("organization", "Org", "its slug; empty: a key of the fleet", organization),
        Field::text("user", "User", "whom it acts for; empty: it stands for itself", ""),
    ];
    fields.extend(common(None));
    let about = "client certificate for it: DNS name, URI, mail or CN; empty: none";
    fields.insert(fields.len() - 1, Field::text("certificate", "Certificate", about, ""));
    Form::new(FormFor::AddKey, "Make a key", "Its secret is shown once.", fields)
}

fn edit_form(key: &Key) -> Form {
    let mut fields = vec![name_field(&key.name)];
    fields.extend(common(Some(key)));
    let purpose = FormFor::EditKey(key.id.clone(), key.revision);
    Form::new(purpose, format!("Change key {}", key.name), "", fields)
}

fn rotate_form(key: &Key) -> Form {
    let about = "how long the old secret still works: 0s, 24h, at most 30d";
    let fields = vec![Field::text("grace", "Old one", about, "24h").required().checked(grace_check)];
    let intro = "It gets a new secret, shown once. Clients have to be given it before the old one ends.";
    let purpose = FormFor::RotateKey(key.id.clone(), key.organization.clone());
    Form::new(purpose, format!("Rotate key {}", key.name), intro, fields)
}

fn grace_check(text: &str) -> Result<(), String> {
    match days(text) {
        Ok(millis) if millis <= 30 * DAY => Ok(()),
        Ok(_) => Err("at most 30d".into()),
        Err(why) => Err(why),
    }
}

/// Makes the key of this form.
pub(in crate::update) fn add(model: &Model, form: &Form) -> Prepared {
    let name = form.value("name");
    let expires = form.given("expires").map(|text| days(&text)).transpose()?;
    let new = NewKey {
        name: name.clone(),
        organization: form.given("organization"),
        user: form.given("user"),
        scopes: scopes(&form.value("scopes"))?,
        models: form.words("models"),
        networks: form.words("networks"),
        expires: expires.map(|span| model.now + span),
    };
    let what = says(format!("Making key {name}"), format!("made key {name}"), RELOAD);
    let key = Box::new(new);
    let request = match form.given("certificate") {
        Some(certificate) => Request::from(key::CreateWithCertificate { key, certificate }),
        None => Request::from(key::Create(key)),
    };
    Ok((request, what))
}

/// Changes what the form changes.
pub(in crate::update) fn change(model: &Model, form: &Form, id: &str, revision: u64) -> Prepared {
    let known = model.access.keys.all().iter().find(|key| key.id == id);
    let key = known.ok_or_else(|| "the key is gone".to_owned())?;
    let expires = match form.given("expires").as_deref() {
        None => None,
        Some("-") => Some(None).filter(|_| key.expires.is_some()),
        Some(text) => Some(Some(model.now + days(text)?)),
    };
    let change = KeyChange {
        name: Some(form.value("name")).filter(|name| *name != key.name),
        scopes: Some(scopes(&form.value("scopes"))?).filter(|scopes| *scopes != key.scopes),
        models: Some(form.words("models")).filter(|models| *models != key.models),
        networks: Some(form.words("networks")).filter(|networks| *networks != key.networks),
        expires,
    };
    if change == KeyChange::default() {
        return Err("nothing was changed".into());
    }
    let request = KeyRequest::Set(key::Set {
        organization: key.organization.clone(),
        key: id.to_owned(),
        revision: Some(revision),
        change: Box::new(change),
    });
    let what = says(format!("Changing {}", key.name), format!("{} is changed", key.name), RELOAD);
    Ok((Request::Key(request), what))
}

/// Gives a key a new secret.
pub(in crate::update) fn rotate(form: &Form, id: &str, organization: Option<&str>) -> Prepared {
    let grace_ms = days(&form.value("grace"))?;
    let request = KeyRequest::Rotate(key::Rotate {
        organization: organization.map(str::to_owned),
        key: id.to_owned(),
        grace_ms,
    });
    Ok((Request::Key(request), says("Rotating the key".into(), "rotated".into(), RELOAD)))
}
