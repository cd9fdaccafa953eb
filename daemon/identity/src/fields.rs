//! What the fields of organizations, users and keys may hold.

use std::collections::BTreeMap;

use aivonx_domain::Globs;
use aivonx_protocol::{Fault, FaultKind, UnixMillis, Untrusted};
use ipnet::IpNet;

/// Longest name for people, characters.
const TEXT_MAX: usize = 128;
/// Longest e-mail address (RFC 5321), bytes.
const EMAIL_MAX: usize = 254;
/// Most networks in one list.
const NETWORKS_MAX: usize = 64;
/// Most labels an organization's nodes can be chosen by.
const LABELS_MAX: usize = 32;

/// A refusal of `value` of `field`, and how to mend it.
pub(super) fn invalid(field: &str, value: &str, fix: impl Into<String>) -> Fault {
    let message = format!("the {field} \"{}\" cannot be used", Untrusted::new(value).max(100));
    Fault::new(FaultKind::Invalid, message).field(field).hint(fix)
}

pub(super) fn slug(value: &str) -> Result<(), Fault> {
    word("slug", value, "-", "and -")
}

pub(super) fn user_name(value: &str) -> Result<(), Fault> {
    word("name", value, "._@-", "and . _ @ -")
}

pub(super) fn key_name(value: &str) -> Result<(), Fault> {
    word("name", value, "._-", "and . _ -")
}

fn word(field: &str, value: &str, others: &str, spelled: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = value.len() <= 63
        && value.starts_with(plain)
        && value.chars().all(|c| plain(c) || others.contains(c));
    if good {
        return Ok(());
    }
    Err(invalid(field, value, format!("use 1 to 63 of a-z, 0-9 {spelled}, a letter or digit first")))
}

/// A name for people.
pub(super) fn text(field: &str, value: &str) -> Result<(), Fault> {
    let printable = !value.chars().any(char::is_control) && value.trim() == value && !value.is_empty();
    if printable && value.chars().count() <= TEXT_MAX {
        return Ok(());
    }
    Err(invalid(field, value, format!("use 1 to {TEXT_MAX} printable characters, no space at either end")))
}

/// Checks only enough to find a typing error: no mail is ever sent.
pub(super) fn email(value: &str) -> Result<(), Fault> {
    let parts = value.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if parts && value.len() <= EMAIL_MAX && !value.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Ok(());
    }
    Err(invalid("email", value, "use an address such as alice@example.com, or none"))
}

/// Patterns of model names.
pub(super) fn models(patterns: &[String]) -> Result<(), Fault> {
    let wrong = |e: aivonx_domain::GlobError| {
        Fault::new(FaultKind::Invalid, e.to_string())
            .field("models")
            .hint("use patterns such as llama3.2:*, qwen3:8b or *")
    };
    Globs::check(patterns).map_err(wrong)
}

/// Labels that nodes are chosen by.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> Result<(), Fault> {
    if labels.is_empty() || labels.len() > LABELS_MAX {
        let message = format!("nodes are chosen by 1 to {LABELS_MAX} labels, not by {}", labels.len());
        let fix = "name labels such as site=west, or use all shared nodes";
        return Err(Fault::new(FaultKind::Invalid, message).field("nodes").hint(fix));
    }
    labels.iter().try_for_each(|(name, value)| {
        text("nodes", name)?;
        if value.is_empty() { Ok(()) } else { text("nodes", value) }
    })
}

/// Networks, as they are kept: an address alone is a network of one.
pub(super) fn networks(field: &str, texts: &[String]) -> Result<Vec<String>, Fault> {
    if texts.len() > NETWORKS_MAX {
        let message = format!("{} networks are more than the {NETWORKS_MAX} there may be", texts.len());
        return Err(Fault::new(FaultKind::Invalid, message).field(field).hint("use larger networks"));
    }
    let parse = |text: &String| {
        let net = text.parse::<IpNet>().ok();
        let net = net.or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()));
        let net = net.ok_or_else(|| invalid(field, text, "use 192.0.2.0/24, 2001:db8::/32 or an address"))?;
        Ok(net.trunc().to_string())
    };
    let mut networks = texts.iter().map(parse).collect::<Result<Vec<_>, Fault>>()?;
    networks.sort();
    networks.dedup();
    Ok(networks)
}

/// A time at which something ends.
pub(super) fn in_future(field: &str, at: UnixMillis, now: UnixMillis) -> Result<(), Fault> {
    if at > now {
        return Ok(());
    }
    let message = format!("the time of {field} is in the past");
    Err(Fault::new(FaultKind::Invalid, message).field(field).hint("use a time to come, or none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_alphabets() {
        let long = "a".repeat(63);
        for good in ["a", "0", "acme-labs", long.as_str()] {
            slug(good).unwrap();
            user_name(good).unwrap();
            key_name(good).unwrap();
        }
        let longer = "a".repeat(64);
        for bad in ["", "-a", "A", "a b", "ä", "a\0", "a\n", "_a", "a/b", longer.as_str()] {
            for fault in [slug(bad), user_name(bad), key_name(bad)].map(Result::unwrap_err) {
                assert_eq!(fault.kind, FaultKind::Invalid);
                assert!(fault.hint.is_some() && fault.field.is_some());
            }
        }
        assert!(slug("a.b").is_err() && slug("a@b").is_err() && key_name("a@b").is_err());
        user_name("alice_w.2@example-x.org").unwrap();
        key_name("ci_1.2-x").unwrap();
    }

    #[test]
    fn hostile_text_does_not_reach_the_message() {
        let fault = user_name("x\u{1b}[31m\u{202e}").unwrap_err();
        assert!(!fault.message.contains(['\u{1b}', '\u{202e}']), "{fault}");
        assert!(text("display-name", "a\u{7}").is_err());
        assert!(invalid("name", &"y".repeat(5000), "").message.len() < 300);
    }

    #[test]
    fn networks_are_kept_in_one_form() {
        let given = ["192.0.2.77/24", "192.0.2.0/24", "2001:db8::1", "10.1.2.3"].map(str::to_owned);
        assert_eq!(networks("networks", &given).unwrap(), ["10.1.2.3/32", "192.0.2.0/24", "2001:db8::1/128"]);
        for bad in ["", "x", "192.0.2.0/33", "192.0.2", "::/129"] {
            let fault = networks("networks", &[bad.to_owned()]).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some("networks"), "{bad}");
        }
        assert!(networks("networks", &vec!["::1".to_owned(); 65]).is_err());
    }

    #[test]
    fn the_rest_is_bounded() {
        email("alice@example.com").unwrap();
        for bad in ["", "alice", "@x", "x@", "a b@c", "a@b\n"] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        text("display-name", "Älice W.").unwrap();
        for bad in ["", " x", "x ", &"x".repeat(129)] {
            assert!(text("display-name", bad).is_err(), "{bad:?}");
        }
        models(&["llama*".to_owned()]).unwrap();
        assert_eq!(models(&["a b".to_owned()]).unwrap_err().field.as_deref(), Some("models"));
        assert!(labels(&BTreeMap::new()).is_err());
        labels(&BTreeMap::from([("site".into(), "west".into())])).unwrap();
        assert!(in_future("expires", 5, 5).is_err());
        in_future("expires", 6, 5).unwrap();
    }
}
