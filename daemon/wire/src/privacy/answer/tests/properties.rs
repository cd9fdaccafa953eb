//! Any text, cut at any places.

use aivonx_protocol::privacy::AnswerMode;
use proptest::prelude::*;

use super::{
    super::{
        super::{
            Wanted,
            find::{Hint, find},
        },
        Rules,
        text::Text,
    },
    DIALECTS, SAFE, TEXT, privacy, screened,
};

/// Pieces that are findings, nearly, or the seams between.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "bob@example.com", "a@b.co", "4111 1111 1111 1111", "4111111111111111", "555-123-4567", "+1 555 123 4567",
            "123-45-6789", "sk-1234567890abcdefghij1", "ssn 123456789", "123456789 is my ssn",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3", "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zC",
            "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "phone", "api_key=", "0123456789abcdef",
            "01 99 00 12 34", "(555) 123-4567 ext. 5", "git", "Bearer ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "jörg@exämple.de",
            "password: ", "Summer2024!", "hunter22", "postgres://app:s3cr(t@db/x", "bob\\u0040example.com",
            "bob&#64;example.com", "４１１１１１１１１１１１１１１１", "the password is ", "联系bob@example.com谢谢",
            "4111\n1111\n1111\n1111", "token ", "x123-45-6789x", "2024-123-45-6789-1", "Ym9iQGV4YW1wbGUuY29tIGlzIG1pbmU=",
        ]).prop_map(str::to_owned),
        4 => prop::sample::select(vec![
            " ", "-", ".", "@", "_", ",", ":", "\"", "\n", "(", ")", "+", "x", "1", "55", "123", " and then ", " some words of prose ",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What a text holds as a whole is held back, however it is cut.
    #[test]
    fn nothing_of_a_finding_is_judged_to_be_none(
        pieces in prop::collection::vec(piece(), 0..12),
        sizes in prop::collection::vec(1usize..12, 1..8),
    ) {
        let whole = pieces.concat();
        let rules = Rules::of(&privacy(AnswerMode::Redact));
        let mut found = Vec::new();
        find(whole.as_bytes(), Wanted::ALL, Hint::default(), &mut found);
        let (mut text, mut findings, mut covered) = (Text::new(false), Default::default(), Vec::new());
        let (mut rest, mut n) = (whole.as_str(), 0);
        while !rest.is_empty() {
            // What a string of JSON holds is whole characters.
            let mut size = sizes[n % sizes.len()].min(rest.len());
            while !rest.is_char_boundary(size) {
                size += 1;
            }
            let (piece, more) = rest.split_at(size);
            text.push(piece.as_bytes());
            prop_assert!(text.judge(&rules, false, &mut findings).is_ok());
            (rest, n) = (more, n + 1);
        }
        prop_assert!(text.judge(&rules, true, &mut findings).is_ok());
        covered.extend(text.marks(0, whole.len()).map(|mark| mark.start..mark.end));
        for one in &found {
            for at in one.start..one.end {
                prop_assert!(
                    covered.iter().any(|range| range.contains(&at)),
                    "{:?} of {:?} at {at} in {:?}", &whole[one.start..one.end], one.category, whole
                );
            }
        }
    }

    /// Any cut of the bytes and of the tokens gives the same text.
    #[test]
    fn cuts_change_nothing(
        at in prop::collection::btree_set(1usize..TEXT.len(), 0..20),
        bytes in prop::collection::vec(1usize..80, 1..10),
        dialect in 0usize..4,
    ) {
        let mut ends: Vec<_> = at.into_iter().collect();
        ends.push(TEXT.len());
        let mut from = 0;
        let tokens: Vec<_> = ends.into_iter().map(|end| &TEXT[std::mem::replace(&mut from, end)..end]).collect();
        let stream = DIALECTS[dialect].stream(&tokens);
        let (mut rest, mut chunks, mut n) = (stream.as_bytes(), Vec::new(), 0);
        while !rest.is_empty() {
            let (chunk, more) = rest.split_at(bytes[n % bytes.len()].min(rest.len()));
            chunks.push(chunk);
            (rest, n) = (more, n + 1);
        }
        let (out, _) = screened(AnswerMode::Redact, Some(DIALECTS[dialect].stream), &chunks);
        prop_assert_eq!(DIALECTS[dialect].read(&String::from_utf8(out).unwrap()), SAFE);
    }
}
