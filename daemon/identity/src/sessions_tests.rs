use aivonx_ledgers::audit::Audit;
use aivonx_protocol::session::NewSession;
use aivonx_store::testing::{Stand, record, stand};

use super::*;
use crate::{RequiredActions, password::Hasher};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const PASSWORD: &str = "kettle-orbit-ninety-fjord";

struct Rig {
    stand: Stand,
    audit: Audit,
    identity: Arc<Identity>,
    user: UserRecord,
}

async fn open(stand: &Stand, audit: &Audit) -> Arc<Identity> {
    let (store, vault) = (stand.store.clone(), stand.vault.clone());
    Identity::open(store, vault, audit.clone(), Hasher::weak()).await.unwrap()
}

async fn rig(role: Role) -> Rig {
    let (stand, audit) = (stand().await, Audit::memory());
    let identity = open(&stand, &audit).await;
    let user = stand.store.users().insert(UserRecord { role, ..record("", "alice") }).await.unwrap();
    Rig { stand, audit, identity, user }
}

fn peer(uid: u32) -> Source {
    Source::Control { uid, gid: uid, pid: Some(1) }
}

fn secret(text: &str) -> WireSecret {
    WireSecret::new(text.to_owned())
}

impl Rig {
    async fn begin(&self) -> (SessionRecord, WireSecret) {
        let begun = self.identity.begin_session(&self.user, &peer(1000)).await.unwrap();
        self.identity.settle().await.unwrap();
        begun
    }

    fn at(&self, session: &SessionRecord, now: UnixMillis) -> Result<(Arc<Actor>, RequiredActions), Ended> {
        self.identity.in_session(&session.hash, &peer(1000), now)
    }

    async fn change(&self, change: impl FnOnce(&mut UserRecord) + Send + 'static) {
        self.stand.store.users().update(&TenantScope::All, &self.user.id, None, change).await.unwrap();
        self.identity.settle().await.unwrap();
    }

    fn actor(&self, session: &SessionRecord) -> Actor {
        (*self.at(session, now()).unwrap().0).clone()
    }
}

#[tokio::test]
async fn a_session_lasts_as_long_as_it_is_used_and_no_longer_than_it_may() {
    let rig = rig(Role::Operator).await;
    rig.identity.bound_sessions(Duration::from_millis(2 * HOUR), Duration::from_millis(30 * MINUTE));
    let (session, _) = rig.begin().await;
    let begun = session.created;
    let (actor, owed) = rig.at(&session, begun).unwrap();
    assert_eq!(
        (actor.name.as_str(), actor.role, owed),
        ("alice", Role::Operator, RequiredActions::default())
    );
    assert_eq!(actor.session.as_ref(), Some(&session.id));
    for step in 1..=4 {
        rig.at(&session, begun + step * 29 * MINUTE).unwrap();
    }
    assert_eq!(rig.at(&session, begun + 2 * HOUR).unwrap_err(), Ended::Expired);
    let last = begun + 4 * 29 * MINUTE;
    assert!(last + 30 * MINUTE > begun + 2 * HOUR, "it was not idle");

    let (other, _) = rig.begin().await;
    let begun = other.created;
    rig.at(&other, begun + 10 * MINUTE).unwrap();
    rig.at(&other, begun + 40 * MINUTE - 1).unwrap();
    assert_eq!(rig.at(&other, begun + 70 * MINUTE - 1).unwrap_err(), Ended::Idle);
}

#[tokio::test]
async fn a_session_survives_a_restart_and_is_bound_to_its_uid() {
    let rig = rig(Role::Operator).await;
    let (session, text) = rig.begin().await;
    let again = open(&rig.stand, &rig.audit).await;
    let hash = again.resume(&text, &peer(1000)).unwrap();
    assert_eq!(hash, session.hash);
    let fault = again.resume(&text, &peer(1001)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotPermitted);
    let kept = rig.audit.kept();
    assert_eq!(kept.last().unwrap().action, Action::Denied);
    // The secret itself is nowhere: only its hash is kept.
    let kept = format!("{:?}", rig.stand.store.sessions().list(&TenantScope::All).await.unwrap());
    assert!(!kept.contains(text.expose()));
    for wrong in ["", "aivs_", "root", &text.expose()[..20]] {
        let fault = again.resume(&secret(wrong), &peer(1000)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotPermitted, "{wrong}");
        assert!(!fault.to_string().contains(&text.expose()[5..20]), "{fault}");
    }
}

#[tokio::test]
async fn whatever_ends_the_user_ends_the_session() {
    let rig = rig(Role::Operator).await;
    let (session, _) = rig.begin().await;
    let at = session.created;
    rig.change(|user| user.enabled = false).await;
    assert_eq!(rig.at(&session, at).unwrap_err(), Ended::Gone);
    rig.change(|user| user.enabled = true).await;
    let (session, _) = rig.begin().await;
    rig.at(&session, at).unwrap();
    rig.change(|user| user.epoch += 1).await;
    assert_eq!(rig.at(&session, at).unwrap_err(), Ended::Gone);

    let user = rig.stand.store.users().get(&TenantScope::All, &rig.user.id).await.unwrap().unwrap();
    let (session, _) = rig.identity.begin_session(&user, &peer(1000)).await.unwrap();
    rig.identity.settle().await.unwrap();
    let actor = rig.actor(&session);
    rig.identity.log_out(&actor, "account.logout").await.unwrap();
    rig.identity.settle().await.unwrap();
    assert_eq!(rig.at(&session, at).unwrap_err(), Ended::Gone);
    assert_eq!(rig.audit.kept().last().unwrap().action, Action::Logout);
}

#[tokio::test]
async fn what_is_owed_follows_the_user_and_the_configuration() {
    let rig = rig(Role::Superadmin).await;
    let (session, _) = rig.begin().await;
    let owed = || rig.at(&session, session.created).unwrap().1;
    assert!(owed().is_nothing());
    rig.identity.demand_two_factor(true);
    assert_eq!(owed(), RequiredActions { password: false, enrol: true });
    rig.change(|user| user.totp_exempt = true).await;
    assert!(owed().is_nothing());
    rig.change(|user| user.must_change_password = true).await;
    assert_eq!(owed(), RequiredActions { password: true, enrol: false });
}

#[tokio::test]
async fn the_oldest_login_makes_room() {
    let rig = rig(Role::Operator).await;
    let mut begun = Vec::new();
    for _ in 0..=LOGINS {
        begun.push(rig.identity.begin_session(&rig.user, &peer(1000)).await.unwrap().0);
    }
    rig.identity.settle().await.unwrap();
    let ended = begun.iter().filter(|session| rig.at(session, session.created).is_err()).count();
    assert_eq!(ended, 1);
    rig.at(begun.last().unwrap(), begun.last().unwrap().created).unwrap();
}

#[tokio::test]
async fn a_token_is_never_more_than_its_owner() {
    let rig = rig(Role::Superadmin).await;
    let (session, _) = rig.begin().await;
    let actor = rig.actor(&session);
    let day = 24 * HOUR;
    let identity = &rig.identity;
    let made = identity.create_token(&actor, "ci", Some(Role::Operator), day).await.unwrap();
    identity.settle().await.unwrap();
    assert_eq!((made.session.role, made.session.kind), (Role::Operator, SessionKind::Token));
    // A token works for every user of the machine: scripts run under their own.
    let hash = identity.resume(&made.secret, &peer(4711)).unwrap();
    let by = identity.in_session(&hash, &peer(4711), now()).unwrap().0;
    assert_eq!((by.role, by.name.as_str()), (Role::Operator, "alice"));
    let refused = |result: Result<NewSession, Fault>| result.unwrap_err();
    assert_eq!(refused(identity.create_token(&actor, "ci", None, day).await).kind, FaultKind::Conflict);
    assert_eq!(refused(identity.create_token(&actor, "", None, day).await).kind, FaultKind::Invalid);
    assert_eq!(refused(identity.create_token(&actor, "x", None, 1).await).kind, FaultKind::Invalid);
    let own = identity.create_token(&by, "more", None, day).await;
    assert_eq!(refused(own).kind, FaultKind::NotPermitted, "what expires prolongs itself");
    let odd = identity.create_token(&actor, "odd", Some(Role::OrgAdmin), day).await;
    assert_eq!(refused(odd).kind, FaultKind::NotPermitted);

    // The owner falls, by a way that ends no session: so does the token.
    let boss = UserRecord { role: Role::Superadmin, ..record("", "boss") };
    rig.stand.store.users().insert(boss).await.unwrap();
    rig.change(|user| user.role = Role::Auditor).await;
    assert_eq!(identity.in_session(&hash, &peer(4711), now()).unwrap().0.role, Role::Auditor);
    assert_eq!(identity.control_tokens(&actor).await.unwrap()[0].role, Role::Auditor);

    identity.revoke_token(&actor, "ci").await.unwrap();
    identity.settle().await.unwrap();
    assert_eq!(identity.in_session(&hash, &peer(4711), now()).unwrap_err(), Ended::Gone);
    assert_eq!(identity.revoke_token(&actor, "ci").await.unwrap_err().kind, FaultKind::NotFound);
}

#[tokio::test]
async fn a_token_expires() {
    let rig = rig(Role::Member).await;
    let (session, _) = rig.begin().await;
    let made = rig.identity.create_token(&rig.actor(&session), "ci", None, MINUTE).await.unwrap();
    rig.identity.settle().await.unwrap();
    let hash = hash(Kind::Token, &made.secret);
    let at = |now| rig.identity.in_session(&hash, &peer(1), now);
    at(made.session.expires - 1).unwrap();
    assert_eq!(at(made.session.expires).unwrap_err(), Ended::Expired);
    rig.identity.sweep_sessions(made.session.expires).await.unwrap();
    let left = rig.stand.store.sessions().list(&TenantScope::All).await.unwrap();
    assert_eq!(left.len(), 1, "the login is left");
}

#[test]
fn no_role_includes_what_it_could_not_do() {
    use aivonx_protocol::permission::Permission as P;
    // Every permission of the token's role is one of the owner's, wherever `includes` says so.
    let all = [
        P::Status,
        P::FleetRead,
        P::FleetWrite,
        P::StrategyWrite,
        P::ModelsRead,
        P::ModelsWrite,
        P::JobsRead,
        P::JobsWrite,
        P::LogRead,
        P::ConfigRead,
        P::ConfigWrite,
        P::OrganizationRead,
        P::OrganizationWrite,
        P::OrganizationManage,
        P::UserRead,
        P::UserWrite,
        P::KeyRead,
        P::KeyWrite,
        P::LockoutRead,
        P::LockoutWrite,
        P::AuditRead,
        P::AuditExport,
        P::AuditVerify,
        P::SecretsRead,
        P::SecretsWrite,
    ];
    for user in Role::ALL {
        assert!(includes(user, user));
        for token in Role::ALL.into_iter().filter(|token| includes(user, *token)) {
            for bound in [false, true] {
                for permission in all {
                    let more = permission.is_of(token, bound) && !permission.is_of(user, bound);
                    // Nobody is stored as these.
                    let odd = matches!((user, bound), (Role::Superadmin, true) | (Role::OrgAdmin, false));
                    assert!(!more || odd, "{user} {token} {permission:?} {bound}");
                }
            }
        }
    }
}

fn setup(name: &str) -> aivonx_protocol::account::Setup {
    aivonx_protocol::account::Setup {
        username: name.into(),
        password: secret(PASSWORD),
        no_totp: true,
        profile: Some(aivonx_protocol::organization::LimitProfile::Team),
        recover: false,
    }
}

fn kind<T: fmt::Debug>(result: Result<T, AccountError>) -> FaultKind {
    Fault::from(result.unwrap_err()).kind
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    let (stand, audit) = (stand().await, Audit::memory());
    let identity = open(&stand, &audit).await;
    let via = "account.setup";
    for name in ["", "Root", "-root", "a b"] {
        assert_eq!(kind(identity.set_up(setup(name), &peer(0), via).await), FaultKind::Invalid, "{name}");
    }
    let weak = aivonx_protocol::account::Setup { password: secret("password1234"), ..setup("root") };
    assert_eq!(kind(identity.set_up(weak, &peer(0), via).await), FaultKind::Invalid);
    let rescue = aivonx_protocol::account::Setup { recover: true, ..setup("root") };
    assert_eq!(kind(identity.set_up(rescue, &peer(0), via).await), FaultKind::Conflict);
    assert!(!identity.is_set_up());
    let root = peer(0);
    let both =
        tokio::join!(identity.set_up(setup("root"), &root, via), identity.set_up(setup("toor"), &root, via));
    assert!(both.0.is_ok() != both.1.is_ok(), "one of two at once");
    identity.settle().await.unwrap();
    assert!(identity.is_set_up());
    let profile = stand.store.settings().limit_profile().await.unwrap();
    assert_eq!(profile, aivonx_protocol::organization::LimitProfile::Team);
    let kept = audit.kept();
    let entry = kept.iter().find(|entry| entry.action == Action::Setup).unwrap();
    assert_eq!((entry.source.uid, entry.outcome), (Some(0), Outcome::Ok));
    assert!(!format!("{kept:?}").contains(PASSWORD));
}

#[tokio::test]
async fn a_rescue_lets_back_in_and_everybody_else_out() {
    let (stand, audit) = (stand().await, Audit::memory());
    let identity = open(&stand, &audit).await;
    let via = "account.setup";
    let root = identity.set_up(setup("root"), &peer(0), via).await.unwrap();
    let (session, _) = identity.begin_session(&root, &peer(1000)).await.unwrap();
    for _ in 0..5 {
        let wrong = secret("wrong-orbit-ninety-fjord");
        identity.authenticate("root", &wrong, None, &peer(0), "account.login").await.unwrap_err();
    }
    let login = identity.authenticate("root", &secret(PASSWORD), None, &peer(0), "account.login").await;
    assert!(matches!(login, Err(AccountError::Locked(_))), "{login:?}");

    let new = "lantern-orbit-eleven-creek";
    let rescue =
        |name| aivonx_protocol::account::Setup { recover: true, password: secret(new), ..setup(name) };
    let missing = Fault::from(identity.set_up(rescue("toor"), &peer(0), via).await.unwrap_err());
    assert_eq!(missing.kind, FaultKind::NotFound);
    assert!(missing.hint.unwrap().contains("root"), "who can be rescued is named");
    identity.set_up(rescue("root"), &peer(0), via).await.unwrap();
    identity.settle().await.unwrap();
    assert_eq!(identity.in_session(&session.hash, &peer(1000), now()).unwrap_err(), Ended::Gone);
    identity.authenticate("root", &secret(new), None, &peer(0), "account.login").await.unwrap();
    let entry = audit.kept().into_iter().find(|entry| entry.action == Action::Recover).unwrap();
    assert_eq!(entry.object.unwrap().name.as_deref(), Some("root"));
}

#[tokio::test]
async fn an_unattended_set_up_is_done_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let (stand, audit) = (stand().await, Audit::memory());
    let identity = open(&stand, &audit).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("setup");
    identity.set_up_from(&file).await.unwrap_err();
    std::fs::write(&file, format!("root:{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(identity.set_up_from(&file).await.unwrap().as_deref(), Some("root"));
    identity.authenticate("root", &secret(PASSWORD), None, &peer(0), "account.login").await.unwrap();
    // The file is used once: neither again now nor after a restart, even with other contents.
    std::fs::write(&file, format!("toor:{PASSWORD}\n")).unwrap();
    assert_eq!(identity.set_up_from(&file).await.unwrap(), None);
    assert_eq!(open(&stand, &audit).await.set_up_from(&file).await.unwrap(), None);
}
