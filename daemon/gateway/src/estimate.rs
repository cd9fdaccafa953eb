//! The tokens of an answer: as the node counted them, and where it did not, or cannot have, an estimate that says it is
//! one.
//!
//! A node does not count if it does not know how (`/api/embeddings`, servers that ignore `include_usage`), if
//! its answer broke off, or if the client left before the end; what was produced until then was produced all
//! the same. Some count the first of several answers alone. And what a node says is believed neither beyond what was
//! asked for and what went by, for one wild number would use up a tenant's month, nor far below it, for then no budget
//! would hold.

use aivonx_domain::AccessRecord;
use aivonx_limits::Ask;
use aivonx_wire::api::{
    meter::{BYTES_PER_TOKEN, Tally, may_count},
    route::{self, Action, Output},
    usage::Usage,
};

/// Tokens that a node may add to a prompt: the template around it, a model's own system prompt.
const ADDED: u64 = 4096;

/// A prompt that is too long for its model is cut to the context, which has so many tokens at least; of models for
/// embeddings it is smaller.
const CONTEXT: u64 = 2048;
const CONTEXT_OF_EMBEDDINGS: u64 = 256;

/// Events of a stream that carry no output: the first and the last of each answer, and one with the counts.
const FIRST_AND_LAST: u64 = 2;
const WITH_COUNTS: u64 = 1;

/// What is known of a prompt but for its size, as far as it was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Characters of text.
    pub(super) text: u64,
    /// Most tokens of what it only names, and a node fetches.
    pub(super) named: u64,
}

/// Puts counts into `record`, whose route, status and size are known. `ask` is what was reserved, if anything.
pub(super) fn count(record: &mut AccessRecord, answer: Tally, ask: Option<&Ask>, sent: Sent) {
    let Some(output) = output_of(record.route) else { return };
    let (answers, all) = ask.map_or((1, 1), |ask| (ask.output.answers(), ask.output.made()));
    // Several answers may be those to several prompts, of which the node may have counted the first.
    let least = ask.filter(|_| answers > 1).map_or(0, |ask| ask.prompt);
    // No token of a prompt is shorter than a byte.
    let most = record.bytes_in.saturating_add(ADDED).saturating_add(sent.named);
    let context = if output == Output::Nothing { CONTEXT_OF_EMBEDDINGS } else { CONTEXT };
    let estimate = ask.map_or(record.bytes_in / BYTES_PER_TOKEN, |ask| ask.prompt);
    // Both together: the prompt is estimated, and the output is the rest.
    let told = match (answer.usage.total, output) {
        (Some(total), Output::Nothing) => Usage { prompt: Some(total), ..answer.usage },
        (Some(total), _) => {
            Usage { output: Some(total.saturating_sub(estimate)), prompt: None, ..answer.usage }
        }
        (None, _) => answer.usage,
    };
    let prompt = told.prompt.filter(|count| *count >= context || may_count(*count, sent.text));
    let prompt = prompt.map(|count| count.min(most).max(least));
    let asked = ask.and_then(|ask| ask.output.total());
    let most = match (output, asked) {
        (Output::Nothing, _) => 0,
        // A node that does not heed the bound has produced what was seen.
        (_, Some(asked)) => asked.max(answer.produced),
        (_, None) => answer.bytes,
    };
    let counted = told.output.filter(|c| output == Output::Nothing || answer.text.may_have(*c));
    let counted = counted.map(|count| count.min(most));
    let own = match (counted, answer.complete, answer.streamed) {
        // What it said so far was not the end of it.
        (_, false, _) | (None, ..) => answer.produced,
        (_, true, true) => {
            let other = FIRST_AND_LAST.saturating_mul(answers).saturating_add(WITH_COUNTS);
            answer.pieces.saturating_sub(other)
        }
        // Of one object the length is a poor measure.
        (Some(_), true, false) if answers == 1 => 0,
        (Some(count), true, false) if answer.first_only => count.saturating_mul(answers),
        (Some(count), true, false) => answer.produced.min(count.saturating_mul(answers)),
    };
    let own = if answer.complete { own.min(asked.unwrap_or(u64::MAX)) } else { own };
    // What is made and not sent is as long as what is.
    let made = |sent: u64| {
        let made = u128::from(sent) * u128::from(all.max(answers)) / u128::from(answers);
        u64::try_from(made).unwrap_or(u64::MAX).min(most.max(sent))
    };
    record.prompt_tokens = prompt;
    record.output_tokens = counted.map(|count| made(count.max(own.min(most))));
    record.estimated |= prompt != answer.usage.prompt || record.output_tokens != answer.usage.output;
    if !(200..300).contains(&record.status) {
        return;
    }
    if prompt.is_none() {
        record.prompt_tokens = Some(estimate);
        record.estimated = true;
    }
    // Embeddings have no output, so nothing is missing.
    if counted.is_none() && output != Output::Nothing {
        record.output_tokens = Some(made(own));
        record.estimated = true;
    }
}

/// Whether a node that made what was asked for counts so many tokens of output: then the length of an answer in one
/// piece says nothing more.
pub(super) fn is_expected(output: u64, ask: Option<&Ask>) -> bool {
    ask.is_none_or(|ask| ask.output.answers() == 1 && ask.output.total().is_none_or(|asked| output <= asked))
}

/// Puts into `record` what a request comes to whose client left, or that was ended: the node has read the prompt, and
/// of an answer in one piece that is still `due` nobody knows how much is made, so that it is all that was reserved
/// for it.
pub(super) fn left(record: &mut AccessRecord, ask: &Ask, due: bool) {
    let made = if due { ask.output.total().filter(|most| *most > 0) } else { None };
    record.estimated |= record.prompt_tokens.is_none() || made > record.output_tokens;
    record.prompt_tokens.get_or_insert(ask.prompt);
    record.output_tokens = record.output_tokens.max(made);
}

/// What a route's output is, if its tokens are counted.
fn output_of(route: &str) -> Option<Output> {
    let (route, _) = route::find(route)?;
    let Action::Forward(forward) = route.action else { return None };
    forward.metered.then_some(forward.output)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use aivonx_limits::{self as limits, Price};
    use aivonx_wire::api::meter::Amount;

    fn record(route: &'static str, status: u16) -> AccessRecord {
        let mut record = AccessRecord::new(Uuid::nil(), [127, 0, 0, 1].into(), http::Method::POST);
        (record.route, record.status, record.bytes_in) = (route, status, 400);
        record
    }

    fn ask(each: Option<u64>, answers: u64) -> Ask {
        let output = limits::Output::UpTo { each, answers, made: answers };
        Ask { prompt: 90, output, price: Price::FREE }
    }

    /// What [`super::count`] makes of it.
    fn count(record: &mut AccessRecord, answer: Tally, ask: Option<&Ask>) {
        super::count(record, answer, ask, Sent::default());
    }

    fn counts(record: &AccessRecord) -> (Option<u64>, Option<u64>, bool) {
        (record.prompt_tokens, record.output_tokens, record.estimated)
    }

    const WHOLE: Tally = Tally {
        usage: Usage { prompt: None, output: None, cached: 0, total: None },
        produced: 7,
        pieces: 0,
        text: Amount { bytes: 28, runs: 0 },
        bytes: 284,
        streamed: false,
        complete: true,
        first_only: false,
    };

    /// An answer in one piece with so much text.
    fn object(text: u64) -> Tally {
        Tally { produced: text / BYTES_PER_TOKEN, text: Amount::words(text), bytes: text + 256, ..WHOLE }
    }

    /// One in so many pieces, of a token each.
    fn stream(pieces: u64) -> Tally {
        let text = Amount::words(5 * pieces);
        Tally { produced: pieces, pieces, text, bytes: 200 * pieces, streamed: true, ..WHOLE }
    }

    fn usage(prompt: u64, output: u64) -> Usage {
        Usage { prompt: Some(prompt), output: Some(output), cached: 0, total: None }
    }

    #[test]
    fn only_what_the_node_did_not_count_is_estimated() {
        let both = usage(1, 2);
        let prompt = Usage { output: None, ..both };
        let none = Usage::default();
        for (route, status, usage, want) in [
            ("/api/chat", 200, both, (Some(1), Some(2), false)),
            ("/api/chat", 200, none, (Some(100), Some(7), true)),
            ("/api/chat", 201, none, (Some(100), Some(7), true)),
            ("/v1/messages", 200, prompt, (Some(1), Some(7), true)),
            ("/api/embed", 200, prompt, (Some(1), None, false)),
            ("/v1/embeddings", 200, prompt, (Some(1), None, false)),
            ("/api/embeddings", 200, none, (Some(100), None, true)),
            // Nothing was produced, or nothing is counted.
            ("/api/chat", 503, none, (None, None, false)),
            ("/api/show", 200, both, (None, None, false)),
            ("/v1/messages/count_tokens", 200, both, (None, None, false)),
            ("unknown", 200, none, (None, None, false)),
        ] {
            let mut record = record(route, status);
            count(&mut record, Tally { usage, ..WHOLE }, None);
            assert_eq!(counts(&record), want, "{route} {status}");
        }
    }

    #[test]
    fn a_count_far_below_the_text_is_none() {
        for (answer, output, want) in [
            (object(4000), 1, 1000),
            (object(4000), 0, 1000),
            (object(4000), 249, 1000),
            (object(4000), 250, 250),
            (object(4000), 2000, 2000),
            (object(0), 0, 0),
            (stream(60), 1, 60),
            (stream(60), 59, 59),
            // Many tokens in an event.
            (Tally { text: Amount::words(20_000), produced: 5000, ..stream(20) }, 3, 5000),
            (Tally { text: Amount::words(20_000), produced: 5000, ..stream(20) }, 4000, 4000),
        ] {
            let mut record = record("/v1/chat/completions", 200);
            count(&mut record, Tally { usage: usage(9, output), ..answer }, Some(&ask(None, 1)));
            assert_eq!(record.output_tokens, Some(want), "{answer:?} {output}");
            assert_eq!(record.estimated, want != output);
        }
    }

    #[test]
    fn a_prompt_is_counted_by_its_text_where_the_node_counts_next_to_nothing() {
        for (route, count, text, want) in [
            ("/api/chat", 1, 0, 1),
            ("/api/chat", 1, 16, 1),
            ("/api/chat", 1, 120, 90),
            ("/api/chat", 0, 4, 90),
            ("/api/chat", 200, 3200, 200),
            ("/api/chat", 200, 3201, 90),
            // It was cut to the context.
            ("/api/chat", 2047, 1_000_000, 90),
            ("/api/chat", 2048, 1_000_000, 2048),
            ("/api/embed", 255, 1_000_000, 90),
            ("/api/embed", 256, 1_000_000, 256),
        ] {
            for answer in [WHOLE, stream(9)] {
                let mut record = record(route, 200);
                let sent = Sent { text, named: 0 };
                super::count(
                    &mut record,
                    Tally { usage: usage(count, 7), ..answer },
                    Some(&ask(None, 1)),
                    sent,
                );
                assert_eq!(record.prompt_tokens, Some(want), "{count} for {text}");
                assert!(record.estimated || want == count);
            }
        }
        // What stands elsewhere is believed to be long.
        let mut record = record("/v1/chat/completions", 200);
        let sent = Sent { text: 20, named: 40_000 };
        super::count(&mut record, Tally { usage: usage(30_000, 7), ..WHOLE }, None, sent);
        assert_eq!(counts(&record), (Some(30_000), Some(7), false));
    }

    #[test]
    fn a_count_is_not_believed_beyond_what_was_asked_and_what_went_by() {
        let wild = usage(u64::MAX, u64::MAX);
        for (route, status, ask, want) in [
            ("/api/chat", 200, None, (4496, 284)),
            ("/api/chat", 200, Some(ask(None, 1)), (4496, 284)),
            ("/api/chat", 200, Some(ask(Some(50), 1)), (4496, 50)),
            ("/v1/completions", 200, Some(ask(Some(50), 3)), (4496, 150)),
            // More than it was to make went by.
            ("/api/chat", 200, Some(ask(Some(5), 1)), (4496, 7)),
            ("/api/chat", 400, Some(ask(Some(50), 1)), (4496, 50)),
            ("/api/embed", 200, None, (4496, 0)),
        ] {
            let mut record = record(route, status);
            count(&mut record, Tally { usage: wild, ..WHOLE }, ask.as_ref());
            assert_eq!(counts(&record), (Some(want.0), Some(want.1), true), "{route} {status} {ask:?}");
        }
    }

    #[test]
    fn what_went_by_is_counted_where_it_is_more() {
        for (answer, told, answers, want) in [
            // llama.cpp counts the first of several answers.
            (stream(306), 100, 3, 299),
            (stream(1000), 100, 3, 300),
            (object(1600), 100, 3, 300),
            (object(600), 100, 3, 150),
            (object(1600), 300, 3, 300),
            (Tally { first_only: true, ..object(600) }, 90, 3, 270),
            (Tally { first_only: true, ..object(600) }, 90, 1, 90),
            // One answer.
            (stream(103), 100, 1, 100),
            (stream(306), 0, 1, 100),
            (object(400), 90, 1, 90),
            // It was not over: Anthropic's begin with a zero.
            (Tally { complete: false, ..stream(60) }, 0, 1, 60),
            (Tally { complete: false, ..stream(60) }, 61, 1, 61),
        ] {
            let mut record = record("/v1/chat/completions", 200);
            count(&mut record, Tally { usage: usage(5, told), ..answer }, Some(&ask(Some(100), answers)));
            assert_eq!(record.output_tokens, Some(want), "{answer:?} {told} {answers}");
            // The prompt of several may be that of one of them.
            assert_eq!(record.prompt_tokens, Some(if answers > 1 { 90 } else { 5 }));
            assert_eq!(record.estimated, want != told || answers > 1);
        }
    }

    #[test]
    fn what_is_made_and_not_sent_is_counted() {
        let of = |made| limits::Output::UpTo { each: Some(100), answers: 2, made };
        for (told, answer, made, want) in [
            (Some(60), object(240), 2, 60),
            (Some(60), object(240), 10, 300),
            (Some(60), object(240), 5, 150),
            (None, object(240), 10, 300),
            (Some(500), object(240), 5, 500),
            (Some(500), object(240), 10, 1000),
            (Some(0), Tally { complete: false, ..stream(60) }, 10, 300),
        ] {
            let mut record = record("/v1/completions", 200);
            let ask = Ask { output: of(made), ..ask(None, 1) };
            let usage = Usage { output: told, ..usage(90, 0) };
            count(&mut record, Tally { usage, ..answer }, Some(&ask));
            assert_eq!(record.output_tokens, Some(want), "{told:?} {made}");
        }
    }

    #[test]
    fn a_count_of_all_tokens_is_that_of_the_prompt_and_the_output() {
        let of = |route, total, answer: Tally| {
            let mut record = record(route, 200);
            let usage = Usage { total: Some(total), ..Usage::default() };
            count(&mut record, Tally { usage, ..answer }, Some(&ask(Some(1000), 1)));
            counts(&record)
        };
        assert_eq!(of("/v1/chat/completions", 500, object(800)), (Some(90), Some(410), true));
        assert_eq!(of("/v1/chat/completions", u64::MAX, object(800)), (Some(90), Some(1000), true));
        // Less than the prompt has: what went by.
        assert_eq!(of("/v1/chat/completions", 50, object(800)), (Some(90), Some(200), true));
        assert_eq!(of("/v1/chat/completions", 500, stream(700)), (Some(90), Some(697), true));
        assert_eq!(of("/v1/embeddings", 50, WHOLE), (Some(50), None, true));
    }

    #[test]
    fn who_leaves_an_answer_that_comes_at_once_pays_what_was_reserved() {
        let left = |known: Option<u64>, ask: &Ask, due| {
            let mut record = record("/api/chat", 499);
            record.output_tokens = known;
            super::left(&mut record, ask, due);
            counts(&record)
        };
        assert_eq!(left(None, &ask(Some(100), 2), true), (Some(90), Some(200), true));
        assert_eq!(left(Some(300), &ask(Some(100), 2), true), (Some(90), Some(300), true));
        assert_eq!(left(None, &ask(None, 1), true), (Some(90), None, true));
        assert_eq!(left(None, &ask(Some(100), 1), false), (Some(90), None, true));
        assert_eq!(left(Some(30), &ask(Some(100), 1), false), (Some(90), Some(30), true));
        let embed = Ask { output: limits::Output::Nothing, ..ask(None, 1) };
        assert_eq!(left(None, &embed, true), (Some(90), None, true));
    }
}
