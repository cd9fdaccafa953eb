//! What `/` takes: words, regular expressions and fields, all of which must fit; with `!` before them, none
//! of what fits is shown.
//!
//! | typed | shows |
//! |---|---|
//! | `gpu` | what has `gpu` in it; capitals matter only where there are some |
//! | `gpu[12] time` | what has both |
//! | `node:gpu1` | what has this in the field `node` |
//! | `status:>=500` | what has a number at least that large in the field |
//! | `status=500` | log lines in which this is printed |
//! | `"a b"` | what has this with the blank |
//! | `!llama` | everything else |

use regex::{Regex, RegexBuilder};

/// Largest compiled expression, in bytes: enough for what people type, little for what they paste.
const SIZE: usize = 1 << 18;

/// What can be searched.
pub(crate) trait Subject {
    /// The value of a field, if there is such a field.
    fn field(&self, name: &str) -> Option<String>;
    /// Whether `test` holds for any of its texts.
    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool;
    /// Whether `test` holds for any field as `name=value`, if that is how fields are shown.
    fn any_pair(&self, _test: &mut dyn FnMut(&str) -> bool) -> bool {
        false
    }
}

/// A filter that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    text: String,
    inverse: bool,
    terms: Vec<Term>,
}

/// One of the words it is made of.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    /// The field whose value has to fit; None is any text.
    field: Option<String>,
    test: Test,
    /// Whether it may be part of `name=value`, which is looked at only then.
    pair: bool,
}

#[derive(Debug, Clone)]
enum Test {
    Text(Regex),
    Number(Order, f64),
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Filter {
    /// Reads a filter; None for blanks alone.
    ///
    /// # Errors
    /// A sentence that names what is wrong with which part.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        let (inverse, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        let terms = words(rest)
            .into_iter()
            .map(|(word, quoted)| if quoted { anywhere(&regex::escape(&word)) } else { term(&word) })
            .collect::<Result<Vec<_>, _>>()?;
        Ok((!terms.is_empty()).then(|| Self { text: text.to_owned(), inverse, terms }))
    }

    /// As it was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The words, for who looks at many texts at once.
    pub(crate) fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether what fits is not to be shown.
    pub(crate) fn is_inverse(&self) -> bool {
        self.inverse
    }

    /// Whether `subject` is to be shown.
    pub(crate) fn shows(&self, subject: &impl Subject) -> bool {
        self.terms.iter().all(|term| term.fits(subject)) != self.inverse
    }

    /// The places in `text` to draw attention to, as ranges of bytes.
    pub(crate) fn found(&self, text: &str) -> Vec<(usize, usize)> {
        if self.inverse {
            return Vec::new();
        }
        let mut places: Vec<(usize, usize)> = self
            .terms
            .iter()
            .filter_map(|term| match &term.test {
                Test::Text(regex) => Some(regex),
                Test::Number(..) => None,
            })
            .flat_map(|regex| regex.find_iter(text).map(|found| (found.start(), found.end())))
            .filter(|(from, to)| from < to)
            .collect();
        places.sort_unstable();
        places.dedup_by(|next, before| {
            let overlaps = next.0 < before.1;
            if overlaps {
                before.1 = before.1.max(next.1);
            }
            overlaps
        });
        places
    }
}

impl Term {
    fn fits(&self, subject: &impl Subject) -> bool {
        match &self.field {
            None => {
                let fits = &mut |text: &str| self.fits_text(text);
                subject.any(fits) || (self.pair && subject.any_pair(fits))
            }
            Some(name) => subject.field(name).is_some_and(|value| self.fits_text(&value)),
        }
    }

    /// The field whose value has to fit; None is any text.
    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Whether fields are looked at as `name=value`, too.
    pub(crate) fn is_pair(&self) -> bool {
        self.pair
    }

    /// Whether a text fits.
    pub(crate) fn fits_text(&self, text: &str) -> bool {
        match &self.test {
            Test::Text(regex) => regex.is_match(text),
            Test::Number(order, wanted) => text.trim().parse::<f64>().is_ok_and(|value| match order {
                Order::Less => value < *wanted,
                Order::AtMost => value <= *wanted,
                Order::More => value > *wanted,
                Order::AtLeast => value >= *wanted,
            }),
        }
    }
}

/// Any text that this is found in.
fn anywhere(text: &str) -> Result<Term, String> {
    pattern(text).map(|regex| Term { field: None, test: Test::Text(regex), pair: text.contains('=') })
}

/// Splits at blanks; what stands in double quotes stays together. The flag says whether a word was quoted.
fn words(text: &str) -> Vec<(String, bool)> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, quoted, after) = match rest.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
            Some((inner, after)) => (inner, true, after),
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (&rest[..end], false, &rest[end..])
            }
        };
        if !word.is_empty() {
            words.push((word.to_owned(), quoted));
        }
        rest = after.trim_start();
    }
    words
}

fn term(word: &str) -> Result<Term, String> {
    let named = |name: &str| {
        !name.is_empty()
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.')
    };
    let Some((name, value)) = word.split_once(':').filter(|(name, value)| named(name) && !value.is_empty())
    else {
        return anywhere(word);
    };
    let orders = [(">=", Order::AtLeast), ("<=", Order::AtMost), (">", Order::More), ("<", Order::Less)];
    let ordered = orders.iter().find_map(|(sign, order)| Some((order, value.strip_prefix(sign)?)));
    let test = match ordered {
        Some((order, number)) => {
            let number = number.parse().map_err(|_| format!("\"{number}\" in {word} is no number"))?;
            Test::Number(*order, number)
        }
        None => Test::Text(pattern(value)?),
    };
    Ok(Term { field: Some(name.to_owned()), test, pair: false })
}

fn pattern(text: &str) -> Result<Regex, String> {
    // A name like qwen3:8b has no capitals, and neither has what one types in a hurry.
    let exact = text.chars().any(char::is_uppercase);
    RegexBuilder::new(text).case_insensitive(!exact).size_limit(SIZE).build().map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("\"{text}\" is no regular expression: {why}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(&'static [(&'static str, &'static str)]);

    impl Subject for Row {
        fn field(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }
        fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
            self.0.iter().any(|(_, value)| test(value))
        }
    }

    const ROW: Row = Row(&[("node", "gpu1"), ("status", "502"), ("model", "Qwen3:8b"), ("text", "no route")]);

    #[test]
    fn every_form() {
        for (text, shows) in [
            ("gpu", true),
            ("GPU", false),
            ("qwen", true),
            ("Qwen", true),
            ("gpu[12] route", true),
            ("gpu1 gone", false),
            ("node:gpu1", true),
            ("node:^gpu$", false),
            ("status:>=500", true),
            ("status:<500", false),
            ("status:>502", false),
            ("status:<=502", true),
            ("model:qwen3:8b", true),
            ("absent:x", false),
            ("!gpu", false),
            ("! gone", true),
            ("\"no route\"", true),
            ("\"no  route\"", false),
            ("\"gpu[12]\"", false),
        ] {
            let filter = Filter::parse(text).unwrap().unwrap();
            assert_eq!(filter.shows(&ROW), shows, "{text}");
        }
    }

    #[test]
    fn nothing_is_no_filter() {
        for text in ["", "  ", "!", "\"\""] {
            assert!(Filter::parse(text).unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Filter::parse("(").unwrap_err().contains("regular expression"));
        assert!(Filter::parse("status:>=many").unwrap_err().contains("many"));
        assert!(Filter::parse("a{99999}{99999}").is_err());
        // A lone quote is what it is.
        assert!(Filter::parse("\"open").unwrap().is_some());
    }

    #[test]
    fn what_was_found_is_shown() {
        let places = |text: &str, within: &str| Filter::parse(text).unwrap().unwrap().found(within);
        assert_eq!(places("gpu", "a gpu, a GPU"), [(2, 5), (9, 12)]);
        assert_eq!(places("a+ aa", "caaa"), [(1, 4)], "places do not overlap");
        assert_eq!(places("!gpu", "a gpu"), []);
        assert_eq!(places("x*", "abc"), [], "nothing is no place");
    }
}
