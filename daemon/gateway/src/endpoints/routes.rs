//! Which group a route is of, and who may ask it where.

use aivonx_config::{AccessMode, Config, Listen};
use aivonx_protocol::{
    key::KeyScope,
    route::{RouteAccess, RouteGroup, RouteRule},
};
use aivonx_wire::api::route::{Action, Need, ROUTES, Route};

/// The group of a route: by what it needs. Logging in needs nothing, and is about the account all the same.
pub(crate) fn group(route: &Route) -> RouteGroup {
    if matches!(route.action, Action::Account(_) | Action::OwnUsage) {
        return RouteGroup::Account;
    }
    match route.need() {
        // Choosing nodes is a field of requests, no route.
        Need::Scope(KeyScope::Infer | KeyScope::NodesChoose) => RouteGroup::Inference,
        Need::Scope(KeyScope::ModelsRead) => RouteGroup::Models,
        Need::Scope(KeyScope::ModelsWrite) => RouteGroup::Management,
        Need::Scope(KeyScope::AdminRead) => RouteGroup::Diagnostics,
        Need::User | Need::UserOrBody => RouteGroup::Account,
        Need::Nothing => RouteGroup::Open,
    }
}

/// Who may ask what on a listener at `address`.
#[must_use]
pub fn access(config: &Config, listen: &Listen, address: &str) -> Vec<RouteAccess> {
    let of = |group_of: RouteGroup| RouteAccess {
        listener: address.to_owned(),
        group: group_of,
        access: said(rule(config, listen, group_of)),
        routes: ROUTES.iter().filter(|route| group(route) == group_of).map(named).collect(),
    };
    RouteGroup::ALL.map(of).into()
}

fn named(route: &Route) -> String {
    let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
    format!("{} {}", methods.join("|"), route.pattern)
}

/// The rule in force for a group.
fn rule(config: &Config, listen: &Listen, group: RouteGroup) -> RouteRule {
    if listen.redirect {
        return RouteRule::Off;
    }
    let given = listen.routes.iter().find(|(of, _)| *of == group).map(|(_, rule)| *rule);
    let is_keyless = config.mode_of(listen) != AccessMode::Required;
    let (free, needs) = match group {
        RouteGroup::Inference => (is_keyless, RouteRule::Scope(KeyScope::Infer)),
        RouteGroup::Models => (is_keyless, RouteRule::Scope(KeyScope::ModelsRead)),
        RouteGroup::Management => {
            (is_keyless && config.access.allow_model_management, RouteRule::Scope(KeyScope::ModelsWrite))
        }
        RouteGroup::Account => (false, RouteRule::Key),
        RouteGroup::Diagnostics => (listen.diagnostics, RouteRule::Scope(KeyScope::AdminRead)),
        RouteGroup::Open => (true, RouteRule::Key),
    };
    match given {
        None if free => RouteRule::Anonymous,
        None => needs,
        Some(rule) => rule,
    }
}

/// A rule in the words of the list. A key that may ask models may ask about them.
fn said(rule: RouteRule) -> String {
    match rule {
        RouteRule::Scope(KeyScope::ModelsRead) => format!("{}|{}", KeyScope::Infer, KeyScope::ModelsRead),
        rule => rule.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(config: &Config) -> Vec<String> {
        let all = access(config, &config.listen[0], "here");
        assert!(all.iter().all(|one| !one.routes.is_empty()));
        all.into_iter().map(|one| one.access).collect()
    }

    #[test]
    fn logging_in_is_about_the_account() {
        let config = Config::default();
        let all = access(&config, &config.listen[0], "here");
        let group_of = |path: &str| {
            let named = |one: &&RouteAccess| one.routes.iter().any(|route| route.ends_with(path));
            all.iter().find(named).unwrap().group
        };
        for path in ["login", "refresh", "logout", "me", "password/reset"] {
            assert_eq!(group_of(&format!(" /api/account/{path}")), RouteGroup::Account, "{path}");
        }
        assert_eq!(group_of(" /health"), RouteGroup::Open);
    }

    #[test]
    fn the_list_says_what_holds() {
        let mut config = Config::default();
        let usual = ["infer", "infer|models:read", "models:write", "key", "admin:read", "anonymous"];
        assert_eq!(shown(&config), usual);
        config.access.mode = AccessMode::Open;
        config.listen[0].diagnostics = true;
        let open = ["anonymous", "anonymous", "models:write", "key", "anonymous", "anonymous"];
        assert_eq!(shown(&config), open);
        config.listen[0].routes = vec![
            (RouteGroup::Inference, RouteRule::Key),
            (RouteGroup::Management, RouteRule::Off),
            (RouteGroup::Diagnostics, RouteRule::Scope(KeyScope::AdminRead)),
        ];
        assert_eq!(shown(&config), ["key", "anonymous", "off", "key", "admin:read", "anonymous"]);
        config.listen[0].redirect = true;
        assert_eq!(shown(&config), ["off"; 6]);
    }
}
