//! The one wrapper through which untrusted text reaches a terminal, a log or a table.

use std::fmt::{self, Write as _};

/// Displays untrusted text with C0, C1, DEL, bidirectional controls, zero-width and line-separator characters
/// escaped as `\u{..}` (`\n`, `\t`, `\r` in their short form), cut after `max` characters with `…`.
#[derive(Debug, Clone, Copy)]
pub struct Untrusted<'a> {
    text: &'a str,
    max: usize,
}

impl<'a> Untrusted<'a> {
    /// Wraps `text`, shown up to 512 characters.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, max: 512 }
    }

    /// Cuts after `max` characters.
    #[must_use]
    pub fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Whether `c` is one of the characters that are escaped: for writers with an escape of their own (JSON).
    #[must_use]
    pub fn is_hostile(c: char) -> bool {
        hostile(c)
    }
}

/// Whether `c` could change what a reader of the surrounding text sees.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{061c}' | '\u{00ad}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shown, c) in self.text.chars().enumerate() {
            if shown == self.max {
                return f.write_char('…');
            }
            match c {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if hostile(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Untrusted;

    #[test]
    fn escapes_what_moves_a_cursor_or_hides() {
        let shown = Untrusted::new("a\u{1b}[2Jb\u{202e}c\u{200b}d\n\u{9b}e").to_string();
        assert_eq!(shown, "a\\u{1b}[2Jb\\u{202e}c\\u{200b}d\\n\\u{9b}e");
    }

    #[test]
    fn cuts_long_text() {
        assert_eq!(Untrusted::new("abcdef").max(3).to_string(), "abc…");
        assert_eq!(Untrusted::new("abc").max(3).to_string(), "abc");
    }
}
