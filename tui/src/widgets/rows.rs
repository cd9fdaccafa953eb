//! Labels with their values, the values broken into lines where they are long.

use ratatui::text::{Line, Span};

use super::text::{fill, wrap};
use crate::{
    render::text::safe,
    theme::{Theme, Tone},
};

/// A label, its value (escaped here, line breaks kept), and what the value is.
pub(crate) type Row = (String, String, Tone);

/// The lines.
pub(crate) fn lines(rows: &[Row], width: u16, theme: Theme) -> Vec<Line<'static>> {
    let label = rows.iter().map(|(label, ..)| super::text::width(label)).max().unwrap_or(0).min(18);
    let room = usize::from(width).saturating_sub(label + 2).max(8);
    let mut lines = Vec::new();
    for (name, value, tone) in rows {
        let safe: Vec<String> = value.split('\n').map(safe).collect();
        for (at, part) in wrap(&safe.join("\n"), room).into_iter().enumerate() {
            let name = if at == 0 { &**name } else { "" };
            lines.push(Line::from(vec![
                Span::styled(fill(name, label, false, theme.cut()), theme.style(Tone::Dim)),
                Span::raw("  "),
                Span::styled(part, theme.style(*tone)),
            ]));
        }
    }
    lines
}
