//! Numbers whose digits stand further apart than those of a number do: on lines of their own, in columns, between
//! commas and bars.
//!
//! Lists and tables of figures look the same, so more is asked of such a number than of one in groups that single
//! separators join ([`number`](super::number)): the groups its kind is printed in and nothing like them beside it, or a
//! word before it that says what it is. A card needs its check digit in any case.

use aivonx_protocol::privacy::Category;
use arrayvec::ArrayVec;

use super::{
    Wanted,
    apart::{apart, edges_on, is_beside_marker, lines_beside, mark},
    classes::{self, ALNUM},
    context,
    find::{Found, Hint},
    join::{ends_numeral, join},
    number::{digits, is_assigned},
};

/// Groups kept: a card has 19 at most, and one more stands behind it.
const KEPT: usize = 32;

/// Digits of the longest number.
const LONGEST: usize = 19;

/// Groups of digits, each near the one before.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// First digit and the byte behind the last, of the last [`KEPT`] groups.
    groups: [(usize, usize); KEPT],
    count: usize,
    /// How many digits each of the last 16 groups has, four bits for each; 0 for a group that does not exist.
    shape: u64,
    /// Digits of all groups.
    total: usize,
    /// How many of the last groups are single digits.
    singles: usize,
    /// Where the last card ended.
    card_end: usize,
}

impl Spread {
    /// Looks at the groups that begin with the digit at `first`. Returns where the next may begin.
    #[inline]
    pub(super) fn find(
        &mut self,
        text: &[u8],
        first: usize,
        wanted: Wanted,
        hint: Hint,
        out: &mut Vec<Found>,
    ) -> usize {
        let end = first + digits(text, first);
        match apart(text, end) {
            Some(next) => self.groups(Search { text, wanted, hint, out }, (first, end), next),
            None => end,
        }
    }

    fn groups(&mut self, mut search: Search<'_>, mut group: (usize, usize), mut next: usize) -> usize {
        (self.count, self.shape, self.total, self.singles, self.card_end) = (0, 0, 0, 0, 0);
        let text = search.text;
        loop {
            self.push(group, &mut search);
            group = (next, next + digits(text, next));
            match apart(text, group.1) {
                Some(more) => next = more,
                None => break,
            }
        }
        self.push(group, &mut search);
        // Nothing is behind it.
        self.push((group.1, group.1), &mut search);
        group.1
    }

    /// Adds a group, and looks at those that it shows to be complete.
    #[inline]
    fn push(&mut self, group: (usize, usize), search: &mut Search<'_>) {
        let length = group.1 - group.0;
        self.groups[self.count % KEPT] = group;
        self.count += 1;
        self.shape = self.shape << 4 | length.min(15) as u64;
        let singles = self.singles;
        self.singles = if length == 1 { singles + 1 } else { 0 };
        if self.count > 2 {
            match self.shape >> 4 & 0xfff {
                0x444 => self.fours(search),
                0x443 | 0x465 | 0x464 | 0x333 => self.printed(search),
                0x324 => self.ssn(search),
                0x334 => self.phone(search),
                _ => {}
            }
            if length != 1 && (13..=LONGEST).contains(&singles) {
                self.card(search, singles);
            }
            if self.total <= LONGEST {
                self.said(search, length == 0);
            }
        }
        self.total += length;
    }

    /// The `n`th group before the last.
    fn back(&self, n: usize) -> (usize, usize) {
        self.groups[(self.count - 1 - n) % KEPT]
    }

    /// Digits of the `n`th group before the last; 0 if there are fewer groups.
    fn length(&self, n: usize) -> u64 {
        self.shape >> (4 * n) & 15
    }

    /// The bytes that the `count` groups before the last take.
    fn range(&self, count: usize) -> (usize, usize) {
        (self.back(count).0, self.back(1).1)
    }

    /// The digits of the `count` groups before the last.
    fn number(&self, text: &[u8], count: usize) -> ArrayVec<u8, LONGEST> {
        let groups = (1..=count).rev().map(|n| self.back(n));
        groups.flat_map(|(start, end)| &text[start..end]).copied().take(LONGEST).collect()
    }

    /// What stands between the `count` groups before the last, if that is the same everywhere.
    fn mark(&self, text: &[u8], count: usize) -> Option<u8> {
        let mut marks = (1..count).map(|n| mark(&text[self.back(n + 1).1..self.back(n).0]));
        let first = marks.next()?;
        marks.all(|other| other == first).then_some(first)
    }

    /// Whether single separators join the `count` groups before the last, as those of a number: it was looked at.
    fn joined(&self, text: &[u8], count: usize) -> bool {
        (1..count).all(|n| join(text, self.back(n + 1).1).is_some_and(|(_, next)| next == self.back(n).0))
    }

    /// Four groups of four: one number, if no others of four digits are beside it but those of another card.
    fn fours(&mut self, search: &mut Search<'_>) {
        if self.length(4) != 4 || (self.length(5) == 4 && self.card_end != self.back(5).1) {
            return;
        }
        let start = self.range(4).0;
        let alone = self.length(0) != 4 || is_card_of_fours(search.text, self.back(0).0);
        if (alone && !self.is_tabled(search.text, 4)) || search.is_said(start) {
            self.card(search, 4);
        }
    }

    /// Whether the `count` groups of four digits before the last are cells of a line beside which another has as many that
    /// are of no card.
    fn is_tabled(&self, text: &[u8], count: usize) -> bool {
        let (start, end) = self.range(count);
        let mark = self.mark(text, count).unwrap_or(b'\n');
        if mark == b'\n' || self.joined(text, count) || !is_card(&self.number(text, count)) {
            return false;
        }
        let lines = lines_beside(text, start, end);
        lines.into_iter().flatten().any(|line| {
            let cells = line.split(|byte| !byte.is_ascii_digit()).filter(|cell| cell.len() == 4);
            let number: ArrayVec<u8, LONGEST> = cells.take(count).flatten().copied().collect();
            number.len() == 4 * count && !is_card(&number)
        })
    }

    /// The other groups that cards are printed in, and those of a large number: `4,111,111,111,111,111`.
    fn printed(&mut self, search: &mut Search<'_>) {
        let count = match self.shape >> 4 {
            shape if shape & 0xf_ffff == 0x4_4443 && self.length(6) != 4 => 5,
            shape if matches!(shape & 0xfff, 0x465 | 0x464) => 3,
            0x13_3333 => 6,
            0x3_3333 => 5,
            _ => return,
        };
        let tight = |n| self.back(n).0 - self.back(n + 1).1 == 1;
        let large = self.length(1) == 3 && self.length(2) == 3;
        let (start, end) = self.range(count);
        let text = search.text;
        let tabled = || self.mark(text, count).is_none_or(|mark| edges_on(text, start, end, mark));
        if large && (self.length(0) != 0 || !(1..count).all(tight) || tabled()) {
            return;
        }
        self.card(search, count);
    }

    /// The `count` groups before the last are a card, if its issuer and its check digit say so.
    fn card(&mut self, search: &mut Search<'_>, count: usize) {
        if search.wanted.has(Category::Card) && is_card(&self.number(search.text, count)) {
            let range = self.range(count);
            if search.add(range, Category::Card) {
                self.card_end = range.1;
            }
        }
    }

    fn ssn(&mut self, search: &mut Search<'_>) {
        if !search.wanted.has(Category::Ssn) {
            return;
        }
        let number = self.number(search.text, 3);
        let range = self.range(3);
        if is_assigned(&number[..3], &number[3..5], &number[5..])
            && (search.is_said_ssn(range.0) || self.alone(search.text, 3, b","))
        {
            search.add(range, Category::Ssn);
        }
    }

    /// Three, three and four digits, with or without a 1 before.
    fn phone(&mut self, search: &mut Search<'_>) {
        let text = search.text;
        let count = if self.length(4) == 1 && text[self.back(4).0] == b'1' { 4 } else { 3 };
        if !search.wanted.has(Category::Phone) || !matches!(text[self.back(3).0], b'2'..=b'9') {
            return;
        }
        let range = self.range(count);
        if search.is_said_phone(range.0) || self.alone(text, count, b", \n") {
            search.add(range, Category::Phone);
        }
    }

    /// Whether the `count` groups before the last are all there is, and one mark joins them that does not go on
    /// around them, as that of a table would. Where it is one of `but`, lists of figures are as likely; where it is
    /// that of a number, they were looked at.
    fn alone(&self, text: &[u8], count: usize, but: &[u8]) -> bool {
        let (start, end) = self.range(count);
        self.length(0) == 0
            && self.count == count + 1
            && !self.joined(text, count)
            && self
                .mark(text, count)
                .is_some_and(|mark| !but.contains(&mark) && !edges_on(text, start, end, mark))
    }

    /// All groups before the last, however they are grouped, if a word says what they are.
    fn said(&mut self, search: &mut Search<'_>, complete: bool) {
        let count = self.count - 1;
        let text = search.text;
        let start = self.range(count).0;
        match self.total {
            13..=LONGEST
                if search.wanted.has(Category::Card)
                    && is_card(&self.number(text, count))
                    && search.is_said(start) =>
            {
                self.card(search, count);
            }
            9 if search.wanted.has(Category::Ssn) => {
                let number = self.number(text, count);
                if is_assigned(&number[..3], &number[3..5], &number[5..]) && search.is_said_ssn(start) {
                    search.add(self.range(count), Category::Ssn);
                }
            }
            _ => {}
        }
        if complete && search.wanted.has(Category::Phone) && (8..=15).contains(&self.total) {
            let plus = start > 0 && text[start - 1] == b'+';
            let lead = text[start];
            let sized = match self.total {
                10 => lead >= b'2' || plus,
                11 => matches!(lead, b'0' | b'1') || plus,
                _ => lead == b'0' || plus,
            };
            if !sized {
                return;
            }
            let Some(mark) = self.mark(text, count) else { return };
            let clear =
                plus && self.total >= 10 && count > 2 && !b",\n".contains(&mark) && !self.joined(text, count);
            if clear || search.is_said_phone(start) {
                search.add(self.range(count), Category::Phone);
            }
        }
    }
}

/// What is looked at, and for what.
struct Search<'a> {
    text: &'a [u8],
    wanted: Wanted,
    hint: Hint,
    out: &'a mut Vec<Found>,
}

impl Search<'_> {
    fn is_said(&self, at: usize) -> bool {
        self.hint.card || context::of_card(self.text, at)
    }

    fn is_said_ssn(&self, at: usize) -> bool {
        self.hint.ssn || context::of_ssn(self.text, at)
    }

    fn is_said_phone(&self, at: usize) -> bool {
        self.hint.phone || context::of_phone(self.text, at)
    }

    /// Adds a finding, unless it is of a longer word or what is left beside another finding.
    fn add(&mut self, (start, end): (usize, usize), category: Category) -> bool {
        let text = self.text;
        let glued = classes::before(text, start, ALNUM) && !context::labels(text, start);
        let goes_on = classes::at(text, end, ALNUM) && !ends_numeral(text, end);
        if glued || goes_on || is_beside_marker(text, start, end) {
            return false;
        }
        let sign = usize::from(category == Category::Phone && matches!(text[..start], [.., b'+' | b'(']));
        self.out.push(Found::new(start - sign, end, category));
        true
    }
}

/// Whether four groups of four digits begin at `at` that are a card.
fn is_card_of_fours(text: &[u8], mut at: usize) -> bool {
    let mut number = ArrayVec::<u8, 16>::new();
    loop {
        if digits(text, at) != 4 {
            return false;
        }
        number.extend(text[at..at + 4].iter().copied());
        if number.is_full() {
            return is_card(&number);
        }
        match apart(text, at + 4) {
            Some(next) => at = next,
            None => return false,
        }
    }
}

/// Whether cards of so many digits begin so (ISO/IEC 7812-1, as issued), and the check digit is right.
pub(super) fn is_card(number: &[u8]) -> bool {
    let Some([a, b, c, d]) = number.first_chunk().map(|head| head.map(|digit| u32::from(digit - b'0')))
    else {
        return false;
    };
    let head = ((a * 10 + b) * 10 + c) * 10 + d;
    let issued = match number.len() {
        13 => a == 4,
        14 => matches!(head / 100, 30 | 36 | 38 | 39),
        15 => matches!(head / 100, 34 | 37),
        16 => matches!(head, 2221..=2720 | 3528..=3589 | 4000..=6999),
        17 | 18 => matches!(a, 5 | 6),
        LONGEST => matches!(a, 4..=6),
        _ => false,
    };
    issued && luhn(number)
}

/// Whether the digits have a right check digit (ISO/IEC 7812-1, annex B).
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = (number.iter().rev().enumerate())
        .map(|(n, digit)| {
            let digit = u32::from(digit - b'0') << (n % 2);
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}
