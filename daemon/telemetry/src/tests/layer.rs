use std::{fmt, io};

use aivonx_config::LogFormat;
use aivonx_config::level;
use aivonx_protocol::log::LogFilter;

use super::Rig;
use crate::LogScope;

#[test]
fn fields_named_like_secrets_are_hidden_everywhere() {
    let rig = Rig::new("debug", LogFormat::Human);
    let mark = "MARKED-SECRET-1";
    let lines = rig.lines(|| {
        let span = tracing::info_span!("s", api_key = mark, node = "gpu1", "seen");
        let _in = span.enter();
        tracing::info!(password = mark, Authorization = mark, body = ?mark, prompt = %mark, "said");
        tracing::info!(
            prompt_tokens = 3u64,
            output_tokens = 4u64,
            error = "401 for Bearer MARKED-SECRET-1",
            "counted"
        );
        tracing::info!("fetching http://u:MARKED-SECRET-1@gpu1/ failed");
    });
    assert_eq!(
        lines,
        [
            "INFO  telemetry::tests::layer: said api_key=[REDACTED] node=gpu1 password=[REDACTED] Authorization=[REDACTED] body=[REDACTED] prompt=[REDACTED]",
            "INFO  telemetry::tests::layer: counted api_key=[REDACTED] node=gpu1 prompt_tokens=3 output_tokens=4 error=\"401 for Bearer [REDACTED]\"",
            "INFO  telemetry::tests::layer: fetching http://[REDACTED]@gpu1/ failed api_key=[REDACTED] node=gpu1",
        ]
    );
    let page = rig.hub.recent(&LogScope::Everyone, &LogFilter::default(), 10).unwrap();
    assert!(!format!("{page:?}").contains(mark));
}

#[test]
fn what_moves_a_cursor_is_escaped_in_both_forms_and_kept_in_memory() {
    let hostile = "a\u{1b}[2J\u{202e}b\u{9b}c\n\"q\"";
    let human = Rig::new("info", LogFormat::Human);
    let lines = human.lines(|| tracing::info!(node = hostile, "from {hostile}"));
    assert_eq!(
        lines,
        [
            "INFO  telemetry::tests::layer: from a\\u{1b}[2J\\u{202e}b\\u{9b}c\\n\"q\" node=\"a\\u{1b}[2J\\u{202e}b\\u{9b}c\\n\\\"q\\\"\""
        ]
    );
    let event = &human.hub.recent(&LogScope::Everyone, &LogFilter::default(), 1).unwrap().events[0];
    assert_eq!(event.fields, [("node".to_owned(), hostile.to_owned())]);

    let json = Rig::new("info", LogFormat::Json);
    json.lines(|| {
        tracing::info!(node = hostile, time = 5, tag = "\u{e0041}", ok = true, f = 1.5, "from {hostile}")
    });
    let line = json.lines.lock().unwrap().clone();
    assert!(line.trim_end().bytes().all(|b| (0x20..0x7f).contains(&b)), "{line}");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["node"], hostile);
    assert_eq!(value["message"], format!("from {hostile}"));
    assert_eq!(value["level"], "info");
    assert_eq!(value["seq"], 1);
    assert_eq!(value["field_time"], 5);
    assert_eq!(value["tag"], "\u{e0041}");
    assert_eq!(value["ok"], true);
    assert_eq!(value["f"], 1.5);
    assert!(value["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
}

#[test]
fn the_level_changes_while_running() {
    let rig = Rig::new("warn", LogFormat::Human);
    let say = || {
        tracing::info!("quiet");
        tracing::info!(target: "aivonx_fleet::health", "fleet");
        tracing::warn!("loud");
    };
    // As in a daemon, whose one subscriber is the default of every thread.
    let set = |directives| {
        let targets = level::parse(directives).unwrap();
        tracing::dispatcher::with_default(&rig.dispatch, || rig.level.set(targets));
    };
    let messages = |lines: Vec<String>| lines.into_iter().map(|l| l.rsplit(' ').next().unwrap().to_owned());
    assert!(messages(rig.lines(say)).eq(["loud"]));
    set("warn,fleet=info");
    assert!(messages(rig.lines(say)).eq(["fleet", "loud"]));
    set("info");
    assert!(messages(rig.lines(say)).eq(["quiet", "fleet", "loud"]));
    set("off");
    assert!(rig.lines(say).is_empty());
}

#[test]
fn long_text_is_cut_at_a_character() {
    let rig = Rig::new("info", LogFormat::Human);
    rig.lines(|| tracing::info!(error = "é".repeat(5000), node = "gpu1", "{}", "ß".repeat(9000)));
    let event = rig.hub.recent(&LogScope::Everyone, &LogFilter::default(), 1).unwrap().events.remove(0);
    assert_eq!(event.message.len(), (8 << 10) + '…'.len_utf8());
    assert_eq!(event.fields[0].1.len(), (2 << 10) + '…'.len_utf8());
    assert_eq!(event.fields[1], ("node".to_owned(), "gpu1".to_owned()));
}

#[test]
fn inner_fields_win_and_values_may_log() {
    struct Chatty;
    impl fmt::Debug for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("nested");
            f.write_str("chatty")
        }
    }
    let rig = Rig::new("info", LogFormat::Human);
    let lines = rig.lines(|| {
        let span = tracing::info_span!("s", node = "outer", model = tracing::field::Empty);
        span.record("model", "llama3.2:latest");
        let _in = span.enter();
        let error: &(dyn std::error::Error + 'static) = &io::Error::other("why");
        tracing::info!(node = "inner", value = ?Chatty, error, "done");
    });
    // A subscriber that is a thread's own hears no event within an event; the process's own does.
    let done = "INFO  telemetry::tests::layer: done node=inner model=llama3.2:latest value=chatty error=why";
    assert_eq!(lines.last().unwrap(), done);
}
