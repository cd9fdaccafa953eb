//! Signed requests (RFC 8555, 6.2; RFC 7515).

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use serde::Deserialize;
use serde_json::Value;

use super::Problem;

/// A key of an account.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Jwk {
    crv: String,
    kty: String,
    x: String,
    y: String,
}

impl Jwk {
    /// RFC 7638.
    pub(super) fn thumbprint(&self) -> String {
        let Self { crv, kty, x, y } = self;
        let text = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        BASE64.encode(digest(&SHA256, text.as_bytes()))
    }
}

/// What was signed.
pub(super) struct Signed {
    pub(super) nonce: String,
    pub(super) kid: Option<String>,
    /// Of a new account, whose signature is good.
    pub(super) key: Option<Jwk>,
    pub(super) payload: Value,
    text: String,
    signature: Vec<u8>,
}

pub(super) fn malformed(why: &str) -> Problem {
    Problem(400, "malformed", why.to_owned(), None)
}

/// Takes a request apart that was sent to `url`.
pub(super) fn open(body: &[u8], url: &str) -> Result<Signed, Problem> {
    let body: Value = serde_json::from_slice(body).map_err(|e| malformed(&e.to_string()))?;
    let part = |name: &str| body[name].as_str().ok_or_else(|| malformed("a part is missing"));
    let decoded = |name| BASE64.decode(part(name)?).map_err(|e| malformed(&e.to_string()));
    let text = format!("{}.{}", part("protected")?, part("payload")?);
    let head: Value =
        serde_json::from_slice(&decoded("protected")?).map_err(|e| malformed(&e.to_string()))?;
    if head["alg"] != "ES256" || head["url"] != url {
        return Err(malformed("the algorithm or the URL is another"));
    }
    let payload = decoded("payload")?;
    let payload = if payload.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&payload).map_err(|e| malformed(&e.to_string()))?
    };
    let signed = Signed {
        nonce: head["nonce"].as_str().unwrap_or_default().to_owned(),
        kid: head["kid"].as_str().map(str::to_owned),
        key: serde_json::from_value(head["jwk"].clone()).ok(),
        payload,
        text,
        signature: decoded("signature")?,
    };
    if let Some(key) = &signed.key {
        signed.verify(key)?;
    }
    Ok(signed)
}

impl Signed {
    pub(super) fn verify(&self, key: &Jwk) -> Result<(), Problem> {
        let coordinate = |text: &str| BASE64.decode(text).map_err(|e| malformed(&e.to_string()));
        let point = [vec![4], coordinate(&key.x)?, coordinate(&key.y)?].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(self.text.as_bytes(), &self.signature)
            .map_err(|_| malformed("the signature is not the account's"))
    }
}

/// A time as JSON has it (RFC 3339).
pub(super) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).expect("within this era").to_string()
}
