//! Syntax errors of the TOML parser, reported in terms of our keys, and repaired so far that the rest of the file
//! can be read and checked too.

use std::collections::BTreeSet;

use aivonx_protocol::Untrusted;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};

use super::{
    find::Find,
    mistake::{line_of, quote},
    sections::{LISTEN, LISTEN_KEYS, SECTIONS, accepted_tables, dotted},
    suggest::nearest,
    table::Key,
};

/// Rounds of repair before the rest of a file is given up.
const ROUNDS: usize = 32;

/// Most syntax mistakes reported of one file: with more, it is taken for something else than TOML.
const MOST: usize = 200;

const DUPLICATE: &str = "duplicate key";

/// A text that parses, with what was wrong about it.
#[derive(Debug)]
pub(super) struct Repaired {
    /// As many lines as the original; those that did not parse are changed, all others are the same.
    pub(super) text: String,
    /// Numbers of the changed lines, from 1.
    pub(super) changed: BTreeSet<usize>,
    /// Syntax mistakes, at most one a line, placed in the original.
    pub(super) finds: Vec<Find>,
    /// Keys whose lines did not parse.
    pub(super) bad: BTreeSet<String>,
}

impl Repaired {
    /// The place in `original` of a byte of the repaired text on an unchanged line.
    pub(super) fn original(&self, original: &str, at: usize) -> usize {
        if self.changed.is_empty() {
            return at;
        }
        let line = line_of(&self.text, at);
        start_of(original, line) + (at - start_of(&self.text, line))
    }
}

/// Byte at which a line begins.
fn start_of(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line - 1).map(str::len).sum()
}

/// Parses `text`, changing what does not parse.
pub(super) fn repair(text: &str) -> Repaired {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let mut repaired =
        Repaired { text: text.to_owned(), changed: BTreeSet::new(), finds: Vec::new(), bad: BTreeSet::new() };
    for _ in 0..ROUNDS {
        let (_, errors) = DeTable::parse_recoverable(&repaired.text);
        let (duplicates, mut broken): (Vec<_>, Vec<_>) =
            errors.iter().partition(|e| e.message() == DUPLICATE);
        if broken.is_empty() {
            for error in duplicates {
                repaired.duplicate(text, error);
            }
            return repaired;
        }
        broken.sort_by_key(|error| error.span().map(|span| span.start));
        for error in broken {
            if let Some((line, closer)) = unclosed(&repaired.text, &lines, error) {
                repaired.close(text, &mut lines, line, closer);
                // It swallowed what follows, so the rest is about nothing that was meant.
                break;
            }
            repaired.report(text, error);
            repaired.mend(&mut lines, error);
            if repaired.finds.len() >= MOST {
                return repaired.give_up("syntax: too much is wrong to go on");
            }
        }
        repaired.text = lines.join("\n");
    }
    repaired.give_up("syntax: the rest of the file cannot be read until this is right")
}

/// The line (from 1) at whose end a list or inline table should have ended, and with what, if the error comes of
/// its running on into the next key or table, or to the end of the file.
fn unclosed(text: &str, lines: &[String], error: &Error) -> Option<(usize, &'static str)> {
    let at = error.span()?.start;
    let number = line_of(text, at);
    let line = lines.get(number - 1)?;
    let header = Header::of(line);
    if error.message().starts_with("invalid multi-line") {
        return (1..=number).rev().find_map(|number| {
            let closer = ["\"\"\"", "\'\'\'"].into_iter().find(|mark| lines[number - 1].contains(mark))?;
            Some((number, closer))
        });
    }
    // `[proxy]` alone on its line is an element of the list above, if that runs on.
    let nested = header.as_ref().is_some_and(|header| header.brackets() == line.trim());
    let closer = match error.message() {
        m if m.starts_with("unclosed array table") => return None,
        m if m.contains("array elements") || m.contains("in array") || m.starts_with("unclosed array") => "]",
        m if m.starts_with("string values") && nested => "]",
        m if m.contains("key-value pairs") || m.contains("inline table") => "}",
        _ => return None,
    };
    let indent = line.len() - line.trim_start().len();
    let begins = indent >= at.saturating_sub(start_of(text, number));
    let runs_on = nested || begins && (line.contains('=') || header.is_some());
    if at < text.trim_end().len() && !runs_on {
        return None;
    }
    let last = if runs_on { number - 1 } else { number };
    (1..=last).rev().find(|number| !lines[number - 1].trim().is_empty()).map(|number| (number, closer))
}

impl Repaired {
    fn reported(&self, original: &str, line: usize) -> bool {
        self.finds.iter().any(|find| line_of(original, find.span.start) == line)
    }

    fn close(&mut self, original: &str, lines: &mut [String], number: usize, closer: &str) {
        let (noun, accepted) = match closer {
            "]" => ("list", "`]`, or `,` and what follows"),
            "}" => ("inline table", "`}`, or `,` and what follows"),
            _ => ("multi-line string", closer),
        };
        if !self.reported(original, number) {
            let end = start_of(original, number) + lines[number - 1].trim_end().len();
            self.finds.push(Find {
                span: end..end,
                what: format!("syntax: a {noun} is not closed"),
                accepted: Some(accepted.into()),
                fix: Some(format!("end the {noun} with `{closer}`")),
            });
        }
        if self.changed.insert(number) {
            lines[number - 1].push_str(closer);
        } else {
            lines[number - 1].clear();
        }
    }

    fn report(&mut self, text: &str, error: &Error) {
        let span = error.span().unwrap_or(0..0);
        let number = line_of(&self.text, span.start);
        if self.changed.contains(&number) || self.reported(text, number) {
            // After the first on a line the rest is guesswork.
            return;
        }
        let (what, expected) = match error.message().split_once(", expected ") {
            // Neither says anything to a reader.
            Some((what, "nothing" | "literal string")) => (what, None),
            Some((what, expected)) => (what, Some(Untrusted::new(expected).to_string())),
            None => (error.message(), None),
        };
        let what = match what {
            "invalid basic string" | "invalid literal string" => "the string is not closed",
            "key with no value" => "a key needs `=` and a value",
            "string values must be quoted" => "text stands in quotes",
            "unquoted keys cannot be empty" => "there is no name",
            other => other,
        };
        let begin = start_of(text, number);
        let mut find = Find {
            span: self.original(text, span.start)..self.original(text, span.end),
            what: format!("syntax: {}", Untrusted::new(what)),
            accepted: expected,
            fix: None,
        };
        let above: Vec<&str> = text.split('\n').take(number).collect();
        let (line, above) = above.split_last().map_or(("", &[][..]), |(line, above)| (*line, above));
        if let Some(header) = Header::of(line) {
            find.accepted = Some(accepted_tables());
            find.fix = Some(match header.name.as_str() {
                "" => "remove the line, or name a table".into(),
                _ => format!("write {}", header.brackets()),
            });
        } else {
            let header = above.iter().rev().find_map(|line| Header::of(line));
            let section = header.map(|h| h.name).unwrap_or_default();
            if let Some(name) = explain(&section, line, begin, &mut find) {
                self.bad.insert(if section == LISTEN { LISTEN.into() } else { name });
            }
        }
        find.fix.get_or_insert_with(|| "correct the line, or remove it".into());
        self.finds.push(find);
    }

    /// Leaves the rest unjudged, and says so at the last find.
    fn give_up(mut self, what: &str) -> Self {
        self.text.clear();
        self.finds.sort_by_key(|find| find.span.start);
        let span = self.finds.last().map_or(0..0, |find| find.span.clone());
        let fix = Some("see that this is the right file, and correct what is listed first".into());
        self.finds.push(Find { span, what: what.into(), accepted: None, fix });
        self
    }

    fn duplicate(&mut self, original: &str, error: &Error) {
        let span = error.span().unwrap_or(0..0);
        let name = self.text.get(span.clone()).unwrap_or_default();
        if self.changed.contains(&line_of(&self.text, span.start)) {
            return;
        }
        self.finds.push(Find {
            what: format!("{} is given a second time", quote(name)),
            span: self.original(original, span.start)..self.original(original, span.end),
            accepted: None,
            fix: Some("keep one of them".into()),
        });
    }

    /// Rewrites the header or blanks the line at which the error stands, or the nearest line above with
    /// something left on it.
    fn mend(&mut self, lines: &mut [String], error: &Error) {
        let at = line_of(&self.text, error.span().map_or(0, |span| span.start));
        let before = self.text.split('\n').nth(at - 1).unwrap_or_default();
        if lines.get(at - 1).is_none_or(|line| line != before) {
            // Mended for an earlier error of this round.
            return;
        }
        let Some(line) = (0..at).rev().find(|line| !lines[*line].trim().is_empty()) else { return };
        let first_time = self.changed.insert(line + 1);
        lines[line] = match Header::of(&lines[line]) {
            Some(header) if first_time => header.brackets(),
            _ => String::new(),
        };
    }
}

/// What a line that begins with a bracket was meant to be.
struct Header {
    name: String,
}

impl Header {
    fn of(line: &str) -> Option<Self> {
        let rest = line.trim_start().strip_prefix('[')?;
        let name = rest.trim_start_matches(['[', ' ', '\t', '"', '\'']);
        let end =
            name.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).unwrap_or(name.len());
        Some(Self { name: name[..end].to_owned() })
    }

    /// The header well formed, with the known section nearest to the name, else the name as it is.
    fn brackets(&self) -> String {
        let known = SECTIONS[1..].iter().map(|section| section.name).chain([LISTEN]);
        match nearest(&self.name, known).unwrap_or(&self.name) {
            LISTEN => format!("[[{LISTEN}]]"),
            "" => "[name]".into(),
            name => format!("[{name}]"),
        }
    }
}

/// Rewrites `find`, on a line of `section` that begins at byte `begin`, in terms of the line's key. Returns the key's
/// dotted name if it is a known one.
fn explain(section: &str, line: &str, begin: usize, find: &mut Find) -> Option<String> {
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name.trim(), value),
        None => line.trim().split_once([' ', '\t', ':']).unwrap_or((line.trim(), "")),
    };
    let name = name.trim_matches(['"', '\'']);
    let at = begin + line.len() - value.trim_start().len();
    let text = value.split('#').next().unwrap_or_default().trim();
    let value = Given { at, text, assigned: line.contains('=') };
    let known = SECTIONS.iter().find(|s| s.name == section);
    if let Some(key) = known.and_then(|s| s.keys.iter().find(|key| key.name == name)) {
        tell(key, &value, find);
    } else if let Some(key) = LISTEN_KEYS.iter().find(|key| section == LISTEN && key.name == name) {
        tell(key, &value, find);
    } else {
        return None;
    }
    Some(dotted(section, name))
}

/// What stands where a value should.
struct Given<'a> {
    at: usize,
    text: &'a str,
    /// Behind a `=`.
    assigned: bool,
}

fn tell<Root: Default>(key: &Key<Root>, value: &Given<'_>, find: &mut Find) {
    let mut root = Root::default();
    let default = (key.show)(&root);
    find.accepted = Some((key.accepted)());
    if value.text.is_empty() {
        find.what = format!("syntax: {} has no value", key.name);
        find.fix = Some(format!("write {} = {default}", key.name));
        return;
    }
    if !value.assigned {
        find.what = format!("syntax: there is no `=` behind {}", key.name);
        find.fix = Some(format!("write {} = {}", key.name, Untrusted::new(value.text)));
        return;
    }
    find.fix = Some(key.fallback());
    if value.text.starts_with(['[', '{']) {
        return;
    }
    if let Some(rest) = value.text.strip_prefix('=') {
        find.fix = Some(format!("write {} = {}", key.name, Untrusted::new(rest.trim_start())));
        return;
    }
    // Keys whose default is text take text; the others' values stand bare.
    if !value.text.starts_with(['"', '\'']) && default.starts_with('"') {
        find.what = format!("syntax: {} stands without quotes", quote(value.text));
        find.span = value.at..value.at + value.text.len();
    }
    let meant = Spanned::new(0..0, DeValue::String(value.text.trim_matches(['"', '\'']).into()));
    let better = match (key.read)(&mut root, &meant) {
        Ok(()) => Some(format!("write {} = {}", key.name, Untrusted::new(&(key.show)(&root)))),
        Err(problems) => problems.into_iter().find_map(|problem| problem.fix),
    };
    find.fix = better.or_else(|| find.fix.take());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::load::parse;

    fn places(text: &str) -> Vec<(usize, usize)> {
        parse(Path::new("f"), text).unwrap_err().places().flatten().collect()
    }

    #[test]
    fn leaves_what_parses() {
        let text = "a = 1\n[b]\nc = [\n1,\n2\n]\n";
        let repaired = repair(text);
        assert_eq!((repaired.text.as_str(), repaired.finds.len()), (text, 0));
    }

    #[test]
    fn judges_what_follows_a_broken_line() {
        let text = "[limits\nbody_bytes = 64MB\nconnections = 0\n[proxy]\nretries 3\nthreads = -1\n";
        assert_eq!(places(text), [(1, 8), (2, 14), (3, 15), (5, 9), (6, 11)]);
    }

    #[test]
    fn closes_what_is_not_closed() {
        let text = "[access]\nallowed_hosts = [\"a\",\n\n[proxy]\nretries = 999\n";
        assert_eq!(places(text), [(2, 22), (5, 11)]);
        assert_eq!(places("[access]\nallowed_hosts = [\"a\"\nmode = \"opne\"\n"), [(2, 21), (3, 8)]);
        assert_eq!(places("[access]\nallowed_hosts = [\"a\"\n"), [(2, 21)]);
        assert_eq!(places("control = { group = \"a\"\n[proxy]\nretries = 999\n"), [(1, 24), (3, 11)]);
    }

    #[test]
    fn a_missing_comma_is_no_missing_end() {
        assert_eq!(places("[access]\nallowed_hosts = [\n \"a\"\n \"b\",\n]\nmode = 1\n"), [(4, 2), (6, 8)]);
    }

    #[test]
    fn keys_on_broken_lines_cause_no_further_mistakes() {
        let text =
            "[[listen]]\naddress = \"0.0.0.0:80\"\n[access]\nallowed_hosts = [\"a\"]\ni_understand = yes\n";
        assert_eq!(places(text), [(5, 16)]);
    }

    #[test]
    fn gives_up_on_what_is_something_else() {
        let mistakes = parse(Path::new("f"), &"(lisp)\n".repeat(20_000)).unwrap_err();
        assert_eq!(mistakes.count(), MOST + 1);
        assert!(mistakes.to_string().contains("too much is wrong"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "([\\[\\]{}=\"',.#a-z0-9 \n]|limits|listen|\\[log\\]|body_bytes = |\\PC){0,80}") {
            if let Err(mistakes) = parse(Path::new("f"), &text) {
                prop_assert!(mistakes.count() > 0);
                let lines = text.split('\n').count();
                for (line, column) in mistakes.places().flatten() {
                    prop_assert!(line <= lines && column > 0, "{line}:{column}");
                }
                prop_assert!(!mistakes.to_string().is_empty());
            }
        }
    }
}
