//! What to do next, as long as something is missing before the gateway is of use.

use ratatui::text::{Line, Span};

use super::heading;
use crate::{
    render::{cells::wrap, text::safe},
    state::{Model, steps},
    theme::Tone,
};

/// The next step, if there is one, and the key that does it.
pub(super) fn lines(model: &Model, width: u16) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    let Some(step) = steps::next(model) else { return Vec::new() };
    let mut lines = vec![heading(model, "Next", "", width)];
    for part in wrap(&safe(&step.text(model)), usize::from(width.saturating_sub(6))) {
        lines.push(Line::from(Span::styled(format!("    {part}"), theme.style(Tone::Accent))));
    }
    if let Some(does) = step.does() {
        lines.push(Line::from(vec![
            Span::raw("    "),
            Span::styled("enter", theme.style(Tone::Strong)),
            Span::styled(format!("  {does}"), theme.style(Tone::Dim)),
        ]));
    }
    lines
}
