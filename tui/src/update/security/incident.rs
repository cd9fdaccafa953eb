//! What looks like an attack, and shutting off whoever does it.

use std::path::PathBuf;

use aivonx_protocol::{
    Request,
    incident::{self, Contained, Detect, Finding},
    job::{Job, JobKind},
    organization, user,
};
use jiff::{Timestamp, Zoned};

use super::{millis, span_check};
use crate::{
    cli::{
        incident::{ContainArgs, offered},
        key::in_short,
    },
    msg::{Effect, Reported, Ticket},
    nouns::incident as words,
    render::text::plural,
    state::{
        Dialog, Model, Purpose, Screen, Topic,
        calls::Act,
        dialog::{Order, Text},
        form::{Field, Form, FormFor},
        security::{SecurityForm, Tab},
    },
    time_arg,
    update::{answers, dialogs, forms, load},
};

/// What is said while a report is made.
const REPORTING: &str = "Gathering the report";
/// From when on it is; what the command line says of it has no room.
const SINCE: &str = "10m, 2h, 14:30, today, yesterday, 2026-11-22, \"2026-11-22 14:30\"";

fn open(model: &mut Model, what: SecurityForm, title: &str, intro: &str, fields: Vec<Field>) {
    forms::open(model, Form::new(FormFor::Security(what), title, intro, fields));
}

/// Shows something to read.
fn read(model: &mut Model, title: String, rows: Vec<(String, String)>) {
    model.dialogs.push(Dialog::Text(Box::new(Text { title, rows, scroll: 0 })));
}

/// Opens the form, with what the chosen findings offer.
pub(super) fn contain(model: &mut Model) {
    let chosen: Vec<&Finding> = model.security.findings.targets();
    let offered: Vec<ContainArgs> =
        chosen.into_iter().filter_map(|one| offered(one.contain.as_deref()?)).collect();
    let named = |names: fn(&ContainArgs) -> &Vec<String>| {
        let mut all: Vec<&str> = Vec::new();
        for name in offered.iter().flat_map(names) {
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
        all.join(" ")
    };
    let fields = vec![
        Field::text(
            "keys",
            "Keys",
            "names, ids, secrets, how those begin, ORG/NAME; with blanks between",
            &named(|args| &args.keys),
        ),
        Field::text("users", "Users", "names, with blanks between", &named(|args| &args.users)),
        Field::text(
            "organizations",
            "Orgs",
            "short names, with blanks between: all their users and keys",
            &named(|args| &args.organizations),
        ),
        Field::text(
            "addresses",
            "Addresses",
            "192.0.2.7 or 2001:db8::/32, with blanks between",
            &named(|args| &args.addresses),
        ),
        Field::toggle("revoke", "Revoke", "the keys for good, those of users and organizations too", false),
        Field::text("lasts_ms", "For", "how long addresses stay blocked, such as 1h; empty: for good", "")
            .checked(span_check),
        Field::text("reason", "Reason", "for the list of blocks and the audit log", ""),
    ];
    let intro = "All of it is done in one step, or nothing. What can be undone is said afterwards.";
    open(model, SecurityForm::Contain, "Shut off", intro, fields);
}

/// Asks before it does what the form says.
pub(super) fn confirm_contain(model: &mut Model, form: &Form) -> Result<(), String> {
    let asked = incident::Contain {
        keys: form.words("keys"),
        users: form.words("users"),
        organizations: form.words("organizations"),
        addresses: form.words("addresses"),
        revoke: form.is_on("revoke"),
        lasts_ms: form.given("lasts_ms").map(|text| millis(&text)).transpose()?,
        reason: form.value("reason"),
    };
    // What is shown stays on the screen, and holds no secret.
    let shown =
        incident::Contain { keys: asked.keys.iter().map(|key| in_short(key)).collect(), ..asked.clone() };
    let all = [&shown.keys, &shown.users, &shown.organizations, &shown.addresses];
    let names = all.map(|names| names.join(", ")).into_iter().filter(|names| !names.is_empty());
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        return Err("name a key, a user, an organization or an address".to_owned());
    }
    let lines = words::consequences(&shown);
    let typed = asked.revoke.then(|| "revoke".to_owned());
    let what = Act {
        doing: format!("Shutting off {names}"),
        done: String::new(),
        reload: vec![
            Topic::Findings,
            Topic::Blocks,
            Topic::Organizations,
            Topic::Users,
            Topic::Keys,
            Topic::DisabledKeys,
        ],
    };
    let requests = vec![(Request::from(asked), what)];
    let title = format!("Shut off {names}?");
    dialogs::confirm(model, title, lines, "Shut off", typed, requests).order = Order::Form;
    Ok(())
}

/// Shows what was done, and how it is undone.
pub(in crate::update) fn contained(model: &mut Model, all: &[Contained]) {
    let row = |one: &Contained| {
        let (done, undo) = words::contained(one);
        (one.kind.as_str().to_owned(), format!("{done}\n{}", undo.join("\n")))
    };
    read(model, "What was done".to_owned(), all.iter().map(row).collect());
}

/// Opens the form for taking second factors away.
pub(super) fn reset_two_factor(model: &mut Model) {
    let options = [
        ("organization", "of the users of one organization"),
        ("everyone", "of every user of the gateway but you"),
    ];
    let fields = vec![
        Field::choice("of", "Of", "", &options, "organization"),
        Field::text("organization", "Org", "its short name", "").required().with("of", &["organization"]),
    ];
    let intro = "They set up new ones at their next logins.";
    open(model, SecurityForm::ResetTwoFactor, "Take second factors away", intro, fields);
}

/// Asks before it takes them away.
pub(super) fn confirm_reset(model: &mut Model, form: &Form) -> Result<(), String> {
    let loads = model.calls.loads(Topic::Users) || model.calls.loads(Topic::Organizations);
    if loads || !matches!(model.access.users.load, crate::state::list::Load::Ready(_)) {
        return Err("which users there are is not known yet; try again".to_owned());
    }
    let organization = form.given("organization");
    let known = |slug: &String| {
        model.access.organizations.all().iter().any(|one: &organization::Organization| one.slug == *slug)
    };
    if let Some(slug) = organization.as_ref().filter(|slug| !known(slug)) {
        return Err(format!("there is no organization {slug}"));
    }
    let own = model.identity.as_ref().and_then(|who| who.user.clone());
    let mut has_own = false;
    let mut requests = Vec::new();
    let all = model.access.users.all().iter();
    for one in all.filter(|one| one.totp && (organization.is_none() || one.organization == organization)) {
        // It would end the session that this is done in.
        if Some(&one.name) == own.as_ref() {
            has_own = true;
            continue;
        }
        let what = Act {
            doing: format!("Taking the second factor of {} away", one.name),
            done: format!("the second factor of {} is gone", one.name),
            reload: vec![Topic::Users],
        };
        requests.push((Request::from(user::ResetTotp { user: one.id.clone() }), what));
    }
    if requests.is_empty() {
        return Err("none of them has a second factor".to_owned());
    }
    let users = plural(requests.len() as u64, "user");
    let mut lines = vec![
        "Their sessions end. Until they have set up a new one, a password is enough to log in.".to_owned(),
    ];
    if has_own {
        lines.push("Your own stays: :2fa turns it off.".to_owned());
    }
    let typed = Some(organization.unwrap_or_else(|| "everyone".to_owned()));
    let title = format!("Take the second factors of {users} away?");
    dialogs::confirm(model, title, lines, "Take away", typed, requests).order = Order::Each;
    Ok(())
}

/// Opens the form for a report.
pub(super) fn report(model: &mut Model) {
    let fields = vec![
        Field::text("since", "Since", SINCE, "24h").required(),
        Field::text("file", "To file", "new, readable by you alone; empty: shown here", ""),
    ];
    let intro = "What happened, by whom, from where, and what was done about it.";
    open(model, SecurityForm::Report, "Incident report", intro, fields);
}

/// Opens the form for since when is looked.
pub(super) fn ask_since(model: &mut Model) {
    let since = model.security.since.clone().unwrap_or_else(|| "24h".to_owned());
    let fields = vec![Field::text("since", "Since", SINCE, &since).required()];
    let intro = "What looks like an attack is looked for from then on; what was usual, in the time before.";
    open(model, SecurityForm::Since, "Detect", intro, fields);
}

/// Looks since the time of that form.
pub(super) fn look_since(model: &mut Model, out: &mut Vec<Effect>) {
    let now = zoned(model);
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return };
    let since = form.value("since").trim().to_owned();
    match time_arg::since(&since, &now) {
        Err(why) => form.refuse(Some("since"), &why),
        Ok(_) => {
            model.dialogs.pop();
            model.security.since = Some(since);
            load(model, out, Topic::Findings);
        }
    }
}

/// The request for what looks like an attack.
pub(in crate::update) fn detect(model: &Model) -> Detect {
    let since = model.security.since.as_deref();
    Detect { since: since.and_then(|since| time_arg::since(since, &zoned(model)).ok()) }
}

fn zoned(model: &Model) -> Zoned {
    let now = Timestamp::from_millisecond(i64::try_from(model.now).unwrap_or(0)).unwrap_or_default();
    now.to_zoned(model.zone.clone())
}

/// Asks for the report of that form.
pub(super) fn gather(model: &mut Model, out: &mut Vec<Effect>) {
    let now = zoned(model);
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return };
    match time_arg::since(&form.value("since"), &now) {
        Err(why) => form.refuse(Some("since"), &why),
        Ok(since) => {
            let what = Act { doing: REPORTING.into(), done: String::new(), reload: Vec::new() };
            let ticket = model.calls.begin(Purpose::Act(what), model.now);
            form.sent = Some(ticket);
            out.push(Effect::Report { ticket, since, file: form.given("file").map(PathBuf::from) });
        }
    }
}

/// The report was made, or was not.
pub(in crate::update) fn reported(model: &mut Model, ticket: Ticket, result: Result<Reported, String>) {
    if model.calls.end(ticket).is_none() {
        return;
    }
    match result {
        Err(why) => match answers::form(model, ticket) {
            Some(form) => form.refuse(None, &why),
            None => model.warn(format!("{REPORTING}: {why}")),
        },
        Ok(reported) => {
            answers::close(model, ticket);
            match reported {
                Reported::Written(file) => model.tell(format!("the report is in {}", file.display())),
                Reported::Shown(title, sections) => {
                    let nothing = |lines: Vec<String>| {
                        if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") }
                    };
                    let rows = sections.into_iter().map(|(name, lines)| (name.to_owned(), nothing(lines)));
                    let rows = rows.collect();
                    read(model, title, rows);
                }
            }
        }
    }
}

/// Says what must follow, where keys are replaced because of an incident.
pub(in crate::update) fn begun(model: &mut Model, job: &Job) {
    let here = model.screen == Screen::Security && model.security.tab == Tab::Incidents;
    if here && job.kind == JobKind::Rotate {
        let rows = words::AFTER_ROTATION.map(|(what, command)| (what.to_owned(), command.to_owned()));
        read(model, format!("Job {} replaces them (4). What must follow", job.id), rows.to_vec());
    }
}
