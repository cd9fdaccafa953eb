//! Tests of the log as its users see it.

mod integrity;

use std::{path::Path, sync::Arc};

use aivonx_domain::{AccessRecord, TenantScope};
use aivonx_protocol::{
    Event,
    audit::{
        Action, AnchorProblem, AuditFilter, AuditVerdict, ExportFormat, ExportSignature, Outcome, Problem,
    },
};
use aivonx_store::{
    Store, StoreError, recover,
    secrets::{MasterKey, Vault},
};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::*;

fn options() -> Options {
    Options {
        checkpoint_entries: 10,
        checkpoint_interval: Duration::from_secs(3600),
        checkpoint_file: None,
        retention: Duration::ZERO,
        fold: Duration::from_secs(3600),
    }
}

struct Fixture {
    store: Store,
    audit: Audit,
}

async fn open_with(dir: &Path, options: Options) -> Fixture {
    let store = Store::open(dir, &config::StoreOptions::default()).await.unwrap();
    let master = MasterKey::load_or_generate(&dir.join("master.key")).unwrap();
    let vault = Vault::open(master, &store).await.unwrap();
    let audit = Audit::open(&store, &vault, options).await.unwrap();
    Fixture { store, audit }
}

async fn open(dir: &Path) -> Fixture {
    open_with(dir, options()).await
}

impl Fixture {
    async fn close(self) {
        self.audit.close().await;
        self.store.close().await.unwrap();
    }

    async fn fill(&self, n: usize) {
        for at in 0..n {
            self.audit.write(created(at)).await.unwrap();
        }
    }

    async fn verify(&self) -> AuditVerdict {
        self.audit.verify(&[], None).await.unwrap()
    }
}

fn created(n: usize) -> Entry {
    let who = Who::control(Some("u-1".into()), "root", 0, 0, Some(7));
    Entry::new(Action::Create).actor(who).object("node", Some(&format!("n{n}")), None).via("node.add")
}

#[tokio::test]
async fn a_log_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(25).await;
    f.close().await;
    let f = open(dir.path()).await;
    f.fill(3).await;
    let verdict = f.verify().await;
    assert!(verdict.intact, "{verdict:?}");
    // The start of the chain, and the entries.
    assert_eq!((verdict.first, verdict.last, verdict.entries), (1, 29, 29));
    // After 10 and 20 entries and at the end.
    assert_eq!((verdict.checkpoints, verdict.signed_through), (3, 26));
    assert_eq!(verdict.restarts, []);
    let page = f.audit.list(&TenantScope::All, AuditFilter::default(), None, 100, true).await.unwrap();
    assert_eq!(page.entries[0].action, Action::ChainStart);
    assert_eq!(page.entries[28].object.as_ref().unwrap().id.as_deref(), Some("n2"));
    f.close().await;
}

#[tokio::test]
async fn a_flood_can_be_read_while_it_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    let refuse = |times: usize| {
        for _ in 0..times {
            let who = Who::http(None, "unknown credential", [192, 0, 2, 7].into(), None);
            f.audit.note(Entry::new(Action::Denied).actor(who).outcome(Outcome::Denied));
        }
    };
    let counted = async || {
        f.audit.write_counted().await;
        let filter = AuditFilter { actions: vec![Action::Denied], ..AuditFilter::default() };
        let page = f.audit.list(&TenantScope::All, filter, None, 100, true).await.unwrap();
        let count =
            |entry: &AuditEntry| entry.details.get("count").map_or(1, |n| n.parse::<usize>().unwrap());
        page.entries.iter().map(count).sum::<usize>()
    };
    refuse(39);
    assert_eq!(counted().await, 39);
    assert_eq!(counted().await, 39);
    refuse(20);
    assert_eq!(counted().await, 59);
    assert!(f.verify().await.intact);
    f.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    let writing = (0..40).map(|n| {
        let audit = f.audit.clone();
        tokio::spawn(async move {
            audit.note(created(1000 + n));
            audit.write(created(n)).await.unwrap()
        })
    });
    let mut seqs = Vec::new();
    for task in writing.collect::<Vec<_>>() {
        seqs.push(task.await.unwrap());
    }
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 40);
    f.audit.checkpoint().await.unwrap();
    let verdict = f.verify().await;
    assert!(verdict.intact, "{verdict:?}");
    assert_eq!((verdict.entries, verdict.signed_through), (81, 81));
    let health = f.audit.health();
    assert_eq!((health.pending, health.written, health.failures), (0, 81, 0));
    assert_eq!(health.intact, Some(true));
    f.close().await;
}

#[tokio::test]
async fn checkpoints_are_appended_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("anchors.log");
    let f = open_with(dir.path(), Options { checkpoint_file: Some(path.clone()), ..options() }).await;
    f.fill(25).await;
    f.close().await;
    let lines = std::fs::read_to_string(path).unwrap();
    let anchors: Vec<Checkpoint> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(anchors.iter().map(|c| c.seq).collect::<Vec<_>>(), [10, 20, 26]);
    let f = open(dir.path()).await;
    let verdict = f.audit.verify(&anchors, None).await.unwrap();
    assert_eq!((verdict.intact, verdict.anchors_agreed), (true, 3));
    f.close().await;
}

#[tokio::test]
async fn a_flood_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let f = open_with(dir.path(), Options { fold: Duration::from_millis(50), ..options() }).await;
    let mut done = AccessRecord::new(uuid::Uuid::nil(), [127, 0, 0, 1].into(), http::Method::POST);
    done.prompt_tokens = Some(3);
    for n in 0..500u64 {
        let who = Who::control(None, "mallory", 1000, 1000, Some(n as i32));
        f.audit.note(Entry::new(Action::CrossOrgDenied).actor(who).outcome(Outcome::Denied));
        f.audit.inference([&done].into_iter());
    }
    f.audit.close().await;
    let all =
        f.audit.list(&TenantScope::All, AuditFilter::default(), None, 1000, true).await.unwrap().entries;
    let count = |action: Action, name: &str| -> (usize, u64) {
        let of = all.iter().filter(|e| e.action == action);
        let sum = of.clone().filter_map(|e| e.details.get(name)?.parse::<u64>().ok()).sum();
        (of.count(), sum)
    };
    let (entries, folded) = count(Action::CrossOrgDenied, "count");
    let single =
        all.iter().filter(|e| e.action == Action::CrossOrgDenied && !e.details.contains_key("count"));
    assert_eq!(folded + single.count() as u64, 500);
    assert!(entries < 50, "{entries}");
    let (entries, tokens) = count(Action::InferenceSummary, "prompt_tokens");
    assert_eq!(tokens, 1500);
    assert!(entries < 20, "{entries}");
    f.store.close().await.unwrap();
}

#[tokio::test]
async fn followers_see_every_entry_of_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    let of = |organization: &str, n: usize| created(n).organization(Some(organization));
    f.audit.write(of("acme", 0)).await.unwrap();
    let acme = TenantScope::Organization("acme".into());
    let mut follow = f.audit.follow(acme, AuditFilter::default(), 10).await.unwrap();
    for n in 1..600 {
        f.audit.note(of("acme", n));
        f.audit.note(of("zeta", n));
    }
    for n in 0..600 {
        let entry = follow.next().await.unwrap().unwrap();
        assert_eq!(entry.organization.as_ref().unwrap().id, "acme");
        assert_eq!(entry.object.unwrap().id.unwrap(), format!("n{n}"));
    }
    let foreign = f.audit.list(
        &TenantScope::All,
        AuditFilter { organization: Some("zeta".into()), ..AuditFilter::default() },
        None,
        1,
        true,
    );
    let foreign = foreign.await.unwrap().entries[0].seq;
    assert_eq!(f.audit.show(&TenantScope::Organization("acme".into()), foreign).await.unwrap(), None);
    assert!(f.audit.show(&TenantScope::All, foreign).await.unwrap().is_some());
    f.close().await;
}

async fn exported(
    audit: &Audit,
    reach: TenantScope,
    filter: AuditFilter,
    format: ExportFormat,
) -> (Vec<u8>, ExportSignature) {
    let record = Entry::new(Action::Export);
    let mut steps = std::pin::pin!(audit.export(record, reach, filter, format).await.unwrap());
    let mut bytes = Vec::new();
    while let Some(step) = steps.next().await {
        match step.unwrap() {
            Event::AuditBytes(more) => bytes.extend(more),
            Event::AuditSigned(signature) => {
                assert!(steps.next().await.is_none());
                return (bytes, *signature);
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("no signature");
}

#[tokio::test]
async fn an_export_has_what_was_noted_before_it_and_not_itself() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    for n in 0..20 {
        f.audit.note(created(n));
        let (bytes, _) =
            exported(&f.audit, TenantScope::All, AuditFilter::default(), ExportFormat::Jsonl).await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.lines().last().unwrap().contains(r#""action":"create""#), "{text}");
        assert_eq!(text.matches(r#""action":"export""#).count(), n);
    }
    f.close().await;
}

#[tokio::test]
async fn exports_are_signed_and_hold_what_is_within_reach() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    for n in 0..1300 {
        let entry =
            created(n).organization(n.is_multiple_of(2).then_some("acme")).detail("text", "=cmd()\u{202e}");
        f.audit.note(entry);
    }
    f.audit.checkpoint().await.unwrap();
    let all = AuditFilter::default();
    let (bytes, signature) = exported(&f.audit, TenantScope::All, all.clone(), ExportFormat::Jsonl).await;
    assert!(signature.is_signed());
    assert_eq!(signature.sha256.0[..], Sha256::digest(&bytes)[..]);
    assert_eq!(signature.bytes, bytes.len() as u64);
    assert_eq!(
        (signature.entries, signature.first, signature.last, signature.complete),
        (1301, 1, 1301, true)
    );
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains('\u{202e}'));
    let mut chain = aivonx_protocol::audit::Chain::from_start(f.store.settings().daemon_id(), 1);
    for line in text.lines() {
        let entry: AuditEntry = serde_json::from_str(line).unwrap();
        chain.entry(entry.seq, Ok(&entry));
    }
    chain.end(1301);
    assert_eq!(chain.found(), None);

    let acme = TenantScope::Organization("acme".into());
    let (bytes, signature) = exported(&f.audit, acme, all, ExportFormat::Csv).await;
    assert_eq!((signature.entries, signature.complete), (650, false));
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 651);
    assert!(text.lines().skip(1).all(|line| line.contains(",acme,") && !line.contains('\u{202e}')));
    let none = AuditFilter { actor: Some("nobody".into()), ..AuditFilter::default() };
    let (bytes, signature) = exported(&f.audit, TenantScope::All, none, ExportFormat::Jsonl).await;
    assert_eq!((bytes.len(), signature.entries, &*signature.filter), (0, 0, "actor=nobody"));
    f.close().await;
}

#[tokio::test]
async fn entries_say_the_slug_of_their_organization() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.audit.name_organizations(|id| (id == "o-1").then(|| "acme".to_owned()));
    f.audit.write(created(1).organization(Some("o-1"))).await.unwrap();
    f.audit.write(created(2).organization(Some("o-2"))).await.unwrap();
    let acme = AuditFilter { organization: Some("acme".into()), ..AuditFilter::default() };
    let page = f.audit.list(&TenantScope::All, acme, None, 10, false).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].organization.as_ref().unwrap().id, "o-1");
    f.close().await;
}

#[tokio::test]
async fn nothing_secret_is_on_the_disk_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    let entry = created(1)
        .detail("password", "marked-s3cret")
        .detail("note", "Authorization: Bearer marked-s3cret")
        .object("node", None, Some("http://u:marked-s3cret@h/"));
    f.audit.write(entry).await.unwrap();
    let seed = f.audit.shared().unwrap().signer.seed();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, seed);
    f.close().await;
    let mut files = vec![dir.path().to_owned()];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        seen += bytes.len();
        for secret in ["marked-s3cret", &text] {
            assert!(
                !bytes.windows(secret.len()).any(|w| w == secret.as_bytes()),
                "{secret} in {}",
                path.display()
            );
        }
        assert!(!bytes.windows(32).any(|w| w == seed), "{}", path.display());
    }
    assert!(seen > 1000);
}

#[tokio::test]
async fn a_closed_log_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.audit.note(created(1));
    f.audit.close().await;
    assert!(matches!(f.audit.write(created(2)).await, Err(AuditError::Closed)));
    f.audit.note(created(3));
    let page = f.audit.list(&TenantScope::All, AuditFilter::default(), None, 10, false).await.unwrap();
    assert_eq!(page.entries.len(), 2, "what was noted before is there");
    f.store.close().await.unwrap();
}

/// What was done keeps its entry, and is not done while nobody could account for it.
#[tokio::test]
async fn entries_that_cannot_be_stored_are_stored_as_soon_as_they_can() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(3).await;
    let log = f.store.audit_log();
    log.tamper_refuse(true).await;
    assert!(matches!(f.audit.write(created(3)).await, Err(AuditError::NotStored(_))));
    for n in 4..700 {
        f.audit.note(created(n));
    }
    // The log is tried now and then; until the next entry fails it is taken for sound.
    loop {
        match f.store.settings().set_strategy(aivonx_protocol::strategy::Strategy::default()).await {
            Err(StoreError::Unrecorded { .. }) => break,
            other => other.unwrap(),
        }
        f.audit.write(created(700)).await.unwrap_err();
    }
    log.tamper_refuse(false).await;
    while f.audit.health().pending > 0 || f.store.trouble().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    f.store.settings().set_strategy(aivonx_protocol::strategy::Strategy::default()).await.unwrap();
    f.audit.write(created(701)).await.unwrap();
    let created = AuditFilter { actions: vec![Action::Create], ..AuditFilter::default() };
    let entries = f.audit.list(&TenantScope::All, created, None, 1000, false).await.unwrap().entries;
    assert!(entries.len() >= 701, "{}", entries.len());
    let overflow = AuditFilter { actions: vec![Action::AuditOverflow], ..AuditFilter::default() };
    assert!(f.audit.list(&TenantScope::All, overflow, None, 1, false).await.unwrap().entries.is_empty());
    f.close().await;
    let f = open(dir.path()).await;
    assert!(f.verify().await.intact);
    f.close().await;
}

/// Whatever ends the daemon meanwhile, the next start says how many there were.
#[tokio::test]
async fn entries_that_were_never_stored_are_missed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.store.audit_log().tamper_refuse(true).await;
    for n in 0..3 {
        assert!(matches!(f.audit.write(created(n)).await, Err(AuditError::NotStored(_))));
    }
    // As a kill would: nobody closes the log.
    f.store.close().await.unwrap();
    drop(f);
    let f = open(dir.path()).await;
    let wanted = "audit log: 3 entries could not be written before aivonxd ended";
    let told: Vec<String> = f.store.ledger_losses().iter().map(ToString::to_string).collect();
    assert_eq!(told, [wanted]);
    let lost = AuditFilter { actions: vec![Action::ChainLost], ..AuditFilter::default() };
    let page = f.audit.list(&TenantScope::All, lost, None, 10, false).await.unwrap();
    assert_eq!(page.entries[0].details["lost"], wanted);
    f.close().await;
}

/// A bounded queue: what finds no room is counted, and that is written down.
#[tokio::test]
async fn what_finds_no_room_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    // One thread: the writer gets no turn while these are given.
    for n in 0..QUEUE + 300 {
        f.audit.note(created(n));
    }
    f.audit.close().await;
    let overflow = AuditFilter { actions: vec![Action::AuditOverflow], ..AuditFilter::default() };
    let page = f.audit.list(&TenantScope::All, overflow, None, 10, false).await.unwrap();
    assert_eq!(page.entries[0].details["n_create"], "300");
    f.store.close().await.unwrap();
}

#[test]
fn security_actions_are_in_the_table_of_events() {
    let docs = include_str!("../../../../telemetry/src/lib.rs");
    for action in Action::ALL.iter().filter(|action| action.is_security()) {
        assert!(docs.contains(&format!("`{action}`")), "{action}");
    }
}

#[test]
fn a_handle_is_cheap_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Audit>();
    assert_eq!(size_of::<Audit>(), size_of::<Arc<()>>());
}
