//! Each kind of spelling that must be found, in many forms, and each kind of text that must stay.

use aivonx_protocol::organization::PrivacyMode;

use super::privacy;
use crate::privacy::redact_text;

fn text(text: &str) -> String {
    redact_text(privacy(PrivacyMode::Redact), text).unwrap().0
}

/// What may stand behind a number that is one of a program or an amount.
const BEHIND: [&str; 20] = [
    ".0", ".00", ".5", ".25", "e0", "E+0", "e-0", "e1", ".0e0", ".5e3", "L", "n", "f", "ULL", "u64", "USD",
    " USD", "eur", ".0f", ".25 EUR",
];

#[test]
fn numbers_are_found_whatever_numerals_add_to_them() {
    for (number, marker, said) in [
        ("123-45-6789", "[REDACTED_SSN]", ""),
        ("123456789", "[REDACTED_SSN]", "ssn: "),
        ("555-123-4567", "[REDACTED_PHONE]", ""),
        ("5551234567", "[REDACTED_PHONE]", "phone "),
        ("4111-1111-1111-1111", "[REDACTED_CARD]", ""),
        ("4111111111111111", "[REDACTED_CARD]", ""),
        ("3782-822463-10005", "[REDACTED_CARD]", ""),
    ] {
        for behind in BEHIND {
            for (before, after) in
                [("", ""), ("-", ""), ("[", "]"), ("[-", ", 1]"), ("x=", ";"), ("{\"a\": ", "}"), ("(", ")")]
            {
                let of = |number: &str, behind: &str| format!("so {said}{before}{number}{behind}{after} ok");
                let sent = of(number, behind);
                let out = text(&sent);
                assert!(out == of(marker, behind) || out == of(marker, ""), "{sent:?} became {out:?}");
                let json = format!("{{\"ssn\":0,\"x\":{:?}}}", sent);
                assert!(text(&json).contains(marker), "{json}");
            }
        }
    }
    for (sent, wanted) in [
        ("card 4.111111111111111e15, thanks", "card [REDACTED_CARD], thanks"),
        ("[4.111111111111111E+15, NaN]", "[[REDACTED_CARD], NaN]"),
        ("pay 411111111111111.1e1 or 0.4111111111111111e16", "pay [REDACTED_CARD] or [REDACTED_CARD]"),
        ("41111111111111110e-1 4111111111111111000E-003.", "[REDACTED_CARD] [REDACTED_CARD]."),
        ("my ssn is 1.23456789e8", "my ssn is [REDACTED_SSN]"),
        ("call 5.551234567e9!", "call [REDACTED_PHONE]!"),
        ("see {\"ssn\": 1.23456789E8} ok", "see {\"ssn\": [REDACTED_SSN]} ok"),
    ] {
        assert_eq!(text(sent), wanted, "{sent}");
    }
    for text_ in [
        "6.02214076e23, 1.602176634e-19, 6.62607015E-34 and 2.99792458e8",
        "loss 4.11111111e-05 after 1e5 steps, lr 5.5e-4",
        "v1.2.3e4, 0x4111111111111111e1, a1.23456789e8",
        "x4.111111111111111e15y",
    ] {
        assert_eq!(text(text_), text_);
    }
}

#[test]
fn whatever_looks_like_a_dash_or_a_space_joins_digits() {
    for dash in [
        "\u{b}",
        "\u{c}",
        "\u{1c}",
        "\u{1f}",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{a0}",
        "\u{2009}",
        "\u{3000}",
        "\u{2043}",
        "\u{2e3a}",
        "\u{2e3b}",
        "\u{301c}",
        "\u{30fc}",
        "\u{ff70}",
        "\u{5be}",
        "\u{1806}",
        "\u{1400}",
        "\u{2e17}",
        "\u{2053}",
        "\u{2212}",
        "\u{2500}",
        "\u{207b}",
        "\u{2d7}",
        "\u{ff0d}",
        "\u{fe63}",
        "\u{2010}",
        "\u{2015}",
        "&dash;",
        "&minus;",
        "&mdash;",
        "&#45;",
        "&nbsp;",
        "%2D",
        "\\x2d",
        "\\u002d",
        "-\u{fffd}",
        "\u{200b}-",
    ] {
        for (groups, marker) in [
            (["123", "45", "6789"].as_slice(), "my ssn [REDACTED_SSN] ok"),
            (&["4111", "1111", "1111", "1111"], "my card [REDACTED_CARD] ok"),
            (&["555", "123", "4567"], "my phone [REDACTED_PHONE] ok"),
        ] {
            let (name, rest) = marker.split_once('[').unwrap();
            let sent = format!("{name}{} ok", groups.join(dash));
            assert_eq!(text(&sent), format!("{name}[{rest}"), "{sent:?}");
        }
        let alone = format!("123{dash}45{dash}6789");
        assert_eq!(text(&alone), "[REDACTED_SSN]", "{alone:?}");
    }
    for (sent, wanted) in [
        ("(123)-45-6789", "([REDACTED_SSN]"),
        ("so (123)-45-6789.", "so ([REDACTED_SSN]."),
        ("12\u{fffd}3-45-6789", "[REDACTED_SSN]"),
    ] {
        assert_eq!(text(sent), wanted, "{sent}");
    }
    for text_ in ["サーバー 123 台", "10〜20ページ", "第1ー2章", "カード・コード"] {
        assert_eq!(text(text_), text_);
    }
    // A lone surrogate, which some readers drop.
    let body = r#"{"messages":[{"content":"123\ud800-45-67\udc0089"}]}"#;
    assert_eq!(super::redact(body), r#"{"messages":[{"content":"[REDACTED_SSN]"}]}"#);
}
