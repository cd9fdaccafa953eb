//! The audit log: asked, followed, verified, written to a file.

use std::path::{Path, PathBuf};

use aivonx_protocol::audit::{self, AuditFilter, AuditRequest, ExportFormat};

use super::*;
use crate::{
    audit_copy::Exported,
    msg::{Export, NoExport},
};

#[test]
fn the_audit_log_is_asked() {
    let mut model = full(80, 24);
    press_all(&mut model, "8 f");
    type_text(&mut model, "sometime");
    press(&mut model, "ctrl-s");
    assert!(shot(&model).contains("not a time"), "{}", shot(&model));
    press(&mut model, "ctrl-u");
    type_text(&mut model, "2h");
    let mut effects = press(&mut model, "ctrl-s");
    assert!(matches!(effects.remove(0), Effect::Drop(_)), "what was asked for before is given up");
    let Request::Audit(AuditRequest::List(audit::List { filter, .. })) = call(&effects).1 else { panic!() };
    assert_eq!(filter.since, Some(model.now - 7_200_000));
    answer_all(&mut model, effects);
    let effects = press(&mut model, "m");
    assert!(matches!(
        call(&effects).1,
        Request::Audit(AuditRequest::List(audit::List { cursor: Some(1), .. }))
    ));
}

/// The stream asked for among these.
fn follow(effects: &[Effect]) -> (u64, &AuditRequest) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Follow { ticket, request: Request::Audit(request) } => Some((*ticket, request)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no stream among {effects:?}"))
}

#[test]
fn a_walk_tells_how_far_it_is_and_can_be_given_up() {
    let mut model = full(80, 24);
    let effects = press_all(&mut model, "8 v");
    let (ticket, request) = follow(&effects);
    assert_eq!(*request, AuditRequest::Walk(audit::Walk { anchors: Vec::new() }));
    assert_eq!(press(&mut model, "v"), [], "once at a time");
    let events = vec![Event::AuditWalked { seq: 20_480, last: 81_920 }];
    update(&mut model, Msg::Events { ticket, events });
    let shown = shot(&model);
    assert!(shown.contains("Verifying the audit log: 25 %, entry 20 480 of 81 920"), "{shown}");
    assert_eq!(press(&mut model, "esc"), [Effect::Drop(ticket)]);
    let effects = press(&mut model, "v");
    let (ticket, _) = follow(&effects);
    let verdict = samples::audit_verdicts()[1].clone();
    update(&mut model, Msg::Events { ticket, events: vec![Event::AuditVerdict(Box::new(verdict))] });
    update(&mut model, Msg::Ended { ticket, result: Ok(()) });
    assert!(shot(&model).contains("NOT intact"), "{}", shot(&model));
    press(&mut model, "esc");
    let effects = press(&mut model, "v");
    let (ticket, _) = follow(&effects);
    let fault = Fault::new(FaultKind::Unavailable, "the store is closing");
    update(&mut model, Msg::Ended { ticket, result: Err(fault) });
    assert!(notice(&model).contains("not verified: the store is closing"), "{}", notice(&model));
    assert!(model.calls.awaited().is_none());
}

#[test]
fn published_checkpoints_are_read_and_compared() {
    let mut model = full(80, 24);
    press_all(&mut model, "8 V");
    type_text(&mut model, "/mnt/worm/anchors");
    let effects = press(&mut model, "enter");
    let [Effect::Anchors { ticket, file }] = &*effects else { panic!("{effects:?}") };
    assert_eq!(file, Path::new("/mnt/worm/anchors"));
    let why = "--anchor /mnt/worm/anchors: No such file or directory".to_owned();
    update(&mut model, Msg::Anchors { ticket: *ticket, result: Err(why) });
    assert!(shot(&model).contains("No such file"), "{}", shot(&model));
    let effects = press(&mut model, "enter");
    let [Effect::Anchors { ticket, .. }] = &*effects else { panic!("{effects:?}") };
    let anchors = vec![samples::checkpoint()];
    let effects = update(&mut model, Msg::Anchors { ticket: *ticket, result: Ok(anchors.clone()) });
    assert_eq!(*follow(&effects).1, AuditRequest::Walk(audit::Walk { anchors }));
    assert!(model.dialogs.is_empty());
}

#[test]
fn new_entries_come_while_that_is_wanted() {
    let mut model = full(80, 24);
    press(&mut model, "8");
    let effects = press(&mut model, "t");
    let (ticket, request) = follow(&effects);
    assert!(matches!(request, AuditRequest::Follow(_)));
    let before = model.audit.list.counts().0;
    let mut entry = samples::audit_entries().remove(0);
    let known = entry.clone();
    entry.seq += 1000;
    let events = [known, entry].map(|entry| Event::Audit(Box::new(entry))).to_vec();
    update(&mut model, Msg::Events { ticket, events });
    assert_eq!(model.audit.list.counts().0, before + 1, "what is there is not there twice");
    assert!(press(&mut model, "1").contains(&Effect::Drop(ticket)));
    let effects = press(&mut model, "8");
    let (ticket, _) = follow(&effects);
    assert_eq!(press(&mut model, "t"), [Effect::Drop(ticket)]);
}

fn export(effects: &[Effect]) -> (u64, &Export) {
    let [Effect::Export { ticket, export }] = effects else { panic!("{effects:?}") };
    (*ticket, export)
}

#[test]
fn a_copy_is_written_and_replaces_nothing_unasked() {
    let mut model = full(80, 24);
    press_all(&mut model, "8 x");
    press(&mut model, "ctrl-u");
    type_text(&mut model, "/tmp/copy.csv");
    press_all(&mut model, "enter right tab tab tab");
    type_text(&mut model, "alice");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, wanted) = export(&effects);
    let filter = AuditFilter { actor: Some("alice".into()), ..AuditFilter::default() };
    let request = audit::Export { filter, format: ExportFormat::Csv };
    let expected = Export { request, file: "/tmp/copy.csv".into(), replace: false };
    assert_eq!(*wanted, expected);
    update(&mut model, Msg::Exporting { ticket, written: 2_500_000 });
    assert!(shot(&model).contains("2.5 MB written"), "{}", shot(&model));
    // What is there is asked about, whether it is the copy or its signature.
    let path = PathBuf::from("/tmp/copy.csv.sig");
    let result = Err(NoExport::There { path, export: Box::new(wanted.clone()) });
    update(&mut model, Msg::Exported { ticket, result });
    assert!(shot(&model).contains("Replace /tmp/copy.csv.sig?"), "{}", shot(&model));
    let effects = press(&mut model, "y");
    let (ticket, wanted) = export(&effects);
    assert_eq!(*wanted, Export { replace: true, ..expected });
    let (_, signed) = samples::audit_export(3, true);
    let exported = Exported::new(wanted.file.clone(), &signed);
    update(&mut model, Msg::Exported { ticket, result: Ok(exported) });
    assert!(shot(&model).contains("--file /tmp/copy.csv --public-key"), "{}", shot(&model));
    // The form shows that the disk is full.
    press_all(&mut model, "esc x");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, wanted) = export(&effects);
    assert_eq!(wanted.file, Path::new("audit-2026-11-22.jsonl"));
    let result = Err(NoExport::Failed("audit-2026-11-22.jsonl: No space left on device".into()));
    update(&mut model, Msg::Exported { ticket, result });
    assert!(shot(&model).contains("No space left"), "{}", shot(&model));
    // Given up, it says nothing any more.
    let effects = press(&mut model, "ctrl-s");
    let (ticket, _) = export(&effects);
    assert_eq!(press(&mut model, "esc"), [Effect::Drop(ticket)]);
    press(&mut model, "esc");
    update(&mut model, Msg::Exported { ticket, result: Err(NoExport::Failed("x".into())) });
    assert!(model.dialogs.is_empty());
    let mut model = full_as(80, 24, Role::Operator);
    press_all(&mut model, "8 x");
    assert!(model.dialogs.is_empty() && notice(&model).contains("auditor"), "{}", notice(&model));
}

#[test]
fn keys_and_checkpoints_are_shown() {
    let mut model = full(80, 24);
    let effects = press_all(&mut model, "8 p");
    answer_all(&mut model, effects);
    assert!(shot(&model).contains("signs now"), "{}", shot(&model));
    press(&mut model, "esc");
    let effects = press(&mut model, "c");
    answer_all(&mut model, effects);
    assert!(shot(&model).contains("Signed: the audit log up to entry"), "{}", shot(&model));
    let [Effect::Copy(line)] = &*press(&mut model, "c") else { panic!() };
    assert!(line.expose().contains("signature"), "{}", line.expose());
}
