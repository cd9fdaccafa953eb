//! What the decision is for everyone, beside the table of who may do what; and the rule of who has to log in.

use std::sync::Mutex;

use aivonx_identity::RequiredActions;
use aivonx_protocol::{
    Fault, FaultKind,
    handshake::Login,
    operation::{Operation, Serve},
    user::Role,
};

use super::*;

/// Every operation, and the letters of the roles that may ask it.
const TABLE: &str = include_str!("../../../../protocol/tests/fixtures/operations.txt");

const DAEMON: u32 = 990;
const PASSWORD: RequiredActions = RequiredActions { password: true, enrol: false };
const ENROL: RequiredActions = RequiredActions { password: false, enrol: true };

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
            assert_eq!(permitted.request().name(), name);
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
    for request in Request::samples() {
        let name = request.name();
        let row = TABLE.lines().find(|row| row.split(' ').next() == Some(name));
        let row = row.unwrap_or_else(|| panic!("say in the table who may ask {name}"));
        let roles = row.rsplit(' ').next().unwrap();
        for (role, letter) in letters {
            for bound in [false, true] {
                let letter = if bound { letter.to_ascii_lowercase() } else { letter };
                let expected = roles.contains(letter);
                let standing = Standing::User(user(role, bound), RequiredActions::default());
                // With a login only the user's role counts: what the uid may do makes no difference.
                for uid in [1000, DAEMON] {
                    for rule in [run(), dev(true), dev(false)] {
                        let found = may(&rule, true, uid, &standing, request.clone());
                        assert_eq!(found, expected, "{name} by {role}, bound: {bound}, uid {uid}");
                    }
                }
            }
        }
    }
}

#[test]
fn who_must_do_something_first_can_do_that_alone() {
    for request in Request::samples() {
        let own = request.name().starts_with("account.") && request.name() != "account.setup";
        let expected = own || matches!(request.name(), "daemon.status" | "snapshot.newest" | "backup.newest");
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
                "daemon.status" | "snapshot.newest" | "backup.newest" | "account.login"
                | "account.resume" | "account.whoami" | "account.redeem" => true,
                "account.setup" => matches!(gets, Everything | StatusAndSetup),
                _ => matches!(gets, Everything | EverythingElse),
            };
            let found = may(&rule, set_up, uid, &Standing::Stranger, request.clone());
            assert_eq!(found, expected, "{name}, {rule:?}, uid {uid}, set up: {set_up}");
            // Who is blocked may end the session besides.
            let alice = Standing::Blocked(user(Role::Superadmin, false));
            let setup = name == "account.setup" && rule.may_set_up(&peer, set_up);
            let account =
                ["account.login", "account.resume", "account.whoami", "account.redeem", "account.logout"];
            let status = ["daemon.status", "snapshot.newest", "backup.newest"];
            let allowed = setup || account.contains(&name) || status.contains(&name);
            assert_eq!(
                may(&rule, set_up, uid, &alice, request.clone()),
                allowed,
                "{name}, blocked, uid {uid}"
            );
            // A session that has ended gives no peer, not even a trusted one, what needs a login.
            let ended = Standing::Ended("it has expired");
            let free = expected
                && (request.needs() == Permission::Setup || !matches!(gets, Everything | EverythingElse))
                || matches!(
                    name,
                    "daemon.status"
                        | "snapshot.newest"
                        | "backup.newest"
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

/// Takes down what reaches its handler.
#[derive(Default)]
struct Echo(Mutex<Option<(Request, String)>>);

impl Server for Echo {
    type Proof = By<Request>;
    type By<O> = By<O>;
    type Events = ();

    fn by<O>(proof: By<Request>) -> By<O> {
        proof.of()
    }
}

impl<O: Operation> Serve<O> for Echo {
    async fn serve(&self, by: By<O>, operation: O) -> Result<O::Answer<()>, Fault> {
        *self.0.lock().unwrap() = Some((operation.into(), by.actor().name.clone()));
        Err(Fault::new(FaultKind::Cancelled, O::NAME))
    }
}

/// No two operations may swap: what reaches the handler is the very request that was checked, with who asked.
#[tokio::test]
async fn the_proof_carries_the_request() {
    for request in Request::samples() {
        let echo = Echo::default();
        let checked = check(&dev(false), false, &from(0), &Standing::Stranger, request.clone());
        let Answer::Reply(Err(fault)) = checked.unwrap().serve(&echo).await else { panic!("{request:?}") };
        assert_eq!(fault.message, request.name());
        assert_eq!(echo.0.into_inner().unwrap(), Some((request, "uid 0".to_owned())));
    }
}
