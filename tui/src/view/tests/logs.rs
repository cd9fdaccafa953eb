//! The log, as it is seen in its states.

use aivonx_protocol::{Event, log::LogEvent, user::Role};

use super::*;
use crate::journal::Past;

fn fill(model: &mut Model, events: Vec<LogEvent>) {
    press(model, "7");
    let ticket = model.logs.feed.unwrap();
    let events = events.into_iter().map(Event::Log).collect();
    update(model, Msg::Events { ticket, events });
}

/// A finished request, as the daemon logs it.
fn request(seq: u64) -> LogEvent {
    let mut event = crate::samples::events().remove(0);
    event.seq = seq;
    event.message = format!("POST /api/chat 200 qwen3:8b gpu1 {}ms", seq * 7 % 900);
    let fields = [
        ("request_id", "01932d5c-7a10-7c7e-8f0a-1b2c3d4e5f60"),
        ("client", "10.0.0.9"),
        ("org", "acme"),
        ("organization", "0195f2a0-0000-7000-8000-000000000001"),
        ("user", "alice"),
        ("with", "ci"),
        ("method", "POST"),
        ("route", "/api/chat"),
        ("model", "qwen3:8b"),
        ("node", "gpu1"),
        ("status", "200"),
        ("outcome", "complete"),
        ("retries", "0"),
        ("bytes_in", "312"),
        ("bytes_out", "48211"),
        ("prompt_tokens", "211"),
        ("completion_tokens", "402"),
        ("duration_us", "1200311"),
        ("first_byte_us", "20110"),
        ("user_agent", crate::samples::HOSTILE),
    ];
    event.fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    event
}

shots!(logs_missed, |model| {
    fill(&mut model, (1..50).map(request).collect());
    let ticket = model.logs.feed.unwrap();
    let after = (70..72).map(|seq| Event::Log(request(seq)));
    let events = std::iter::once(Event::LogMissed(1234)).chain(after).collect();
    update(&mut model, Msg::Events { ticket, events });
    model
});
shots!(logs_ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    let mut events: Vec<_> = (1..50).map(request).collect();
    events.extend(crate::samples::events());
    fill(&mut model, events);
    let drawn = shot(&model);
    assert!(drawn.is_ascii(), "{drawn}");
    model
});
shots!(logs_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Member);
    press(&mut model, "7");
    model
});
shots!(log_of_a_request, |model| {
    press_all(&mut model, "9 i");
    model
});
shots!(log_event_of_a_request, |model| {
    fill(&mut model, (1..50).map(request).collect());
    press_all(&mut model, "k enter pgdn");
    model
});
shots!(log_journal_refused, |model| {
    fill(&mut model, (1..50).map(request).collect());
    press(&mut model, "m");
    let why = "older events are in the journal, which you may not read: you are in neither of the groups \
               systemd-journal and adm\nJoin one and log in again: sudo usermod -aG systemd-journal \"$USER\"; or \
               run this with sudo.";
    let ticket = model.calls.awaited().unwrap().0;
    update(&mut model, Msg::Past { ticket, result: Err(why.into()) });
    model
});
shots!(log_journal_reading, |model| {
    fill(&mut model, (1..50).map(request).collect());
    press_all(&mut model, "g m");
    model
});
shots!(log_journal_read, |model| {
    fill(&mut model, (500..550).map(request).collect());
    press_all(&mut model, "g m");
    let ticket = model.calls.awaited().unwrap().0;
    let events = (100..200).map(|seq| LogEvent { seq: 0, time: seq, ..request(seq) }).collect();
    update(&mut model, Msg::Past { ticket, result: Ok(Past { events, more: true }) });
    model
});
shots!(log_time, |model| {
    fill(&mut model, (500..550).map(request).collect());
    press(&mut model, "t");
    type_text(&mut model, "14:30");
    model
});
