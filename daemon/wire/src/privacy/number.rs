//! Numbers that people write in groups: payment cards, social security numbers, telephone numbers.
//!
//! Digits are read as clusters of groups joined by single separators. A number counts only if what stands around it
//! does not make it part of a longer one: `1.555-123-4567` does not.

use aivonx_protocol::privacy::Category;

use super::{
    Wanted,
    classes::{self, ALNUM, DIGIT},
    context, figures,
    find::{Found, Hint},
    join::{Join, ends_at_word, ends_numeral, join, left, right, stands_alone},
    phone, spread,
};

/// Digits without anything between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// First digit.
    pub(super) start: usize,
    /// Behind the last.
    pub(super) end: usize,
    /// What joins it to what is before.
    pub(super) before: Join,
    /// What joins it to what comes behind.
    pub(super) after: Join,
    /// The sum of its digits for the check digit, if the last of them counts once, and if it counts double.
    sums: [u32; 2],
}

impl Group {
    const NONE: Self = Self { start: 0, end: 0, before: Join::Free, after: Join::Free, sums: [0; 2] };

    /// Reads the digits from `start` on.
    fn read(text: &[u8], start: usize, before: Join) -> Self {
        const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
        let mut end = start;
        let mut sums = [0u32; 2];
        while let Some(digit) = text.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            // What was last is the last but one now. Longer ones are no card, even if their sum fits.
            sums = [sums[1].wrapping_add(u32::from(digit)), sums[0].wrapping_add(DOUBLED[digit as usize])];
            end += 1;
        }
        Self { start, end, before, after: Join::Free, sums }
    }

    /// Its number of digits.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// Digits of the longest card.
pub(super) const LONGEST: usize = 19;

/// Groups looked at together: a card has five at most, a telephone number seven.
const WINDOW: usize = 8;

/// Groups kept, so that they need not be moved for each that is done.
const KEPT: usize = 2 * WINDOW;

/// The groups ahead in the cluster at hand.
#[derive(Debug)]
pub(super) struct Window {
    kept: [Group; KEPT],
    /// Where those ahead are among the kept.
    first: usize,
    last: usize,
    /// Where the next group begins and what joins it, if there is one.
    next: Option<(usize, Join)>,
}

impl Default for Window {
    fn default() -> Self {
        Self { kept: [Group::NONE; KEPT], first: 0, last: 0, next: None }
    }
}

impl Window {
    /// The groups ahead.
    fn groups(&self) -> &[Group] {
        &self.kept[self.first..self.last]
    }

    /// Reads on until it is full, or the cluster ends.
    fn fill(&mut self, text: &[u8]) {
        while self.last - self.first < WINDOW
            && let Some((start, before)) = self.next
        {
            if self.last == KEPT {
                self.kept.copy_within(self.first.., 0);
                self.last -= self.first;
                self.first = 0;
            }
            let mut group = Group::read(text, start, before);
            self.next = join(text, group.end).map(|(join, next)| (next, join));
            group.after = self.next.map_or_else(|| right(text, group.end), |(_, join)| join);
            self.kept[self.last] = group;
            self.last += 1;
        }
    }
}

/// Looks at the cluster that begins with the digit at `first`. Returns where the next may begin. What is in `window`
/// is of no account: it is given to be used again.
pub(super) fn cluster(
    text: &[u8],
    first: usize,
    wanted: Wanted,
    hint: Hint,
    window: &mut Window,
    out: &mut Vec<Found>,
) -> usize {
    if classes::before(text, first, ALNUM) && !context::labels(text, first) {
        return classes::run(text, first, DIGIT);
    }
    let sign = match text[..first] {
        [.., b'+'] | [.., b'('] => first - 1,
        _ => first,
    };
    let mut next = (first, left(text, sign));
    loop {
        match skim(text, next, wanted) {
            Ok(worthy) => next = worthy,
            Err(end) => return end,
        }
        (window.first, window.last, window.next) = (0, 0, Some(next));
        window.fill(text);
        let mut end = first;
        while let Some(group) = window.groups().first() {
            end = end.max(group.end);
            let second = window.groups().get(1).map(|group| group.start).or(window.next.map(|next| next.0));
            let mut taken = 1;
            if may_begin(text, group, second, wanted) {
                window.fill(text);
                let done = out.last().map_or(0, |found| found.end);
                if let Some((found, count)) = best(text, window.groups(), wanted, done, hint) {
                    out.push(found);
                    end = end.max(found.end);
                    taken = count;
                }
            }
            window.first += taken;
        }
        match window.next {
            Some(more) => next = more,
            None => return end,
        }
    }
}

/// The first group from `next` on with which anything may begin, or the end of the cluster: most numbers are looked
/// at no further than this.
fn skim(text: &[u8], mut next: (usize, Join), wanted: Wanted) -> Result<(usize, Join), usize> {
    loop {
        let (start, before) = next;
        let end = start + digits(text, start);
        let behind = join(text, end);
        let group = Group { start, end, before, ..Group::NONE };
        if may_begin(text, &group, behind.map(|(_, second)| second), wanted) {
            return Ok(next);
        }
        let (join, second) = behind.ok_or(end)?;
        next = (second, join);
    }
}

/// How many digits begin at `at`.
#[inline]
pub(super) fn digits(text: &[u8], at: usize) -> usize {
    text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether anything may begin with `first`, behind which a group begins at `second`: where it may not, [`best`] finds
/// nothing.
#[inline(always)]
fn may_begin(text: &[u8], first: &Group, second: Option<usize>, wanted: Wanted) -> bool {
    let length = first.len();
    let card = length >= 4
        && matches!(text[first.start], b'2'..=b'6' | b'0')
        && (text[first.start] != b'0' || length > 13)
        && wanted.has(Category::Card);
    let loose = first.before.is_loose();
    (card && (loose || (first.before.divides() && (length == 4 || length >= 13))))
        || ((loose || matches!(first.before, Join::Underscore | Join::Slash))
            && matches!(length, 3 | 9)
            && wanted.has(Category::Ssn)
            && may_begin_ssn(text, first, second))
        || (loose && wanted.has(Category::Phone) && phone::may_begin(text, first, second))
}

fn may_begin_ssn(text: &[u8], first: &Group, second: Option<usize>) -> bool {
    first.len() == 9 || second.is_some_and(|second| digits(text, second) == 2)
}

/// Whether the groups from the one at `start` on, as many as are looked at together, have `count` digits.
pub(super) fn reach(text: &[u8], mut start: usize, count: usize) -> bool {
    let mut seen = 0;
    for _ in 0..WINDOW {
        let length = digits(text, start);
        seen += length;
        match join(text, start + length) {
            _ if seen >= count => return true,
            Some((_, next)) => start = next,
            None => return false,
        }
    }
    false
}

/// What begins with the first of `groups`, and how many groups it takes. What is before `done` was found to be something.
fn best(text: &[u8], groups: &[Group], wanted: Wanted, done: usize, hint: Hint) -> Option<(Found, usize)> {
    if wanted.has(Category::Card)
        && let Some(taken) = card(text, groups, done, hint)
    {
        return Some((Found::new(groups[0].start, groups[taken - 1].end, Category::Card), taken));
    }
    if wanted.has(Category::Ssn)
        && let Some(taken) = ssn(text, groups, hint)
    {
        return Some((Found::new(groups[0].start, groups[taken - 1].end, Category::Ssn), taken));
    }
    if wanted.has(Category::Phone) {
        return phone::find(text, groups, hint);
    }
    None
}

/// A card's number: 13 to 19 digits that begin with 2 to 6 (what banks and credit card companies issue), in groups
/// as on cards or in one, with a right check digit. The longest there is.
fn card(text: &[u8], groups: &[Group], done: usize, hint: Hint) -> Option<usize> {
    let first = &groups[0];
    // A program may write zeros before it, which change neither its worth nor its check digit.
    let zeros = text[first.start..first.end].iter().take_while(|digit| **digit == b'0').count();
    let length = first.len() - zeros;
    if length < 4 || !matches!(text[first.start + zeros], b'2'..=b'6') {
        return None;
    }
    let whole = length >= 13;
    let begins = first.before.is_loose() || (first.before.divides() && (whole || length == 4));
    if !begins {
        return None;
    }
    if whole && length <= LONGEST && ends_alone(text, first, zeros) && luhn(&groups[..1]) {
        return Some(1);
    }
    if zeros > 0 {
        return None;
    }
    // Four digits and more that begin so are years.
    if text[first.start..].starts_with(b"20") {
        return None;
    }
    let mut digits = 0;
    let mut longest = None;
    for (n, group) in groups.iter().enumerate() {
        let joined = match group.before {
            Join::Space | Join::Dash => true,
            Join::Dot | Join::Slash => first.len() == 4,
            _ => false,
        };
        if n > 0 && (group.before != groups[1].before || !joined) {
            break;
        }
        digits += group.len();
        if digits > LONGEST {
            break;
        }
        let ends = group.after.is_loose() || (group.before == Join::Dash && ends_numeral(text, group.end));
        if digits >= 13
            && ((first.before.is_loose() && ends) || figures::is_beside_one(text, groups, n + 1))
            && luhn(&groups[..=n])
            && (group.before != Join::Space || !figures::is_of_row(text, groups, n + 1, done, hint))
        {
            longest = Some(n + 1);
        }
        if group.len() < 3 {
            break;
        }
    }
    longest
}

/// Whether a card that is written in one, behind so many zeros, may end with this group: also where it is a number of
/// a program, such as `4111.0` or `4111e0`. Where it has a fraction that is worth something, cards must be issued so.
fn ends_alone(text: &[u8], group: &Group, zeros: usize) -> bool {
    if group.after.is_loose() || group.after.divides() {
        return true;
    }
    let is_card = || spread::is_card(&text[group.start + zeros..group.end]);
    if ends_at_word(text, group.end) && is_card() {
        return true;
    }
    let fraction =
        || text[group.end + 1..].iter().find(|byte| **byte != b'0').is_some_and(u8::is_ascii_digit);
    ends_numeral(text, group.end) && (group.after != Join::Dot || !fraction() || is_card())
}

/// Whether the digits have a right check digit (ISO/IEC 7812-1, annex B).
fn luhn(groups: &[Group]) -> bool {
    let mut behind = 0;
    let mut sum = 0;
    for group in groups.iter().rev() {
        sum += group.sums[behind % 2];
        behind += group.len();
    }
    sum.is_multiple_of(10)
}

/// A social security number: three, two and four digits, or nine where something says what they are.
fn ssn(text: &[u8], groups: &[Group], hint: Hint) -> Option<usize> {
    let first = &groups[0];
    let loose = |join: Join| join.is_loose() || join == Join::Underscore;
    let said = || hint.ssn || context::of_ssn(text, first.start);
    if let [a, b, c, ..] = groups
        && (a.len(), b.len(), c.len()) == (3, 2, 4)
    {
        let alone = |join| matches!(join, Join::Free | Join::Paren);
        // `(123)-45-6789`
        let opened = b.before == Join::Paren && c.before == Join::Dash && loose(c.after);
        let ends = |group: &Group| ends_numeral(text, group.end) || ends_at_word(text, group.end);
        let shaped = (opened && loose(a.before))
            || b.before == c.before
                && match b.before {
                    // A path may go on on either side.
                    Join::Dash => {
                        let free = |join| loose(join) || join == Join::Slash;
                        free(a.before) && (free(c.after) || ends(c))
                    }
                    Join::Space => {
                        (alone(a.before) && (alone(c.after) || ends_numeral(text, c.end)))
                            || (a.before == Join::Space && c.after.is_loose() && said())
                    }
                    Join::Dot | Join::Slash => {
                        loose(a.before) && c.after.is_loose() && stands_alone(text, a.start, c.end)
                    }
                    _ => false,
                };
        let valid = is_assigned(&text[a.start..a.end], &text[b.start..b.end], &text[c.start..c.end]);
        return (shaped && valid).then_some(3);
    }
    if first.len() == 9 && loose(first.before) && (loose(first.after) || ends_numeral(text, first.end)) {
        let digits = &text[first.start..first.end];
        let valid = is_assigned(&digits[..3], &digits[3..5], &digits[5..]);
        return (valid && (said() || context::is_called_ssn(text, first.end))).then_some(1);
    }
    None
}

/// Whether the areas, groups and serials of the Social Security Administration have it.
pub(super) fn is_assigned(area: &[u8], group: &[u8], serial: &[u8]) -> bool {
    area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is skimmed over would not have been found.
        #[test]
        fn where_nothing_may_begin_nothing_does(
            text in "[+(]?(1|00?[1-9]|4111|555|[0-9]{2,5}|[0-9]{7}|[0-9]{9,12})(( |-|\\.|/|\\) |\\(|)([0-9]{1,4}|4111|1111)){0,9}( ?ext 12)?",
        ) {
            let text = text.as_bytes();
            let first = text.iter().position(u8::is_ascii_digit).unwrap();
            let mut window = Window { next: Some((first, left(text, first.saturating_sub(1)))), ..Window::default() };
            window.fill(text);
            let hint = Hint { phone: true, ssn: true, ..Hint::default() };
            while let Some(group) = window.groups().first() {
                let second = window.groups().get(1).map(|group| group.start);
                let found = best(text, window.groups(), Wanted::ALL, 0, hint);
                prop_assert!(found.is_none() || may_begin(text, group, second, Wanted::ALL), "{:?}", found);
                window.first += 1;
                window.fill(text);
            }
        }
    }
}
