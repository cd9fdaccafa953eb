//! What the audit log notes of an operation.

use serde::Serialize;

use crate::action::Action;

/// What is noted of an operation, successful or not: in the words of the protocol, and without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// What is done.
    pub action: Action,
    /// What kind of object it is done to.
    pub kind: &'static str,
    /// Name or id of the object, as the caller named it; empty if it has none.
    pub object: String,
    /// Slug or id of the organization that the caller named.
    pub organization: Option<String>,
    /// What else is asked.
    pub details: Vec<(&'static str, String)>,
}

impl Noted {
    /// Says that `action` is done to `object`, the name or id of a `kind`; empty if it has none.
    #[must_use]
    pub fn new(action: Action, kind: &'static str, object: &str) -> Self {
        Self { action, kind, object: object.to_owned(), organization: None, details: Vec::new() }
    }

    /// An update of an organization, or, without one, of the fleet's `kind`.
    pub(crate) fn on_organization(kind: &'static str, organization: Option<&str>) -> Self {
        let noted = match organization {
            Some(organization) => Self::new(Action::Update, "organization", organization),
            None => Self::new(Action::Update, kind, ""),
        };
        noted.of_organization(organization)
    }

    /// A detail. Never given anything that holds a secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        let value = match serde_json::to_value(value) {
            Ok(serde_json::Value::Null) => "none".to_owned(),
            Ok(serde_json::Value::String(text)) => text,
            Ok(value) => value.to_string(),
            // Only maps with keys that are no texts cannot be written, and there are none.
            Err(_) => return self,
        };
        self.details.push((name, value));
        self
    }

    /// The same, if there is one.
    #[must_use]
    pub fn maybe<T: Serialize>(self, name: &'static str, value: &Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The organization that the caller named.
    #[must_use]
    pub fn of_organization(mut self, organization: Option<&str>) -> Self {
        self.organization = organization.map(str::to_owned);
        self
    }
}
