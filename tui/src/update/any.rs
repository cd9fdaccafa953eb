//! Random messages in random order, on screens of random size: nothing panics, and everything is drawn.

use aivonx_protocol::{Event, Fault, FaultKind, Request, handshake::Login, user::Role};
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{coverage::KEYS, update};
use crate::{
    keymap::BINDINGS,
    msg::{Down, Effect, Msg, Ticket, Up},
    samples,
    state::{
        Model,
        testing::{answer_all, connected, full, full_as, not_set_up, press, type_text},
    },
    view::paint,
};

/// Something that happens.
#[derive(Debug, Clone)]
enum Happens {
    /// A key is pressed.
    Key(String),
    /// The first so many keys of a script that leads somewhere.
    Script(usize, usize),
    /// Text is pasted.
    Paste(String),
    /// The terminal has another size.
    Size(u16, u16),
    /// One of the open calls is answered, or refused.
    Answer(usize, Option<FaultKind>),
    /// Everything open is answered.
    Answers,
    /// A feed delivers an event.
    Feed(usize),
    /// A feed is over.
    FeedEnds(FaultKind),
    /// So many seconds pass.
    Seconds(u64),
    /// The connection is lost.
    Lost,
    /// It stands again, for somebody or nobody.
    Back(bool, u8),
}

fn faults() -> impl Strategy<Value = FaultKind> {
    prop::sample::select(vec![
        FaultKind::NotPermitted,
        FaultKind::Invalid,
        FaultKind::Conflict,
        FaultKind::Unavailable,
        FaultKind::Internal,
    ])
}

fn happens() -> impl Strategy<Value = Happens> {
    let known: Vec<String> =
        BINDINGS.iter().flat_map(|binding| binding.keys.iter().map(|key| (*key).to_owned())).collect();
    let others = ["left", "right", "del", "backspace", "ctrl-w", "ctrl-u", "模", "é", "(", "1", "9", "a"];
    let all: Vec<String> = known.into_iter().chain(others.map(str::to_owned)).collect();
    prop_oneof![
        8 => prop::sample::select(all).prop_map(Happens::Key),
        3 => (0..KEYS.len(), 1_usize..12).prop_map(|(script, keys)| Happens::Script(script, keys)),
        1 => ".{0,20}".prop_map(Happens::Paste),
        2 => (1_u16..200, 1_u16..60).prop_map(|(columns, rows)| Happens::Size(columns, rows)),
        3 => (any::<usize>(), prop::option::weighted(0.3, faults()))
            .prop_map(|(which, fault)| Happens::Answer(which, fault)),
        2 => Just(Happens::Answers),
        1 => (0_usize..9).prop_map(Happens::Feed),
        1 => faults().prop_map(Happens::FeedEnds),
        1 => (0_u64..1000).prop_map(Happens::Seconds),
        1 => Just(Happens::Lost),
        1 => (any::<bool>(), 0_u8..3).prop_map(|(somebody, login)| Happens::Back(somebody, login)),
    ]
}

/// What was asked and is not answered yet.
#[derive(Default)]
struct Open {
    calls: Vec<(Ticket, Request)>,
    feeds: Vec<Ticket>,
}

impl Open {
    fn note(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call { ticket, request } => self.calls.push((ticket, request)),
                Effect::Follow { ticket, .. } => self.feeds.push(ticket),
                _ => {}
            }
        }
    }
}

fn carry_out(model: &mut Model, open: &mut Open, happens: &Happens) {
    let msg = match happens {
        Happens::Key(key) => return open.note(press(model, key)),
        Happens::Script(script, keys) => {
            let (_, _, script) = KEYS[*script];
            for key in script.split(' ').filter(|key| !key.is_empty()).take(*keys) {
                match key.strip_prefix('\'') {
                    Some(text) => type_text(model, text),
                    None => open.note(press(model, key)),
                }
            }
            return;
        }
        Happens::Paste(text) => Msg::Paste(text.clone()),
        Happens::Size(columns, rows) => Msg::Resize(*columns, *rows),
        Happens::Answer(which, fault) => {
            if open.calls.is_empty() {
                return;
            }
            let (ticket, request) = open.calls.swap_remove(which % open.calls.len());
            let result = match fault {
                Some(kind) => Err(Fault::new(*kind, samples::HOSTILE).field("otp").hint(samples::HOSTILE)),
                None => samples::reply(&request).ok_or_else(|| Fault::new(FaultKind::Internal, "no sample")),
            };
            Msg::Answer { ticket, result }
        }
        Happens::Answers => {
            let calls = std::mem::take(&mut open.calls);
            let effects =
                calls.into_iter().map(|(ticket, request)| Effect::Call { ticket, request }).collect();
            return answer_all(model, effects);
        }
        Happens::Feed(what) => {
            let Some(ticket) = open.feeds.last().copied() else { return };
            let events: Vec<Event> = Event::samples().into_iter().skip(*what).take(3).collect();
            Msg::Events { ticket, events }
        }
        Happens::FeedEnds(kind) => {
            let Some(ticket) = open.feeds.pop() else { return };
            Msg::Ended { ticket, result: Err(Fault::new(*kind, samples::HOSTILE)) }
        }
        Happens::Seconds(seconds) => Msg::Tick(model.now + seconds * 1000),
        Happens::Lost => Msg::Down(Down { why: samples::HOSTILE.into(), retry_ms: 250 }),
        Happens::Back(somebody, login) => Msg::Up(Box::new(Up {
            daemon: samples::HOSTILE.into(),
            login: [Login::Needed, Login::Setup, Login::NotNeeded][usize::from(*login)],
            identity: somebody.then(|| samples::identities().remove(usize::from(*login))),
            socket: samples::HOSTILE.into(),
            may_set_up: *somebody,
            refused: Some(samples::HOSTILE.into()),
        })),
    };
    open.note(update(model, msg));
}

fn draw(model: &Model) {
    let area = Rect { x: 0, y: 0, width: model.size.0, height: model.size.1 };
    paint(&mut Buffer::empty(area), area, model);
}

/// Where it begins: everybody there can be.
fn begin(who: u8) -> (Model, Vec<Effect>) {
    match who {
        0 => (full(80, 24), Vec::new()),
        1 => (full_as(80, 24, Role::Member), Vec::new()),
        2 => connected(80, 24, None),
        3 => (not_set_up(80, 24, true), Vec::new()),
        4 => (not_set_up(80, 24, false), Vec::new()),
        _ => connected(80, 24, Some(Role::OrgAdmin)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_is_drawn(who in 0_u8..6, all in prop::collection::vec(happens(), 0..60)) {
        let (mut model, effects) = begin(who);
        let mut open = Open::default();
        open.note(effects);
        for happens in &all {
            carry_out(&mut model, &mut open, happens);
            draw(&model);
        }
        // Leaving always works, if only the second time.
        let effects = press(&mut model, "ctrl-c");
        let left = effects.contains(&Effect::Quit) || press(&mut model, "ctrl-c").contains(&Effect::Quit);
        prop_assert!(left);
    }
}
