//! A mistake in a configuration file, and how it is printed.

use std::{borrow::Cow, fmt, ops::Range, path::Path};

use aivonx_protocol::Untrusted;

/// Longest piece of a source line that is printed, characters.
const SHOWN: usize = 120;

/// Everything found wrong with one file; at least one mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    file: String,
    found: Vec<Mistake>,
}

impl std::error::Error for Mistakes {}

impl Mistakes {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// Where each is, in the file's order: line and column, from 1; none if the file could not be read.
    pub fn places(&self) -> impl Iterator<Item = Option<(usize, usize)>> {
        self.found.iter().map(|m| m.spot.as_ref().map(|s| (s.line, s.column)))
    }

    pub(super) fn new(file: &Path, found: Vec<Mistake>) -> Self {
        Self { file: Untrusted::new(&file.display().to_string()).to_string(), found }
    }
}

impl Mistakes {
    /// Each mistake on one line, for the log.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.found.iter().map(|mistake| {
            let place =
                mistake.spot.as_ref().map_or_else(String::new, |s| format!(":{}:{}", s.line, s.column));
            let fix = mistake.fix.as_ref().map_or_else(String::new, |fix| format!("; {fix}"));
            format!("{}{place}: {}{fix}", self.file, mistake.what)
        })
    }
}

impl fmt::Display for Mistakes {
    /// How many, then one block a mistake with an empty line between; a file that cannot be read has one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.iter().any(|mistake| mistake.spot.is_some()) {
            let s = if self.count() == 1 { "" } else { "s" };
            write!(f, "{} mistake{s} in {}\n\n", self.count(), self.file)?;
        }
        for (at, mistake) in self.found.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            mistake.write(f, &self.file)?;
        }
        Ok(())
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where; none if the file as a whole is meant.
    pub(super) spot: Option<Spot>,
    /// What is wrong. Text taken from the file is escaped by [`quote`].
    pub(super) what: String,
    /// What would be accepted there.
    pub(super) accepted: Option<String>,
    /// What to do about it.
    pub(super) fix: Option<String>,
}

impl Mistake {
    fn write(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let notes = [("accepted", &self.accepted), ("fix", &self.fix)];
        let Some(spot) = &self.spot else {
            write!(f, "{file}: {}", self.what)?;
            for (name, note) in notes {
                if let Some(note) = note {
                    write!(f, "\n  = {name}: {note}")?;
                }
            }
            return Ok(());
        };
        let gutter = spot.line.to_string().len();
        writeln!(f, "{file}:{}:{}: {}", spot.line, spot.column, self.what)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{} | {}", spot.line, spot.source)?;
        write!(f, "{:gutter$} | {:indent$}{}", "", "", "^".repeat(spot.width), indent = spot.indent)?;
        for (name, note) in notes {
            if let Some(note) = note {
                write!(f, "\n{:gutter$} = {name}: {note}", "")?;
            }
        }
        Ok(())
    }
}

/// A place in the file, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// The line, or the part of it around the place, escaped.
    source: String,
    /// Characters of `source` before the place.
    indent: usize,
    /// Characters of `source` that it takes, at least 1.
    width: usize,
}

impl Spot {
    /// The place of `span` (bytes) in `text`. A span over several lines is shown to the end of its first.
    pub(super) fn new(text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let text = &*without_passwords(text, begin, end);
        let stop = floor(text, span.end).clamp(start, end);
        let line_end = begin + text[begin..end].trim_end().len();
        // What stands before the place is cut from the left, what stands behind it from the right.
        let before = text[begin..start].chars().count();
        let from = text[begin..start].char_indices().rev().nth(SHOWN / 2).map_or(begin, |(at, _)| begin + at);
        let to = text[from..].char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| from + at);
        let (stop, to) = (stop.min(to), to.min(line_end.max(start)));
        let left = plain(&text[from..start]);
        let marked = plain(&text[start..stop.max(start)]);
        let right = plain(&text[stop.min(to)..to]);
        let dots = if from > begin { "…" } else { "" };
        let more = if to < line_end { "…" } else { "" };
        Self {
            line: line_of(text, start),
            column: before + 1,
            indent: dots.chars().count() + left.chars().count(),
            width: marked.trim_end().chars().count().max(1),
            source: format!("{dots}{left}{marked}{right}{more}").trim_end().to_owned(),
        }
    }
}

/// `text` with stars for what may be a password between `begin` and `end`: in a URL (`://USER:PASSWORD@`), and all that
/// stands behind `password =` in that line. Its length stays.
fn without_passwords(text: &str, begin: usize, end: usize) -> Cow<'_, str> {
    let line = text[begin..end].trim_end();
    let mut hidden = Vec::new();
    for (at, _) in line.match_indices("://") {
        let (before, url) = (&line[..at], &line[at + 3..]);
        // A password may have anything in it, also a quote that should have been escaped.
        let is_database = before.ends_with("postgres") || before.ends_with("postgresql");
        let quote = before.rfind(['"', '\'']).filter(|_| !is_database).map(|at| before.as_bytes()[at]);
        let url = &url[..quote.and_then(|quote| url.find(char::from(quote))).unwrap_or(url.len())];
        // The last: a password may have one that should have been escaped.
        let user = url.rfind('@').map(|to| (url[..to].find(':'), to));
        if let Some((Some(colon), to)) = user {
            hidden.push(at + 3 + colon + 1..at + 3 + to);
        }
    }
    for (at, found) in line.to_ascii_lowercase().match_indices("password") {
        let behind = &line[at + found.len()..];
        // The key may stand in quotes.
        let value = behind.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        if let Some(value) = value.strip_prefix('=') {
            hidden.push(line.len() - value.trim_start().len()..line.len());
            break;
        }
    }
    if hidden.is_empty() {
        return text.into();
    }
    let mut shown = text.to_owned();
    for range in hidden {
        let stars = "*".repeat(range.len());
        shown.replace_range(begin + range.start..begin + range.end, &stars);
    }
    shown.into()
}

/// The line of byte `at` of `text`, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// Text out of the file between quotes that no content can close unseen.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", Untrusted::new(text).max(80))
}

/// A tab is one space, so that carets stand where they should.
fn plain(text: &str) -> String {
    Untrusted::new(&text.replace('\t', " ")).max(usize::MAX).to_string()
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        let mistake = Mistake {
            spot: Some(Spot::new(text, span)),
            what: "wrong".into(),
            accepted: Some("right".into()),
            fix: None,
        };
        let text = Mistakes::new(Path::new("f"), vec![mistake]).to_string();
        text.strip_prefix("1 mistake in f\n\n").unwrap().to_owned()
    }

    #[test]
    fn draws_a_caret_under_the_place() {
        assert_eq!(
            shown("a = 1\n\tb = \"ü\" # x\n", 11..15),
            "f:2:6: wrong\n  |\n2 |  b = \"ü\" # x\n  |      ^^^\n  = accepted: right"
        );
    }

    #[test]
    fn passwords_are_not_shown() {
        for (line, source) in [
            ("a = \"postgresql://x:ge@heim@db/a\" # 1", "a = \"postgresql://x:*******@db/a\" # 1"),
            ("a = \"postgresql://x@db/a?password=geheim&b\"", "a = \"postgresql://x@db/a?password=*********"),
            ("a = \"postgresql://x:ge heim@db/a\"", "a = \"postgresql://x:*******@db/a\""),
            ("a = \"postgres://x:ge\"h'm@db/a\"", "a = \"postgres://x:******@db/a\""),
            ("a = \"http://x:ge' im@db/a\" # @", "a = \"http://x:******@db/a\" # @"),
            ("password = \"geheim\"", "password = ********"),
            ("\"Password\"  =geheim # 1", "\"Password\"  =**********"),
            (
                "a = \"host=db1 user=a password='ge heim' x=y\"",
                "a = \"host=db1 user=a password=**************",
            ),
            ("password_file = \"/a\"", "password_file = \"/a\""),
        ] {
            let text = format!("[cluster]\n{line}\nx = 1\n");
            let shown = shown(&text, 10..11);
            assert!(shown.contains(&format!("2 | {source}\n")), "{shown}");
        }
    }

    #[test]
    fn marks_the_end_of_the_file() {
        assert_eq!(shown("a =", 3..3), "f:1:4: wrong\n  |\n1 | a =\n  |    ^\n  = accepted: right");
        assert_eq!(shown("", 0..0), "f:1:1: wrong\n  |\n1 | \n  | ^\n  = accepted: right");
    }

    #[test]
    fn escapes_the_file_and_cuts_long_lines() {
        let text = format!("x = \"{}\u{1b}[2J{}\"", "a".repeat(200), "b".repeat(200));
        let shown = shown(&text, 205..206);
        assert!(shown.contains("\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.lines().all(|l| l.chars().count() < SHOWN + 20), "{shown}");
        assert!(shown.contains(" …a") && shown.contains("b…\n"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_can_be_shown(text in "[ab\t\nü\u{1b}\\PC]{0,300}", a in 0usize..400, n in 0usize..400) {
            let spot = Spot::new(&text, a..a + n);
            prop_assert!(spot.width >= 1);
            prop_assert!(spot.indent <= spot.source.chars().count() + SHOWN);
        }
    }
}
