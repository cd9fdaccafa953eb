//! What lets everyone in who can reach a listener.

use aivonx_protocol::route::{RouteGroup, RouteRule};

use super::{
    model::{AccessMode, Config, Listen},
    sections::LISTEN,
};

/// A key of the configuration that lets everyone in on a listener which other machines reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exposure {
    /// Place of the listener.
    pub(super) at: usize,
    /// Name of the key.
    pub(super) key: String,
    /// What it is set to.
    pub(super) value: &'static str,
    /// What everyone may do by it.
    pub(super) may: &'static str,
}

impl Config {
    pub(super) fn exposures(&self) -> Vec<Exposure> {
        let on_network = |(_, listen): &(usize, &Listen)| !listen.is_on_loopback() && !listen.redirect;
        let each = self.listen.iter().enumerate().filter(on_network);
        each.flat_map(|(at, listen)| self.exposures_of(at, listen)).collect()
    }

    fn exposures_of(&self, at: usize, listen: &Listen) -> Vec<Exposure> {
        if self.mode_of(listen) == AccessMode::Open {
            let own = listen.access.map(|_| format!("{LISTEN}[{at}].access"));
            let key = own.unwrap_or_else(|| "access.mode".to_owned());
            return vec![Exposure { at, key, value: "open", may: "use every model" }];
        }
        let anonymous = listen.routes.iter().filter(|(_, rule)| *rule == RouteRule::Anonymous);
        let exposure = |(group, _): &(RouteGroup, _)| {
            let may = match group {
                RouteGroup::Inference => "use every model",
                RouteGroup::Management => "pull and remove models",
                RouteGroup::Diagnostics => "see what runs",
                // Names of models, and what is there for everyone.
                RouteGroup::Models | RouteGroup::Account | RouteGroup::Open => return None,
            };
            let key = format!("{LISTEN}[{at}].routes.{}", group.as_str());
            Some(Exposure { at, key, value: "anonymous", may })
        };
        anonymous.filter_map(exposure).collect()
    }

    /// The keys by which everyone who can reach a listener off loopback may use the gateway; None if there are none.
    #[must_use]
    pub fn exposed_by(&self) -> Option<String> {
        let each = self.exposures().into_iter().map(|one| format!("{} = \"{}\"", one.key, one.value));
        let mut keys: Vec<_> = each.collect();
        // One mode may be that of several listeners.
        keys.sort();
        keys.dedup();
        (!keys.is_empty()).then(|| keys.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_everyone_in_is_named() {
        let listen = |address: &str| Listen { address: address.parse().unwrap(), ..Listen::default() };
        let mut config =
            Config { listen: vec![listen("127.0.0.1:1"), listen("0.0.0.0:2")], ..Config::default() };
        config.listen[0].access = Some(AccessMode::Open);
        assert_eq!(config.exposed_by(), None);
        let anonymous = |group| (group, RouteRule::Anonymous);
        config.listen[1].routes = [RouteGroup::Models, RouteGroup::Open].map(anonymous).into();
        assert_eq!(config.exposed_by(), None);
        config.listen[1].routes = [RouteGroup::Inference, RouteGroup::Diagnostics].map(anonymous).into();
        let rules =
            "listen[1].routes.diagnostics = \"anonymous\", listen[1].routes.inference = \"anonymous\"";
        assert_eq!(config.exposed_by().as_deref(), Some(rules));
        config.listen[1].redirect = true;
        assert_eq!(config.exposed_by(), None);
        config.listen = vec![listen("0.0.0.0:1"), listen("[::]:2")];
        config.listen[1].access = Some(AccessMode::Open);
        assert_eq!(config.exposed_by().as_deref(), Some("listen[1].access = \"open\""));
        config.access.mode = AccessMode::Open;
        let both = "access.mode = \"open\", listen[1].access = \"open\"";
        assert_eq!(config.exposed_by().as_deref(), Some(both));
    }
}
