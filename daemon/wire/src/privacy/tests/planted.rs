//! Everything that a node reads was searched: secrets are planted anywhere in bodies, in any spelling that JSON has,
//! and what goes out is exactly what came in with markers in their places.

use proptest::prelude::*;
use serde_json::Value;

use super::{privacy, redact};
use crate::{
    api::Edits,
    privacy::{Blocked, screen},
};
use aivonx_protocol::organization::PrivacyMode;

/// What is planted: as text, what no string of the body may hold afterwards, and its marker.
const SECRETS: [(&str, &str, &str); 23] = [
    ("bob@example.com", "bob@", "[REDACTED_EMAIL]"),
    ("иван@example.com", "иван", "[REDACTED_EMAIL]"),
    ("b\u{200b}ob@exa\u{ad}mple.com", "mple.com", "[REDACTED_EMAIL]"),
    ("bob＠example．com", "bob", "[REDACTED_EMAIL]"),
    ("4111 1111 1111 1111", "1111", "[REDACTED_CARD]"),
    ("4111111111111111", "1111", "[REDACTED_CARD]"),
    ("4111.1111.1111.1111", "1111", "[REDACTED_CARD]"),
    ("４１１１１１１１１１１１１１１１", "１", "[REDACTED_CARD]"),
    ("41111\u{feff}11111111111", "1111", "[REDACTED_CARD]"),
    ("123-45-6789", "6789", "[REDACTED_SSN]"),
    ("123/45/6789", "6789", "[REDACTED_SSN]"),
    ("123\u{2011}45\u{2011}6789", "6789", "[REDACTED_SSN]"),
    ("123\u{1f}45\u{1f}6789", "6789", "[REDACTED_SSN]"),
    ("123\u{2043}45\u{2043}6789", "6789", "[REDACTED_SSN]"),
    ("123ー45ー6789", "6789", "[REDACTED_SSN]"),
    ("123&dash;45&dash;6789", "6789", "[REDACTED_SSN]"),
    ("12\u{fffd}3-45-6789", "6789", "[REDACTED_SSN]"),
    ("4.111111111111111e15", "1111", "[REDACTED_CARD]"),
    ("4111\u{85}1111\u{85}1111\u{85}1111", "1111", "[REDACTED_CARD]"),
    ("+1 555 123 4567", "4567", "[REDACTED_PHONE]"),
    ("555-123-4567", "4567", "[REDACTED_PHONE]"),
    ("sk-1234567890abcdefghij1", "abcdef", "[REDACTED_KEY]"),
    ("-----BEGIN PRIVATE KEY-----\nMIIB\"\\\nAAAA\n-----END PRIVATE KEY-----", "MIIB", "[REDACTED_KEY]"),
];

/// Values that are found by their names only: the names in many spellings, a value, and its marker.
const TOLD: [(&[&str], &str, &str); 3] = [
    (
        &["ssn", "ｓｓｎ", "ss\u{200b}n", "ssn]", "customerSSN", "social security number"],
        "123456789",
        "[REDACTED_SSN]",
    ),
    (
        &["phone", "Phone No.", "the telephone number that was given to us at the desk"],
        "5551234567",
        "[REDACTED_PHONE]",
    ),
    (
        &["token", "api key", "ｔｏｋｅｎ", "X-Auth-Token"],
        "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
        "[REDACTED_KEY]",
    ),
];

/// Where such a name and a value may stand: `@` is the name, `$` the value.
const TELLING: [&str; 7] = [
    r#"{"@":"$"}"#,
    r#"{"@" : ["x", "$"]}"#,
    r#"{"@":{"v":"$"}}"#,
    r#"{"@":[{"a":{"b":"$"}}]}"#,
    r#"{"name":"@","value":"$"}"#,
    r#"["@","$"]"#,
    r#"[["@"],["$"]]"#,
];

/// The same as numbers.
const NUMBERS: [&str; 8] = [
    "4111111111111111",
    "-4111111111111111",
    "4111111111111111.0",
    "4111111111111111.5",
    "4111111111111111e0",
    "4.111111111111111e15",
    "4.111111111111111E+15",
    "41111111111111110e-1",
];

#[derive(Debug, Clone)]
enum Node {
    Plain(String),
    Secret(usize),
    Number(i8),
    SecretNumber(usize),
    Word(&'static str),
    List(Vec<Node>),
    Object(Vec<(&'static str, Node)>),
    /// JSON in a string.
    Inside(Box<Node>),
    /// A value found by its name: which, how the name is spelled, and where they stand.
    Told(usize, prop::sample::Index, usize),
    /// A key that is one.
    Named(usize, Box<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        2 => "[a-z é我\u{1f600}\"\\\\\n,.:{\\[-]{0,12}".prop_map(Node::Plain),
        3 => (0..SECRETS.len()).prop_map(Node::Secret),
        2 => (0..NUMBERS.len()).prop_map(Node::SecretNumber),
        1 => any::<i8>().prop_map(Node::Number),
        2 => (0..TOLD.len(), any::<prop::sample::Index>(), 0..TELLING.len())
            .prop_map(|(n, name, place)| Node::Told(n, name, place)),
        1 => prop::sample::select(vec!["true", "false", "null", "0.25", "1.5", "{}", "[ ]"]).prop_map(Node::Word),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        let name = prop::sample::select(vec![
            "a",
            "value",
            "role",
            "type",
            "id",
            "name",
            "url",
            "data",
            "arguments",
            "format",
            "signature",
            "images",
        ]);
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
            3 => prop::collection::vec((name, inner.clone()), 0..4).prop_map(Node::Object),
            2 => inner.clone().prop_map(|inner| Node::Inside(inner.into())),
            1 => (0..SECRETS.len(), inner).prop_map(|(n, inner)| Node::Named(n, inner.into())),
        ]
    })
}

/// Pieces of a body as sent and as they must go out.
type Pieces = Vec<(String, String)>;

fn same(text: &str) -> (String, String) {
    (text.to_owned(), text.to_owned())
}

/// Writes a node as JSON.
fn write(node: &Node, depth: usize, escapes: &mut impl FnMut() -> bool, out: &mut Pieces) {
    match node {
        Node::Plain(text) => quote(&vec![same(text)], escapes, out),
        Node::Secret(n) => quote(&secret(*n), escapes, out),
        Node::Number(n) => out.push(same(&n.to_string())),
        Node::SecretNumber(n) => out.push((NUMBERS[*n].to_owned(), "\"[REDACTED_CARD]\"".to_owned())),
        Node::Word(word) => out.push(same(word)),
        Node::List(list) => {
            out.push(same("["));
            for (n, item) in list.iter().enumerate() {
                out.push(same(if n > 0 { " ,\t" } else { "" }));
                write(item, depth, escapes, out);
            }
            out.push(same("]"));
        }
        Node::Object(members) => {
            out.push(same("{ "));
            for (n, (name, item)) in members.iter().enumerate() {
                out.push(same(if n > 0 { "," } else { "" }));
                quote(&vec![same(name)], escapes, out);
                out.push(same(": "));
                write(item, depth, escapes, out);
            }
            out.push(same("}"));
        }
        Node::Inside(inner) => {
            let mut pieces = vec![same("[")];
            write(inner, depth + 1, escapes, &mut pieces);
            pieces.push(same("]"));
            // Deeper is refused.
            let sink = &mut Pieces::new();
            quote(&pieces, escapes, if depth < 4 { out } else { sink });
            if depth >= 4 {
                out.push(same("0"));
            }
        }
        Node::Told(n, name, place) => {
            let (names, value, marker) = TOLD[*n];
            let mut name = names[name.index(names.len())];
            let place = TELLING[*place];
            // Longer texts are no names.
            if !place.contains(r#""@" :"#) && !place.contains(r#""@":"#) && name.len() > 48 {
                name = names[0];
            }
            let (before, rest) = place.split_once("\"@\"").unwrap();
            let (between, after) = rest.split_once("\"$\"").unwrap();
            out.push(same(before));
            quote(&vec![same(name)], escapes, out);
            out.push(same(between));
            quote(&vec![(value.to_owned(), marker.to_owned())], escapes, out);
            out.push(same(after));
        }
        Node::Named(n, inner) => {
            out.push(same("{"));
            quote(&secret(*n), escapes, out);
            out.push(same(":"));
            write(inner, depth, escapes, out);
            out.push(same("}"));
        }
    }
}

fn secret(n: usize) -> Pieces {
    let (secret, _, marker) = SECRETS[n];
    vec![same("see "), (secret.to_owned(), marker.to_owned()), same(" there")]
}

/// Writes a string, with escapes where none are needed now and then.
fn quote(pieces: &Pieces, escapes: &mut impl FnMut() -> bool, out: &mut Pieces) {
    out.push(same("\""));
    for (sent, wanted) in pieces {
        let spelled = escape(sent, &mut *escapes);
        let kept = if sent == wanted { spelled.clone() } else { escape(wanted, || false) };
        out.push((spelled, kept));
    }
    out.push(same("\""));
}

fn escape(text: &str, mut escapes: impl FnMut() -> bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if escapes() || c.is_control() {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")));
        } else if matches!(c, '"' | '\\') {
            out.extend(['\\', c]);
        } else {
            out.push(c);
        }
    }
    out
}

/// Everything a parser reads in a value, and in what strings of it hold.
fn read(value: &Value, tell: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => {
            tell(text);
            if let Ok(inner) = serde_json::from_str(text) {
                read(&inner, tell);
            }
        }
        Value::Number(number) => {
            tell(&number.to_string());
            tell(&format!("{:.0}", number.as_f64().unwrap()));
        }
        Value::Array(list) => list.iter().for_each(|item| read(item, tell)),
        Value::Object(members) => members.iter().for_each(|(name, item)| {
            tell(name);
            read(item, tell);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_that_a_node_reads_was_not_searched(
        node in node(),
        escapes in prop::collection::vec(any::<u8>(), 1..200),
        place in prop::sample::select(vec![
            r#"{"model":"m","messages":[{"role":"user","content":@}]}"#,
            r#"{"model":"m","messages":[{"tool_calls":[{"function":{"name":"f","arguments":@}}]}]}"#,
            r#"{"model":"m","stream":false ,"x":@}"#,
            r#"{"model":"m","input":[{"type":"function_call_output","output":{"x":@}}]}"#,
            r#"{"model":"m","messages":[{"content":[{"type":"tool_use","input":{"x":@}}]}]}"#,
        ]),
    ) {
        let mut turn = escapes.iter().cycle();
        let mut pieces = Pieces::new();
        write(&node, 0, &mut || turn.next().is_some_and(|byte| byte.is_multiple_of(5)), &mut pieces);
        let (sent, wanted): (String, String) = pieces.into_iter().unzip();
        let (before, after) = place.split_once('@').unwrap();
        let body = format!("{before}{sent}{after}");
        let mut edits = Edits::default();
        let screened = screen(&privacy(PrivacyMode::Redact), body.as_bytes(), &mut edits);
        if let Err(Blocked::Unsearchable(_)) = screened {
            // Numbers in place of text.
            return Ok(());
        }
        let redacted = redact(&body);
        prop_assert_eq!(&redacted, &format!("{before}{wanted}{after}"), "of {}", body);
        let mut left = Vec::new();
        read(&serde_json::from_str(&redacted).unwrap(), &mut |text| {
            let parts = SECRETS.iter().map(|(_, part, _)| *part).chain(TOLD.iter().map(|(_, value, _)| *value));
            left.extend(parts.filter(|part| text.contains(part)));
        });
        prop_assert!(left.is_empty(), "{:?} in {}", left, redacted);
        let found = screened.unwrap().total() > 0;
        prop_assert_eq!(found, body != redacted);
        let blocked = screen(&privacy(PrivacyMode::Block), body.as_bytes(), &mut edits);
        prop_assert_eq!(blocked.is_err(), found);
    }
}
