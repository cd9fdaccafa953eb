//! Findings in plain text.
//!
//! One pass, eight bytes at a time: a word without `@`, without digits and not wholly of characters of a key, as
//! nearly all words of prose are, costs a handful of operations. What the others point at is looked at by the
//! detectors, each of which begins where it last stopped. A text that reads otherwise than it is written is passed a
//! second time as it is read.

use aivonx_protocol::privacy::Category;

use super::{
    Wanted, alphanumeric, assigned, context, dashed, email, encoded, iban, key, number, numerals, passport,
    pem,
    secret::{self, Kind, Written},
    spread::Spread,
    view::{self, Places},
};

/// One finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// First byte.
    pub start: usize,
    /// Byte behind the last.
    pub end: usize,
    /// What it is.
    pub category: Category,
}

impl Found {
    pub(super) fn new(start: usize, end: usize, category: Category) -> Self {
        Self { start, end, category }
    }
}

/// What is known of a text from where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Its key speaks of a telephone.
    pub phone: bool,
    /// Its key speaks of a social security number.
    pub ssn: bool,
    /// Its key speaks of a payment card.
    pub card: bool,
    /// Its key is that of a secret.
    pub secret: bool,
    /// Its key is that of a secret that may be made of words.
    pub phrase: bool,
    /// What stands around it speaks of a secret.
    pub beside: bool,
    /// All of it is assigned to a name of a secret, such as the value of a member of JSON is to the member's.
    pub assigned: Option<Kind>,
    /// Whether mixed strings, and what is assigned to a name of a secret, are looked for.
    pub mixed: bool,
    /// Whether hexadecimal and long alphanumeric strings are looked for after a word that says that they are secret.
    pub named: bool,
    /// How many times over base64 in it is looked into.
    pub encoded: u8,
}

impl Hint {
    /// Only what its own form gives away is looked for: ids and data in base64 are random anyway.
    pub const FORMS: Self = Self {
        phone: false,
        ssn: false,
        card: false,
        secret: false,
        phrase: false,
        beside: false,
        assigned: None,
        mixed: false,
        named: false,
        encoded: 2,
    };
}

impl Default for Hint {
    fn default() -> Self {
        Self { mixed: true, named: true, ..Self::FORMS }
    }
}

const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES * 0x80;
const LOW: u64 = ONES * 0x7f;

/// Bytes of the word that are digits, and those that are one of the six signs behind them in ASCII, of which three
/// assign, as their highest bits.
#[inline(always)]
fn digits_and_signs(word: u64) -> (u64, u64) {
    let x = word ^ (ONES * b'0' as u64);
    let below = |limit: u64| !(((x & LOW) + ONES * (0x80 - limit)) | x) & HIGH;
    let digits = below(10);
    (digits, below(16) ^ digits)
}

/// Bytes of the word that are `@`.
#[inline(always)]
fn ats(word: u64) -> u64 {
    let x = word ^ (ONES * b'@' as u64);
    !(((x & LOW) + LOW) | x) & HIGH
}

/// Whether every byte may be of a key: letters, digits, and some punctuation more than there is in keys.
#[inline(always)]
fn runs(word: u64) -> bool {
    let letters = ((word | (ONES * 0x20)) & LOW) + ONES * (0x80 - b'a' as u64);
    let from_plus = (word & LOW) + ONES * (0x80 - b'+' as u64);
    let past_equals = (word & LOW) + ONES * (0x80 - b'>' as u64);
    (letters | (from_plus & !past_equals)) & !word & HIGH == HIGH
}

/// Finds what is `wanted` in `text`, as it is written and as it is read, and appends it to `out`: in order, no two
/// overlapping. What overlaps is one finding, of the category of the first.
pub fn find(text: &[u8], wanted: Wanted, hint: Hint, out: &mut Vec<Found>) {
    let first = out.len();
    scan(text, wanted, hint, out);
    if let Some(read) = view::read(text) {
        let mut found = Vec::new();
        scan(&read, wanted, hint, &mut found);
        settle(&mut found, 0);
        let mut places = Places::new(text);
        out.extend(found.iter().map(|found| {
            let range = places.range(found.start..found.end);
            Found::new(range.start, range.end, found.category)
        }));
    }
    settle(out, first);
}

/// Finds what is in a text as it stands, in no order.
fn scan(text: &[u8], wanted: Wanted, hint: Hint, out: &mut Vec<Found>) {
    let mut search = Search {
        text,
        wanted,
        hint,
        emails: wanted.has(Category::Email),
        numbers: wanted.any(&[Category::Phone, Category::Ssn, Category::Card]),
        keys: wanted.has(Category::Key),
        numbers_from: 0,
        spread_from: 0,
        keys_from: 0,
        assigned_from: 0,
        assigned: Vec::new(),
        encoded_from: 0,
        window: number::Window::default(),
        spread: Spread::default(),
        out,
    };
    let (words, tail) = text.as_chunks::<8>();
    for (n, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let ((digits, signs), ats, run) = (digits_and_signs(word), ats(word), runs(word));
        if digits | signs | ats != 0 || run {
            search.word(n * 8, digits, signs, ats, run);
        }
    }
    let mut last = [b' '; 8];
    last[..tail.len()].copy_from_slice(tail);
    let word = u64::from_le_bytes(last);
    // A run that is long enough fills a whole word before the tail.
    let (digits, signs) = digits_and_signs(word);
    search.word(words.len() * 8, digits, signs, ats(word), false);
    if wanted.has(Category::Ssn) && search.numbers_from + search.spread_from > 0 {
        dashed::find(text, search.out);
    }
    if wanted.has(Category::Passport) {
        passport::find(text, search.out);
    }
    if wanted.has(Category::Alphanumeric) {
        alphanumeric::find(text, search.out);
    }
    if wanted.has(Category::Iban) {
        iban::find(text, search.out);
    }
    let Search { keys, mut assigned, .. } = search;
    if !keys {
        return;
    }
    out.append(&mut assigned);
    if let Some(secret) = hint.assigned.and_then(|kind| secret::within(text, kind, Written::Quoted)) {
        out.push(Found::new(secret.start, secret.end, Category::Key));
    }
    if hint.mixed {
        assigned::in_sentences(text, out);
    }
    if text.len() >= 40 {
        pem::find(text, out);
    }
}

struct Search<'a> {
    text: &'a [u8],
    wanted: Wanted,
    hint: Hint,
    emails: bool,
    numbers: bool,
    keys: bool,
    /// Numbers before are done.
    numbers_from: usize,
    /// Numbers that stand apart before are done.
    spread_from: usize,
    /// Runs before are done.
    keys_from: usize,
    /// What is assigned before is done.
    assigned_from: usize,
    /// What is assigned, behind all else: an address of mail is one, whatever its name is assigned to.
    assigned: Vec<Found>,
    /// Base64 before is done.
    encoded_from: usize,
    /// For the numbers.
    window: number::Window,
    spread: Spread,
    out: &'a mut Vec<Found>,
}

impl Search<'_> {
    /// A word in which something was seen.
    fn word(&mut self, base: usize, mut digits: u64, mut signs: u64, mut ats: u64, run: bool) {
        if run && self.keys && base >= self.keys_from {
            self.keys_from = key::run(self.text, base, self.keys_from, self.hint, self.out);
        }
        if run && self.hint.encoded > 0 && base >= self.encoded_from {
            self.encoded_from = self.encoded(base);
        }
        while signs != 0 && self.keys && self.hint.mixed {
            let at = base + (signs.trailing_zeros() / 8) as usize;
            if at >= self.assigned_from
                && let Some(found) = assigned::behind_sign(self.text, at)
            {
                self.assigned_from = found.end;
                self.assigned.push(Found::new(found.start, found.end, Category::Key));
            }
            signs &= signs - 1;
        }
        while ats != 0 && self.emails {
            let at = base + (ats.trailing_zeros() / 8) as usize;
            if let Some((start, end)) = email::around(self.text, at) {
                self.out.push(Found::new(start, end, Category::Email));
            }
            ats &= ats - 1;
        }
        if self.numbers && self.numbers_from.min(self.spread_from) < base + 8 {
            while digits != 0 {
                let at = base + (digits.trailing_zeros() / 8) as usize;
                let Self { text, wanted, hint, window, out, .. } = self;
                if at >= self.numbers_from {
                    self.numbers_from = number::cluster(text, at, *wanted, *hint, window, out);
                    if matches!(text.get(self.numbers_from), Some(b'e' | b'E')) {
                        self.scientific(self.numbers_from);
                    }
                }
                let Self { text, wanted, hint, spread, out, .. } = self;
                if at >= self.spread_from {
                    self.spread_from = spread.find(text, at, *wanted, *hint, out);
                }
                digits &= digits - 1;
            }
        }
    }
}

impl Search<'_> {
    /// The number in scientific notation whose `e` is at `at`, by its worth.
    fn scientific(&mut self, at: usize) {
        let Self { text, wanted, hint, .. } = *self;
        let Some((range, digits)) = numerals::scientific(text, at) else { return };
        if self.out.last().is_some_and(|found| found.end > range.start) {
            return;
        }
        let said = Hint {
            phone: hint.phone || context::of_phone(text, range.start),
            ssn: hint.ssn || context::of_ssn(text, range.start),
            card: hint.card,
            ..Hint::FORMS
        };
        let mut found = Vec::new();
        find(&digits, wanted, said, &mut found);
        self.out.extend(found.first().map(|found| Found::new(range.start, range.end, found.category)));
    }

    /// What may be base64 around `inside`: with anything in it, it is a finding as a whole. Returns where the next may
    /// begin.
    fn encoded(&mut self, inside: usize) -> usize {
        let Self { text, wanted, .. } = *self;
        let range = encoded::around(text, inside, self.encoded_from);
        if range.len() >= encoded::SHORTEST {
            let hint = Hint { encoded: self.hint.encoded - 1, ..Hint::default() };
            let mut found = Vec::new();
            encoded::each_readable(&text[range.clone()], |row| {
                if found.is_empty() {
                    find(row, wanted, hint, &mut found);
                }
            });
            if let Some(Found { category, .. }) = found.first() {
                let padding = text[range.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
                self.out.push(Found::new(range.start, range.end + padding, *category));
            }
        }
        range.end
    }
}

/// Sorts what was appended after `first`, and merges what overlaps.
fn settle(out: &mut Vec<Found>, first: usize) {
    if out.len() < first + 2 {
        return;
    }
    let found = &mut out[first..];
    if !found.is_sorted_by_key(|f| f.start) {
        found.sort_unstable_by_key(|f| (f.start, usize::MAX - f.end));
    }
    let mut kept = first;
    for next in first + 1..out.len() {
        let found = out[next];
        if found.start < out[kept].end {
            out[kept].end = out[kept].end.max(found.end);
        } else {
            kept += 1;
            out[kept] = found;
        }
    }
    out.truncate(kept + 1);
}
