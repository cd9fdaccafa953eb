//! Who may do what, as the daemon decides it: here only to say so before it is tried. The daemon's own table
//! is what counts; a refusal of it is shown like any other.

use aivonx_protocol::{handshake::Login, user::Role};

use super::{Link, Model};

/// Something one may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// See how the daemon does.
    Status,
    /// See nodes.
    NodesRead,
    /// Add, change, drain and remove nodes.
    NodesWrite,
    /// Pull and remove models.
    ModelsWrite,
}

impl Right {
    /// The roles that have it, as in the daemon's table: `SOAGM` fleet-wide, in small letters bound to an
    /// organization.
    fn roles(self) -> &'static str {
        match self {
            Self::Status => "SOAGMsoagm",
            Self::NodesRead => "SOAoag",
            Self::NodesWrite | Self::ModelsWrite => "SOo",
        }
    }

    /// Whether using it changes something.
    fn changes(self) -> bool {
        !matches!(self, Self::Status | Self::NodesRead)
    }
}

fn letter(role: Role, bound: bool) -> char {
    let letter = match role {
        Role::Superadmin => 'S',
        Role::Operator => 'O',
        Role::Auditor => 'A',
        Role::OrgAdmin => 'G',
        Role::Member => 'M',
    };
    if bound { letter.to_ascii_lowercase() } else { letter }
}

/// Why not, in a few words.
pub(super) fn why_not(model: &Model, right: Right) -> Option<String> {
    let Link::Up { login, .. } = &model.link else { return Some("not connected".into()) };
    if right.changes() && model.settings.read_only {
        return Some("started with --read-only".into());
    }
    if right == Right::Status {
        return None;
    }
    let Some(role) = model.identity.as_ref().and_then(|who| who.role.map(|role| (role, who))) else {
        return Some(match login {
            Login::Setup => "there is no administrator yet".into(),
            Login::Needed | Login::NotNeeded => "not logged in; :login".into(),
        });
    };
    let (role, who) = role;
    if who.must_change_password {
        return Some("the password has to be changed first".into());
    }
    if who.must_enrol {
        return Some("two-factor authentication has to be set up first".into());
    }
    if right.roles().contains(letter(role, who.organization.is_some())) {
        return None;
    }
    let may = Role::ALL
        .into_iter()
        .find(|role| *role != Role::Superadmin && right.roles().contains(letter(*role, false)));
    Some(match may {
        Some(may) => format!("your role is {role}; this takes {may} or superadmin"),
        None => format!("your role is {role}; this takes superadmin"),
    })
}
