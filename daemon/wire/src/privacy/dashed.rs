//! Social security numbers whose dashes show them, whatever is glued to them: letters, or other figures behind a dash.

use aivonx_protocol::privacy::Category;

use super::{
    find::Found,
    number::{digits, is_assigned},
};

/// Longest address that goes with a number.
const ADDRESS: usize = 128;

/// Finds three, two and four digits with dashes between, if such a number is issued.
pub(super) fn find(text: &[u8], out: &mut Vec<Found>) {
    let mut from = 0;
    for dash in memchr::memchr_iter(b'-', text) {
        if let Some(start) = dash.checked_sub(3).filter(|start| *start >= from)
            && let Some(end) = number(text, start)
        {
            out.push(Found::new(start - address(&text[from..start]), end, Category::Ssn));
            from = end;
        }
    }
}

/// Bytes of an address of mail that a number is glued to: without the number it would be one.
fn address(before: &[u8]) -> usize {
    let glues = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_@+%".contains(byte);
    let glued = before.iter().rev().take(ADDRESS).take_while(|byte| glues(byte)).count();
    if before[before.len() - glued..].contains(&b'@') { glued } else { 0 }
}

/// The end of the number at `start`.
fn number(text: &[u8], start: usize) -> Option<usize> {
    let alone = start.checked_sub(1).is_none_or(|before| !text[before].is_ascii_digit());
    let (area, group, serial) = (start, start + 4, start + 7);
    let shaped = alone && digits(text, area) == 3 && text.get(serial - 1) == Some(&b'-');
    if !shaped || digits(text, group) != 2 || digits(text.get(serial..)?, 0) != 4 {
        return None;
    }
    let end = serial + 4;
    is_assigned(&text[area..area + 3], &text[group..group + 2], &text[serial..end]).then_some(end)
}
