//! Lines typed after `:`.

/// Lines kept.
const HISTORY: usize = 100;

/// Lines typed before.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    lines: Vec<String>,
    /// How far back, from the end; 0 is the line being typed.
    back: usize,
}

impl History {
    /// Keeps a line, and begins at the end again.
    pub(crate) fn keep(&mut self, line: &str) {
        self.back = 0;
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.lines.retain(|kept| kept != line);
        self.lines.push(line.to_owned());
        if self.lines.len() > HISTORY {
            self.lines.remove(0);
        }
    }

    /// The line before the one shown.
    pub(crate) fn older(&mut self) -> Option<&str> {
        self.back = (self.back + 1).min(self.lines.len());
        self.shown()
    }

    /// The line after it; past the last one an empty one.
    pub(crate) fn newer(&mut self) -> Option<&str> {
        self.back = self.back.saturating_sub(1);
        if self.back == 0 { Some("") } else { self.shown() }
    }

    fn shown(&self) -> Option<&str> {
        self.lines.len().checked_sub(self.back).and_then(|at| self.lines.get(at)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_goes_back_and_forth() {
        let mut history = History::default();
        assert_eq!(history.older(), None);
        for line in ["nodes", "logs", "nodes", ""] {
            history.keep(line);
        }
        assert_eq!(history.older(), Some("nodes"));
        assert_eq!(history.older(), Some("logs"));
        assert_eq!(history.older(), Some("logs"));
        assert_eq!(history.newer(), Some("nodes"));
        assert_eq!(history.newer(), Some(""));
    }
}
