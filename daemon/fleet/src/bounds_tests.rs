use std::sync::Arc;

use aivonx_protocol::strategy::Strategy;

use super::*;
use crate::{Node, address::NodeUrl, catalogue, testing};

/// An endpoint for `url` that is held to `networks`, among others at `others`.
struct Case {
    hot: Arc<Hot>,
    grounds: Arc<Grounds>,
}

impl Case {
    fn new(others: &[&str]) -> Self {
        let hot = Arc::<Hot>::default();
        let node = |url: &&str| {
            let endpoint = Endpoint::new(&NodeUrl::parse(url).unwrap(), None, None, false);
            (Arc::new(Node { endpoint: Arc::new(endpoint), ..testing::node("other") }), None)
        };
        hot.store(catalogue::of(others.iter().map(node).collect(), Strategy::LeastActive));
        Self { grounds: Grounds::new(&hot), hot }
    }

    fn check(&self, networks: Option<&[&str]>, url: &str, address: &str) -> Result<(), DialError> {
        let networks = networks.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let endpoint = Endpoint::new(&NodeUrl::parse(url).unwrap(), None, None, false);
        let bounds = Bounds::new(&self.grounds, "self", networks.as_deref());
        bounds.check(&endpoint, address.parse().unwrap())
    }
}

#[test]
fn only_the_networks_given_are_open() {
    let case = Case::new(&[]);
    let check = |networks: &[&str], address| case.check(Some(networks), "http://x:1", address);
    for closed in ["127.0.0.1:1", "10.0.0.1:1", "192.0.2.1:1", "[::1]:1", "[fd00::1]:1", "[2001:db8::1]:1"] {
        assert!(matches!(check(&[], closed), Err(DialError::Closed)), "{closed}");
        assert!(case.check(None, "http://x:1", closed).is_ok(), "{closed}");
    }
    let networks = ["10.0.0.0/8", "127.0.0.0/8", "2001:db8::/32"];
    for (address, open) in [
        ("10.1.2.3:1", true),
        ("11.1.2.3:1", false),
        ("[::ffff:10.1.2.3]:1", true),
        ("[::ffff:11.1.2.3]:1", false),
        ("[64:ff9b::a01:203]:1", true),
        ("[64:ff9b::b01:203]:1", false),
        ("[2001:db8::1]:1", true),
        // What arrives at this machine is judged so.
        ("0.0.0.0:1", true),
        ("[::]:1", false),
        ("[::1]:1", false),
    ] {
        assert_eq!(check(&networks, address).is_ok(), open, "{address}");
    }
    assert!(check(&["not a network"], "10.0.0.1:1").is_err());
}

#[test]
fn where_a_node_is_there_is_no_other() {
    let case = Case::new(&["http://127.0.0.1:11434/one", "http://10.0.0.7:11434", "https://gpu.example"]);
    let everywhere: &[&str] = &["0.0.0.0/0", "::/0"];
    for (url, address, open) in [
        ("http://127.0.0.1:11434", "127.0.0.1:11434", false),
        ("http://localhost:11434", "[::1]:11434", false),
        ("http://x:11434", "127.0.0.2:11434", false),
        ("http://0.0.0.0:11434", "0.0.0.0:11434", false),
        ("http://x:11434", "[::ffff:10.0.0.7]:11434", false),
        ("http://GPU.example:443", "10.9.9.9:443", false),
        ("http://127.0.0.1:11435", "127.0.0.1:11435", true),
        ("http://10.0.0.8:11434", "10.0.0.8:11434", true),
    ] {
        assert_eq!(case.check(Some(everywhere), url, address).is_ok(), open, "{url}");
        assert!(case.check(None, url, address).is_ok(), "{url}: those of the fleet may");
    }
}

#[test]
fn a_name_takes_no_address_away() {
    let case = Case::new(&[]);
    let all = ["0.0.0.0/0".to_owned()];
    let mut named = Endpoint::new(&NodeUrl::parse("http://rebound.example:1").unwrap(), None, None, false);
    named.bounds = Some(Bounds::new(&case.grounds, "named", Some(&all)));
    named.found_at(&["10.0.0.7:1".parse().unwrap()]);
    let node = Node { endpoint: Arc::new(named), ..testing::node("named") };
    case.hot.store(catalogue::of(vec![(Arc::new(node), None)], Strategy::LeastActive));
    let check = |url| case.check(Some(&["0.0.0.0/0"]), url, "10.0.0.7:1");
    assert!(check("http://10.0.0.7:1").is_ok() && check("http://other.example:1").is_err());
}

#[test]
fn the_gateway_itself_is_no_node_for_anybody() {
    let case = Case::new(&[]);
    let own = |address| matches!(case.check(None, "http://x:1", address), Err(DialError::Own(_)));
    assert!(!own("127.0.0.1:11434"), "before it listens");
    let listeners = ["127.0.0.1:11434", "0.0.0.0:11435", "[::1]:11436", "[::]:11437", "10.0.0.7:11438"];
    case.grounds.set_own(&listeners.map(|listener| listener.parse().unwrap()));
    for (address, is) in [
        ("127.0.0.1:11434", true),
        ("0.0.0.0:11434", true),
        ("[::ffff:127.0.0.1]:11434", true),
        ("[::1]:11434", false),
        ("127.0.0.2:11434", false),
        ("127.0.0.1:11435", true),
        ("127.9.9.9:11435", true),
        ("192.0.2.1:11435", false),
        ("[::1]:11435", false),
        ("[::1]:11436", true),
        ("[::]:11436", true),
        ("[::1]:11437", true),
        ("127.0.0.1:11437", true),
        ("10.0.0.7:11438", true),
        ("127.0.0.1:11438", false),
        ("127.0.0.1:11439", false),
    ] {
        assert_eq!(own(address), is, "{address}");
    }
}
