//! Tables that fit the terminal: cells are cut or columns left out, nothing ever wraps.

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, presets};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Blanks between two columns.
const GAP: usize = 2;

/// What a cell means, shown as a colour where colours are shown. The text alone must say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Needs a look.
    Warn,
    /// Broken.
    Bad,
    /// Less important.
    Dim,
}

/// One cell. Its text is escaped when the cell is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with `text`, which may be foreign.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: super::text::safe(text.as_ref()), tone: Tone::Plain }
    }

    /// A cell with `text`, or `-` where there is none.
    #[must_use]
    pub fn optional(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(|| Self::new(super::text::NONE), Self::new)
    }

    /// Gives the cell a meaning.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// One column: how it looks, and what may happen to it where there is little room.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    right: bool,
    /// May be cut down to so many characters.
    cut: Option<usize>,
    /// The highest rank is left out first; 0 stays.
    rank: u8,
}

impl Column {
    /// A column of text, always shown whole.
    #[must_use]
    pub const fn text(title: &'static str) -> Self {
        Self { title, right: false, cut: None, rank: 0 }
    }

    /// A column of numbers, always shown whole.
    #[must_use]
    pub const fn number(title: &'static str) -> Self {
        Self { title, right: true, cut: None, rank: 0 }
    }

    /// May be cut to `least` characters.
    #[must_use]
    pub const fn cut(mut self, least: usize) -> Self {
        self.cut = Some(least);
        self
    }

    /// May be left out; the highest rank goes first.
    #[must_use]
    pub const fn optional(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    titles: bool,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new(), titles: true }
    }

    /// A list of names and values without titles. Values are cut at the terminal's edge by nothing: a
    /// value someone asked for by name is shown whole.
    #[must_use]
    pub fn pairs() -> Self {
        Self { titles: false, ..Self::new([Column::text(""), Column::text("")]) }
    }

    /// Adds a row; a missing cell is empty.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let mut cells = cells.into();
        cells.resize_with(self.columns.len(), || Cell::new(""));
        self.rows.push(cells);
    }

    /// Adds a name and its value.
    pub fn pair(&mut self, name: &str, value: impl Into<Cell>) {
        self.row([Cell::new(name).tone(Tone::Dim), value.into()]);
    }

    /// Adds several values under one name, one a line.
    pub fn list<T: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        let mut name = name;
        for value in values {
            self.pair(name, value);
            name = "";
        }
        if !name.is_empty() {
            self.pair(name, super::text::NONE);
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text without a final line break, at most `width` wide if that can be done by cutting and
    /// leaving out what may be.
    #[must_use]
    pub fn render(&self, width: Option<usize>, colour: bool) -> String {
        let shown = self.fit(width);
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if self.titles {
            table.set_header(shown.iter().map(|&(at, room)| {
                comfy_table::Cell::new(cut(self.columns[at].title, room)).add_attribute(Attribute::Bold)
            }));
        }
        for row in &self.rows {
            table.add_row(shown.iter().map(|&(at, room)| {
                let cell = comfy_table::Cell::new(cut(&row[at].text, room));
                match row[at].tone {
                    Tone::Plain => cell,
                    Tone::Good => cell.fg(Color::Green),
                    Tone::Warn => cell.fg(Color::Yellow),
                    Tone::Bad => cell.fg(Color::Red),
                    Tone::Dim => cell.add_attribute(Attribute::Dim),
                }
            }));
        }
        let last = shown.len().saturating_sub(1);
        for (place, &(at, _)) in shown.iter().enumerate() {
            if let Some(column) = table.column_mut(place) {
                column.set_padding((0, if place == last { 0 } else { GAP as u16 }));
                if self.columns[at].right {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.trim_fmt()
    }

    /// Which columns are shown, each with its width.
    fn fit(&self, limit: Option<usize>) -> Vec<(usize, usize)> {
        let mut shown: Vec<(usize, usize)> =
            (0..self.columns.len()).map(|at| (at, self.natural(at))).collect();
        let Some(limit) = limit else { return shown };
        loop {
            let mut fitted = shown.clone();
            while total(&fitted) > limit {
                let widest = fitted
                    .iter_mut()
                    .filter(|(at, room)| self.columns[*at].cut.is_some_and(|least| *room > least))
                    .max_by_key(|(_, room)| *room);
                match widest {
                    Some((_, room)) => *room -= 1,
                    None => break,
                }
            }
            if total(&fitted) <= limit {
                return fitted;
            }
            let goes = shown
                .iter()
                .enumerate()
                .filter(|(_, (at, _))| self.columns[*at].rank > 0)
                .max_by_key(|(_, (at, _))| self.columns[*at].rank)
                .map(|(place, _)| place);
            match goes {
                Some(place) => drop(shown.remove(place)),
                None => return fitted,
            }
        }
    }

    /// The width a column would like to have.
    fn natural(&self, at: usize) -> usize {
        let title = if self.titles { self.columns[at].title.width() } else { 0 };
        self.rows.iter().map(|row| row[at].text.width()).fold(title, usize::max)
    }
}

fn total(columns: &[(usize, usize)]) -> usize {
    columns.iter().map(|(_, room)| room).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

/// `text` in at most `room` terminal cells, ending in `…` if it was cut.
#[must_use]
pub fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if used + width + 1 > room {
            break;
        }
        used += width;
        kept.push(c);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([
            Column::text("NAME").cut(8),
            Column::number("ACTIVE"),
            Column::text("KIND").optional(2),
            Column::text("URL").cut(12).optional(1),
        ]);
        table.row(["gpu1".into(), "3".into(), "ollama".into(), "http://10.0.0.1:11434".into()]);
        table.row([
            "模型".into(),
            "12".into(),
            "openai".into(),
            "https://llm.example.org/a/long/prefix".into(),
        ]);
        table
    }

    #[test]
    fn whole_without_a_limit() {
        insta::assert_snapshot!(sample().render(None, false), @r"
        NAME  ACTIVE  KIND    URL
        gpu1       3  ollama  http://10.0.0.1:11434
        模型      12  openai  https://llm.example.org/a/long/prefix
        ");
    }

    #[test]
    fn cut_then_left_out() {
        insta::assert_snapshot!(sample().render(Some(40), false), @r"
        NAME  ACTIVE  KIND    URL
        gpu1       3  ollama  http://10.0.0.1:1…
        模型      12  openai  https://llm.examp…
        ");
        insta::assert_snapshot!(sample().render(Some(30), false), @r"
        NAME  ACTIVE  URL
        gpu1       3  http://10.0.0.1…
        模型      12  https://llm.exa…
        ");
        insta::assert_snapshot!(sample().render(Some(14), false), @r"
        NAME  ACTIVE
        gpu1       3
        模型      12
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_limit() {
        for limit in 14..100 {
            for line in sample().render(Some(limit), false).lines() {
                assert!(line.width() <= limit, "{limit}: {line:?}");
            }
        }
    }

    #[test]
    fn hostile_text_is_escaped_and_colour_is_ours_alone() {
        let mut table = Table::new([Column::text("NAME")]);
        table.row([Cell::new("\u{1b}[31mx\u{202e}\n").tone(Tone::Bad)]);
        assert_eq!(table.render(None, false), "NAME\n\\u{1b}[31mx\\u{202e}\\n");
        let coloured = table.render(None, true);
        assert!(coloured.contains("\u{1b}[") && coloured.contains("\\u{1b}[31mx"), "{coloured:?}");
    }

    #[test]
    fn cutting_counts_cells_not_characters() {
        assert_eq!(cut("模型名字", 5), "模型…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
    }
}
