//! Where the gateway can be reached from here.

use std::net::SocketAddr;

/// Where a gateway listens by default.
const BASE: &str = "http://127.0.0.1:11435";

/// Base URL of a gateway that listens on these addresses.
pub(crate) fn gateway_url(listen: &[String]) -> String {
    let address = listen.iter().find_map(|text| text.parse::<SocketAddr>().ok());
    address.map_or_else(
        || BASE.to_owned(),
        |mut address| {
            if address.ip().is_unspecified() {
                address.set_ip(if address.is_ipv4() {
                    [127, 0, 0, 1].into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            format!("http://{address}")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_works_from_here() {
        let of =
            |listen: &[&str]| gateway_url(&listen.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), BASE);
        assert_eq!(of(&["0.0.0.0:8080", "10.0.0.1:1"]), "http://127.0.0.1:8080");
        assert_eq!(of(&["[::]:8080"]), "http://[::1]:8080");
        assert_eq!(of(&["elsewhere", "10.0.0.1:80"]), "http://10.0.0.1:80");
    }
}
