//! What the keys do: one list, which dispatch, the hint bar and the help read.

mod bindings;
mod does;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(crate) use self::{
    bindings::BINDINGS,
    does::{Do, Scope},
};
use crate::state::{Dialog, Model, Right, Screen};

/// One binding.
#[derive(Debug)]
pub(crate) struct Binding {
    /// Where it holds.
    pub(crate) scope: Scope,
    /// The keys, the one to show first.
    pub(crate) keys: &'static [&'static str],
    /// What they do.
    pub(crate) does: Do,
    /// A word or two for the hint bar; empty for what everybody knows.
    pub(crate) hint: &'static str,
    /// A line for the help.
    pub(crate) help: &'static str,
    /// What one must be allowed to do for it.
    pub(crate) right: Option<Right>,
}

/// Where the keys go now, the first that knows a key decides.
pub(crate) fn scopes(model: &Model) -> Vec<Scope> {
    if model.account.lock.is_some() {
        return vec![Scope::Lock];
    }
    let own = if let Some(line) = &model.line {
        match line.kind {
            crate::state::line::LineKind::Command => vec![Scope::Command],
            crate::state::line::LineKind::Filter => vec![Scope::Filter],
        }
    } else if let Some(dialog) = model.dialogs.last() {
        vec![match dialog {
            Dialog::Form(form) if form.is_of_node() => {
                return vec![Scope::NodeForm, Scope::Form, Scope::Always];
            }
            Dialog::Form(_) => Scope::Form,
            Dialog::Confirm(confirm) if confirm.typed.is_some() => Scope::Typed,
            Dialog::Confirm(_) => Scope::Confirm,
            Dialog::Reveal(_) => Scope::Reveal,
            Dialog::Text(_) | Dialog::Help(_) => Scope::Text,
            Dialog::Enrol(_) => Scope::Enrol,
        }]
    } else {
        screen(model).to_vec()
    };
    own.into_iter().chain([Scope::Always]).collect()
}

/// Where the keys of the screen go.
pub(crate) fn screen(model: &Model) -> &'static [Scope] {
    use crate::state::{access, models, security, usage};
    const fn tab(own: Scope, common: Scope) -> [Scope; 4] {
        [own, common, Scope::List, Scope::Everywhere]
    }
    match model.screen {
        Screen::Overview => &[Scope::Overview, Scope::Everywhere],
        Screen::Nodes => &[Scope::Nodes, Scope::List, Scope::Everywhere],
        Screen::Models => match model.models.tab {
            models::Tab::Models => const { &tab(Scope::Models, Scope::ModelTabs) },
            models::Tab::Kept => const { &tab(Scope::Kept, Scope::ModelTabs) },
            models::Tab::Strategies => const { &tab(Scope::ModelStrategies, Scope::ModelTabs) },
            models::Tab::Restrictions => const { &tab(Scope::Restrictions, Scope::ModelTabs) },
        },
        Screen::Jobs => &[Scope::Jobs, Scope::List, Scope::Everywhere],
        Screen::Access => match model.access.tab {
            access::Tab::Organizations => const { &tab(Scope::Organizations, Scope::Access) },
            access::Tab::Users => const { &tab(Scope::Users, Scope::Access) },
            access::Tab::Keys => const { &tab(Scope::Keys, Scope::Access) },
        },
        Screen::Usage if model.is_patterns() => &[Scope::Patterns, Scope::List, Scope::Everywhere],
        Screen::Usage if model.is_limits() => match model.usage.tab {
            usage::Tab::Models | usage::Tab::Nodes if !model.usage.is_own() => {
                &[Scope::Chart, Scope::Usage, Scope::List, Scope::Everywhere]
            }
            _ => &[Scope::Limits, Scope::Chart, Scope::Usage, Scope::List, Scope::Everywhere],
        },
        Screen::Usage => match model.usage.tab {
            usage::Tab::Prices => const { &tab(Scope::Prices, Scope::Usage) },
            usage::Tab::Policies | usage::Tab::Aliases => const { &tab(Scope::Policies, Scope::Usage) },
            _ => &[Scope::Usage, Scope::List, Scope::Everywhere],
        },
        Screen::Logs => &[Scope::Logs, Scope::List, Scope::Everywhere],
        Screen::Audit => &[Scope::Audit, Scope::List, Scope::Everywhere],
        Screen::Requests => &[Scope::Requests, Scope::List, Scope::Everywhere],
        Screen::Security => match model.security.tab {
            security::Tab::Lockouts => const { &tab(Scope::Lockouts, Scope::Security) },
            security::Tab::Sessions => const { &tab(Scope::Sessions, Scope::Security) },
            security::Tab::Secrets => const { &tab(Scope::Secrets, Scope::Security) },
            security::Tab::Snapshots => const { &tab(Scope::Snapshots, Scope::Security) },
            security::Tab::Blocks => const { &tab(Scope::Blocks, Scope::Security) },
            security::Tab::Incidents => const { &tab(Scope::Incidents, Scope::Security) },
            security::Tab::Check => const { &tab(Scope::Check, Scope::Security) },
        },
    }
}

/// The binding of a key, as things stand.
pub(crate) fn find(model: &Model, event: &KeyEvent) -> Option<&'static Binding> {
    let name = name(event)?;
    scopes(model).into_iter().find_map(|scope| {
        BINDINGS.iter().find(|binding| binding.scope == scope && binding.keys.contains(&&*name))
    })
}

/// The bindings that hold now, scope by scope.
pub(crate) fn holding(scopes: &[Scope]) -> Vec<&'static Binding> {
    scopes.iter().flat_map(|scope| BINDINGS.iter().filter(move |binding| binding.scope == *scope)).collect()
}

/// A key as the list spells it.
pub(crate) fn name(event: &KeyEvent) -> Option<String> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    if event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META) {
        return None;
    }
    let base = match event.code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(c) if control => c.to_lowercase().to_string(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Enter => "enter".to_owned(),
        KeyCode::Esc => "esc".to_owned(),
        KeyCode::Tab => "tab".to_owned(),
        KeyCode::BackTab => "backtab".to_owned(),
        KeyCode::Up => "up".to_owned(),
        KeyCode::Down => "down".to_owned(),
        KeyCode::Left => "left".to_owned(),
        KeyCode::Right => "right".to_owned(),
        KeyCode::Home => "home".to_owned(),
        KeyCode::End => "end".to_owned(),
        KeyCode::PageUp => "pgup".to_owned(),
        KeyCode::PageDown => "pgdn".to_owned(),
        KeyCode::Delete => "del".to_owned(),
        _ => return None,
    };
    Some(if control { format!("ctrl-{base}") } else { base })
}
