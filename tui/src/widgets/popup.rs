//! A box in the middle of what it stands before.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    symbols::border,
    widgets::{Block, Clear, Widget as _},
};

use crate::render::cells::fit;
use crate::theme::{Theme, Tone};

/// In ASCII.
const PLAIN: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws an empty box of at most this size; the area inside.
pub(crate) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    (columns, rows): (u16, u16),
    title: &str,
    tone: Tone,
    theme: Theme,
) -> Rect {
    let (width, height) =
        (columns.saturating_add(4).min(area.width), rows.saturating_add(2).min(area.height));
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    let title = format!(" {} ", fit(title, usize::from(width).saturating_sub(6), theme.cut()));
    let block = Block::bordered()
        .border_set(if theme.is_ascii() { PLAIN } else { border::PLAIN })
        .border_style(theme.style(tone))
        .title(title);
    let inner = block.inner(place);
    block.render(place, buffer);
    // A blank on either side.
    Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner }
}
