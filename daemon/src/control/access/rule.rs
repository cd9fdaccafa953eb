//! Who has to log in, and what those may ask who have not.

use std::{marker::PhantomData, sync::Arc};

use super::{By, Connection, Peer, Permission, Permitted};
use aivonx_identity::{Actor, RequiredActions};
use aivonx_protocol::{
    Fault, FaultKind, Request, account::Logout, handshake::Login, operation::Operation as _, user::Role,
};

/// How the daemon was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `aivonxd dev`
    Dev,
    /// `aivonxd run`
    Run,
}

/// Who has to log in.
///
/// | | no administrator yet | afterwards |
/// |---|---|---|
/// | `run` | root and the daemon's user may set up; nobody anything else | everyone logs in, root too |
/// | `dev` | root and the daemon's user may do everything | the daemon's user may; the others log in |
/// | `dev --access required` | the same | everyone logs in |
///
/// Besides, anyone who reaches the socket may ask for the daemon's status, and log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRule {
    /// How the daemon was started.
    pub mode: Mode,
    /// The user the daemon runs as.
    pub daemon_uid: u32,
    /// Once there is an administrator, the daemon's user logs in as well. Always so in `run`.
    pub login_required: bool,
}

impl AccessRule {
    /// Whether `peer` could take over the daemon anyway: it keeps its place on the socket, and all its
    /// refusals are logged.
    #[must_use]
    pub fn trusts(&self, peer: &Peer) -> bool {
        peer.uid == 0 || peer.uid == self.daemon_uid
    }

    /// Whether `peer` may do everything without logging in. `set_up` is whether there is an administrator.
    #[must_use]
    pub fn is_superadmin(&self, peer: &Peer, set_up: bool) -> bool {
        match (self.mode, set_up) {
            (Mode::Dev, false) => self.trusts(peer),
            (Mode::Dev, true) => !self.login_required && peer.uid == self.daemon_uid,
            (Mode::Run, _) => false,
        }
    }

    /// Whether `peer` may set up: the first administrator by root and the daemon's own user, a rescue by root alone.
    #[must_use]
    pub fn may_set_up(&self, peer: &Peer, set_up: bool) -> bool {
        peer.uid == 0 || !set_up && self.trusts(peer)
    }

    /// What the handshake asks `peer` to do.
    #[must_use]
    pub fn login(&self, peer: &Peer, set_up: bool) -> Login {
        match (self.is_superadmin(peer, set_up), set_up) {
            (true, _) => Login::NotNeeded,
            (false, false) => Login::Setup,
            (false, true) => Login::Needed,
        }
    }
}

/// Who a connection is from at the moment of a request.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Nobody has logged in on it.
    Stranger,
    /// Somebody had, but the session has ended; says why.
    Ended(&'static str),
    /// Somebody whom an administrator has blocked: they may end their session, and nothing else.
    Blocked(Arc<Actor>),
    /// Somebody, and what they have to do before anything but managing the own account.
    User(Arc<Actor>, RequiredActions),
}

/// What is said to somebody who is blocked.
pub(crate) fn blocked() -> Fault {
    Fault::new(FaultKind::NotPermitted, "you are blocked here").hint("Ask an administrator of the gateway.")
}

/// What is said to somebody who has to do something else first; None if there is nothing.
fn first(owed: RequiredActions) -> Option<Fault> {
    let (message, hint) = match owed {
        RequiredActions { password: true, .. } => {
            ("the password must be changed first", "Change it: aivonx passwd")
        }
        RequiredActions { enrol: true, .. } => {
            ("two-factor authentication must be set up first", "Set it up: aivonx totp enable")
        }
        RequiredActions { .. } => return None,
    };
    Some(Fault::new(FaultKind::NotPermitted, message).hint(hint))
}

/// What is asked, as far as the decision needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    name: &'static str,
    permission: Permission,
    /// It is about the caller's own account.
    own: bool,
}

impl Ask {
    /// What `request` asks.
    pub(crate) fn of(request: &Request) -> Self {
        let own = matches!(request, Request::Account(_));
        Self { name: request.name(), permission: request.needs(), own }
    }

    /// Whether it is a login.
    pub(crate) fn is_login(self) -> bool {
        self.permission == Permission::Login
    }

    /// Decides for `peer`, and says as whom it may. `set_up` is whether there is an administrator; the flag is
    /// whether anyone has said who they are.
    ///
    /// # Errors
    /// `NotPermitted`, saying how to be permitted.
    pub(crate) fn decide(
        self,
        rule: &AccessRule,
        set_up: bool,
        peer: &Peer,
        standing: &Standing,
    ) -> Result<(Arc<Actor>, bool), Fault> {
        let Self { name, permission, own } = self;
        // For these it makes no difference who asks, or it is the uid that counts.
        let free = match permission {
            Permission::Status | Permission::Login | Permission::Identify => true,
            Permission::Setup => rule.may_set_up(peer, set_up),
            _ => false,
        };
        if permission == Permission::Setup && !free {
            return Err(setup_refused(rule, peer, set_up));
        }
        let refused = |why: String| Fault::new(FaultKind::NotPermitted, why);
        match standing {
            Standing::User(actor, owed) => {
                if let Some(fault) = first(*owed).filter(|_| !own && !free) {
                    return Err(fault);
                }
                let bound = actor.organization.is_some();
                if free || permission.is_of(actor.role, bound) {
                    return Ok((actor.clone(), true));
                }
                let of = if bound { " of an organization" } else { "" };
                Err(refused(format!("{}, {}{of}, may not use {name}", actor.name, actor.role))
                    .hint("Ask an administrator whose role includes it."))
            }
            Standing::Stranger if rule.is_superadmin(peer, set_up) => {
                Ok((peer.actor(Role::Superadmin), true))
            }
            Standing::Stranger | Standing::Ended(_) | Standing::Blocked(_) if free => {
                Ok((peer.actor(Role::Member), false))
            }
            Standing::Blocked(actor) if name == Logout::NAME => Ok((actor.clone(), true)),
            Standing::Blocked(_) => Err(blocked()),
            Standing::Ended(why) => Err(refused((*why).to_owned()).hint("Log in again: aivonx login")),
            Standing::Stranger if set_up => {
                Err(refused(format!("{name} needs a login")).hint("Log in: aivonx login"))
            }
            Standing::Stranger => {
                let why = format!("{name} needs an administrator, and there is none yet");
                Err(refused(why).hint(match rule.mode {
                    Mode::Run => "Make the first one: sudo aivonx setup".to_owned(),
                    Mode::Dev => format!(
                        "Run the command as the user who started aivonxd (uid {}), or as root.",
                        rule.daemon_uid
                    ),
                }))
            }
        }
    }
}

/// Whether `request` may be made on `connection`. See [`Ask::decide`].
///
/// # Errors
/// `NotPermitted`, saying how to be permitted.
pub(crate) fn check(
    rule: &AccessRule,
    set_up: bool,
    connection: &Arc<Connection>,
    standing: &Standing,
    request: Request,
) -> Result<Permitted, Fault> {
    let (actor, known) = Ask::of(&request).decide(rule, set_up, connection.peer(), standing)?;
    let by = By { connection: connection.clone(), actor, known, operation: PhantomData };
    Ok(Permitted { request, by })
}

fn setup_refused(rule: &AccessRule, peer: &Peer, set_up: bool) -> Fault {
    let (why, hint) = if set_up {
        ("rescue a user", "Run the command as root: sudo aivonx setup --recover USER".to_owned())
    } else {
        let hint = match rule.mode {
            Mode::Run => "Run the command as root: sudo aivonx setup".to_owned(),
            Mode::Dev => format!("Run it as the user who started aivonxd (uid {}).", rule.daemon_uid),
        };
        ("set up the gateway", hint)
    };
    Fault::new(FaultKind::NotPermitted, format!("uid {} may not {why}", peer.uid)).hint(hint)
}
