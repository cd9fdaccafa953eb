//! A bar of what is used of a limit, and the same in words: the bar and its colour alone say nothing that is
//! not also written.

use super::cells::{fill, width};
use crate::theme::{Theme, Tone};

/// From this share on a limit is nearly used up.
pub(crate) const NEAR: f64 = 0.8;

/// Cells of the text of [`percent`].
const WORDS: usize = 5;

/// The part of `limit` that is used, from 0 to 1 and beyond; 1 for a limit of 0.
#[allow(clippy::cast_precision_loss, reason = "a share of three digits")]
pub(crate) fn share(used: u64, limit: u64) -> f64 {
    if limit == 0 { 1.0 } else { used as f64 / limit as f64 }
}

/// `share` as a bar of exactly so many cells, in eighths of one. What is more than all is drawn as all. Some is
/// never drawn as none, and not quite all never as all.
pub(crate) fn line(share: f64, cells: usize, theme: Theme) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let steps = if theme.is_ascii() { 1 } else { EIGHTHS.len() };
    let most = cells.saturating_mul(steps);
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and most, which is a few hundred"
    )]
    let mut filled = (share * most as f64).round() as usize;
    if share > 0.0 {
        filled = filled.max(1).min(most);
    }
    if share < 1.0 {
        filled = filled.min(most.saturating_sub(1));
    }
    let (whole, part) = (filled / steps, filled % steps);
    let mut bar = theme.sign("█", "#").repeat(whole);
    bar += EIGHTHS[part];
    let rest = cells.saturating_sub(whole + usize::from(part > 0));
    bar + &theme.sign("░", ".").repeat(rest)
}

/// `share` in at most five cells: `85%`. Some is never `0%`, not quite all never `100%`; `-` is no share at all.
pub(crate) fn percent(share: f64) -> String {
    if share.is_nan() {
        "-".to_owned()
    } else if share > 9.995 {
        ">999%".to_owned()
    } else if share <= 0.0 {
        "0%".to_owned()
    } else if share < 0.01 {
        "<1%".to_owned()
    } else if share < 1.0 {
        format!("{:.0}%", (share * 100.0).min(99.0))
    } else {
        format!("{:.0}%", share * 100.0)
    }
}

/// What it means, in a word; empty where there is nothing to say.
pub(crate) fn word(share: f64) -> &'static str {
    if share >= 1.0 {
        "used up"
    } else if share >= NEAR {
        "nearly used up"
    } else {
        ""
    }
}

/// How it looks.
pub(crate) fn tone(share: f64) -> Tone {
    if share >= 1.0 {
        Tone::Bad
    } else if share >= NEAR {
        Tone::Warn
    } else {
        Tone::Good
    }
}

/// The bar with the share in words behind it, in exactly so many cells. Where there is no room for both, the
/// words stay.
pub(crate) fn told(share: f64, cells: usize, theme: Theme) -> String {
    let words = percent(share);
    if cells < WORDS + 3 {
        return fill(&words, cells, true, theme.cut());
    }
    let bar = line(share, cells - WORDS - 1, theme);
    let text = format!("{bar} {words:>WORDS$}");
    debug_assert_eq!(width(&text), cells, "{text}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Theme = Theme::new(true, false, false);
    const ASCII: Theme = Theme::new(true, true, false);

    #[test]
    fn bars_are_as_wide_as_they_should_be() {
        for cells in 0..12 {
            for share in [-1.0, 0.0, 0.001, 0.3, 0.5, 0.99, 1.0, 7.0, f64::NAN, f64::INFINITY] {
                for theme in [FULL, ASCII] {
                    assert_eq!(width(&line(share, cells, theme)), cells, "{share} {cells}");
                    assert_eq!(width(&told(share, cells, theme)), cells, "{share} {cells}");
                }
                assert!(told(share, cells, ASCII).is_ascii());
                assert!(width(&percent(share)) <= WORDS, "{share}");
            }
        }
    }

    #[test]
    fn bars_are_drawn_in_eighths() {
        assert_eq!(line(0.0, 4, FULL), "░░░░");
        assert_eq!(line(0.5, 4, FULL), "██░░");
        assert_eq!(line(0.53, 4, FULL), "██▏░");
        assert_eq!(line(0.4, 4, FULL), "█▋░░");
        assert_eq!(line(1.0, 4, FULL), "████");
        assert_eq!(line(3.0, 4, FULL), "████");
        assert_eq!(line(0.5, 4, ASCII), "##..");
    }

    #[test]
    fn some_is_not_none_and_nearly_all_is_not_all() {
        assert_eq!(line(0.0001, 3, FULL), "▏░░");
        assert_eq!(line(0.9999, 3, FULL), "██▉");
        assert_eq!((line(0.0001, 3, ASCII), line(0.9999, 3, ASCII)), ("#..".into(), "##.".into()));
        assert_eq!(line(0.5, 1, ASCII), ".", "a cell that is not full");
        assert_eq!(
            [0.0, 0.001, 0.25, 0.999, 1.0, 1.5, 12.0].map(percent),
            ["0%", "<1%", "25%", "99%", "100%", "150%", ">999%"]
        );
    }

    #[test]
    fn words_say_what_colours_say() {
        for (share, said, looks) in
            [(0.1, "", Tone::Good), (0.8, "nearly used up", Tone::Warn), (1.0, "used up", Tone::Bad)]
        {
            assert_eq!((word(share), tone(share)), (said, looks));
        }
        assert_eq!(share(3, 4), 0.75);
        assert_eq!(
            (share(0, 0), word(share(0, 0))),
            (1.0, "used up"),
            "a limit of nothing lets nothing through"
        );
    }

    #[test]
    fn where_there_is_no_room_the_words_stay() {
        assert_eq!(told(0.5, 12, ASCII), "###...   50%");
        assert_eq!(told(0.5, 5, ASCII), "  50%");
        assert_eq!(told(0.5, 2, FULL), "5…");
    }
}
