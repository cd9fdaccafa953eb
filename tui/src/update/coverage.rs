//! Every control request is asked by some keys of the console, or there is a reason why not.

use std::collections::BTreeSet;

use aivonx_protocol::{Request, user::Role};

use super::update;
use crate::{
    msg::{Effect, Msg},
    samples,
    state::{
        Dialog, Model,
        form::Kind,
        testing::{connected, full, full_as, not_set_up, press, type_text},
    },
};

/// Where keys are pressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    /// By a superadmin who sees everything there is in the samples.
    Full,
    /// Right after the connection, by a superadmin.
    Start,
    /// By nobody yet.
    Stranger,
    /// By root, where there is no administrator yet.
    NotSetUp,
    /// By a superadmin without a second factor.
    NoFactor,
    /// By a member, who sees everything there is in the samples for one.
    Member,
}

use Begin::{Full, Member, NoFactor, NotSetUp, Start, Stranger};

/// Requests, and keys that lead to them; `'` begins text that is typed, in which `_` is a blank.
pub(super) const KEYS: &[(&str, Begin, &str)] = &[
    ("daemon.status", Start, ""),
    ("daemon.pulse", Start, ""),
    ("node.list", Start, ""),
    ("node.watch", Start, ""),
    ("node.add", Full, "2 a 'gpu9 enter 'http://10.0.0.9:11434 ctrl-s"),
    ("node.set", Full, "2 g j e 'x ctrl-s"),
    ("node.set_state", Full, "2 d"),
    ("node.check", Full, "2 c"),
    ("node.remove", Full, "2 g j j ctrl-d y"),
    ("node.probe", Full, "2 a 'gpu9 enter 'http://10.0.0.9:11434 ctrl-t"),
    ("node.probe_change", Full, "2 g j e ctrl-t"),
    ("strategy.show", Full, "2 t"),
    ("strategy.set", Full, ": 'strategy enter right ctrl-s"),
    ("model.load", Full, "3 G L '1h ctrl-s"),
    ("model.unload", Full, "3 G U y"),
    ("model.copy", Full, "3 G c 'mine ctrl-s"),
    ("model.create", Full, "3 G a 'mine tab tab 'temperature=0 ctrl-s"),
    ("model.push", Full, "3 G P ctrl-s"),
    ("model.list", Full, "3 r"),
    ("model.drifts", Full, "3"),
    ("model.pull", Full, "3 p ctrl-s"),
    ("model.remove", Full, "3 G ctrl-d 'qwen3:8b enter"),
    ("model.placements", Full, "3 tab"),
    ("model.place", Full, "3 G K tab ctrl-u '2 ctrl-s"),
    ("model.unplace", Full, "3 tab ctrl-d y"),
    ("strategy.models", Full, ": 'strategies enter"),
    ("strategy.set_model", Full, ": 'strategies enter a 'llama3* enter w ctrl-s"),
    ("policy.access", Full, ": 'restrictions enter"),
    ("policy.set_access", Full, ": 'restrictions enter a 'llama3* enter 'acme ctrl-s"),
    ("node.wakes", Full, "2 enter"),
    ("node.wake", Full, "2 g j W"),
    ("node.set_wake", Full, "2 g j w ctrl-u 'aa:bb:cc:dd:ee:ff ctrl-s"),
    ("job.list", Full, "4 r"),
    ("job.follow", Full, "4 G enter"),
    ("job.cancel", Full, "4 G ctrl-d y"),
    ("account.login", Stranger, "'alice enter 'correct_horse enter ctrl-s"),
    ("account.logout", Full, ": 'logout enter"),
    ("account.setup", NotSetUp, "'correct_horse enter 'correct_horse ctrl-s"),
    ("account.password", Full, ": 'password enter 'old enter 'new enter 'new enter"),
    ("account.totp_begin", NoFactor, ": '2fa enter 'password enter"),
    ("account.totp_confirm", NoFactor, ": '2fa enter 'password enter '123456 enter"),
    ("account.whoami", NoFactor, ": '2fa enter 'password enter '123456 enter"),
    ("account.totp_disable", Full, ": '2fa enter right enter 'password enter '123456 enter"),
    ("account.backup_codes", Full, ": '2fa enter enter 'password enter '123456 enter"),
    ("account.redeem", Stranger, "esc : 'code enter 'alice enter 'abcd enter 'new enter 'new enter"),
    ("account.verify", Full, "ctrl-k 'password enter"),
    ("token.create", Full, ": 'token enter 'backup ctrl-s"),
    ("token.list", Member, ": 'tokens enter"),
    ("token.revoke", Member, ": 'tokens enter ctrl-d y"),
    ("config.show", Full, ": 'config enter"),
    ("config.reload", Full, ": 'reload enter"),
    ("organization.list", Full, "5 r"),
    ("organization.add", Full, ": 'orgs enter a 'new ctrl-s"),
    ("organization.set", Full, ": 'orgs enter x y"),
    ("organization.networks", Full, "5 r"),
    (
        "organization.set_networks",
        Full,
        ": 'orgs enter e tab tab tab tab tab tab tab tab tab ctrl-u '192.0.2.0/24 ctrl-s",
    ),
    (
        "organization.add_with_networks",
        Full,
        ": 'orgs enter a 'new tab tab tab tab tab tab tab tab '192.0.2.0/24 ctrl-s",
    ),
    ("organization.hidden_usage", Full, "5 r"),
    ("organization.hide_usage", Full, ": 'orgs enter e tab tab tab tab tab tab tab tab tab tab space ctrl-s"),
    ("organization.remove", Full, ": 'orgs enter ctrl-d 'acme enter"),
    ("user.list", Full, ": 'users enter r"),
    ("user.add", Full, ": 'users enter a 'new ctrl-s"),
    ("user.set", Full, ": 'users enter e 'x ctrl-s"),
    ("user.set_enabled", Full, ": 'users enter u"),
    ("user.remove", Full, ": 'users enter ctrl-d 'alice enter"),
    ("user.reset_password", Full, ": 'users enter p y"),
    ("user.reset_totp", Full, ": 'users enter t 'alice enter"),
    ("user.sessions", Full, ": 'users enter v"),
    ("user.logout", Full, ": 'users enter o y"),
    ("key.list", Full, ": 'keys enter r"),
    ("key.create", Full, ": 'keys enter a 'ci9 ctrl-s"),
    ("key.create_with_certificate", Full, ": 'keys enter a 'ci9 up up 'ci.example ctrl-s"),
    ("key.set", Full, ": 'keys enter e 'x ctrl-s"),
    ("key.rotate", Full, ": 'keys enter R ctrl-s"),
    ("key.revoke", Full, ": 'keys enter ctrl-d 'ci enter"),
    ("key.disabled", Full, ": 'keys enter r"),
    ("key.set_enabled", Full, ": 'keys enter x y"),
    ("lockout.list", Full, "0 r"),
    ("lockout.clear", Full, ": 'lockouts enter u y"),
    ("log.follow", Full, "7"),
    ("audit.list", Full, "8 r"),
    ("running.list", Full, "9 r"),
    ("running.queued", Full, "9 r"),
    ("running.cancel", Full, "9 ctrl-d y"),
    ("audit.walk", Full, "8 v"),
    ("audit.follow", Full, "8 t"),
    ("audit.export", Full, "8 x ctrl-s"),
    ("audit.list_from", Full, "8 f up '192.0.2.0/24 ctrl-s"),
    ("audit.follow_from", Full, "8 f up '192.0.2.0/24 ctrl-s t"),
    ("audit.export_from", Full, "8 f up '192.0.2.0/24 ctrl-s x ctrl-s"),
    ("audit.keys", Full, "8 p"),
    ("audit.checkpoint", Full, "8 c"),
    ("usage.report", Full, "6 r"),
    ("limit.show", Full, "6 enter"),
    ("limit.unpriced", Full, "6 enter"),
    ("limit.set", Full, "6 j enter e ctrl-u 'inference.day=10 ctrl-s"),
    ("limit.unset", Full, "6 j enter u"),
    ("limit.profiles", Full, "6 enter"),
    ("limit.set_profile", Full, "6 j enter f t ctrl-s y"),
    ("privacy.show", Full, "6 enter"),
    ("privacy.set", Full, "6 enter v b ctrl-s y"),
    ("privacy.test", Full, "6 enter t 'text enter"),
    ("privacy.answers", Full, "6 enter"),
    ("privacy.set_answers", Full, "6 enter v tab tab left ctrl-s y"),
    ("privacy.patterns", Full, "6 enter w"),
    ("privacy.add_pattern", Full, "6 enter w a 'ticket tab tab 'E-[0-9]{4,8} ctrl-s"),
    ("privacy.remove_pattern", Full, "6 enter w ctrl-d y"),
    ("price.list", Full, ": 'prices enter r"),
    ("price.set", Full, ": 'prices enter a 'llama3* enter '1 enter '2 enter"),
    ("price.remove", Full, ": 'prices enter ctrl-d y"),
    ("policy.list", Full, ": 'policies enter r"),
    ("policy.set", Full, ": 'policies enter a 'llama3* enter enter '30m ctrl-s"),
    ("policy.remove", Full, ": 'policies enter ctrl-d y"),
    ("policy.aliases", Full, ": 'aliases enter r"),
    ("policy.set_alias", Full, ": 'aliases enter a 'gpt-5 enter enter 'llama3 enter"),
    ("policy.remove_alias", Full, ": 'aliases enter ctrl-d y"),
    ("secrets.status", Full, ": 'secrets enter r"),
    ("secrets.validate", Full, ": 'secrets enter v"),
    ("secrets.rotate", Full, ": 'secrets enter R tab tab 'rotate ctrl-s"),
    ("snapshot.newest", Full, "0 r"),
    ("snapshot.list", Full, ": 'snapshots enter r"),
    ("snapshot.create", Full, ": 'snapshots enter a"),
    ("block.list", Full, ": 'blocks enter r"),
    ("block.add", Full, ": 'blocks enter a '192.0.2.9 enter '1h enter 'guesses enter"),
    ("block.remove", Full, ": 'blocks enter ctrl-d y"),
    ("check.run", Full, ": 'check enter r"),
    ("check.isolation", Full, ": 'check enter i y"),
    ("incident.detect", Full, ": 'incidents enter r"),
    ("incident.contain", Full, ": 'incidents enter c ctrl-s y"),
];

/// Requests that no keys lead to, and why that is right.
const NOT_ASKED: &[(&str, &str)] = &[
    ("node.show", "the list and its feed say all there is about a node"),
    ("node.rename", "node.set does the same and more"),
    ("model.show", "the list says all there is about a model"),
    ("strategy.explain", "it takes a prompt from a file: aivonx explain MODEL --prompt-file FILE"),
    ("strategy.learned", "aivonx node show NODE says it"),
    ("job.show", "the list says all there is about a job"),
    ("backup.create", "it is for an operator at a shell: aivonx backup create"),
    ("backup.export", "it is for a file: aivonx backup create --to FILE"),
    ("backup.list", "aivonx backup list; the overview says how old the newest is"),
    ("backup.verify", "aivonx backup verify FILE"),
    ("backup.newest", "aivonx status says it"),
    (
        "cluster.members",
        "aivonx cluster members lists them; a member that is away is a warning of the overview",
    ),
    ("cluster.fence", "it is for an operator at a shell: aivonx cluster fence MEMBER"),
    ("organization.show", "the list says all there is about an organization"),
    ("user.show", "the list says all there is about a user"),
    ("key.show", "the list says all there is about a key"),
    ("node.traits", "aivonx node show NODE says it"),
    ("node.set_traits", "it is set once: aivonx node set NODE --third-party"),
    ("node.add_with", "aivonx node add NAME URL --third-party"),
    ("policy.shares", "aivonx model alias show ALIAS says it"),
    ("policy.set_weighted", "aivonx model alias set ALIAS MODEL=WEIGHT ..."),
    ("key.queueing", "aivonx key show KEY says it"),
    ("key.set_queueing", "it is set once: aivonx key set KEY --priority PRIORITY"),
    ("key.certificates", "aivonx key show KEY says it"),
    ("key.set_certificate", "it is set once: aivonx key set KEY --certificate NAME"),
    ("usage.top", "usage.report says the same of all; the console sorts it by any column"),
    ("usage.watch", "screen 7 follows the same requests in the log, with more about each"),
    ("usage.export", "it is for a file: aivonx usage export > FILE"),
    ("usage.report_from", "screen 7 shows what came from an address: / and the address"),
    ("usage.top_from", "as usage.top"),
    ("usage.watch_from", "as usage.watch"),
    ("usage.export_from", "as usage.export"),
    ("usage.losses", "an alert of screen 0 and of the status line tells them"),
    ("audit.losses", "as usage.losses"),
    ("audit.show", "the list says all there is about an entry"),
    ("audit.verify", "audit.walk does the same and tells how far it is"),
    ("log.recent", "following begins with all that the daemon holds"),
    ("route.list", "the command line alone has routes"),
    ("account.resume", "asked by the connection itself, with the session that is kept"),
];

/// Requests whose keys are yet to come.
const TO_COME: &[&str] = &[];

#[test]
fn every_request_is_asked_by_keys_or_for_a_reason_not() {
    let mut wrong = Vec::new();
    for (name, from, keys) in KEYS {
        let asked = asked(*from, keys, |_| ());
        if !asked.contains(name) {
            wrong.push(format!("{name}: \"{keys}\" ask for {asked:?}"));
        }
    }
    let listed: Vec<&str> = KEYS
        .iter()
        .map(|(name, ..)| *name)
        .chain(NOT_ASKED.iter().map(|(name, _)| *name))
        .chain(TO_COME.iter().copied())
        .collect();
    let names: Vec<&str> = Request::samples().iter().map(Request::name).collect();
    for name in &names {
        match listed.iter().filter(|listed| *listed == name).count() {
            0 => wrong.push(format!("{name}: no keys lead to it, and no reason is given")),
            1 => {}
            _ => wrong.push(format!("{name}: listed more than once")),
        }
    }
    wrong
        .extend(listed.iter().filter(|name| !names.contains(name)).map(|name| format!("{name}: no request")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_help_of_a_field_fits_its_line() {
    let (mut forms, mut wrong) = (BTreeSet::new(), BTreeSet::new());
    for (_, from, keys) in KEYS {
        asked(*from, keys, |model| {
            let Some(Dialog::Form(form)) = model.dialogs.last() else { return };
            forms.insert(form.title.clone());
            for field in &form.fields {
                let more = match field.kind {
                    Kind::Choice { .. } => " (left, right)",
                    Kind::Toggle(_) => " (space)",
                    _ => "",
                };
                let columns = crate::render::cells::width(&format!("{}{more}", field.about));
                if columns > 72 {
                    wrong.insert(format!("{columns} columns: {}: {}", form.title, field.about));
                }
            }
        });
    }
    assert!(forms.len() > 30, "{forms:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The names of what is asked for while these keys are pressed. Every call is answered with a sample; each state
/// before and after a key is `seen`.
fn asked(from: Begin, keys: &str, mut seen: impl FnMut(&Model)) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    let mut model = match from {
        Full => full(120, 40),
        NotSetUp => not_set_up(120, 40, true),
        NoFactor => {
            let mut model = full(120, 40);
            model.identity =
                model.identity.map(|who| aivonx_protocol::account::Identity { totp: false, ..who });
            model
        }
        Member => full_as(120, 40, Role::Member),
        Start => {
            let (mut model, effects) = connected(120, 40, Some(Role::Superadmin));
            note(&mut model, effects, &mut names);
            model
        }
        Stranger => {
            let (mut model, effects) = connected(120, 40, None);
            note(&mut model, effects, &mut names);
            model
        }
    };
    for key in keys.split(' ').filter(|key| !key.is_empty()) {
        seen(&model);
        if let Some(text) = key.strip_prefix('\'') {
            type_text(&mut model, &text.replace('_', " "));
        } else {
            let effects = press(&mut model, key);
            note(&mut model, effects, &mut names);
        }
    }
    seen(&model);
    names
}

fn note(model: &mut Model, mut effects: Vec<Effect>, names: &mut BTreeSet<&'static str>) {
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::Call { ticket, request } => {
                names.insert(request.name());
                if let Some(reply) = samples::reply(&request) {
                    effects.extend(update(model, Msg::Answer { ticket, result: Ok(reply) }));
                }
            }
            Effect::Follow { request, .. } => {
                names.insert(request.name());
            }
            Effect::Export { export, .. } => {
                names.insert(Request::from(export.request).sent().name());
            }
            _ => {}
        }
    }
}
