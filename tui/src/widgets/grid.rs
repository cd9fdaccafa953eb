//! A table of which only the rows that are seen are made: thousands cost no more than a screenful.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::render::cells::{fill, width};
use crate::{
    filter::Filter,
    render::{Cell, Column, Width, table},
    theme::{Theme, Tone},
};

/// Blanks between columns.
const GAP: u16 = table::GAP as u16;
/// Cells before the first column: what is chosen, and what is marked.
const GUTTER: u16 = 2;

/// What is drawn.
pub(crate) struct Grid<'a> {
    /// The columns.
    pub(crate) columns: &'a [Column],
    /// The column it is sorted by, and whether the largest come first.
    pub(crate) sorted: Option<(usize, bool)>,
    /// How many rows there are.
    pub(crate) count: usize,
    /// The chosen one.
    pub(crate) at: usize,
    /// What was searched for.
    pub(crate) filter: Option<&'a Filter>,
    /// Looks.
    pub(crate) theme: Theme,
}

impl Grid<'_> {
    /// Draws it. `row` makes the cells of a row, one per column, and says whether it is marked.
    pub(crate) fn draw(&self, buffer: &mut Buffer, area: Rect, row: impl Fn(usize) -> (bool, Vec<Cell>)) {
        if area.height == 0 || area.width <= GUTTER {
            return;
        }
        let places = places(self.columns, area.width - GUTTER);
        let dim = self.theme.style(Tone::Dim);
        let cut = self.theme.cut();
        for (column, x, cells) in &places {
            let of = &self.columns[*column];
            let mut title = of.title.to_string();
            if let Some((sorted, descending)) = self.sorted
                && sorted == *column
            {
                let arrow =
                    if descending { self.theme.sign("▼", "v") } else { self.theme.sign("▲", "^") };
                title = format!("{title}{arrow}");
            }
            let cells = usize::from(*cells);
            // The arrow may stand in the gap.
            let cells = cells.max(width(&title).min(cells + 1));
            let x = area.x + GUTTER + x;
            put(buffer, area, x, area.y, &fill(&title, cells, of.right && cells >= width(&title), cut), dim);
        }
        let height = usize::from(area.height - 1);
        for (line, index) in (offset(self.count, self.at, height)..self.count).take(height).enumerate() {
            let y = area.y + 1 + u16::try_from(line).unwrap_or(u16::MAX);
            let (marked, cells) = row(index);
            let chosen = index == self.at;
            let base = self.theme.style(if chosen { Tone::Chosen } else { Tone::Plain });
            if chosen {
                buffer.set_style(Rect { y, height: 1, ..area }, base);
            }
            put(buffer, area, area.x, y, if chosen { ">" } else { " " }, base);
            put(buffer, area, area.x + 1, y, if marked { "*" } else { " " }, base);
            for (column, x, room) in &places {
                let Some(cell) = cells.get(*column) else { continue };
                let text = fill(&cell.text, usize::from(*room), self.columns[*column].right, cut);
                // On the chosen line colours would fight with its own.
                let style = if chosen { base } else { self.theme.style(cell.tone) };
                let x = area.x + GUTTER + x;
                put(buffer, area, x, y, &text, style);
                for (from, to) in self.filter.map(|filter| filter.found(&text)).unwrap_or_default() {
                    let at = x + u16::try_from(width(&text[..from])).unwrap_or(0);
                    let style = style.patch(self.theme.style(Tone::Found));
                    put(buffer, area, at, y, &text[from..to], style);
                }
            }
        }
    }
}

fn put(buffer: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) {
    if y < area.bottom() && x < area.right() {
        buffer.set_stringn(x, y, text, usize::from(area.right() - x), style);
    }
}

/// The first row shown, so that the chosen one is seen with what is around it.
pub(crate) fn offset(count: usize, at: usize, height: usize) -> usize {
    at.saturating_sub(height / 2).min(count.saturating_sub(height))
}

/// The positions of the columns that are seen where there are so many cells.
pub(crate) fn seen(columns: &[Column], cells: u16) -> Vec<usize> {
    places(columns, cells.saturating_sub(GUTTER)).into_iter().map(|(at, ..)| at).collect()
}

/// The columns there is room for, each with where it begins and how wide it is.
fn places(columns: &[Column], room: u16) -> Vec<(usize, u16, u16)> {
    let least = |column: &Column| match column.width {
        Width::Fixed(cells) | Width::Fill(cells) => cells,
    };
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let needed = |kept: &[usize]| {
        let cells: u16 = kept.iter().map(|at| least(&columns[*at]) + GAP).sum();
        cells.saturating_sub(GAP)
    };
    while needed(&kept) > room {
        let Some(last) =
            kept.iter().copied().filter(|at| columns[*at].rank > 0).max_by_key(|at| columns[*at].rank)
        else {
            break;
        };
        kept.retain(|at| *at != last);
    }
    let spare = room.saturating_sub(needed(&kept));
    let filling: u16 = kept.iter().map(|at| fills(&columns[*at])).sum();
    let mut x = 0;
    let mut places = Vec::with_capacity(kept.len());
    for at in kept {
        let share = u32::from(spare) * u32::from(fills(&columns[at])) / u32::from(filling.max(1));
        let cells = (least(&columns[at]) + u16::try_from(share).unwrap_or(0)).min(room.saturating_sub(x));
        if cells == 0 {
            break;
        }
        places.push((at, x, cells));
        x += cells + GAP;
    }
    places
}

fn fills(column: &Column) -> u16 {
    match column.width {
        Width::Fill(cells) => cells,
        Width::Fixed(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("NAME").cut(10),
        Column::number("N").cells(4).optional(2),
        Column::text("MORE").cut(10).optional(1),
    ];

    #[test]
    fn what_does_not_fit_goes_by_rank() {
        assert_eq!(places(COLUMNS, 28), [(0, 0, 10), (1, 12, 4), (2, 18, 10)]);
        assert_eq!(places(COLUMNS, 27), [(0, 0, 12), (2, 14, 12)]);
        assert_eq!(places(COLUMNS, 21), [(0, 0, 21)]);
        assert_eq!(places(COLUMNS, 5), [(0, 0, 5)], "what stays is cut");
        assert_eq!(places(COLUMNS, 48), [(0, 0, 20), (1, 22, 4), (2, 28, 20)]);
        assert_eq!(places(COLUMNS, 0), []);
    }

    #[test]
    fn the_chosen_row_is_always_seen() {
        for (count, at, height, first) in
            [(3, 2, 10, 0), (100, 0, 10, 0), (100, 50, 10, 45), (100, 99, 10, 90), (5, 4, 0, 4), (0, 0, 5, 0)]
        {
            assert_eq!(offset(count, at, height), first, "{count} {at} {height}");
        }
    }
}
