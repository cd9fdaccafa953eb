//! Sessions and control tokens: what is sent where, what is kept, and how it ends.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::Command,
};

use super::server::{Does, Fake, Ran, run, sample};
use aivonx_protocol::{
    Fault, FaultKind, Reply, Request,
    account::{self, AccountRequest},
    handshake::Login,
};

const PASSWORD: &str = "correct horse battery";

/// A home for sessions, and a file with a password.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.password(), PASSWORD).unwrap();
        home
    }

    fn password(&self) -> PathBuf {
        self.0.path().join("password")
    }

    fn session(&self, id: &str) -> PathBuf {
        self.0.path().join("aivonx/sessions").join(id)
    }

    fn command(&self, fake: &Fake, line: &str) -> Command {
        let mut command = fake.command(&line.replace("FILE", self.password().to_str().unwrap()));
        command.env("XDG_RUNTIME_DIR", self.0.path());
        command
    }

    fn run(&self, fake: &Fake, line: &str) -> Ran {
        run(self.command(fake, line), "")
    }
}

/// A daemon that wants a login, with one good session.
fn gateway(id: &'static str) -> Fake {
    Fake::wanting(Login::Needed, id, |request| match request {
        Request::Account(AccountRequest::Resume(account::Resume { secret })) if secret.expose() != "s" => {
            Does::Refuses(Fault::new(FaultKind::NotPermitted, "the session has ended"))
        }
        other => sample(other),
    })
}

fn names(fake: &Fake) -> Vec<&'static str> {
    fake.asked().iter().map(Request::name).collect()
}

#[test]
fn login_keeps_a_session_that_the_next_command_goes_on_with() {
    let (home, fake) = (Home::new(), gateway("0190-a"));
    let ran = home.run(&fake, "node list");
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{ran:?}");
    assert!(ran.err.contains("you are not logged in; run `aivonx login`"), "{}", ran.err);
    assert!(names(&fake).is_empty(), "nothing is asked without a session");

    let ran = home.run(&fake, "login --username alice --password-file FILE");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("Logged in as alice, org-admin"), "{}", ran.out);
    assert!(!ran.out.contains(PASSWORD) && !ran.err.contains(PASSWORD));
    let mode = fs::metadata(home.session("0190-a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);

    let ran = home.run(&fake, "node list");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(names(&fake), ["account.login", "account.resume", "node.list"]);

    let ran = home.run(&fake, "logout");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "Logged out.\n"));
    assert!(!home.session("0190-a").exists());
    assert_eq!(home.run(&fake, "logout").out, "You are not logged in.\n");
}

#[test]
fn a_session_goes_to_its_own_daemon_only() {
    let (home, ours, other) = (Home::new(), gateway("0190-a"), gateway("0190-b"));
    home.run(&ours, "login --username alice --password-file FILE");
    let ran = home.run(&other, "node list");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(other.asked().is_empty(), "{:?}", names(&other));
}

#[test]
fn an_ended_session_says_so_once() {
    let (home, fake) = (Home::new(), gateway("0190-a"));
    home.run(&fake, "login --username alice --password-file FILE");
    let kept = fs::read_to_string(home.session("0190-a")).unwrap();
    fs::write(home.session("0190-a"), kept.replace("\"s\"", "\"old\"")).unwrap();
    let ran = home.run(&fake, "node list");
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""));
    assert_eq!(ran.err, "aivonx: your session as alice has ended; run `aivonx login`\n");
    assert!(!home.session("0190-a").exists());

    // The status is for everyone, so it does not stop at that.
    fs::write(home.session("0190-a"), kept.replace("\"s\"", "\"old\"")).unwrap();
    fs::set_permissions(home.session("0190-a"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = home.run(&fake, "status");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("has ended"), "{}", ran.err);
}

#[test]
fn a_session_file_that_others_could_touch_is_refused() {
    let (home, fake) = (Home::new(), gateway("0190-a"));
    home.run(&fake, "login --username alice --password-file FILE");
    let before = fake.asked().len();
    let path = home.session("0190-a");
    let refused = |why: &str| {
        let ran = home.run(&fake, "node list");
        assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{ran:?}");
        assert!(ran.err.contains(why) && ran.err.contains("rm "), "{}", ran.err);
        assert_eq!(fake.asked().len(), before, "the secret is not sent");
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    refused("is open to others (mode 0644)");
    let elsewhere = home.0.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&elsewhere, &path).unwrap();
    refused("is a symbolic link");
}

#[test]
fn a_control_token_comes_before_the_session() {
    let (home, fake) = (Home::new(), gateway("0190-a"));
    home.run(&fake, "login --username alice --password-file FILE");
    let mut command = home.command(&fake, "node list");
    command.env("AIVONX_TOKEN", "expired");
    let ran = run(command, "");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.err.contains("the control token in AIVONX_TOKEN is not accepted"), "{}", ran.err);
    assert!(home.session("0190-a").exists(), "the session has not ended");

    let token = home.0.path().join("token");
    fs::write(&token, "s\n").unwrap();
    let bare = Home::new();
    let mut command = bare.command(&fake, "node list");
    command.env("AIVONX_TOKEN", "").env("AIVONX_TOKEN_FILE", &token);
    assert_eq!(run(command, "").code, Some(0));
    let mut command = bare.command(&fake, "node list");
    command.env("AIVONX_TOKEN_FILE", "/nonexistent/token");
    let ran = run(command, "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("AIVONX_TOKEN_FILE /nonexistent/token: cannot be read"), "{}", ran.err);
}

#[test]
fn without_an_administrator_set_up_is_what_helps() {
    let home = Home::new();
    let fake = Fake::wanting(Login::Setup, "0190-a", sample);
    for line in ["node list", "login --username a --password-file FILE"] {
        let ran = home.run(&fake, line);
        assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{line}: {ran:?}");
        assert!(ran.err.contains("no administrator yet; run `aivonx setup`"), "{}", ran.err);
    }
    assert_eq!(home.run(&fake, "status").code, Some(0));
    assert_eq!(home.run(&fake, "whoami").code, Some(0));
}

#[test]
fn a_session_that_cannot_be_kept_is_ended() {
    let fake = gateway("0190-a");
    let home = Home::new();
    let password = home.password();
    let ran = fake.run(&format!("login --username alice --password-file {}", password.display()));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("XDG_RUNTIME_DIR"), "{}", ran.err);
    assert_eq!(names(&fake), ["account.login", "account.logout"]);
}

#[test]
fn the_second_factor_of_a_script() {
    let home = Home::new();
    let fake = Fake::wanting(Login::Needed, "0190-a", |request| match request {
        Request::Account(AccountRequest::Login(account::Login { otp, .. }))
            if otp.as_ref().is_none_or(|o| o.expose() != "123456") =>
        {
            Does::Refuses(Fault::new(FaultKind::NotPermitted, "a code is needed").field("otp"))
        }
        other => sample(other),
    });
    let ran = home.run(&fake, "login --username alice --password-file FILE");
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""));
    assert!(ran.err.contains("--otp-file"), "{}", ran.err);
    let ran =
        run(home.command(&fake, "login --username alice --password-file FILE --otp-file -"), "123456\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran =
        run(home.command(&fake, "login --username alice --password-file FILE --otp-file -"), "000000\n");
    assert_eq!((ran.code, names(&fake).len()), (Some(4), 3), "a wrong one is not tried twice: {ran:?}");
    let ran = home.run(&fake, "login --username alice --password-file - --otp-file -");
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn secrets_of_accounts_come_from_files() {
    let home = Home::new();
    for (line, request) in [
        ("setup --username root --password-file FILE --no-totp --profile team", "account.setup"),
        ("setup --recover root --password-file FILE", "account.setup"),
        ("passwd --password-file FILE --new-password-file FILE", "account.password"),
        ("passwd --redeem alice --code-file FILE --new-password-file FILE", "account.redeem"),
        ("totp disable --password-file FILE --otp-file FILE", "account.totp_disable"),
        ("totp codes --password-file FILE --otp-file FILE", "account.backup_codes"),
        ("totp enable --password-file FILE --otp-file FILE", "account.totp_confirm"),
        ("user add bob --org acme --password-file FILE", "user.add"),
    ] {
        let fake = Fake::samples();
        let ran = home.run(&fake, line);
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        assert!(names(&fake).contains(&request), "{line}: {:?}", names(&fake));
        assert!(!ran.out.contains(PASSWORD) && !ran.err.contains(PASSWORD), "{line}");
        let ran = home.run(&fake, &format!("{line} --output json"));
        for part in ran.out.trim().split("\n{") {
            let part = if part.starts_with('{') { part.to_owned() } else { format!("{{{part}") };
            serde_json::from_str::<serde_json::Value>(&part)
                .unwrap_or_else(|why| panic!("{line}: {why}: {}", ran.out));
        }
    }
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let home = Home::new();
    for line in [
        "setup",
        "setup --recover root",
        "login",
        "login --username alice",
        "passwd",
        "totp enable",
        "totp codes",
    ] {
        let fake = Fake::samples();
        let ran = home.run(&fake, line);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{line}: {ran:?}");
        assert!(ran.err.contains("not a terminal") && ran.err.contains("--password-file"), "{}", ran.err);
        assert!(fake.asked().is_empty());
    }
    let ran = home.run(&Fake::samples(), "login --password hunter2");
    assert_eq!(ran.code, Some(2), "a password is no argument");
}

#[test]
fn a_made_secret_is_shown_once_and_ready_to_use() {
    let fake = Fake::start(|request| match sample(request) {
        Does::Replies(Reply::NewKey(mut new)) => {
            new.key.grace_until = None;
            Does::Replies(Reply::NewKey(new))
        }
        other => other,
    });
    insta::assert_snapshot!(fake.run("key create ci --org acme").out);
    insta::assert_snapshot!(fake.run("token create backup").out);
    let made: serde_json::Value =
        serde_json::from_str(&fake.run("key create ci --org acme --output json").out).unwrap();
    for (field, value) in [("id", "0190-key"), ("name", "ci"), ("secret", "aivx_s")] {
        assert_eq!(made[field], value, "{field}");
    }
}

#[test]
fn a_made_secret_can_go_to_a_file_instead() {
    let home = Home::new();
    let file = home.0.path().join("secret");
    for (line, secret) in [("key create ci", "aivx_s"), ("key rotate ci", "aivx_s"), ("token create t", "s")]
    {
        let fake = Fake::samples();
        let ran = fake.run(&format!("{line} --secret-file {}", file.display()));
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        assert!(!ran.out.contains("aivx_s") && ran.out.contains(file.to_str().unwrap()), "{}", ran.out);
        assert_eq!(fs::read_to_string(&file).unwrap().trim_end(), secret);
        let again = fake.run(&format!("{line} --secret-file {}", file.display()));
        assert_eq!((again.code, again.out.as_str()), (Some(1), ""), "{again:?}");
        fs::remove_file(&file).unwrap();
        let refusing = Fake::start(|_| Does::Refuses(Fault::new(FaultKind::Invalid, "no")));
        refusing.run(&format!("{line} --secret-file {}", file.display()));
        assert!(!file.exists(), "{line}: nothing was made");
    }
}

#[test]
fn an_organization_with_contents_is_not_removed_by_accident() {
    let fake = Fake::samples();
    let ran = fake.run("org remove acme --yes");
    assert_eq!((ran.code, names(&fake)), (Some(1), vec!["organization.show"]), "{ran:?}");
    assert!(
        ran.err.contains("2 users, 3 keys and 1 node") && ran.err.contains("--with-contents"),
        "{}",
        ran.err
    );
    let ran = fake.run("org remove acme --with-contents --yes");
    insta::assert_snapshot!(ran.out);
    for line in [
        "org remove acme --with-contents",
        "user remove alice",
        "user reset-password alice",
        "user reset-totp alice",
        "key revoke ci --org acme",
        "key rotate ci --grace 0s",
        "token revoke backup",
    ] {
        let fake = Fake::samples();
        let ran = fake.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{line}: {ran:?}");
        assert!(ran.err.contains("--yes"), "{line}: {}", ran.err);
        let changed = ["remove", "reset", "revoke", "rotate"];
        assert!(!names(&fake).iter().any(|name| changed.iter().any(|word| name.contains(word))), "{line}");
    }
}
