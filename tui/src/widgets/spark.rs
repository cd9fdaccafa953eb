//! A line of bars: how a number went; and a bar: how far something is.

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

/// `done` of `total` as a bar of so many cells.
pub(crate) fn bar(done: u64, total: u64, cells: usize, theme: Theme) -> String {
    let filled = if total == 0 {
        0
    } else {
        usize::try_from(u128::from(done.min(total)) * cells as u128 / u128::from(total)).unwrap_or(cells)
    };
    theme.sign("█", "#").repeat(filled) + &theme.sign("░", ".").repeat(cells - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bars() {
        let theme = Theme::new(true, false, false);
        assert_eq!(line([0.0, 1.0, 7.0].into_iter(), 5, theme), "▁▂█");
        assert_eq!(line([9.0, 1.0, 1.0].into_iter(), 2, theme), "██");
        assert_eq!(line([0.0, f64::NAN].into_iter(), 2, theme), "▁▁");
        assert_eq!(line(std::iter::empty(), 2, theme), "");
        let ascii = Theme::new(true, true, false);
        assert_eq!(bar(1, 2, 4, ascii), "##..");
        assert_eq!(bar(9, 2, 4, ascii), "####");
        assert_eq!(bar(0, 0, 4, ascii), "....");
        assert_eq!(bar(u64::MAX, u64::MAX, 4, ascii), "####");
    }
}
