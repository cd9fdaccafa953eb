//! What a node says, for those who are shown it.

use aivonx_telemetry::redact;

/// Characters kept of a status, a digest or an error.
pub(super) const TEXT: usize = 512;

/// A node's words as they may be shown to those who follow the job: no longer than [`TEXT`], and without the
/// credentials that a node, or the registry it asked, repeats in them.
pub(super) fn shown(mut text: String) -> String {
    // What is far behind is not searched in vain, and what is masked takes less room than before.
    cut(&mut text, 4 * TEXT);
    redact::scrub(&mut text, 0);
    cut(&mut text, TEXT);
    text
}

fn cut(text: &mut String, characters: usize) {
    if let Some((at, _)) = text.char_indices().nth(characters) {
        text.truncate(at);
    }
}
