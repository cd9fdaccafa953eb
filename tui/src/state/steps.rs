//! What to do next: one step at a time, from a gateway that knows nobody to a chat that streams. The overview
//! shows it, and enter does it.

use aivonx_protocol::{handshake::Login, key::Key, node::NodeKind};

use super::{Link, Model, list::Load, rights::Right};
use crate::{gateway_url::gateway_url, nouns::Standing};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Make the first administrator.
    SetUp,
    /// The same, by somebody who may.
    HaveSetUp,
    /// Begin a session.
    LogIn,
    /// Change the password.
    Password,
    /// Set a second factor up.
    Enrol,
    /// Add a node.
    AddNode,
    /// See why no node can be used.
    MendNode,
    /// Have a model pulled.
    Pull,
    /// Make a key.
    MakeKey,
    /// Try it: there is a line for that.
    Try,
}

impl NextStep {
    /// What to do, in a sentence.
    pub(crate) fn text(self, model: &Model) -> String {
        match self {
            Self::SetUp => "Make the first administrator: nobody can use the gateway before.".into(),
            Self::HaveSetUp => format!(
                "There is no administrator yet. Only root and the daemon's own user can make one: {}",
                set_up_line(model)
            ),
            Self::LogIn => "Log in to see more.".into(),
            Self::Password => "Your password has to be changed before anything else.".into(),
            Self::Enrol => "A second factor has to be set up before anything else.".into(),
            Self::AddNode => "Add a node: a server that runs models.".into(),
            Self::MendNode => {
                "No node can be used yet: see why, and enable, change or check one there.".into()
            }
            Self::Pull => "Have the nodes pull a model: there is none yet.".into(),
            Self::MakeKey => "Make a key: what clients prove themselves with.".into(),
            Self::Try => format!("It serves. Try it: {}", line(model, OF_THE_SHELL)),
        }
    }

    /// What enter does about it; None where somebody else has to.
    pub(crate) fn does(self) -> Option<&'static str> {
        match self {
            Self::HaveSetUp => None,
            Self::Try => Some("copies the line"),
            _ => Some("does it"),
        }
    }
}

/// What to do next, if there is something to do first.
pub(crate) fn next(model: &Model) -> Option<NextStep> {
    let Link::Up { login, .. } = &model.link else { return None };
    let status = model.status.as_ref()?;
    let who = model.identity.as_ref();
    if who.is_none_or(|who| who.role.is_none()) {
        return Some(match login {
            Login::Setup if model.account.may_set_up => NextStep::SetUp,
            Login::Setup => NextStep::HaveSetUp,
            Login::Needed | Login::NotNeeded => NextStep::LogIn,
        });
    }
    if who.is_some_and(|who| who.must_change_password) {
        return Some(NextStep::Password);
    }
    if who.is_some_and(|who| who.must_enrol) {
        return Some(NextStep::Enrol);
    }
    let may = |right| model.why_not(right).is_none();
    let nodes = status.nodes_active + status.nodes_standby + status.nodes_draining + status.nodes_disabled;
    let usable = |key: &Key| {
        matches!(key.state(model.now), "valid" | "rotating") && !model.access.disabled_keys.contains(&key.id)
    };
    let no_key =
        matches!(model.access.keys.load, Load::Ready(_)) && !model.access.keys.all().iter().any(usable);
    if nodes == 0 {
        return may(Right::NodesWrite).then_some(NextStep::AddNode);
    }
    if status.nodes_active == 0 && status.nodes_draining == 0 {
        return may(Right::NodesRead).then_some(NextStep::MendNode);
    }
    if status.nodes_active > 0 && status.models == 0 {
        return may(Right::ModelsWrite).then_some(NextStep::Pull);
    }
    if status.access == "required" && no_key {
        return may(Right::PeopleWrite).then_some(NextStep::MakeKey);
    }
    (status.requests_total == 0 && status.models > 0).then_some(NextStep::Try)
}

/// Stands for a key that the reader has to put in.
pub(crate) const OF_THE_SHELL: &str = "$AIVONX_KEY";

/// A command that shows the gateway answering, word by word. `secret` stands where the key goes; omitted where access
/// is open.
pub(crate) fn line(model: &Model, secret: &str) -> String {
    let status = model.status.as_ref();
    let base = gateway_url(&status.map(|status| status.listen.clone()).unwrap_or_default());
    let key = match status {
        Some(status) if status.access == "open" && secret == OF_THE_SHELL => String::new(),
        _ => format!(" -H 'Authorization: Bearer {secret}'"),
    };
    // The shell puts a variable in between these alone.
    let key = if secret == OF_THE_SHELL { key.replace('\'', "\"") } else { key };
    let Some((name, kind)) = sample(model) else { return format!("curl {base}/api/tags{key}") };
    let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]";
    match kind {
        NodeKind::Openai => {
            let body = format!("{{\"model\":\"{name}\",\"stream\":true,{messages}}}");
            format!("curl -N {base}/v1/chat/completions{key} -d '{body}'")
        }
        // It streams by default.
        NodeKind::Ollama => {
            format!("curl -N {base}/api/chat{key} -d '{{\"model\":\"{name}\",{messages}}}'")
        }
    }
}

/// A command that sets a new password with a code.
pub(crate) fn reset_line(model: &Model, user: &str) -> String {
    let listen = model.status.as_ref().map(|status| status.listen.clone()).unwrap_or_default();
    let base = gateway_url(&listen);
    let secret = super::dialog::SECRET;
    let body = format!("{{\"username\":\"{user}\",\"code\":\"{secret}\",\"password\":\"...\"}}");
    format!("curl {base}/api/account/password/reset -H 'Content-Type: application/json' -d '{body}'")
}

/// A model that answers now, with what its node speaks: one that is loaded before others.
fn sample(model: &Model) -> Option<(&str, NodeKind)> {
    let active = || model.nodes.list.all().iter().filter(|node| Standing::of(node) == Standing::Active);
    // What only embeds cannot chat.
    let fits = |name: &&String| !name.contains("embed") && name.chars().all(plain);
    let loaded = active().find_map(|node| Some((node.loaded.iter().find(fits)?, node.kind)));
    let present = || active().find_map(|node| Some((node.models.iter().find(fits)?, node.kind)));
    loaded.or_else(present).map(|(name, kind)| (&**name, kind))
}

/// Nothing that would end a quotation of the shell or of JSON.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '@' | '+')
}

/// The line that makes the first administrator, for those who may not do it themselves.
pub(crate) fn set_up_line(model: &Model) -> String {
    match &model.link {
        Link::Up { socket, .. } if socket != crate::connect::SYSTEM_SOCKET => {
            format!("sudo aivonx setup --socket {socket}")
        }
        _ => "sudo aivonx setup".to_owned(),
    }
}
