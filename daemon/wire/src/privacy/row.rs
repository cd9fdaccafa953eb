//! Numbers in bodies: each by itself, and those of an array together.

use std::{borrow::Cow, ops::Range};

use aivonx_protocol::privacy::Category;
use serde_json::Value;

use super::{
    Wanted,
    body::{Edit, Reader, Unsearchable, apply},
    find::{Hint, find},
    frame::Frame,
    marker::marker,
    numerals::{self, Reading},
    rules::{Key, Zone},
};

/// Shortest number that may be something: a social security number.
const SHORTEST: usize = 9;

/// Shortest number of a card.
const CARD: usize = 13;

/// Seeds that stand for those that cannot stay: too few to identify which one it was.
const SEEDS: u32 = 1 << 20;

/// Longest number that is looked at.
const LONGEST: usize = 1024;

impl Reader {
    /// What a number is by its worth, counted if it is anything.
    pub(super) fn worth(&mut self, numeral: &[u8], hint: Hint) -> Option<Category> {
        let begins = matches!(numeral.first(), Some(b'-' | b'+' | b'0'..=b'9'));
        if !begins || !(SHORTEST..=LONGEST).contains(&numeral.len()) {
            return None;
        }
        let whole = numerals::whole(numeral)?;
        self.found.clear();
        find(&whole, self.wanted, hint, &mut self.found);
        let category = self.found.first()?.category;
        self.findings.add(category);
        Some(category)
    }

    /// A number that is no parameter: it becomes a string if it must not stay.
    pub(super) fn number(
        &mut self,
        text: &[u8],
        range: Range<usize>,
        frame: &Frame,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        match frame.zone {
            Zone::Tokens(name) if self.enforces => return Err(Unsearchable::Tokens(name)),
            Zone::Tokens(_) => return Ok(()),
            _ if frame.is_parameter() => return self.parameter(text, range, frame, edits),
            _ => {}
        }
        let number = &text[range.clone()];
        // What is blanked in answers is 0.
        if self.own.is_some() && number != b"0" {
            let mut own = Vec::new();
            self.own(number, &mut own);
            self.bounded()?;
            if !own.is_empty() {
                self.end_row(edits)?;
                let replaced = Value::from(String::from_utf8_lossy(&apply(number, &own))).to_string();
                edits.push(Edit { range, text: Cow::Owned(replaced) });
                return self.end_chain(text, edits);
            }
        }
        if number.len() >= SHORTEST {
            let hint = Hint { mixed: false, named: false, ..frame.said.hint(text, number) };
            self.found.clear();
            find(number, self.wanted, hint, &mut self.found);
            let written = self.found.first().map(|found| found.category);
            if let Some(category) = written {
                self.findings.add(category);
            }
            if let Some(category) = written.or_else(|| self.worth(number, hint)) {
                self.end_row(edits)?;
                edits.push(quoted(range, category));
                return self.end_chain(text, edits);
            }
        }
        match numerals::whole(number) {
            Some(digits) if frame.is_list() => self.add_to_row(range, &digits, edits)?,
            None if frame.is_list() && number == b"0" => self.add_to_row(range, number, edits)?,
            Some(digits) if !frame.is_list() => {
                self.end_row(edits)?;
                return self.link_number(text, (range, frame.name.clone()), &digits, edits);
            }
            _ => self.end_row(edits)?,
        }
        self.end_chain(text, edits)
    }

    /// A number that is a parameter: it may be as long as a telephone number, but it is no card. Another seed does as
    /// well; of what else would be a number of tokens nothing is left.
    fn parameter(
        &mut self,
        text: &[u8],
        range: Range<usize>,
        frame: &Frame,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        let number = &text[range.clone()];
        if !self.wanted.has(Category::Card) || number.len() < CARD {
            return Ok(());
        }
        let Some(digits) = numerals::whole(number) else { return Ok(()) };
        self.found.clear();
        find(&digits, Wanted::from([Category::Card].as_slice()), Hint::FORMS, &mut self.found);
        if self.found.is_empty() {
            return Ok(());
        }
        self.findings.add(Category::Card);
        edits.push(if frame.key == Key::Seed {
            let folded = digits.iter().fold(0, |seed: u32, digit| (seed * 31 + u32::from(*digit)) % SEEDS);
            Edit { range, text: Cow::Owned(folded.to_string()) }
        } else {
            quoted(range, Category::Card)
        });
        self.bounded()
    }

    /// Adds a number, or a string of digits, to those before it in its array.
    pub(super) fn add_to_row(
        &mut self,
        place: Range<usize>,
        digits: &[u8],
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        if self.row.len() == numerals::TOGETHER {
            self.end_row(edits)?;
        }
        self.row.push(place, digits);
        Ok(())
    }

    /// Searches the numbers that have followed each other as the text they may stand for. Each that is of a finding
    /// becomes a string.
    pub(super) fn end_row(&mut self, edits: &mut Vec<Edit>) -> Result<(), Unsearchable> {
        if self.row.len() > 1 {
            self.search_row(edits);
            self.row.clear();
            return self.bounded();
        }
        self.row.clear();
        Ok(())
    }

    fn search_row(&mut self, edits: &mut Vec<Edit>) {
        for reading in Reading::ALL {
            let Some(text) = self.row.text(reading) else { continue };
            self.found.clear();
            find(&text, self.wanted, Hint::FORMS, &mut self.found);
            if reading == Reading::Digits {
                self.found.retain(|found| found.category == Category::Card);
            }
            for found in &self.found {
                self.findings.add(found.category);
                for place in self.row.places(reading, found.start..found.end) {
                    edits.push(quoted(place, found.category));
                }
            }
            if !self.found.is_empty() {
                return;
            }
        }
    }
}

/// A marker as a string in place of a number.
pub(super) fn quoted(range: Range<usize>, category: Category) -> Edit {
    Edit { range, text: Cow::Owned(format!("\"{}\"", marker(category))) }
}
