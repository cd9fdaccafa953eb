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

    /// Takes the first piece, or no more than `most` bytes of it.
    pub fn pop(&mut self, most: usize) -> Option<Bytes> {
        let first = self.first.as_mut()?;
        if first.len() > most {
            return Some(first.split_to(most));
        }
        std::mem::replace(&mut self.first, self.more.pop_front())
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.first.iter().chain(&self.more)
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
                assert_eq!(pieces.pop(1).unwrap(), piece);
            }
            while pieces.pop(1).is_some() {}
            assert!(pieces.is_empty());
        }
    }

    #[test]
    fn a_large_piece_is_taken_bit_by_bit() {
        let mut pieces = Pieces::default();
        pieces.push("abcde".into());
        pieces.push("f".into());
        let bits: Vec<_> = std::iter::from_fn(|| pieces.pop(2)).collect();
        assert_eq!(bits, ["ab", "cd", "e", "f"]);
        assert!(pieces.is_empty());
    }
}
