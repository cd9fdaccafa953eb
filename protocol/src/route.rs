//! What may be asked where: groups of routes on the listeners.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{key::KeyScope, operation::operations};

/// Routes that are opened and closed together, by what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteGroup {
    /// What models do.
    Inference,
    /// Which models there are.
    Models,
    /// Pulling, making and removing models.
    Management,
    /// The caller's own account.
    Account,
    /// Metrics and the state of the gateway.
    Diagnostics,
    /// What is told without a key: health, version.
    Open,
}

impl RouteGroup {
    /// Every one, in the order of the enum.
    pub const ALL: [Self; 6] =
        [Self::Inference, Self::Models, Self::Management, Self::Account, Self::Diagnostics, Self::Open];

    /// The word in the configuration and in lists.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Models => "models",
            Self::Management => "management",
            Self::Account => "account",
            Self::Diagnostics => "diagnostics",
            Self::Open => "open",
        }
    }
}

/// Who may ask a group of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteRule {
    /// Nobody: as if there were no such routes.
    Off,
    /// Everyone, without a key too.
    Anonymous,
    /// Keys and tokens that may do what the routes need.
    Key,
    /// Keys and tokens with this scope, instead of what the routes need.
    Scope(KeyScope),
}

/// A text that is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no access; use off, anonymous, key or a scope (infer, models:read, models:write, admin:read)")]
pub struct NoRouteRule;

impl FromStr for RouteRule {
    type Err = NoRouteRule;

    fn from_str(text: &str) -> Result<Self, NoRouteRule> {
        match text {
            "off" => Ok(Self::Off),
            "anonymous" => Ok(Self::Anonymous),
            "key" => Ok(Self::Key),
            // To choose a node is no use where nothing can be asked of it.
            scope => match scope.parse() {
                Ok(KeyScope::NodesChoose) | Err(_) => Err(NoRouteRule),
                Ok(scope) => Ok(Self::Scope(scope)),
            },
        }
    }
}

impl fmt::Display for RouteRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Off => "off",
            Self::Anonymous => "anonymous",
            Self::Key => "key",
            Self::Scope(scope) => scope.as_str(),
        })
    }
}

/// Who may ask a group of routes on a listener. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAccess {
    /// Address of the listener.
    pub listener: String,
    /// The group.
    pub group: RouteGroup,
    /// `off`, `anonymous`, `key` (one that may do what the route needs), or the scope that a key or token needs; of several
    /// with `|` between them, one.
    pub access: String,
    /// Methods and path of each route.
    pub routes: Vec<String>,
}

operations! {
    /// Requests about routes.
    Request::Route(RouteRequest);

    /// Who may ask what, on each listener.
    "route.list" List -> Vec<RouteAccess> as Routes, needs ConfigRead;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in ["off", "anonymous", "key", "infer", "models:read", "models:write", "admin:read"] {
            assert_eq!(text.parse::<RouteRule>().unwrap().to_string(), text);
        }
        for text in ["", "Key", "nodes:choose", "infer,models:read"] {
            assert!(text.parse::<RouteRule>().is_err(), "{text}");
        }
    }
}
