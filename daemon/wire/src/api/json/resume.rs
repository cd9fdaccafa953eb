//! Keys, strings, numbers and words that the end of a segment cuts: kept, and resumed in the next segment.

use super::{JsonError, Kind, Scanner, Sink, Skipped, State, cut::What, numeral::Numeral, skip, spelling};

impl<S: Sink> Scanner<S> {
    /// The key that goes on from `at` beyond the segment; `escaped` if its last byte there escapes the next one.
    #[cold]
    pub(super) fn cut_key(&mut self, segment: &[u8], at: usize, escaped: bool) -> (usize, State) {
        self.cut.begin(What::Key, self.nest.depth() <= S::TOLD);
        self.cut_text(segment, at, escaped)
    }

    /// The string that does.
    #[cold]
    pub(super) fn cut_string(
        &mut self,
        segment: &[u8],
        at: usize,
        escaped: bool,
        wanted: bool,
    ) -> (usize, State) {
        self.cut.begin(What::String, wanted);
        self.cut_text(segment, at, escaped)
    }

    fn cut_text(&mut self, segment: &[u8], at: usize, escaped: bool) -> (usize, State) {
        self.cut.escaped = escaped;
        self.take_text(&segment[at..]);
        (segment.len(), State::Rest)
    }

    fn take_text(&mut self, bytes: &[u8]) {
        self.quoted += bytes.len() as u64;
        self.cut.take(bytes);
    }

    /// The number that may do so.
    #[cold]
    pub(super) fn cut_number(
        &mut self,
        segment: &[u8],
        at: usize,
        numeral: Numeral,
        wanted: bool,
    ) -> (usize, State) {
        self.cut.begin(What::Number(numeral), wanted);
        self.take_text(&segment[at..]);
        (segment.len(), State::Rest)
    }

    /// A word (`true`, `false`, `null`) that the segment's end cuts, unless it is no word at all.
    #[cold]
    pub(super) fn cut_word(
        &mut self,
        segment: &[u8],
        at: usize,
        kind: Kind,
        wanted: bool,
    ) -> Result<(usize, State), S::Error> {
        self.cut.begin(What::Word(kind, 0), wanted);
        self.rest_of_word(segment, at, kind, 0)
    }

    /// Goes on with what was cut, at the beginning of the next segment.
    #[cold]
    pub(super) fn rest(&mut self, segment: &[u8]) -> Result<(usize, State), S::Error> {
        match self.cut.what {
            What::Key | What::String => self.rest_of_text(segment),
            What::Number(numeral) => {
                let (end, numeral) = numeral.pass(segment, 0);
                self.take_text(&segment[..end]);
                if end == segment.len() {
                    self.cut.what = What::Number(numeral);
                    return Ok((end, State::Rest));
                }
                if !numeral.is_whole() {
                    return Err(JsonError::Syntax(self.fed + end).into());
                }
                self.end_cut(Kind::Number, end)
            }
            What::Word(kind, seen) => self.rest_of_word(segment, 0, kind, seen),
        }
    }

    fn rest_of_text(&mut self, segment: &[u8]) -> Result<(usize, State), S::Error> {
        let after = match skip(segment, usize::from(self.cut.escaped)) {
            Skipped::Quote(after) => after,
            Skipped::Out { escaped } => return Ok(self.cut_text(segment, 0, escaped)),
        };
        self.take_text(&segment[..after - 1]);
        if self.cut.what == What::String {
            return self.end_cut(Kind::String, after);
        }
        if self.cut.wanted {
            self.sink.key(self.nest.depth(), self.cut.raw())?;
        }
        Ok((after, State::Colon))
    }

    fn rest_of_word(
        &mut self,
        segment: &[u8],
        at: usize,
        kind: Kind,
        seen: usize,
    ) -> Result<(usize, State), S::Error> {
        let rest = &spelling(kind)[seen..];
        let there = &segment[at..];
        let same = rest.iter().zip(there).take_while(|(a, b)| a == b).count();
        if same == rest.len() {
            return self.end_cut(kind, at + same);
        }
        if same < there.len() {
            return Err(JsonError::Syntax(self.fed + at + same).into());
        }
        self.cut.what = What::Word(kind, seen + same);
        Ok((segment.len(), State::Rest))
    }

    fn end_cut(&mut self, kind: Kind, end: usize) -> Result<(usize, State), S::Error> {
        if self.cut.wanted {
            let raw = matches!(kind, Kind::String | Kind::Number).then(|| self.cut.raw());
            self.sink.end(self.nest.depth(), kind, self.fed + end, raw)?;
        }
        Ok((end, State::Next))
    }

    /// Whether the body ends in a number: nothing but the end of the body can end one at the top level.
    #[cold]
    pub(super) fn ends_in_number(&mut self) -> Result<bool, S::Error> {
        let What::Number(numeral) = self.cut.what else { return Ok(false) };
        if self.state != State::Rest || !numeral.is_whole() {
            return Ok(false);
        }
        if self.cut.wanted {
            self.sink.end(self.nest.depth(), Kind::Number, self.fed, Some(self.cut.raw()))?;
        }
        Ok(true)
    }
}
