//! What a fuzzer runs with the bytes that it comes up with. Tests run the same with those that are kept below
//! `tests/fuzz/corpus`.

use std::{
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn what_was_kept_passes() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/frames");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 1);
        files.iter().for_each(|file| super::frames(&std::fs::read(file).unwrap()));
    }
}
