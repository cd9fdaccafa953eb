//! Gathering the pieces that a body comes in. Large ones are kept as they are. Each piece holds the whole buffer it
//! was read into, so small ones are copied together: what a body costs is then about its own size, however it is
//! cut. All that is held is charged to the budget before it is taken.

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;
use smallvec::SmallVec;

use super::{body::BodyError, budget::Held};

/// The pieces a body lies in: mostly one.
pub(super) type Segments = SmallVec<[Bytes; 1]>;

/// Size of a reader's buffer at first.
const BUFFER: usize = 8 << 10;

/// Size of the first block that is copied into; each is twice as large as the one before.
const FIRST: usize = 4 << 10;

/// Largest block on the heap.
const LARGEST: usize = 64 << 10;

/// Least and most bytes of a block that has pages of its own.
const MAPPED: std::ops::RangeInclusive<usize> = 16 << 10..=256 << 10;

/// A body as far as it has come.
pub(super) struct Gather {
    segments: Segments,
    block: Option<Block>,
    /// Size of the next block.
    next: usize,
    bytes: u64,
    cap: u64,
    /// Most bytes of the buffer that a piece may have been read into.
    buffer: usize,
    held: Held,
}

impl Gather {
    /// For a body of at most `cap` bytes, whose pieces were read into buffers of at most `buffer` bytes.
    pub(super) fn new(held: Held, cap: u64, buffer: usize) -> Self {
        Self { segments: Segments::new(), block: None, next: FIRST, bytes: 0, cap, buffer, held }
    }

    /// Takes a piece. `last` says that there is no other.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`], [`BodyError::Budget`].
    pub(super) fn add(&mut self, piece: Bytes, last: bool) -> Result<(), BodyError> {
        let whole = last && self.bytes == 0;
        let large = piece.len() >= self.buffer / 4 * 3 && !self.held.leaves_heap();
        if piece.is_empty() || !(whole || large) {
            return self.copy(&piece);
        }
        let holds = if piece.len() <= BUFFER { BUFFER } else { piece.len().max(self.buffer) };
        self.charge(holds)?;
        self.keep(piece)
    }

    /// Takes a piece that costs nothing, as a part of what is held anyway.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`].
    pub(super) fn keep(&mut self, piece: Bytes) -> Result<(), BodyError> {
        self.count(piece.len())?;
        self.seal();
        self.segments.push(piece);
        Ok(())
    }

    /// Takes a piece by copying it.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub(super) fn copy(&mut self, mut piece: &[u8]) -> Result<(), BodyError> {
        self.count(piece.len())?;
        while !piece.is_empty() {
            let block = match &mut self.block {
                Some(block) if block.room() > 0 => block,
                _ => self.open()?,
            };
            let (now, later) = piece.split_at(piece.len().min(block.room()));
            block.append(now);
            piece = later;
        }
        Ok(())
    }

    /// The segments, the length of the body, and what is held of the budget.
    pub(super) fn finish(mut self) -> (Segments, u64, Held) {
        self.seal();
        (self.segments, self.bytes, self.held)
    }

    fn count(&mut self, more: usize) -> Result<(), BodyError> {
        self.bytes += more as u64;
        if self.bytes > self.cap { Err(BodyError::TooLarge(self.cap)) } else { Ok(()) }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), BodyError> {
        if self.held.grow(bytes as u64) { Ok(()) } else { Err(BodyError::Budget) }
    }

    fn open(&mut self) -> Result<&mut Block, BodyError> {
        self.seal();
        let mapped = self.held.leaves_heap() && self.next >= *MAPPED.start();
        let size = self.next.min(if mapped { *MAPPED.end() } else { LARGEST });
        self.charge(size)?;
        self.next = size * 2;
        Ok(self.block.insert(Block::new(size, mapped)?))
    }

    fn seal(&mut self) {
        if let Some(block) = self.block.take() {
            self.segments.push(block.seal());
        }
    }
}

/// Memory that is being filled.
enum Block {
    Heap(BytesMut),
    Mapped(MmapMut, usize),
}

impl Block {
    fn new(size: usize, mapped: bool) -> Result<Self, BodyError> {
        if !mapped {
            return Ok(Self::Heap(BytesMut::with_capacity(size)));
        }
        MmapMut::map_anon(size).map(|map| Self::Mapped(map, 0)).map_err(|_| BodyError::Budget)
    }

    fn room(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity() - bytes.len(),
            Self::Mapped(map, filled) => map.len() - filled,
        }
    }

    /// Appends what there is room for.
    fn append(&mut self, piece: &[u8]) {
        match self {
            Self::Heap(bytes) => bytes.extend_from_slice(piece),
            Self::Mapped(map, filled) => {
                let from = *filled;
                *filled += piece.len();
                map[from..*filled].copy_from_slice(piece);
            }
        }
    }

    fn seal(self) -> Bytes {
        match self {
            Self::Heap(bytes) => bytes.freeze(),
            Self::Mapped(map, filled) => Bytes::from_owner(map).slice(..filled),
        }
    }
}

/// `size` bytes copied from `segments` into one piece, which goes back to the system with its last reader if it is
/// large.
///
/// # Errors
/// [`BodyError::Budget`] if there is no memory.
pub(super) fn join(segments: &[Bytes], size: usize) -> Result<Bytes, BodyError> {
    let mut block = Block::new(size, size >= *MAPPED.end())?;
    segments.iter().for_each(|segment| block.append(segment));
    Ok(block.seal())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::budget::{Budget, Group};

    const BUFFER: usize = 64 << 10;

    fn gather(budget: &Arc<Budget>) -> Gather {
        Gather::new(Held::none(budget, Group::Own, 1 << 20), 64 << 20, BUFFER)
    }

    fn budget() -> Arc<Budget> {
        Arc::new(Budget::new(1 << 30))
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let budget = budget();
        let body = Bytes::from(vec![7; 20_000]);
        let mut gather = gather(&budget);
        gather.add(body.clone(), true).unwrap();
        let (segments, bytes, held) = gather.finish();
        assert_eq!((segments[0].as_ptr(), bytes, segments.len()), (body.as_ptr(), 20_000, 1));
        assert_eq!(held.bytes(), 64 << 10, "the buffer it was read into");
    }

    #[test]
    fn single_bytes_cost_little_more_than_what_they_are() {
        let budget = budget();
        let mut gather = gather(&budget);
        let body: Vec<u8> = (0..1_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
        for (at, byte) in body.iter().enumerate() {
            // As hyper hands them out: each with the buffer it was read into.
            let mut read = BytesMut::zeroed(8 << 10);
            read[0] = *byte;
            gather.add(read.freeze().slice(..1), at + 1 == body.len()).unwrap();
        }
        let (segments, bytes, held) = gather.finish();
        assert_eq!((segments.concat() == body, bytes), (true, 1_000_000));
        assert!(segments.len() < 20, "{} segments", segments.len());
        assert!(held.bytes() < 1_100_000, "{} bytes charged", held.bytes());
    }

    #[test]
    fn large_pieces_stay_as_they_are_among_small_ones() {
        let budget = budget();
        let mut gather = gather(&budget);
        let large = Bytes::from(vec![1; BUFFER]);
        for piece in [&b"ab"[..], b"", b"cd"] {
            gather.add(Bytes::copy_from_slice(piece), false).unwrap();
        }
        gather.add(large.clone(), false).unwrap();
        gather.add(Bytes::from_static(b"ef"), true).unwrap();
        let (segments, bytes, _) = gather.finish();
        assert_eq!(bytes, BUFFER as u64 + 6);
        assert_eq!((&segments[0][..], &segments[2][..]), (&b"abcd"[..], &b"ef"[..]));
        assert_eq!(segments[1].as_ptr(), large.as_ptr());
    }

    #[test]
    fn beyond_the_heap_all_is_copied_into_pages() {
        let budget = budget();
        let mut rest = Held::none(&budget, Group::Own, 1 << 20);
        assert!(rest.grow(64 << 20));
        let mut gather = gather(&budget);
        let piece = Bytes::from(vec![3; BUFFER]);
        for _ in 0..32 {
            gather.add(piece.clone(), false).unwrap();
        }
        let (segments, bytes, held) = gather.finish();
        assert_eq!((bytes, segments.concat()), (2 << 20, vec![3; 2 << 20]));
        assert!(segments.iter().all(|segment| segment.as_ptr() != piece.as_ptr()));
        assert!((2 << 20..3 << 20).contains(&held.bytes()));
    }

    #[test]
    fn neither_the_cap_nor_the_budget_is_passed() {
        let budget = Arc::new(Budget::new(20 << 10));
        let mut gather = gather(&budget);
        gather.add(Bytes::from_static(b"x"), false).unwrap();
        let more = gather.copy(&[0; 20 << 10]);
        assert!(matches!(more, Err(BodyError::Budget)), "{more:?}");
        drop(gather);
        assert!(Held::none(&budget, Group::Own, 1 << 20).grow(20 << 10), "all of it was given back");
        let mut small = Gather::new(Held::none(&budget, Group::Own, 1 << 20), 3, BUFFER);
        assert!(matches!(small.add(Bytes::from_static(b"four"), true), Err(BodyError::TooLarge(3))));
    }
}
