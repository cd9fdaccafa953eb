//! Conversations at a terminal: set-up, login, second factor, and questions before what cannot be undone.

use std::{fs, path::Path, process::Command};

use super::{
    server::{Does, Fake, sample},
    terminal::Terminal,
};
use aivonx_protocol::{
    Fault, FaultKind, Reply, Request, WireSecret,
    account::{self, AccountRequest, Setup, TotpOffer},
    handshake::Login,
    organization::LimitProfile,
};

const PASSWORD: &str = "correct horse battery";

fn command(fake: &Fake, line: &str, home: &Path) -> Command {
    let mut command = fake.command(line);
    command.env("XDG_RUNTIME_DIR", home).env("LANG", "C.UTF-8").env("NO_COLOR", "1");
    command
}

fn invalid(text: &str, field: &str) -> Does {
    Does::Refuses(Fault::new(FaultKind::Invalid, text).field(field))
}

/// What a daemon does with a first administrator that must have a second factor.
fn fresh(request: &Request) -> Does {
    match request {
        Request::Account(AccountRequest::Setup(setup)) if setup.password.expose() != PASSWORD => {
            invalid("the password is too short: 12 characters or more", "password")
        }
        Request::Account(AccountRequest::TotpBegin(_)) => Does::Replies(Reply::TotpOffer(TotpOffer {
            secret: WireSecret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into()),
            uri: WireSecret::new(
                "otpauth://totp/aivonx:root?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=aivonx\
                 &algorithm=SHA1&digits=6&period=30"
                    .into(),
            ),
        })),
        Request::Account(AccountRequest::TotpConfirm(account::TotpConfirm { code }))
            if code.expose() != "123456" =>
        {
            invalid("that is not the code; is the clock right?", "code")
        }
        Request::Account(AccountRequest::TotpConfirm(_)) => Does::Replies(Reply::BackupCodes(
            (0..10).map(|n| WireSecret::new(format!("k7qm-2wxp-9d4r-hf{n}t"))).collect(),
        )),
        other => match sample(other) {
            Does::Replies(Reply::LoggedIn(mut session)) => {
                session.identity.user = Some("root".into());
                session.identity.must_enrol = true;
                session.identity.must_change_password = false;
                Does::Replies(Reply::LoggedIn(session))
            }
            Does::Replies(Reply::Identity(mut identity)) => {
                identity.user = Some("root".into());
                identity.must_change_password = false;
                Does::Replies(Reply::Identity(identity))
            }
            other => other,
        },
    }
}

fn setups(fake: &Fake) -> Vec<Setup> {
    let setup = |request| match request {
        Request::Account(AccountRequest::Setup(setup)) => Some(setup),
        _ => None,
    };
    fake.asked().into_iter().filter_map(setup).collect()
}

#[test]
fn set_up_is_a_conversation() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::wanting(Login::Setup, "0190-a", fresh);
    let mut terminal = Terminal::start(command(&fake, "setup", home.path()), 80, 24);
    terminal.answer("Name [admin]: ", "root");
    terminal.answer("Which [1]: ", "9");
    terminal.answer("Which [1]: ", "team");
    terminal.answer("Password: ", "short");
    terminal.answer("Once more: ", "short");
    // Backspace takes a character, Ctrl-U everything.
    terminal.answer("Password: ", &format!("nonsense\u{15}{PASSWORD}xé\u{7f}\u{7f}"));
    terminal.answer("Once more: ", "something else");
    terminal.expect("The two differ.");
    terminal.answer("Password: ", PASSWORD);
    terminal.answer("Once more: ", PASSWORD);
    terminal.answer("gives up): ", "000000");
    terminal.answer("gives up): ", "123456");
    terminal.answer("Enter when you have them: ", "");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("nonsense"), "{shown}");
    insta::assert_snapshot!(shown);
    let setups = setups(&fake);
    assert_eq!(setups.len(), 2, "one for each password");
    assert_eq!((setups[1].username.as_str(), setups[1].profile), ("root", Some(LimitProfile::Team)));
    assert_eq!(setups[1].password.expose(), PASSWORD);
    assert!(home.path().join("aivonx/sessions/0190-a").exists(), "root is logged in");
}

#[test]
fn a_second_factor_can_be_declined_where_it_is_optional() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::wanting(Login::Setup, "0190-a", |request| match fresh(request) {
        Does::Replies(Reply::LoggedIn(mut session)) => {
            session.identity.must_enrol = false;
            Does::Replies(Reply::LoggedIn(session))
        }
        other => other,
    });
    let mut terminal = Terminal::start(command(&fake, "setup --profile standard", home.path()), 80, 24);
    terminal.answer("Name [admin]: ", "");
    terminal.answer("Password: ", PASSWORD);
    terminal.answer("Once more: ", PASSWORD);
    terminal.answer("[Y/n]: ", "n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(setups(&fake)[0].username, "admin");
    assert!(!fake.asked().iter().any(|request| request.name().contains("totp")));
}

#[test]
fn an_administrator_is_made_once_and_rescued_by_name() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::wanting(Login::Needed, "0190-a", fresh);
    let (code, shown) = Terminal::start(command(&fake, "setup", home.path()), 80, 24).end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("has an administrator already") && shown.contains("aivonx login"), "{shown}");
    let mut terminal = Terminal::start(command(&fake, "setup --recover root --no-totp", home.path()), 80, 24);
    terminal.answer("Password: ", PASSWORD);
    terminal.answer("Once more: ", PASSWORD);
    terminal.answer("gives up): ", "");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("root has its new password"), "{shown}");
    assert!(shown.contains("aivonx totp enable"), "what was given up is still to do: {shown}");
    assert!(setups(&fake)[0].recover);
}

#[test]
fn login_asks_for_what_the_daemon_wants() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::wanting(Login::Needed, "0190-a", |request| match request {
        Request::Account(AccountRequest::Login(account::Login { otp: None, .. })) => {
            Does::Refuses(Fault::new(FaultKind::NotPermitted, "a code is needed").field("otp"))
        }
        Request::Account(AccountRequest::Login(account::Login { otp: Some(otp), .. }))
            if otp.expose() != "123456" =>
        {
            Does::Refuses(Fault::new(FaultKind::NotPermitted, "the code is wrong").field("otp"))
        }
        Request::Account(AccountRequest::Password(account::Password { new, .. }))
            if new.expose() != "another horse battery" =>
        {
            invalid("the password is one of the common ones", "new")
        }
        other => sample(other),
    });
    let mut terminal = Terminal::start(command(&fake, "login", home.path()), 80, 24);
    terminal.answer("Name: ", "alice");
    terminal.answer("Password: ", PASSWORD);
    terminal.answer("backup code: ", "000000");
    terminal.answer("backup code: ", "123456");
    terminal.answer("New password: ", "password1234");
    terminal.answer("Once more: ", "password1234");
    terminal.answer("New password: ", "another horse battery");
    terminal.answer("Once more: ", "another horse battery");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("the code is wrong") && shown.contains("common ones"), "{shown}");
    assert!(shown.contains("Logged in as alice"), "{shown}");
}

#[test]
fn a_wrong_password_ends_the_login() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::wanting(Login::Needed, "0190-a", |_| {
        Does::Refuses(Fault::new(FaultKind::NotPermitted, "wrong name or password"))
    });
    let mut terminal = Terminal::start(command(&fake, "login --username alice", home.path()), 80, 24);
    terminal.answer("Password: ", "wrong");
    let (code, shown) = terminal.end();
    assert_eq!((code, fake.asked().len()), (Some(4), 1), "{shown}");
    assert!(!home.path().join("aivonx/sessions/0190-a").exists());
}

#[test]
fn breaking_off_restores_the_terminal() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::samples();
    let mut terminal = Terminal::start(command(&fake, "login --username alice", home.path()), 80, 24);
    terminal.expect("Password: ");
    terminal.keys("half a secret\u{3}");
    terminal.expect("broken off");
    let line = terminal.line();
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(!shown.contains("half"), "{shown}");
    assert!(line.echoes(), "the terminal was left silent");
    assert!(fake.asked().is_empty());
}

#[test]
fn what_cannot_be_undone_is_asked_with_its_consequence() {
    let home = tempfile::tempdir().unwrap();
    for (line, question) in [
        ("org remove acme --with-contents", "Remove the organization acme with 2 users, 3 keys and 1 node?"),
        ("user remove alice", "Remove alice, a member of acme, with its sessions and 1 key?"),
        ("user reset-password alice", "Take the password of alice away?"),
        ("key revoke ci --org acme", "Revoke the key ci of acme (aivx_1a2b3c4...)?"),
    ] {
        for (answer, code) in [("y", 0), ("", 1)] {
            let fake = Fake::samples();
            let mut terminal = Terminal::start(command(&fake, line, home.path()), 80, 24);
            terminal.expect(question);
            terminal.answer("[y/N] ", answer);
            let (ended, shown) = terminal.end();
            assert_eq!(ended, Some(code), "{line}: {shown}");
        }
    }
}

#[test]
fn a_terminal_too_small_for_the_code_gets_the_secret() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::wanting(Login::Setup, "0190-a", fresh);
    for (columns, rows, lang) in [(80, 12, "C.UTF-8"), (80, 24, "C")] {
        let mut command = command(&fake, "totp enable", home.path());
        command.env("LANG", lang);
        fs::create_dir_all(home.path().join("aivonx")).unwrap();
        command.env("AIVONX_TOKEN", "s");
        let mut terminal = Terminal::start(command, columns, rows);
        terminal.answer("Your password: ", PASSWORD);
        terminal.expect("GEZD GNBV GY3T QOJQ");
        terminal.answer("gives up): ", "123456");
        terminal.answer("Enter when you have them: ", "");
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(0), "{shown}");
        assert!(!shown.contains('█'), "{shown}");
    }
}
