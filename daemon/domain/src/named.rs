/// Most that are named.
const NAMED: usize = 5;

/// The first few of many, and how many more.
#[must_use]
pub fn named(all: &[impl AsRef<str>]) -> String {
    let first = all.iter().take(NAMED).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
