use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

use super::*;
use crate::audit::canonical::{form, genesis, line};

fn entry(seq: u64, prev: Digest, action: Action) -> AuditEntry {
    let mut entry = AuditEntry {
        seq,
        time: 1_700_000_000_000 + seq,
        action,
        outcome: Outcome::Ok,
        actor: AuditActor { id: Some("u-1".into()), name: "root".into() },
        source: AuditSource { uid: Some(0), gid: Some(0), pid: Some(77), ..AuditSource::default() },
        organization: None,
        object: Some(AuditObject { kind: "node".into(), id: None, name: Some(format!("gpu{seq}")) }),
        via: Some("node.add".into()),
        request_id: None,
        details: BTreeMap::new(),
        prev,
        hash: HexBytes([0; 32]),
    };
    if action == Action::ChainStart {
        entry.details = [("chain", "c-1"), ("reason", "new")].map(|(k, v)| (k.into(), v.into())).into();
    }
    entry.hash = entry.chained(&prev);
    entry
}

fn log(n: u64) -> Vec<AuditEntry> {
    let mut entries = vec![entry(1, genesis("d-1", "c-1"), Action::ChainStart)];
    for seq in 2..=n {
        let prev = entries.last().unwrap().hash;
        entries.push(entry(seq, prev, Action::Create));
    }
    entries
}

/// Chains what stands behind entry `seq` anew, as someone who covers tracks would.
fn rechain(entries: &mut [AuditEntry]) {
    let mut prev = entries[0].prev;
    for entry in entries {
        entry.prev = prev;
        entry.hash = entry.chained(&prev);
        prev = entry.hash;
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn signer() -> PublicKey {
    HexBytes(key().verifying_key().to_bytes())
}

fn checkpoint(entries: &[AuditEntry], seq: u64, previous: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint {
        daemon: "d-1".into(),
        chain: "c-1".into(),
        kind: CheckpointKind::Regular,
        seq,
        hash: entries[seq as usize - 1].hash,
        previous,
        time: 1_700_000_100_000,
        signer: signer(),
        signature: HexBytes([0; 64]),
    };
    checkpoint.signature = HexBytes(key().sign(&checkpoint.message()).to_bytes());
    checkpoint
}

/// Walks `entries`, each at its place, with checkpoints; the daemon knows of `last` entries.
fn walk(entries: &[(u64, AuditEntry)], checkpoints: &[Checkpoint], last: u64) -> Chain {
    let mut chain = Chain::from_start("d-1", 1);
    for (place, entry) in entries {
        chain.entry(*place, Ok(entry));
        for checkpoint in checkpoints.iter().filter(|c| c.seq == *place) {
            chain.checkpoint(checkpoint, &[signer()]);
        }
    }
    chain.end(last);
    chain
}

fn placed(entries: Vec<AuditEntry>) -> Vec<(u64, AuditEntry)> {
    entries.into_iter().map(|e| (e.seq, e)).collect()
}

fn found(chain: &Chain) -> (Problem, u64, u64) {
    let found = chain.found().unwrap();
    assert!(!found.to_string().is_empty());
    (found.problem, found.seq, found.through)
}

#[test]
fn a_whole_log_is_intact() {
    let entries = log(20);
    let checkpoints = [checkpoint(&entries, 10, 0), checkpoint(&entries, 20, 10)];
    let chain = walk(&placed(entries), &checkpoints, 20);
    assert_eq!(chain.found(), None);
    assert_eq!((chain.entries(), chain.checkpoints(), chain.signed_through()), (20, 2, 20));
    assert_eq!(chain.restarts(), []);
}

#[test]
fn the_first_of_whatever_was_done_is_named() {
    let entries = log(20);
    let checkpoints = [checkpoint(&entries, 10, 0), checkpoint(&entries, 20, 10)];
    let walk = |entries: Vec<(u64, AuditEntry)>| found(&walk(&entries, &checkpoints, 20));

    for at in 0..20 {
        let seq = at as u64 + 1;
        // Changed.
        let mut flipped = placed(entries.clone());
        flipped[at].1.actor.name = "nobody".into();
        assert_eq!(walk(flipped.clone()), (Problem::Changed, seq, seq));
        // Its hash made to fit: the next says that it is not what it was; behind the last, the checkpoint does.
        let prev = flipped[at].1.prev;
        flipped[at].1.hash = flipped[at].1.chained(&prev);
        let (problem, first, through) = walk(flipped);
        assert!(first <= seq && seq <= through, "{problem:?} {first}..{through}");
        // Everything behind it made to fit.
        let mut rewritten = entries.clone();
        rewritten[at].actor.name = "nobody".into();
        rechain(&mut rewritten);
        let block = if at < 10 { (1, 10) } else { (11, 20) };
        assert_eq!(walk(placed(rewritten)), (Problem::Rewritten, block.0, block.1));
        // Removed.
        let mut removed = placed(entries.clone());
        removed.remove(at);
        let problem = if at == 19 { Problem::Cut } else { Problem::Removed };
        assert_eq!(walk(removed), (problem, seq, seq));
        // Cut.
        let cut = placed(entries[..at].to_vec());
        assert_eq!(walk(cut), (Problem::Cut, seq, 20));
        // Swapped with the next.
        if at < 19 {
            let mut swapped = placed(entries.clone());
            let second = swapped[at + 1].1.clone();
            swapped[at + 1].1 = std::mem::replace(&mut swapped[at].1, second);
            assert_eq!(walk(swapped), (Problem::Reordered, seq, seq));
        }
    }
    // Removed, and the others moved up and chained anew.
    let mut closed = entries.clone();
    closed.remove(4);
    for (at, entry) in closed.iter_mut().enumerate() {
        entry.seq = at as u64 + 1;
    }
    rechain(&mut closed);
    assert_eq!(walk(placed(closed)), (Problem::Rewritten, 1, 10));
}

#[test]
fn checkpoints_are_checked_too() {
    let entries = log(20);
    let right = checkpoint(&entries, 10, 0);
    let second = checkpoint(&entries, 20, 10);
    let mut forged = right.clone();
    forged.time += 1;
    let walk = |checkpoints: &[Checkpoint]| walk(&placed(entries.clone()), checkpoints, 20);
    assert_eq!(found(&walk(&[forged])), (Problem::Checkpoint, 10, 10));
    let mut stranger = right.clone();
    let other = SigningKey::from_bytes(&[8; 32]);
    stranger.signer = HexBytes(other.verifying_key().to_bytes());
    stranger.signature = HexBytes(other.sign(&stranger.message()).to_bytes());
    assert!(stranger.is_signed());
    assert_eq!(found(&walk(&[stranger])), (Problem::Checkpoint, 10, 10));
    // One that was made is gone.
    let third = checkpoint(&entries, 15, 12);
    assert_eq!(found(&walk(&[right, third, second])), (Problem::Checkpoint, 12, 12));
}

#[test]
fn behind_removed_entries_the_chain_goes_on() {
    let entries = log(20);
    let start = checkpoint(&entries, 10, 5);
    let mut chain = Chain::behind(&start);
    for entry in &entries[10..] {
        chain.entry(entry.seq, Ok(entry));
    }
    chain.checkpoint(&checkpoint(&entries, 20, 10), &[signer()]);
    chain.end(20);
    assert_eq!((chain.found(), chain.entries()), (None, 10));
    let mut chain = Chain::behind(&start);
    chain.entry(12, Ok(&entries[11]));
    assert_eq!(found(&chain), (Problem::Removed, 11, 11));
}

#[test]
fn a_new_chain_is_reported() {
    let mut start = entry(9, genesis("d-1", "c-1"), Action::ChainStart);
    start.details.insert("reason".into(), "lost".into());
    start.hash = start.chained(&start.prev);
    let mut chain = Chain::from_start("d-1", 9);
    chain.entry(9, Ok(&start));
    chain.end(9);
    assert_eq!(chain.found(), None);
    assert_eq!(chain.restarts().len(), 1);
    assert!(!chain.restarts()[0].is_explained());
    // Of another daemon.
    let mut chain = Chain::from_start("d-2", 9);
    chain.entry(9, Ok(&start));
    assert_eq!(found(&chain), (Problem::Changed, 9, 9));
}

#[test]
fn keys_are_read_in_both_forms() {
    let pem = signer().to_pem().unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
    assert_eq!(PublicKey::from_text(&pem), Ok(signer()));
    assert_eq!(PublicKey::from_text(&format!(" {}\n", signer())), Ok(signer()));
    assert_eq!(PublicKey::from_text("nonsense"), Err(NoPublicKey));
}

/// The form is frozen: entries of every version must verify for ever.
#[test]
fn the_canonical_form_is_frozen() {
    let mut entry = entry(3, HexBytes([1; 32]), Action::LoginFailed);
    entry.outcome = Outcome::Denied;
    entry.actor = AuditActor { id: None, name: "a\"\\\n\u{1}\u{7f}\u{9b}é\u{202e}".into() };
    entry.source =
        AuditSource { address: Some("10.0.0.1".into()), user_agent: Some("x".into()), ..entry.source };
    entry.organization = Some(AuditOrganization { id: "o".into(), name: None });
    entry.details.insert("reason".into(), "no such user".into());
    assert_eq!(
        form(&entry),
        "{\"action\":\"login_failed\",\"actor\":{\"name\":\"a\\\"\\\\\\n\\u0001\u{7f}\u{9b}é\u{202e}\"},\
         \"details\":{\"reason\":\"no such user\"},\"object\":{\"kind\":\"node\",\"name\":\"gpu3\"},\
         \"organization\":{\"id\":\"o\"},\"outcome\":\"denied\",\"seq\":3,\
         \"source\":{\"address\":\"10.0.0.1\",\"gid\":0,\"pid\":77,\"uid\":0,\"user_agent\":\"x\"},\
         \"time\":1700000000003,\"via\":\"node.add\"}"
    );
    assert_eq!(
        entry.chained(&entry.prev).to_string(),
        "8e94fcab507dd846913cec13e6bdd899e2a4212e386c727c64d6c4797570aec2"
    );
    let shown = line(&entry);
    assert!(shown.is_ascii() || shown.contains('é'), "{shown}");
    assert!(!shown.contains(['\u{7f}', '\u{9b}', '\u{202e}']), "{shown}");
}

#[test]
fn signed_texts_are_frozen() {
    let entries = log(2);
    let checkpoint = checkpoint(&entries, 2, 0);
    let text = String::from_utf8(checkpoint.message()).unwrap();
    assert_eq!(
        text,
        format!(
            "aivonx audit checkpoint v1\n{{\"chain\":\"c-1\",\"daemon\":\"d-1\",\"hash\":\"{}\",\"kind\":\"regular\",\
             \"previous\":0,\"seq\":2,\"signer\":\"{}\",\"time\":1700000100000}}",
            checkpoint.hash, checkpoint.signer
        )
    );
    let read: Checkpoint = serde_json::from_str(&checkpoint.line()).unwrap();
    assert_eq!(read, checkpoint);
    assert!(read.is_signed());

    let mut export = ExportSignature {
        daemon: "d-1".into(),
        format: ExportFormat::Csv,
        bytes: 9,
        sha256: HexBytes([2; 32]),
        entries: 1,
        first: 1,
        last: 1,
        complete: true,
        filter: AuditFilter { actor: Some("a".into()), ..AuditFilter::default() }.words(),
        time: 5,
        signer: signer(),
        signature: HexBytes([0; 64]),
    };
    export.signature = HexBytes(key().sign(&export.message()).to_bytes());
    let mut read: ExportSignature = serde_json::from_str(&export.line()).unwrap();
    assert_eq!(read, export);
    assert!(read.is_signed());
    read.last = 2;
    assert!(!read.is_signed());
}

fn any_entry() -> impl Strategy<Value = AuditEntry> {
    let text = || proptest::option::of(".{0,12}");
    let source = (any::<Option<u32>>(), any::<Option<i32>>(), text(), text());
    let object = proptest::option::of(("[a-z]{1,8}", text(), text()));
    let organization = proptest::option::of((".{0,8}", text()));
    (
        (0..1u64 << 53, 0..1u64 << 53, 0..Action::ALL.len(), 0..3usize),
        (text(), ".{0,20}"),
        source,
        organization,
        object,
        (text(), text()),
        proptest::collection::btree_map("[a-z0-9_]{1,6}", ".{0,20}", 0..5),
        any::<[u8; 32]>(),
    )
        .prop_map(
            |((seq, time, action, outcome), actor, source, organization, object, rest, details, prev)| {
                let mut entry = AuditEntry {
                    seq,
                    time,
                    action: Action::ALL[action],
                    outcome: Outcome::ALL[outcome],
                    actor: AuditActor { id: actor.0, name: actor.1 },
                    source: AuditSource {
                        uid: source.0,
                        gid: source.0,
                        pid: source.1,
                        address: source.2,
                        user_agent: source.3,
                    },
                    organization: organization.map(|(id, name)| AuditOrganization { id, name }),
                    object: object.map(|(kind, id, name)| AuditObject { kind, id, name }),
                    via: rest.0,
                    request_id: rest.1,
                    details,
                    prev: HexBytes(prev),
                    hash: HexBytes([0; 32]),
                };
                entry.hash = entry.chained(&entry.prev);
                entry
            },
        )
}

/// Takes members without a value out, as the canonical form does.
fn without_nulls(value: &mut serde_json::Value) {
    if let serde_json::Value::Object(members) = value {
        members.retain(|_, value| !value.is_null());
        members.values_mut().for_each(without_nulls);
    }
}

proptest! {
    /// What a stranger does with an exported line leads to the same hash.
    #[test]
    fn a_line_of_an_export_verifies_with_any_json_library(entry in any_entry()) {
        let mut value: serde_json::Value = serde_json::from_str(&line(&entry)).unwrap();
        prop_assert_eq!(&serde_json::from_value::<AuditEntry>(value.clone()).unwrap(), &entry);
        let members = value.as_object_mut().unwrap();
        prop_assert_eq!(members.remove("hash").unwrap(), entry.hash.to_string());
        prop_assert_eq!(members.remove("prev").unwrap(), entry.prev.to_string());
        // serde_json keeps an object's members in the order of their names, and escapes as RFC 8785 does.
        prop_assert_eq!(serde_json::to_string(&value).unwrap(), form(&entry));
        let mut whole = serde_json::to_value(&entry).unwrap();
        without_nulls(&mut whole);
        let whole = whole.as_object_mut().unwrap();
        whole.remove("hash");
        whole.remove("prev");
        prop_assert_eq!(serde_json::to_string(&whole).unwrap(), form(&entry));
    }

    #[test]
    fn two_entries_never_share_a_form(a in any_entry(), b in any_entry()) {
        let same = AuditEntry { prev: a.prev, hash: a.hash, ..b.clone() } == a;
        prop_assert_eq!(form(&a) == form(&b), same);
    }

    #[test]
    fn an_entry_crosses_the_wire(entry in any_entry()) {
        let bytes = crate::wire::encode(&entry, 0, 1 << 20).unwrap();
        prop_assert_eq!(crate::wire::decode::<AuditEntry, 1048576>(&bytes).unwrap(), entry);
    }
}
