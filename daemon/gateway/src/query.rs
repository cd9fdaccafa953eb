//! The query of a request for a node.

use std::borrow::Cow;

use aivonx_protocol::Untrusted;
use url::form_urlencoded;

use super::error_response::Refusal;

/// Hands each name and value to `take`, which says whether it knows the name.
///
/// # Errors
/// It does not.
pub(super) fn read<'q>(
    query: Option<&'q str>,
    mut take: impl FnMut(&str, Cow<'q, str>) -> bool,
) -> Result<(), Refusal> {
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        // Azure's clients name the version of the API everywhere.
        if name != "api-version" && !take(&name, value) {
            return Err(Refusal::Query(Untrusted::new(&name).max(50).to_string()));
        }
    }
    Ok(())
}
