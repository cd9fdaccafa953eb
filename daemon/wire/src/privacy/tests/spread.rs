//! Numbers whose digits stand apart, what only looks like them, and names of secrets that stand apart from theirs.

use aivonx_protocol::organization::PrivacyMode;

use super::privacy;
use crate::privacy::redact_text;

fn text(text: &str) -> String {
    redact_text(&privacy(PrivacyMode::Redact), text).unwrap().0
}

/// What people and programs put between groups of digits.
const BETWEEN: [&str; 28] = [
    "\n",
    "\r\n",
    "\t",
    "_",
    ",",
    ", ",
    "|",
    " | ",
    ":",
    ";",
    "  ",
    "    ",
    " \t ",
    " - ",
    " / ",
    ". ",
    "\u{3000}",
    "\u{2009}\u{2009}",
    "--",
    "::",
    "__",
    "*",
    "~",
    "'",
    "\\",
    "<br>",
    "</td><td>",
    " , ",
];

#[test]
fn digits_that_stand_apart_are_one_number_where_it_is_printed_so() {
    for between in BETWEEN {
        for (groups, marker) in [
            (["4111", "1111", "1111", "1111"].as_slice(), "card: [REDACTED_CARD] ok"),
            (&["3782", "822463", "10005"], "card: [REDACTED_CARD] ok"),
            (&["41", "11", "11", "11", "11", "11", "11", "11"], "card: [REDACTED_CARD] ok"),
            (&["123", "45", "6789"], "ssn: [REDACTED_SSN] ok"),
            (&["555", "123", "4567"], "phone: [REDACTED_PHONE] ok"),
            (&["1", "555", "123", "4567"], "phone: [REDACTED_PHONE] ok"),
        ] {
            let name = marker.split_once(':').unwrap().0;
            let sent = format!("my {name}: {} ok", groups.join(between));
            assert_eq!(text(&sent), format!("my {marker}"), "{sent:?}");
        }
        // A card needs no word.
        let sent = format!("so {} ok", ["5500", "0000", "0000", "0004"].join(between));
        assert_eq!(text(&sent), "so [REDACTED_CARD] ok", "{sent:?}");
    }
    for (sent, wanted) in [
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[REDACTED_CARD]"),
        ("4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "[REDACTED_CARD]"),
        ("4_111_111_111_111_111 or 4,111,111,111,111,111", "[REDACTED_CARD] or [REDACTED_CARD]"),
        ("4111, 1111 - 1111_1111", "[REDACTED_CARD]"),
        ("4111|1111|1111|1111|12|27|123", "[REDACTED_CARD]|12|27|123"),
        ("4111,1111,1111,1111\n5500,0000,0000,0004\n", "[REDACTED_CARD]\n[REDACTED_CARD]\n"),
        ("card 4111  1111  1111  1111, 2027", "card [REDACTED_CARD], 2027"),
        ("123|45|6789", "[REDACTED_SSN]"),
        ("123_45_6789", "[REDACTED_SSN]"),
        ("123\n45\n6789", "[REDACTED_SSN]"),
        ("555_123_4567", "[REDACTED_PHONE]"),
        ("+1  555  123  4567", "[REDACTED_PHONE]"),
        ("+44_20_7946_0958", "[REDACTED_PHONE]"),
        ("tel 020  7946  0958", "tel [REDACTED_PHONE]"),
        ("call (555)\n123\n4567", "call [REDACTED_PHONE]"),
        ("SSN 123 456 789 and ssn 1 2 3 4 5 6 7 8 9", "SSN [REDACTED_SSN] and ssn [REDACTED_SSN]"),
        // What is written at once with a word.
        ("ssn123-45-6789 SSN123456789", "ssn[REDACTED_SSN] SSN[REDACTED_SSN]"),
        ("ID123-45-6789, customerSsn_123-45-6789", "ID[REDACTED_SSN], customerSsn_[REDACTED_SSN]"),
        (
            "card4111111111111111 cardNumber4111-1111-1111-1111",
            "card[REDACTED_CARD] cardNumber[REDACTED_CARD]",
        ),
        ("f_4111111111111111 _4111111111111111_", "f_[REDACTED_CARD] _[REDACTED_CARD]_"),
        ("_123-45-6789_ u_123-45-6789_x", "_[REDACTED_SSN]_ u_[REDACTED_SSN]_x"),
        ("phone555-123-4567 _555-123-4567_", "phone[REDACTED_PHONE] _[REDACTED_PHONE]_"),
    ] {
        assert_eq!(text(sent), wanted, "{sent:?}");
    }
}

#[test]
fn lists_and_tables_of_figures_stay() {
    for text_ in [
        "the scores were 4512, 4521, 5210, 4120, 3877 and 2950",
        "512, 1024, 2048, 4096, 8192, 16384, 32768",
        "1999, 2000, 2001, 2002; 2024 | 2025 | 2026 | 2027",
        "4111\t1111\t1111\t1111\t1111\n",
        "4111,1111,1111,1111\n4112,1112,1113,1118\n",
        "| 4111 | 1111 | 1111 | 1111 |\n| 4200 | 1300 | 1700 | 1900 |\n",
        "qty,price,total\nwidget,120,45,5400\ngadget,130,50,6500\n",
        "  251   911  7843 foo.rs\n  312   480  1023 bar.rs\n  563  1391  8866 total\n",
        "| widget | 120 | 45 | 5400 |\n| gadget | 130 | 50 | 6500 |",
        "sizes 100, 20, 3000 and 200, 300, 4000",
        "2024-05-12 10:30:45,123 INFO 2024-05-12 10:30:45.123456",
        "10:30, 11:45; 12:15",
        "call at 9:30, 10:15 or 3:00",
        "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]",
        "30, 40, 50, 60, 70, 80, 90",
        "profit +12,345,678 and -1,234,567.89",
        "1,234,567,890,123,456 or 9,007,199,254,740,993",
        "192.168.100.10:8080, 10.0.0.1/24, 255.255.255.0",
        "2606:4700:4700:0:0:0:0:1111 and 2001:4860:4860:0:0:0:0:8888",
        "550e8400-e29b-41d4-a716-446655440000",
        "v1.2.3, 4.5.6-rc.1+build.20240512, 12.04.5",
        "x = [[4111, 1111, 1111, 1112], [5, 6], [7, 8]]",
        "IMG_20240512_103045.jpg and backup_2024_05_12_1030",
        "call_1234567890, user_2125550147, abc123_45_6789x",
        "a4111111111111111 b000-45-6789 9fcc4111111111111111",
        "1;2;3\n4;5;6\n7;8;9\n",
        "3.14159, 2.71828, 1.41421, 1.61803",
        "lines 100-200, 555-560; pages 1, 2, 3",
        "HTTP/1.1\" 200 512 \"-\" 0.004, 404 0 2048",
    ] {
        assert_eq!(text(text_), text_);
    }
}

#[test]
fn secrets_are_found_behind_marks_and_little_words() {
    const HEX: &str = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b";
    for name in [
        "token -",
        "token —",
        "token –",
        "token ->",
        "token →",
        "token =>",
        "token.",
        "token/",
        "token ~",
        "token：",
        "key no.",
        "key no",
        "key #",
        "key nr.",
        "the key is:\n\n",
        "my token was",
        "token value",
        "Token (hex):",
        "Token for the API:",
        "**Token**:",
        "`token`",
        "<token>",
        "apiKey",
        "api-key",
        "API_KEY=",
        "accessToken:",
        "access-token",
        "clientSecret ",
        "bearer token",
        "tokens:",
        "key1:",
        "API keys are",
        "password is",
        "'token': '",
    ] {
        let gap = if name.ends_with(['>', '=', '/', '\n', '\'']) { "" } else { " " };
        for secret in [HEX, &HEX[..16], &HEX.to_uppercase(), "kQ4x9ZpL2vTn8RbW5sYc", "k4x9zpl2vtn8rbw5"] {
            let sent = format!("{name}{gap}{secret}");
            assert_eq!(text(&sent), format!("{name}{gap}[REDACTED_KEY]"), "{sent}");
        }
    }
    for text_ in [
        "the key insight of commit 8fcc39c9948852d4cde9c4a89f17de859dc200dc",
        "the token is gone! 8fcc39c9948852d4cde9c4a89f17de859dc200dc has it",
        "key id 550e8400-e29b-41d4-a716-446655440000",
        "the key config2024settings, the key user-profile-2024",
        "token getUserById2024",
        "a key 2024-05-12-10-30",
        "cache_key: order_2024_12345",
        "key: section2-heading",
    ] {
        assert_eq!(text(text_), text_);
    }
}
