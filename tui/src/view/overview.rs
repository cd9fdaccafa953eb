//! How the gateway does, what needs somebody, and what to do next.

mod busiest;
mod concerns;
mod next;
mod vitals;

use aivonx_protocol::daemon::Status;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::{Paragraph, Widget as _},
};

use super::table::say;
use crate::{
    render::cells::{fit, width},
    state::{Link, Model},
    theme::Tone,
};

/// From so many columns on the busiest stand beside the rest.
const WIDE: u16 = 110;

/// From so many rows on graphs are several rows high.
const TALL: u16 = 36;

/// From so many rows on even higher.
const TALLER: u16 = 52;

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let Some(status) = &model.status else {
        let text = match &model.link {
            Link::Down { why, .. } => why.clone(),
            _ => "Asking the gateway how it does".to_owned(),
        };
        return say(buffer, area, &text);
    };
    if area.width >= WIDE && model.overview.pulse.is_some() {
        let left = Rect { width: area.width * 5 / 8, ..area };
        let right = Rect { x: left.right() + 1, width: area.width - left.width - 1, ..area };
        main(buffer, left, model, status, false);
        let lines = busiest::below_each_other(model, right.width, right.height);
        return Paragraph::new(lines).render(right, buffer);
    }
    main(buffer, area, model, status, true);
}

/// Vital signs, the next step, what needs somebody, and where there is room the busiest.
fn main(buffer: &mut Buffer, area: Rect, model: &Model, status: &Status, busiest: bool) {
    let mut lines = vitals::lines(model, status, area.width, area.height);
    let next = next::lines(model, area.width);
    let rest = usize::from(area.height).saturating_sub(lines.len());
    // Before there is anything to serve, that is all that counts.
    let rest = rest.saturating_sub(next.len());
    let ranking = if busiest { busiest::rows(model) } else { 0 };
    // A heading and three of each, if they leave two lines for what needs somebody.
    let kept = if ranking > 0 && rest >= 7 { 1 + ranking.min(3) } else { 0 };
    let concerns = concerns::lines(model, status, area.width, rest - kept);
    let left = rest - concerns.len();
    lines.extend(next);
    lines.extend(concerns);
    if kept > 0 {
        lines.extend(busiest::beside_each_other(model, area.width, left));
    }
    Paragraph::new(lines).render(area, buffer);
}

/// A title in a rule, with a note at its end.
fn heading(model: &Model, title: &str, note: &str, columns: u16) -> Line<'static> {
    let theme = model.settings.theme;
    let room = usize::from(columns);
    let title = fit(&format!("{} {title} ", theme.rule()), room, theme.cut());
    let note = if note.is_empty() { String::new() } else { format!(" {note} {}", theme.rule()) };
    let note = if width(&title) + width(&note) + 2 > room { String::new() } else { note };
    let rule = theme.rule().repeat(room.saturating_sub(width(&title) + width(&note)));
    Line::from(vec![
        Span::styled(format!("{title}{rule}"), theme.style(Tone::Strong)),
        Span::styled(note, theme.style(Tone::Dim)),
    ])
}
