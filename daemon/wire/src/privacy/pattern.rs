//! Patterns of an organization's own, in prompts and answers.
//!
//! Each is compiled once, when it is made or the daemon begins. A match has a bounded length, so that an answer knows how
//! much of it has to wait; how much that is says a second automaton, which sees whether a match has begun.

use std::{
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use aivonx_protocol::privacy::PatternAction;
use regex::bytes::{Regex, RegexBuilder};
use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::dfa,
    nfa::thompson::{self, NFA},
    util::{pool::Pool, start},
};
use regex_syntax::{
    ParserBuilder,
    hir::{Hir, HirKind, Repetition},
};

use super::view::{self, Places};

/// Longest match, in bytes.
pub const LONGEST: usize = 1024;

/// Memory of a compiled pattern, and of its automaton.
const SIZE: usize = 1 << 20;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It is no regular expression.
    #[error("it is no regular expression: {0}")]
    Syntax(String),
    /// Its matches have no bound.
    #[error(
        "its matches may have any length; bound each repetition, such as [0-9]{{1,20}} in place of [0-9]+"
    )]
    Unbounded,
    /// They may be too long.
    #[error(
        "its matches may have {0} bytes, and {LONGEST} are searched at most; bound its repetitions closer"
    )]
    TooLong(usize),
    /// It matches everywhere.
    #[error("it matches the empty text, which is everywhere; ask for one character at least")]
    Empty,
    /// It takes too much memory.
    #[error("it is too large; bound its repetitions closer, or make several of it")]
    TooLarge,
}

/// A pattern, ready to be searched for.
#[derive(Debug)]
pub struct Pattern {
    pub(super) name: Arc<str>,
    regex: Regex,
    /// Says whether a match has begun, wherever words begin and end: what follows settles that.
    begun: dfa::DFA,
    /// Its states, as far as they were needed.
    caches: Pool<dfa::Cache, NewCache>,
    longest: usize,
    /// What stands in place of a match.
    pub(super) marker: Arc<str>,
    pub(super) action: PatternAction,
}

type NewCache = Box<dyn Fn() -> dfa::Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// The patterns of an organization.
pub type Patterns = [Pattern];

/// A match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match<'p> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) pattern: &'p Pattern,
}

/// The expression that finds any of `words`, each as a whole and in any case.
#[must_use]
pub fn of_words(words: &[String]) -> String {
    let bound =
        |at: Option<char>| if at.is_some_and(|c| c.is_alphanumeric() || c == '_') { r"\b" } else { "" };
    let whole = |word: &String| {
        format!(
            "{}{}{}",
            bound(word.chars().next()),
            // Answers break their lines anywhere.
            word.split_whitespace().map(regex_syntax::escape).collect::<Vec<_>>().join(r"\s{1,8}"),
            bound(word.chars().next_back())
        )
    };
    format!("(?i:{})", words.iter().map(whole).collect::<Vec<_>>().join("|"))
}

impl Pattern {
    /// Compiles an expression in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub fn new(
        name: &str,
        expression: &str,
        marker: &str,
        action: PatternAction,
    ) -> Result<Self, BadPattern> {
        let hir: Hir = ParserBuilder::new().nest_limit(64).build().parse(expression).map_err(|e| {
            // Its last line says why; those before show where.
            let text = e.to_string();
            let why = text.lines().last().unwrap_or_default();
            BadPattern::Syntax(why.strip_prefix("error: ").unwrap_or(why).to_owned())
        })?;
        let longest = match hir.properties().maximum_len() {
            None => return Err(BadPattern::Unbounded),
            Some(longest) if longest > LONGEST => return Err(BadPattern::TooLong(longest)),
            Some(longest) => longest,
        };
        if hir.properties().minimum_len() == Some(0) {
            return Err(BadPattern::Empty);
        }
        let regex = RegexBuilder::new(expression).size_limit(SIZE).dfa_size_limit(SIZE).build();
        let config = dfa::Config::new()
            .match_kind(MatchKind::All)
            .cache_capacity(SIZE)
            .skip_cache_capacity_check(true);
        let begun = NFA::compiler()
            .configure(thompson::Config::new().nfa_size_limit(Some(SIZE)))
            .build_from_hir(&without_looks(&hir))
            .ok()
            .and_then(|nfa| dfa::Builder::new().configure(config).build_from_nfa(nfa).ok());
        let (Ok(regex), Some(begun)) = (regex, begun) else { return Err(BadPattern::TooLarge) };
        let new = begun.clone();
        let caches = Pool::new(Box::new(move || new.create_cache()) as NewCache);
        Ok(Self { name: name.into(), regex, begun, caches, longest, marker: marker.into(), action })
    }

    /// Where a match may have begun that `text` does not hold whole, not before `from`.
    fn open(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut cache = self.caches.get();
        let from = from.max(text.len().saturating_sub(self.longest));
        (from..text.len()).find(|at| self.is_open(&mut cache, text, *at))
    }

    /// Whether a match that begins at `at` may go on behind the text. What the automaton cannot say may.
    fn is_open(&self, cache: &mut dfa::Cache, text: &[u8], at: usize) -> bool {
        let input = Input::new(text).span(at..text.len()).anchored(Anchored::Yes);
        let config = start::Config::from_input_forward(&input);
        let Ok(mut state) = self.begun.start_state(cache, &config) else { return true };
        for byte in &text[at..] {
            match self.begun.next_state(cache, state, *byte) {
                Ok(next) if next.is_dead() => return false,
                Ok(next) if !next.is_quit() => state = next,
                _ => return true,
            }
        }
        true
    }
}

/// The expression without what it asks of the places between characters.
fn without_looks(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            let sub = Box::new(without_looks(sub));
            Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub })
        }
        HirKind::Capture(capture) => without_looks(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(without_looks).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(without_looks).collect()),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
    }
}

/// What matches in a text, as it is written and as it is read: in order of the patterns.
pub(super) fn find<'p>(patterns: &'p Patterns, text: &[u8]) -> Vec<Match<'p>> {
    let mut found = Vec::new();
    let read = if patterns.is_empty() { None } else { view::read(text) };
    for pattern in patterns {
        found.extend(pattern.regex.find_iter(text).map(|one| Match {
            start: one.start(),
            end: one.end(),
            pattern,
        }));
        if let Some(read) = &read {
            let mut places = Places::new(text);
            found.extend(pattern.regex.find_iter(read).map(|one| {
                let range = places.range(one.range());
                Match { start: range.start, end: range.end, pattern }
            }));
        }
    }
    found
}

/// Whether any does more than count.
pub(super) fn act(patterns: &Patterns) -> bool {
    patterns.iter().any(|pattern| pattern.action != PatternAction::Detect)
}

/// How much of a text, from `from` on, no match can begin in any more that goes on behind it.
pub(super) fn settled(patterns: &Patterns, text: &[u8], from: usize) -> usize {
    if patterns.is_empty() {
        return text.len();
    }
    let written = patterns.iter().filter_map(|pattern| pattern.open(text, from)).min().unwrap_or(text.len());
    let behind = &text[from..];
    let Some(read) = view::read(behind) else { return written };
    let open = patterns.iter().filter_map(|pattern| pattern.open(&read, 0)).min();
    open.map_or(written, |at| written.min(from + Places::new(behind).range(at..at + 1).start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(expression: &str) -> Pattern {
        Pattern::new("own", expression, "[OWN]", PatternAction::Redact).unwrap()
    }

    fn found(patterns: &Patterns, text: &str) -> Vec<String> {
        find(patterns, text.as_bytes()).iter().map(|one| text[one.start..one.end].to_owned()).collect()
    }

    #[test]
    fn only_bounded_patterns_are_taken() {
        let bad = |expression: &str| {
            Pattern::new("own", expression, "[OWN]", PatternAction::Redact).map(|_| ()).unwrap_err()
        };
        for unbounded in ["a+", "a*b", "x{3,}", "(ab)+c", "foo.*bar"] {
            assert_eq!(bad(unbounded), BadPattern::Unbounded, "{unbounded}");
        }
        assert_eq!(bad("[a-z]{1,2000}"), BadPattern::TooLong(2000));
        assert_eq!(bad("a?"), BadPattern::Empty);
        assert!(matches!(bad("(a"), BadPattern::Syntax(_)));
        assert!(matches!(bad(r"(\pL{1,100}){1,2}"), BadPattern::TooLarge | BadPattern::TooLong(_)));
        pattern(r"E-[0-9]{6}");
        pattern(r"\b[A-Z]{2}\d{4,8}\b");
    }

    #[test]
    fn words_are_whole_and_in_any_case() {
        let words = of_words(&["falcon".into(), "C++".into(), "blue moon".into(), "größe".into()]);
        let patterns = [pattern(&words)];
        assert_eq!(
            found(&patterns, "Falcon FALCON falcons, C++; a Blue Moon, Größe!"),
            ["Falcon", "FALCON", "C++", "Blue Moon", "Größe"]
        );
        assert_eq!(found(&patterns, "fal\u{200b}con ｆａｌｃｏｎ"), ["fal\u{200b}con", "ｆａｌｃｏｎ"]);
    }

    #[test]
    fn what_is_not_ascii_is_not_open_and_places_are_asked_for_by_all_ways() {
        let patterns = [pattern(r"\bfoo\b|foobar\b|größe\b")];
        for (text, open) in [
            ("eine schöne Größe und mehr", ""),
            ("eine schöne grö", "grö"),
            ("the foob", "foob"),
            ("the foo", "foo"),
            ("the foo — ", ""),
        ] {
            let settled = settled(&patterns, text.as_bytes(), 0);
            assert_eq!(&text[settled..], open, "{text}");
        }
        assert_eq!(settled(&patterns, "the foo".as_bytes(), 6), 7);
    }

    #[test]
    fn what_may_go_on_is_open() {
        let patterns = [pattern("E-[0-9]{3,6}"), pattern(&of_words(&["falcon".into()]))];
        for (text, open) in [
            ("badge E-12", "E-12"),
            ("badge E-123456, a", ""),
            ("badge E-123", "E-123"),
            ("badge E-12 and", ""),
            ("the falc", "falc"),
            ("the falcon", "falcon"),
            ("the falcon is", ""),
            ("the falcons", ""),
            ("nothing of it", ""),
        ] {
            let settled = settled(&patterns, text.as_bytes(), 0);
            assert_eq!(&text[settled..], open, "{text}");
        }
    }
}
