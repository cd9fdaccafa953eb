//! What can be done with the audit log.

mod export;
mod query;
mod verify;

use aivonx_protocol::{
    Event, Fault, Request,
    audit::{self, AuditKey, Checkpoint},
};

pub(super) use self::{
    export::{exported, exporting, replace, send as export},
    query::send as query,
    verify::{anchors, event as walked, send as verify_against},
};
use super::{act, forms};
use crate::{
    keymap::Do,
    msg::{Effect, Ticket},
    render::text::time,
    state::{
        Dialog, Model, Purpose, Right, Screen, Topic,
        calls::Act,
        dialog::{Reveal, Text},
    },
};

/// Entries asked for at a time.
const PAGE: u32 = 200;

/// What is asked for at first, or again.
pub(super) fn newest(model: &Model) -> Request {
    let filter = model.audit.query.clone();
    Request::from(audit::List { filter, cursor: None, limit: PAGE, oldest_first: false }).sent()
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::More => {
            let Some(cursor) = model.audit.next else { return model.tell("these are all") };
            if model.calls.loads(Topic::AuditMore) || !model.is_up() {
                return;
            }
            let ticket = model.calls.begin(Purpose::Load(Topic::AuditMore), model.now);
            let filter = model.audit.query.clone();
            let list = audit::List { filter, cursor: Some(cursor), limit: PAGE, oldest_first: false };
            out.push(Effect::Call { ticket, request: Request::from(list).sent() });
        }
        Do::Query => {
            let form = query::form(model);
            forms::open(model, form);
        }
        Do::Export => {
            let form = export::form(model);
            forms::open(model, form);
        }
        Do::Verify => verify::begin(model, out, Vec::new()),
        Do::VerifyAgainst => {
            let form = verify::form();
            forms::open(model, form);
        }
        Do::Follow => {
            model.audit.follow = !model.audit.follow;
            attend(model, out);
            let told = if model.audit.follow {
                "new entries come as they are written"
            } else {
                "not followed any more"
            };
            model.tell(told);
        }
        Do::PublicKeys => {
            let what = Act { doing: "Asking for the keys".into(), done: String::new(), reload: Vec::new() };
            act(model, out, Request::from(audit::Keys), what);
        }
        Do::Checkpoint => {
            let what = Act {
                doing: "Signing the audit log as it is now".into(),
                done: String::new(),
                reload: vec![Topic::Audit],
            };
            act(model, out, Request::from(audit::MakeCheckpoint), what);
        }
        _ => {}
    }
}

/// Follows the log while that is wanted and its screen is shown, and not otherwise.
pub(super) fn attend(model: &mut Model, out: &mut Vec<Effect>) {
    let shown = model.screen == Screen::Audit && model.why_not(Right::AuditRead).is_none();
    match (shown && model.audit.follow, model.audit.feed) {
        (true, None) => {
            let ticket = model.calls.ticket();
            model.audit.feed = Some(ticket);
            let filter = model.audit.query.clone();
            let request = Request::from(audit::Follow { filter, lines: PAGE }).sent();
            out.push(Effect::Follow { ticket, request });
        }
        (false, Some(ticket)) => {
            model.audit.feed = None;
            out.push(Effect::Drop(ticket));
        }
        _ => {}
    }
}

/// Steps of the feed.
pub(super) fn followed(model: &mut Model, events: Vec<Event>) {
    let entries = events.into_iter().filter_map(|event| match event {
        Event::Audit(entry) => Some(*entry),
        _ => None,
    });
    model.audit.add(entries, model.now);
}

/// The feed or the walk is over.
pub(super) fn ended(model: &mut Model, ticket: Ticket, fault: Option<Fault>) {
    let walk = model.audit.walk == Some(ticket);
    if walk {
        model.audit.walk = None;
        model.calls.end(ticket);
    } else {
        model.audit.feed = None;
        model.audit.follow = false;
    }
    let what = if walk { "the audit log was not verified" } else { "the audit log is not followed any more" };
    if let Some(fault) = fault {
        model.warn(format!("{what}: {}", super::answers::said(&fault)));
    }
}

/// Shows the public keys, to be handed out.
pub(super) fn keys(model: &mut Model, keys: &[AuditKey]) {
    let mut rows = vec![(
        "what for".to_owned(),
        "Whoever has the key can prove a copy: aivonx audit verify --file FILE --public-key KEY".to_owned(),
    )];
    for key in keys {
        let state = if key.current { "signs now" } else { "verifies what is old" };
        rows.push((state.to_owned(), format!("{}\nmade {}", key.key, time(key.created, &model.zone))));
        if let Ok(pem) = key.key.to_pem() {
            rows.push(("the same as PEM".to_owned(), pem.trim_end().to_owned()));
        }
    }
    let title = "What copies and checkpoints are signed with".to_owned();
    model.dialogs.push(Dialog::Text(Box::new(Text { title, rows, scroll: 0 })));
}

/// Shows a checkpoint, to be kept.
pub(super) fn checkpoint(model: &mut Model, checkpoint: &Checkpoint) {
    model.dialogs.push(Dialog::Reveal(Box::new(Reveal {
        title: format!("Signed: the audit log up to entry {}", checkpoint.seq),
        lines: vec![
            "Keep this line where nobody of here can change it. Later it proves that nothing up to there was \
             changed: V, or aivonx audit verify --anchor FILE."
                .into(),
        ],
        secret: aivonx_protocol::WireSecret::new(checkpoint.line()),
        command: None,
        copied: false,
    })));
}
