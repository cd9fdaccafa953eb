//! Calls that a node writes at the same time, for dialects in which one ends before the next begins.

use serde::de::IgnoredAny;

use super::answer::{About, Called, Event, Writer};

/// Passes a stream on so that nothing stands between the pieces of a call. The first call goes on as it comes; those that
/// begin before its arguments are whole wait until the next text, or the end.
#[derive(Debug, Default)]
pub(super) struct InTurn<W> {
    writer: W,
    /// The call that goes on as it comes: its number and its arguments so far.
    open: Option<(usize, String)>,
    /// The calls behind it, whose numbers follow on its own.
    waiting: Vec<Called>,
    /// Bytes in both.
    kept: usize,
}

impl<W: Writer> InTurn<W> {
    /// Whether the open call may have more arguments to come.
    fn is_under_way(&self) -> bool {
        self.open.as_ref().is_some_and(|(_, arguments)| {
            !self.waiting.is_empty() || serde_json::from_str::<IgnoredAny>(arguments).is_err()
        })
    }

    /// Passes on what waits.
    fn release(&mut self, about: &About, out: &mut Vec<u8>) {
        self.kept = 0;
        let Some((open, _)) = self.open.take() else { return };
        for (at, call) in (open + 1..).zip(std::mem::take(&mut self.waiting)) {
            self.writer.event(about, Event::Call { at, id: &call.id, name: &call.name }, out);
            if !call.arguments.is_empty() {
                self.writer.event(about, Event::Arguments { at, text: &call.arguments }, out);
            }
        }
    }
}

impl<W: Writer> Writer for InTurn<W> {
    fn event(&mut self, about: &About, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Call { id, name, .. } if self.is_under_way() => {
                self.kept += size_of::<Called>() + id.len() + name.len();
                self.waiting.push(Called { id: id.into(), name: name.into(), arguments: String::new() });
                return;
            }
            Event::Call { at, .. } => {
                self.kept = 0;
                self.open = Some((at, String::new()));
            }
            Event::Arguments { at, text } => {
                self.kept += text.len();
                match &mut self.open {
                    Some((open, arguments)) if *open == at => arguments.push_str(text),
                    Some((open, _)) if *open < at => {
                        if let Some(call) = self.waiting.get_mut(at - *open - 1) {
                            call.arguments.push_str(text);
                        }
                        return;
                    }
                    _ => {}
                }
            }
            Event::Thinking(_) | Event::Text(_) => self.release(about, out),
            Event::Stop(_) | Event::StoppedAt(_) | Event::Usage(_) => {}
        }
        self.writer.event(about, event, out);
    }

    fn finish(&mut self, about: &About, out: &mut Vec<u8>) {
        self.release(about, out);
        self.writer.finish(about, out);
    }

    fn kept(&self) -> usize {
        self.kept + self.writer.kept()
    }
}
