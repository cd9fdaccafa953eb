use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use aivonx_protocol::log::{Level, LogFilter};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, Layered, SubscriberExt},
};

use crate::LogScope;

use super::{
    super::{
        hub::Hub,
        queue::{Lost, Sink},
        record::Record,
        reissue::reissue,
        view::{Bunch, View},
    },
    Rig, access,
};

type Fields = Vec<(&'static str, String)>;

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(tracing::Level, Fields)>>>);

impl Seen {
    fn only(&self) -> (tracing::Level, Fields) {
        let mut events = self.0.lock().unwrap();
        assert_eq!(events.len(), 1);
        events.remove(0)
    }
}

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut texts = Texts::default();
        event.record(&mut texts);
        self.0.lock().unwrap().push((*event.metadata().level(), texts.0));
    }
}

#[derive(Default)]
struct Texts(Fields);

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, _: &dyn Debug) {
        panic!("{} is not a text", field.name());
    }
}

/// A sink that makes events again and gives them to a layer.
struct Again(Layered<Seen, Registry>);

impl Sink for Again {
    fn take(&mut self, record: View<'_>) {
        reissue(record, &self.0);
    }

    fn flush(&mut self) -> Result<(), Lost> {
        Ok(())
    }
}

#[test]
fn documented_fields_keep_their_names_and_the_rest_goes_together() {
    let seen = Seen::default();
    let sink = Box::new(Again(tracing_subscriber::registry().with(seen.clone())));
    let rig = Rig::with_sink("warn", sink, Hub::default(), Arc::default());
    rig.lines(|| {
        let span = tracing::error_span!("work", job = "j1");
        let _in = span.enter();
        tracing::warn!(
            node = "gpu1",
            target = "spoofed",
            file = "/a b",
            status = 502,
            error = "\u{1b}[2J",
            api_key = "sk-1",
            n = 7,
            "gone\n"
        );
    });
    // What is made again does not come round.
    let page = rig.hub.recent(&LogScope::Everyone, &LogFilter::default(), 10).unwrap();
    assert_eq!(page.events.len(), 1);
    let time = jiff::Timestamp::from_millisecond(page.events[0].time as i64).unwrap();
    let (level, fields) = seen.only();
    assert_eq!(level, tracing::Level::WARN);
    let want = [
        ("message", "gone\\n"),
        ("AIVONX_TARGET", "telemetry::tests::reissue"),
        ("AIVONX_TIME", &format!("{time:.3}")),
        ("AIVONX_OTHER", "target=spoofed file=\"/a b\" api_key=[REDACTED] n=7"),
        ("AIVONX_node", "gpu1"),
        ("AIVONX_status", "502"),
        ("AIVONX_error", "\\u{1b}[2J"),
        ("AIVONX_job", "j1"),
    ];
    assert_eq!(fields, want.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn a_request_has_nothing_undocumented() {
    let seen = Seen::default();
    let bunch = Bunch::new(0, vec![access::record()]);
    let record = View { level: Level::Trace, ..bunch.view(0, 1).unwrap() };
    reissue(record, &tracing_subscriber::registry().with(seen.clone()));
    let (level, fields) = seen.only();
    assert_eq!(level, tracing::Level::TRACE);
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let first =
        ["message", "AIVONX_TARGET", "AIVONX_TIME", "AIVONX_node", "AIVONX_model", "AIVONX_request_id"];
    assert!(names.starts_with(&first), "{names:?}");
    assert_eq!(fields[2].1, "1970-01-01T00:00:00.000Z");
}

#[test]
fn an_event_with_an_id_bears_it() {
    for (event, id) in [("lockout", crate::messages::id_of("lockout")), ("node_checked", None)] {
        let seen = Seen::default();
        let record = Record::about(Level::Info, "said", &[("event", event)]);
        reissue(record.view(1), &tracing_subscriber::registry().with(seen.clone()));
        let (_, fields) = seen.only();
        let found = fields.iter().find(|(name, _)| *name == "MESSAGE_ID").map(|(_, value)| &**value);
        assert_eq!(found, id, "{event}");
        assert_eq!(id.is_some(), event == "lockout");
    }
}
