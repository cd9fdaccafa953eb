//! Which containers are open.

use super::MAX_DEPTH;

/// Containers whose kinds lie in one word.
const WORD: usize = u64::BITS as usize;

/// The open containers, outermost first.
#[derive(Debug, Default)]
pub(super) struct Nest {
    depth: usize,
    /// One bit per container, the innermost lowest: set for an object. Of more than 64 only those that were opened
    /// since the depth was last a multiple of it are right.
    inner: u64,
    /// What `inner` was at each such depth.
    outer: Vec<u64>,
}

impl Nest {
    /// How many containers are open.
    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the innermost container is an object. False outside of any container.
    #[inline(always)]
    pub(super) fn in_object(&self) -> bool {
        self.inner & 1 != 0
    }

    /// Opens a container. False if there are too many.
    #[inline(always)]
    pub(super) fn push(&mut self, object: bool) -> bool {
        if self.depth.is_multiple_of(WORD) && !self.save() {
            return false;
        }
        self.inner = self.inner << 1 | u64::from(object);
        self.depth += 1;
        true
    }

    /// Closes the innermost one. There must be one.
    #[inline(always)]
    pub(super) fn pop(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth.is_multiple_of(WORD) {
            self.restore();
        }
    }

    #[cold]
    fn save(&mut self) -> bool {
        if self.depth > 0 && self.depth < MAX_DEPTH {
            self.outer.push(self.inner);
        }
        self.depth < MAX_DEPTH
    }

    #[cold]
    fn restore(&mut self) {
        self.inner = self.outer.pop().unwrap_or_default();
    }
}

const _: () = assert!(MAX_DEPTH.is_multiple_of(WORD), "the depth is looked at only where a word is full");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_DEPTH, Nest};

    proptest! {
        #[test]
        fn it_is_a_stack(
            runs in prop::collection::vec((0usize..200, prop::collection::vec(any::<bool>(), 1..200)), 1..20)
        ) {
            let mut nest = Nest::default();
            let mut plain = Vec::new();
            for (back, kinds) in runs {
                for _ in 0..back.min(plain.len()) {
                    nest.pop();
                    plain.pop();
                    prop_assert_eq!(nest.in_object(), plain.last() == Some(&true));
                }
                for object in kinds {
                    let room = plain.len() < MAX_DEPTH;
                    prop_assert_eq!(nest.push(object), room);
                    if room {
                        plain.push(object);
                    }
                    prop_assert_eq!(nest.in_object(), plain.last() == Some(&true));
                }
                prop_assert_eq!(nest.depth(), plain.len());
            }
        }
    }
}
