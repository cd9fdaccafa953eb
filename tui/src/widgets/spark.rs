//! Lines of bars: how a number went.

use crate::theme::Theme;

/// The last readings that fit, one cell each, the newest at the right.
pub(crate) fn line(readings: impl DoubleEndedIterator<Item = f64>, cells: usize, theme: Theme) -> String {
    let mut last: Vec<f64> = readings.rev().take(cells).collect();
    last.reverse();
    let most = last.iter().copied().fold(0.0_f64, f64::max);
    let heights = theme.heights();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let bar = |reading: &f64| {
        let share = if most > 0.0 { (reading / most).clamp(0.0, 1.0) } else { 0.0 };
        heights[((share * 7.0).round() as usize).min(7)]
    };
    last.iter().map(bar).collect()
}

/// A graph so many rows high, the top row first, one cell for each reading. Below zero means no data, and is drawn as
/// nothing; a reading above zero is never drawn as zero.
pub(crate) fn tall(readings: &[f64], rows: usize, theme: Theme) -> Vec<String> {
    let most = readings.iter().copied().fold(0.0_f64, f64::max);
    let heights = theme.heights();
    let top = heights.len() * rows.max(1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and top, which is a few dozen"
    )]
    let height = |reading: f64| {
        let share = if most > 0.0 { (reading / most).clamp(0.0, 1.0) } else { 0.0 };
        // The lowest of all stands for none.
        let some = usize::from(reading > 0.0);
        1 + some.max((share * (top - 1) as f64).round() as usize)
    };
    let cell = |reading: f64, row: usize| {
        if reading < 0.0 {
            return ' ';
        }
        let filled = height(reading).saturating_sub((rows - 1 - row) * heights.len()).min(heights.len());
        if filled == 0 { ' ' } else { heights[filled - 1] }
    };
    (0..rows).map(|row| readings.iter().map(|reading| cell(*reading, row)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_of_several_rows() {
        let theme = Theme::new(true, false, false);
        assert_eq!(tall(&[0.0, 0.01, 7.0, -1.0], 1, theme), ["▁▂█ "]);
        assert_eq!(tall(&[0.0, 4.0, 8.0, 16.0], 2, theme), ["  ▁█", "▁▅██"]);
        assert_eq!(tall(&[], 2, theme), ["", ""]);
        assert_eq!(tall(&[0.0, f64::NAN], 1, theme), ["▁▁"]);
    }

    #[test]
    fn lines() {
        let theme = Theme::new(true, false, false);
        assert_eq!(line([0.0, 1.0, 7.0].into_iter(), 5, theme), "▁▂█");
        assert_eq!(line([9.0, 1.0, 1.0].into_iter(), 2, theme), "██");
        assert_eq!(line([0.0, f64::NAN].into_iter(), 2, theme), "▁▁");
        assert_eq!(line(std::iter::empty(), 2, theme), "");
    }
}
