//! The log: followed, paused, searched, and read further back.

use aivonx_protocol::log::{self, LogEvent, LogFilter, LogRequest};

use super::*;
use crate::{
    journal::{Part, Past},
    state::logs::KEPT,
};

fn event(seq: u64) -> LogEvent {
    let mut event = samples::events().remove(usize::try_from(seq % 2).unwrap());
    event.seq = seq;
    event.time += seq;
    event.fields.push(("request_id".into(), format!("r{}", seq % 7)));
    event
}

fn log(model: &mut Model, from: u64, to: u64) -> Vec<Effect> {
    let ticket = model.logs.feed.unwrap();
    let mut effects = Vec::new();
    let all: Vec<u64> = (from..to).collect();
    for part in all.chunks(64) {
        let events = part.iter().map(|seq| Event::Log(event(*seq))).collect();
        effects.extend(update(model, Msg::Events { ticket, events }));
    }
    effects
}

/// What the feed among these asks for.
fn follows(effects: &[Effect]) -> Option<&LogFilter> {
    effects.iter().find_map(|effect| match effect {
        Effect::Follow { request: Request::Log(LogRequest::Follow(log::Follow { filter, .. })), .. } => {
            Some(filter)
        }
        _ => None,
    })
}

fn seq(model: &Model) -> u64 {
    model.logs.chosen().unwrap().seq
}

#[test]
fn the_log_is_followed_while_it_is_looked_at() {
    let mut model = full(80, 24);
    assert!(follows(&press(&mut model, "7")).is_some());
    log(&mut model, 1, 101);
    assert!(shot(&model).contains("following"));
    press_all(&mut model, "k k");
    log(&mut model, 101, 201);
    assert_eq!(seq(&model), 98, "looking back keeps the place");
    assert!(shot(&model).contains("PAUSED"));
    press(&mut model, "i");
    assert_eq!(model.logs.count(), 28);
    press_all(&mut model, "esc f");
    assert_eq!(seq(&model), 200);
    press(&mut model, "f");
    log(&mut model, 201, 202);
    assert_eq!(seq(&model), 200, "f stops as well");
    let ticket = model.logs.feed.unwrap();
    update(&mut model, Msg::Events { ticket, events: vec![Event::LogMissed(12)] });
    press(&mut model, "G");
    assert!(shot(&model).contains("12 dropped:") && shot(&model).contains("12 events dropped here"));
    // Leaving gives the feed up; coming back goes on right behind what is there.
    let effects = press(&mut model, "2");
    assert!(effects.contains(&Effect::Drop(ticket)));
    let effects = press(&mut model, "7");
    let filter = follows(&effects).unwrap();
    assert_eq!((filter.after, filter.since), (Some(201), Some(event(201).time)));
    let effects = press(&mut model, "l");
    assert_eq!(model.logs.count(), 0, "another level begins anew");
    assert_eq!(follows(&effects).unwrap().after, None);
}

/// The daemon under load, and a console that is sometimes too slow and sometimes looks back: every event is
/// shown or counted.
#[test]
fn what_is_shown_and_what_was_dropped_are_what_was_sent() {
    let mut model = full(80, 24);
    press(&mut model, "7");
    let (mut sent, mut dropped) = (0, 0);
    for burst in 1..=40_u64 {
        log(&mut model, sent + 1, sent + 1001);
        sent += 1000;
        // What the daemon's memory turned over before it was fetched.
        if burst % 3 == 0 {
            let ticket = model.logs.feed.unwrap();
            update(&mut model, Msg::Events { ticket, events: vec![Event::LogMissed(burst)] });
            (sent, dropped) = (sent + burst, dropped + burst);
        }
        if burst % 5 == 0 {
            press_all(&mut model, if burst % 2 == 0 { "G" } else { "k k w" });
        }
    }
    let markers = 13;
    assert_eq!(model.logs.counts().0 as u64 - markers + model.logs.missed, sent);
    assert_eq!(model.logs.missed, dropped);
    press(&mut model, "G");
    assert_eq!(seq(&model), sent);
}

#[test]
fn a_place_is_kept_even_when_there_is_no_more_room() {
    let mut model = full(80, 24);
    press(&mut model, "7");
    let kept = KEPT as u64;
    log(&mut model, 1, kept + 1);
    press(&mut model, "g");
    let feed = model.logs.feed.unwrap();
    assert_eq!(log(&mut model, kept + 1, kept + 2), [Effect::Drop(feed)]);
    assert_eq!((seq(&model), model.logs.feed), (1, None));
    assert!(shot(&model).contains("newer ones not taken"), "{}", shot(&model));
    // Nothing is asked for until there is room again; then all that came.
    assert!(follows(&press(&mut model, "j")).is_none());
    let effects = press(&mut model, "f");
    assert_eq!(follows(&effects).unwrap().after, Some(kept));
    log(&mut model, kept + 1, kept + 11);
    assert_eq!((seq(&model), model.logs.oldest()), (kept + 10, Some(event(11).time)));
}

#[test]
fn a_filter_looks_on_between_keys() {
    let mut model = full(80, 24);
    press(&mut model, "7");
    log(&mut model, 1, 50_001);
    press(&mut model, "/");
    let effects = press(&mut model, "r");
    assert_eq!(effects, [Effect::Search]);
    assert!(shot(&model).contains("searching"), "{}", shot(&model));
    let mut rounds = 0;
    let mut effects = effects;
    while effects.contains(&Effect::Search) {
        effects = update(&mut model, Msg::Search);
        rounds += 1;
    }
    assert!(rounds >= 4, "{rounds}");
    type_text(&mut model, "equest_id:r3");
    press(&mut model, "enter");
    while model.logs.is_searching() {
        update(&mut model, Msg::Search);
    }
    assert_eq!(model.logs.counts(), (50_000_usize.div_ceil(7), 50_000));
}

/// The part of the journal asked for among these.
fn part(effects: &[Effect]) -> (u64, &Part) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Past { ticket, part } => Some((*ticket, part)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing of the journal is asked for: {effects:?}"))
}

#[test]
fn further_back_is_the_journal() {
    let mut model = full(80, 24);
    press(&mut model, "7");
    log(&mut model, 500, 600);
    press_all(&mut model, "k k");
    let effects = press(&mut model, "m");
    let (ticket, asked) = part(&effects);
    assert_eq!((asked.until, asked.since, asked.pid), (event(500).time, None, Some(4711)));
    assert!(shot(&model).contains("Reading the journal"), "{}", shot(&model));
    assert_eq!(press(&mut model, "m"), [], "once at a time");
    let before = seq(&model);
    let events: Vec<LogEvent> = (100..500).map(|seq| LogEvent { seq: 0, ..event(seq) }).collect();
    update(&mut model, Msg::Past { ticket, result: Ok(Past { events, more: true }) });
    assert_eq!((seq(&model), model.logs.count()), (before, 500));
    assert!(notice(&model).contains("400 older events"), "{}", notice(&model));
    // It can be given up, and then says nothing any more.
    let effects = press(&mut model, "m");
    let (ticket, _) = part(&effects);
    assert_eq!(press(&mut model, "esc"), [Effect::Drop(ticket)]);
    assert_eq!(notice(&model), "Reading the journal: given up");
    update(&mut model, Msg::Past { ticket, result: Err("gone".into()) });
    assert!(model.dialogs.is_empty());
    // A journal that one may not read says so.
    let effects = press(&mut model, "m");
    let (ticket, _) = part(&effects);
    update(&mut model, Msg::Past { ticket, result: Err("you may not read the journal".into()) });
    assert!(shot(&model).contains("you may not read the journal"), "{}", shot(&model));
    press(&mut model, "esc");
    // Its end is shown once, and not asked for again.
    let effects = press(&mut model, "m");
    let (ticket, _) = part(&effects);
    update(&mut model, Msg::Past { ticket, result: Ok(Past { events: Vec::new(), more: false }) });
    assert_eq!(press(&mut model, "m"), []);
    assert!(notice(&model).contains("nothing older"), "{}", notice(&model));
}

#[test]
fn a_daemon_without_a_journal_says_where_its_log_is() {
    let mut model = full(80, 24);
    let mut status = samples::status();
    status.log_sink = "file /var/log/aivonxd.log".into();
    model.status = Some(status);
    press(&mut model, "7");
    log(&mut model, 1, 9);
    assert_eq!(press(&mut model, "m"), []);
    assert!(notice(&model).contains("older ones are in /var/log/aivonxd.log"), "{}", notice(&model));
}

fn go_to(model: &mut Model, text: &str) -> Vec<Effect> {
    press(model, "t");
    type_text(model, text);
    press(model, "enter")
}

#[test]
fn one_goes_to_a_time() {
    let mut model = full(80, 24);
    press(&mut model, "7");
    let ticket = model.logs.feed.unwrap();
    let at = |seq: u64| LogEvent { time: model_time(seq), ..event(seq) };
    let events = (1..=60).map(|seq| Event::Log(at(seq))).collect();
    update(&mut model, Msg::Events { ticket, events });
    // The samples are looked at at 00:31:34; there is one event a minute before.
    go_to(&mut model, "30m");
    assert_eq!((seq(&model), model.logs.follow), (30, false));
    go_to(&mut model, "00:10");
    assert_eq!(seq(&model), 39, "the first after it");
    assert!(notice(&model).contains("00:10:00"), "{}", notice(&model));
    go_to(&mut model, "teatime");
    assert!(notice(&model).contains("accepted are"), "{}", notice(&model));
    // From before what is there on, the journal knows.
    let effects = go_to(&mut model, "2h");
    let (ticket, asked) = part(&effects);
    assert_eq!((asked.since, asked.until), (Some(model.now - 7_200_000), model_time(1)));
    let events = vec![LogEvent { seq: 0, time: model.now - 7_000_000, ..event(1) }];
    update(&mut model, Msg::Past { ticket, result: Ok(Past { events, more: false }) });
    assert_eq!((model.logs.at(), model.logs.count()), (0, 61));
    // What does not reach up to what is there stands alone, and following begins anew.
    let effects = go_to(&mut model, "9h");
    let (ticket, _) = part(&effects);
    let events = vec![LogEvent { seq: 0, time: model.now - 30_000_000, ..event(1) }; 3];
    let feed = model.logs.feed.unwrap();
    let effects = update(&mut model, Msg::Past { ticket, result: Ok(Past { events, more: true }) });
    assert_eq!((model.logs.count(), effects, model.logs.held), (3, vec![Effect::Drop(feed)], true));
    let effects = press(&mut model, "G");
    assert_eq!((follows(&effects).unwrap().after, model.logs.count()), (None, 0));
}

fn model_time(seq: u64) -> u64 {
    samples::NOW - (60 - seq) * 60_000
}
