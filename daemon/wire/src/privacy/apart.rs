//! What stands between numbers in lists, in tables and on lines.

use super::{join::wide_separator, marker};

/// How far a line beside another is looked at.
const LINE: usize = 160;

/// Most bytes between two groups of digits that stand apart.
const APART: usize = 16;

/// Where the next digit is behind what lists, tables and lines put between numbers: blanks, marks, and tags of HTML.
#[inline]
pub(super) fn apart(text: &[u8], at: usize) -> Option<usize> {
    let limit = text.len().min(at + APART);
    let mut next = at;
    while next < limit {
        next += match text[next] {
            b'0'..=b'9' => return (next > at).then_some(next),
            b'<' => tag(&text[next..]),
            byte if is_mark(byte) => 1,
            0xc2 | 0xe2 | 0xe3 | 0xef => wide_separator(&text[next..])?.1,
            _ => return None,
        };
    }
    None
}

/// What stands between numbers, of ASCII.
pub(super) fn is_mark(byte: u8) -> bool {
    matches!(
        byte,
        b'\t' | b'\n' | b'\r' | b' '..=b'#' | b'\''..=b'/' | b':'..=b'>' | b'['..=b'`' | b'{'..=b'~'
    )
}

/// Length of the HTML tag that the text begins with, such as `<br/>`; 1 if it is not a tag.
fn tag(text: &[u8]) -> usize {
    let end = text.iter().take(8).position(|byte| *byte == b'>');
    let named =
        |name: &[u8]| name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b' '));
    end.filter(|end| named(&text[1..*end])).map_or(1, |end| end + 1)
}

/// The byte that characterizes a gap between two numbers: its first mark, or a newline, or a space.
pub(super) fn mark(gap: &[u8]) -> u8 {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x80..);
    match gap.iter().find(|byte| !blank(byte)) {
        Some(mark) => *mark,
        None if gap.contains(&b'\n') => b'\n',
        None => b' ',
    }
}

/// Whether `mark` stands on either side of `start..end` as well, as it does in a table.
pub(super) fn edges_on(text: &[u8], start: usize, end: usize, by: u8) -> bool {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let before = text[..start].iter().rev().take(APART).take_while(blank).count();
    let behind = text[end..].iter().take(APART).take_while(blank).count();
    let (before, behind) = (start - before, end + behind);
    match by {
        b'\n' => text[before..start].contains(&by) || text[end..behind].contains(&by),
        b' ' => start - before > 1 || behind - end > 1,
        _ => text[..before].last() == Some(&by) || text.get(behind) == Some(&by),
    }
}

/// The lines before and behind that of `start..end`, as much of them as is near.
pub(super) fn lines_beside(text: &[u8], start: usize, end: usize) -> [Option<&[u8]>; 2] {
    let near = &text[start.saturating_sub(LINE)..start];
    let before = near.iter().rposition(|byte| *byte == b'\n').map(|at| {
        let line = &near[..at];
        &line[line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)..]
    });
    let near = &text[end..text.len().min(end + LINE)];
    let behind = near.iter().position(|byte| *byte == b'\n').map(|at| {
        let line = &near[at + 1..];
        &line[..line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len())]
    });
    [before, behind]
}

/// Whether nothing but what may stand between numbers is between `start..end` and a marker.
pub(super) fn is_beside_marker(text: &[u8], start: usize, end: usize) -> bool {
    let between = |byte: u8| is_mark(byte) || byte >= 0x80;
    let floor = start.saturating_sub(APART);
    let mut before = start;
    while before > floor && !marker::ends_before(text, before) && between(text[before - 1]) {
        before -= 1;
    }
    let limit = text.len().min(end + APART);
    let mut behind = end;
    while behind < limit && !marker::begins_at(text, behind) && between(text[behind]) {
        behind += 1;
    }
    marker::ends_before(text, before) || marker::begins_at(text, behind)
}
