//! Telephone numbers: with a country's code (E.164), of North America, with the trunk's zero, and bare ones where
//! something says what they are.

use aivonx_protocol::privacy::Category;

use super::{
    classes::{self, DIGIT, WORD},
    context, figures,
    find::{Found, Hint},
    join::{Join, ends_numeral, stands_alone},
    number::{Group, digits, reach},
};

/// Most blanks around a number that is all of its text.
const BLANK: usize = 16;

/// Whether a telephone number may begin with `first`, behind which a group begins at `second`: where it may not,
/// [`find`], which is much more work, finds nothing.
#[inline(always)]
pub(super) fn may_begin(text: &[u8], first: &Group, second: Option<usize>) -> bool {
    if classes_before(text, first.start, b'+') {
        return first.len() >= 9 || (second.is_some() && reach(text, first.start, 8));
    }
    let at = first.start;
    // The trunk's zero, or those before a country's code.
    let zero = || text[at] == b'0' && (first.before != Join::Space || text.get(at + 1) == Some(&b'0'));
    match (first.len(), second) {
        (1, Some(second)) => text[at] == b'1' && digits(text, second) == 3,
        (3, Some(second)) => zero() || matches!(digits(text, second), 3 | 4 | 7),
        (2 | 4..=6, Some(_)) => zero(),
        (10..=15, _) => zero() || first.before != Join::Space,
        _ => false,
    }
}

/// The telephone number that begins with the first of `groups`, and how many groups it takes.
pub(super) fn find(text: &[u8], groups: &[Group], hint: Hint) -> Option<(Found, usize)> {
    let first = &groups[0];
    if matches!(first.before, Join::Glued | Join::Dash | Join::Dot | Join::Slash | Join::Underscore) {
        return None;
    }
    let plus = classes_before(text, first.start, b'+');
    if first.len() == 1 && !plus && text[first.start] != b'1' {
        return None;
    }
    let said = || hint.phone || context::of_phone(text, first.start);
    let taken = if plus {
        international(text, groups, 0)
    } else {
        match first.len() {
            1 | 3 => north_american(text, groups, said).or_else(|| trunk(text, groups)),
            2 | 4..=6 if text[first.start] == b'0' => trunk(text, groups)
                .filter(|taken| !figures::are_modes(text, &groups[..*taken]) || said())
                .or_else(|| prefixed(text, groups)),
            10..=15 => bare(text, first).then_some(1).filter(|_| said()).or_else(|| prefixed(text, groups)),
            _ => None,
        }
        .or_else(|| local(groups).filter(|_| said()))
    }?;
    if first.before == Join::Space && figures::is_in_iban(text, first.start) {
        return None;
    }
    let last = &groups[taken - 1];
    let end = extension(text, last)?;
    let opened = classes_before(text, first.start, b'(') && text.get(first.end) == Some(&b')');
    let start = first.start - usize::from(plus || opened);
    Some((Found::new(start, end, Category::Phone), taken))
}

fn classes_before(text: &[u8], at: usize, byte: u8) -> bool {
    at > 0 && text[at - 1] == byte
}

/// Country code and number, the first `skip` digits aside: 8 to 15 digits (9 if they are in one), 11 if the country
/// is North America.
fn international(text: &[u8], groups: &[Group], skip: usize) -> Option<usize> {
    let lead = *text.get(groups[0].start + skip)?;
    if !matches!(lead, b'1'..=b'9') {
        return None;
    }
    let mut digits = 0;
    let mut best = None;
    for (n, group) in groups.iter().enumerate() {
        // A single digit after a space is another number.
        if n > 0 && group.before == Join::Space && group.len() == 1 && digits - skip >= 8 {
            break;
        }
        digits += group.len();
        let count = digits - skip.min(digits);
        if count > 15 {
            break;
        }
        let enough = if n == 0 { 9 } else { 8 };
        if count >= enough && ends(text, group) {
            best = Some(n + 1);
            if lead == b'1' && count == 11 {
                break;
            }
        }
    }
    best
}

/// `00` in place of `+`, in groups.
fn prefixed(text: &[u8], groups: &[Group]) -> Option<usize> {
    if !text[groups[0].start..].starts_with(b"00") {
        return None;
    }
    international(text, groups, 2).filter(|taken| *taken > 1)
}

/// Three, three and four digits, with or without a 1 before; `(555) 1234567`.
fn north_american(text: &[u8], groups: &[Group], said: impl Fn() -> bool) -> Option<usize> {
    let one = usize::from(groups[0].len() == 1 && text[groups[0].start] == b'1');
    let number = groups.get(one..)?;
    let area = number.first()?;
    if area.len() != 3 || !matches!(text[area.start], b'2'..=b'9') {
        return None;
    }
    let joined = |join| matches!(join, Join::Space | Join::Dash | Join::Dot | Join::Paren);
    if one == 1 && (!joined(area.before) || (area.before == Join::Dot && number.get(1)?.before != Join::Dot))
    {
        return None;
    }
    if let [_, rest, ..] = number
        && rest.len() == 7
        && rest.before == Join::Paren
    {
        return ends(text, rest).then_some(one + 2);
    }
    let [_, exchange, line, ..] = number else { return None };
    let slashes = exchange.before == Join::Slash && line.before == Join::Slash;
    let grouped = exchange.len() == 3
        && line.len() == 4
        && (joined(exchange.before) || exchange.before == Join::Slash)
        && (matches!(line.before, Join::Space | Join::Dash | Join::Dot)
            || (slashes && stands_alone(text, area.start, line.end)));
    // Spaces alone also separate figures: then something must say what they are, or nothing else is there.
    let figures = one == 0 && exchange.before == Join::Space && line.before == Join::Space;
    let alone = |join| join != Join::Space;
    let free = || {
        let (before, behind) = (&text[..area.start], &text[line.end..]);
        let all = before.len().max(behind.len()) <= BLANK
            && before.iter().chain(behind).all(u8::is_ascii_whitespace);
        let extended = extension(text, line).is_some_and(|end| end > line.end);
        alone(groups[0].before) && alone(line.after) && (all || extended || said())
    };
    (grouped && ends(text, line) && (!figures || free())).then_some(one + 3)
}

/// A number that begins with the zero of long-distance calls: 9 to 12 digits in two to five groups.
fn trunk(text: &[u8], groups: &[Group]) -> Option<usize> {
    let first = &groups[0];
    let begins = matches!(text[first.start..], [b'0', b'1'..=b'9', ..]) && (2..=5).contains(&first.len());
    if !begins || first.before == Join::Space {
        return None;
    }
    let kind = groups.get(1)?.before;
    let mut digits = first.len();
    let mut taken = 1;
    for group in &groups[1..] {
        // What follows the area may be written otherwise than what follows it.
        let area = taken > 1 && matches!(kind, Join::Paren | Join::Slash);
        if group.before != kind && !(area && matches!(group.before, Join::Space | Join::Dash)) {
            break;
        }
        digits += group.len();
        taken += 1;
    }
    let groups = &groups[..taken];
    let last = groups.last()?;
    let apart = matches!(last.after, Join::Free | Join::Paren) && !continues(text, last);
    let pairs = groups.iter().all(|g| g.len() == 2) && taken == 5;
    let date = matches!(groups, [a, b, c, ..] if (a.len(), b.len(), c.len()) == (2, 2, 4));
    // A firm's own extension may be a single digit.
    let whole = |g: &Group| g.len() >= 2 || (g.before == Join::Dash && g.end == last.end);
    let shaped = groups.iter().all(whole) && groups.iter().any(|g| g.len() >= 3) && taken <= 4;
    ((9..=12).contains(&digits) && (2..=5).contains(&taken) && apart && !date && (pairs || shaped))
        .then_some(taken)
}

/// Whether the window ended before the number did.
fn continues(text: &[u8], last: &Group) -> bool {
    classes::at(text, last.end, DIGIT)
}

/// Ten to thirteen digits in one that could be dialled.
fn bare(text: &[u8], group: &Group) -> bool {
    group.len() <= 13 && group.before != Join::Space && ends(text, group)
}

/// Three and four digits: a number of one's own town, where something says so.
fn local(groups: &[Group]) -> Option<usize> {
    let [exchange, line, ..] = groups else { return None };
    let shape = (exchange.len(), line.len()) == (3, 4) && line.before == Join::Dash;
    (shape && exchange.before != Join::Space && line.after == Join::Free).then_some(2)
}

/// Whether a number may end with this group.
fn ends(text: &[u8], group: &Group) -> bool {
    group.after.is_loose()
        || (!matches!(group.before, Join::Dot | Join::Slash) && ends_numeral(text, group.end))
        || (group.after == Join::Glued && extension(text, group).is_some_and(|e| e > group.end))
}

/// The end of the number with its extension, if it has one: `x89`, `ext. 89`. None if a word follows at once.
fn extension(text: &[u8], group: &Group) -> Option<usize> {
    let mut at = group.end;
    if text.get(at) == Some(&b' ') {
        at += 1;
    }
    let word = [b"ext. ".as_slice(), b"ext.", b"ext ", b"ext", b"x"]
        .into_iter()
        .find(|word| text[at..].get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word)));
    if let Some(word) = word {
        let from = at + word.len();
        let to = classes::run(&text[..text.len().min(from + 7)], from, DIGIT);
        if (1..=6).contains(&(to - from)) && !classes::at(text, to, WORD) {
            return Some(to);
        }
    }
    (group.after != Join::Glued || ends_numeral(text, group.end)).then_some(group.end)
}
