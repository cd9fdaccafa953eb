//! Kinds of values: how each is read from the file, written back, and what it accepts.

use std::{fmt, net::SocketAddr, ops::Range, time::Duration};

use toml::{Spanned, de::DeValue};

use super::{
    mistake::quote,
    units::{self, UnitError},
};

/// A value of the file with its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// How values of a key become `T`.
pub(super) trait Kind<T> {
    /// The value, or everything that is wrong with it.
    fn read(&self, value: &Value<'_>) -> Result<T, Vec<Problem>>;
    /// In the file's notation.
    fn show(&self, value: &T) -> String;
    /// What is accepted, as it continues "accepted: ".
    fn accepted(&self) -> String;
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where, if not the whole value (an element of a list).
    pub(super) span: Option<Range<usize>>,
    /// Continues the key's name (`is ...`).
    pub(super) what: String,
    /// What to do; else what is accepted says enough.
    pub(super) fix: Option<String>,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { span: None, what: what.into(), fix: None }
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(super) fn one<T>(self) -> Result<T, Vec<Self>> {
        Err(vec![self])
    }
}

/// "is a string, not ...".
pub(super) fn wrong_type(value: &DeValue<'_>, wanted: &str) -> Problem {
    let article = if matches!(value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
    Problem::new(format!("is {article} {}, not {wanted}", value.type_str()))
}

/// A string in the file's notation.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    value.as_integer().and_then(|i| i128::from_str_radix(i.as_str(), i.radix()).ok())
}

/// The texts are in the file's notation.
fn out_of_range(shown: &str, min: &str, max: &str, below: bool) -> Problem {
    if below {
        Problem::new(format!("is {shown}, less than the least allowed, {min}"))
            .fix(format!("write {min} or more"))
    } else {
        Problem::new(format!("is {shown}, more than the most allowed, {max}"))
            .fix(format!("write {max} or less"))
    }
}

/// A whole number in a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u32, pub(super) u32);

impl<T: TryFrom<u32> + Copy + fmt::Display> Kind<T> for Count {
    fn read(&self, value: &Value<'_>) -> Result<T, Vec<Problem>> {
        let value = value.get_ref();
        let Some(number) = integer(value) else {
            let problem = wrong_type(value, "a whole number");
            let unquoted = value.as_str().and_then(|s| s.trim().parse::<u32>().ok());
            return match unquoted {
                Some(n) => problem.fix(format!("write {n}, without quotes")).one(),
                None => problem.one(),
            };
        };
        u32::try_from(number)
            .ok()
            .filter(|n| (self.0..=self.1).contains(n))
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| {
                let below = number < i128::from(self.0);
                vec![out_of_range(&number.to_string(), &self.0.to_string(), &self.1.to_string(), below)]
            })
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }

    fn accepted(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }
}

/// A number of bytes in a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) u64, pub(super) u64);

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Kind<T> for Size {
    fn read(&self, value: &Value<'_>) -> Result<T, Vec<Problem>> {
        let bytes = match value.get_ref() {
            DeValue::String(text) => {
                units::parse_size(text).map_err(|e| vec![unit_problem(text, e, "size")])?
            }
            value => match integer(value) {
                Some(n) if n < 0 => return Problem::new(format!("is {n}, less than nothing")).one(),
                Some(n) => u64::try_from(n).unwrap_or(u64::MAX),
                None => return wrong_type(value, "a size").one(),
            },
        };
        Some(bytes).filter(|b| (self.0..=self.1).contains(b)).and_then(|b| T::try_from(b).ok()).ok_or_else(
            || {
                let show = |bytes| quoted(&units::show_size(bytes));
                vec![out_of_range(&show(bytes), &show(self.0), &show(self.1), bytes < self.0)]
            },
        )
    }

    fn show(&self, value: &T) -> String {
        quoted(&units::show_size((*value).try_into().unwrap_or(u64::MAX)))
    }

    fn accepted(&self) -> String {
        format!(
            "a size from \"{}\" to \"{}\" (B, KiB, MiB, GiB, TiB), or a number of bytes",
            units::show_size(self.0),
            units::show_size(self.1)
        )
    }
}

/// A duration in a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    min: Duration,
    max: Duration,
    none: bool,
}

impl Time {
    pub(super) const fn from(min: Duration, max: Duration) -> Self {
        Self { min, max, none: false }
    }

    /// Zero, which means none, is accepted too.
    pub(super) const fn or_none(self) -> Self {
        Self { none: true, ..self }
    }
}

impl Kind<Duration> for Time {
    fn read(&self, value: &Value<'_>) -> Result<Duration, Vec<Problem>> {
        let time = match value.get_ref() {
            DeValue::String(text) => {
                units::parse_time(text).map_err(|e| vec![unit_problem(text, e, "duration")])?
            }
            value => {
                let problem = wrong_type(value, "a duration");
                return match integer(value) {
                    Some(0) if self.none || self.min.is_zero() => problem.fix("write \"0\""),
                    Some(n) if n > 0 => problem.fix(format!("write \"{n}s\" if seconds are meant")),
                    _ => problem,
                }
                .one();
            }
        };
        if self.none && time.is_zero() || (self.min..=self.max).contains(&time) {
            return Ok(time);
        }
        let show = |time| quoted(&units::show_time(time));
        out_of_range(&show(time), &show(self.min), &show(self.max), time < self.min).one()
    }

    fn show(&self, value: &Duration) -> String {
        quoted(&units::show_time(*value))
    }

    fn accepted(&self) -> String {
        let (min, max) = (units::show_time(self.min), units::show_time(self.max));
        let none = if self.none { ", or \"0\" for none" } else { "" };
        format!("a duration from \"{min}\" to \"{max}\" (ms, s, min, h, d){none}")
    }
}

fn unit_problem(text: &str, error: UnitError, noun: &str) -> Problem {
    let shown = quote(text);
    match error {
        UnitError::Shape => Problem::new(format!("is {shown}, which is no {noun}")),
        UnitError::TooLarge => Problem::new(format!("is {shown}, which is too large to count")),
        UnitError::NoUnit(n) => {
            let unit = if noun == "size" { "B" } else { "s" };
            Problem::new(format!("is {shown}, without a unit"))
                .fix(format!("write \"{n}{unit}\" if that is meant"))
        }
        UnitError::Unit { unit, meant } => {
            let problem =
                Problem::new(format!("is {shown}, but there is no unit {} of a {noun}", quote(&unit)));
            match meant {
                Some(meant) => problem.fix(format!("write \"{meant}\"")),
                None => problem,
            }
        }
    }
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag;

impl Kind<bool> for Flag {
    fn read(&self, value: &Value<'_>) -> Result<bool, Vec<Problem>> {
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Ok(*flag);
        }
        let problem = wrong_type(value.get_ref(), "true or false");
        let word = value.get_ref().as_str().map(str::to_lowercase);
        match word.as_deref() {
            Some("true" | "yes" | "on" | "1") => problem.fix("write true, without quotes").one(),
            Some("false" | "no" | "off" | "0") => problem.fix("write false, without quotes").one(),
            _ => problem.one(),
        }
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }

    fn accepted(&self) -> String {
        "true or false".into()
    }
}

/// Types with a word for each value.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Every value with its word in the file.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneOf;

impl<T: Word> Kind<T> for OneOf {
    fn read(&self, value: &Value<'_>) -> Result<T, Vec<Problem>> {
        let Some(word) = value.get_ref().as_str() else {
            return wrong_type(value.get_ref(), "one of the accepted words").one();
        };
        if let Some((_, known)) = T::WORDS.iter().find(|(known, _)| *known == word) {
            return Ok(*known);
        }
        let problem = Problem::new(format!("is {}, which is none of the accepted words", quote(word)));
        match super::suggest::nearest(word, T::WORDS.iter().map(|(word, _)| *word)) {
            Some(near) => problem.fix(format!("did you mean \"{near}\"?")).one(),
            None => problem.one(),
        }
    }

    fn show(&self, value: &T) -> String {
        T::WORDS.iter().find(|(_, known)| known == value).map(|(word, _)| quoted(word)).unwrap_or_default()
    }

    fn accepted(&self) -> String {
        T::WORDS.iter().map(|(word, _)| quoted(word)).collect::<Vec<_>>().join(", ")
    }
}

/// The same, or none, which is the empty string.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneOfOrNone;

impl<T: Word> Kind<Option<T>> for OneOfOrNone {
    fn read(&self, value: &Value<'_>) -> Result<Option<T>, Vec<Problem>> {
        match value.get_ref().as_str() {
            Some("") => Ok(None),
            _ => OneOf.read(value).map(Some),
        }
    }

    fn show(&self, value: &Option<T>) -> String {
        value.as_ref().map_or_else(|| quoted(""), |word| OneOf.show(word))
    }

    fn accepted(&self) -> String {
        format!("{}, or \"\" as if it were left out", Kind::<T>::accepted(&OneOf))
    }
}

/// An IP address with a port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address;

impl Kind<SocketAddr> for Address {
    fn read(&self, value: &Value<'_>) -> Result<SocketAddr, Vec<Problem>> {
        let Some(text) = value.get_ref().as_str() else {
            return wrong_type(value.get_ref(), "an address").one();
        };
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let problem = Problem::new(format!("is {}, which is no IP address with a port", quote(text)));
        match address_meant(text) {
            Some(meant) => problem.fix(format!("write \"{meant}\"")).one(),
            None => problem.one(),
        }
    }

    fn show(&self, value: &SocketAddr) -> String {
        quoted(&value.to_string())
    }

    fn accepted(&self) -> String {
        "an IP address and a port, such as \"127.0.0.1:11435\", \"[::1]:11435\", \"0.0.0.0:11435\" (port 0: any free one)".into()
    }
}

/// The address that was likely meant by a text that does not parse as one.
fn address_meant(text: &str) -> Option<SocketAddr> {
    let text = text.trim().trim_start_matches("http://").trim_end_matches('/');
    let text = text.replacen("localhost", "127.0.0.1", 1);
    let text =
        if text.starts_with([':', '*']) { format!("0.0.0.0{}", text.trim_start_matches('*')) } else { text };
    let bare = text.trim_matches(['[', ']']);
    text.parse().ok().or_else(|| bare.parse().ok().map(|ip| SocketAddr::new(ip, 11435)))
}
