//! Where prompts' beginnings are cached. A prompt is a chain of blocks, each named by a hash over itself and all before
//! it; the index knows for each block and node how much was sent to the node since.

use std::{hash::BuildHasher as _, mem};

use foldhash::HashMap;

use crate::NodeId;

/// The end of a piece of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Hash over the prompt from its beginning to here.
    pub hash: u64,
    /// Tokens from its beginning to here, about.
    pub tokens: u32,
}

/// Cuts a prompt into blocks.
#[derive(Debug)]
pub struct Chain<'a> {
    blocks: &'a mut Vec<Block>,
    hash: u64,
    /// Bytes that fill no piece yet.
    rest: Vec<u8>,
    bytes: usize,
    tokens_per_byte: f64,
}

/// Bytes of a block, about 500 tokens.
const PIECE: usize = 2048;
/// The same in the first [`PIECE`] bytes: short conversations have beginnings, too.
const FIRST: usize = 256;
/// Most blocks of one prompt: what comes after some 500,000 tokens is not told apart.
const MOST: usize = 1024;
/// Entries in each half of the index: as many as 2^20 places of 25 bytes may hold, so that both take 52 MiB at most.
const HALF: usize = 900_000;

impl<'a> Chain<'a> {
    /// Begins a prompt; prompts with different `seed` have nothing in common. `blocks` is where they go.
    pub fn new(seed: u64, tokens_per_byte: f64, blocks: &'a mut Vec<Block>) -> Self {
        blocks.clear();
        Self { blocks, hash: seed, rest: Vec::new(), bytes: 0, tokens_per_byte }
    }

    /// The next bytes of the prompt.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.blocks.len() < MOST {
            let piece = if self.bytes < PIECE { FIRST } else { PIECE };
            if self.rest.is_empty() && bytes.len() >= piece {
                let (whole, more) = bytes.split_at(piece);
                self.block(whole);
                bytes = more;
                continue;
            }
            let (part, more) = bytes.split_at(bytes.len().min(piece - self.rest.len()));
            self.rest.extend_from_slice(part);
            bytes = more;
            if self.rest.len() == piece {
                self.end();
            }
        }
    }

    /// The prompt is over, or comes to a border.
    pub fn end(&mut self) {
        if !self.rest.is_empty() {
            let mut rest = mem::take(&mut self.rest);
            self.block(&rest);
            rest.clear();
            self.rest = rest;
        }
    }

    fn block(&mut self, piece: &[u8]) {
        self.hash = foldhash::quality::FixedState::with_seed(self.hash).hash_one(piece);
        self.bytes += piece.len();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the body")]
        #[expect(clippy::cast_precision_loss, reason = "bounded by the body")]
        let tokens = (self.bytes as f64 * self.tokens_per_byte) as u32;
        self.blocks.push(Block { hash: self.hash, tokens });
    }
}

/// How much of a prompt a node was sent before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Known {
    /// Blocks in a row from the beginning.
    pub(crate) blocks: u32,
    /// Tokens of them.
    pub(crate) tokens: u32,
    /// Tokens that the node was sent since the oldest of them was.
    pub(crate) ago: u64,
    /// Tokens in a row from the beginning that are within the node's reach.
    pub(crate) cached: u32,
}

/// By block and node: how many tokens the node had been sent when the block was last sent to it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    young: HashMap<(u64, NodeId), u64>,
    old: HashMap<(u64, NodeId), u64>,
}

impl Index {
    /// Looks for the beginning of a prompt: `known` gets, by the number of each node, how much of it the node was sent
    /// before. `sent` says how many tokens a node was sent in all, and how many it keeps.
    pub(crate) fn find(&self, chain: &[Block], sent: impl Fn(usize) -> (u64, u64), known: &mut [Known]) {
        known.fill(Known::default());
        for (nth, block) in (0_u32..).zip(chain) {
            let mut found = false;
            for (at, known) in known.iter_mut().enumerate().filter(|(_, known)| known.blocks == nth) {
                let Ok(node) = u16::try_from(at) else { break };
                let key = (block.hash, NodeId(node));
                let Some(mark) = self.young.get(&key).or_else(|| self.old.get(&key)) else { continue };
                found = true;
                let (total, reach) = sent(at);
                let ago = total.saturating_sub(*mark);
                if ago <= reach && known.cached == known.tokens {
                    known.cached = block.tokens;
                }
                *known = Known { blocks: nth + 1, tokens: block.tokens, ago: known.ago.max(ago), ..*known };
            }
            if !found {
                return;
            }
        }
    }

    /// How many tokens `node` had been sent when this block was last sent to it.
    pub(crate) fn mark(&self, block: &Block, node: NodeId) -> Option<u64> {
        let key = (block.hash, node);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// The prompt is sent to `node`, which was sent `at` tokens before it.
    pub(crate) fn insert(&mut self, chain: &[Block], node: NodeId, at: u64) {
        for block in chain {
            if self.young.len() >= HALF {
                self.old = mem::take(&mut self.young);
            }
            if self.young.is_empty() {
                // At once: to move hundreds of thousands of entries to a larger place would hold everybody up.
                self.young.reserve(HALF);
            }
            self.young.insert((block.hash, node), at);
        }
    }
}
