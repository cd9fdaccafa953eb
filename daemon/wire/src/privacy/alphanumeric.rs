//! Long strings of letters and digits that nothing is said about: numbers of customers, orders and files.

use aivonx_protocol::privacy::Category;

use super::{
    classes::{self, ALNUM, ALPHA},
    find::Found,
};

/// Shortest that is one.
const SHORTEST: usize = 16;

/// Finds them in `text`.
pub(super) fn find(text: &[u8], out: &mut Vec<Found>) {
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(|byte| classes::is(*byte, ALNUM)).map(|n| at + n) {
        let end = classes::run(text, start, ALNUM);
        let letters = text[start..end].iter().filter(|byte| classes::is(**byte, ALPHA)).count();
        if end - start >= SHORTEST && letters >= 2 && end - start - letters >= 2 {
            out.push(Found::new(start, end, Category::Alphanumeric));
        }
        at = end;
    }
}
