//! A chart of bars over time, with numbers at its axes.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::render::cells::{fill, fit, width};
use crate::theme::{Theme, Tone};

/// Rows below which nothing can be read off.
const LEAST: u16 = 4;

/// What is drawn.
pub(crate) struct Chart<'a> {
    /// What it is of, in a line.
    pub(crate) title: &'a str,
    /// The numbers, the oldest first.
    pub(crate) values: &'a [u64],
    /// What stands below each; not all have room.
    pub(crate) labels: &'a [String],
    /// A number for people.
    pub(crate) shown: &'a dyn Fn(u64) -> String,
    /// Looks.
    pub(crate) theme: Theme,
}

impl Chart<'_> {
    /// Draws it: the title, the bars with the largest number and its half beside them, and what stands below.
    /// Where there is little room, the bars are a line of text.
    pub(crate) fn draw(&self, buffer: &mut Buffer, area: Rect) {
        if area.height == 0 || area.width < 12 {
            return;
        }
        let room = usize::from(area.width);
        let strong = self.theme.style(Tone::Strong);
        buffer.set_stringn(area.x, area.y, fit(self.title, room, self.theme.cut()), room, strong);
        if area.height < LEAST {
            return self.line(buffer, Rect { y: area.y + 1, height: area.height - 1, ..area });
        }
        let most = self.values.iter().copied().max().unwrap_or(0);
        let rows = area.height - 2;
        let half = (self.shown)(most / 2);
        let top = (self.shown)(most);
        let axis = width(&top).max(width(&half)).max(1);
        let dim = self.theme.style(Tone::Dim);
        let mut beside = |text: &str, y: u16| {
            buffer.set_stringn(area.x, y, fill(text, axis, true, self.theme.cut()), room, dim);
        };
        beside(&top, area.y + 1);
        // Half of a small odd number is not a whole one.
        if rows > 3 && most > 1 && (most.is_multiple_of(2) || most > 100) {
            beside(&half, area.y + 1 + rows / 2);
        }
        beside("0", area.y + 1 + rows);
        let left = area.x + u16::try_from(axis).unwrap_or(0) + 1;
        let plot = Rect { x: left, y: area.y + 1, width: area.right().saturating_sub(left), height: rows };
        self.bars(buffer, plot, most);
        self.below(buffer, Rect { y: plot.bottom(), height: 1, ..plot });
    }

    /// Cells from one bar to the next, and the first value that has room.
    fn step(&self, cells: u16) -> (u16, usize) {
        let count = u16::try_from(self.values.len()).unwrap_or(u16::MAX).max(1);
        let step = (cells / count).clamp(1, 8);
        let fit = usize::from(cells / step);
        (step, self.values.len().saturating_sub(fit))
    }

    fn bars(&self, buffer: &mut Buffer, plot: Rect, most: u64) {
        let (step, first) = self.step(plot.width);
        let heights = self.theme.heights();
        let full = u128::from(plot.height) * 8;
        let style = self.theme.style(Tone::Accent);
        for (at, value) in self.values.iter().skip(first).enumerate() {
            let x = plot.x + u16::try_from(at).unwrap_or(0) * step;
            // Something is never drawn as nothing.
            let eighths = (u128::from(*value) * full).div_ceil(u128::from(most.max(1)));
            for row in 0..plot.height {
                let below = u128::from(plot.height - 1 - row) * 8;
                let part = usize::try_from(eighths.saturating_sub(below).min(8)).unwrap_or(8);
                let Some(sign) = part.checked_sub(1).map(|part| heights[part]) else { continue };
                let cells = usize::from(if step > 1 { step - 1 } else { 1 });
                buffer.set_string(x, plot.y + row, sign.to_string().repeat(cells), style);
            }
        }
    }

    /// As many labels as have room, from the newest back.
    fn below(&self, buffer: &mut Buffer, line: Rect) {
        let (step, first) = self.step(line.width);
        let wide = self.labels.iter().map(|label| width(label)).max().unwrap_or(0) + 2;
        let every = wide.div_ceil(usize::from(step)).max(1);
        let dim = self.theme.style(Tone::Dim);
        let shown = self.labels.get(first..).unwrap_or_default();
        for (at, label) in shown.iter().enumerate() {
            let newest = shown.len() - 1;
            if !(newest - at).is_multiple_of(every) {
                continue;
            }
            // Below its bar; the newest ends where the line does.
            let x = u16::try_from(at).unwrap_or(0) * step;
            let x = line.x + x.min(line.width.saturating_sub(u16::try_from(width(label)).unwrap_or(0)));
            buffer.set_stringn(x, line.y, label, usize::from(line.right().saturating_sub(x)), dim);
        }
    }

    fn line(&self, buffer: &mut Buffer, area: Rect) {
        if area.height == 0 {
            return;
        }
        let most = self.values.iter().copied().max().unwrap_or(0);
        let top = format!(" {} at most", (self.shown)(most));
        let room = usize::from(area.width).saturating_sub(width(&top));
        #[allow(clippy::cast_precision_loss, reason = "eight heights")]
        let readings = self.values.iter().map(|value| *value as f64);
        let text = super::spark::line(readings, room, self.theme) + &top;
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), self.theme.style(Tone::Accent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[u64], columns: u16, rows: u16, ascii: bool) -> Vec<String> {
        let area = Rect::new(0, 0, columns, rows);
        let mut buffer = Buffer::empty(area);
        let labels: Vec<String> = (1..=values.len()).map(|day| format!("11-{day:02}")).collect();
        let theme = Theme::new(false, ascii, false);
        let chart = Chart {
            title: "requests per day",
            values,
            labels: &labels,
            shown: &crate::render::text::short,
            theme,
        };
        chart.draw(&mut buffer, area);
        (0..rows)
            .map(|y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn bars_stand_above_their_days() {
        let values = [0, 8, 16, 24, 32, 1];
        assert_eq!(
            drawn(&values, 27, 6, false),
            [
                "requests per day",
                "32                 ███",
                "               ███ ███",
                "16         ███ ███ ███",
                "       ███ ███ ███ ███ ▁▁▁",
                " 0     11-02   11-04  11-06",
            ]
        );
    }

    #[test]
    fn without_unicode_and_without_room() {
        let values: Vec<u64> = (0..30).map(|day| day * 1000).collect();
        let plain = drawn(&values, 78, 9, true);
        assert!(plain.iter().all(|line| line.is_ascii()), "{plain:#?}");
        assert!(plain[1].starts_with("29.0k") && plain[8].ends_with("11-30"), "{plain:#?}");
        let small = drawn(&values, 40, 2, true);
        assert!(small[1].ends_with("29.0k at most"), "{small:#?}");
        // More values than cells: the newest stay.
        let narrow = drawn(&values, 20, 6, false);
        assert!(narrow[5].ends_with("11-30"), "{narrow:#?}");
        for (columns, rows) in [(0, 0), (1, 1), (12, 1), (12, 4), (500, 3)] {
            drawn(&values, columns, rows, false);
            drawn(&[], columns, rows, true);
            drawn(&[u64::MAX, 0], columns, rows, true);
        }
    }
}
