use proptest::prelude::*;

use super::{JsonError, Kind, Raw, Scanner, Sink};
use crate::api::escape::unescape;

#[derive(Default)]
struct Keys(Vec<(usize, String)>);

impl Sink for Keys {
    type Error = JsonError;
    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), JsonError> {
        self.0.push((depth, unescape(key.bytes).unwrap_or_default()));
        Ok(())
    }
    fn begin(&mut self, _: usize, _: Kind, _: usize) -> Result<bool, JsonError> {
        Ok(true)
    }
    fn end(&mut self, _: usize, _: Kind, _: usize, _: Option<Raw<'_>>) -> Result<(), JsonError> {
        Ok(())
    }
}

fn keys(segments: &[&[u8]]) -> Result<Vec<(usize, String)>, JsonError> {
    let mut scanner = Scanner::new(Keys::default());
    for segment in segments {
        scanner.feed(segment)?;
    }
    scanner.finish().map(|k| k.0)
}

#[test]
fn keys_of_two_levels_are_told_wherever_the_segments_are_cut() {
    let body = br#" {"a\u0062":{"x":[{"deep":1}],"y":null},"c":-1.5e3,"d":"q\"\\","e":[]} "#;
    let whole = keys(&[body]).unwrap();
    assert_eq!(
        whole,
        [
            (1, "ab".into()),
            (2, "x".into()),
            (2, "y".into()),
            (1, "c".into()),
            (1, "d".into()),
            (1, "e".into())
        ]
    );
    for cut in 0..body.len() {
        assert_eq!(keys(&[&body[..cut], &body[cut..]]).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn refuses_what_is_not_one_json_value() {
    for bad in [
        "",
        " ",
        "{",
        "}",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "[1,]",
        "{\"a\":1}{}",
        "{\"a\":1} x",
        "{a:1}",
        "tru",
        "trux",
        "\"abc",
        "{\"a\":1]",
        "[1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "]",
    ] {
        assert!(keys(&[bad.as_bytes()]).is_err(), "{bad}");
    }
    let deep = "[".repeat(600);
    assert_eq!(keys(&[deep.as_bytes()]), Err(JsonError::Depth));
}

#[test]
fn numbers_are_those_of_rfc_8259() {
    for (number, wrong) in [
        ("123-45-6789", 3),
        ("123-45-6789.0", 3),
        ("4111-1111-1111-1111e0", 4),
        ("1.2.3", 3),
        ("--1", 1),
        ("1e", 2),
        ("1e+", 3),
        ("1e5e5", 3),
        ("1.", 2),
        ("1.e5", 2),
        ("-", 1),
        ("-.5", 1),
        ("01", 1),
        ("-01", 2),
        ("00", 1),
        ("1-", 1),
        ("1+1", 1),
        ("+1", 0),
        (".5", 0),
    ] {
        for (before, after) in
            [("[", "]"), ("{\"a\":", " }"), ("{\"a\":{\"b\":[{\"c\": ", ",1]}}}"), ("[1,", ",2]")]
        {
            let body = format!("{before}{number}{after}");
            let want = Err(JsonError::Syntax(before.len() + wrong));
            assert_eq!(keys(&[body.as_bytes()]), want, "{body}");
            let single: Vec<_> = body.as_bytes().chunks(1).collect();
            assert_eq!(keys(&single), want, "{body}");
        }
        assert!(keys(&[number.as_bytes()]).is_err(), "{number}");
    }
    for number in ["0", "-0", "0.0", "10", "-1.05e-07", "1E+9", "0e0", "123456789012345678901234567890"] {
        for body in
            [number.to_owned(), format!("[{number}]"), format!("{{\"a\":{number},\"b\":[ {number} ]}}")]
        {
            let single: Vec<_> = body.as_bytes().chunks(1).collect();
            assert!(keys(&[body.as_bytes()]).is_ok() && keys(&single).is_ok(), "{body}");
        }
    }
}

pub(super) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".*".prop_map(serde_json::Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn accepts_all_json(value in any_json(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        let cut = cut.index(text.len());
        prop_assert!(keys(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]).is_ok());
    }

    #[test]
    fn whatever_serde_accepts_is_accepted_and_nothing_panics(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\",:\\ntrue0-.eu \xc5\xbf".to_vec()), 0..40)) {
        let ours = keys(&[&bytes]).is_ok();
        let serde = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        prop_assert!(ours || !serde);
    }
}
