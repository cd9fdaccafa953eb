//! Questions at the terminal. A secret is read without echo, and never from an argument or the environment.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Read as _, Write},
    os::unix::ffi::OsStrExt as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use aivonx_protocol::WireSecret;
use rustix::{
    fs::OFlags,
    termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios},
};
use zeroize::Zeroizing;

use crate::{
    exit::Failure,
    render::{Out, qr::Ground, text::Lines},
    theme,
};

/// Longest answer, in bytes: what a terminal passes on of one line.
const ANSWER_MAX: usize = 4095;

/// The terminal.
pub struct Prompt {
    input: File,
    output: Box<dyn Write>,
    /// Columns and rows.
    pub size: (usize, usize),
    /// Whether block characters are shown.
    pub unicode: bool,
    /// What a picture is drawn on.
    pub ground: Ground,
}

impl Prompt {
    /// The terminal that standard input is; `instead` says how to do without one.
    ///
    /// # Errors
    /// [`Failure::Usage`] if standard input is not a terminal.
    pub fn open(out: &Out, instead: &str) -> Result<Self, Failure> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::usage("standard input is not a terminal, so nothing can be asked")
                .with_hint(instead));
        }
        let size = termios::tcgetwinsize(&stdin).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Ok(Self {
            input: File::from(rustix::io::dup(&stdin).map_err(|error| unusable(error.into()))?),
            output: output(),
            size: size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into())),
            unicode: utf8(|name| std::env::var(name).ok()),
            ground: Ground::of(!dumb && !out.no_colour, theme::light(|name| std::env::var(name).ok())),
        })
    }

    /// Shows text. Lines end with `\n`.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()).map_err(unusable)
    }

    /// Shows a refusal: what is wrong and what to do, escaped.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn refuse(&mut self, text: &str) -> Result<(), Failure> {
        self.say(&format!("{}\n", Lines(text)))
    }

    /// Asks for a line, which is shown as it is typed.
    ///
    /// # Errors
    /// The terminal is gone, or nothing more will be typed.
    pub fn line(&mut self, question: &str) -> Result<String, Failure> {
        self.say(&format!("{}: ", Lines(question)))?;
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self.input.read(&mut byte).map_err(unusable)? {
                0 => return Err(cancelled()),
                _ if byte[0] == b'\n' => break,
                _ if line.len() < ANSWER_MAX => line.push(byte[0]),
                _ => {}
            }
        }
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Asks for a secret, which is not shown.
    ///
    /// # Errors
    /// The terminal is gone, or the question was broken off.
    pub fn secret(&mut self, question: &str) -> Result<WireSecret, Failure> {
        // Quiet before the question: what is typed at once must not show either.
        let quiet = Quiet::begin(&self.input).map_err(unusable)?;
        self.say(&format!("{}: ", Lines(question)))?;
        let typed = quiet.read();
        drop(quiet);
        self.say("\n")?;
        typed
    }

    /// Asks for a new secret until it was typed the same twice.
    ///
    /// # Errors
    /// As of [`Self::secret`].
    pub fn new_secret(&mut self, question: &str) -> Result<WireSecret, Failure> {
        loop {
            let first = self.secret(question)?;
            if first.expose().is_empty() {
                self.say("Nothing was typed. Try again, or end with Ctrl-C.\n")?;
                continue;
            }
            if self.secret("Once more")? == first {
                return Ok(first);
            }
            self.say("The two differ. Try again.\n")?;
        }
    }

    /// Asks for yes or no; Enter alone means `default`.
    ///
    /// # Errors
    /// As of [`Self::line`].
    pub fn yes(&mut self, question: &str, default: bool) -> Result<bool, Failure> {
        loop {
            let answer = self.line(&format!("{question} {}", if default { "[Y/n]" } else { "[y/N]" }))?;
            match answer.to_ascii_lowercase().as_str() {
                "" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say("Answer y or n.\n")?,
            }
        }
    }
}

/// The terminal with echo, line editing and signals off: the one way to restore it after Ctrl-C is to see
/// Ctrl-C as a character.
struct Quiet {
    input: File,
    before: Termios,
}

impl Quiet {
    fn begin(input: &File) -> io::Result<Self> {
        let before = termios::tcgetattr(input)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let input = input.try_clone()?;
        termios::tcsetattr(&input, OptionalActions::Now, &quiet)?;
        Ok(Self { input, before })
    }

    fn read(&self) -> Result<WireSecret, Failure> {
        // Reserved at once, so that growing leaves no uncleared copies in memory.
        let mut typed = Zeroizing::new(Vec::with_capacity(ANSWER_MAX));
        loop {
            let mut byte = Zeroizing::new([0]);
            if (&self.input).read(&mut byte[..]).map_err(unusable)? == 0 {
                return Err(cancelled());
            }
            match byte[0] {
                b'\r' | b'\n' => break,
                // Ctrl-C, Ctrl-D, Ctrl-\
                3 | 4 | 28 => return Err(cancelled()),
                // Backspace takes a whole character.
                8 | 127 => while typed.pop().is_some_and(|last| last & 0xc0 == 0x80) {},
                // Ctrl-U
                21 => typed.clear(),
                c if typed.len() < ANSWER_MAX => typed.push(c),
                _ => {}
            }
        }
        match std::str::from_utf8(&typed) {
            Ok(text) => Ok(WireSecret::new(text.to_owned())),
            Err(_) => Err(Failure::failed("what was typed is not UTF-8 text")
                .with_hint("Does the terminal use another character set?")),
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.input, OptionalActions::Now, &self.before);
    }
}

/// The terminal itself, even if standard error goes elsewhere.
fn output() -> Box<dyn Write> {
    let own = termios::ttyname(io::stdin(), Vec::new()).ok().and_then(|name| {
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let flags = OFlags::NOCTTY.bits().cast_signed();
        OpenOptions::new().write(true).custom_flags(flags).open(path).ok()
    });
    match own {
        Some(file) => Box::new(file),
        None => Box::new(io::stderr()),
    }
}

/// Whether the locale's character set is UTF-8: the first of these that is set decides.
fn utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn unusable(error: io::Error) -> Failure {
    Failure::failed(format!("the terminal cannot be used: {error}"))
}

fn cancelled() -> Failure {
    Failure::failed("broken off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_set_decides() {
        let with = |set: &[(&str, &str)]| {
            utf8(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(with(&[("LANG", "C.UTF-8")]));
        assert!(with(&[("LC_ALL", "de_DE.utf8"), ("LANG", "C")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]));
        assert!(!with(&[]));
    }
}
