//! Colours and signs. Sixteen colours at most, on the terminal's own background; what a colour means, a word or a sign
//! says as well.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is, of which its looks follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Ordinary text.
    #[default]
    Plain,
    /// Less important than the rest.
    Dim,
    /// More important than the rest.
    Strong,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// A key to press, a link, the active field.
    Accent,
    /// The line the keys act on.
    Chosen,
    /// What a filter found.
    Found,
    /// The bar at the top.
    Bar,
}

/// How the terminal wants to be drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    colours: bool,
    ascii: bool,
    light: bool,
}

impl Theme {
    #[cfg(test)]
    /// Colours or none, signs beyond ASCII or none, on a light background or a dark one.
    pub(crate) const fn new(colours: bool, ascii: bool, light: bool) -> Self {
        Self { colours, ascii, light }
    }

    /// What the environment says: `NO_COLOR`, `TERM`, the locale, and the background where the terminal
    /// reports it (`COLORFGBG`).
    pub(crate) fn detect(no_color: bool, ascii: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let unicode = locale.contains("utf-8") || locale.contains("utf8");
        // The kernel's own console has a font of 256 or 512 signs.
        let ascii = ascii || !unicode || matches!(&*term, "linux" | "vt100" | "vt220" | "dumb");
        let colours = !no_color && set("NO_COLOR").is_none() && !matches!(&*term, "vt100" | "vt220" | "dumb");
        Self { colours, ascii, light: light(variable) }
    }

    /// How text of this tone looks.
    pub(crate) fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        match tone {
            Tone::Plain => plain,
            Tone::Strong => plain.add_modifier(Modifier::BOLD),
            Tone::Chosen | Tone::Bar => plain.add_modifier(Modifier::REVERSED),
            Tone::Found => plain.add_modifier(Modifier::UNDERLINED | Modifier::BOLD),
            Tone::Dim if self.colours => plain.fg(Color::DarkGray),
            Tone::Dim => plain.add_modifier(Modifier::DIM),
            Tone::Accent if !self.colours => plain.add_modifier(Modifier::BOLD),
            Tone::Bad if !self.colours => plain.add_modifier(Modifier::BOLD),
            Tone::Good | Tone::Warn if !self.colours => plain,
            Tone::Good => plain.fg(Color::Green),
            // Yellow is unreadable on white, cyan nearly.
            Tone::Warn => plain.fg(if self.light { Color::Magenta } else { Color::Yellow }),
            Tone::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Accent => plain.fg(if self.light { Color::Blue } else { Color::Cyan }),
        }
    }

    /// Whether there are colours.
    pub(crate) fn has_colours(self) -> bool {
        self.colours
    }

    /// Whether the background is light, as far as the terminal reports it.
    pub(crate) fn is_light(self) -> bool {
        self.light
    }

    /// Whether only ASCII may be drawn.
    pub(crate) fn is_ascii(self) -> bool {
        self.ascii
    }

    /// `unicode`, or what stands for it in ASCII.
    pub(crate) fn sign(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { unicode }
    }

    /// What stands where text was cut.
    pub(crate) fn cut(self) -> char {
        if self.ascii { '~' } else { '…' }
    }

    /// A horizontal rule.
    pub(crate) fn rule(self) -> &'static str {
        self.sign("─", "-")
    }

    /// Eight heights, lowest first.
    pub(crate) fn heights(self) -> [char; 8] {
        if self.ascii {
            ['_', '.', ':', '-', '=', '+', '*', '#']
        } else {
            ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        }
    }
}

/// Whether the terminal says that its background is light. Few say anything.
pub(crate) fn light(variable: impl Fn(&str) -> Option<String>) -> bool {
    let background = variable("COLORFGBG").and_then(|text| text.rsplit(';').next()?.parse::<u8>().ok());
    background.is_some_and(|number| number == 7 || number == 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vars: &[(&str, &str)]) -> Theme {
        Theme::detect(false, false, |name| {
            vars.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_decides() {
        let full = of(&[("TERM", "xterm-256color"), ("LANG", "C.UTF-8")]);
        assert_eq!(full, Theme::new(true, false, false));
        assert_eq!(of(&[("TERM", "linux"), ("LANG", "C.UTF-8")]), Theme::new(true, true, false));
        assert_eq!(of(&[("TERM", "xterm")]), Theme::new(true, true, false), "no locale, no Unicode");
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]), Theme::new(true, true, false));
        assert_eq!(of(&[("LANG", "C.utf8"), ("NO_COLOR", "1")]), Theme::new(false, false, false));
        assert_eq!(of(&[("LANG", "C.utf8"), ("COLORFGBG", "0;default;15")]), Theme::new(true, false, true));
        assert_eq!(of(&[("TERM", "dumb")]), Theme::new(false, true, false));
    }

    /// With colours off, what is chosen, found or wrong still differs from the rest.
    #[test]
    fn nothing_is_told_by_colour_alone() {
        let theme = Theme::new(false, true, false);
        for tone in [Tone::Chosen, Tone::Found, Tone::Bad, Tone::Accent, Tone::Strong, Tone::Dim, Tone::Bar] {
            assert_ne!(theme.style(tone), Style::new(), "{tone:?}");
            assert_eq!(theme.style(tone).fg, None, "{tone:?}");
        }
        assert!(theme.heights().iter().all(char::is_ascii));
    }
}
