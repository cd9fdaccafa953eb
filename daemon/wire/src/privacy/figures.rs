//! Figures that spaces join as they do the groups of numbers: rows of tables, modes of files, numbers of accounts.

use arrayvec::ArrayVec;

use super::{
    classes::{self, ALNUM},
    context,
    find::Hint,
    join::{Join, ends_at_word},
    number::{Group, LONGEST, digits},
    spread,
};

/// Longest part of an account's international number that stands before another.
const IBAN: usize = 42;

/// Whether the first `count` groups, which spaces join, are figures of a row of such, and no card: no issuer has them, or
/// others of their length stand beside that are of no card and no date. What is before `done` is something else.
pub(super) fn is_of_row(text: &[u8], groups: &[Group], count: usize, done: usize, hint: Hint) -> bool {
    let (first, last) = (&groups[0], &groups[count - 1]);
    let number: ArrayVec<u8, LONGEST> =
        groups[..count].iter().flat_map(|group| &text[group.start..group.end]).copied().collect();
    if !spread::is_card(&number) {
        return true;
    }
    let length = first.len();
    if groups[..count].iter().any(|group| group.len() != length) {
        return false;
    }
    let said = || hint.card || context::of_card(text, first.start);
    // No card is printed in other groups of one length.
    if length != 4 {
        return !said();
    }
    let begins = |at: usize| at.checked_sub(1).is_none_or(|last| text[last].is_ascii_whitespace());
    let stands_before = |back: usize| {
        let at = first.start.checked_sub(back);
        at.is_some_and(|at| at >= done && begins(at) && digits(text, at) == 4 && text[at + 4] == b' ')
    };
    let before = usize::from(stands_before(5)) + usize::from(stands_before(5) && stands_before(10));
    let fours = |group: &Group| group.len() == 4;
    let behind = groups.get(count).map_or(0, |next| {
        let more = groups.get(count + 1).is_some_and(fours);
        let date = !more && is_expiry(&text[next.start..next.end]);
        let is_figure = last.after == Join::Space
            && fours(next)
            && (more || next.after == Join::Free)
            && !date
            && !is_card_of_fours(text, next.start);
        if is_figure { 1 + usize::from(more) } else { 0 }
    });
    // One may be a year or a number of something before a card; a card that is lost weighs more than a figure.
    before + behind > 1 && !said()
}

/// Whether the first `count` groups are a card of four groups of four, which dashes join, with one other thing at most on
/// either side: a part of a path, a word, or one figure of four digits that a dash joins as well. More are no card.
pub(super) fn is_beside_one(text: &[u8], groups: &[Group], count: usize) -> bool {
    let (first, last) = (&groups[0], &groups[count - 1]);
    let number: ArrayVec<u8, LONGEST> = groups[..count]
        .iter()
        .flat_map(|group| &text[group.start..group.end])
        .copied()
        .take(LONGEST)
        .collect();
    if groups[..count].iter().any(|group| group.len() != 4) || !spread::is_card(&number) {
        return false;
    }
    let dashes = groups[1].before == Join::Dash;
    let (before, free_before) = match first.before {
        Join::Dash => {
            let at = first.start.saturating_sub(5);
            let is_figure = digits(text, at) == 4 && text[at + 4] == b'-';
            (1, is_figure && at.checked_sub(1).is_none_or(|last| text[last].is_ascii_whitespace()))
        }
        join => (0, join.is_loose() || join == Join::Slash),
    };
    let (behind, free_behind) = match last.after {
        Join::Dash => (1, groups.get(count).is_some_and(|next| next.len() == 4 && next.after == Join::Free)),
        Join::Glued => (0, ends_at_word(text, last.end)),
        join => (0, join.is_loose() || join == Join::Slash),
    };
    let spaces = groups[1].before == Join::Space && first.before.is_loose() && last.after == Join::Glued;
    (dashes || spaces) && free_before && free_behind && before + behind < 2
}

/// Whether four groups of four digits that single spaces join are at `at`, and a card.
fn is_card_of_fours(text: &[u8], at: usize) -> bool {
    let Some(row) = text.get(at..at + 19) else { return false };
    let number: ArrayVec<u8, LONGEST> = row.iter().filter(|byte| byte.is_ascii_digit()).copied().collect();
    let spaced = row.chunks(5).all(|group| group.get(4).is_none_or(|byte| *byte == b' '));
    number.len() == 16 && spaced && spread::is_card(&number)
}

/// Whether four digits are a month and a year, or a year, until which a card may be good.
fn is_expiry(digits: &[u8]) -> bool {
    matches!(
        digits,
        [b'0', b'1'..=b'9', b'2'..=b'4', _]
            | [b'1', b'0'..=b'2', b'2'..=b'4', _]
            | [b'2', b'0', b'2'..=b'4', _]
    )
}

/// Whether groups that spaces join are modes of files, of which more than one begins with a zero: `0755 0644 1777`.
pub(super) fn are_modes(text: &[u8], groups: &[Group]) -> bool {
    let is_octal = |g: &Group| g.len() == 4 && text[g.start..g.end].iter().all(|digit| *digit < b'8');
    let zeros = groups.iter().filter(|group| text[group.start] == b'0').count();
    groups[1..].iter().all(|group| group.before == Join::Space) && groups.iter().all(is_octal) && zeros > 1
}

/// Whether the groups of four before `at` are of an account's international number (ISO 13616): letters of a country and
/// a check of two digits begin them.
pub(super) fn is_in_iban(text: &[u8], at: usize) -> bool {
    let mut start = at;
    while start > 0 && at - start < IBAN && (text[start - 1] == b' ' || classes::is(text[start - 1], ALNUM)) {
        start -= 1;
    }
    let groups = text[start..at].split(|byte| *byte == b' ').filter(|group| !group.is_empty());
    let fours = groups.rev().take_while(|group| group.len() == 4);
    fours.into_iter().any(|group| {
        group[..2].iter().all(u8::is_ascii_uppercase) && group[2..].iter().all(u8::is_ascii_digit)
    })
}
