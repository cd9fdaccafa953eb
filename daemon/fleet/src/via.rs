//! This gateway's name in `Via` (RFC 9110, 7.6.3). A node that is this gateway, or leads back to it, sends a request
//! back with that name in it. [`X_AIVONX_HOPS`] says the same once more: what stands between may take `Via` out.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The names of the gateways that a request went through. In the answer to a gateway that asks for models it is the name
/// of the one that answers.
pub const X_AIVONX_HOPS: HeaderName = HeaderName::from_static("x-aivonx-hops");

const PREFIX: &str = "aivonx-";

/// `aivonx-` and 32 hexadecimal digits, new with each start of the process.
static PSEUDONYM: LazyLock<String> = LazyLock::new(|| format!("{PREFIX}{}", Uuid::new_v4().simple()));

/// The name by which this process is known to recipients of its requests. No secret: nodes see it.
pub fn pseudonym() -> &'static str {
    &PSEUDONYM
}

/// Whether a message with this value of `Via` went through this process before. Names of hosts are written in either
/// case, and who passes a message on may take a pseudonym for one.
pub fn is_ours(via: &HeaderValue) -> bool {
    let ours = PSEUDONYM.as_bytes();
    via.as_bytes().windows(ours.len()).any(|name| name.eq_ignore_ascii_case(ours))
}

/// Whether a gateway may be called so.
pub(super) fn is_name(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::{is_name, is_ours, pseudonym};

    #[test]
    fn only_what_went_through_this_process_is_ours() {
        let via = |text: &str| HeaderValue::from_str(text).unwrap();
        for value in [format!("1.1 {}", pseudonym()), format!("2 a (x), 1.1 {} , 1.0 b", pseudonym())] {
            assert!(is_ours(&via(&value)) && is_ours(&via(&value.to_uppercase())), "{value}");
        }
        for value in ["", "1.1 aivonx", "1.1 aivonx-00000000000000000000000000000000"] {
            assert!(!is_ours(&via(value)), "{value}");
        }
        assert!(is_name(pseudonym()) && !is_name("aivonx-x") && !is_name(&pseudonym()[1..]));
        // One token (RFC 9110, 5.6.2), so that it is a pseudonym.
        assert!(pseudonym().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    }
}
