//! Numbers with something beside them that is not of them: letters, years, paths, figures.

use aivonx_protocol::organization::PrivacyMode;

use super::privacy;
use crate::privacy::redact_text;

fn text(text: &str) -> String {
    redact_text(&privacy(PrivacyMode::Redact), text).unwrap().0
}

#[test]
fn letters_and_figures_beside_a_number_do_not_hide_it() {
    for (sent, wanted) in [
        ("4111111111111111x|abc", "[REDACTED_CARD]x|abc"),
        ("4111111111111111exp 12", "[REDACTED_CARD]exp 12"),
        ("pay 5500000000000004and go", "pay [REDACTED_CARD]and go"),
        ("card4111-1111-1111-1111cvv", "card[REDACTED_CARD]cvv"),
        ("4111 1111 1111 1111cvv 123", "[REDACTED_CARD]cvv 123"),
        ("123-45-6789x", "[REDACTED_SSN]x"),
        ("ssn123-45-6789abc", "ssn[REDACTED_SSN]abc"),
        ("x123-45-6789x b123-45-6789", "x[REDACTED_SSN]x b[REDACTED_SSN]"),
        ("ids 2024-123-45-6789, 1-123-45-6789", "ids 2024-[REDACTED_SSN], 1-[REDACTED_SSN]"),
        ("123-45-6789-01, 123-45-6789-1", "[REDACTED_SSN]-01, [REDACTED_SSN]-1"),
        ("/a/2024-11-30/123-45-6789.html", "/a/2024-11-30/[REDACTED_SSN].html"),
        ("/2024/123-45-6789/1", "/2024/[REDACTED_SSN]/1"),
        ("30/4111-1111-1111-1111", "30/[REDACTED_CARD]"),
        ("1001-4111-1111-1111-1111", "1001-[REDACTED_CARD]"),
        ("4111-1111-1111-1111-1001", "[REDACTED_CARD]-1001"),
        ("0927 5500 0055 5555 5559", "0927 [REDACTED_CARD]"),
        ("[123456789.0] is my ssn", "[[REDACTED_SSN].0] is my ssn"),
        ("123456789 was his social security number", "[REDACTED_SSN] was his social security number"),
        ("my ssn: 77 123 45 6789", "my ssn: 77 [REDACTED_SSN]"),
        ("Token9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b", "Token[REDACTED_KEY]"),
        ("BEARER9944b09199c62bcf9418ad846dd0e4bb,", "BEARER[REDACTED_KEY],"),
    ] {
        assert_eq!(text(sent), wanted, "{sent}");
        assert_eq!(text(wanted), wanted);
    }
    for text_ in [
        "a4111111111111111 b123-45-67890 x923-45-6789x",
        "4111111111111111a4 9fcc4111111111111111 4111111111111112x",
        "1-1123-45-6789 and 123-45-0000-01, ISBN 978-12-3456-789-7",
        "ids 2024-12-3456, 2024 123 45 6789, 550e8400-e29b-41d4-a716-446655440000",
        "4111-1111-1111-1111-1111-1111 and 1001-2002-4111-1111-1111-1111",
        "1001-4111-1111-1111-1112",
        "123456789 is the id of the social club",
        "123456789 people have an ssn",
        "tokenizer9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
        "3.141592653589793238 1.5e300 v123.45.6789 123.45.6789abc",
        "2024-11-30T10:30:45.123456Z 20241130T103045Z 1700000000123ms 4111px",
    ] {
        assert_eq!(text(text_), text_);
    }
}
