//! Did you mean.

/// The one of `known` that `word` is likely a slip of: case and `-` for `_` do not count.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(&word, candidate);
            // `keepalive_timeout` for `keep_alive`: the rest of a longer name is no slip.
            let inside = candidate.len() >= 4 && word.replace('_', "").contains(&candidate.replace('_', ""));
            (distance <= limit || inside).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_leaves_strangers() {
        let known = ["body_bytes", "head_bytes", "keep_alive", "idle"];
        assert_eq!(nearest("body-bytes", known), Some("body_bytes"));
        assert_eq!(nearest("Body_Byte", known), Some("body_bytes"));
        assert_eq!(nearest("keepalive_timeout", known), Some("keep_alive"));
        assert_eq!(nearest("idel", known), Some("idle"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
