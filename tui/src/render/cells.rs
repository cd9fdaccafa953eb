//! Text cut, filled and broken to a number of cells.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The cells text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most so many cells; `cut` marks where it was shortened.
pub(crate) fn fit(text: &str, cells: usize, cut: char) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        // One cell for the sign that something is missing.
        if used + wide + 1 > cells {
            break;
        }
        kept.push(c);
        used += wide;
    }
    if cells > 0 {
        kept.push(cut);
    }
    kept
}

/// The same, filled with blanks to exactly so many cells.
pub(crate) fn fill(text: &str, cells: usize, right: bool, cut: char) -> String {
    let text = fit(text, cells, cut);
    let blanks = " ".repeat(cells.saturating_sub(text.width()));
    if right { blanks + &text } else { text + &blanks }
}

/// `text` in lines of at most so many cells, broken at blanks where there are some.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut current = String::new();
        let mut used = 0;
        for word in line.split(' ') {
            let wide = word.width();
            if used > 0 && used + 1 + wide > cells {
                lines.push(std::mem::take(&mut current));
                used = 0;
            }
            if used > 0 {
                current.push(' ');
                used += 1;
            }
            // A word longer than a line is broken where it must.
            for c in word.chars() {
                let wide = c.width().unwrap_or(0);
                if used + wide > cells {
                    lines.push(std::mem::take(&mut current));
                    used = 0;
                }
                current.push(c);
                used += wide;
            }
        }
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_cut_at_cells() {
        assert_eq!(fit("模型模型", 5, '…'), "模型…");
        assert_eq!(fit("模型模型", 4, '~'), "模~");
        assert_eq!(fit("abc", 3, '…'), "abc");
        assert_eq!(fit("abc", 0, '…'), "");
        assert_eq!(fill("模", 4, false, '…'), "模  ");
        assert_eq!(fill("7", 3, true, '…'), "  7");
    }

    #[test]
    fn lines_break_at_blanks_and_where_they_must() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("extraordinary x", 5), ["extra", "ordin", "ary x"]);
        assert_eq!(wrap("a\nb", 9), ["a", "b"]);
        assert_eq!(wrap("", 9), [""]);
        assert!(wrap("模型模型", 3).iter().all(|line| width(line) <= 3));
        assert_eq!(wrap("模", 0).len(), 2, "what cannot fit does not loop");
    }
}
