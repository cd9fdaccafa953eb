//! Taking one member out of a JSON object, and leaving every other byte of it as it is.

use std::ops::Range;

use memchr::memmem;

use crate::api::json::{JsonError, Kind, Raw, Scanner, Sink};

/// `object` without the member `name` of it; None if it has none, or is no object.
pub(super) fn without(object: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(Find { name: name.as_bytes(), here: false, begun: None, value: None });
    scanner.feed(object).ok()?;
    let value = scanner.finish().ok()?.value?;
    let mut start = memmem::rfind(&object[..value.start], format!("\"{name}\"").as_bytes())?;
    let mut end = value.end;
    let after = object[end..].trim_ascii_start();
    if let Some(rest) = after.strip_prefix(b",") {
        end = object.len() - rest.trim_ascii_start().len();
    } else {
        // The last one goes with the comma before it.
        let before = object[..start].trim_ascii_end();
        start = before.strip_suffix(b",").unwrap_or(before).len();
    }
    Some([&object[..start], &object[end..]].concat())
}

/// Finds where the value of a member of the outermost object is.
struct Find<'a> {
    name: &'a [u8],
    /// The last key is its name.
    here: bool,
    begun: Option<usize>,
    value: Option<Range<usize>>,
}

impl Sink for Find<'_> {
    const TOLD: usize = 1;
    type Error = JsonError;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), JsonError> {
        self.here = depth == 1 && key.bytes == self.name;
        Ok(())
    }

    fn begin(&mut self, _: usize, _: Kind, at: usize) -> Result<bool, JsonError> {
        let here = std::mem::take(&mut self.here);
        if here {
            self.begun = Some(at);
        }
        Ok(here)
    }

    fn end(&mut self, depth: usize, _: Kind, end: usize, _: Option<Raw<'_>>) -> Result<(), JsonError> {
        if depth == 1
            && let Some(begun) = self.begun.take()
        {
            self.value = Some(begun..end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn every_other_byte_stays() {
        for (object, rest) in [
            (r#"{"usage":{"a":[1,{"usage":2}]}}"#, Some("{}")),
            (r#"{"a":1,"usage":null}"#, Some(r#"{"a":1}"#)),
            (r#"{"a": 1, "usage": {"b": 2}, "c" : 3 }"#, Some(r#"{"a": 1, "c" : 3 }"#)),
            (r#"{ "usage" : 7.5 , "c":3}"#, Some(r#"{ "c":3}"#)),
            (r#"{"a":"\"usage\":1" , "usage":"\"usage\"" }"#, Some(r#"{"a":"\"usage\":1"  }"#)),
            (r#"{"a":{"usage":{}}}"#, None),
            (r#"{"usage":{}"#, None),
            (r#"["usage",1]"#, None),
            ("[DONE]", None),
        ] {
            let got = without(object.as_bytes(), "usage").map(|rest| String::from_utf8(rest).unwrap());
            assert_eq!(got.as_deref(), rest, "{object}");
        }
    }
}
