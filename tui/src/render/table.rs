//! Tables: their cells and columns, and how the command line writes them. Cells are cut or columns left out where
//! there is little room; nothing ever wraps.

use std::borrow::Cow;

use super::cells::{fit, width};
pub use crate::theme::Tone;

/// Blanks between two columns.
pub(crate) const GAP: usize = 2;
/// What stands where text was cut.
pub(crate) const CUT: char = '…';

/// One cell. Its text is escaped when the cell is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    /// A cell with `text`, which may be foreign.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    /// A cell with `text`, which may be foreign, and its meaning.
    #[must_use]
    pub fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: super::text::safe(text.as_ref()), tone }
    }

    /// A cell with `text`, or `-` for None.
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

/// How wide a column of the console is. The command line makes it as wide as what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// So many cells.
    Fixed(u16),
    /// At least so many, and its part of what is left over.
    Fill(u16),
}

/// One column: how it looks, and what may happen to it where there is little room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub(crate) title: Cow<'static, str>,
    pub(crate) width: Width,
    /// To how many characters the command line may cut it.
    least: Option<u16>,
    /// The highest rank is left out first; 0 stays.
    pub(crate) rank: u8,
    /// Aligned to the right, as numbers are.
    pub(crate) right: bool,
}

impl Column {
    /// A column of text, as wide as its title.
    #[must_use]
    pub const fn text(title: &'static str) -> Self {
        let width = Width::Fixed(title.len() as u16);
        Self { title: Cow::Borrowed(title), width, least: None, rank: 0, right: false }
    }

    /// A column of numbers, as wide as its title.
    #[must_use]
    pub const fn number(title: &'static str) -> Self {
        let mut column = Self::text(title);
        column.right = true;
        column
    }

    /// `cells` wide in the console.
    #[must_use]
    pub const fn cells(mut self, cells: u16) -> Self {
        self.width = Width::Fixed(cells);
        self
    }

    /// At least `cells` wide in the console, with its part of what is left over.
    #[must_use]
    pub const fn grows(mut self, cells: u16) -> Self {
        self.width = Width::Fill(cells);
        self
    }

    /// May be cut to `least` characters, and grows in the console.
    #[must_use]
    pub const fn cut(mut self, least: u16) -> Self {
        self.least = Some(least);
        self.grows(least)
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

    /// Adds the lines of a text under one name.
    pub fn lines(&mut self, name: &str, text: &str, tone: Tone) {
        for (place, line) in text.split('\n').enumerate() {
            self.pair(if place == 0 { name } else { "" }, Cell::toned(line, tone));
        }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
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
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        if self.titles {
            lines.push(self.line(&shown, colour, |at| (&self.columns[at].title, Tone::Strong)));
        }
        lines.extend(
            self.rows.iter().map(|row| self.line(&shown, colour, |at| (&row[at].text, row[at].tone))),
        );
        lines.join("\n")
    }

    fn line<'a>(
        &self,
        shown: &[(usize, usize)],
        colour: bool,
        cell: impl Fn(usize) -> (&'a str, Tone),
    ) -> String {
        let mut line = String::new();
        let mut blanks = 0;
        for &(at, room) in shown {
            let (text, tone) = cell(at);
            let text = fit(text, room, CUT);
            let rest = room - width(&text);
            let (before, after) = if self.columns[at].right { (rest, 0) } else { (0, rest) };
            // Blanks are written once something comes after them.
            if !text.is_empty() {
                line += &" ".repeat(blanks + before);
                line += &if colour { paint(&text, tone) } else { text };
                blanks = 0;
            } else {
                blanks += before;
            }
            blanks += after + GAP;
        }
        line
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
                    .filter(|(at, room)| {
                        self.columns[*at].least.is_some_and(|least| *room > usize::from(least))
                    })
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
        let title = if self.titles { width(&self.columns[at].title) } else { 0 };
        self.rows.iter().map(|row| width(&row[at].text)).fold(title, usize::max)
    }
}

fn total(columns: &[(usize, usize)]) -> usize {
    columns.iter().map(|(_, room)| room).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

/// `text` in the colour of its meaning.
pub(crate) fn paint(text: &str, tone: Tone) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Strong => 1,
        Tone::Dim => 2,
        Tone::Found => 4,
        Tone::Chosen | Tone::Bar => 7,
        Tone::Bad => 31,
        Tone::Good => 32,
        Tone::Warn => 33,
        Tone::Accent => 36,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
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
                assert!(width(line) <= limit, "{limit}: {line:?}");
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
}
