//! What is asked of the fleet: replayed from a trace of real traffic, or made up.

use std::{fs, io, path::Path};

use aivonx_scheduler::Block;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde::Deserialize;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Seconds since the start.
    pub(crate) at: f64,
    pub(crate) model: u32,
    /// Tokens of the prompt.
    pub(crate) input: u64,
    /// Tokens of the answer.
    pub(crate) output: u64,
    pub(crate) blocks: Vec<Block>,
    /// The conversation it belongs to.
    pub(crate) session: u64,
    pub(crate) organization: u64,
}

/// Tokens of a block in the trace.
const BLOCK: u64 = 512;

#[derive(Deserialize)]
struct Line {
    input_length: u64,
    output_length: u64,
    hash_ids: Vec<u64>,
}

/// An hour of chat requests, one JSON object a line: `input_length`, `output_length` in tokens, `hash_ids` of blocks of
/// 512 tokens. `AIVONX_TRACE` names it; made-up conversations if there is none. Says which it is.
///
/// # Errors
/// It is there, or named, and cannot be read.
pub(crate) fn trace() -> Result<(String, Vec<Request>), String> {
    let named = std::env::var_os("AIVONX_TRACE");
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces/conversation.jsonl");
    let path = Path::new(named.as_deref().unwrap_or(beside.as_ref()));
    match read(path) {
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok(("made-up conversations".to_owned(), conversations()))
        }
        Err(error) => Err(format!("the trace {}: {error}", path.display())),
        Ok(requests) => Ok((path.display().to_string(), requests)),
    }
}

fn read(path: &Path) -> io::Result<Vec<Request>> {
    let text = fs::read_to_string(path)?;
    let requests: Vec<Request> =
        text.lines().map(|line| serde_json::from_str(line).map(of_line)).collect::<Result<_, _>>()?;
    if requests.is_empty() { Err(io::Error::other("there is no request in it")) } else { Ok(requests) }
}

fn of_line(line: Line) -> Request {
    let mut hash = 0;
    let blocks = (1..).zip(&line.hash_ids).map(|(nth, id)| {
        hash = mix(hash, *id);
        let tokens = (nth * BLOCK).min(line.input_length);
        Block { hash, tokens: u32::try_from(tokens).expect("a prompt's length") }
    });
    let blocks: Vec<Block> = blocks.collect();
    // The first block is the same for most: the second tells conversations apart.
    let session = blocks.get(1).or(blocks.first()).map_or(0, |block| block.hash);
    Request {
        at: 0.0,
        model: 0,
        input: line.input_length.max(1),
        output: line.output_length,
        session,
        organization: 0,
        blocks,
    }
}

fn mix(hash: u64, id: u64) -> u64 {
    let mixed = (hash.rotate_left(23) ^ id).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// The requests, in their order, at `rate` a second for so many `seconds`: a Poisson process.
pub(crate) fn paced(requests: &[Request], rate: f64, seconds: f64) -> Vec<Request> {
    let mut random = SmallRng::seed_from_u64(7);
    let mut at = 0.0;
    let mut all = Vec::new();
    for request in requests.iter().cycle() {
        at += -random.random_range(f64::EPSILON..1.0).ln() / rate;
        if at > seconds {
            break;
        }
        all.push(Request { at, ..request.clone() });
    }
    all
}

/// The same for so many models, one as likely as another.
pub(crate) fn of_models(mut requests: Vec<Request>, models: u32) -> Vec<Request> {
    let mut random = SmallRng::seed_from_u64(11);
    requests.iter_mut().for_each(|request| request.model = random.random_range(0..models));
    requests
}

/// Of two organizations, one of which asks ten times as much.
pub(crate) fn of_two_organizations(mut requests: Vec<Request>) -> Vec<Request> {
    let mut random = SmallRng::seed_from_u64(13);
    requests.iter_mut().for_each(|request| request.organization = u64::from(random.random_range(0..11) == 0));
    requests
}

/// Conversations like those of the trace: one block that all begin with, prompts of some thousand tokens and a few that
/// are much longer, a third of them the next turn of one before.
fn conversations() -> Vec<Request> {
    let mut random = SmallRng::seed_from_u64(19);
    let mut open: Vec<(u64, Vec<Block>)> = Vec::new();
    let mut next = |nth: u64| {
        let goes_on = !open.is_empty() && random.random_bool(0.35);
        let (session, mut blocks) = if goes_on {
            open.swap_remove(random.random_range(0..open.len()))
        } else {
            let mut blocks = Vec::new();
            grow(&mut blocks, 1, BLOCK);
            (mix(nth, 5), blocks)
        };
        let more = if goes_on {
            random.random_range(100..2000)
        } else {
            let normal = (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0;
            (6000.0 * normal.exp()).min(100_000.0) as u64
        };
        let input = blocks.last().map_or(0, |block| u64::from(block.tokens)) + more.max(1);
        grow(&mut blocks, mix(session, input), input);
        let output = (-random.random_range(f64::EPSILON..1.0).ln() * 340.0).min(2000.0) as u64;
        open.push((session, blocks.clone()));
        if open.len() > 300 {
            open.swap_remove(0);
        }
        Request { at: 0.0, model: 0, input, output, session, organization: 0, blocks }
    };
    (0..12_000).map(&mut next).collect()
}

/// Agents: each kind has a system prompt of 8,000 tokens (30 KB), each run some ten turns that grow.
pub(crate) fn agents() -> Vec<Request> {
    let mut random = SmallRng::seed_from_u64(17);
    let mut open: Vec<(u64, Vec<Block>, u64, u32)> = Vec::new();
    let mut all = Vec::new();
    for nth in 0..20_000_u64 {
        if open.len() < 40 {
            let kind = random.random_range(0..12_u64);
            let mut blocks = Vec::new();
            grow(&mut blocks, kind + 1, 8000);
            open.push((mix(nth, 99), blocks, 8000, random.random_range(4..16)));
        }
        let at = random.random_range(0..open.len());
        let (session, blocks, length, turns) = &mut open[at];
        let more = random.random_range(100..1500);
        *length += more;
        grow(blocks, mix(*session, *length), *length);
        let output = random.random_range(50..400);
        all.push(Request {
            at: 0.0,
            model: 0,
            input: *length,
            output,
            session: *session,
            organization: 0,
            blocks: blocks.clone(),
        });
        *turns -= 1;
        if *turns == 0 {
            open.swap_remove(at);
        }
    }
    all
}

/// Makes a prompt so long with content that `id` names.
fn grow(blocks: &mut Vec<Block>, id: u64, length: u64) {
    let (mut hash, mut tokens) = blocks.last().map_or((0, 0), |block| (block.hash, u64::from(block.tokens)));
    while tokens < length {
        tokens = (tokens + BLOCK).min(length);
        hash = mix(hash, mix(id, tokens));
        blocks.push(Block { hash, tokens: u32::try_from(tokens).expect("a prompt's length") });
    }
}
