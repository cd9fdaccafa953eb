//! What somebody with the store's files and its code could do. For tests.

use aivonx_protocol::audit::AuditEntry;

use super::{AuditLog, Tree, index};

fn key(seq: u64) -> [u8; 8] {
    seq.to_be_bytes()
}

impl AuditLog {
    pub(crate) async fn tamper_flip(&self, seq: u64) {
        let done = self.store.run(move |engine, _| {
            let mut bytes = engine.tree(Tree::Audit).get(key(seq))?.unwrap().to_vec();
            bytes[20] ^= 1;
            engine.tree(Tree::Audit).insert(key(seq), bytes)?;
            Ok(())
        });
        done.await.unwrap();
    }

    pub(crate) async fn tamper_edit(&self, seq: u64, edit: fn(&mut AuditEntry)) {
        let done = self.store.run(move |engine, _| {
            let mut entry: AuditEntry = engine.get(Tree::Audit, &key(seq))?.unwrap();
            edit(&mut entry);
            engine.append(|group| group.put(Tree::Audit, &key(seq), &entry))
        });
        done.await.unwrap();
    }

    pub(crate) async fn tamper_drop(&self, from: u64, to: u64) {
        let done = self.store.run(move |engine, _| {
            engine.append(|group| {
                (from..=to).for_each(|seq| group.remove(Tree::Audit, &key(seq)));
                Ok(())
            })
        });
        done.await.unwrap();
    }

    pub(crate) async fn tamper_swap(&self, a: u64, b: u64) {
        let done = self.store.run(move |engine, _| {
            let first: AuditEntry = engine.get(Tree::Audit, &key(a))?.unwrap();
            let second: AuditEntry = engine.get(Tree::Audit, &key(b))?.unwrap();
            engine.append(|group| {
                group.put(Tree::Audit, &key(a), &second)?;
                group.put(Tree::Audit, &key(b), &first)
            })
        });
        done.await.unwrap();
    }

    /// Has everything there written so many milliseconds earlier, as far as the index of time knows.
    pub(crate) async fn tamper_age(&self, ms: u64) {
        let done = self.store.run(move |engine, _| {
            let mut spans = Vec::new();
            for item in engine.range::<(u64, u64), _>(Tree::AuditTime, ..) {
                spans.push(item?);
            }
            engine.append(|group| {
                for (old, span) in spans {
                    group.remove(Tree::AuditTime, &old);
                    let number = u64::from(u32::from_be_bytes(old[1..].try_into().unwrap()));
                    let [minute, day] = index::buckets((number * 60_000).saturating_sub(ms));
                    if old[0] == 1 {
                        group.put(Tree::AuditTime, &minute, &span)?;
                        group.put(Tree::AuditTime, &day, &span)?;
                    }
                }
                Ok(())
            })
        });
        done.await.unwrap();
    }
}
