use bytes::Bytes;
use proptest::prelude::*;

use super::{Counting, End, Meter};
use crate::api::{pieces::Pieces, route::Stream, usage::Usage};

fn run(mut meter: Meter, text: &str, cuts: &[usize], clean: bool) -> (String, End, Usage) {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let mut out = Pieces::default();
    let mut start = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        if cut > start {
            meter.pass(bytes.slice(start..cut), &mut out);
            start = cut;
        }
    }
    let end = meter.finish(clean, &mut out);
    let all: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
    (String::from_utf8(all).unwrap(), end, meter.tally(|_| true).usage)
}

const CHAT: &str = "{\"message\":{\"content\":\"\\\"done\\\":true\"},\"done\":false}\n\
    {\"message\":{\"tool_calls\":[{\"function\":{\"arguments\":{\"done\":true}}}]},\"done\":false}\n\
    {\"done\":true,\"context\":[1,2],\"prompt_eval_count\":5,\"eval_count\":7}\n";

const SSE: &str = "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n";

#[test]
fn an_empty_usage_in_every_chunk_goes_with_the_usage_chunk() {
    let chunk = |usage: &str| format!("data: {{\"choices\":[{{\"text\":\"a\"}}]{usage}}}\n\n");
    let empty = chunk(r#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#);
    let last = &SSE[SSE.find("data: {\"choices\":[],").unwrap()..];
    let sent = format!("{empty}{empty}{last}");
    let want = format!("{0}{0}data: [DONE]\n\n", chunk(""));
    for cut in 0..sent.len() {
        let (text, end, usage) = run(Meter::stream(Stream::Done, true), &sent, &[cut], true);
        assert_eq!((text, end, usage), (want.clone(), End::Complete, COUNTED), "cut at {cut}");
    }
}

#[test]
fn usage_goes_and_what_stands_beside_it_stays() {
    let timings = r#""timings":{"cache_n":4,"prompt_n":1,"predicted_n":7,"predicted_per_second":66.6}"#;
    let usage = r#""usage":{"completion_tokens":7,"prompt_tokens":5}"#;
    let stopped = r#""choices":[{"finish_reason":"stop","index":0,"delta":{}}]"#;
    for (sent, kept, counting) in [
        // llama.cpp, asked for usage; a server that puts it into the last chunk; one that wants nothing to be asked.
        (
            format!(r#"{{"choices":[],{usage},{timings}}}"#),
            format!(r#"{{"choices":[],{timings}}}"#),
            Counting::Timings,
        ),
        (format!(r#"{{{stopped}, {usage}}}"#), format!("{{{stopped}}}"), Counting::Usage),
        (format!(r#"{{{stopped},{timings}}}"#), format!(r#"{{{stopped},{timings}}}"#), Counting::Timings),
    ] {
        let lines =
            |data: &str| format!("data: {{{stopped}}}\r\n\r\ndata: {data}\r\n\r\ndata: [DONE]\r\n\r\n");
        let (mut meter, mut out) = (Meter::stream(Stream::Done, true), Pieces::default());
        meter.pass(Bytes::from(lines(&sent)), &mut out);
        assert_eq!(meter.finish(true, &mut out), End::Complete);
        let text: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
        assert_eq!(String::from_utf8(text).unwrap(), lines(&kept));
        assert_eq!((meter.tally(|_| true).usage, meter.counting()), (COUNTED, Some(counting)), "{sent}");
    }
}

#[test]
fn usage_that_nobody_has_to_ask_for_shows_nothing_of_chats() {
    let messages = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}}\n\n\
        data: {\"type\":\"message_stop\"}\n\n";
    let responses = "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}}\n\n";
    for (kind, sent) in [(Stream::Messages, messages), (Stream::Responses, responses)] {
        let (mut meter, mut out) = (Meter::stream(kind, false), Pieces::default());
        meter.pass(Bytes::from_static(sent.as_bytes()), &mut out);
        assert_eq!(meter.finish(true, &mut out), End::Complete);
        assert_eq!((meter.tally(|_| true).usage, meter.counting()), (COUNTED, None), "{sent}");
    }
}

const COUNTED: Usage = Usage { prompt: Some(5), output: Some(7), cached: 0, total: None };

#[test]
fn an_event_with_its_object_on_several_lines_is_one() {
    const LINES: &str = "data: {\ndata:   \"choices\": [{\"delta\": {\"content\": \"hello there\"}}]\ndata: }\n\n\
        data: {\"choices\":[],\ndata: \"usage\":{\r\ndata: \"prompt_tokens\":5,\"completion_tokens\":7\ndata: }}\n\n\
        data: [DONE]\n\n";
    for cut in 0..LINES.len() {
        for strip in [false, true] {
            let (text, end, usage) = run(Meter::stream(Stream::Done, strip), LINES, &[cut], true);
            assert_eq!((text.as_str(), end, usage), (LINES, End::Complete, COUNTED), "cut at {cut}");
        }
    }
    let mut meter = Meter::stream(Stream::Done, false);
    meter.pass(Bytes::from_static(LINES.as_bytes()), &mut Pieces::default());
    let tally = meter.tally(|_| true);
    assert_eq!((tally.pieces, tally.text.tokens()), (2, 3));
    let messages = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\n\
        data: \"usage\":{\"input_tokens\":5,\"output_tokens\":7}}\n\n\
        data: {\"type\":\ndata: \"message_stop\"}\n\n";
    let (_, end, usage) = run(Meter::stream(Stream::Messages, false), messages, &[], true);
    assert_eq!((end, usage), (End::Complete, COUNTED));
}

#[test]
fn ndjson_is_whole_and_counted_wherever_it_is_cut() {
    for cut in 0..CHAT.len() {
        let (text, end, usage) = run(Meter::stream(Stream::Ndjson, false), CHAT, &[cut], true);
        assert_eq!((text.as_str(), end, usage), (CHAT, End::Complete, COUNTED), "cut at {cut}");
    }
}

#[test]
fn a_broken_stream_stops_at_a_line() {
    let broken = &CHAT[..CHAT.len() - 20];
    let (text, end, _) = run(Meter::stream(Stream::Ndjson, false), broken, &[], false);
    assert_eq!(end, End::Missing);
    assert!(text.ends_with('\n'), "{text}");
    let (_, end, _) = run(Meter::stream(Stream::Ndjson, false), "{\"done\":false}\n", &[], true);
    assert_eq!(end, End::Missing);
    let (_, end, _) = run(Meter::stream(Stream::Ndjson, false), "{\"error\":\"x\"}\n", &[], true);
    assert_eq!(end, End::Complete);
}

#[test]
fn the_usage_chunk_is_taken_out_wherever_it_is_cut() {
    let want = "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\ndata: [DONE]\n\n";
    for cut in 0..SSE.len() {
        let (text, end, usage) = run(Meter::stream(Stream::Done, true), SSE, &[cut], true);
        assert_eq!((text.as_str(), end, usage), (want, End::Complete, COUNTED), "cut at {cut}");
        let (text, ..) = run(Meter::stream(Stream::Done, false), SSE, &[cut], true);
        assert_eq!(text, SSE);
    }
}

#[test]
fn messages_and_responses_end_by_their_events() {
    let messages = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let (_, end, usage) = run(Meter::stream(Stream::Messages, false), messages, &[40, 90], true);
    assert_eq!((end, usage), (End::Complete, COUNTED));
    let responses = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}}\n\n";
    let (_, end, usage) = run(Meter::stream(Stream::Responses, false), responses, &[30], true);
    assert_eq!((end, usage), (End::Complete, COUNTED));
    let (_, end, _) =
        run(Meter::stream(Stream::Responses, false), "event: response.created\ndata: {}\n\n", &[], true);
    assert_eq!(end, End::Missing);
}

#[test]
fn a_stream_that_ends_in_order_after_the_model_is_complete() {
    let done = "data: [DONE]\n\n";
    let completed =
        r#"data: {"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":7}}}"#;
    let echo = r#"data: {"type":"response.created","response":{"metadata":{"type":"response.completed"}}}"#;
    let stopped = "data: {\"choices\":[{\"delta\":{},\"finish_reason\" : \"stop\"}]}\n\n";
    let going = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"finish_reason\\\":\\\"x\\\"\"},\"finish_reason\":null}]}\n\n";
    let delta = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    let start = "event: message_start\ndata: {\"message\":{\"stop_reason\":null}}\n\n";
    for (kind, text, clean, broken) in [
        // LiteLLM leaves the names of events out.
        (Stream::Responses, format!("{completed}\n\n{done}"), End::Complete, End::Complete),
        (
            Stream::Responses,
            completed.replace("completed", "incomplete") + "\n\n",
            End::Complete,
            End::Complete,
        ),
        (Stream::Responses, completed.replace("completed", "failed") + "\n\n", End::Complete, End::Complete),
        (
            Stream::Responses,
            completed.replace("completed", "cancelled") + "\n\n",
            End::Complete,
            End::Complete,
        ),
        (Stream::Responses, completed.to_owned(), End::Complete, End::Complete),
        (
            Stream::Responses,
            "event: response.cancelled\ndata: {}\n\n".to_owned(),
            End::Complete,
            End::Complete,
        ),
        // The last line without its end.
        (Stream::Done, format!("{going}data: [DONE]"), End::Complete, End::Complete),
        (Stream::Done, format!("{going}data: [DONE"), End::Missing, End::Missing),
        (Stream::Messages, "data: {\"type\":\"message_stop\"}".to_owned(), End::Complete, End::Complete),
        (Stream::Responses, format!("{echo}\n\n"), End::Missing, End::Missing),
        (Stream::Responses, done.to_owned(), End::Complete, End::Complete),
        (
            Stream::Responses,
            "data: {\"type\":\"error\",\"message\":\"x\"}\n\n".to_owned(),
            End::Complete,
            End::Complete,
        ),
        (Stream::Messages, "data: {\"type\":\"message_stop\"}\n\n".to_owned(), End::Complete, End::Complete),
        (Stream::Messages, format!("{start}{delta}"), End::Complete, End::Missing),
        (Stream::Messages, start.to_owned(), End::Missing, End::Missing),
        (Stream::Done, format!("{going}{stopped}"), End::Complete, End::Missing),
        (Stream::Done, going.to_owned(), End::Missing, End::Missing),
        (Stream::Done, "data: { \"error\":{}}\n\n".to_owned(), End::Complete, End::Complete),
    ] {
        for cut in 0..text.len() {
            let (out, end, _) = run(Meter::stream(kind, false), &text, &[cut], true);
            // What lacks its end is followed by an error, which is an event of its own.
            let ends = if clean == End::Missing && !text.ends_with('\n') { "\n\n" } else { "" };
            assert_eq!((out, end), (format!("{text}{ends}"), clean), "{text} cut at {cut}");
            assert_eq!(
                run(Meter::stream(kind, false), &text, &[cut], false).1,
                broken,
                "{text} cut at {cut}"
            );
        }
    }
    let counted = format!("{completed}\n\n{done}");
    assert_eq!(run(Meter::stream(Stream::Responses, false), &counted, &[], true).2, COUNTED);
}

#[test]
fn an_event_that_is_called_an_error_is_one_whatever_is_in_it() {
    let going = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for kind in [Stream::Done, Stream::Messages, Stream::Responses] {
        for (data, words) in [
            (r#"{"message":"out of memory"}"#, "out of memory"),
            (r#"{"message": "out of memory","code":500}"#, "out of memory"),
            (r#"{"error":{"message":"out of memory"}}"#, "out of memory"),
            (r#"{"detail":"out of memory"}"#, "out of memory"),
            ("out of memory", "out of memory"),
            ("{\ndata: \"message\":\ndata: \"out of memory\"}", "out of memory"),
            (r#"{"code":500}"#, ""),
        ] {
            let text = format!("{going}event: error\ndata: {data}\n\n");
            for cut in 0..text.len() {
                let (mut meter, mut out) = (Meter::stream(kind, false), Pieces::default());
                for part in [&text[..cut], &text[cut..]] {
                    if !part.is_empty() {
                        meter.pass(Bytes::copy_from_slice(part.as_bytes()), &mut out);
                    }
                }
                assert_eq!(meter.finish(true, &mut out), End::Complete, "{text}");
                assert_eq!(meter.failure(), Some(words), "{kind:?}: {text} cut at {cut}");
            }
        }
    }
    let next = format!("event: error\n\n{going}");
    let (_, end, _) = run(Meter::stream(Stream::Done, false), &next, &[], true);
    assert_eq!(end, End::Missing, "an event without data is none");
}

#[test]
fn events_are_read_whatever_ends_their_lines() {
    let chunk = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let stopped = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n";
    for end in ["\n", "\r", "\r\n"] {
        let of = |parts: &[&str]| parts.concat().replace('\n', end);
        let kept = of(&[&chunk("a"), &chunk("b"), stopped]);
        let sent = of(&[&chunk("a"), &chunk("b"), stopped, usage]);
        for cut in 0..sent.len() {
            let (text, done, counted) = run(Meter::stream(Stream::Done, false), &sent, &[cut], true);
            assert_eq!((&*text, done, counted), (&*sent, End::Complete, COUNTED), "{end:?} cut at {cut}");
            let (text, done, counted) = run(Meter::stream(Stream::Done, true), &sent, &[cut], true);
            assert_eq!((done, counted), (End::Complete, COUNTED), "{end:?} cut at {cut}");
            // Between the two bytes of a line's end there may be a cut: a blank line more says nothing.
            let blank = text.strip_prefix(&*kept).map(str::trim);
            assert_eq!(blank, Some(""), "{end:?} cut at {cut}: {text:?}");
        }
        let mut meter = Meter::stream(Stream::Done, false);
        let mut out = Pieces::default();
        meter.pass(Bytes::from(kept.clone()), &mut out);
        assert_eq!(meter.tally(|_| true).pieces, 3, "{end:?}");
        let done = of(&["event: message_stop\ndata: {}\n\n"]);
        assert_eq!(run(Meter::stream(Stream::Messages, false), &done, &[], true).1, End::Complete, "{end:?}");
    }
}

#[test]
fn the_usage_chunk_is_known_however_it_says_that_there_is_no_choice() {
    for choices in ["\"choices\":[],", "\"choices\":null,", "\"choices\":{},", "\"choices\":\"\",", ""] {
        let usage =
            format!("data: {{{choices}\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":7}}}}\n\n");
        let (text, end, counted) =
            run(Meter::stream(Stream::Done, true), &(usage + "data: [DONE]\n\n"), &[], true);
        assert_eq!((text.as_str(), end, counted), ("data: [DONE]\n\n", End::Complete, COUNTED), "{choices}");
    }
}

#[test]
fn whole_answers_are_counted_from_their_tail() {
    let text = format!("{{\"x\":\"{}\",\"prompt_eval_count\":5,\"eval_count\":7}}", "y".repeat(5000));
    let (out, end, usage) = run(Meter::whole(true), &text, &[10, 3000], true);
    assert_eq!((out.len(), end, usage), (text.len(), End::Complete, COUNTED));
    assert_eq!(run(Meter::whole(true), &text, &[], false).1, End::Cut);
    // Embeddings of llama.cpp.
    let text =
        format!("{{\"usage\":{{\"prompt_tokens\":5,\"total_tokens\":5}},\"data\":\"{}\"}}", "y".repeat(9000));
    assert_eq!(
        run(Meter::whole(true), &text, &[10, 3000], true).2,
        Usage { prompt: Some(5), ..Usage::default() }
    );
}

#[test]
fn ollama_leaves_out_what_is_zero() {
    let zero = Usage { prompt: Some(0), output: Some(0), cached: 0, total: None };
    let last = "{\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}\n";
    assert_eq!(run(Meter::stream(Stream::Ndjson, false), last, &[], true).2, zero);
    assert_eq!(run(Meter::whole(true), last, &[], true).2, zero);
    // It ends the stream, and says nothing about the tokens produced.
    let broken = "{\"done\":false}\n{\"error\":\"x\"}\n";
    assert_eq!(run(Meter::stream(Stream::Ndjson, false), broken, &[], true).2, Usage::default());
}

#[test]
fn what_went_by_is_estimated() {
    let mut out = Pieces::default();
    let words = "word ".repeat(200);
    let chunk = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let line = |text: &str| format!("{{\"message\":{{\"content\":\"{text}\"}},\"done\":false}}\n");
    let delta =
        |text: &str| format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{text}\"}}\n\n");
    for (kind, text, want) in [
        (Stream::Ndjson, "{}\n{}\n".to_owned(), 2),
        (Stream::Done, SSE.to_owned(), 2),
        // An event may carry more than a token.
        (Stream::Done, chunk("ab").repeat(20), 20),
        (Stream::Done, chunk(&words).repeat(20), 5000),
        (Stream::Done, chunk(&words) + &chunk("ab").repeat(999), 1000),
        (Stream::Ndjson, line(&words).repeat(20), 5000),
        (Stream::Responses, delta(&words).repeat(20), 5000),
        (Stream::Messages, delta(&words).repeat(20).replace("\"delta\"", "\"text\""), 5000),
        // Not JSON, and JSON.
        (Stream::Never, "y".repeat(656), 100),
        (Stream::Never, format!("{{\"id\":\"{words}\",\"content\":\"{words}\",\"data\":[{words:?}]}}"), 250),
    ] {
        for cut in [1, text.len() / 3, text.len()] {
            let mut meter =
                if kind == Stream::Never { Meter::whole(true) } else { Meter::stream(kind, false) };
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            meter.pass(bytes.slice(..cut), &mut out);
            meter.pass(bytes.slice(cut..), &mut out);
            assert_eq!(meter.tally(|_| true).produced, want, "{kind:?} {:.90}", text);
        }
    }
}

#[test]
fn a_text_whose_count_is_to_be_expected_is_not_looked_at() {
    let text = |count: u64| format!(r#"{{"content":"{}","completion_tokens":{count}}}"#, "word ".repeat(200));
    for (count, expected, want) in [(200, true, 0), (200, false, 1000), (50, true, 1000)] {
        let mut meter = Meter::whole(true);
        let mut out = Pieces::default();
        meter.pass(text(count).into(), &mut out);
        meter.finish(true, &mut out);
        assert_eq!(meter.tally(|_| expected).text.bytes, want, "{count}");
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_reordered(lines in prop::collection::vec("[a-z\"{}: ]{0,12}", 0..8),
        cuts in prop::collection::vec(0usize..120, 0..6)) {
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|c| *c < text.len()).collect();
        cuts.sort_unstable();
        for kind in [Stream::Ndjson, Stream::Done, Stream::Messages, Stream::Responses] {
            let (out, end, _) = run(Meter::stream(kind, false), &text, &cuts, true);
            // Before the error that is to follow, an event gets the blank line that ends it.
            let is_open = kind != Stream::Ndjson && end == End::Missing && !(text.ends_with("\n\n") || text.len() < 2);
            let blank = if is_open { "\n" } else { "" };
            prop_assert_eq!(out, format!("{text}{blank}"));
        }
    }

    #[test]
    fn a_line_that_says_it_goes_on_never_ends_a_stream(
        before in prop::sample::select(vec![
            "", "{", "{\"done\":true", "{\"a\":{\"done\":true}", "{\"a,\\\"done\\\":true\"", "{\"error\":1", "[1",
            "{\"done\":true,\"s\":\"x", "{\"a\":{\"b\":1", "{\"done\":false}{\"done\":true",
        ]),
        after in prop::sample::select(vec!["", ",\"done\":true", ",\"eval_count\":3"]),
    ) {
        let line = format!("{before}{after},\"done\":false}}\n");
        let (.., end, usage) = run(Meter::stream(Stream::Ndjson, false), &line, &[], true);
        let error = line.starts_with("{\"error\"");
        prop_assert_eq!((end == End::Complete, usage), (error, Usage::default()), "{}", line);
        // None that has it in the end can be read as one that is over.
        let read = super::OllamaLine::read(line.as_bytes());
        prop_assert!(!read.is_some_and(|line| line.done));
    }

    #[test]
    fn head_and_tail_are_those_of_the_whole(
        text in "[a-z]{0,9}", repeat in 1usize..900, counts in prop::sample::select(vec![
            "\"prompt_tokens\":5", "\"prompt_tokens\":null", "\"eval_count\":7,\"done\":true", ""
        ]),
        at in 0usize..6000, cuts in prop::collection::vec(0usize..7000, 0..6),
    ) {
        let mut text = text.repeat(repeat);
        text.insert_str(at.min(text.len()), counts);
        text.insert_str(0, "{\"input_tokens\":9,");
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|c| *c < text.len()).collect();
        cuts.sort_unstable();
        let tail = &text.as_bytes()[text.len().saturating_sub(super::TAIL)..];
        let mut want = super::of_tail(tail);
        if want == Usage::default() {
            want = super::of_tail(&text.as_bytes()[..text.len().min(super::HEAD)]);
        }
        if super::has_done(tail) {
            want.or_zero(tail);
        }
        prop_assert_eq!(run(Meter::whole(true), &text, &cuts, true).2, want);
    }
}

#[test]
fn a_nodes_own_error_ends_a_stream_and_is_kept() {
    for (kind, text, words) in [
        (
            Stream::Ndjson,
            "{\"response\":\"x\",\"done\":false}\n{\"error\":\"unexpected EOF\"}\n",
            Some("unexpected EOF"),
        ),
        (
            Stream::Done,
            "data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"CUDA error\"}}\n\n",
            Some("CUDA error"),
        ),
        (
            Stream::Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"overloaded\"}}\n\n",
            Some("overloaded"),
        ),
        (Stream::Done, "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", None),
    ] {
        let (mut meter, mut out) = (Meter::stream(kind, false), Pieces::default());
        meter.pass(Bytes::from(text), &mut out);
        assert_eq!((meter.finish(true, &mut out), meter.failure()), (End::Complete, words), "{text}");
    }
}
