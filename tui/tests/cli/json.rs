//! `man/aivonx-json.md` and the nouns' own documentation, which make the page, name exactly the fields that are printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use aivonx_protocol::{Event, Reply, key::Priority, limit::Unpriced, privacy::AnswerMode};
use aivonx_tui::{
    audit_copy::Exported,
    cli::{
        account::{login::LoggedOut, totp},
        audit::offline::Proof,
        backup::KeyPair,
        cluster,
        connect::Forwarding,
        key::{self, created},
        limit,
        lockout::Cleared,
        logs::Missed,
        model::Described as DescribedModel,
        organization, policy, privacy, pulse,
        running::Described,
        secrets::Generated,
        status, token,
        usage::Flat,
        user::sessions::Ended,
    },
    incident_report::Report,
};
use serde_json::Value;

/// What the page is made of.
fn page() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let nouns = std::fs::read_dir(here.join("src/nouns")).unwrap().map(|file| file.unwrap().path());
    let nouns = nouns.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap());
    let lines = nouns.collect::<String>();
    let lines = lines.lines().filter_map(|line| line.strip_prefix("//! ")).map(|line| format!("{line}\n"));
    std::fs::read_to_string(here.join("../man/aivonx-json.md")).unwrap() + &lines.collect::<String>()
}

/// Section -> fields, as documented: what stands in backticks in the first cell of each row.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = None;
    for line in page().lines() {
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

/// What is made with a secret prints as what it is, and the secret.
fn secret_and(what: &str, made: Value, plain: Value) {
    let mut expected = keys(&plain);
    expected.insert("secret".to_owned());
    assert_eq!(keys(&made), expected, "{what}");
}

#[test]
fn the_page_names_every_field_and_no_other() {
    let mut printed: BTreeMap<&str, Value> = BTreeMap::new();
    for reply in Reply::samples() {
        match reply {
            Reply::Done(()) | Reply::Strategy(_) => {}
            Reply::Status(status) => {
                let shown = status::Shown { status: *status, newest_snapshot: None, newest_backup: None };
                printed.insert("status", json(shown));
            }
            Reply::NewestSnapshot(newest) => drop(printed.insert("newest snapshot", json(newest))),
            Reply::SnapshotTaken(taken) => {
                printed.insert("snapshot contents", json(&taken.snapshot.contents[0]));
                printed.insert("snapshot", json(taken.snapshot));
            }
            Reply::Member(member) => drop(printed.insert("member", json(member))),
            Reply::Members(members) => {
                printed.insert("member", json(&members[0]));
                printed.insert("cluster", json(cluster::Shown { serving: 1, members }));
            }
            Reply::Backups(all) => drop(printed.insert("backup", json(&all[0]))),
            Reply::BackupMade(made) => drop(printed.insert("backup", json(made))),
            // Printed with the status.
            Reply::NewestBackup(_) => {}
            // Printed on standard error.
            Reply::Losses(_) => {}
            Reply::Snapshots(all) => drop(printed.insert("snapshot", json(&all[0]))),
            Reply::Block(block) => drop(printed.insert("block", json(block))),
            Reply::Blocks(all) => drop(printed.insert("block", json(&all[0]))),
            // Printed with the node.
            Reply::NodeWakes(_) => {}
            Reply::ModelStrategies(all) => drop(printed.insert("model strategy", json(&all[0]))),
            Reply::Routes(all) => drop(printed.insert("route", json(&all[0]))),
            Reply::Pulse(pulse) => {
                printed.insert("pulse second", json(&pulse.seconds[0]));
                printed.insert("pulse minute", json(&pulse.minute));
                printed.insert("busy", json(&pulse.models[0]));
                printed.insert("budget", json(&pulse.budgets[0]));
                printed.insert("alert", json(&pulse.alerts[0]));
                printed.insert("pulse", json(pulse::Shown { pulse: *pulse, waiting: 0 }));
            }
            Reply::Node(node) => drop(printed.insert("node", json(node))),
            Reply::Nodes(nodes) => drop(printed.insert("node", json(&nodes[0]))),
            Reply::Probe(probe) => drop(printed.insert("probe", json(probe))),
            Reply::Probed(probed) => drop(printed.insert("probed", json(probed))),
            Reply::Model(model) => {
                printed.insert("place", json(&model.nodes[0]));
                printed.insert("model", json(DescribedModel::new(&model, &[])));
            }
            Reply::Models(models) => {
                drop(printed.insert("model", json(DescribedModel::new(&models[0], &[]))));
            }
            Reply::Drifts(drifts) => drop(printed.insert("weights", json(&drifts[0].nodes[0]))),
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
            Reply::Running(running) => {
                let described = Described { request: &running[0], position: None, expected_ms: None };
                printed.insert("running request", json(described));
            }
            // Printed with those that run.
            Reply::Queued(_) => {}
            Reply::Explained(explained) => {
                printed.insert("cost", json(explained.nodes[0].cost));
                printed.insert("considered", json(&explained.nodes[0]));
                printed.insert("explained", json(explained));
            }
            Reply::Learned(learned) => {
                printed.insert("learned model", json(&learned.models[0]));
                printed.insert("learned", json(learned));
            }
            Reply::Checks(checks) => drop(printed.insert("check", json(&checks[0]))),
            Reply::Identity(identity) => drop(printed.insert("identity", json(identity))),
            Reply::TotpOffer(offer) => {
                let offer = totp::Offer { secret: &offer.secret, uri: &offer.uri };
                printed.insert("offer", json(offer));
            }
            Reply::BackupCodes(codes) => {
                printed.insert("backup codes", json(totp::Codes { backup_codes: &codes }));
            }
            // Printed as parts of each other.
            Reply::Organizations(_) | Reply::NodeNetworks(_) | Reply::HiddenUsage(_) => {}
            Reply::Organization(one) => {
                let described = organization::Described {
                    organization: *one,
                    node_networks: Vec::new(),
                    usage_hidden: false,
                };
                printed.insert("organization", json(described));
            }
            Reply::OrganizationRemoved(removed) => {
                printed.insert("organization removed", json(removed));
            }
            Reply::Users(users) => drop(printed.insert("user", json(&users[0]))),
            Reply::User(user) => drop(printed.insert("user", json(user))),
            Reply::ResetCode(code) => drop(printed.insert("reset code", json(code))),
            Reply::Sessions(sessions) => drop(printed.insert("session", json(&sessions[0]))),
            Reply::SessionsEnded(ended) => drop(printed.insert("sessions ended", json(Ended { ended }))),
            Reply::Keys(keys) => drop(printed.insert("key", json(&keys[0]))),
            Reply::Key(key) => {
                let described = key::described::Described {
                    key: *key,
                    priority: Priority::Normal,
                    keep_waiting: false,
                    certificate: None,
                    enabled: true,
                };
                printed.insert("key", json(described));
            }
            // Printed with the keys.
            Reply::KeyQueueing(_) | Reply::KeyCertificates(_) => {}
            Reply::NewKey(new) => secret_and("key", json(created::Created::from(&*new)), json(&new.key)),
            Reply::NewSession(new) => {
                secret_and("session", json(token::Created::from(&*new)), json(&new.session));
            }
            Reply::Lockouts(lockouts) => drop(printed.insert("lockout", json(&lockouts[0]))),
            Reply::LockoutsCleared(cleared) => {
                printed.insert("lockouts cleared", json(Cleared { cleared }));
            }
            Reply::Limits(limits) => {
                printed.insert("limit", json(&limits.limits[0]));
                let unpriced = Unpriced { models: Vec::new(), all: false };
                let shown = json(limit::Shown::new(&limits, &unpriced));
                printed.insert("unpriced models", shown["unpriced"].clone());
                printed.insert("limits", shown);
            }
            Reply::LimitProfiles(profiles) => {
                printed.insert("limit value", json(profiles[0].limits[0]));
                printed.insert("limit profile", json(&profiles[0]));
            }
            Reply::Prices(prices) => drop(printed.insert("price", json(&prices[0]))),
            Reply::Price(price) => drop(printed.insert("price", json(price))),
            // Printed with for whom the models are.
            Reply::Policies(_) | Reply::ModelAccess(_) => {}
            Reply::DisabledKeys(_) => {}
            Reply::Contained(all) => drop(printed.insert("contained", json(&all[0]))),
            Reply::Findings(all) => drop(printed.insert("finding", json(&all[0]))),
            Reply::Policy(policy) => {
                printed.insert("keep alive", json(&policy.keep_alive));
                printed.insert("context size", json(policy.num_ctx));
                let (only_orgs, deny_orgs) = (vec![], vec![]);
                let policy = policy::Described::Policy { policy: *policy, only_orgs, deny_orgs };
                printed.insert("policy", json(policy));
            }
            Reply::Aliases(aliases) => drop(printed.insert("alias", json(&aliases[0]))),
            Reply::Alias(alias) => drop(printed.insert("alias", json(alias))),
            // Printed with the nodes.
            Reply::NodeTraits(_) => {}
            Reply::Placement(placement) => drop(printed.insert("placement", json(placement))),
            Reply::Placements(all) => drop(printed.insert("placement", json(&all[0]))),
            Reply::AliasShares(shares) => {
                printed.insert("alias share", json(&shares.shares[0]));
                printed.insert("alias shares", json(shares));
            }
            Reply::Privacy(settings) => {
                let shown = privacy::Shown { settings: *settings, answers: AnswerMode::Redact };
                printed.insert("privacy settings", json(shown));
            }
            // Printed with the settings.
            Reply::AnswerPrivacy(_) => {}
            Reply::Pattern(pattern) => drop(printed.insert("pattern", json(pattern))),
            Reply::Patterns(all) => drop(printed.insert("pattern", json(&all[0]))),
            Reply::PrivacyReport(report) => {
                printed.insert("privacy count", json(report.findings[0]));
                printed.insert("privacy report", json(report));
            }
            // Printed with the limits.
            Reply::Unpriced(_) => {}
            // Never printed: the secret goes to the session's file, the identity is printed.
            Reply::LoggedIn(_) => {}
            Reply::AuditPage(page) => drop(printed.insert("audit entry", json(&page.entries[0]))),
            Reply::AuditEntry(entry) => drop(printed.insert("audit entry", json(entry))),
            Reply::AuditVerdict(verdict) => {
                printed.insert("break", json(&verdict.found));
                printed.insert("restart", json(&verdict.restarts[0]));
                printed.insert("wrong anchor", json(&verdict.anchors_wrong[0]));
                printed.insert("audit verdict", json(verdict));
            }
            Reply::Usage(report) => {
                printed.insert("usage row", json(&report.rows[0]));
                printed.insert("usage", json(report));
            }
            Reply::AuditKeys(keys) => drop(printed.insert("audit key", json(&keys[0]))),
            Reply::AuditCheckpoint(checkpoint) => {
                // Printed in the form that is published.
                let line: Value = serde_json::from_str(&checkpoint.line()).unwrap();
                assert_eq!(keys(&line), keys(&json(&checkpoint)));
                printed.insert("checkpoint", line);
            }
        }
    }
    let forwarding = Forwarding { listen: String::new(), to: String::new() };
    printed.insert("forwarding", json(forwarding));
    printed.insert("incident report", json(Report::default()));
    printed.insert("logged out", json(LoggedOut { logged_out: true }));
    for event in Event::samples() {
        match event {
            Event::LogMissed(missed) => drop(printed.insert("missed", json(Missed { missed }))),
            Event::UsageRequests(requests) => {
                drop(printed.insert("usage record", json(Flat::from(&requests[0]))));
            }
            Event::AuditSigned(signed) => {
                let none = PathBuf::new;
                let exported = Exported {
                    file: none(),
                    signature: none(),
                    entries: signed.entries,
                    first: signed.first,
                    last: signed.last,
                    complete: signed.complete,
                    bytes: signed.bytes,
                    sha256: signed.sha256,
                    signer: signed.signer,
                };
                printed.insert("export", json(exported));
                let proof = Proof {
                    intact: true,
                    wrong: Vec::new(),
                    daemon: signed.daemon,
                    signed: signed.time,
                    signer: signed.signer,
                    entries: signed.entries,
                    first: signed.first,
                    last: signed.last,
                    complete: signed.complete,
                    filter: signed.filter,
                };
                printed.insert("proof", json(proof));
            }
            _ => {}
        }
    }
    let pair = KeyPair { file: "private".into(), recipient: String::new() };
    printed.insert("key pair", json(pair));
    printed.insert("generated key", json(Generated { file: None, key: None }));
    let printed: BTreeMap<String, BTreeSet<String>> =
        printed.iter().map(|(section, value)| ((*section).to_owned(), keys(value))).collect();
    assert_eq!(documented(), printed);
}

/// Verbs that print no JSON of their own.
const WITHOUT: &[&str] = &["demo"];

/// The verbs in the table at the begin of the page, whole: `limit profile set`, `apply` is two.
fn listed() -> BTreeSet<String> {
    let page = page();
    let rows = page.lines().take_while(|line| !line.starts_with("## "));
    let mut all = BTreeSet::new();
    for cell in rows.filter_map(|line| line.strip_prefix("| `")?.split(" |").next()) {
        let mut before = String::new();
        for name in cell.split('`').step_by(2) {
            let verb = name.split(" --").next().unwrap_or_default();
            let noun = before.rsplit_once(' ').map(|(noun, _)| noun);
            before = match noun {
                Some(noun) if !verb.contains(' ') => format!("{noun} {verb}"),
                _ => verb.to_owned(),
            };
            all.insert(before.clone());
        }
    }
    all
}

fn verbs(command: &clap::Command, path: &str, all: &mut BTreeSet<String>) {
    let path = format!("{path} {}", command.get_name()).trim_start().to_owned();
    let mut inner = command.get_subcommands().filter(|inner| !inner.is_hide_set()).peekable();
    if inner.peek().is_none() {
        all.insert(path.clone());
    }
    inner.for_each(|inner| verbs(inner, &path, all));
}

#[test]
fn the_table_says_what_every_verb_prints() {
    use clap::CommandFactory as _;
    let mut all = BTreeSet::new();
    aivonx_tui::cli::Cli::command()
        .get_subcommands()
        .filter(|one| !one.is_hide_set())
        .for_each(|one| verbs(one, "", &mut all));
    let listed = listed();
    let missing: Vec<&String> =
        all.iter().filter(|verb| !listed.contains(*verb) && !WITHOUT.contains(&verb.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_node_has_what_scripts_were_promised() {
    let promised = "id name url kind pool admin_state models loaded latency_ms active_requests last_error";
    let documented = documented();
    for field in promised.split(' ') {
        assert!(documented["node"].contains(field), "{field}");
    }
}
