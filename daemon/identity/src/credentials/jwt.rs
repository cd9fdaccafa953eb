//! Access tokens: compact JWTs signed with Ed25519 (RFC 7519, 8037, 9068), made and read by this daemon alone.
//!
//! The reader takes one form and no other: it never lets the token choose how it is checked. `alg` must be
//! `EdDSA`, `typ` `at+jwt`, `kid` one of our keys; headers and claims it does not know are refused.

use std::{collections::BTreeMap, fmt};

use aivonx_protocol::{UnixMillis, WireSecret, user::Role};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{SECRET_KEY_LENGTH, Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::random::{NoRandom, random};

/// Who the tokens are for.
pub const AUDIENCE: &str = "aivonx";
/// Longest token looked at, in bytes; ours have about 500.
pub const LONGEST: usize = 2048;
/// How far ahead a token's time of issue may be, in seconds: the clock may have been set back.
const SKEW: u64 = 60;
const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";

/// How much of the API a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// Everything the user may do.
    Full,
    /// Only the user's own password and second factor, until both are as they must be.
    Enrol,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The daemon's id.
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// Id of the user.
    pub sub: String,
    /// Id of the user's organization.
    pub org: Option<String>,
    /// The user's role when the token was made; the user's record has the say.
    pub role: Role,
    /// The user's epoch when the token was made; a higher one in the record revokes it.
    pub epoch: u64,
    /// Id of the session (the refresh family) it belongs to.
    pub sid: String,
    /// How much it opened when it was made; what the user owes now has the say.
    pub ext: Extent,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// From when on it is worth nothing, in seconds since 1970.
    pub exp: u64,
    /// Id of this token.
    pub jti: String,
}

/// Why a token is not accepted. For logs; clients only learn whether it has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Longer than [`LONGEST`].
    #[error("the token is too long")]
    Long,
    /// Not three parts of base64url, or the first is not our header.
    #[error("the token is malformed")]
    Malformed,
    /// An algorithm other than EdDSA.
    #[error("the token names another algorithm than EdDSA")]
    Algorithm,
    /// No key of ours.
    #[error("the token names a key that is not ours, or no longer")]
    Key,
    /// Not signed by that key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Signed, but the claims are not those of an access token.
    #[error("the token's claims are malformed")]
    Claims,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// From another daemon.
    #[error("the token is from another gateway")]
    Issuer,
    /// Made in the future.
    #[error("the token is not valid yet; the clock was set back?")]
    NotYet,
    /// Over.
    #[error("the token has expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    alg: &'a str,
    #[serde(borrow)]
    typ: &'a str,
    #[serde(borrow)]
    kid: &'a str,
}

/// A stored signing key that does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signing key: 32 bytes in base64 are expected")]
pub struct NotAKey;

/// A key that signs tokens. `Debug` shows its id alone; cleared when dropped.
pub struct TokenKey {
    id: String,
    key: SigningKey,
}

impl TokenKey {
    /// A new key.
    ///
    /// # Errors
    /// Only if the system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandom> {
        random::<SECRET_KEY_LENGTH>().map(|seed| Self::new(&seed))
    }

    /// Reads what [`Self::secret`] wrote.
    ///
    /// # Errors
    /// [`NotAKey`] for anything else.
    pub fn from_secret(secret: &WireSecret) -> Result<Self, NotAKey> {
        let bytes = STANDARD.decode(secret.expose()).map(Zeroizing::new).map_err(|_| NotAKey)?;
        let seed: Zeroizing<[u8; SECRET_KEY_LENGTH]> =
            Zeroizing::new(bytes.as_slice().try_into().map_err(|_| NotAKey)?);
        Ok(Self::new(&seed))
    }

    fn new(seed: &[u8; SECRET_KEY_LENGTH]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let id = hex::encode(&Sha256::digest(key.verifying_key().as_bytes())[..8]);
        Self { id, key }
    }

    /// The key as it is stored, sealed.
    #[must_use]
    pub fn secret(&self) -> WireSecret {
        WireSecret::new(STANDARD.encode(self.key.as_bytes()))
    }

    /// The key's id: 16 digits of the digest of its public half.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes a token.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> WireSecret {
        let header = Header { alg: ALGORITHM, typ: TYPE, kid: &self.id };
        // Structures of strings and numbers always make JSON.
        let part = |json: serde_json::Result<Vec<u8>>| URL_SAFE_NO_PAD.encode(json.unwrap_or_default());
        let mut token = part(serde_json::to_vec(&header));
        token.push('.');
        token.push_str(&part(serde_json::to_vec(claims)));
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature.to_bytes()));
        WireSecret::new(token)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The public halves of the keys whose tokens are taken: the present one, and older ones that retire.
#[derive(Debug, Clone, Default)]
pub struct Verifiers(BTreeMap<String, VerifyingKey>);

impl Verifiers {
    /// Takes the tokens of these keys.
    #[must_use]
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a TokenKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.id.clone(), key.key.verifying_key())).collect())
    }
}

/// Whether `text` has the form of a JWT, right or wrong.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|b| *b == b'.').count() == 2
}

/// Reads a token. About 50 microseconds, nearly all of them for the signature. Whether the user still exists and
/// still has this epoch is for the caller to check against the user's record.
///
/// # Errors
/// The first thing that is wrong; the claims are looked at only after the signature.
pub fn verify(token: &str, keys: &Verifiers, now: UnixMillis, daemon: &str) -> Result<Claims, JwtError> {
    if token.len() > LONGEST {
        return Err(JwtError::Long);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    // The engine refuses padding and bits that do not count: no token has a second spelling.
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed);

    let header = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| JwtError::Malformed)?;
    if header.alg != ALGORITHM {
        return Err(JwtError::Algorithm);
    }
    if header.typ != TYPE {
        return Err(JwtError::Malformed);
    }
    let key = keys.0.get(header.kid).ok_or(JwtError::Key)?;
    let signature = Signature::from_slice(&decode(signature)?).map_err(|_| JwtError::Malformed)?;
    let claims = decode(claims)?;
    key.verify_strict(signed.as_bytes(), &signature).map_err(|_| JwtError::Signature)?;

    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| JwtError::Claims)?;
    let now = now / 1000;
    if claims.aud != AUDIENCE {
        return Err(JwtError::Audience);
    }
    if claims.iss != daemon {
        return Err(JwtError::Issuer);
    }
    if claims.iat > now + SKEW {
        return Err(JwtError::NotYet);
    }
    if claims.exp <= now {
        return Err(JwtError::Expired);
    }
    Ok(claims)
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
