use std::{collections::BTreeSet, process::Command};

use crate::messages::MESSAGES;

const CATALOG: &str = include_str!("../../../../packaging/journald/aivonx.catalog");

#[test]
fn ids_are_ids_and_none_is_used_twice() {
    let ids: BTreeSet<_> = MESSAGES.iter().map(|message| message.id).collect();
    let events: BTreeSet<_> = MESSAGES.iter().map(|message| message.event).collect();
    assert_eq!((ids.len(), events.len()), (MESSAGES.len(), MESSAGES.len()));
    for message in MESSAGES {
        let hex = message.id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        assert!(hex && message.id.len() == 32, "{message:?}");
        let row = format!("`{}`", message.event);
        assert!(include_str!("../lib.rs").contains(&row), "{} is no event", message.event);
    }
}

/// Blocks of the catalog: event, id, subject, explanation.
fn blocks() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    let blocks = CATALOG.split("\n# ").skip(1).filter(|block| block.contains("\n-- "));
    blocks
        .map(|block| {
            let (event, rest) = block.split_once("\n-- ").unwrap();
            let (id, rest) = rest.split_once("\nSubject: ").unwrap();
            let (subject, rest) = rest.split_once("\nDefined-By: aivonxd\n").unwrap();
            (event, id, subject, rest.split_once("\n\n").unwrap().1)
        })
        .collect()
}

#[test]
fn the_catalog_explains_every_message_and_no_other() {
    let blocks = blocks();
    let explained: Vec<_> = blocks.iter().map(|(event, id, subject, _)| (*event, *id, *subject)).collect();
    let known: Vec<_> = MESSAGES.iter().map(|message| (message.event, message.id, message.title)).collect();
    assert_eq!(explained, known, "packaging/journald/aivonx.catalog and telemetry/messages.rs differ");
    for (event, _, _, text) in blocks {
        assert!(text.trim().lines().count() >= 2, "{event} is not explained");
        for field in text.split('@').skip(1).step_by(2) {
            let own = ["AIVONX_OTHER", "MESSAGE"].contains(&field);
            let documented =
                super::super::FIELDS.iter().any(|known| format!("AIVONX_{}", known.to_uppercase()) == field);
            assert!(own || documented, "{event}: there is no field {field}");
        }
    }
}

#[test]
fn journalctl_takes_the_catalog() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("usr/lib/systemd/catalog");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).unwrap();
    std::fs::write(place.join("aivonx.catalog"), CATALOG).unwrap();
    let journalctl = |arguments: &[&str]| {
        Command::new("journalctl").arg(format!("--root={}", root.path().display())).args(arguments).output()
    };
    let Ok(compiled) = journalctl(&["--update-catalog"]) else {
        eprintln!("SKIPPED: needs journalctl");
        return;
    };
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success() && said.trim().is_empty(), "{said}");
    let list = journalctl(&["--list-catalog", "--no-pager"]).unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for message in MESSAGES {
        assert!(list.contains(&format!("{} aivonxd: {}", message.id, message.title)), "{list}");
    }
}
