//! A QR code in half blocks: two rows of modules a line.

use qrcode::{Color, EcLevel, QrCode};

/// Modules left free on every side. The standard asks for four; two are read by every camera and save four
/// of the terminal's lines.
const QUIET: usize = 2;

/// A code with the margin it needs: a square of light and dark modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modules {
    dark: Vec<bool>,
    width: usize,
}

impl Modules {
    /// A code for `text`; None if it is too long for one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        // The least error correction gives the smallest code; a screen is neither torn nor smudged.
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let width = code.width();
        let dark = code.to_colors().into_iter().map(|colour| colour == Color::Dark).collect();
        Some(Self { dark, width })
    }

    /// Modules of one side, the margin included.
    #[must_use]
    pub fn side(&self) -> usize {
        self.width + 2 * QUIET
    }

    /// Whether the module there is dark; the margin and what lies beyond it are light.
    #[must_use]
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < self.width);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => self.dark[y * self.width + x],
            _ => false,
        }
    }
}

/// What a code is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// White on black, set with colours: independent of the terminal's own.
    Set,
    /// The terminal's own colours, where text is light on dark.
    Dark,
    /// The terminal's own colours, where text is dark on light.
    Light,
}

impl Ground {
    /// The one of a terminal.
    #[must_use]
    pub const fn of(colours: bool, light: bool) -> Self {
        match (colours, light) {
            (true, _) => Self::Set,
            (false, true) => Self::Light,
            (false, false) => Self::Dark,
        }
    }

    /// The other one, for a terminal that is not as it was taken for.
    #[must_use]
    pub const fn inverted(self) -> Self {
        match self {
            Self::Set => Self::Set,
            Self::Dark => Self::Light,
            Self::Light => Self::Dark,
        }
    }
}

/// Columns and rows that [`lines`] takes for `text`; None if it is too long for a code.
#[must_use]
pub fn size(text: &str) -> Option<(usize, usize)> {
    Modules::of(text).map(|code| (code.side(), code.side().div_ceil(2)))
}

/// The lines of a code for `text`, if it fits into so many columns and rows.
#[must_use]
pub fn lines(text: &str, columns: usize, rows: usize, ground: Ground) -> Option<Vec<String>> {
    let code = Modules::of(text)?;
    let side = code.side();
    if side > columns || side.div_ceil(2) > rows {
        return None;
    }
    // What is drawn has the colour of text. Below the last row of an odd number is half a row of margin, which may
    // as well be missing.
    let drawn = |x: usize, y: usize| y < side && code.is_dark(x, y) == (ground == Ground::Light);
    let line = |y: usize| {
        let drawn: String = (0..side)
            .map(|x| match (drawn(x, y), drawn(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        if ground == Ground::Set { format!("\u{1b}[97;40m{drawn}\u{1b}[0m") } else { drawn }
    };
    Some((0..side).step_by(2).map(line).collect())
}

/// The address of a second factor without what every authenticator assumes anyway: that many characters
/// fewer make a code that fits a small terminal.
#[must_use]
pub fn short(uri: &str) -> String {
    ["&algorithm=SHA1", "&digits=6", "&period=30"].iter().fold(uri.to_owned(), |uri, part| {
        match uri.split_once(part) {
            Some((before, after)) if after.is_empty() || after.starts_with('&') => format!("{before}{after}"),
            _ => uri,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/aivonx:root?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=aivonx\
                       &algorithm=SHA1&digits=6&period=30";

    #[test]
    fn a_code() {
        insta::assert_snapshot!(lines(&short(URI), 80, 24, Ground::Dark).unwrap().join("\n"));
    }

    #[test]
    fn dark_and_light_are_each_others_negative() {
        let of = |ground| lines(&short(URI), 80, 24, ground).unwrap();
        let turned = |line: &String| -> String {
            line.chars()
                .map(|sign| match sign {
                    '█' => ' ',
                    ' ' => '█',
                    '▀' => '▄',
                    _ => '▀',
                })
                .collect()
        };
        let (dark, light) = (of(Ground::Dark), of(Ground::Light));
        // The last line is half a row of margin.
        let whole = dark.len() - 1;
        assert_eq!(dark[..whole].iter().map(turned).collect::<Vec<_>>(), light[..whole]);
        assert!(light[whole].trim().is_empty() && dark[whole].chars().all(|sign| sign == '▀'), "{light:?}");
        assert!(of(Ground::Set)[0].contains(&dark[0]));
        assert_eq!(Ground::of(false, true).inverted(), Ground::Dark);
    }

    /// With the question below it, for the longest name a user can have.
    #[test]
    fn fits_a_small_terminal() {
        let long = URI.replace(":root", &format!(":{}", "a.long_name-".repeat(6).split_at(63).0));
        for uri in [URI, &long] {
            let shown = lines(&short(uri), 80, 23, Ground::Dark).unwrap();
            assert!(shown.iter().all(|line| line.chars().count() <= 80));
        }
        assert_eq!(lines(URI, 30, 24, Ground::Dark), None);
        assert_eq!(lines(URI, 80, 10, Ground::Dark), None);
        assert_eq!(lines(&"x".repeat(5000), 800, 800, Ground::Dark), None);
    }

    #[test]
    fn only_what_is_assumed_anyway_is_left_out() {
        assert_eq!(
            short(URI),
            "otpauth://totp/aivonx:root?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=aivonx"
        );
        for other in ["otpauth://totp/a?secret=A&digits=60", "otpauth://totp/a?secret=A&algorithm=SHA1024"] {
            assert_eq!(short(other), other);
        }
    }
}
