//! Keys that their makers gave a form of their own.

use super::classes::{self, ALNUM, DIGIT, WORD};

/// Shortest of them.
const SHORTEST: usize = 20;

/// What the rest of a key looks like.
#[derive(Debug, Clone, Copy)]
enum Rest {
    /// At least so many letters, digits, `_` and `-`, a digit among them.
    Atom(usize),
    /// At least so many letters, digits and `_`.
    Word(usize),
    /// Exactly so many capitals and digits.
    Capitals(usize),
}

use Rest::{Atom, Capitals, Word};

/// Beginnings, by their first two bytes, longer ones before shorter ones they begin with. With what follows at the least, all are 20 bytes
/// or more, which the search counts on.
static PREFIXES: &[(&str, Rest)] = &[
    ("ABIA", Capitals(16)),
    ("ACCA", Capitals(16)),
    ("AGE-SECRET-KEY-1", Atom(40)),
    ("AIza", Atom(30)),
    ("AIDA", Capitals(17)),
    ("AKIA", Capitals(16)),
    ("AROA", Capitals(17)),
    ("ASIA", Capitals(16)),
    ("ATATT3", Atom(20)),
    ("EAACEdEose0cBA", Word(20)),
    ("NRAK-", Atom(20)),
    ("PMAK-", Atom(20)),
    ("aivt_", Atom(16)),
    ("aivx_", Atom(16)),
    ("dckr_pat_", Atom(20)),
    ("doo_v1_", Word(32)),
    ("dop_v1_", Word(32)),
    ("dor_v1_", Word(32)),
    ("figd_", Atom(20)),
    ("gAAAAA", Atom(32)),
    ("gho_", Word(20)),
    ("ghp_", Word(20)),
    ("ghr_", Word(20)),
    ("ghs_", Word(20)),
    ("ghu_", Word(20)),
    ("github_pat_", Word(22)),
    ("gldt-", Atom(16)),
    ("glpat-", Atom(16)),
    ("glrt-", Atom(16)),
    ("glptt-", Atom(16)),
    ("gsk_", Word(24)),
    ("hf_", Word(20)),
    ("lin_api_", Word(20)),
    ("lsv2_", Word(24)),
    ("npm_", Word(24)),
    ("ntn_", Word(24)),
    ("nvapi-", Atom(24)),
    ("pk_live_", Word(16)),
    ("pplx-", Atom(24)),
    ("pypi-", Atom(24)),
    ("r8_", Word(24)),
    ("rk_live_", Word(16)),
    ("rk_test_", Word(16)),
    ("sbp_", Word(24)),
    ("secret_", Word(32)),
    ("shpat_", Word(24)),
    ("sk-", Atom(17)),
    ("sk_live_", Word(16)),
    ("sk_test_", Word(16)),
    ("sq0atp-", Atom(16)),
    ("sq0csp-", Atom(16)),
    ("tvly-", Atom(20)),
    ("whsec_", Word(20)),
    ("xai-", Atom(24)),
    ("xapp-", Atom(16)),
    ("xoxa-", Atom(15)),
    ("xoxb-", Atom(15)),
    ("xoxe-", Atom(15)),
    ("xoxp-", Atom(15)),
    ("xoxr-", Atom(15)),
    ("xoxs-", Atom(15)),
];

/// The first eight bytes of a beginning, and which bits of eight bytes they are.
#[derive(Clone, Copy)]
struct Head {
    bytes: u64,
    mask: u64,
}

/// Of each of [`PREFIXES`].
static HEADS: [Head; PREFIXES.len()] = heads();

const fn heads() -> [Head; PREFIXES.len()] {
    let mut heads = [Head { bytes: 0, mask: 0 }; PREFIXES.len()];
    let mut i = 0;
    while i < PREFIXES.len() {
        let prefix = PREFIXES[i].0.as_bytes();
        let mut n = 0;
        while n < prefix.len() && n < 8 {
            heads[i].bytes |= (prefix[n] as u64) << (8 * n);
            heads[i].mask |= 0xff << (8 * n);
            n += 1;
        }
        i += 1;
    }
    heads
}

/// Where those that begin with two bytes are in [`PREFIXES`], by [`slot`]. Pairs that share a slot would cost time
/// and nothing else.
static BY_PAIR: [(u8, u8); SLOTS] = by_pair();

const SLOTS: usize = 256;

const fn slot(first: u8, second: u8) -> usize {
    (first as usize * 8 + second as usize) % SLOTS
}

const fn by_pair() -> [(u8, u8); SLOTS] {
    let mut table = [(0, 0); SLOTS];
    let mut i = 0;
    while i < PREFIXES.len() {
        let prefix = PREFIXES[i].0.as_bytes();
        let slot = slot(prefix[0], prefix[1]);
        if table[slot].1 == 0 {
            table[slot].0 = i as u8;
        }
        table[slot].1 = i as u8 + 1;
        i += 1;
    }
    table
}

/// Bytes of a key among which its digit is looked for.
const NEAR: usize = 40;

/// What was found out about an atom while it was walked from its beginning: looked for once, however often it is
/// asked for. To look for it at every beginning would cost squared time.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// From the first of these on, the next digit is at the second.
    digit: (usize, usize),
    /// From the first of these on, letters, digits and `_` go to the second.
    word: (usize, usize),
}

impl Known {
    /// Whether a digit stands in `from..to`.
    #[inline]
    fn digit(&mut self, text: &[u8], from: usize, to: usize) -> bool {
        if from < self.digit.0 || self.digit.1 < from {
            let before = text[from..].iter().take_while(|byte| !classes::is(**byte, DIGIT)).count();
            self.digit = (from, from + before);
        }
        self.digit.1 < to
    }

    /// The end of the letters, digits and `_` from `from` on.
    #[inline]
    fn word(&mut self, text: &[u8], from: usize) -> usize {
        if from < self.word.0 || self.word.1 < from {
            self.word = (from, classes::run(text, from, WORD));
        }
        self.word.1
    }
}

/// The end of the well-known key that begins at `at`, where no letter or digit stands before it. `atom` is the end of
/// the letters, digits, `_` and `-` that it begins, and `known` is for one text.
#[inline]
pub(super) fn ends(text: &[u8], at: usize, atom: usize, known: &mut Known) -> Option<usize> {
    let text = &text[..atom];
    if atom - at < SHORTEST {
        return None;
    }
    let word = u64::from_le_bytes(*text[at..].first_chunk()?);
    let (from, to) = BY_PAIR[slot(text[at], text[at + 1])];
    let these = usize::from(from)..usize::from(to);
    for (head, (prefix, rest)) in HEADS[these.clone()].iter().zip(&PREFIXES[these]) {
        if word & head.mask == head.bytes
            && let Some(end) = follow(text, at, prefix, *rest, known)
        {
            return Some(end);
        }
    }
    None
}

/// The end of the key that begins at `at` with the head of `prefix`, if the whole of that and `rest` stand there.
#[inline]
fn follow(text: &[u8], at: usize, prefix: &str, rest: Rest, known: &mut Known) -> Option<usize> {
    // Shorter ones are their head.
    if prefix.len() > 8 && !text[at..].starts_with(prefix.as_bytes()) {
        return None;
    }
    let begin = at + prefix.len();
    let (end, least) = match rest {
        Atom(least) => (text.len(), least),
        Word(least) => (known.word(text, begin), least),
        Capitals(exactly) => {
            let end = begin + exactly;
            let rest = text.get(begin..end)?;
            let all = rest.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            if !all || classes::at(text, end, ALNUM) {
                return None;
            }
            (end, 0)
        }
    };
    // All capitals need no digit.
    let capitals = matches!(rest, Capitals(_));
    (end - begin >= least && (capitals || known.digit(text, begin, end.min(begin + NEAR)))).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::{PREFIXES, Rest};

    #[test]
    fn the_table_is_in_order_and_long_enough() {
        for pair in PREFIXES.windows(2) {
            assert!(pair[0].0.as_bytes()[..2] <= pair[1].0.as_bytes()[..2], "{pair:?}");
        }
        for (prefix, rest) in PREFIXES {
            let (Rest::Atom(rest) | Rest::Word(rest) | Rest::Capitals(rest)) = rest;
            assert!(prefix.len() >= 2, "{prefix}");
            assert!(prefix.len() + rest >= super::SHORTEST, "{prefix}");
        }
    }
}
