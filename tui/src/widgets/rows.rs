//! Labels with their values, the values broken into lines where they are long.

use ratatui::text::{Line, Span};

use crate::render::cells::{fill, width, wrap};
use crate::{
    render::Table,
    theme::{Theme, Tone},
};

/// The lines of a table of [pairs](Table::pairs).
pub(crate) fn lines(pairs: &Table, columns: u16, theme: Theme) -> Vec<Line<'static>> {
    let pairs = || pairs.rows().iter().filter_map(|row| row.first().zip(row.get(1)));
    let label = pairs().map(|(name, _)| width(&name.text)).max().unwrap_or(0).min(18);
    let room = usize::from(columns).saturating_sub(label + 2).max(8);
    let mut lines = Vec::new();
    for (name, value) in pairs() {
        for (at, part) in wrap(&value.text, room).into_iter().enumerate() {
            let name = if at == 0 { &*name.text } else { "" };
            lines.push(Line::from(vec![
                Span::styled(fill(name, label, false, theme.cut()), theme.style(Tone::Dim)),
                Span::raw("  "),
                Span::styled(part, theme.style(value.tone)),
            ]));
        }
    }
    lines
}
