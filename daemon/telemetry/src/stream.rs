//! The sinks that write lines: standard error, and a file that is rotated.

use std::io::{self, ErrorKind, Write};

use super::{
    file::RotatingFile,
    format::Style,
    queue::{Lost, Sink},
    view::View,
};

/// Lines to a writer.
pub(crate) struct Lines<W> {
    out: W,
    style: Style,
    text: String,
    events: u64,
}

impl<W: LineWriter> Lines<W> {
    pub(crate) fn new(out: W, style: Style) -> Self {
        Self { out, style, text: String::new(), events: 0 }
    }
}

/// Something whole lines can be written to.
pub(crate) trait LineWriter: Send {
    /// Writes whole lines, all or as many as possible; the error says how many lines are lost.
    fn write_lines(&mut self, lines: &str) -> Result<(), Lost>;
}

impl<W: LineWriter> Sink for Lines<W> {
    fn take(&mut self, record: View<'_>) {
        self.style.line(record, &mut self.text);
        self.events += 1;
    }

    fn flush(&mut self) -> Result<(), Lost> {
        if self.events == 0 {
            return Ok(());
        }
        let result = self.out.write_lines(&self.text);
        self.events = 0;
        self.text.clear();
        // A burst of long lines is no reason to keep its memory for ever, nor are ordinary ones to ask for it anew.
        self.text.shrink_to(512 << 10);
        result
    }
}

/// Standard error.
pub(crate) struct Stderr;

impl LineWriter for Stderr {
    fn write_lines(&mut self, lines: &str) -> Result<(), Lost> {
        write_blocking(&mut io::stderr(), lines.as_bytes())
            .map_err(|e| Lost { events: count(lines), why: e.to_string() })
    }
}

impl LineWriter for RotatingFile {
    fn write_lines(&mut self, lines: &str) -> Result<(), Lost> {
        self.write(lines.as_bytes())
            .map_err(|failed| Lost { events: failed.lines as u64, why: failed.error.to_string() })
    }
}

fn count(lines: &str) -> u64 {
    lines.bytes().filter(|b| *b == b'\n').count() as u64
}

/// Writes everything, also to a descriptor that another process has made non-blocking: standard output is shared with
/// the process that started us.
fn write_blocking(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(std::time::Duration::from_millis(10))
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
