//! `man/aivonx-json.md` names exactly the fields that are printed.

use std::collections::{BTreeMap, BTreeSet};

use aivonx_protocol::{Event, Reply};
use aivonx_tui::cli::{logs::Missed, secrets::Generated};
use serde_json::Value;

const PAGE: &str = include_str!("../../../man/aivonx-json.md");

/// Section -> fields, as documented: what stands in backticks in the first cell of each row.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = None;
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = Some(title.to_owned());
            sections.insert(title.to_owned(), BTreeSet::new());
        } else if let (Some(section), Some(row)) = (&section, line.strip_prefix("| `")) {
            let cell = row.split(" |").next().unwrap().trim_end_matches('`');
            let fields = sections.get_mut(section).unwrap();
            fields.extend(cell.split("`, `").map(str::to_owned));
        }
    }
    sections
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().cloned().collect()
}

fn json<T: serde::Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn the_page_names_every_field_and_no_other() {
    let mut printed: BTreeMap<&str, Value> = BTreeMap::new();
    for reply in Reply::samples() {
        match reply {
            Reply::Done | Reply::Strategy(_) => {}
            Reply::Status(status) => drop(printed.insert("status", json(status))),
            Reply::Node(node) => drop(printed.insert("node", json(node))),
            Reply::Nodes(nodes) => drop(printed.insert("node", json(&nodes[0]))),
            Reply::Probe(probe) => drop(printed.insert("probe", json(probe))),
            Reply::Model(model) => {
                printed.insert("place", json(&model.nodes[0]));
                printed.insert("model", json(model));
            }
            Reply::Models(models) => drop(printed.insert("model", json(&models[0]))),
            Reply::ModelRemoved(removal) => drop(printed.insert("removal", json(removal))),
            Reply::Job(job) => {
                printed.insert("target", json(&job.targets[0]));
                printed.insert("job", json(job));
            }
            Reply::Jobs(jobs) => drop(printed.insert("job", json(&jobs[0]))),
            Reply::Logs(page) => drop(printed.insert("log event", json(&page.events[0]))),
            Reply::Config(settings) => drop(printed.insert("setting", json(&settings[0]))),
            Reply::Reloaded(reload) => drop(printed.insert("reload", json(reload))),
            Reply::Secrets(status) => {
                printed.insert("data key", json(&status.data_keys[0]));
                printed.insert("sealed count", json(&status.sealed[0]));
                printed.insert("own key", json(&status.keys[0]));
                printed.insert("waiting key", json(&status.waiting[0]));
                printed.insert("snapshot keys", json(&status.snapshots[0]));
                printed.insert("secrets", json(status));
            }
            Reply::Checks(checks) => drop(printed.insert("check", json(&checks[0]))),
            // Their rows come with their commands.
            Reply::LoggedIn(_)
            | Reply::Identity(_)
            | Reply::TotpOffer(_)
            | Reply::BackupCodes(_)
            | Reply::Organizations(_)
            | Reply::Organization(_)
            | Reply::OrganizationRemoved(_)
            | Reply::Users(_)
            | Reply::User(_)
            | Reply::ResetCode(_)
            | Reply::Sessions(_)
            | Reply::SessionsEnded(_)
            | Reply::Keys(_)
            | Reply::Key(_)
            | Reply::NewKey(_)
            | Reply::NewSession(_)
            | Reply::Lockouts(_)
            | Reply::LockoutsCleared(_)
            | Reply::AuditPage(_)
            | Reply::AuditEntry(_)
            | Reply::AuditVerdict(_)
            | Reply::AuditKeys(_)
            | Reply::AuditCheckpoint(_) => {}
        }
    }
    for event in Event::samples() {
        if let Event::LogMissed(missed) = event {
            printed.insert("missed", json(Missed { missed }));
        }
    }
    printed.insert("generated key", json(Generated { file: None, key: None }));
    let printed: BTreeMap<String, BTreeSet<String>> =
        printed.iter().map(|(section, value)| ((*section).to_owned(), keys(value))).collect();
    assert_eq!(documented(), printed);
}

#[test]
fn a_node_has_what_scripts_were_promised() {
    let promised = "id name url kind pool admin_state models loaded latency_ms active_requests last_error";
    let documented = documented();
    for field in promised.split(' ') {
        assert!(documented["node"].contains(field), "{field}");
    }
}
