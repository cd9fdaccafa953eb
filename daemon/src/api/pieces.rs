//! What waits to be sent.

use std::collections::VecDeque;

use bytes::Bytes;

/// Pieces of an answer in their order. Nearly always there is one at most, and that needs no allocation.
#[derive(Debug, Default)]
pub struct Pieces {
    first: Option<Bytes>,
    /// Empty while there is no first.
    more: VecDeque<Bytes>,
}

impl Pieces {
    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.more.push_back(piece);
        }
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Bytes> {
        let first = self.first.take()?;
        self.first = self.more.pop_front();
        Some(first)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::Pieces;

    #[test]
    fn pieces_keep_their_order() {
        let mut pieces = Pieces::default();
        for round in 0..3 {
            for piece in ["a", "b", "c"] {
                pieces.push(piece.into());
            }
            for piece in ["a", "b", "c"].into_iter().take(2 + round % 2) {
                assert_eq!(pieces.pop().unwrap(), piece);
            }
            while pieces.pop().is_some() {}
            assert!(pieces.is_empty());
        }
    }
}
