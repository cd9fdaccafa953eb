//! Reading the members of an object one by one, and writing objects in their order. Schemas and arguments of tools stay
//! the text they are: models are sensitive to the order of keys, which a document tree would lose.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Refused;

/// The members of an object, as they stand in its text.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'a> Object<'a> {
    /// Reads the object that `text` is.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The object that `value` is.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn of(value: &'a RawValue) -> Result<Self, Refused> {
        Self::read(value.get().as_bytes()).ok_or(Refused::expected("", "an object"))
    }

    /// The member of this name, unless it is null. Of several the last one counts, as it does for the nodes.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(member, _)| member == name);
        found.map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    /// The text of a member, as JSON.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.get(name).map(RawValue::get)
    }

    fn read_as<T: Deserialize<'a>>(&self, name: &str, expected: &'static str) -> Result<Option<T>, Refused> {
        self.raw(name)
            .map(|text| serde_json::from_str(text).map_err(|_| Refused::expected(name, expected)))
            .transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Refused> {
        Ok(self.read_as::<Text<'a>>(name, "a string")?.map(|Text(text)| text))
    }

    /// A string that must be there.
    pub(super) fn needed(&self, name: &str) -> Result<Cow<'a, str>, Refused> {
        self.text(name)?.ok_or_else(|| Refused::expected(name, "a string"))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refused> {
        self.read_as(name, "true or false")
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Refused> {
        self.read_as(name, "an object")
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<&'a RawValue>, Refused> {
        Ok(self.read_as(name, "a list")?.unwrap_or_default())
    }

    /// Reads the entries of a list; what is wrong with one is said with its place.
    pub(super) fn each(
        &self,
        name: &str,
        mut read: impl FnMut(&'a RawValue) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        for (at, entry) in self.list(name)?.into_iter().enumerate() {
            read(entry).map_err(|refused| refused.within(&format!("{name}[{at}]")))?;
        }
        Ok(())
    }

    /// A number, as it was written.
    pub(super) fn number(&self, name: &str) -> Result<Option<&'a str>, Refused> {
        match self.raw(name) {
            Some(text) if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                Err(Refused::expected(name, "a number"))
            }
            number => Ok(number),
        }
    }

    /// Refuses what cannot be carried over, unless it asks for what happens anyway.
    pub(super) fn refuse(&self, names: &[&str]) -> Result<(), Refused> {
        let asks = |name: &&&str| {
            self.raw(name).is_some_and(|text| !matches!(text, "false" | "0" | "\"\"" | "[]" | "{}"))
        };
        names.iter().find(asks).map_or(Ok(()), |name| Err(Refused::not_carried(name)))
    }
}

/// The string that a value is, if it is one.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|Text(text)| text)
}

/// Writes JSON, member by member.
#[derive(Debug, Default)]
pub(super) struct Json(Vec<u8>);

impl Json {
    /// An object.
    pub(super) fn object(fill: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut json = Self::default();
        json.braces(fill);
        json.0
    }

    fn braces(&mut self, fill: impl FnOnce(&mut Self)) {
        self.0.push(b'{');
        fill(self);
        self.0.push(b'}');
    }

    fn comma(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }

    fn value(&mut self, value: impl Serialize) {
        // Memory takes all that is written, and nothing here has keys that are no strings.
        let _ = serde_json::to_writer(&mut self.0, &value);
    }

    fn key(&mut self, name: &str) {
        self.comma();
        self.value(name);
        self.0.push(b':');
    }

    /// A member.
    pub(super) fn put(&mut self, name: &str, value: impl Serialize) {
        self.key(name);
        self.value(value);
    }

    /// A member, if there is a value for it.
    pub(super) fn put_some(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// A member whose value is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.key(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    /// The same, if there is one.
    pub(super) fn raw_some(&mut self, name: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.raw(name, json);
        }
    }

    /// A member that is an object.
    pub(super) fn within(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.key(name);
        self.braces(fill);
    }

    /// A member that is a list.
    pub(super) fn list(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.key(name);
        self.0.push(b'[');
        fill(self);
        self.0.push(b']');
    }

    /// An object in a list.
    pub(super) fn item(&mut self, fill: impl FnOnce(&mut Self)) {
        self.comma();
        self.braces(fill);
    }

    /// Another value in a list.
    pub(super) fn entry(&mut self, value: impl Serialize) {
        self.comma();
        self.value(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_stand() {
        let text = br#"{"a":{"z":1,"b":2.50},"t":"x\ny","n":null,"f":false,"t":"last"}"#;
        let object = Object::read(text).unwrap();
        assert_eq!(object.raw("a"), Some(r#"{"z":1,"b":2.50}"#));
        assert_eq!(object.text("t").unwrap().as_deref(), Some("last"));
        assert_eq!((object.raw("n"), object.flag("f").unwrap()), (None, Some(false)));
        assert_eq!(object.number("t").unwrap_err().to_string(), "'t' is not a number");
        assert!(object.refuse(&["n", "f"]).is_ok() && object.refuse(&["a"]).is_err());
    }

    #[test]
    fn objects_are_written_in_order() {
        let json = Json::object(|json| {
            json.put("b", "\"");
            json.list("a", |list| {
                list.item(|item| item.raw("x", "{\"z\":1}"));
                list.entry(7);
                list.item(|_| {});
            });
            json.within("c", |json| json.put_some("none", None::<u8>));
        });
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"b":"\"","a":[{"x":{"z":1}},7,{}],"c":{}}"#);
    }
}
