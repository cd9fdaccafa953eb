//! Numbers of bank accounts (IBAN, ISO 13616): as long as their country has them, with right check digits.

use aivonx_protocol::privacy::Category;
use arrayvec::ArrayVec;

use super::{
    classes::{self, ALNUM, ALPHA, DIGIT},
    find::Found,
};

/// Longest, without what separates its groups.
const LONGEST: usize = 34;

/// Countries and the lengths of their numbers, from the registry of SWIFT.
const COUNTRIES: &[u8] = b"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24\
FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27\
MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28\
TL23TN24TR26UA29VA22VG24XK20YE30";

/// Finds those in `text`; what else was found in one is of it.
pub(super) fn find(text: &[u8], out: &mut Vec<Found>) {
    let mut from = 0;
    for at in 0..text.len().saturating_sub(14) {
        if at >= from
            && begins(text, at)
            && let Some(end) = number(text, at)
        {
            out.retain(|found| found.end <= at || found.start >= end || found.end > end);
            out.push(Found::new(at, end, Category::Iban));
            from = end;
        }
    }
}

/// Whether a country and check digits begin at `at`.
fn begins(text: &[u8], at: usize) -> bool {
    classes::at(text, at, ALPHA)
        && classes::at(text, at + 1, ALPHA)
        && classes::at(text, at + 2, DIGIT)
        && classes::at(text, at + 3, DIGIT)
        && !classes::before(text, at, ALNUM)
}

/// The end of the number that begins at `at`.
fn number(text: &[u8], at: usize) -> Option<usize> {
    let country = [text[at].to_ascii_uppercase(), text[at + 1].to_ascii_uppercase()];
    let known = COUNTRIES.chunks_exact(4).find(|known| known[..2] == country)?;
    let length = usize::from((known[2] - b'0') * 10 + known[3] - b'0');
    let (digits, end) = letters(text, at);
    let digits = digits.get(..length)?;
    // In one it is no longer; in groups a word may follow.
    let end = end[length - 1];
    let rest = digits[4..].iter().chain(&digits[..4]);
    let sum = rest.fold(0, |sum: u32, letter| match char::from(*letter).to_digit(36) {
        Some(value @ 0..10) => (sum * 10 + value) % 97,
        Some(value) => (sum * 100 + value) % 97,
        None => sum,
    });
    (sum == 1 && !classes::at(text, end, ALNUM)).then_some(end)
}

/// The letters and digits from `at` on, with single blanks or dashes between, and where each ends.
fn letters(text: &[u8], mut at: usize) -> (ArrayVec<u8, LONGEST>, ArrayVec<usize, LONGEST>) {
    let (mut letters, mut ends) = (ArrayVec::new(), ArrayVec::new());
    while letters.len() < LONGEST {
        at += usize::from(matches!(text.get(at), Some(b' ' | b'-')) && classes::at(text, at + 1, ALNUM));
        if !classes::at(text, at, ALNUM) {
            break;
        }
        letters.push(text[at].to_ascii_uppercase());
        at += 1;
        ends.push(at);
    }
    (letters, ends)
}

/// Where one begins that may go on behind the text.
pub(super) fn open(text: &[u8]) -> Option<usize> {
    let floor = text.len().saturating_sub(2 * LONGEST);
    (floor..text.len()).find(|at| {
        let (found, ends) = if begins(text, *at) { letters(text, *at) } else { return false };
        let last = ends.last().copied().unwrap_or(*at);
        found.len() < LONGEST
            && (last == text.len() || (last + 1 == text.len() && matches!(text[last], b' ' | b'-')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), &mut found);
        found.iter().map(|one| &text[one.start..one.end]).collect()
    }

    #[test]
    fn numbers_with_right_check_digits_are_found_in_one_and_in_groups() {
        let text =
            "to DE89 3704 0044 0532 0130 00 now, gb29NWBK60161331926819; FR14-2004-1010-0505-0001-3M02-606.";
        assert_eq!(
            found(text),
            ["DE89 3704 0044 0532 0130 00", "gb29NWBK60161331926819", "FR14-2004-1010-0505-0001-3M02-606"]
        );
        for text in [
            "DE88 3704 0044 0532 0130 00",
            "DE89 3704 0044 0532 0130 0",
            "xDE89370400440532013000",
            "DE893704004405320130001",
            "ZZ89370400440532013000",
            "in BY28 of us there were 1234 5678",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
