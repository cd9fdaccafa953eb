//! The real `aivonx` at a terminal.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

/// A command whose standard streams are a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<String>,
    /// Everything shown so far, with plain line ends.
    pub(crate) shown: String,
    /// How much of it was waited for.
    read: usize,
}

impl Terminal {
    /// Starts the command at a terminal of this size.
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let line = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap();
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        command.env("TERM", "xterm").env_remove("COLUMNS");
        command.stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(Stdio::from(line));
        let child = command.spawn().unwrap();
        // Its copies of the line are closed with it: the screen ends when the command does.
        drop(command);
        let keyboard = File::from(master);
        let mut from = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            let mut pending = Vec::new();
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                pending.extend_from_slice(&buffer[..count]);
                // A character may be split between two reads.
                let whole = match std::str::from_utf8(&pending) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let text: Vec<u8> = pending.drain(..whole).collect();
                if sender.send(String::from_utf8(text).unwrap().replace('\r', "")).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, shown: String::new(), read: 0 }
    }

    /// Waits until `text` is shown, after what was waited for before.
    pub(crate) fn expect(&mut self, text: &str) {
        loop {
            if let Some(at) = self.shown[self.read..].find(text) {
                self.read += at + text.len();
                return;
            }
            match self.screen.recv_timeout(Duration::from_secs(60)) {
                Ok(more) => self.shown.push_str(&more),
                Err(why) => panic!("{text:?} is not shown ({why}):\n{}", self.shown),
            }
        }
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a question and answers it.
    pub(crate) fn answer(&mut self, question: &str, answer: &str) {
        self.expect(question);
        self.keys(&format!("{answer}\n"));
    }

    /// The terminal itself, to ask after the command's end how it was left.
    pub(crate) fn line(&self) -> Line {
        Line(self.keyboard.try_clone().unwrap())
    }

    /// Waits for the end; its exit code and everything it showed.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while let Ok(more) = self.screen.recv_timeout(Duration::from_secs(60)) {
            self.shown.push_str(&more);
        }
        (self.child.wait().unwrap().code(), self.shown)
    }
}

/// The modes of a terminal. They are read from its master's side, where they outlive the command.
pub(crate) struct Line(File);

impl Line {
    /// Whether what is typed is shown.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.0).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}
