//! What schema 1 kept in the engine, taken over into the ledgers' own files.
//!
//! The ledgers were trees of the engine then. A step goes on behind what is in the files already, so that one that was
//! interrupted is just begun again, and nothing is taken over twice. The trees go when the new schema is durable.

use aivonx_protocol::audit::{Action, AuditEntry, Checkpoint};
use serde::de::DeserializeOwned;

use super::{AuditHead, StoreError, backend::Backend, codec, engine::Engine, ledgers::Ledgers};

/// Names of the trees.
pub(super) const TREES: [&str; 11] = [
    "audit",
    "audit_index",
    "audit_time",
    "audit_checkpoint",
    "audit_head",
    "usage_raw",
    "usage_day",
    "usage_name",
    "limit_counter",
    "key_use",
    "ledger_head",
];

/// Version of the records in them.
const VERSION: u8 = 1;

/// Entries taken over as one.
const GROUP: usize = 256;

/// Takes the audit log over.
pub(super) fn audit(engine: &Engine, ledgers: &Ledgers) -> Result<(), StoreError> {
    let (backend, kept) = (engine.backend(), &ledgers.audit);
    let stood: Option<AuditHead> = get(backend, "audit_head", b"head")?;
    let mut head = kept.head().or_else(|| stood.clone().map(|head| AuditHead { last: 0, ..head }));
    let (mut group, mut unreadable) = (Vec::new(), 0u64);
    let from = (kept.head().map_or(0, |head| head.last) + 1).to_be_bytes();
    for item in backend.scan("audit", b"") {
        let (key, bytes) = item?;
        if *key < from[..] {
            continue;
        }
        let Ok(entry) = read::<AuditEntry>("audit", &key, &bytes) else {
            unreadable += 1;
            continue;
        };
        let begun = head.get_or_insert_with(|| AuditHead {
            chain: String::new(),
            first: entry.seq,
            last: 0,
            hash: entry.prev,
        });
        if stood.is_none() && entry.action == Action::ChainStart {
            begun.chain = entry.details.get("chain").cloned().unwrap_or_default();
        }
        (begun.last, begun.hash) = (entry.seq, entry.hash);
        let checkpoint = get(backend, "audit_checkpoint", &key)?;
        group.push(entry);
        if checkpoint.is_some() || group.len() == GROUP {
            kept.append(&group, checkpoint.as_ref(), begun)?;
            group.clear();
        }
    }
    if let Some(head) = &head
        && !group.is_empty()
    {
        kept.append(&group, None, head)?;
    }
    // What begins the log, signed for entries that were removed.
    if let Some(head) = &head {
        let first = kept.walk(0, 1)?.first().map_or(u64::MAX, |(seq, _)| *seq).to_be_bytes();
        let have = kept.checkpoints()?;
        for item in backend.scan("audit_checkpoint", b"") {
            let (key, bytes) = item?;
            if *key >= first[..] {
                break;
            }
            let checkpoint = read::<Checkpoint>("audit_checkpoint", &key, &bytes);
            if let Some(checkpoint) = checkpoint.ok().filter(|checkpoint| !have.contains_key(&checkpoint.seq))
            {
                kept.append(&[], Some(&checkpoint), head)?;
            }
        }
    }
    // The log was cut: that is found from what it should be.
    if let Some(stood) = stood.filter(|stood| head.as_ref().is_none_or(|head| head.last < stood.last)) {
        kept.append(&[], None, &stood)?;
    }
    if unreadable > 0 {
        tracing::error!(unreadable, "entries of the audit log cannot be read, and are not taken over");
    }
    Ok(())
}

/// A record of one of the trees, if it can be read.
fn get<T: DeserializeOwned>(backend: &dyn Backend, tree: &str, key: &[u8]) -> Result<Option<T>, StoreError> {
    Ok(backend.get(tree, key)?.and_then(|bytes| read(tree, key, &bytes).ok()))
}

/// A record of one of the trees.
pub(super) fn read<T: DeserializeOwned>(
    tree: &str,
    key: &[u8],
    bytes: &[u8],
) -> Result<T, codec::CodecError> {
    codec::decode(tree, key, VERSION, bytes)
}
