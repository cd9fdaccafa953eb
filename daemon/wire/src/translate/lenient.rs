//! What nodes answer, read leniently: a member of an odd type is read as what it stands for, or left out, so that it
//! costs nobody the answer around it.

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::api::escape::unescape;

/// A member that is left out where it cannot be read.
#[derive(Debug)]
pub(super) struct Lenient<T>(pub(super) Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

impl Lenient<Text> {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", |text| &text.0)
    }
}

impl Lenient<Count> {
    pub(super) fn or_zero(&self) -> u64 {
        self.0.map_or(0, |count| count.0)
    }
}

/// The entries of a list that can be read.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<&RawValue>::deserialize(deserializer)?;
        Ok(Self(entries.into_iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect()))
    }
}

/// A text: a string, the texts of a list of parts one after the other, or the JSON of anything else but null and false.
#[derive(Debug)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Part {
            text: String,
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if let Some(inner) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
            // Half of a character may come with the next piece, and is no reason to lose the others.
            return unescape(inner.as_bytes()).map(Self).ok_or_else(|| de::Error::custom("no escape"));
        }
        match serde_json::from_str::<Entries<Part>>(raw) {
            Ok(Entries(parts)) => Ok(Self(parts.into_iter().map(|part| part.text).collect())),
            Err(_) if matches!(raw, "null" | "false") => Err(de::Error::custom("there is no text")),
            Err(_) => Ok(Self(raw.to_owned())),
        }
    }
}

/// A count: a number, also as a string, rounded down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get().trim_matches('"');
        let count = raw.parse().ok().or_else(|| {
            let number: f64 = raw.parse().ok()?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds")]
            (0.0..=1e15).contains(&number).then_some(number as u64)
        });
        count.map(Self).ok_or_else(|| de::Error::custom("not a count"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        serde_json::from_str::<Lenient<Text>>(json).unwrap().0.map(|text| text.0)
    }

    fn count(json: &str) -> Option<u64> {
        serde_json::from_str::<Lenient<Count>>(json).unwrap().0.map(|count| count.0)
    }

    #[test]
    fn texts_are_read_in_any_form() {
        assert_eq!(text(r#""a\n""#).as_deref(), Some("a\n"));
        assert_eq!(
            text(r#"[{"type":"text","text":"a"},{"type":"image_url"},7,{"text":"b"}]"#).as_deref(),
            Some("ab")
        );
        assert_eq!(text(r#"{"city":"Paris"}"#).as_deref(), Some(r#"{"city":"Paris"}"#));
        assert_eq!(text("5").as_deref(), Some("5"));
        assert_eq!(text(r#""a\ud83d""#).as_deref(), Some("a\u{fffd}"));
        assert_eq!([text("null"), text("false")], [None, None]);
    }

    #[test]
    fn counts_are_read_in_any_form() {
        for (json, expected) in [
            ("3", Some(3)),
            ("3.7", Some(3)),
            (r#""3""#, Some(3)),
            (r#""3.0""#, Some(3)),
            ("-3", None),
            ("1e300", None),
            ("18446744073709551615", Some(u64::MAX)),
            (r#""many""#, None),
            ("null", None),
            ("[3]", None),
        ] {
            assert_eq!(count(json), expected, "{json}");
        }
    }

    #[test]
    fn odd_entries_are_left_out() {
        let Entries(entries) = serde_json::from_str::<Entries<u64>>(r#"[1,"x",null,{},2]"#).unwrap();
        assert_eq!(entries, [1, 2]);
    }
}
