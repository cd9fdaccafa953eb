//! What no key shows alone: rules about several.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    exposed::Exposure,
    find::{Find, Places},
    model::{AccessMode, AcmeChallenge, Config, Listen, LogTarget},
    sections::LISTEN,
    units::{show_size, show_time},
};

/// Breaches of those rules. Keys in `bad` have mistakes already and are left out of it.
pub(super) fn mistakes(config: &Config, places: &Places, bad: &BTreeSet<String>) -> Vec<Find> {
    let rules = Rules { config, places, bad };
    let mut finds = Vec::new();
    if !bad.contains(LISTEN) {
        rules.open_to_a_network(&mut finds);
        rules.plain_on_a_network(&mut finds);
        rules.certificates_without_keys(&mut finds);
        rules.hosts_on_a_network(&mut finds);
        rules.redirects_with_certificates(&mut finds);
        rules.certificates_without_an_authority(&mut finds);
        rules.twice_the_same_listener(&mut finds);
    }
    rules.budget_below_one_body(&mut finds);
    rules.log_file_unused(&mut finds);
    rules.sums_before_records(&mut finds);
    finds
}

struct Rules<'a> {
    config: &'a Config,
    places: &'a Places,
    bad: &'a BTreeSet<String>,
}

impl Rules<'_> {
    fn usable(&self, keys: &[impl AsRef<str>]) -> bool {
        !keys.iter().any(|key| self.bad.contains(key.as_ref()))
    }

    /// The place of the first of `keys` that is given.
    fn place(&self, keys: &[&str]) -> Range<usize> {
        keys.iter().find_map(|key| self.places.get(*key)).cloned().unwrap_or(0..0)
    }

    fn listen_place(&self, at: usize) -> Range<usize> {
        self.place(&[&format!("{LISTEN}[{at}].address"), &format!("{LISTEN}[{at}]")])
    }

    fn open_to_a_network(&self, finds: &mut Vec<Find>) {
        let access = &self.config.access;
        if access.i_understand || !self.usable(&["access.mode", "access.i_understand"]) {
            return;
        }
        for Exposure { at, key, value, may } in self.config.exposures() {
            let named = |name: &str| format!("{LISTEN}[{at}].{name}");
            if !self.usable(&["address", "access", "routes", "redirect"].map(named)) {
                continue;
            }
            let listen = self.config.listen[at].address;
            finds.push(Find {
                span: self.listen_place(at),
                what: format!(
                    "{} is {listen}, not loopback, and {key} is \"{value}\": everyone who can reach it may {may}",
                    named("address")
                ),
                accepted: Some("a loopback address, or any with access.i_understand = true".into()),
                fix: Some(format!(
                    "listen on \"127.0.0.1:{}\", or write i_understand = true under [access] if the network is trusted",
                    listen.port()
                )),
            });
        }
    }

    fn plain_on_a_network(&self, finds: &mut Vec<Find>) {
        // What `open` needs is said above, and who understands that understands this.
        if self.config.access.i_understand || !self.usable(&["access.mode", "access.i_understand"]) {
            return;
        }
        for (at, listen) in self.config.listen.iter().enumerate() {
            let key = |name: &str| format!("{LISTEN}[{at}].{name}");
            if listen.i_understand
                || !listen.is_plain_on_a_network()
                || self.config.mode_of(listen) == AccessMode::Open
                || self.config.is_for_proxies(listen)
                || !self.usable(&["address", "tls_cert", "acme", "i_understand", "allow", "access"].map(key))
                || !self.usable(&["proxy.trusted"])
            {
                continue;
            }
            finds.push(Find {
                span: self.listen_place(at),
                what: format!(
                    "{} is {}, not loopback, and without TLS: everyone on the way reads prompts and keys",
                    key("address"),
                    listen.address
                ),
                accepted: Some("a loopback address, or any with tls_cert and tls_key, or acme".into()),
                fix: Some(format!(
                    "name a certificate and its key with tls_cert and tls_key (aivonxd gen-cert makes some), have one issued with \
                     acme, listen on \"127.0.0.1:{}\", or write redirect = true to send clients to HTTPS, or i_understand = true below this address if the network is trusted",
                    listen.address.port()
                )),
            });
        }
    }

    fn certificates_without_keys(&self, finds: &mut Vec<Find>) {
        for (at, listen) in self.config.listen.iter().enumerate() {
            let client_ca = format!("{LISTEN}[{at}].client_ca");
            if listen.client_ca.is_some() && !listen.speaks_tls() && self.usable(&[&client_ca]) {
                finds.push(Find {
                    span: self.place(&[&client_ca]),
                    what: format!(
                        "{client_ca} is given, but the listener speaks plain HTTP, in which nobody shows one"
                    ),
                    accepted: None,
                    fix: Some("give tls_cert and tls_key, or acme, as well, or remove client_ca".into()),
                });
            }
            let (cert, key) = (format!("{LISTEN}[{at}].tls_cert"), format!("{LISTEN}[{at}].tls_key"));
            let (certs, keys) = (listen.tls_cert.len(), listen.tls_key.len());
            if certs == keys || !self.usable(&[&cert, &key]) {
                continue;
            }
            let count = |n, noun| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
            finds.push(Find {
                span: self.place(&[if certs > keys { &cert } else { &key }]),
                what: format!("{cert} names {}, but {key} {}", count(certs, "file"), count(keys, "file")),
                accepted: Some("a key for each certificate, in the same order".into()),
                fix: Some("name both, or none for plain HTTP".into()),
            });
        }
    }

    fn hosts_on_a_network(&self, finds: &mut Vec<Find>) {
        let key = "access.allowed_hosts";
        if !self.config.access.allowed_hosts.is_empty() || !self.usable(&[key]) {
            return;
        }
        let on_network = |listen: &Listen| !listen.is_on_loopback();
        let Some(at) = self.config.listen.iter().position(on_network) else { return };
        let address = format!("{LISTEN}[{at}].address");
        if !self.usable(&[&address]) {
            return;
        }
        finds.push(Find {
            span: self.listen_place(at),
            what: format!(
                "{address} is {}, not loopback, and {key} names no host",
                self.config.listen[at].address
            ),
            accepted: Some(
                "a loopback address, or any with the names of the gateway in access.allowed_hosts".into(),
            ),
            fix: Some(
                "write allowed_hosts = [\"gateway.example.org\"] under [access], or [\"*\"] for any name"
                    .into(),
            ),
        });
    }

    fn redirects_with_certificates(&self, finds: &mut Vec<Find>) {
        for (at, listen) in self.config.listen.iter().enumerate() {
            let key = format!("{LISTEN}[{at}].redirect");
            if listen.redirect && listen.speaks_tls() && self.usable(&[&key]) {
                finds.push(Find {
                    span: self.place(&[&key]),
                    what: format!("{key} is true, but the listener speaks HTTPS itself"),
                    accepted: None,
                    fix: Some("remove redirect, or tls_cert and tls_key, or acme".into()),
                });
            }
        }
    }

    fn certificates_without_an_authority(&self, finds: &mut Vec<Find>) {
        let acme = &self.config.acme;
        let Some(at) = self.config.listen.iter().position(|listen| !listen.acme.is_empty()) else { return };
        let key = format!("{LISTEN}[{at}].acme");
        if !acme.accept_terms && self.usable(&[&key, "acme.accept_terms"]) {
            finds.push(Find {
                span: self.place(&["acme.accept_terms", &key]),
                what: format!(
                    "{key} is given, but acme.accept_terms is not true, and no authority issues without"
                ),
                accepted: None,
                fix: Some(format!(
                    "read the terms of service of {}, and write accept_terms = true under [acme]",
                    acme.directory
                )),
            });
        }
        let answers = self.config.listen.iter().any(|listen| listen.redirect);
        if acme.challenge == AcmeChallenge::Http01 && !answers && self.usable(&["acme.challenge"]) {
            finds.push(Find {
                span: self.place(&["acme.challenge"]),
                what: "acme.challenge is \"http-01\", but no listener has redirect = true, which answers it"
                    .into(),
                accepted: None,
                fix: Some(
                    "add a listener with redirect = true on port 80, or write challenge = \"tls-alpn-01\""
                        .into(),
                ),
            });
        }
    }

    fn twice_the_same_listener(&self, finds: &mut Vec<Find>) {
        let mut seen = BTreeMap::new();
        for (at, listen) in self.config.listen.iter().enumerate() {
            // Port 0 is another one every time.
            if listen.address.port() == 0 || !self.usable(&[&format!("{LISTEN}[{at}].address")]) {
                continue;
            }
            let Some(first) = seen.insert(listen.address, at) else { continue };
            seen.insert(listen.address, first);
            finds.push(Find {
                span: self.listen_place(at),
                what: format!(
                    "{LISTEN}[{at}].address is {}, as {LISTEN}[{first}].address is",
                    listen.address
                ),
                accepted: None,
                fix: Some("keep one of the two, or give this one another port".into()),
            });
        }
    }

    fn budget_below_one_body(&self, finds: &mut Vec<Find>) {
        let (budget, body) = ("limits.body_budget_bytes", "limits.body_bytes");
        let limits = &self.config.limits;
        if limits.body_budget_bytes >= limits.body_bytes || !self.usable(&[budget, body]) {
            return;
        }
        let (most, one) = (show_size(limits.body_budget_bytes), show_size(limits.body_bytes));
        finds.push(Find {
            span: self.place(&[budget, body]),
            what: format!("{budget} is {most}, which is less than one body of {body}, {one}"),
            accepted: Some(format!("at least {one}")),
            fix: Some(format!(
                "raise body_budget_bytes to \"{one}\" or more, or lower body_bytes to \"{most}\""
            )),
        });
    }

    fn sums_before_records(&self, finds: &mut Vec<Find>) {
        let (records, sums) = ("usage.records", "usage.sums");
        let usage = &self.config.usage;
        if usage.sums >= usage.records || !self.usable(&[records, sums]) {
            return;
        }
        let (short, long) = (show_time(usage.sums), show_time(usage.records));
        finds.push(Find {
            span: self.place(&[sums, records]),
            what: format!("{sums} is {short}, which is less than {records}, {long}"),
            accepted: Some(format!("at least {long}")),
            fix: Some(format!("raise sums to \"{long}\" or more, or lower records to \"{short}\"")),
        });
    }

    fn log_file_unused(&self, finds: &mut Vec<Find>) {
        let log = &self.config.log;
        if log.file.is_none() || log.target == LogTarget::File || !self.usable(&["log.file", "log.target"]) {
            return;
        }
        finds.push(Find {
            span: self.place(&["log.file"]),
            what: "log.file is given, but log.target is not \"file\", so that nothing would be written to it"
                .into(),
            accepted: None,
            fix: Some("write target = \"file\" under [log], or remove file".into()),
        });
    }
}
