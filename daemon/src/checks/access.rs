//! Who reaches the gateway, and what crosses the network in clear.

use std::net::{IpAddr, Ipv6Addr};

use aivonx_config::Config;
use aivonx_domain::named;
use aivonx_fleet::address::NodeUrl;
use aivonx_protocol::{check::max_age, network::Network, node::Node, secrets::Check};

/// The steps in which `Strict-Transport-Security` is raised, seconds.
const HSTS_FULL: u64 = 31_536_000;

/// Whether clients of other machines reach a listener without TLS.
pub(super) fn plain(config: &Config) -> Check {
    let plain =
        |listen: &&aivonx_config::Listen| listen.is_plain_on_a_network() && !config.is_for_proxies(listen);
    let found: Vec<String> =
        config.listen.iter().filter(plain).map(|listen| listen.address.to_string()).collect();
    if found.is_empty() {
        return Check::ok("plain listeners", "prompts and keys of other machines come encrypted");
    }
    Check::fail(
        "plain listeners",
        format!("everyone on the way reads prompts and keys that come to {}", named(&found)),
        "give them tls_cert and tls_key, or acme, or let nobody but a proxy of proxy.trusted connect (allow)",
    )
}

/// Whether everyone who can connect may use the gateway.
pub(super) fn open(config: &Config) -> Check {
    match config.exposed_by() {
        None => Check::ok("open access", "nobody of another machine gets in without a key"),
        Some(keys) => Check::fail(
            "open access",
            format!("everyone who can reach a listener may use the gateway ({keys})"),
            "set access.mode = \"required\", and give clients keys: aivonx key create NAME",
        ),
    }
}

/// Whether web pages can have browsers ask under names of their own.
pub(super) fn hosts(config: &Config) -> Check {
    if config.takes_any_host() {
        let fix = "name the hosts that clients use in access.allowed_hosts";
        return Check::warn("allowed hosts", "requests for any host are taken", fix);
    }
    Check::ok("allowed hosts", "requests for other hosts are refused")
}

/// Shortest prefixes of a network that can be somebody's own: 10.0.0.0/8, and the /32 that a provider of IPv6 is given,
/// which has room for as many sites (/56) as a /8 of IPv4 has addresses. fc00::/7 is nobody else's (RFC 4193).
const OWN_V4: u8 = 8;
const OWN_V6: u8 = 32;

/// Whether clients of other people are in it too.
fn is_wide(network: Network) -> bool {
    match network.address() {
        IpAddr::V4(_) => network.prefix() < OWN_V4,
        IpAddr::V6(_) => {
            let local = Network::around(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0).into(), 7);
            network.prefix() < OWN_V6 && !local.covers(&network)
        }
    }
}

/// Whether clients can say that they are somebody else.
pub(super) fn proxies(config: &Config) -> Check {
    let wide = config.proxy.trusted.iter().filter(|network| is_wide(**network));
    let found: Vec<String> = wide.map(Network::to_string).collect();
    if found.is_empty() {
        return Check::ok("trusted proxies", "nobody else says for whom a request is");
    }
    Check::fail(
        "trusted proxies",
        format!(
            "clients can forge the address that limits, lockouts and blocks go by: all of {} is trusted",
            named(&found)
        ),
        "name the addresses of the proxies alone in proxy.trusted",
    )
}

/// Whether browsers stay with HTTPS for a year.
pub(super) fn hsts(config: &Config) -> Check {
    let https = config.listen.iter().any(aivonx_config::Listen::speaks_tls);
    match max_age(&config.headers.hsts) {
        _ if !https => Check::ok("hsts", "no listener speaks HTTPS"),
        Some(HSTS_FULL..) => Check::ok("hsts", "browsers stay with HTTPS for a year"),
        found => Check::warn(
            "hsts",
            format!("browsers stay with HTTPS for {} s", found.unwrap_or_default()),
            "raise headers.hsts in the steps of aivonx-security(7); aivonx check --probe URL names the next",
        ),
    }
}

/// Whether what goes to nodes of other machines is encrypted.
pub(super) fn nodes(nodes: &[Node]) -> Check {
    let plain = |node: &&Node| !node.simulated && is_plain_on_a_network(&node.url);
    let found: Vec<&str> = nodes.iter().filter(plain).map(|node| &*node.name).collect();
    if found.is_empty() {
        return Check::ok("plain nodes", "what goes to other machines is encrypted");
    }
    let finding = format!("prompts go in clear over the network to {}", named(&found));
    let fix =
        "let the node speak HTTPS: aivonx node set NODE --url https://...; or keep its network to yourself";
    let with_secret = nodes.iter().any(|node| plain(&node) && node.credential != "none");
    if with_secret {
        return Check::fail("plain nodes", format!("{finding}, with credentials of nodes"), fix);
    }
    Check::warn("plain nodes", finding, fix)
}

fn is_plain_on_a_network(url: &str) -> bool {
    let is_here = |ip: IpAddr| ip.to_canonical().is_loopback();
    NodeUrl::parse(url)
        .is_ok_and(|url| !url.https && &*url.host != "localhost" && !url.host.parse().is_ok_and(is_here))
}

#[cfg(test)]
mod tests {
    use aivonx_config::{AccessMode, Listen};
    use aivonx_protocol::{
        Reply,
        secrets::CheckOutcome::{Fail, Ok, Warn},
    };

    use super::*;

    fn config(address: &str) -> Config {
        let listen = Listen { address: address.parse().unwrap(), ..Listen::default() };
        Config { listen: vec![listen], ..Config::default() }
    }

    fn node(url: &str) -> Node {
        let samples = Reply::samples().into_iter();
        let mut found =
            samples.filter_map(|reply| if let Reply::Node(node) = reply { Some(*node) } else { None });
        Node { url: url.into(), credential: "none".into(), ..found.next().unwrap() }
    }

    #[test]
    fn listeners_are_judged_by_who_reaches_them() {
        assert_eq!(plain(&config("127.0.0.1:1")).outcome, Ok);
        let mut open_one = config("192.0.2.1:1");
        assert_eq!(plain(&open_one).outcome, Fail);
        assert_eq!(open(&open_one).outcome, Ok);
        open_one.access.mode = AccessMode::Open;
        assert_eq!(open(&open_one).outcome, Fail);
        open_one.listen[0].tls_cert = vec!["/cert".into()];
        assert_eq!(plain(&open_one).outcome, Ok);
        open_one.access.allowed_hosts = vec!["*".into()];
        assert_eq!([hosts(&open_one).outcome, hosts(&config("127.0.0.1:1")).outcome], [Warn, Ok]);
    }

    #[test]
    fn proxies_are_not_everybody() {
        for (network, outcome) in [
            ("10.0.0.0/8", Ok),
            ("192.0.2.7", Ok),
            ("0.0.0.0/0", Fail),
            ("0.0.0.0/1", Fail),
            ("::/0", Fail),
            ("fc00::/7", Ok),
            ("fd00::/8", Ok),
            ("2001:db8::/32", Ok),
            ("2001:db8::/31", Fail),
            ("2000::/8", Fail),
            ("::ffff:0:0/96", Fail),
        ] {
            let mut config = config("127.0.0.1:1");
            config.proxy.trusted = vec![network.parse().unwrap()];
            assert_eq!(proxies(&config).outcome, outcome, "{network}");
        }
    }

    #[test]
    fn short_hsts_is_named() {
        let mut config = config("192.0.2.1:1");
        assert_eq!(hsts(&config).outcome, Ok);
        config.listen[0].tls_cert = vec!["/cert".into()];
        assert_eq!(hsts(&config).outcome, Ok);
        for short in ["max-age=300", "", "includeSubDomains; max-age=2592000"] {
            config.headers.hsts = short.into();
            assert_eq!(hsts(&config).outcome, Warn, "{short}");
        }
    }

    #[test]
    fn nodes_in_clear_are_named() {
        for (url, outcome) in [
            ("http://127.0.0.1:11434", Ok),
            ("http://[::1]:11434", Ok),
            ("http://localhost:1", Ok),
            ("https://10.0.0.7:1", Ok),
            ("http://10.0.0.7:11434", Warn),
            ("http://gpu1:11434", Warn),
        ] {
            assert_eq!(nodes(&[node(url)]).outcome, outcome, "{url}");
        }
        let secret = Node { credential: "bearer".into(), ..node("http://gpu1:11434") };
        assert_eq!(nodes(&[secret]).outcome, Fail);
    }
}
