//! Whether the certificates of a chain are in order.

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What is wrong with it: clients need each issuer after what it issued (RFC 8446, 4.4.2).
pub(super) fn problem(chain: &[CertificateDer<'_>]) -> Option<String> {
    let mut parsed = Vec::with_capacity(chain.len());
    for der in chain {
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => parsed.push(certificate),
            Err(error) => return Some(format!("a certificate of the chain cannot be read: {error}")),
        }
    }
    parsed.windows(2).find(|pair| pair[0].issuer() != pair[1].subject()).map(|pair| {
        format!(
            "{:?} in the chain does not issue {:?}",
            pair[1].subject().to_string(),
            pair[0].subject().to_string()
        )
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    #[test]
    fn each_is_issued_by_the_next() {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "lab");
        let ca = params.self_signed(&ca_key).unwrap().der().clone();
        let issuer = Issuer::new(params, ca_key);
        let own = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let own = own.der().clone();
        assert_eq!(problem(&[own.clone(), ca.clone()]), None);
        assert_eq!(problem(std::slice::from_ref(&own)), None);
        assert!(problem(&[ca, own]).unwrap().contains("lab"));
    }
}
