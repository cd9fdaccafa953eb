//! A list with its heading, and everything about the chosen line: beside the list where there is room, else
//! in its place.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::Line,
    widgets::{Paragraph, Widget as _},
};

use super::frame;
use crate::{
    nouns::Noun,
    render::{
        Cell, Column, Table,
        cells::{fit, wrap},
        text::safe,
    },
    state::{
        Model, Right,
        list::{List, Load, Rows as _},
    },
    theme::Tone,
    widgets::{grid::Grid, rows},
};

/// From so many columns on the details stand beside the list.
const WIDE: u16 = 110;

/// What a list is drawn with.
pub(super) struct Pane<'a, T: Noun> {
    /// What stands above it.
    pub(super) title: &'a str,
    /// What it is of, in a sentence: `the nodes`.
    pub(super) noun: &'a str,
    /// The records.
    pub(super) list: &'a List<T>,
    /// What one must be allowed to see.
    pub(super) right: Right,
    /// Shown in place of an empty list.
    pub(super) empty: &'a str,
    /// The columns: those of the noun, and behind them those that only this console knows.
    pub(super) columns: Vec<Column>,
    /// What stands in the columns behind the noun's.
    pub(super) more: &'a dyn Fn(&T) -> Vec<Cell>,
    /// What only this console knows of one, below the rest.
    pub(super) facts: &'a dyn Fn(&T, &mut Table),
}

impl<'a, T: Noun> Pane<'a, T> {
    /// A list with what its noun says of itself.
    pub(super) fn new(
        title: &'a str,
        noun: &'a str,
        list: &'a List<T>,
        right: Right,
        empty: &'a str,
    ) -> Self {
        Self {
            title,
            noun,
            list,
            right,
            empty,
            columns: T::columns(),
            more: &|_| Vec::new(),
            facts: &|_, _| (),
        }
    }

    /// Draws it.
    pub(super) fn draw(&self, buffer: &mut Buffer, area: Rect, model: &Model) {
        match self.list.chosen().filter(|_| model.detail) {
            Some(one) if area.width >= WIDE => {
                let left = Rect { width: beside(area.width), ..area };
                let right = Rect { x: left.right() + 1, width: area.width - left.width - 1, ..area };
                self.rows(buffer, left, model);
                self.detail(buffer, right, model, one);
            }
            Some(one) => self.detail(buffer, area, model, one),
            None => self.rows(buffer, area, model),
        }
    }

    /// Draws the list alone.
    pub(super) fn rows(&self, buffer: &mut Buffer, area: Rect, model: &Model) {
        frame::heading(buffer, area, model, self.title);
        let inner = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        if self.list.all().is_empty() {
            let text = match (model.why_not(self.right), &self.list.load) {
                (Some(why), _) => format!("You cannot see {}: {why}.", self.noun),
                (None, Load::Failed(fault)) => format!("No answer about {}: {fault}", self.noun),
                (None, Load::Waiting) => format!("Asking for {}", self.noun),
                (None, Load::Ready(_)) => self.empty.to_owned(),
            };
            return say(buffer, inner, &text);
        }
        let grid = Grid {
            columns: &self.columns,
            sorted: Some(self.list.order()),
            count: self.list.counts().0,
            at: self.list.at(),
            filter: self.list.filter(),
            theme: model.settings.theme,
        };
        grid.draw(buffer, inner, |row| match self.list.shown(row) {
            Some(one) => {
                let mut cells = one.cells(&model.view());
                cells.extend((self.more)(one));
                (self.list.is_marked(one), cells)
            }
            None => (false, Vec::new()),
        });
    }

    fn detail(&self, buffer: &mut Buffer, area: Rect, model: &Model, one: &T) {
        let mut table = one.details(&model.view());
        (self.facts)(one, &mut table);
        details(buffer, area, model, one.name(), &table);
    }
}

/// The columns left to a list with details beside it.
fn beside(columns: u16) -> u16 {
    columns * 3 / 5
}

/// The columns of the terminal that a [`Pane`] takes, or will once its details are closed.
pub(super) fn across(model: &Model) -> u16 {
    let (columns, _) = model.size;
    if model.detail && columns >= WIDE { beside(columns) } else { columns }
}

/// Everything about one, with its name above.
pub(super) fn details(buffer: &mut Buffer, area: Rect, model: &Model, name: &str, facts: &Table) {
    let theme = model.settings.theme;
    let room = usize::from(area.width);
    let inner = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let lines = rows::lines(facts, inner.width, theme);
    let most = lines.len().saturating_sub(usize::from(inner.height));
    let from = model.detail_scroll.min(most);
    let more = if most > 0 {
        format!(", {} of {} lines: pgdn", lines.len() - most, lines.len())
    } else {
        String::new()
    };
    let title = fit(&format!("{} {} (esc: back{more}) ", theme.rule(), safe(name)), room, theme.cut());
    let rest = room.saturating_sub(crate::render::cells::width(&title));
    let title = title + &theme.rule().repeat(rest);
    buffer.set_stringn(area.x, area.y, title, room, theme.style(Tone::Strong));
    Paragraph::new(lines.into_iter().skip(from).collect::<Vec<_>>()).render(inner, buffer);
}

/// A few sentences where there is nothing else to show.
pub(super) fn say(buffer: &mut Buffer, area: Rect, text: &str) {
    let room = usize::from(area.width.saturating_sub(4));
    let safe: Vec<String> = text.split('\n').map(safe).collect();
    let lines = wrap(&safe.join("\n"), room).into_iter().map(Line::from).collect::<Vec<_>>();
    let place = Rect {
        x: area.x + 2,
        y: area.y + area.height.min(1),
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(1),
    };
    Paragraph::new(lines).render(place, buffer);
}

/// The tabs of a screen, the one shown in brackets.
pub(super) fn tabs(titles: impl Iterator<Item = (&'static str, bool)>) -> String {
    let words: Vec<String> =
        titles.map(|(title, here)| if here { format!("[{title}]") } else { title.to_owned() }).collect();
    format!("{} (tab)", words.join(" "))
}
