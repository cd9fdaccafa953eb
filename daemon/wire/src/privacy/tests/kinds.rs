//! Each kind of spelling that must be found, in many forms, and each kind of text that must stay.

use aivonx_protocol::organization::PrivacyMode;

use super::{privacy, redact};
use crate::privacy::redact_text;

fn text(text: &str) -> String {
    redact_text(&privacy(PrivacyMode::Redact), text).unwrap().0
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

const HEX: &str = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b";

/// What a tool is called with, as a node would get it.
fn argument(json: &str) -> String {
    let body =
        |json: &str| format!(r#"{{"messages":[{{"tool_calls":[{{"function":{{"arguments":{json}}}}}]}}]}}"#);
    let out = redact(&body(json));
    let inside = text(json);
    let (before, after) = body("@").split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let out = out.strip_prefix(&before).and_then(|out| out.strip_suffix(&after)).unwrap().to_owned();
    assert_eq!(inside, out, "as a text and as arguments");
    out
}

#[test]
fn names_say_what_their_values_are_however_they_are_spelled() {
    for (names, value, marker) in [
        (
            [
                "ssn",
                "SSN",
                "ssn]",
                "[ssn]",
                "s.s.n.",
                "ｓｓｎ",
                "ss\u{200b}n",
                "s\u{fffd}sn",
                r"s\u0073n",
                "ssn_last",
                "customerSsn",
                "customerSSN",
                "usssn",
                "social security number",
                "Social-Security-No",
                "SocialSecurityNumber",
                "what the applicant gave us as the number of social security when asked for it",
                "the applicant's ssn as it was entered in the form on the second page",
            ]
            .as_slice(),
            "123456789",
            "[REDACTED_SSN]",
        ),
        (
            &[
                "phone",
                "Phone No.",
                "ｐｈｏｎｅ",
                "ph\u{ad}one",
                r"ph\u006fne",
                "tel",
                "Tel.",
                "telNo",
                "tel_home",
                "telefon",
                "home-phone]",
                "Mobile",
            ],
            "5551234567",
            "[REDACTED_PHONE]",
        ),
        (
            &[
                "token",
                "ｔｏｋｅｎ",
                "to\u{200b}ken",
                r"\u0074oken",
                "Token ",
                "api key",
                "X-Api-Key",
                "[token]",
                "authorization",
            ],
            HEX,
            "[REDACTED_KEY]",
        ),
        (
            &["SecretAccessKey", "aws_secret_access_key", "key", "token"],
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "[REDACTED_KEY]",
        ),
    ] {
        for name in names {
            for shape in [
                r#"{"NAME":"VALUE"}"#,
                r#"{"NAME":{"v":"VALUE"}}"#,
                r#"{"x":{"NAME":{"a":[{"b":["VALUE"]}]}}}"#,
                r#"{"NAME":["x","VALUE"]}"#,
                r#"["NAME","VALUE"]"#,
                r#"[["NAME","VALUE"],["b","c"]]"#,
                r#"{"name":"NAME","value":"VALUE"}"#,
                r#"{"name":"NAME","type":"string","value":"VALUE"}"#,
                r#"{"a":"NAME","b":"VALUE"}"#,
                r#"[["NAME"],["VALUE"]]"#,
            ] {
                if name.len() > 48 && !shape.contains(r#""NAME":"#) {
                    continue;
                }
                // Beside a name only what is drawn from all letters is a secret.
                if value.contains('/')
                    && !shape.starts_with(r#"{"NAME":["#)
                    && !shape.starts_with(r#"{"NAME":""#)
                {
                    continue;
                }
                let of = |value: &str| shape.replace("NAME", name).replace("VALUE", value);
                assert_eq!(argument(&of(value)), of(marker));
                if value.bytes().all(|byte| byte.is_ascii_digit()) {
                    let sent = shape.replace("\"VALUE\"", "VALUE");
                    let sent = sent.replace("NAME", name).replace("VALUE", value);
                    assert_eq!(argument(&sent), of(marker), "{sent}");
                }
            }
        }
    }
    for text_ in [
        r#"{"className":"123456789","businessNumber":123456789,"passNumber":"123456789"}"#,
        r#"{"telemetry":{"at":1700000000123},"telegram":"5551234567"}"#,
        r#"{"phone":{"type":"integer","minimum":1000000000,"maximum":9999999999,"created_at":1700000000}}"#,
        r#"{"ssn":{"minimum":123456789,"timestamp":"123456789"}}"#,
        r#"{"name":"token","description":"commit 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b has it"}"#,
        r#"["phone","x","5551234567"]"#,
        r#"[["phone"],["x"],["5551234567"]]"#,
        r#"{"tokens":{"count":128000,"name":"getUserById2FromDatabaseV3"}}"#,
    ] {
        assert_eq!(text(text_), text_);
    }
}

#[test]
fn secrets_are_found_behind_every_kind_of_blank_and_in_lists() {
    for blank in [
        "\u{a0}", "\u{2009}", "\u{202f}", "\u{3000}", "\u{85}", "\u{2028}", "\t", "\u{b}", "\u{1f}", "&nbsp;",
    ] {
        for before in [
            "Token@",
            "Token:@",
            "key@=@",
            "Authorization: Bearer@",
            "<b>Token</b>@",
            "api_key@:@\"",
            "Bearer@@",
            "password@is@",
        ] {
            let before = before.replace('@', blank);
            let sent = format!("{before}{HEX}");
            assert_eq!(text(&sent), format!("{before}[REDACTED_KEY]"), "{sent:?}");
        }
    }
    let other: String = HEX.chars().rev().collect();
    for between in [
        ", ",
        "\n",
        "\n- ",
        " and ",
        "; ",
        " | ",
        " / ",
        "\", \"",
        " new one ",
        ",\u{3000}",
        " or the new key is ",
    ] {
        let sent = format!("old tokens: {HEX}{between}{other}{between}{HEX}");
        let wanted = format!("old tokens: [REDACTED_KEY]{between}[REDACTED_KEY]{between}[REDACTED_KEY]");
        assert_eq!(text(&sent), wanted, "{sent:?}");
    }
    const SLASHES: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    for before in [
        "key ",
        "my key is ",
        "Token ",
        "Bearer ",
        "secret access key: ",
        "AWS_SECRET_ACCESS_KEY=",
        "[key]: ",
        "d[\"key\"] = \"",
    ] {
        assert_eq!(text(&format!("{before}{SLASHES}")), format!("{before}[REDACTED_KEY]"));
    }
    for (sent, wanted) in [
        ("the token was set to @", "the token was set to [REDACTED_KEY]"),
        ("the token you need is @", "the token you need is [REDACTED_KEY]"),
        ("</td><td>token</td><td>@</td>", "</td><td>token</td><td>[REDACTED_KEY]</td>"),
        ("[ssn]: 123456789", "[ssn]: [REDACTED_SSN]"),
        ("password: CorrectHorseBattery22", "password: [REDACTED_KEY]"),
        ("client_secret = staple_horse_battery_7", "client_secret = [REDACTED_KEY]"),
    ] {
        assert_eq!(text(&sent.replace('@', HEX)), wanted, "{sent}");
    }
    for text_ in [
        "the token @ of commit 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
        "token @! The sum is 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
    ] {
        assert_eq!(text(&text_.replace('@', HEX)), text_.replace('@', "[REDACTED_KEY]"));
    }
}

#[test]
fn what_only_looks_drawn_stays() {
    for text_ in [
        "aGVsbG8gd29ybGQsIHRoaXMgaXMgdGV4dCB3aXRob3V0IGFueXRoaW5n",
        "see aGVsbG8gd29ybGQsIHRoaXMgaXMgdGV4dCB3aXRob3V0IGFueXRoaW5n there",
        "see VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4= there",
        "key: getUserById2FromDatabaseV3",
        "token=parseTokenStream2Buffer",
        "token = TokenFactory2024Impl()",
        "Bearer BearerTokenAuthenticationFilter2",
        "key: AbstractSingletonProxyFactoryBean2",
        "set key=feature_flag_rollout_2024_q3_enabled",
        "api_key: \"MaxConnectionsPerHost32\"",
        "uint64_t key = 0x9e3779b97f4a7c15ULL;",
        "key = 0x9E3779B97F4A7C15u",
        "public key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SaG6UOoqKLsabgH5C9okWi0dh2l9GKJl me",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7vbqajDw4o6gJy8UtmIbkcpnkO3Kwc4qsEnSZp/TR+fQi62F79RHWmwKOtFmwteURgLbj7D/WGuNLGOfa",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT",
        "golang.org/x/sys v0.15.0 h1:h48lPFYpsTvQJZF4EKyI4aLHaev3CxivZmrcW1TUHzg=",
        "golang.org/x/sys v0.15.0/go.mod h1:bq3o2J0Y2E8Qy9fXlCw4m7Zc8vJ5k6l7m8n9o0p1q2r=",
        "\"integrity\": \"sha512-v2kDEe57lecTulaDIuNTPy3Ry4gLGJ6Z1O3vE1krgXZNrsQ+LFTGHVxVjcXPs17LhbZVGedAJv8XZ1tvj5FvSg==\"",
        "integrity=\"sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC\"",
        "The Ethereum address 0x742d35Cc6634C0532925a3b844Bc454e4438f44e and bitcoin 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "pay 3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "the key src/components/UserProfile2/IndexPage.test.tsx and key: images/Summer2024/PhotoGallery2/index",
        "chmod 0755 0644 1777; chmod 0644 0755 0600",
        "Score 555 123 4567? It was 212 555 0147 to 310 555 0199",
        "IBAN DE89 3704 0044 0532 0130 00",
        "GB29 NWBK 6016 1331 9268 19",
        "scp file root@host.local:/tmp",
        "rsync -a me@files.example.com:~/x . && scp root@host.local: .",
        "scp x bob@build.example.com:../y",
        "[556775179, 483938166, 654323316, 384109455, 492473744, 204640775, 377005231, 821598776]",
        "556775179 483938166 654323316\n492473744 204640775 377005231",
        "52671064 87295265",
        "3798 5380 7435 2708 1683 8350 5689 7766\n5318 9227 5198 4356 8290 7026 4062 1234\n",
        "1374 6859 7623 1296 9995 7862 6999 7166\n9440 9980 9238 6919 2033 6827 1562 6008\n",
        "north\t5204\t1756\t9861\t3380\nsouth\t5205\t1757\t9862\t3381\n",
        "| west | 6689 | 1985 | 8815 | 4457 |\n| east | 6690 | 1986 | 8816 | 4458 |\n",
        "1999 2000 2001 2002 2003 2004\n2005 2006 2007 2008 2009 2010",
    ] {
        assert_eq!(text(text_), text_);
    }
    assert_eq!(
        text("https://docs.google.com/document/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/edit"),
        "https://docs.google.com/document/d/[REDACTED_KEY]/edit"
    );
}

#[test]
fn what_is_real_is_found_beside_what_only_looks_so() {
    for (sent, wanted) in [
        ("4111 1111 1111 1111", "[REDACTED_CARD]"),
        ("so 4111 1111 1111 1111 ok", "so [REDACTED_CARD] ok"),
        ("1 4111 1111 1111 1111 2", "1 [REDACTED_CARD] 2"),
        ("4111 1111 1111 1111 1227 123", "[REDACTED_CARD] 1227 123"),
        ("4111 1111 1111 1111 2029", "[REDACTED_CARD] 2029"),
        ("4111 1111 1111 1111 5500 0000 0000 0004", "[REDACTED_CARD] [REDACTED_CARD]"),
        ("4111 1111 1111 1111\n4111 1111 1111 1112", "[REDACTED_CARD]\n4111 1111 1111 1112"),
        ("invoice 2024 4111 1111 1111 1111", "invoice 2024 [REDACTED_CARD]"),
        ("exp 1228 4111 1111 1111 1111 ok", "exp 1228 [REDACTED_CARD] ok"),
        ("card 2000 4111 1111 1111 1111 3000", "card 2000 [REDACTED_CARD] 3000"),
        ("411111 1111111111", "[REDACTED_CARD]"),
        (
            "a\t4111\t1111\t1111\t1111\nb\t5500\t0000\t0000\t0004\n",
            "a\t[REDACTED_CARD]\nb\t[REDACTED_CARD]\n",
        ),
        ("555-123-4567", "[REDACTED_PHONE]"),
        ("555 123 4567", "[REDACTED_PHONE]"),
        ("call 555 123 4567 now", "call [REDACTED_PHONE] now"),
        ("1 555 123 4567 or +1 555 123 4567", "[REDACTED_PHONE] or [REDACTED_PHONE]"),
        ("London: 020 7946 0958", "London: [REDACTED_PHONE]"),
        ("bob@example.com:22 and bob@corp.local", "[REDACTED_EMAIL]:22 and [REDACTED_EMAIL]"),
        ("token 0x9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b9944b09199c62bcf", "token [REDACTED_KEY]"),
        ("see VGhlIHNzbiBvZiB0aGUgbWFuIGlzIDEyMy00NS02Nzg5LCB5ZXM= ok", "see [REDACTED_KEY] ok"),
        ("DE89 3704 and 0049 30 901820", "DE89 3704 and [REDACTED_PHONE]"),
    ] {
        assert_eq!(text(sent), wanted, "{sent}");
    }
}
