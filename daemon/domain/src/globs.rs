//! Lists of model names with wildcards, as organizations and keys have them.

use std::{cmp::Reverse, sync::Arc};

use aivonx_protocol::{Untrusted, model_name::normalize_pattern};

use crate::model_name;

/// Longest pattern, bytes.
const PATTERN_MAX: usize = 256;
/// Most patterns in one list.
const PATTERNS_MAX: usize = 256;

/// Which models are allowed: those that match any of the patterns, or all without a pattern.
///
/// `*` stands for any number of characters, `/` and `:` included, `?` for one. Case does not count, and the
/// default registry and namespace may be left out. A pattern without a tag means the tag `latest`, as a name
/// does, unless it ends with `*`, which covers the tag too: `qwen3` is `qwen3:latest`, `qwen3*` is every
/// `qwen3` in every size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Globs(Option<Arc<[Box<str>]>>);

/// Why a list of patterns is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A pattern that no model can have.
    #[error(
        "model pattern '{}' is empty, longer than {PATTERN_MAX} bytes, or has spaces or control characters",
        Untrusted::new(.0).max(100)
    )]
    Pattern(String),
    /// Too many of them.
    #[error("{0} model patterns are more than the {PATTERNS_MAX} a list may have")]
    TooMany(usize),
}

impl Globs {
    /// Allows every model.
    pub const ALL: Self = Self(None);

    /// Compiles a list that is known to be good; of one that is not, the bad patterns match nothing.
    #[must_use]
    pub fn new(patterns: &[String]) -> Self {
        if patterns.is_empty() {
            return Self::ALL;
        }
        Self(Some(patterns.iter().map(|pattern| Self::normal(pattern)).collect()))
    }

    /// Whether a list may be kept.
    ///
    /// # Errors
    /// The first pattern that cannot be one, or that there are too many.
    pub fn check(patterns: &[String]) -> Result<(), GlobError> {
        if patterns.len() > PATTERNS_MAX {
            return Err(GlobError::TooMany(patterns.len()));
        }
        let wrong = |p: &&String| {
            let odd = |c: char| c.is_whitespace() || c.is_control();
            p.is_empty() || p.len() > PATTERN_MAX || p.contains(odd)
        };
        patterns.iter().find(wrong).map_or(Ok(()), |p| Err(GlobError::Pattern(p.clone())))
    }

    /// A pattern in the form in which names are compared: of two that mean the same it is the same.
    #[must_use]
    pub fn normal(pattern: &str) -> Box<str> {
        normalize_pattern(pattern).into()
    }

    /// Sorts patterns, the most specific first: by the characters that a name must have, so that a name counts more than
    /// a pattern that matches it.
    #[must_use]
    pub fn rank(pattern: &str) -> (Reverse<usize>, usize, Box<str>) {
        let normal = Self::normal(pattern);
        let wild = normal.chars().filter(|c| matches!(c, '*' | '?')).count();
        (Reverse(normal.chars().count() - wild), wild, normal)
    }

    /// Whether it allows every model.
    #[must_use]
    pub fn allow_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it allows nothing that `wider` does not. False where the patterns do not prove it.
    #[must_use]
    pub fn narrows(&self, wider: &Self) -> bool {
        let Some(wider) = &wider.0 else { return true };
        let Some(own) = &self.0 else { return false };
        own.iter().all(|glob| wider.iter().any(|wider| covers(wider, glob)))
    }

    /// Whether it allows the model of this name, as a client or a node writes it.
    #[must_use]
    pub fn allow(&self, model: &str) -> bool {
        self.allow_all() || model_name::with_normal(model, |normal| self.allow_normal(normal))
    }

    /// Whether it allows the model of this name in normal form.
    #[must_use]
    pub fn allow_normal(&self, normal: &str) -> bool {
        self.0.as_ref().is_none_or(|globs| globs.iter().any(|glob| matches(glob, normal)))
    }
}

/// Whether every text that `glob` matches is matched by `wider`. Says no of some that are, never yes of one that
/// is not: `wider` is matched against the text of `glob`, for whose stars only a star may stand.
fn covers(wider: &str, glob: &str) -> bool {
    run::<true>(wider, glob)
}

/// Whether `text` matches `glob`. Takes at most the product of their lengths: a star that was taken too short
/// is the only thing ever tried again, and only the last one.
fn matches(glob: &str, text: &str) -> bool {
    run::<false>(glob, text)
}

/// [`matches`], or with `COVERS` [`covers`].
fn run<const COVERS: bool>(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    // After the last star, and where the text was then.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                g += 1;
                star = Some((g, t));
            }
            Some(b'?') if !COVERS || text[t] != b'*' => {
                g += 1;
                t = next(text, t);
            }
            Some(byte) if *byte == text[t] && *byte != b'?' => {
                g += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = star else { return false };
                let from = next(text, from);
                (g, t) = (after, from);
                star = Some((after, from));
            }
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

/// Where the character after the one at `at` begins, in UTF-8.
fn next(text: &[u8], at: usize) -> usize {
    let goes_on = |byte: &u8| (*byte & 0b1100_0000) == 0b1000_0000;
    at + 1 + text[at + 1..].iter().take_while(|byte| goes_on(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::{Globs, covers, matches};

    fn globs(patterns: &[&str]) -> Globs {
        Globs::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_compare_as_models_do() {
        for pattern in
            ["llama3.2", "LLAMA3.2:latest", "library/llama3.2", "registry.ollama.ai/library/llama3.2"]
        {
            let globs = globs(&[pattern]);
            for name in ["llama3.2", "Llama3.2:LATEST", "registry.ollama.ai/library/llama3.2:latest"] {
                assert!(globs.allow(name), "{pattern} {name}");
            }
            for name in ["llama3.2:3b", "llama3", "evil/llama3.2", "llama3.2:latest2", "xllama3.2"] {
                assert!(!globs.allow(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn stars_and_question_marks() {
        let cases = [
            ("*", "anything/at:all", true),
            ("qwen3*", "qwen3:32b-q4", true),
            ("qwen3*", "Library/Qwen3-coder", true),
            ("qwen3*", "team/qwen3", false),
            ("qwen3:*", "qwen3", true),
            ("qwen3:*", "qwen3-coder", false),
            ("*-coder", "qwen3-coder", true),
            ("*-coder", "qwen3-coder:7b", false),
            ("*coder:?b", "qwen3-coder:7b", true),
            ("*coder:?b", "qwen3-coder:32b", false),
            ("hf.co/*/m*", "hf.co/Org/M-GGUF:Q4", true),
            ("hf.co/*/m*", "hf.co/m", false),
            ("m?n", "män", true),
            ("m??n", "män", false),
            ("a*b*c:latest", "aXbXbc", true),
            ("a*b*c:latest", "aXbXbd", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(globs(&[pattern]).allow(name), expected, "{pattern} {name}");
        }
        assert!(globs(&["a", "b"]).allow("b") && !globs(&["a", "b"]).allow("c"));
    }

    #[test]
    fn no_pattern_allows_all_and_a_bad_one_nothing() {
        assert!(globs(&[]).allow("x") && globs(&[]).allow_all());
        assert!(!globs(&[""]).allow("x"));
        assert!(!globs(&["a b"]).allow("a"));
        let check =
            |patterns: &[&str]| Globs::check(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
        assert!(check(&["llama*", "a/b:c"]).is_ok() && check(&[]).is_ok());
        assert!(
            check(&["ok", "a b"]).is_err() && check(&[""]).is_err() && check(&[&"x".repeat(300)]).is_err()
        );
        assert!(check(&["x"; 257]).is_err());
    }

    #[test]
    fn hostile_patterns_end() {
        let glob = "*a".repeat(120) + "b";
        assert!(!matches(&glob, &"a".repeat(4096)));
    }

    mod property {
        use proptest::prelude::*;

        use super::matches;

        /// The plain definition.
        fn slow(glob: &[char], text: &[char]) -> bool {
            match (glob.first(), text.first()) {
                (None, None) => true,
                (Some('*'), _) => slow(&glob[1..], text) || (!text.is_empty() && slow(glob, &text[1..])),
                (Some('?'), Some(_)) => slow(&glob[1..], &text[1..]),
                (Some(a), Some(b)) => a == b && slow(&glob[1..], &text[1..]),
                _ => false,
            }
        }

        proptest! {
            #[test]
            fn agrees_with_the_definition(glob in "[aä*?]{0,7}", text in "[aäb]{0,8}") {
                let chars = |s: &str| s.chars().collect::<Vec<_>>();
                prop_assert_eq!(matches(&glob, &text), slow(&chars(&glob), &chars(&text)));
            }
        }
    }

    #[test]
    fn a_narrower_list_is_told_from_a_wider_one() {
        let cases = [
            (&["*"][..], &["llama3.2", "qwen*", "*"][..], true),
            (&["qwen3*"], &["qwen3:8b", "qwen3.5*", "QWEN3", "library/qwen3:?b"], true),
            (&["qwen3"], &["qwen3:latest"], true),
            (&["qwen3:?b"], &["qwen3:8b", "qwen3:?b"], true),
            (&["a*", "b*"], &["b1", "a*z"], true),
            (&["a*c"], &["a*b*c", "abc"], true),
            (&["qwen3"], &["qwen3*"], false),
            (&["qwen3:?b"], &["qwen3:*b"], false),
            (&["qwen3*"], &["*"], false),
            (&["qwen3*"], &["qwen3", "llama"], false),
            (&["qwen3*"], &[], false),
        ];
        for (wider, narrower, expected) in cases {
            let found = globs(narrower).narrows(&globs(wider));
            assert_eq!(found, expected, "{wider:?} {narrower:?}");
        }
        assert!(globs(&["x"]).narrows(&Globs::ALL) && Globs::ALL.narrows(&Globs::ALL));
    }

    #[test]
    fn what_covers_matches_all_that_is_covered() {
        let pieces = ["a", "b", "*", "?"];
        let patterns: Vec<String> =
            (0..256_usize).map(|n| (0..4).map(|at| pieces[(n >> (2 * at)) & 3]).collect()).collect();
        let texts: Vec<String> = (0..64_usize)
            .map(|n| (0..6).map(|at| if (n >> at) & 1 == 0 { 'a' } else { 'b' }).collect::<String>())
            .flat_map(|text| (0..=6).map(move |end| text[..end].to_owned()))
            .collect();
        for wider in patterns.iter().step_by(3) {
            for glob in patterns.iter().step_by(5).filter(|glob| covers(wider, glob)) {
                for text in texts.iter().filter(|text| matches(glob, text)) {
                    assert!(matches(wider, text), "{wider} covers {glob}, not {text}");
                }
            }
        }
    }
}
