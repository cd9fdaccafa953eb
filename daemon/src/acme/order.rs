//! One certificate: ordered, proved, issued (RFC 8555, 7.4).

use std::{io, sync::Arc, time::Duration};

use aivonx_config::AcmeChallenge;
use aivonx_gateway::{Acme, PairError, Proof};
use aivonx_protocol::Untrusted;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{crypto::ring::sign::any_supported_type, sign::CertifiedKey};
use zeroize::Zeroizing;

/// Longest time in which the authority looks at the proofs, and then issues.
const ORDER_TIMEOUT: Duration = Duration::from_secs(120);

/// No certificate was obtained.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObtainError {
    /// The authority refused something, or could not be asked.
    #[error("{}", Untrusted::new(&.0.to_string()))]
    Authority(#[from] Error),
    /// It does not look for proofs the way it is told to.
    #[error(
        "the authority does not offer {0} for {name}; write another acme.challenge",
        name = Untrusted::new(.1)
    )]
    NotOffered(&'static str, String),
    /// It did not find the proof.
    #[error("the authority did not find the proof: {}", Untrusted::new(.0))]
    NotProved(String),
    /// A key or a certificate of our own could not be made.
    #[error("a proof or a request could not be made: {0}")]
    Own(String),
    /// What was issued is of no use.
    #[error("what the authority issued cannot be used: {0}")]
    Issued(#[from] PairError),
    /// It is for other names.
    #[error("the authority issued a certificate that is not for all of {0}, or has expired")]
    Other(String),
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File { path: String, source: io::Error },
    /// All of it took too long.
    #[error("it took longer than {} minutes", .0.as_secs() / 60)]
    TimedOut(Duration),
}

/// Obtains a certificate for `names`: its key and chain in PEM.
pub(super) async fn obtain(
    account: &Account,
    acme: &Arc<Acme>,
    challenge: AcmeChallenge,
    names: &[String],
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<Zeroizing<String>, ObtainError> {
    let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
    let new = NewOrder::new(&identifiers);
    let new = match replaces {
        Some(replaces) => new.replaces(replaces),
        None => new,
    };
    let mut order = account.new_order(&new).await?;
    // Nothing is shown for longer than it is looked for.
    let acme = scopeguard::guard(acme, |acme| acme.prove(&[]));
    let patience = RetryPolicy::default().timeout(ORDER_TIMEOUT);
    prove(&mut order, &acme, challenge).await?;
    match order.poll_ready(&patience).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
        Ok(_) | Err(Error::Api(_)) => return Err(ObtainError::NotProved(why_not(&mut order).await)),
        Err(error) => return Err(error.into()),
    }
    let key = Zeroizing::new(order.finalize().await?);
    let chain = order.poll_certificate(&patience).await?;
    Ok(Zeroizing::new(format!("{}{chain}", *key)))
}

/// Shows the proofs that the order needs, and says so to the authority.
async fn prove(order: &mut Order, acme: &Acme, challenge: AcmeChallenge) -> Result<(), ObtainError> {
    let (kind, word) = match challenge {
        AcmeChallenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
        AcmeChallenge::Http01 => (ChallengeType::Http01, "http-01"),
    };
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // It may remember an earlier proof.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let offered = authorization.challenge(kind.clone());
        let mut challenge = offered.ok_or_else(|| ObtainError::NotOffered(word, name.clone()))?;
        proofs.push(match kind {
            ChallengeType::Http01 => Proof::Http {
                token: challenge.token.clone(),
                text: challenge.key_authorization().as_str().to_owned(),
            },
            _ => shown(name, &challenge)?,
        });
        acme.prove(&proofs);
        challenge.set_ready().await?;
    }
    Ok(())
}

/// The certificate that proves a name (RFC 8737, 3).
fn shown(name: String, challenge: &ChallengeHandle<'_>) -> Result<Proof, ObtainError> {
    let own = |error: &dyn std::fmt::Display| ObtainError::Own(error.to_string());
    let mut params = CertificateParams::new(vec![name.clone()]).map_err(|e| own(&e))?;
    let digest = challenge.key_authorization().digest();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate().map_err(|e| own(&e))?;
    let certificate = params.self_signed(&key).map_err(|e| own(&e))?;
    let key = any_supported_type(&key.into()).map_err(|e| own(&e))?;
    let certificate = CertifiedKey::new(vec![certificate.der().clone()], key);
    Ok(Proof::Tls { name: name.to_ascii_lowercase(), certificate: Arc::new(certificate) })
}

/// What the authority says of the proofs that it did not find.
async fn why_not(order: &mut Order) -> String {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        // What is known of it was read before it was looked for.
        if authorization.refresh().await.is_err() {
            continue;
        }
        let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        found.extend(errors.map(ToString::to_string));
    }
    if found.is_empty() { "it does not say why".to_owned() } else { found.join("; ") }
}
