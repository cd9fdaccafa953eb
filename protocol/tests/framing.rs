//! Framing under arbitrary bytes: no panic, no memory beyond the cap, what goes in comes out.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use aivonx_protocol::{
    ClientFrame, ServerFrame,
    frame::{self, FrameError, FrameReader, MAX_IN, MAX_OUT},
    handshake, wire,
};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf};

/// Hands out `bytes` in pieces of the given sizes, over and over.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    turn: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.sizes[self.turn % self.sizes.len()];
        let end = self.bytes.len().min(self.at + size.min(buf.remaining()));
        buf.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        self.turn += 1;
        Poll::Ready(Ok(()))
    }
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn arbitrary_bytes_neither_panic_nor_take_memory(
        bytes in prop::collection::vec(any::<u8>(), 0..4096),
        sizes in prop::collection::vec(1_usize..64, 1..8),
        cap in 0_usize..100_000,
    ) {
        run(async {
            let mut reader = FrameReader::new(Pieces { bytes, at: 0, sizes, turn: 0 }, cap, None);
            loop {
                let next = reader.next().await;
                assert!(reader.reserved() <= cap);
                match next {
                    Ok(Some(payload)) => {
                        assert!(payload.len() <= cap);
                        let _ = wire::decode::<ClientFrame, MAX_IN>(&payload);
                        let _ = handshake::read_answer(&payload, "test");
                    }
                    Ok(None) | Err(_) => break,
                }
            }
        });
    }

    #[test]
    fn arbitrary_payloads_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = wire::decode::<ClientFrame, MAX_IN>(&bytes);
        let _ = wire::decode::<ServerFrame, MAX_OUT>(&bytes);
        let _ = wire::frame_head(&bytes);
        let _ = handshake::read_answer(&bytes, "test");
    }

    #[test]
    fn damaged_samples_never_panic(
        which in 0_usize..64, at in any::<prop::sample::Index>(), with in any::<u8>(),
    ) {
        let samples = aivonx_protocol::Reply::samples();
        let result = Ok(samples[which % samples.len()].clone());
        let mut bytes = wire::encode(&ServerFrame::Reply { id: 9, result }, 0, MAX_OUT).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let _ = wire::decode::<ServerFrame, MAX_OUT>(&bytes);
    }

    #[test]
    fn what_goes_in_comes_out(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..6),
        sizes in prop::collection::vec(1_usize..500, 1..8),
    ) {
        run(async {
            let bytes: Vec<u8> =
                payloads.iter().flat_map(|p| frame::seal_bytes(p).unwrap().to_vec()).collect();
            let mut reader = FrameReader::new(Pieces { bytes, at: 0, sizes, turn: 0 }, 2000, None);
            for payload in &payloads {
                assert_eq!(&*reader.next().await.unwrap().unwrap(), payload);
            }
            assert!(reader.next().await.unwrap().is_none());
        });
    }

    #[test]
    fn a_cut_connection_is_no_clean_end(
        payload in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>(),
    ) {
        run(async {
            let mut bytes = frame::seal_bytes(&payload).unwrap().to_vec();
            let whole = bytes.len();
            bytes.truncate(1 + cut.index(whole - 1));
            let got = bytes.len();
            let mut reader = FrameReader::new(Pieces { bytes, at: 0, sizes: vec![7], turn: 0 }, 300, None);
            match reader.next().await {
                Err(FrameError::Truncated { got: seen, .. }) => assert_eq!(seen, got),
                other => panic!("{other:?}"),
            }
        });
    }
}

#[tokio::test]
async fn an_oversized_frame_takes_no_memory() {
    let (mut peer, ours) = tokio::io::duplex(64);
    peer.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    let mut reader = FrameReader::new(ours, MAX_IN, None);
    assert!(matches!(reader.next().await, Err(FrameError::TooLarge { len: u32::MAX, cap: MAX_IN })));
    assert_eq!(reader.reserved(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_announced_frame_takes_memory_only_as_it_arrives() {
    let (mut peer, ours) = tokio::io::duplex(1 << 20);
    peer.write_all(&u32::try_from(MAX_OUT).unwrap().to_le_bytes()).await.unwrap();
    peer.write_all(&[1; 1000]).await.unwrap();
    let mut reader = FrameReader::new(ours, MAX_OUT, None);
    // The frame is not complete: the call stays pending, and what arrived is kept.
    assert!(tokio::time::timeout(Duration::from_millis(1), reader.next()).await.is_err());
    assert!(reader.reserved() <= 64 << 10, "{}", reader.reserved());
    peer.write_all(&vec![1; 200_000]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(1), reader.next()).await.is_err());
    assert!(reader.reserved() <= 512 << 10, "{}", reader.reserved());
}

#[tokio::test]
async fn the_largest_frame_arrives_and_no_larger() {
    let frame = frame::seal_bytes(&vec![7; MAX_IN]).unwrap();
    let mut reader = FrameReader::new(&frame[..], MAX_IN, None);
    assert_eq!(reader.next().await.unwrap().unwrap().len(), MAX_IN);
    let frame = frame::seal_bytes(&vec![7; MAX_IN + 1]).unwrap();
    let mut reader = FrameReader::new(&frame[..], MAX_IN, None);
    assert!(matches!(reader.next().await, Err(FrameError::TooLarge { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_frame_once_begun_has_a_deadline_and_silence_has_none() {
    let (mut peer, ours) = tokio::io::duplex(64);
    let mut reader = FrameReader::new(ours, 100, Some(Duration::from_secs(10)));
    let idle = tokio::time::timeout(Duration::from_secs(3600), reader.next()).await;
    assert!(idle.is_err(), "an idle connection is left alone");
    peer.write_all(&[5]).await.unwrap();
    assert!(matches!(reader.next().await, Err(FrameError::Stalled(_))));
}

#[test]
fn a_value_beyond_the_cap_is_not_encoded() {
    let frame = ServerFrame::Event { id: 1, event: aivonx_protocol::Event::NodeRemoved("x".repeat(2000)) };
    assert!(matches!(frame::seal(&frame, 1000), Err(wire::WireError::TooLarge { cap: 1000, .. })));
}

/// A text that claims to be longer than the frame could be is refused by the claim.
#[test]
fn a_claimed_length_is_not_believed() {
    // Event (1), id 1, NodeRemoved (1), then a length of 2^40 as a 64-bit integer behind its marker.
    let mut bytes = vec![1, 1, 1, 253];
    bytes.extend_from_slice(&(1_u64 << 40).to_le_bytes());
    assert!(wire::decode::<ServerFrame, MAX_OUT>(&bytes).is_err());
}
