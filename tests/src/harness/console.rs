//! The real `aivonx` at a terminal, and what that terminal shows.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use tokio::{
    process::{Child, Command},
    sync::watch,
};

use crate::within;

/// A console at a terminal of its own.
pub struct Console {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Counts what was drawn.
    drawn: watch::Receiver<u64>,
}

impl Console {
    /// Starts the command at a terminal of this size.
    ///
    /// # Panics
    /// If the system has no terminal left.
    #[must_use]
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("a terminal of our own");
        unlockpt(&master).expect("a terminal of our own");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let line = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        let line = line.expect("the terminal's line");
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).expect("its size");
        command
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::from(line.try_clone().expect("the line")))
            .stdout(Stdio::from(line.try_clone().expect("the line")))
            .stderr(Stdio::from(line))
            .kill_on_drop(true);
        let child = command.spawn().expect("aivonx starts");
        // Its copies of the line are closed with it: the screen ends when the command does.
        drop(command);
        let keyboard = File::from(master);
        let mut from = keyboard.try_clone().expect("the terminal");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let (notice, drawn) = watch::channel(0);
        let parser = screen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                parser.lock().expect("no reader panics").process(&buffer[..count]);
                notice.send_modify(|drawn| *drawn += 1);
            }
        });
        Self { child, keyboard, screen, drawn }
    }

    /// What is shown.
    ///
    /// # Panics
    /// If the terminal's reader has panicked.
    #[must_use]
    pub fn shown(&self) -> String {
        self.screen.lock().expect("no reader panics").screen().contents()
    }

    /// Waits until all of these are shown.
    ///
    /// # Panics
    /// If that does not happen, with what is shown instead.
    pub async fn until(&mut self, texts: &[&str]) {
        let all = |shown: &str| texts.iter().all(|text| shown.contains(text));
        let screen = self.screen.clone();
        let contents = move || screen.lock().expect("no reader panics").screen().contents();
        let waiting = async {
            loop {
                self.drawn.borrow_and_update();
                if all(&contents()) {
                    return true;
                }
                if self.drawn.changed().await.is_err() {
                    return all(&contents());
                }
            }
        };
        let found = tokio::time::timeout(crate::DEADLINE, waiting).await.unwrap_or(false);
        assert!(found, "{texts:?} is not shown:\n{}", self.shown());
    }

    /// Waits until something is drawn that was not there when this was last looked at or keys were typed.
    ///
    /// # Panics
    /// If nothing is.
    pub async fn drawn(&mut self) {
        within("a frame", self.drawn.changed()).await.expect("the console runs");
    }

    /// Its process.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Presses esc and waits until this is not shown any more. What is typed right behind an esc would be taken for
    /// one key with it, and most of what shows that a dialog is gone shows beside it, too.
    ///
    /// # Panics
    /// If it is not shown now, or stays.
    pub async fn leave(&mut self, text: &str) {
        self.until(&[text]).await;
        self.keys("\x1b");
        let gone = async {
            while self.shown().contains(text) {
                if self.drawn.changed().await.is_err() {
                    return;
                }
            }
        };
        let gone = tokio::time::timeout(crate::DEADLINE, gone).await.is_ok();
        assert!(gone, "{text:?} is still shown:\n{}", self.shown());
    }

    /// Types.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn keys(&mut self, keys: &str) {
        self.drawn.borrow_and_update();
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Gives the terminal another size.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.lock().expect("no reader panics").screen_mut().set_size(rows, columns);
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).expect("a terminal");
        // The kernel sends it only for a controlling terminal, which this is not.
        self.signal(Signal::WINCH);
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, signal).expect("a process of our own");
    }

    /// Waits for its end; how it ended, and whether the terminal is as it was before: echoing, with its own
    /// screen and its cursor.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn end(mut self) -> (ExitStatus, bool) {
        let status = within("the console's end", self.child.wait()).await.expect("a child");
        // The reader ends with the line.
        while self.drawn.changed().await.is_ok() {}
        let modes = tcgetattr(&self.keyboard).expect("a terminal").local_modes;
        let screen = self.screen.lock().expect("no reader panics");
        let screen = screen.screen();
        let restored = modes.contains(LocalModes::ECHO | LocalModes::ICANON)
            && !screen.alternate_screen()
            && !screen.hide_cursor();
        (status, restored)
    }
}
