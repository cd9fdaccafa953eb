//! Every verb against a scripted server.

use std::{collections::BTreeSet, fs, path::Path};

use super::server::{Does, Fake, run, sample};
use aivonx_protocol::{
    Event, Fault, FaultKind, Reply, Request,
    model::{ModelRemoved, ModelRequest},
    node::{self, AdminState, Credential, Node, NodeRequest},
};

/// Line, and the requests it makes.
const VERBS: &[(&str, &[&str])] = &[
    ("", &["daemon.status", "snapshot.newest", "backup.newest"]),
    ("status", &["daemon.status", "snapshot.newest", "backup.newest"]),
    ("pulse --since 1700000000", &["daemon.pulse", "running.queued"]),
    ("node list", &["node.list"]),
    ("node show gpu1", &["node.show", "strategy.learned", "node.traits", "node.wakes"]),
    ("node add gpu1 http://10.0.0.5:11434", &["node.add"]),
    ("node add gpt https://10.0.0.6 --kind openai --third-party", &["node.add_with"]),
    ("node set gpu1 --models-at-once 3 --no-third-party", &["node.set_traits", "node.show"]),
    ("node probe https://10.0.0.5:11434 --server-name gpu1", &["node.probe"]),
    ("node set gpu1 --wake aa:bb:cc:dd:ee:ff --wake-idle 5m", &["node.set_wake", "node.show"]),
    ("node set gpu1 --max-parallel 3", &["node.set"]),
    ("node set gpu1 --probe", &["node.probe_change"]),
    ("node rename gpu1 gpu2", &["node.rename"]),
    ("node enable gpu1", &["node.set_state"]),
    ("node disable gpu1", &["node.set_state"]),
    ("node drain gpu1", &["node.set_state"]),
    ("node remove gpu1 --yes", &["node.show", "node.remove"]),
    ("node check gpu1", &["node.check"]),
    ("node wake gpu1", &["node.wake"]),
    ("node check", &["node.list", "node.check"]),
    ("model list", &["model.list", "model.placements", "model.drifts"]),
    ("model show m", &["model.show", "model.placements", "model.drifts"]),
    ("model pull m --detach", &["model.pull"]),
    ("model load m --node gpu1 --keep-alive -1 --detach", &["model.load"]),
    ("model unload m --detach", &["model.unload"]),
    ("model remove m --yes", &["model.remove"]),
    ("model copy m mine --node gpu1 --detach", &["model.copy"]),
    ("model create mine --from m --system Hi --parameter num_ctx=4096 --detach", &["model.create"]),
    ("model push mine --insecure --detach", &["model.push"]),
    ("model place m --copies 2 --on zone=b --pin", &["model.place"]),
    ("model place --list", &["model.placements"]),
    ("model place m --remove", &["model.unplace"]),
    ("strategy show", &["strategy.show", "strategy.models"]),
    ("strategy models", &["strategy.models"]),
    ("strategy set round_robin --model embed*", &["strategy.set_model"]),
    ("strategy set lowest_latency", &["strategy.set"]),
    ("explain m --org acme", &["strategy.explain"]),
    ("job list", &["job.list"]),
    ("job show j1", &["job.show"]),
    ("job cancel j1", &["job.cancel"]),
    ("running list", &["running.list", "running.queued"]),
    ("running cancel 0190-request", &["running.cancel"]),
    ("logs", &["log.recent"]),
    ("config show", &["config.show"]),
    ("config reload", &["config.reload"]),
    ("secrets status", &["secrets.status"]),
    ("secrets validate", &["secrets.validate"]),
    ("secrets rotate --peppers --signing --yes --detach", &["secrets.rotate"]),
    ("secrets generate-key", &[]),
    (
        "audit list --actor alice --org acme --action login_failed --object gpu1 --outcome denied",
        &["audit.list", "audit.losses"],
    ),
    ("audit list --address 192.0.2.0/24", &["audit.list_from", "audit.losses"]),
    ("audit show 7", &["audit.show"]),
    ("audit verify", &["audit.walk"]),
    ("audit key", &["audit.keys"]),
    ("audit checkpoint", &["audit.checkpoint"]),
    ("usage show --org acme --by model --per day --since 7d", &["usage.report", "usage.losses"]),
    ("usage top --of user --by remaining -n 5", &["usage.top", "usage.losses"]),
    ("usage show --address 192.0.2.7", &["usage.report_from", "usage.losses"]),
    ("usage top --address 2001:db8::/32", &["usage.top_from", "usage.losses"]),
    ("usage export --user alice --address 192.0.2.0/24", &["usage.export_from", "usage.losses"]),
    ("whoami", &["account.whoami"]),
    ("logout", &[]),
    ("org list", &["organization.list", "organization.networks", "organization.hidden_usage"]),
    ("org show acme", &["organization.show", "organization.networks", "organization.hidden_usage"]),
    ("org add acme --require-totp --nodes zone=b", &["organization.add"]),
    (
        "org add acme --node-networks 10.0.0.0/8,::1",
        &["organization.add_with_networks", "organization.networks"],
    ),
    ("org set acme --disable", &["organization.networks", "organization.hidden_usage", "organization.set"]),
    (
        "org set acme --no-node-networks",
        &["organization.set_networks", "organization.hidden_usage", "organization.show"],
    ),
    ("org set acme --hide-usage", &["organization.networks", "organization.hide_usage", "organization.show"]),
    ("org remove acme --with-contents --yes", &["organization.show", "organization.remove"]),
    ("user list --org acme --role member", &["user.list"]),
    ("user show alice", &["user.show"]),
    ("user add alice --org acme", &["user.add"]),
    ("user set alice --role operator", &["user.set"]),
    ("user enable alice", &["user.set_enabled"]),
    ("user disable alice", &["user.set_enabled"]),
    ("user remove alice --yes", &["user.show", "user.remove"]),
    ("user reset-password alice --yes", &["user.reset_password"]),
    ("user reset-totp alice --yes", &["user.reset_totp"]),
    ("user sessions alice", &["user.sessions"]),
    ("user logout alice", &["user.logout"]),
    (
        "key list --org acme --user alice --all",
        &["key.list", "key.queueing", "key.certificates", "key.disabled"],
    ),
    ("key show ci --org acme", &["key.show", "key.queueing", "key.certificates", "key.disabled"]),
    ("key create ci --org acme --scope infer --expires 90d", &["key.create", "daemon.status"]),
    ("key create ci --certificate ci.example", &["key.create_with_certificate", "daemon.status"]),
    ("key create ci --priority low", &["key.create", "key.set_queueing", "daemon.status"]),
    ("key set ci --org acme --all-models", &["key.set", "key.queueing", "key.certificates", "key.disabled"]),
    (
        "key set ci --priority high --no-keep-waiting",
        &["key.set_queueing", "key.show", "key.queueing", "key.certificates", "key.disabled"],
    ),
    (
        "key set ci --certificate ci.example",
        &["key.set_certificate", "key.show", "key.queueing", "key.certificates", "key.disabled"],
    ),
    ("key rotate ci --grace 1h", &["key.rotate", "daemon.status"]),
    ("key revoke ci --org acme --yes", &["key.revoke"]),
    ("token create backup --role auditor --lasts 30d", &["token.create"]),
    ("token list", &["token.list"]),
    ("token revoke backup --yes", &["token.revoke"]),
    ("limit show --key ci --org acme", &["limit.show", "limit.unpriced"]),
    ("limit set --org acme inference.day=3 user.spend.day=2.50", &["limit.set", "limit.unpriced"]),
    ("limit unset --user alice --all", &["limit.unset", "limit.unpriced"]),
    ("limit profile list", &["limit.profiles"]),
    ("limit profile show standard", &["limit.profiles"]),
    ("limit profile set team --reset", &["limit.set_profile", "limit.unpriced"]),
    ("limit profile apply team --org acme", &["limit.set_profile", "limit.unpriced"]),
    ("model policy list --org acme", &["policy.list", "policy.access"]),
    ("model policy show llama3*", &["policy.list", "policy.access"]),
    ("model policy set llama3* --only-org acme --deny-org lab", &["policy.set_access"]),
    ("model policy set llama3* --org acme --num-ctx 8192 --force-keep-alive -1", &["policy.set"]),
    ("model policy unset llama3*", &["policy.access", "policy.set_access", "policy.remove"]),
    ("model policy unset llama3* --org acme", &["policy.remove"]),
    ("model alias list", &["policy.aliases"]),
    ("model alias set gpt-4o llama3.3:70b llama3.1:8b", &["policy.set_alias"]),
    ("model alias remove gpt-4o --org acme", &["policy.remove_alias"]),
    ("model alias show gpt-4o", &["policy.shares"]),
    ("model alias set gpt-4o llama3.3:70b=90 llama3.1:8b=10", &["policy.set_weighted"]),
    ("price list", &["price.list"]),
    ("price set llama3* 0.15 0.60", &["price.set"]),
    ("price remove llama3*", &["price.remove"]),
    ("privacy show --org acme", &["privacy.show", "privacy.answers"]),
    (
        "privacy set --org acme redact --categories email,card",
        &["privacy.set", "privacy.show", "privacy.answers"],
    ),
    ("privacy pattern list", &["privacy.patterns"]),
    ("privacy pattern add project --words falcon --action refuse", &["privacy.add_pattern"]),
    ("privacy pattern remove project --org acme", &["privacy.remove_pattern"]),
    ("privacy set --org acme --answers redact", &["privacy.set_answers", "privacy.show", "privacy.answers"]),
    ("privacy test", &["privacy.test"]),
    ("route list", &["route.list"]),
    ("block list", &["block.list"]),
    ("block add 192.0.2.0/24 --for 1h --reason spam", &["block.add"]),
    ("block remove alice", &["block.remove"]),
    ("check", &["check.run"]),
    ("check --isolation", &["check.isolation"]),
    (
        "incident contain --key acme/ci --user alice --address 192.0.2.7 --for 1h --reason spam",
        &["incident.contain"],
    ),
    ("incident detect --since 2h", &["incident.detect"]),
    ("incident report --since 2h", &["incident.detect", "block.list", "audit.list"]),
    ("incident reset-2fa --org acme --yes", &["account.whoami", "user.list"]),
    ("key disable ci --org acme", &["key.set_enabled"]),
    ("key enable ci", &["key.set_enabled"]),
    ("lockout list --all", &["lockout.list"]),
    ("lockout clear alice", &["lockout.clear"]),
    ("backup list", &["backup.list"]),
    ("cluster status", &["cluster.members"]),
    ("cluster members", &["cluster.members"]),
    ("cluster fence gw2 --yes", &["cluster.fence"]),
    ("backup create", &["backup.create"]),
    ("backup verify 20231114T221320.000Z.backup", &["backup.verify"]),
    ("snapshot list", &["snapshot.list"]),
    ("snapshot create", &["snapshot.create"]),
];

/// What the samples answer is good news, so that every verb ends well.
fn good(request: &Request) -> Does {
    match sample(request) {
        Does::Replies(Reply::Probe(mut probe)) => {
            probe.healthy = true;
            Does::Replies(Reply::Probe(probe))
        }
        Does::Replies(Reply::Nodes(mut nodes)) => {
            nodes[0].admin_state = AdminState::Enabled;
            Does::Replies(Reply::Nodes(nodes))
        }
        // The last page.
        Does::Replies(Reply::AuditPage(mut page)) => {
            page.next = None;
            Does::Replies(Reply::AuditPage(page))
        }
        Does::Streams(mut events) => {
            for event in &mut events {
                if let Event::AuditVerdict(verdict) = event {
                    (verdict.intact, verdict.found) = (true, None);
                    verdict.anchors_wrong.clear();
                }
            }
            Does::Streams(events)
        }
        Does::Replies(Reply::ModelRemoved(_)) => Does::Replies(Reply::ModelRemoved(ModelRemoved {
            removed: vec!["gpu1".into()],
            failed: Vec::new(),
        })),
        other => other,
    }
}

#[test]
fn every_verb_makes_its_request_and_shows_the_answer() {
    for (line, requests) in VERBS {
        let fake = Fake::start(good);
        let people = fake.run(line);
        let names: Vec<&str> = fake.asked().iter().map(Request::name).collect();
        assert_eq!(&names, requests, "{line}");
        assert_eq!((people.code, people.err.as_str()), (Some(0), ""), "{line}: {people:?}");
        assert!(!people.out.trim().is_empty(), "{line}");
        assert!(!people.out.contains('\u{1b}'), "{line}: no terminal, no escapes: {}", people.out);

        let scripts = fake.run(&format!("{line} --output json"));
        assert_eq!((scripts.code, scripts.err.as_str()), (Some(0), ""), "{line}: {scripts:?}");
        serde_json::from_str::<serde_json::Value>(&scripts.out).unwrap_or_else(|why| panic!("{line}: {why}"));
    }
}

/// Requests that other tests here make: those of streams, accounts and sessions.
const ELSEWHERE: &[&str] = &[
    "job.follow",
    "log.follow",
    "audit.follow",
    "audit.export",
    "audit.follow_from",
    "audit.export_from",
    "usage.watch_from",
    "account.setup",
    "account.login",
    "account.resume",
    "account.logout",
    "account.password",
    "account.redeem",
    "account.totp_begin",
    "account.totp_confirm",
    "account.totp_disable",
    "account.backup_codes",
];

/// Requests that no verb makes, and why that is right.
const NOT_MADE: &[(&str, &str)] = &[
    ("node.watch", "a script asks for the list when it wants it; the console follows"),
    ("audit.verify", "audit.walk does the same and tells how far it is"),
    ("usage.watch", "usage.watch_from does the same and tells addresses"),
    ("usage.export", "usage.export_from does the same and tells addresses"),
    ("backup.export", "backup create --to asks for it, and writes a file"),
    ("account.verify", "opens a locked console; a command is not locked"),
];

#[test]
fn every_request_is_made_by_some_verb_or_for_a_reason_not() {
    let made = VERBS.iter().flat_map(|(_, requests)| *requests).chain(ELSEWHERE);
    let listed: BTreeSet<&str> = made.chain(NOT_MADE.iter().map(|(name, _)| name)).copied().collect();
    let all: BTreeSet<&str> = Request::samples().iter().map(Request::name).collect();
    assert_eq!(listed, all);
}

#[test]
fn node_list_is_an_array_with_the_promised_fields() {
    let ran = Fake::samples().run("node list --output json");
    let nodes: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&ran.out).unwrap();
    let promised = "id name url kind pool admin_state models loaded latency_ms active_requests last_error";
    for field in promised.split(' ') {
        assert!(nodes[0].contains_key(field), "{field}");
    }
}

#[test]
fn a_refusal_is_shown_with_its_option_and_hint() {
    let fake = Fake::start(|_| {
        let fault = Fault::new(FaultKind::Invalid, "9999999 is too many").field("max_parallel");
        Does::Refuses(fault.hint("Give a number from 0 to 65535."))
    });
    let ran = fake.run("node set gpu1 --max-parallel 9999999");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_eq!(ran.err, "aivonx: --max-parallel: 9999999 is too many\nGive a number from 0 to 65535.\n");
}

#[test]
fn faults_lead_to_their_exit_codes() {
    for (kind, code) in [
        (FaultKind::NotPermitted, 4),
        (FaultKind::NotFound, 1),
        (FaultKind::Conflict, 1),
        (FaultKind::Unavailable, 1),
        (FaultKind::Internal, 1),
    ] {
        let fake = Fake::start(move |_| Does::Refuses(Fault::new(kind, "no\u{1b}[2J")));
        let ran = fake.run("node show gpu1");
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{kind:?}: {ran:?}");
        assert!(ran.err.starts_with("aivonx: no\\u{1b}[2J"), "{}", ran.err);
    }
}

#[test]
fn a_daemon_that_leaves_is_not_reachable() {
    let ran = Fake::start(|_| Does::Leaves).run("node list");
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{ran:?}");
    assert!(ran.err.contains("aivonx status"), "{}", ran.err);
}

#[test]
fn what_cannot_be_undone_needs_a_yes() {
    for line in ["node remove gpu1", "model remove m", "model remove m --node gpu1"] {
        let fake = Fake::samples();
        let ran = fake.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{line}: {ran:?}");
        assert!(ran.err.contains("--yes"), "{}", ran.err);
        let changed = |request: &Request| {
            matches!(request, Request::Node(NodeRequest::Remove(_)))
                || matches!(request, Request::Model(ModelRequest::Remove(_)))
        };
        assert!(!fake.asked().iter().any(changed), "{line}");
    }
}

#[test]
fn a_removal_that_a_node_refuses_fails_with_its_reason() {
    let fake = Fake::start(|_| {
        Does::Replies(Reply::ModelRemoved(ModelRemoved {
            removed: vec!["gpu1".into()],
            failed: vec![("gpu2".into(), "disk is read-only".into())],
        }))
    });
    let ran = fake.run("model remove m --yes");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.out, "Removed m from gpu1.\n");
    assert_eq!(ran.err, "aivonx: gpu2 did not remove m: disk is read-only\n");
}

fn added(fake: &Fake) -> Credential {
    match fake.asked().pop() {
        Some(Request::Node(NodeRequest::Add(node::Add(new)))) => new.credential,
        other => panic!("{other:?}"),
    }
}

#[test]
fn secrets_are_read_by_the_caller_and_never_shown() {
    const SECRET: &str = "s3cr3t-t0ken";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let file = file.display();
    let chain = dir.path().join("chain");
    fs::write(&chain, "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n").unwrap();
    let chain = chain.display();
    for (options, stdin) in [
        (format!("--client-cert {chain} --client-key {file}"), ""),
        ("--bearer-file -".to_owned(), "s3cr3t-t0ken\n"),
        (format!("--bearer-file {file}"), ""),
        (format!("--basic-user ann --basic-password-file {file}"), ""),
        (format!("--header X-Api-Key --header-value-file {file}"), ""),
    ] {
        let fake = Fake::samples();
        let ran = run(fake.command(&format!("node add gpu1 http://x {options}")), stdin);
        assert_eq!(ran.code, Some(0), "{options}: {ran:?}");
        assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "{options}: {ran:?}");
        let secret = match added(&fake) {
            Credential::Bearer(secret)
            | Credential::Basic { password: secret, .. }
            | Credential::Header { value: secret, .. }
            | Credential::Certificate { key_pem: secret, .. } => secret,
            Credential::None => panic!("{options}: no credential"),
        };
        assert_eq!(secret.expose(), SECRET, "{options}");
    }
    let ran = run(Fake::samples().command("node add gpu1 http://x --bearer-file -"), "\n");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("--bearer-file standard input: is empty"), "{}", ran.err);
}

fn node(running: u32, state: AdminState) -> Node {
    let sample = Reply::samples().into_iter().find_map(|reply| match reply {
        Reply::Node(node) => Some(*node),
        _ => None,
    });
    Node { active_requests: running, admin_state: state, name: "gpu1".into(), ..sample.unwrap() }
}

#[test]
fn drain_waits_for_the_last_request() {
    let mut left = 3;
    let fake = Fake::start(move |_| {
        left -= 1;
        Does::Replies(Reply::Node(Box::new(node(left, AdminState::Draining))))
    });
    let ran = fake.run("node drain gpu1 --wait");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(
        ran.out,
        "gpu1: 2 requests at work\ngpu1: 1 request at work\ngpu1 takes nothing new; nothing is at work on it.\n"
    );
}

#[test]
fn drain_gives_up_when_told_or_when_others_interfere() {
    let fake = Fake::start(|_| Does::Replies(Reply::Node(Box::new(node(2, AdminState::Draining)))));
    let ran = fake.run("node drain gpu1 --wait --timeout 0s");
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("2 requests still at work") && ran.err.contains("goes on draining"),
        "{}",
        ran.err
    );

    let mut state = AdminState::Draining;
    let fake = Fake::start(move |_| {
        let now = std::mem::replace(&mut state, AdminState::Enabled);
        Does::Replies(Reply::Node(Box::new(node(2, now))))
    });
    let ran = fake.run("node drain gpu1 --wait");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("by someone else"), "{}", ran.err);
}

#[test]
fn a_sick_node_makes_check_fail() {
    let fake = Fake::start(|request| match sample(request) {
        Does::Replies(Reply::Probe(mut probe)) => {
            probe.healthy = false;
            probe.finding = "connection refused".into();
            probe.node.name = "gpu1".into();
            Does::Replies(Reply::Probe(probe))
        }
        other => other,
    });
    let ran = fake.run("node check gpu1");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "gpu1: FAILED: connection refused\n"));
    // Added all the same: that is what was asked for.
    let ran = fake.run("node add gpu1 http://x --kind ollama --force");
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("aivonx node check gpu1"), "{}", ran.out);
}

#[test]
fn tables_fit_eighty_columns() {
    let fake = Fake::start(|request| match sample(request) {
        Does::Replies(Reply::Nodes(_)) => {
            let long = |at: u32| Node {
                name: format!("gpu-in-a-far-away-rack-{at}"),
                url: format!("https://gpu{at}.machines.example.org:8443/some/team/prefix"),
                last_error: Some(
                    "certificate verify failed: unable to get local issuer certificate (20)".into(),
                ),
                ..node(at, AdminState::Enabled)
            };
            Does::Replies(Reply::Nodes(vec![long(1), long(20)]))
        }
        other => other,
    });
    for line in ["node list", "model list", "job list", "config show", "status"] {
        let ran = fake.run(line);
        for row in ran.out.lines() {
            assert!(row.chars().count() <= 80, "{line}: {row}");
        }
    }
    insta::assert_snapshot!(fake.run("node list").out);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let fake = Fake::samples();
    let mut command = fake.command("node list");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let ran = run(command, "");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    if Path::new("/dev/full").exists() {
        let mut command = fake.command("node list");
        command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let ran = run(command, "");
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains("standard output"), "{ran:?}");
    }
}
