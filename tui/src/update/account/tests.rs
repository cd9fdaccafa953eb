//! What follows about one's own account.

use aivonx_protocol::{
    Fault, FaultKind, Reply, Request, WireSecret,
    account::{self, AccountRequest, Identity, LoggedIn},
    organization,
    session::{Session, SessionKind},
    token::{self, TokenRequest},
    user::Role,
};

use crate::{
    msg::{Effect, Msg},
    samples,
    state::{
        Dialog, Model, Screen,
        form::FormFor,
        testing::{
            answer_all, call, connected, empty, full, not_set_up, press, press_all, refuse, reply, type_text,
        },
    },
    update::update,
    view::tests::shot,
};

const PASSWORD: &str = "seven quiet lamps";

fn notice(model: &Model) -> &str {
    model.notice.as_ref().map_or("", |notice| &notice.text)
}

fn calls(effects: &[Effect], name: &str) -> (u64, Request) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Call { ticket, request } if request.name() == name => Some((*ticket, request.clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {name} among {effects:?}"))
}

fn begun(who: Identity) -> Reply {
    let secret = WireSecret::new("s".into());
    Reply::LoggedIn(Box::new(LoggedIn { identity: who, secret, expires: 1, idle_ms: 1 }))
}

fn who() -> Identity {
    Identity { totp: false, ..samples::identities().remove(0) }
}

fn command(model: &mut Model, line: &str) -> Vec<Effect> {
    press(model, ":");
    type_text(model, line);
    press(model, "enter")
}

fn form(model: &Model) -> Option<&FormFor> {
    match model.dialogs.last() {
        Some(Dialog::Form(form)) => Some(&form.purpose),
        _ => None,
    }
}

#[test]
fn the_first_run_leads_to_a_second_factor_and_on() {
    let mut model = not_set_up(80, 24, true);
    assert_eq!(form(&model), Some(&FormFor::SetUp));
    type_text(&mut model, PASSWORD);
    press(&mut model, "enter");
    type_text(&mut model, "another");
    press_all(&mut model, "enter right enter");
    // The two differ: the form says so before anything is sent.
    assert_eq!(press(&mut model, "enter"), []);
    assert!(shot(&model).contains("not the same"), "{}", shot(&model));
    press(&mut model, "ctrl-u");
    type_text(&mut model, PASSWORD);
    let (ticket, request) = calls(&press(&mut model, "ctrl-s"), "account.setup");
    let Request::Account(AccountRequest::Setup(setup)) = &request else { panic!() };
    assert_eq!((&*setup.username, setup.password.expose(), setup.no_totp), ("admin", PASSWORD, false));
    assert_eq!(setup.profile, Some(aivonx_protocol::organization::LimitProfile::Team));
    let effects = reply(&mut model, ticket, begun(Identity { must_enrol: true, ..who() }));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Keep(_))));
    // The password is not asked for again.
    let (ticket, request) = calls(&effects, "account.totp_begin");
    let asked = AccountRequest::TotpBegin(account::TotpBegin { password: WireSecret::new(PASSWORD.into()) });
    assert_eq!(request, Request::Account(asked));
    reply(&mut model, ticket, Reply::TotpOffer(samples::offer()));
    assert!(shot(&model).contains("GEZD GNBV"), "{}", shot(&model));
    assert!(model.account.password.is_none() && !format!("{model:?}").contains("quiet"));
    // Letters are keys there, digits the code.
    type_text(&mut model, "x123456");
    let (ticket, request) = calls(&press(&mut model, "enter"), "account.totp_confirm");
    let asked = AccountRequest::TotpConfirm(account::TotpConfirm { code: WireSecret::new("123456".into()) });
    assert_eq!(request, Request::Account(asked));
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "it is wrong").field("otp"));
    assert!(shot(&model).contains("it is wrong"));
    type_text(&mut model, "654321");
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.totp_confirm");
    let codes = vec![WireSecret::new("abcd-efgh".into()), WireSecret::new("ijkl-mnop".into())];
    let effects = reply(&mut model, ticket, Reply::BackupCodes(codes));
    assert!(shot(&model).contains("ijkl-mnop"));
    assert_eq!(press(&mut model, "c"), [Effect::Copy(WireSecret::new("abcd-efgh\nijkl-mnop".into()))]);
    press(&mut model, "esc");
    let (ticket, _) = calls(&effects, "account.whoami");
    let mut effects = reply(&mut model, ticket, Reply::Identity(Box::new(Identity { totp: true, ..who() })));
    assert!(model.dialogs.is_empty());
    // And then to a node.
    model.status = Some(empty());
    effects.extend(press(&mut model, "enter"));
    assert_eq!((model.screen, form(&model)), (Screen::Nodes, Some(&FormFor::AddNode)));
}

#[test]
fn without_a_second_factor_it_is_not_asked_for() {
    let mut model = not_set_up(80, 24, true);
    type_text(&mut model, PASSWORD);
    press(&mut model, "enter");
    type_text(&mut model, PASSWORD);
    press_all(&mut model, "enter enter space");
    let (ticket, request) = calls(&press(&mut model, "enter"), "account.setup");
    assert!(matches!(request, Request::Account(AccountRequest::Setup(setup)) if setup.no_totp));
    let effects = reply(&mut model, ticket, begun(who()));
    assert!(!format!("{effects:?}").contains("Totp") && model.dialogs.is_empty());
    assert!(model.account.password.is_none());
}

#[test]
fn who_may_not_set_up_is_told_who_may_and_notices_it() {
    let mut model = not_set_up(80, 24, false);
    assert!(shot(&model).contains("sudo aivonx setup"), "{}", shot(&model));
    let mut status = empty();
    status.set_up = true;
    let later = model.now + 4000;
    let effects = update(&mut model, Msg::Tick(later));
    let (ticket, _) = calls(&effects, "daemon.status");
    reply(&mut model, ticket, Reply::Status(Box::new(status)));
    assert_eq!(form(&model), Some(&FormFor::Login));
}

#[test]
fn what_has_to_be_done_first_follows_the_login() {
    let (mut model, _) = connected(80, 24, None);
    type_text(&mut model, "alice");
    press(&mut model, "enter");
    type_text(&mut model, "a code");
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.login");
    let owing = Identity { must_change_password: true, must_enrol: true, ..who() };
    reply(&mut model, ticket, begun(owing));
    assert_eq!(form(&model), Some(&FormFor::Password));
    type_text(&mut model, PASSWORD);
    press(&mut model, "enter");
    type_text(&mut model, PASSWORD);
    let (ticket, request) = calls(&press(&mut model, "enter"), "account.password");
    let old = WireSecret::new("a code".into());
    let asked = AccountRequest::Password(account::Password { old, new: WireSecret::new(PASSWORD.into()) });
    assert_eq!(request, Request::Account(asked));
    let effects = reply(&mut model, ticket, Reply::Done(()));
    let (ticket, _) = calls(&effects, "account.whoami");
    let owing = Identity { must_enrol: true, ..who() };
    let effects = reply(&mut model, ticket, Reply::Identity(Box::new(owing)));
    let (_, request) = calls(&effects, "account.totp_begin");
    let asked = AccountRequest::TotpBegin(account::TotpBegin { password: WireSecret::new(PASSWORD.into()) });
    assert_eq!(request, Request::Account(asked));
}

#[test]
fn a_wrong_password_is_told_at_its_field() {
    let mut model = full(80, 24);
    assert_eq!(command(&mut model, "password"), []);
    type_text(&mut model, "wrong");
    press(&mut model, "enter");
    type_text(&mut model, PASSWORD);
    press(&mut model, "enter");
    type_text(&mut model, PASSWORD);
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.password");
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "wrong name or password"));
    let Some(Dialog::Form(form)) = model.dialogs.last() else { panic!() };
    assert_eq!(form.fields[form.at].key, "old");
    assert!(!format!("{model:?}").contains("quiet"));
}

#[test]
fn the_second_factor_there_is() {
    let mut model = full(80, 24);
    command(&mut model, "2fa");
    assert_eq!(form(&model), Some(&FormFor::SecondFactor));
    press_all(&mut model, "right enter");
    type_text(&mut model, PASSWORD);
    press(&mut model, "enter");
    type_text(&mut model, "987210");
    let (ticket, request) = calls(&press(&mut model, "enter"), "account.totp_disable");
    assert!(!format!("{request:?} {model:?}").contains("987210"), "a code is a secret");
    let effects = reply(&mut model, ticket, Reply::Done(()));
    calls(&effects, "account.whoami");
    assert!(notice(&model).contains("is off"));
}

#[test]
fn a_locked_screen_opens_with_the_password_alone() {
    let mut model = full(80, 24);
    press(&mut model, "2");
    let at = model.nodes.list.at();
    press(&mut model, "ctrl-k");
    assert!(model.account.lock.is_some());
    // No key does what it did, not even those that stop or leave at once.
    for key in ["q", "j", "2", "d", ":", "?", "ctrl-z", "ctrl-d", "y"] {
        assert_eq!(press(&mut model, key), [], "{key}");
    }
    assert_eq!((model.nodes.list.at(), model.dialogs.len(), model.line.is_none()), (at, 0, true));
    press(&mut model, "ctrl-u");
    type_text(&mut model, "wrong");
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.verify");
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "wrong name or password"));
    assert!(shot(&model).contains("wrong name or password"));
    // Its session goes on and it is asked who one is, which changes nothing.
    assert!(model.account.lock.is_some());
    type_text(&mut model, PASSWORD);
    let (ticket, request) = calls(&press(&mut model, "enter"), "account.verify");
    let asked = AccountRequest::Verify(account::Verify { password: WireSecret::new(PASSWORD.into()) });
    assert_eq!(request, Request::Account(asked));
    reply(&mut model, ticket, Reply::Done(()));
    assert!(model.account.lock.is_none() && shot(&model).contains("gpu1"));
}

#[test]
fn nobody_there_locks_the_screen_and_nothing_is_asked() {
    let mut model = full(80, 24);
    let start = model.now;
    update(&mut model, Msg::Tick(start + 599_000));
    assert!(model.account.lock.is_none());
    model.calls.clear();
    assert_eq!(update(&mut model, Msg::Tick(start + 601_000)), []);
    assert!(model.account.lock.is_some());
    // Feeds go on.
    let ticket = model.node_feed.unwrap();
    let mut node = samples::nodes().remove(0);
    node.active_requests = 77;
    let events = vec![aivonx_protocol::Event::Node(Box::new(node))];
    update(&mut model, Msg::Events { ticket, events });
    assert!(model.nodes.list.all().iter().any(|node| node.active_requests == 77));
    assert!(!shot(&model).contains("gpu1"));
}

#[test]
fn a_session_that_ends_behind_the_lock_leaves_nothing_to_see() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 ctrl-k x");
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.verify");
    let effects = refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "the session has ended"));
    let (ticket, _) = calls(&effects, "account.whoami");
    let nobody = Identity { user: None, role: None, session: None, ..who() };
    reply(&mut model, ticket, Reply::Identity(Box::new(nobody)));
    assert_eq!((form(&model), model.account.lock.is_none()), (Some(&FormFor::Login), true));
    assert!(!shot(&model).contains("gpu1"), "{}", shot(&model));
    // One stands where one stood, with what is there now.
    type_text(&mut model, PASSWORD);
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.login");
    let effects = reply(&mut model, ticket, begun(who()));
    answer_all(&mut model, effects);
    assert_eq!(model.screen, Screen::Nodes);
    assert!(shot(&model).contains("gpu1"));
}

#[test]
fn whoever_has_no_password_here_locks_nothing_and_is_told_why() {
    for (session, says) in [
        (None, "by your uid"),
        (Some(Session { kind: SessionKind::Token, ..samples::sessions().remove(1) }), "a token"),
    ] {
        let mut model = full(80, 24);
        let who = model.identity.as_mut().unwrap();
        who.session = session;
        command(&mut model, "lock");
        assert!(model.account.lock.is_none() && notice(&model).contains(says), "{}", notice(&model));
        let later = model.now + 10_000_000;
        update(&mut model, Msg::Tick(later));
        assert!(model.account.lock.is_none());
    }
}

#[test]
fn leaving_a_locked_screen_ends_the_session() {
    let mut model = full(80, 24);
    press(&mut model, "ctrl-k");
    let effects = press(&mut model, "ctrl-c");
    assert_eq!(effects[0], Effect::Forget);
    let (ticket, _) = calls(&effects, "account.logout");
    assert_eq!(reply(&mut model, ticket, Reply::Done(())), [Effect::Quit]);
}

#[test]
fn another_user_finds_nothing_of_the_one_before() {
    let mut model = full(80, 24);
    press(&mut model, "5");
    command(&mut model, "login");
    press_all(&mut model, "backtab ctrl-u");
    type_text(&mut model, "alice");
    press(&mut model, "enter");
    type_text(&mut model, PASSWORD);
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.login");
    let alice = Identity { user: Some("alice".into()), role: Some(Role::Member), ..who() };
    reply(&mut model, ticket, begun(alice));
    assert!(model.access.organizations.all().is_empty() && model.nodes.list.all().is_empty());
}

#[test]
fn a_token_is_made_and_shown_once() {
    let mut model = full(80, 24);
    command(&mut model, "token");
    type_text(&mut model, "backup");
    press_all(&mut model, "enter a");
    let effects = press(&mut model, "ctrl-s");
    let (_, request) = call(&effects);
    let Request::Token(TokenRequest::Create(token::Create { name, role, lasts_ms })) = request else {
        panic!("{request:?}")
    };
    assert_eq!((&**name, *role, *lasts_ms), ("backup", Some(Role::Auditor), 90 * 86_400_000));
}

#[test]
fn a_user_without_a_password_gets_a_code_for_one() {
    let mut model = full(80, 24);
    command(&mut model, "users");
    press(&mut model, "a");
    type_text(&mut model, "bob");
    let (ticket, _) = calls(&press(&mut model, "ctrl-s"), "user.add");
    let effects = reply(&mut model, ticket, Reply::User(Box::new(samples::users().remove(1))));
    let (ticket, request) = calls(&effects, "user.reset_password");
    assert!(format!("{request:?}").contains("bob"));
    let code = Reply::samples().into_iter().find(|reply| reply.name() == "reset_code").unwrap();
    reply(&mut model, ticket, code);
    assert!(shot(&model).contains("A code for bob"), "{}", shot(&model));
}

#[test]
fn questions_say_how_much_would_end() {
    let mut model = full(80, 24);
    command(&mut model, "keys");
    let effects = press(&mut model, "ctrl-d");
    let (ticket, _) = calls(&effects, "running.list");
    assert!(shot(&model).contains("Looking what runs"));
    let mut running = samples::running();
    running.extend(samples::running());
    reply(&mut model, ticket, Reply::Running(running));
    assert!(shot(&model).contains("It ends 2 running requests: 2 being answered now"), "{}", shot(&model));
    press(&mut model, "esc");
    // Who may not see it is asked all the same.
    let effects = press(&mut model, "ctrl-d");
    let (ticket, _) = calls(&effects, "running.list");
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "no"));
    let shown = shot(&model);
    assert!(!shown.contains("Looking") && shown.contains("type: ci"), "{shown}");
}

#[test]
fn an_organization_says_which_nodes_serve_it() {
    use aivonx_protocol::organization::{NodeAccess, OrganizationRequest};
    let mut model = full(80, 24);
    command(&mut model, "orgs");
    press(&mut model, "a");
    type_text(&mut model, "new");
    press_all(&mut model, "tab tab tab tab tab right tab");
    // Labels are asked for where they count.
    assert_eq!(press(&mut model, "ctrl-s"), []);
    type_text(&mut model, "zone=b rack=1");
    let effects = press(&mut model, "ctrl-s");
    let Request::Organization(OrganizationRequest::Add(organization::Add(new))) = call(&effects).1 else {
        panic!()
    };
    let NodeAccess::Labels(labels) = &new.nodes else { panic!("{new:?}") };
    assert_eq!((labels.len(), labels["zone"].as_str()), (2, "b"));
}

#[test]
fn one_s_own_second_factor_is_not_taken_away_like_another_s() {
    let mut model = full(80, 24);
    command(&mut model, "users");
    press(&mut model, "/");
    type_text(&mut model, "user:root");
    press_all(&mut model, "enter t");
    assert_eq!(form(&model), Some(&FormFor::SecondFactor));
}

#[test]
fn a_code_in_place_of_the_password_sets_one_and_logs_in() {
    let (mut model, _) = connected(80, 24, None);
    type_text(&mut model, "alice");
    press(&mut model, "enter");
    type_text(&mut model, "ab12-cd34-ef56-gh78");
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.login");
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "wrong name or password"));
    assert_eq!(form(&model), Some(&FormFor::Redeem));
    type_text(&mut model, PASSWORD);
    press(&mut model, "enter");
    type_text(&mut model, PASSWORD);
    let (ticket, request) = calls(&press(&mut model, "enter"), "account.redeem");
    let Request::Account(AccountRequest::Redeem(account::Redeem { username, code, .. })) = &request else {
        panic!()
    };
    assert_eq!((&**username, code.expose()), ("alice", "ab12-cd34-ef56-gh78"));
    let effects = reply(&mut model, ticket, Reply::Done(()));
    let (ticket, request) = calls(&effects, "account.login");
    let password = WireSecret::new(PASSWORD.into());
    let asked = AccountRequest::Login(account::Login { username: "alice".into(), password, otp: None });
    assert_eq!(request, Request::Account(asked));
    // Who has a second factor is asked for it alone.
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "a code is needed").field("otp"));
    type_text(&mut model, "987210");
    let (ticket, _) = calls(&press(&mut model, "enter"), "account.login");
    reply(&mut model, ticket, begun(who()));
    assert!(model.dialogs.is_empty());
}
