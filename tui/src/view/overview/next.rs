//! What to do next, as long as something is missing before the gateway is of use.

use aivonx_protocol::{daemon::Status, handshake::Login};
use ratatui::text::{Line, Span};

use super::{heading, nodes};
use crate::{
    model::{Link, Model},
    theme::Tone,
    widgets::text::wrap,
};

fn no_key(model: &Model) -> bool {
    matches!(model.people.keys.load, crate::model::list::Load::Ready(_)) && model.people.keys.all().is_empty()
}

/// Leads by the hand as far as there is something to do first.
pub(super) fn lines(model: &Model, status: &Status, width: u16) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    let login = match &model.link {
        Link::Up { login, .. } => *login,
        _ => Login::Needed,
    };
    let steps: Vec<String> = if !status.set_up && login == Login::Setup {
        vec!["There is no administrator yet. Make one: aivonx setup, as root.".into()]
    } else if model.identity.as_ref().is_none_or(|who| who.role.is_none()) {
        vec!["Log in to see more: :login".into()]
    } else if nodes(status) == 0 {
        vec!["Add a server that runs models: 2, then a".into()]
    } else if status.nodes_active > 0 && status.models == 0 {
        vec!["Have the nodes download a model: 3, then p".into()]
    } else if status.access == "required" && no_key(model) {
        vec!["Make a key for your clients: :keys, then a".into()]
    } else if status.access != "required" && status.requests_total == 0 {
        let base = crate::cli::key::base(&status.listen);
        vec![format!("It serves. Try it: curl {base}/api/tags")]
    } else {
        Vec::new()
    };
    if steps.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading(model, "Next")];
    for step in steps {
        for part in wrap(&step, usize::from(width.saturating_sub(6))) {
            lines.push(Line::from(Span::styled(format!("    {part}"), theme.style(Tone::Accent))));
        }
    }
    lines
}
