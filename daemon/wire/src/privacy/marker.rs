//! What stands in place of what was found.

use aivonx_protocol::privacy::Category;

/// What stands in place of a finding.
#[must_use]
pub(super) fn marker(category: Category) -> &'static str {
    match category {
        Category::Email => "[REDACTED_EMAIL]",
        Category::Phone => "[REDACTED_PHONE]",
        Category::Ssn => "[REDACTED_SSN]",
        Category::Card => "[REDACTED_CARD]",
        Category::Key => "[REDACTED_KEY]",
        // Each has its own; this one stands where a number does.
        Category::Pattern => "[REDACTED_PATTERN]",
        Category::Iban => "[REDACTED_IBAN]",
        Category::Passport => "[REDACTED_PASSPORT]",
        Category::Alphanumeric => "[REDACTED_ALPHANUMERIC]",
    }
}

/// Whether a marker ends before `at`. What touches a marker is taken as glued to it: else what is left around a
/// finding could look like something of its own when the text passes a second time.
#[inline]
pub(super) fn ends_before(text: &[u8], at: usize) -> bool {
    at > 0
        && text[at - 1] == b']'
        && Category::ALL.iter().any(|category| text[..at].ends_with(marker(*category).as_bytes()))
}

/// Whether a marker begins at `at`.
#[inline]
pub(super) fn begins_at(text: &[u8], at: usize) -> bool {
    text.get(at) == Some(&b'[')
        && Category::ALL.iter().any(|category| text[at..].starts_with(marker(*category).as_bytes()))
}

/// Whether a marker is in the text.
pub(super) fn is_in(text: &[u8]) -> bool {
    memchr::memchr_iter(b'[', text).any(|at| begins_at(text, at))
}
