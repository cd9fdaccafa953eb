//! From what an administrator writes to a node's record, and from the record to its endpoint.

use std::{collections::BTreeMap, sync::Arc};

use aivonx_protocol::{Untrusted, node::Credential};
use aivonx_store::{
    node::{NodeRecord, StoredCredential},
    secrets::Vault,
};
use jiff::Timestamp;

use super::{
    Endpoint, address::NodeUrl, bounds::Bounds, endpoint::credential_header, entry::Prepared,
    error::FleetError, tls,
};

/// What secrets of nodes are sealed for.
const TREE: &str = "node";

/// `[a-z0-9][a-z0-9._-]{0,62}`
pub(super) fn check_name(name: &str) -> Result<(), FleetError> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = name.bytes();
    if name.len() <= 63
        && bytes.next().is_some_and(fine)
        && bytes.all(|b| fine(b) || matches!(b, b'.' | b'_' | b'-'))
    {
        return Ok(());
    }
    Err(FleetError::field(
        "name",
        format!("name '{}' is not a node name", Untrusted::new(name).max(80)),
        "use 1 to 63 lower-case letters, digits, '.', '_' and '-', a letter or digit first, such as gpu1",
    ))
}

/// Whether `model` can be the name of a model at all.
pub(super) fn check_model_name(model: &str) -> Result<(), FleetError> {
    let wrong = |c: char| c.is_control() || c.is_whitespace();
    if model.is_empty() || model.len() > 512 || model.contains(wrong) {
        let shown = Untrusted::new(model).max(100);
        return Err(FleetError::field(
            "model",
            format!("model '{shown}' is not a model name: empty, too long, or with spaces"),
            "write it as NAME or NAME:TAG, such as llama3.2:3b",
        ));
    }
    Ok(())
}

/// The full name of a node that a user bound to the organization `slug` calls `name`. Each organization has names of
/// its own: one that is taken would reveal another's node.
pub(super) fn full_name(slug: &str, name: &str) -> String {
    match name.strip_prefix(slug) {
        Some(rest) if rest.starts_with('.') => name.to_owned(),
        _ => format!("{slug}.{name}"),
    }
}

/// Labels kept on one node.
const LABELS: usize = 64;

pub(super) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), FleetError> {
    if labels.len() > LABELS {
        let message = format!("{} labels are more than the {LABELS} a node may have", labels.len());
        return Err(FleetError::field("label", message, "remove some"));
    }
    for (key, value) in labels {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
        if key.is_empty() || key.len() > 63 || !key.bytes().all(fine) {
            return Err(FleetError::field(
                "label",
                format!("label '{}' has a name that cannot be", Untrusted::new(key).max(80)),
                "use 1 to 63 letters, digits, '.', '_', '-' and '/'",
            ));
        }
        if value.len() > 256 || value.chars().any(char::is_control) {
            return Err(FleetError::field(
                "label",
                format!("label '{key}' has a value that is too long or has control characters"),
                "use at most 256 bytes of plain text",
            ));
        }
    }
    Ok(())
}

/// Refuses addresses where no node should be.
pub(super) fn check_address(url: &NodeUrl, forced: bool) -> Result<(), FleetError> {
    match url.special() {
        Some(what) if !forced => Err(FleetError::Special { url: url.text.clone(), what }),
        _ => Ok(()),
    }
}

/// The endpoint for these values.
pub(super) fn prepare(
    url: &NodeUrl,
    ca_pem: Option<&str>,
    server_name: Option<&str>,
    credential: &Credential,
    forced: bool,
    bounds: Bounds,
) -> Result<Prepared, FleetError> {
    for (field, given) in [("ca", ca_pem.is_some()), ("server-name", server_name.is_some())] {
        if given && !url.https {
            let message = format!("{field} is set, but the url '{}' is not https", url.text);
            return Err(FleetError::field(field, message, "leave it out, or use https://"));
        }
    }
    let client = match credential {
        Credential::Certificate { chain_pem, key_pem, .. } => Some((&**chain_pem, key_pem)),
        _ => None,
    };
    if client.is_some() && !url.https {
        let message = format!("a client certificate is given, but the url '{}' is not https", url.text);
        return Err(FleetError::field("client-cert", message, "leave it out, or use https://"));
    }
    let tls = tls::set_up(url, ca_pem, server_name, client)?;
    let credential = credential_header(credential)?;
    let mut endpoint = Endpoint::new(url, tls, credential, forced);
    endpoint.bounds = Some(bounds);
    Ok(Prepared { endpoint: Arc::new(endpoint), unusable: None })
}

/// The endpoint of a stored record. What is wrong with it does not keep the daemon from starting: the node
/// says so and stays in standby.
pub(super) fn restore(vault: &Vault, record: &NodeRecord, bounds: Bounds) -> Prepared {
    let prepared = move || {
        let url = NodeUrl::parse(&record.url)?;
        let credential = unseal(vault, record)?;
        let (ca, server_name) = (record.ca_pem.as_deref(), record.server_name.as_deref());
        prepare(&url, ca, server_name, &credential, record.forced, bounds)
    };
    prepared().unwrap_or_else(|error: FleetError| {
        tracing::error!(event = "node_unusable", node = %record.name,
            organization = record.organization.as_deref(), %error, "node cannot be used");
        // Never dialled: it only has to be there.
        let nowhere = NodeUrl {
            text: String::new(),
            https: false,
            host: "unusable.invalid".into(),
            port: 1,
            authority: http::HeaderValue::from_static("unusable.invalid"),
            prefix: "".into(),
        };
        let endpoint = Endpoint::new(&nowhere, None, None, false);
        Prepared { endpoint: Arc::new(endpoint), unusable: Some(format!("cannot be used: {error}")) }
    })
}

/// The credential as it is kept: sealed for this record alone.
pub(super) fn seal(vault: &Vault, id: &str, credential: &Credential) -> Result<StoredCredential, FleetError> {
    let sealed = |secret| vault.seal(TREE, id, secret).map_err(|e| FleetError::Secret(e.to_string()));
    Ok(match credential {
        Credential::None => StoredCredential::None,
        Credential::Bearer(token) => StoredCredential::Bearer(sealed(token)?),
        Credential::Basic { user, password } => {
            StoredCredential::Basic { user: user.clone(), password: sealed(password)? }
        }
        Credential::Header { name, value } => {
            StoredCredential::Header { name: name.clone(), value: sealed(value)? }
        }
        Credential::Certificate { chain_pem, key_pem, header } => StoredCredential::Certificate {
            chain: chain_pem.clone(),
            until: tls::good_until(chain_pem)?,
            key: sealed(key_pem)?,
            header: match header {
                Some((name, value)) => Some((name.clone(), sealed(value)?)),
                None => None,
            },
        },
    })
}

/// The credential as administrators see it.
pub(super) fn shown(credential: &StoredCredential) -> String {
    let header = |name| format!("header {}", Untrusted::new(name).max(100));
    match credential {
        StoredCredential::None => "none".into(),
        StoredCredential::Bearer(_) => "bearer".into(),
        StoredCredential::Basic { .. } => "basic".into(),
        StoredCredential::Header { name, .. } => header(name),
        StoredCredential::Certificate { until, header: beside, .. } => {
            let until = i64::try_from(*until).ok().and_then(|until| Timestamp::from_millisecond(until).ok());
            let day = until.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%d");
            let certificate = format!("certificate until {day}");
            match beside {
                Some((name, _)) => format!("{certificate} and {}", header(name)),
                None => certificate,
            }
        }
    }
}

/// The credential as it is sent.
pub(super) fn unseal(vault: &Vault, record: &NodeRecord) -> Result<Credential, FleetError> {
    let open =
        |sealed| vault.open_sealed(TREE, &record.id, sealed).map_err(|e| FleetError::Secret(e.to_string()));
    Ok(match &record.credential {
        StoredCredential::None => Credential::None,
        StoredCredential::Bearer(token) => Credential::Bearer(open(token)?),
        StoredCredential::Basic { user, password } => {
            Credential::Basic { user: user.clone(), password: open(password)? }
        }
        StoredCredential::Header { name, value } => {
            Credential::Header { name: name.clone(), value: open(value)? }
        }
        StoredCredential::Certificate { chain, until: _, key, header } => Credential::Certificate {
            chain_pem: chain.clone(),
            key_pem: open(key)?,
            header: match header {
                Some((name, value)) => Some((name.clone(), open(value)?)),
                None => None,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{check_labels, check_name, full_name};

    #[test]
    fn an_organizations_name_stands_before_its_nodes_names_once() {
        for (name, full) in [("gpu", "acme.gpu"), ("acme.gpu", "acme.gpu"), ("acme", "acme.acme")] {
            assert_eq!(full_name("acme", name), full);
        }
        assert_eq!(full_name("acme", "acme-2.gpu"), "acme.acme-2.gpu");
    }

    #[test]
    fn names_and_labels_are_plain() {
        for name in ["gpu1", "0", "a.b-c_d", &"a".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "GPU", "a b", "ä", "a/b", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        let label = |key: &str, value: &str| check_labels(&[(key.to_owned(), value.to_owned())].into());
        assert!(label("rack/row", "4 ü").is_ok());
        assert!(label("", "x").is_err() && label("a b", "x").is_err() && label("a", "\n").is_err());
    }
}
