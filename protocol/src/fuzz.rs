//! What a fuzzer runs with the bytes that it comes up with. Tests run the same with those that are kept below
//! `tests/fuzz/corpus`.

use std::{
    fs,
    path::Path,
    pin::pin,
    task::{Context, Poll, Waker},
};

use crate::{
    ClientFrame, ServerFrame,
    frame::{FrameReader, MAX_IN, MAX_OUT},
    handshake, wire,
};

/// Most bytes of a frame.
const CAP: usize = 64 << 10;

/// What comes over the control socket: frames, and what is in them. No more memory is taken than a frame may have.
///
/// # Panics
/// More is.
pub fn frames(bytes: &[u8]) {
    let mut reader = FrameReader::new(bytes, CAP, None);
    loop {
        let next = pin!(reader.next()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(reader.reserved() <= CAP, "{} bytes are held", reader.reserved());
        // What lies in memory is never waited for.
        let Poll::Ready(Ok(Some(payload))) = next else { return };
        let _ = wire::decode::<ClientFrame, MAX_IN>(&payload);
        let _ = wire::decode::<ServerFrame, MAX_OUT>(&payload);
        let _ = handshake::read_answer(&payload, "fuzz");
    }
}

/// What is kept below `tests/fuzz/corpus` for a target.
///
/// # Panics
/// There is none, or it cannot be read.
#[must_use]
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let files = fs::read_dir(corpus).expect("a directory of that name");
    let kept: Vec<_> = files.map(|file| fs::read(file.expect("an entry").path()).expect("a file")).collect();
    assert!(kept.len() > 1, "nothing is kept of {target}");
    kept
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_kept_passes() {
        super::kept("frames").iter().for_each(|bytes| super::frames(bytes));
    }
}
