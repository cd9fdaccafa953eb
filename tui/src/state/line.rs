//! What is typed after `:` or `/`.

use tui_input::Input;

/// What the line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// `:`
    Command,
    /// `/`
    Filter,
}

/// The line.
#[derive(Debug, Clone)]
pub(crate) struct LineInput {
    /// What for.
    pub(crate) kind: LineKind,
    /// What was typed.
    pub(crate) input: Input,
    /// What is wrong with it.
    pub(crate) fault: Option<String>,
    /// How often tab was pressed since something was typed, and what had been typed then.
    pub(crate) completing: Option<(String, usize)>,
}

impl LineInput {
    /// An empty line, or one that holds this.
    pub(crate) fn new(kind: LineKind, text: &str) -> Self {
        Self { kind, input: Input::new(text.to_owned()), fault: None, completing: None }
    }

    /// The sign before it.
    pub(crate) fn sign(&self) -> &'static str {
        match self.kind {
            LineKind::Command => ":",
            LineKind::Filter => "/",
        }
    }
}
