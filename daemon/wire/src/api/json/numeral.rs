//! Numbers as RFC 8259, section 6, has them, byte by byte.

/// What of a number went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numeral {
    /// Nothing.
    Start,
    /// `-`
    Minus,
    /// A zero, behind which no digit may come.
    Zero,
    /// Digits before the point.
    Whole,
    /// The point.
    Point,
    /// Digits behind it.
    Fraction,
    /// `e`
    Exponent,
    /// The exponent's sign.
    Sign,
    /// Its digits.
    Power,
}

impl Numeral {
    /// With `byte`; None if that is not of the number.
    #[inline(always)]
    fn with(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, b'-') => Self::Minus,
            (Self::Start | Self::Minus, b'0') => Self::Zero,
            (Self::Start | Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return None,
        })
    }

    /// Goes on at `at`. Returns where it ends in this segment, and what of it has gone by then.
    #[inline(always)]
    pub(super) fn pass(mut self, segment: &[u8], mut at: usize) -> (usize, Self) {
        while let Some(next) = segment.get(at).and_then(|byte| self.with(*byte)) {
            self = next;
            at += 1;
        }
        (at, self)
    }

    /// Whether it may end here.
    #[inline(always)]
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }
}
