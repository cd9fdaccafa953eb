//! What a password must not be.

use std::fmt;

use zxcvbn::{Score, zxcvbn};

/// Fewest characters.
pub const MIN_CHARACTERS: usize = 12;
/// Most bytes.
pub const MAX_BYTES: usize = 1024;
/// Shorter words of an attribute are in too many passwords by chance.
const MIN_WORD: usize = 4;
/// Characters a password must have beside an attribute's word it contains.
const MIN_REST: usize = 8;
/// Likeness from which a password counts as the attribute itself (1 is equal).
const ALIKE: f64 = 0.7;

/// What a password is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// User name.
    pub user: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Slug and name of the organization.
    pub organization: Vec<String>,
}

/// An attribute of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// User name.
    User,
    /// Name for people.
    DisplayName,
    /// E-mail address.
    Email,
    /// The organization's slug or name.
    Organization,
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user name",
            Self::DisplayName => "display name",
            Self::Email => "e-mail address",
            Self::Organization => "organization's name",
        })
    }
}

/// A rule that a password breaks; says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Fewer than [`MIN_CHARACTERS`].
    #[error("use at least {MIN_CHARACTERS} characters; this has {0}")]
    Short(usize),
    /// More than [`MAX_BYTES`].
    #[error("use at most {MAX_BYTES} bytes; this has {0}")]
    Long(usize),
    /// Digits alone.
    #[error("use more than digits")]
    Numeric,
    /// Close to what everybody knows of the user.
    #[error("do not make it from the {0}")]
    Like(Attribute),
    /// One of the common ones, or easily made from them.
    #[error(
        "choose one that is harder to guess: this is common, or made of what is; four unrelated words are good"
    )]
    Common,
}

/// Checks a password that is about to be set.
///
/// Common ones are found with zxcvbn's dictionaries (30 000 passwords, and words and names of several languages): a
/// password that it finds in less than 10^8 guesses is refused, so `Password12345!` is no better than `password`.
///
/// # Errors
/// Every rule that is broken.
pub fn check_rules(password: &str, context: &Context) -> Result<(), Vec<Rule>> {
    if password.len() > MAX_BYTES {
        // Nothing else is looked at: the other rules take time.
        return Err(vec![Rule::Long(password.len())]);
    }
    let mut broken = Vec::new();
    let characters = password.chars().count();
    if characters < MIN_CHARACTERS {
        broken.push(Rule::Short(characters));
    }
    let numeric = !password.is_empty() && password.chars().all(|c| c.is_numeric() || c.is_whitespace());
    if numeric {
        broken.push(Rule::Numeric);
    }
    let folded: Vec<char> = fold(password);
    let attributes = attributes(context);
    for (attribute, value) in &attributes {
        if like(&folded, value) && !broken.contains(&Rule::Like(*attribute)) {
            broken.push(Rule::Like(*attribute));
        }
    }
    // Of a short or numeric one it is known already.
    if broken.is_empty() {
        let known: Vec<&str> = attributes.iter().map(|(_, value)| *value).collect();
        if zxcvbn(password, &known).score() < Score::Three {
            broken.push(Rule::Common);
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}

/// Each attribute and each of its words.
fn attributes(context: &Context) -> Vec<(Attribute, &str)> {
    let mut all = vec![(Attribute::User, context.user.as_str())];
    all.extend(context.display_name.as_deref().map(|name| (Attribute::DisplayName, name)));
    all.extend(context.email.as_deref().map(|email| (Attribute::Email, email)));
    all.extend(context.organization.iter().map(|name| (Attribute::Organization, name.as_str())));
    let mut words = Vec::new();
    for (attribute, value) in all {
        words.push((attribute, value));
        words.extend(value.split(|c: char| !c.is_alphanumeric()).map(|word| (attribute, word)));
    }
    // More than any real value has; the comparisons below take time.
    words.truncate(64);
    words
}

/// Whether a folded password is nearly `value`, or has little beside it, forwards or backwards.
fn like(password: &[char], value: &str) -> bool {
    let value = fold(value);
    // A value longer than this is compared by its words.
    if value.len() < MIN_WORD || value.len() > 128 {
        return false;
    }
    let backwards: Vec<char> = value.iter().rev().copied().collect();
    [value, backwards].iter().any(|value| {
        let contains = password.windows(value.len()).any(|window| window == &value[..]);
        let near = || {
            let (password, value): (String, String) = (password.iter().collect(), value.iter().collect());
            strsim::normalized_damerau_levenshtein(&password, &value) >= ALIKE
        };
        (contains && password.len() - value.len() < MIN_REST) || (password.len() <= 2 * value.len() && near())
    })
}

/// Lower case, letters and digits alone, the usual stand-ins for letters undone.
fn fold(text: &str) -> Vec<char> {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            c => c,
        })
        .filter(|c| c.is_alphanumeric())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Context {
        Context {
            user: "alice.liddell".into(),
            display_name: Some("Alice Pleasance Liddell".into()),
            email: Some("a.liddell@wonderland.example".into()),
            organization: vec!["looking-glass".into(), "Looking Glass Ltd".into()],
        }
    }

    fn broken(password: &str) -> Vec<Rule> {
        check_rules(password, &alice()).err().unwrap_or_default()
    }

    #[test]
    fn good_ones_are_taken() {
        for good in [
            "correct horse battery staple",
            "kettle-orbit-ninety-fjord",
            "dW4#kq09Zr!x",
            "Schifffahrtsgesellschaftskapitän",
            "пароль-который-никто-не-угадает",
            // Contains a word of an attribute, and enough beside it.
            "alice fell down a rabbit hole",
            &"dW4#kq09Zr!x".repeat(85),
        ] {
            assert_eq!(broken(good), [], "{good}");
        }
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(broken(""), [Rule::Short(0)]);
        assert_eq!(broken("dW4#kq09Zr!"), [Rule::Short(11)]);
        assert_eq!(broken("ÿþýüûúùø"), [Rule::Short(8)]);
        assert_eq!(broken(&"dW4#kq09Zr!x".repeat(86)), [Rule::Long(1032)]);
        assert_eq!(broken(&"é".repeat(1 << 20)), [Rule::Long(2 << 20)]);
    }

    #[test]
    fn digits_alone_are_refused() {
        for digits in ["902718364527", "9027 1836 4527 1199", "９０２７１８３６４５２７"] {
            assert_eq!(broken(digits), [Rule::Numeric], "{digits}");
        }
        assert_eq!(broken("12345"), [Rule::Short(5), Rule::Numeric]);
    }

    #[test]
    fn what_is_like_an_attribute_is_refused_and_named() {
        for (password, attribute) in [
            ("alice.liddell", Attribute::User),
            ("Alice_Liddell1", Attribute::User),
            ("l1dd3ll.4lice", Attribute::User),
            ("lleddil.ecila", Attribute::User),
            ("liddell-2026!", Attribute::User),
            ("alicepleasanceliddel", Attribute::DisplayName),
            ("Pleasance#9!", Attribute::DisplayName),
            ("wonderland2026", Attribute::Email),
            ("a.liddell@wonderland.example", Attribute::Email),
            ("LookingGlass77", Attribute::Organization),
        ] {
            assert!(broken(password).contains(&Rule::Like(attribute)), "{password}: {:?}", broken(password));
        }
    }

    #[test]
    fn common_ones_and_what_is_made_of_them_are_refused() {
        for common in [
            "password1234",
            "Password12345!",
            "qwertyuiop[]",
            "1qaz2wsx3edc",
            "iloveyouiloveyou",
            "aaaaaaaaaaaa",
            "abcdefghijkl",
            "passwordpassword",
            "P@ssw0rdP@ssw0rd",
            "administrator",
        ] {
            assert_eq!(broken(common), [Rule::Common], "{common}");
        }
    }

    #[test]
    fn every_rule_says_what_to_do() {
        for (rule, text) in [
            (Rule::Short(7), "use at least 12 characters; this has 7"),
            (Rule::Long(2000), "use at most 1024 bytes; this has 2000"),
            (Rule::Like(Attribute::Email), "do not make it from the e-mail address"),
        ] {
            assert_eq!(rule.to_string(), text);
        }
    }

    #[test]
    fn hostile_text_takes_no_time_worth_mentioning() {
        let began = std::time::Instant::now();
        for text in ["a4@8({[<6gx%!|1i9$5s7+z2", "aA", "1!iI", "qwerty", "ab1", "\u{0}\u{fffd}", "ŀ·"] {
            let long: String = text.chars().cycle().take(500).collect();
            let _ = check_rules(&long, &alice());
        }
        // Far above what it takes: only an explosion is caught.
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }
}
