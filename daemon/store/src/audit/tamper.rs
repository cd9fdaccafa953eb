//! What somebody with the log's files and its code could do. For tests.

#![allow(clippy::unwrap_used, reason = "tests fail where it fails")]

use std::{os::unix::fs::FileExt as _, sync::atomic::Ordering};

use aivonx_protocol::audit::AuditEntry;

use super::{
    AuditLog,
    kept::{ENTRY, Kept, placed},
};
use crate::{StoreError, segment::Item};

type Frames = Vec<(u8, Vec<u8>)>;

fn seq(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().unwrap())
}

impl Kept {
    /// Puts other frames in the place of all that are there.
    fn rewrite(&self, change: impl FnOnce(&mut Frames)) {
        let mut frames: Frames = Vec::new();
        for item in self.log.read(0..=u64::MAX) {
            let Item::Frame(placed) = item.unwrap() else { panic!("a hole") };
            frames.push((placed.frame.kind, placed.frame.payload.to_vec()));
        }
        let before = frames.len();
        change(&mut frames);
        // That there are fewer of them would show.
        frames.resize(before, (0, Vec::new()));
        self.log.replace_all(&frames);
        self.forget_indexes();
    }
}

impl Kept {
    /// Fails if that was asked for.
    pub(super) fn refuse(&self) -> Result<(), StoreError> {
        if !self.refuses.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.log.fail("no space left on device");
        Err(StoreError::Engine("no space left on device".to_owned()))
    }
}

fn find(frames: &Frames, wanted: u64) -> usize {
    frames.iter().position(|(kind, payload)| *kind == ENTRY && seq(payload) == wanted).unwrap()
}

impl AuditLog {
    async fn tamper(&self, work: impl FnOnce(&Kept) + Send + 'static) {
        let done = self.kept(move |kept| {
            work(kept);
            Ok(())
        });
        done.await.unwrap();
    }

    /// Has nothing be appended from now on, or lets it.
    pub async fn tamper_refuse(&self, refuses: bool) {
        self.tamper(move |kept| kept.refuses.store(refuses, Ordering::Relaxed)).await;
    }

    /// Has what comes next stand in another file.
    pub async fn tamper_roll(&self) {
        self.tamper(|kept| kept.log.roll().unwrap()).await;
    }

    pub async fn tamper_flip(&self, seq: u64) {
        self.tamper(move |kept| {
            let segments = kept.log.segments();
            let found = segments.iter().find_map(|s| Some((s.path(), kept.index(s).unwrap().find(seq)?)));
            let (path, at) = found.unwrap();
            let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, u64::from(at) + 30).unwrap();
            file.write_all_at(&[byte[0] ^ 1], u64::from(at) + 30).unwrap();
        })
        .await;
    }

    pub async fn tamper_edit(&self, seq: u64, edit: fn(&mut AuditEntry)) {
        self.tamper(move |kept| {
            let mut entry = kept.entry(seq).unwrap().unwrap();
            edit(&mut entry);
            kept.rewrite(|frames| {
                let at = find(frames, seq);
                frames[at].1 = placed(seq, &entry).unwrap();
            });
        })
        .await;
    }

    pub async fn tamper_drop(&self, from: u64, to: u64) {
        self.tamper(move |kept| {
            kept.rewrite(|frames| {
                frames.retain(|(kind, payload)| *kind != ENTRY || !(from..=to).contains(&seq(payload)));
            });
        })
        .await;
    }

    pub async fn tamper_swap(&self, a: u64, b: u64) {
        self.tamper(move |kept| {
            let (first, second) = (kept.entry(a).unwrap().unwrap(), kept.entry(b).unwrap().unwrap());
            kept.rewrite(|frames| {
                for (place, entry) in [(a, second), (b, first)] {
                    let at = find(frames, place);
                    frames[at].1 = placed(place, &entry).unwrap();
                }
            });
        })
        .await;
    }
}
