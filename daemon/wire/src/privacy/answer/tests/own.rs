//! Patterns of the organization's own.

use aivonx_protocol::privacy::{AnswerMode, Category, PatternAction};
use bytes::Bytes;

use super::{
    super::{
        super::{
            Privacy, Screening,
            pattern::{Pattern, of_words},
        },
        Screen, Stopped,
    },
    DIALECTS,
};
use crate::api::Pieces;

/// With patterns of the organization's own, and nothing else.
fn own(patterns: Vec<Pattern>) -> Screening {
    Screening { privacy: Privacy::OFF, own: Some(patterns.into()) }
}

#[test]
fn own_patterns_are_looked_for_over_cut_tokens() {
    let pattern =
        |name, expression: &str, action| Pattern::new(name, expression, "[OWN \"x\"]", action).unwrap();
    let redact = own(vec![pattern("staff", "E-[0-9]{3,6}", PatternAction::Redact)]);
    let text = "Ask E-123456 or E-1234, not E-12; and bob@example.com. ";
    for dialect in &DIALECTS[..4] {
        for size in [1, 3, 7, 100] {
            let tokens: Vec<_> =
                text.as_bytes().chunks(size).map(|t| std::str::from_utf8(t).unwrap()).collect();
            let mut screen = Screen::new(&redact, Some(dialect.stream));
            let mut out = Pieces::default();
            screen.pass(dialect.stream(&tokens).into(), &mut out).unwrap();
            screen.finish(&mut out).unwrap();
            let got: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
            assert_eq!(
                dialect.read(&String::from_utf8(got).unwrap()),
                "Ask [OWN \"x\"] or [OWN \"x\"], not E-12; and bob@example.com. "
            );
            assert_eq!(screen.findings().of(Category::Pattern), 2);
        }
    }
    let refuse = own(vec![pattern("project", &of_words(&["falcon".into()]), PatternAction::Refuse)]);
    for dialect in &DIALECTS[..4] {
        let mut screen = Screen::new(&refuse, Some(dialect.stream));
        let mut out = Pieces::default();
        let stream = dialect.stream(&["The fal", "con", " has", " landed"]);
        assert_eq!(screen.pass(stream.into(), &mut out), Err(Stopped::Refused));
        let got: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
        assert!(!String::from_utf8(got).unwrap().contains("fal"));
    }
    let mut whole = Screen::new(&refuse, None);
    let mut out = Pieces::default();
    whole.pass(Bytes::from_static(b"{\"response\":\"the Falcon\"}"), &mut out).unwrap();
    assert_eq!(whole.finish(&mut out), Err(Stopped::Refused));
    assert!(out.is_empty());
}

#[test]
fn a_finding_that_is_passed_in_part_already_waits_for_its_end() {
    let dialect = &DIALECTS[0];
    let rule = "E-[0-9]{1,3}( or E-[0-9]{1,3}){0,9}";
    let redact = own(vec![Pattern::new("staff", rule, "[OWN]", PatternAction::Redact).unwrap()]);
    let redact = Screening { privacy: Privacy { answers: AnswerMode::Redact, ..Privacy::OFF }, ..redact };
    let text = "-----BEGIN PRIVATE KEY----- ".to_owned()
        + &"On and on. ".repeat(600)
        + "E-1 or E-12 or bob@example.com -----END PRIVATE KEY----- and on.";
    let tokens: Vec<_> = text.split_inclusive("").collect();
    let mut screen = Screen::new(&redact, Some(dialect.stream));
    let mut out = Pieces::default();
    screen.pass(dialect.stream(&tokens).into(), &mut out).unwrap();
    screen.finish(&mut out).unwrap();
    let got: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
    let got = dialect.read(&String::from_utf8(got).unwrap());
    let end = &got[got.len() - 60..];
    assert!(!end.contains("E-1") && !end.contains("bob") && end.ends_with(" and on."), "{end}");
    assert!(screen.findings().total() <= 4, "{:?}", screen.findings());
}
