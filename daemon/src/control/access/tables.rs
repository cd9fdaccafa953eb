//! The table of who may do what, spelled out a second time, and the rule of who has to log in.

use aivonx_identity::Owed;
use aivonx_protocol::{FaultKind, handshake::Login, user::Role};

use super::*;

/// Who may ask each request. `S O A G M` are the fleet's superadmin, operator, auditor, org-admin and member;
/// `s o a g m` are the same bound to an organization. There is no fleet's org-admin and no organization's
/// superadmin: were there one, it could do no more than manage its own account.
const TABLE: &[(&str, &str)] = &[
    ("daemon.status", "SOAGMsoagm"),
    ("daemon.pulse", "SOAoag"),
    ("node.list", "SOAoag"),
    ("node.show", "SOAoag"),
    ("node.watch", "SOAoag"),
    ("node.add", "SOo"),
    ("node.set", "SOo"),
    ("node.set_state", "SOo"),
    ("node.remove", "SOo"),
    ("node.check", "SOo"),
    ("node.probe", "SOo"),
    ("node.probe_change", "SOo"),
    ("model.list", "SOAMoagm"),
    ("model.show", "SOAMoagm"),
    ("model.pull", "SOo"),
    ("model.remove", "SOo"),
    ("model.load", "SOo"),
    ("model.unload", "SOo"),
    ("strategy.show", "SOAoag"),
    ("strategy.set", "SO"),
    ("job.list", "SOAoag"),
    ("job.show", "SOAoag"),
    ("job.follow", "SOAoag"),
    ("job.cancel", "SOo"),
    ("log.recent", "SOAoag"),
    ("log.follow", "SOAoag"),
    ("config.show", "SOA"),
    ("config.reload", "S"),
    ("account.setup", ""),
    ("account.login", "SOAGMsoagm"),
    ("account.resume", "SOAGMsoagm"),
    ("account.logout", "SOAGMsoagm"),
    ("account.whoami", "SOAGMsoagm"),
    ("account.password", "SOAGMsoagm"),
    ("account.totp_begin", "SOAGMsoagm"),
    ("account.totp_confirm", "SOAGMsoagm"),
    ("account.totp_disable", "SOAGMsoagm"),
    ("account.backup_codes", "SOAGMsoagm"),
    ("account.verify", "SOAGMsoagm"),
    ("account.redeem", "SOAGMsoagm"),
    ("token.create", "SOAGMsoagm"),
    ("token.list", "SOAGMsoagm"),
    ("token.revoke", "SOAGMsoagm"),
    ("organization.list", "SOAoag"),
    ("organization.show", "SOAoag"),
    ("organization.add", "S"),
    ("organization.set", "Sg"),
    ("organization.remove", "S"),
    ("organization.networks", "SOAoag"),
    ("organization.set_networks", "S"),
    ("user.list", "SAag"),
    ("user.show", "SAag"),
    ("user.add", "Sg"),
    ("user.set", "Sg"),
    ("user.set_enabled", "Sg"),
    ("user.remove", "Sg"),
    ("user.reset_password", "Sg"),
    ("user.reset_totp", "Sg"),
    ("user.sessions", "SAag"),
    ("user.logout", "Sg"),
    ("key.list", "SAMagm"),
    ("key.show", "SAMagm"),
    ("key.create", "SMgm"),
    ("key.set", "SMgm"),
    ("key.rotate", "SMgm"),
    ("key.revoke", "SMgm"),
    ("lockout.list", "SAag"),
    ("lockout.clear", "Sg"),
    ("audit.list", "SAa"),
    ("audit.list_from", "SAa"),
    ("audit.show", "SAa"),
    ("audit.follow", "SAa"),
    ("audit.follow_from", "SAa"),
    ("audit.keys", "SAa"),
    ("audit.losses", "SAa"),
    ("audit.export", "SAa"),
    ("audit.export_from", "SAa"),
    ("audit.verify", "SA"),
    ("audit.walk", "SA"),
    ("audit.checkpoint", "SA"),
    ("secrets.status", "SA"),
    ("secrets.validate", "SA"),
    ("secrets.rotate", "S"),
    ("limit.show", "SAMagm"),
    ("limit.set", "Sg"),
    ("limit.unset", "Sg"),
    ("limit.profiles", "SAMagm"),
    ("limit.unpriced", "SAMagm"),
    ("limit.set_profile", "Sg"),
    ("price.list", "SOAoag"),
    ("price.set", "S"),
    ("price.remove", "S"),
    ("usage.report", "SOAMoagm"),
    ("usage.top", "SOAMoagm"),
    ("usage.watch", "SOAMoagm"),
    ("usage.export", "SOAMoagm"),
    ("usage.report_from", "SOAMoagm"),
    ("usage.top_from", "SOAMoagm"),
    ("usage.watch_from", "SOAMoagm"),
    ("usage.export_from", "SOAMoagm"),
    ("usage.losses", "SOAMoagm"),
    ("policy.list", "SOAoag"),
    ("policy.set", "SOog"),
    ("policy.remove", "SOog"),
    ("policy.aliases", "SOAoag"),
    ("policy.set_alias", "SOog"),
    ("policy.remove_alias", "SOog"),
    ("running.list", "SOAMoagm"),
    ("running.cancel", "SOMogm"),
    ("privacy.show", "SOAMoagm"),
    ("privacy.set", "Sg"),
    ("privacy.test", "SOAMoagm"),
    ("snapshot.list", "SOA"),
    ("snapshot.create", "S"),
    ("snapshot.newest", "SOAGMsoagm"),
];

const DAEMON: u32 = 990;
const PASSWORD: Owed = Owed { password: true, enrol: false };
const ENROL: Owed = Owed { password: false, enrol: true };

fn run() -> AccessRule {
    AccessRule { mode: Mode::Run, daemon_uid: DAEMON, login_required: true }
}

fn dev(login_required: bool) -> AccessRule {
    AccessRule { mode: Mode::Dev, daemon_uid: DAEMON, login_required }
}

fn from(uid: u32) -> Arc<Connection> {
    Arc::new(Connection::new(Peer { uid, gid: uid, pid: Some(1) }, None))
}

fn user(role: Role, bound: bool) -> Arc<Actor> {
    let source = Peer { uid: 1000, gid: 1000, pid: None }.source();
    let organization = bound.then(|| "o1".to_owned());
    let user = Some("u1".to_owned());
    Arc::new(Actor { user, name: "alice".into(), role, organization, session: Some("s1".into()), source })
}

/// Whether someone of `standing` at `uid` may ask `request`; a refusal is checked to be one.
fn may(rule: &AccessRule, set_up: bool, uid: u32, standing: &Standing, request: Request) -> bool {
    let name = request.name();
    match check(rule, set_up, &from(uid), standing, request) {
        Ok(permitted) => {
            assert_eq!(permitted.name(), name);
            true
        }
        Err(fault) => {
            assert_eq!(fault.kind, FaultKind::NotPermitted, "{name}: {fault}");
            assert!(fault.hint.is_some(), "{name}: {fault}");
            false
        }
    }
}

#[test]
fn every_request_is_for_the_roles_of_the_table() {
    let letters = [
        (Role::Superadmin, 'S'),
        (Role::Operator, 'O'),
        (Role::Auditor, 'A'),
        (Role::OrgAdmin, 'G'),
        (Role::Member, 'M'),
    ];
    let mut seen = Vec::new();
    for request in Request::samples() {
        let name = request.name();
        seen.push(name);
        let row = TABLE.iter().find(|(row, _)| *row == name);
        let (_, roles) = row.unwrap_or_else(|| panic!("say in the table who may ask {name}"));
        for (role, letter) in letters {
            for bound in [false, true] {
                let letter = if bound { letter.to_ascii_lowercase() } else { letter };
                let expected = roles.contains(letter);
                let standing = Standing::User(user(role, bound), Owed::default());
                // Whoever has logged in is its user: what the uid may do makes no difference.
                for uid in [1000, DAEMON] {
                    for rule in [run(), dev(true), dev(false)] {
                        let found = may(&rule, true, uid, &standing, request.clone());
                        assert_eq!(found, expected, "{name} by {role}, bound: {bound}, uid {uid}");
                    }
                }
            }
        }
    }
    for (row, _) in TABLE {
        assert!(seen.contains(row), "there is no {row} any more, or no sample of it");
    }
}

#[test]
fn who_must_do_something_first_can_do_that_alone() {
    for request in Request::samples() {
        let own = request.name().starts_with("account.") && request.name() != "account.setup";
        let expected = own || matches!(request.name(), "daemon.status" | "snapshot.newest");
        for owed in [PASSWORD, ENROL] {
            let standing = Standing::User(user(Role::Superadmin, false), owed);
            assert_eq!(may(&run(), true, 1000, &standing, request.clone()), expected, "{}", request.name());
        }
    }
}

/// What may be asked without a login: by whom, before and after set-up.
#[test]
fn strangers_get_what_the_rule_gives_them() {
    #[derive(PartialEq, Clone, Copy)]
    enum Gets {
        Everything,
        Status,
        StatusAndSetup,
        /// Everything but setting up, which is done.
        EverythingElse,
    }
    use Gets::*;
    let (root, other) = (0, 1000);
    let cases = [
        (run(), false, root, StatusAndSetup, Login::Setup),
        (run(), false, DAEMON, StatusAndSetup, Login::Setup),
        (run(), false, other, Status, Login::Setup),
        (run(), true, root, StatusAndSetup, Login::Needed),
        (run(), true, DAEMON, Status, Login::Needed),
        (run(), true, other, Status, Login::Needed),
        (dev(false), false, root, Everything, Login::NotNeeded),
        (dev(false), false, DAEMON, Everything, Login::NotNeeded),
        (dev(false), false, other, Status, Login::Setup),
        (dev(false), true, root, StatusAndSetup, Login::Needed),
        (dev(false), true, DAEMON, EverythingElse, Login::NotNeeded),
        (dev(false), true, other, Status, Login::Needed),
        (dev(true), false, DAEMON, Everything, Login::NotNeeded),
        (dev(true), true, root, StatusAndSetup, Login::Needed),
        (dev(true), true, DAEMON, Status, Login::Needed),
        (dev(true), true, other, Status, Login::Needed),
    ];
    for (rule, set_up, uid, gets, login) in cases {
        let peer = Peer { uid, gid: uid, pid: None };
        assert_eq!(rule.login(&peer, set_up), login, "{rule:?}, uid {uid}, set up: {set_up}");
        for request in Request::samples() {
            let name = request.name();
            let expected = match name {
                "daemon.status" | "snapshot.newest" | "account.login" | "account.resume"
                | "account.whoami" | "account.redeem" => true,
                "account.setup" => matches!(gets, Everything | StatusAndSetup),
                _ => matches!(gets, Everything | EverythingElse),
            };
            let found = may(&rule, set_up, uid, &Standing::Stranger, request.clone());
            assert_eq!(found, expected, "{name}, {rule:?}, uid {uid}, set up: {set_up}");
            // A session that has ended gives nothing that needs a login, whoever the peer is.
            let ended = Standing::Ended("it has expired");
            let free = expected
                && (request.needs() == Permission::Setup || !matches!(gets, Everything | EverythingElse))
                || matches!(
                    name,
                    "daemon.status"
                        | "snapshot.newest"
                        | "account.login"
                        | "account.resume"
                        | "account.whoami"
                        | "account.redeem"
                );
            assert_eq!(may(&rule, set_up, uid, &ended, request), free, "{name}, ended, uid {uid}");
        }
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let list = || Request::samples().into_iter().find(|r| r.name() == "node.list").unwrap();
    let hint = |rule: &AccessRule, set_up, uid, standing: &Standing| {
        check(rule, set_up, &from(uid), standing, list()).unwrap_err().hint.unwrap()
    };
    assert!(hint(&run(), false, 0, &Standing::Stranger).contains("sudo aivonx setup"));
    assert!(hint(&run(), true, 0, &Standing::Stranger).contains("aivonx login"));
    assert!(hint(&run(), true, 0, &Standing::Ended("it has expired")).contains("aivonx login"));
    assert!(hint(&dev(false), false, 1000, &Standing::Stranger).contains("uid 990"));
    let enrol = Standing::User(user(Role::Superadmin, false), ENROL);
    assert!(hint(&run(), true, 0, &enrol).contains("aivonx totp enable"));
    let password = Standing::User(user(Role::Superadmin, false), PASSWORD);
    assert!(hint(&run(), true, 0, &password).contains("aivonx passwd"));
}

/// Two methods of one noun must not swap: the proof carries the very request that was checked.
#[test]
fn the_proof_carries_the_request() {
    for request in Request::samples() {
        let checked = check(&dev(false), false, &from(0), &Standing::Stranger, request.clone());
        let again = match checked.unwrap().noun() {
            Noun::Daemon(p) => Request::Daemon(p.into_request()),
            Noun::Node(p) => Request::Node(p.into_request()),
            Noun::Model(p) => Request::Model(p.into_request()),
            Noun::Strategy(p) => Request::Strategy(p.into_request()),
            Noun::Job(p) => Request::Job(p.into_request()),
            Noun::Log(p) => Request::Log(p.into_request()),
            Noun::Config(p) => Request::Config(p.into_request()),
            Noun::Account(p) => Request::Account(p.into_request()),
            Noun::Organization(p) => Request::Organization(p.into_request()),
            Noun::User(p) => Request::User(p.into_request()),
            Noun::Key(p) => Request::Key(p.into_request()),
            Noun::Token(p) => Request::Token(p.into_request()),
            Noun::Lockout(p) => Request::Lockout(p.into_request()),
            Noun::Audit(p) => Request::Audit(p.into_request()),
            Noun::Secrets(p) => Request::Secrets(p.into_request()),
            Noun::Limit(p) => Request::Limit(p.into_request()),
            Noun::Price(p) => Request::Price(p.into_request()),
            Noun::Usage(p) => Request::Usage(p.into_request()),
            Noun::Policy(p) => Request::Policy(p.into_request()),
            Noun::Running(p) => Request::Running(p.into_request()),
            Noun::Privacy(p) => Request::Privacy(p.into_request()),
            Noun::Snapshot(p) => Request::Snapshot(p.into_request()),
        };
        assert_eq!(again, request);
    }
}
