//! What the scheduler is told of a request: how long its prompt is, what it begins with, whose it is.

use aivonx_domain::AccessRecord;
use aivonx_fleet::{Answer, Block, Chain, Dispatch, Snapshot, Work};
use aivonx_limits::Reservation;
use aivonx_wire::api::{Meter, Peek, Timing, meter::BYTES_PER_TOKEN, peek::within, route::Output};
use bytes::Bytes;

use super::{exchange::Exchange, forward::Call};

/// The work that `call` makes for a node asked for `model`; the prompt's blocks lie in `blocks`.
pub(super) fn of<'a>(
    call: &Call<'_>,
    exchange: &Exchange,
    model: Option<&str>,
    snapshot: &Snapshot,
    blocks: &'a mut Vec<Block>,
) -> Work<'a> {
    let dispatch = &snapshot.dispatch;
    let number = |id: Option<&str>| id.map_or(0, |id| dispatch.number(id));
    let subject = exchange.record.subject.as_deref();
    let organization = number(subject.and_then(|s| s.organization.as_ref()).map(|(id, _)| &**id));
    let key = number(subject.and_then(|s| s.key.as_ref().or(s.user.as_ref())).map(|(id, _)| &**id));
    let ask = exchange.reservation.as_ref().map(Reservation::ask);
    let prompt = ask.map_or(call.peek.prompt_at_most() / BYTES_PER_TOKEN, |ask| ask.prompt);
    let embeds = call.route.output == Output::Nothing;
    blocks.clear();
    if !embeds {
        chain(call.peek, &call.body.segments, prompt, seed(dispatch, organization, model), blocks);
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let output = ask.and_then(|ask| ask.output.total()).map(|most| most as f64);
    Work {
        prompt: u32::try_from(prompt).unwrap_or(u32::MAX),
        blocks,
        output,
        variant: call.peek.runner(&call.body.segments),
        streams: call.streams(),
        describes: !call.route.metered,
        embeds,
        band: call.priority as u8,
        organization,
        key,
    }
}

/// What the chain of a prompt begins with. What one organization sent is nothing to another: the time to a first token
/// would tell.
pub(super) fn seed(dispatch: &Dispatch, organization: u64, model: Option<&str>) -> u64 {
    organization ^ model.map_or(0, |model| dispatch.number(model))
}

/// Cuts the prompt of a body, of so many tokens, into `blocks`.
pub(super) fn chain(peek: &Peek, segments: &[Bytes], tokens: u64, seed: u64, blocks: &mut Vec<Block>) {
    let parts = peek.prompt_parts();
    let bytes = parts.iter().map(ExactSizeIterator::len).sum::<usize>().max(1);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let mut chain = Chain::new(seed, tokens as f64 / bytes as f64, blocks);
    for part in parts {
        within(segments, part).for_each(|bytes| chain.feed(bytes));
        chain.end();
    }
}

/// What an answer says of the work, for the scheduler. An answer that broke off or failed says nothing.
pub(super) fn done(record: &AccessRecord, answer: &Meter) -> Answer {
    if !(200..300).contains(&record.status) {
        return Answer::default();
    }
    let Timing { load, prefill, decode, cached } = answer.timing();
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let count = |count: Option<u64>| count.map(|count| count as f64);
    Answer {
        prompt: count(record.prompt_tokens),
        cached,
        load,
        prefill,
        output: count(record.output_tokens),
        decode,
    }
}
