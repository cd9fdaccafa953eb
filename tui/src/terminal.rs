//! The terminal: raw and on its alternate screen, and restored however the console ends.

use std::{
    io::{self, Stdout, Write as _},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute,
    style::ResetColor,
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

/// Whether there is something to restore.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while the console has it. Given back when dropped.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be put into raw mode.
    pub(crate) fn take() -> io::Result<Self> {
        restore_on_panic();
        enter()?;
        let (columns, rows) = size();
        let terminal = empty(columns, rows).inspect_err(|_| restore())?;
        Ok(Self { terminal })
    }

    /// Draws what changed since the last time.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub(crate) fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(paint).map(|_| ())
    }

    /// The terminal has another size, or shows something else: everything is drawn anew next time. Its size.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub(crate) fn renew(&mut self) -> io::Result<(u16, u16)> {
        let (columns, rows) = size();
        self.terminal = empty(columns, rows)?;
        Ok((columns, rows))
    }

    /// Puts text into the clipboard of the terminal, through tmux as well where that allows it.
    ///
    /// # Errors
    /// The terminal does not take it.
    pub(crate) fn copy(text: &str) -> io::Result<()> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let mut out = io::stdout();
        write!(out, "\x1b]52;c;{}\x07", STANDARD.encode(text))?;
        out.flush()
    }

    /// Stops this process as a job of the shell, and goes on when that wakes it.
    ///
    /// # Errors
    /// The terminal cannot be taken again.
    pub(crate) fn suspend(&mut self) -> io::Result<(u16, u16)> {
        restore();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        enter()?;
        self.renew()
    }
}

/// An empty screen. Not by [`Terminal::clear`]: that asks the terminal where its cursor is and waits for the answer,
/// which is late over a slow line and mixed with what is typed.
fn empty(columns: u16, rows: u16) -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    execute!(io::stdout(), Clear(ClearType::All))?;
    // Not the whole terminal by ratatui's own measure: that asks the controlling terminal, which need not
    // be the one that is drawn on.
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
    Terminal::with_options(CrosstermBackend::new(io::stdout()), TerminalOptions { viewport })
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Columns and rows of the terminal that is drawn on; 80 by 24 where it does not say.
pub(crate) fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    if let Err(error) = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide) {
        restore();
        return Err(error);
    }
    Ok(())
}

/// Gives the terminal back, once. What cannot be done cannot be helped: it may be gone.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableBracketedPaste, ResetColor, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

/// Restores the terminal before a panic prints its message, which would otherwise vanish with the alternate screen.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_gives_the_terminal_back() {
        restore_on_panic();
        TAKEN.store(true, Ordering::SeqCst);
        assert!(panic::catch_unwind(|| panic!("on purpose")).is_err());
        assert!(!TAKEN.load(Ordering::SeqCst), "it was not given back");
        // Once: what has been given back is somebody else's.
        restore();
        assert!(!TAKEN.load(Ordering::SeqCst));
    }
}
