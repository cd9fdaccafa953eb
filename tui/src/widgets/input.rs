//! A line being typed.

use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};
use tui_input::Input;

use crate::{
    render::text::safe,
    theme::{Theme, Tone},
};

/// Draws it, with the cursor in sight if it has the keys.
pub(crate) fn draw(buffer: &mut Buffer, area: Rect, input: &Input, active: bool, theme: Theme) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let room = usize::from(area.width).saturating_sub(1);
    let scroll = if active { input.visual_scroll(room) } else { 0 };
    // What is typed has no control characters, but may have been set from outside.
    let text: String = input.value().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let mut skipped = 0;
    let mut rest = &*text;
    while skipped < scroll {
        let Some(c) = rest.chars().next() else { break };
        skipped += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0).max(usize::from(skipped == 0));
        rest = &rest[c.len_utf8()..];
    }
    let shown = safe(rest);
    buffer.set_stringn(area.x, area.y, &shown, usize::from(area.width), theme.style(Tone::Plain));
    if active {
        let at = input.visual_cursor().saturating_sub(scroll).min(room);
        mark(buffer, area, at);
    }
}

/// Draws as many dots as were typed.
pub(crate) fn hidden(buffer: &mut Buffer, area: Rect, typed: usize, active: bool, theme: Theme) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let room = usize::from(area.width).saturating_sub(1);
    let shown = typed.min(room);
    buffer.set_string(area.x, area.y, theme.sign("•", "*").repeat(shown), theme.style(Tone::Plain));
    if active {
        mark(buffer, area, shown);
    }
}

/// Draws a secret that may be seen while it is typed.
pub(crate) fn seen(buffer: &mut Buffer, area: Rect, text: &str, active: bool, theme: Theme) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let shown = crate::render::cells::fit(&safe(text), usize::from(area.width - 1), theme.cut());
    buffer.set_string(area.x, area.y, &shown, theme.style(Tone::Plain));
    if active {
        mark(buffer, area, crate::render::cells::width(&shown));
    }
}

/// The cursor: drawn, so that panes stay pure.
fn mark(buffer: &mut Buffer, area: Rect, at: usize) {
    let x = area.x + u16::try_from(at).unwrap_or(0).min(area.width - 1);
    if let Some(cell) = buffer.cell_mut((x, area.y)) {
        let style = cell.style().add_modifier(Modifier::REVERSED);
        cell.set_style(style);
    }
}
