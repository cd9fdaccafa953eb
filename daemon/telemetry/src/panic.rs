//! Panics go to the log like everything else, without what they quote: a panic on a string slice prints the
//! string, and that may be somebody's prompt.

use std::{panic, time::Duration};

use super::queue::LogQueue;

/// Most characters of a panic's message that are kept.
const MESSAGE_MAX: usize = 120;

/// Replaces the process's panic hook.
pub(crate) fn install(queue: LogQueue) {
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(|| "unknown place".into(), ToString::to_string);
        let payload = info.payload();
        let message = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
            // A literal of our own source.
            (Some(literal), _) => literal,
            (None, Some(text)) => unquoted(text),
            (None, None) => "",
        };
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(event = "panic", place, thread, "panic: {message}");
        // The log's own thread cannot wait for itself.
        if thread != "log" {
            queue.flush(Duration::from_millis(500));
        }
    }));
}

/// The part of a formatted message before anything it could quote.
fn unquoted(text: &str) -> &str {
    let end = text.find(['`', '"', '\'', '\n']).unwrap_or(text.len());
    let cut = text[..end].char_indices().nth(MESSAGE_MAX).map_or(end, |(i, _)| i);
    text[..cut].trim_end()
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn what_a_panic_quotes_is_left_out() {
        let text = "byte index 1 is not a char boundary; it is inside 'é' (bytes 0..2) of `éa secret`";
        assert_eq!(unquoted(text), "byte index 1 is not a char boundary; it is inside");
        let text = "index out of bounds: the len is 3 but the index is 5";
        assert_eq!(unquoted(text), text);
    }
}
