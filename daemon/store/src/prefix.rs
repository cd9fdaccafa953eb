//! Ranges of keys.

use std::ops::Bound;

/// A range of keys.
pub(super) type Keys = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The keys that begin with `prefix`.
pub(super) fn prefixed(prefix: &[u8]) -> Keys {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return (Bound::Included(prefix.to_vec()), Bound::Excluded(end));
        }
        end.pop();
    }
    (Bound::Included(prefix.to_vec()), Bound::Unbounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        assert_eq!(prefixed(b"ab"), (Bound::Included(b"ab".to_vec()), Bound::Excluded(b"ac".to_vec())));
        assert_eq!(prefixed(&[1, 255]), (Bound::Included(vec![1, 255]), Bound::Excluded(vec![2])));
        assert_eq!(prefixed(&[255]).1, Bound::Unbounded);
    }
}
