//! Keys that their makers gave a form of their own.

use super::classes::{self, ALNUM, DIGIT, WORD};

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

/// Beginnings, longer ones before shorter ones they begin with. With what follows at the least, all are 20 bytes
/// or more, which the search counts on.
static PREFIXES: &[(&str, Rest)] = &[
    ("AGE-SECRET-KEY-1", Atom(40)),
    ("AIza", Atom(30)),
    ("AKIA", Capitals(16)),
    ("ASIA", Capitals(16)),
    ("AROA", Capitals(17)),
    ("AIDA", Capitals(17)),
    ("ABIA", Capitals(16)),
    ("ACCA", Capitals(16)),
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
    ("ntn_", Word(24)),
    ("npm_", Word(24)),
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

/// Where those that begin with a byte are in [`PREFIXES`].
static BY_FIRST: [(u8, u8); 256] = by_first();

const fn by_first() -> [(u8, u8); 256] {
    let mut table = [(0, 0); 256];
    let mut i = 0;
    while i < PREFIXES.len() {
        let first = PREFIXES[i].0.as_bytes()[0] as usize;
        if table[first].1 == 0 {
            table[first].0 = i as u8;
        }
        table[first].1 = i as u8 + 1;
        i += 1;
    }
    table
}

/// Bytes of a key among which its digit is looked for.
const NEAR: usize = 40;

/// The next digit of a text that is walked from its beginning: looked for once however often it is asked for.
#[derive(Debug, Default)]
pub(super) struct NextDigit {
    /// Asked for from here on, it is `at`.
    from: usize,
    at: usize,
}

impl NextDigit {
    /// Whether a digit stands in `from..to`, where nothing before `from` is asked for again.
    #[inline]
    fn within(&mut self, text: &[u8], from: usize, to: usize) -> bool {
        if from < self.from || self.at < from {
            self.from = from;
            self.at = from + text[from..].iter().take_while(|byte| !classes::is(**byte, DIGIT)).count();
        }
        self.at < to
    }
}

/// The end of the well-known key that begins at `at`, where no letter or digit stands before it. `atom` is the end of the
/// letters, digits, `_` and `-` that it begins: to look for it here, at every beginning, would cost squared time.
/// So would looking for its digit: `digit` is for one text.
#[inline]
pub(super) fn ends(text: &[u8], at: usize, atom: usize, digit: &mut NextDigit) -> Option<usize> {
    let (from, to) = BY_FIRST[text[at] as usize];
    let second = *text[at..atom].get(1)?;
    PREFIXES[from as usize..to as usize].iter().find_map(|(prefix, rest)| {
        // What mostly differs is looked at before the rest.
        if prefix.as_bytes()[1] != second || !text[at..atom].starts_with(prefix.as_bytes()) {
            return None;
        }
        let begin = at + prefix.len();
        let (end, least) = match *rest {
            Atom(least) => (atom, least),
            Word(least) => (classes::run(&text[..atom.min(begin + NEAR)], begin, WORD), least),
            Capitals(exactly) => {
                let end = begin + exactly;
                let rest = text.get(begin..end)?;
                let all = rest.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
                return (all && !classes::at(text, end, ALNUM)).then_some(end);
            }
        };
        if end - begin < least || !digit.within(&text[..atom], begin, end.min(begin + NEAR)) {
            return None;
        }
        // It is one: what is passed now is not passed again.
        Some(if matches!(rest, Word(_)) { classes::run(&text[..atom], begin, WORD) } else { end })
    })
}

#[cfg(test)]
mod tests {
    use super::{PREFIXES, Rest};

    #[test]
    fn the_table_is_in_order_and_long_enough() {
        for pair in PREFIXES.windows(2) {
            assert!(pair[0].0.as_bytes()[0] <= pair[1].0.as_bytes()[0], "{pair:?}");
        }
        for (prefix, rest) in PREFIXES {
            let (Rest::Atom(rest) | Rest::Word(rest) | Rest::Capitals(rest)) = rest;
            assert!(prefix.len() >= 2, "{prefix}");
            assert!(prefix.len() + rest >= super::super::key::SHORTEST, "{prefix}");
        }
    }
}
