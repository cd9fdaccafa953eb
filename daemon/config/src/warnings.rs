//! What a configuration may say, but hardly means.

use aivonx_protocol::Untrusted;

use super::{form::with_scheme, model::Config};

impl Config {
    /// What its administrator should look at; it is in force nevertheless.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.takes_any_host() {
            warnings.push(
                "requests for any host are taken (access.allowed_hosts = [\"*\"]), so any web page can reach the \
                 gateway by DNS rebinding"
                    .to_owned(),
            );
        }
        for origin in self.access.allowed_origins.iter().filter(|origin| !origin.contains("://")) {
            let (written, taken) = (Untrusted::new(origin), with_scheme(origin));
            warnings.push(format!(
                "access.allowed_origins has \"{written}\" without a scheme, which is taken for \"{}\": write that, or \
                 \"http://{written}\" if its pages come without TLS",
                Untrusted::new(&taken)
            ));
        }
        if let Some(postgres) = &self.cluster.postgres
            && postgres.is_plain_tcp()
        {
            warnings.push(
                "cluster.postgres is plain TCP to this machine: who may listen on its loopback reads what is said; use a socket \
                 (?host=/run/postgresql) or sslmode=verify-full"
                    .to_owned(),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_and_origins_without_a_scheme_are_named() {
        let mut config = Config::default();
        assert_eq!(config.warnings(), [""; 0]);
        config.access.allowed_hosts = vec!["*".into()];
        config.access.allowed_origins = vec!["https://a.example".into(), "b.example".into()];
        let [hosts, origin] = &config.warnings()[..] else { panic!("{:?}", config.warnings()) };
        assert!(hosts.contains("access.allowed_hosts"), "{hosts}");
        assert!(origin.contains("\"b.example\"") && origin.contains("\"https://b.example\""), "{origin}");
    }
}
