//! Numbers of passports: behind the word for one, and in the lines that machines read (ICAO 9303).

use aivonx_protocol::privacy::Category;

use super::{
    classes::{self, ALNUM, ALPHA},
    find::Found,
};

/// The word for one, in the languages that have it nearly alike.
const NAMES: [&[u8]; 7] =
    [b"passport", b"passeport", b"pasaporte", b"passaporte", b"passaporto", b"reisepass", b"paspoort"];

/// Most words between the name and the number, and most bytes.
const WORDS: usize = 5;
const REACH: usize = 48;

/// Longest number.
const LONGEST: usize = 9;

/// Length of a line that machines read.
const LINE: usize = 44;

/// Finds them in `text`.
pub(super) fn find(text: &[u8], out: &mut Vec<Found>) {
    for at in memchr::memchr2_iter(b'p', b'P', text).chain(memchr::memchr2_iter(b'r', b'R', text)) {
        let named =
            |name: &&&[u8]| text.get(at..at + name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name));
        if let Some(name) = NAMES.iter().find(named)
            && let Some((start, end)) = number(text, at + name.len())
        {
            out.push(Found::new(start, end, Category::Passport));
        }
    }
    let mut at = 0;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'"' | b'\\')) {
        if is_line(line) {
            out.push(Found::new(at, at + line.len(), Category::Passport));
        }
        at += line.len() + 1;
    }
}

/// The number behind the name that ends at `from`.
fn number(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let limit = text.len().min(from + REACH);
    // One more than the number has.
    let text = &text[..text.len().min(limit + LONGEST + 1)];
    // Other words begin so, such as `passports`.
    let mut at = classes::run(text, from, ALPHA);
    for _ in 0..=WORDS {
        at += text.get(at..limit)?.iter().position(|byte| classes::is(*byte, ALNUM))?;
        let end = classes::run(text, at, ALNUM);
        let word = &text[at..end];
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            let issued = word.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
            return ((6..=LONGEST).contains(&word.len()) && issued && digits >= 4).then_some((at, end));
        }
        at = end;
        if at >= limit {
            return None;
        }
    }
    None
}

/// Whether it is one of the two lines.
fn is_line(line: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'<';
    if line.len() != LINE || !line.iter().all(allowed) {
        return false;
    }
    let named = line[0] == b'P' && line.windows(2).any(|two| two == b"<<");
    named
        || (line[9].is_ascii_digit()
            && check_digit(&line[..9]) == line[9]
            && check_digit(&line[13..19]) == line[19])
}

/// The check digit of what stands before it: weighted by 7, 3 and 1.
fn check_digit(text: &[u8]) -> u8 {
    let worth = |byte: &u8| char::from(*byte).to_digit(36).unwrap_or(0);
    let sum: u32 =
        text.iter().zip([7, 3, 1].into_iter().cycle()).map(|(byte, weight)| worth(byte) * weight).sum();
    // Less than ten.
    b'0' + (sum % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_name_and_in_lines_for_machines() {
        let found = |text: &str| {
            let mut found = Vec::new();
            find(text.as_bytes(), &mut found);
            found.iter().map(|one| text[one.start..one.end].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("Passport no.: C01X00T47, valid"), ["C01X00T47"]);
        assert_eq!(found("her passport number is 123456789."), ["123456789"]);
        assert_eq!(found("Reisepass Nr. C01X00T47"), ["C01X00T47"]);
        let lines =
            "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
        assert_eq!(found(lines).len(), 2);
        for text in [
            "passport valid until 2030",
            "passports of 27 states",
            "the passport office opens at 9",
            "C01X00T47",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
