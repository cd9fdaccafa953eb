//! What the daemon signs: checkpoints of the chain, and exports.

use ed25519_dalek::{
    VerifyingKey,
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _, spki::der::pem::LineEnding},
};
use serde::{Deserialize, Serialize};

use super::{
    AuditFilter, Digest, ExportFormat, HexBytes, PublicKey, Signature,
    canonical::{self, Escapes, Members},
};
use crate::UnixMillis;

/// Why a checkpoint was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointKind {
    /// After so many entries or so much time, at shutdown, or when asked.
    Regular,
    /// Everything up to it has been removed by age: the log begins behind it.
    Retention,
}

impl CheckpointKind {
    /// The word in the signed text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Retention => "retention",
        }
    }
}

/// A signed statement that the chain had this hash at this entry.
///
/// Signed is the text `aivonx audit checkpoint v1\n` followed by the canonical form (see
/// [`canonical`](super::canonical)) of all members but `signature`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Id of the daemon.
    pub daemon: String,
    /// Id of the chain.
    pub chain: String,
    /// Why it was made.
    pub kind: CheckpointKind,
    /// The entry it is about.
    pub seq: u64,
    /// The hash of that entry.
    pub hash: Digest,
    /// The entry that the checkpoint before it is about; 0 if it is the first of its chain.
    pub previous: u64,
    /// When it was made.
    pub time: UnixMillis,
    /// The public key that the signature is for.
    pub signer: PublicKey,
    /// Ed25519.
    pub signature: Signature,
}

impl Checkpoint {
    /// What is signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut text = "aivonx audit checkpoint v1\n".to_owned();
        canonical::object(&mut text, Escapes::Canonical, |o| self.members(o, false));
        text.into_bytes()
    }

    /// As one line of JSON, without the line's end: the form in which it is published.
    #[must_use]
    pub fn line(&self) -> String {
        let mut text = String::with_capacity(512);
        canonical::object(&mut text, Escapes::Terminal, |o| self.members(o, true));
        text
    }

    fn members(&self, o: &mut Members<'_>, with_signature: bool) {
        o.text("chain", &self.chain);
        o.text("daemon", &self.daemon);
        o.shown("hash", self.hash);
        o.text("kind", self.kind.as_str());
        o.number("previous", self.previous);
        o.number("seq", self.seq);
        if with_signature {
            o.shown("signature", self.signature);
        }
        o.shown("signer", self.signer);
        o.number("time", self.time);
    }

    /// Whether the signature is right for the key that it names; whether that key is the daemon's is for the
    /// caller to know.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        is_signed(&self.signer, &self.message(), &self.signature)
    }
}

/// What the detached signature of an export says.
///
/// Signed is the text `aivonx audit export v1\n` followed by the canonical form of all members but
/// `signature`. `sha256` is over the bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSignature {
    /// Id of the daemon.
    pub daemon: String,
    /// Form of the file.
    pub format: ExportFormat,
    /// Bytes of the file.
    pub bytes: u64,
    /// Digest of the file.
    pub sha256: Digest,
    /// Entries in it.
    pub entries: u64,
    /// Position of the first entry in it; 0 if it is empty.
    pub first: u64,
    /// Position of the last entry in it; 0 if it is empty.
    pub last: u64,
    /// Whether nothing between the first and the last was left out.
    pub complete: bool,
    /// The filter in words; empty without a filter.
    pub filter: String,
    /// When it was made.
    pub time: UnixMillis,
    /// The public key that the signature is for.
    pub signer: PublicKey,
    /// Ed25519.
    pub signature: Signature,
}

impl ExportSignature {
    /// What is signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut text = "aivonx audit export v1\n".to_owned();
        canonical::object(&mut text, Escapes::Canonical, |o| self.members(o, false));
        text.into_bytes()
    }

    /// As one line of JSON, without the line's end: the contents of the signature's file.
    #[must_use]
    pub fn line(&self) -> String {
        let mut text = String::with_capacity(512);
        canonical::object(&mut text, Escapes::Terminal, |o| self.members(o, true));
        text
    }

    fn members(&self, o: &mut Members<'_>, with_signature: bool) {
        o.number("bytes", self.bytes);
        o.number("complete", self.complete);
        o.text("daemon", &self.daemon);
        o.number("entries", self.entries);
        o.text("filter", &self.filter);
        o.number("first", self.first);
        o.text("format", self.format.as_str());
        o.number("last", self.last);
        o.shown("sha256", self.sha256);
        if with_signature {
            o.shown("signature", self.signature);
        }
        o.shown("signer", self.signer);
        o.number("time", self.time);
    }

    /// Whether the signature is right for the key that it names.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        is_signed(&self.signer, &self.message(), &self.signature)
    }
}

impl AuditFilter {
    /// The filter as `name=value` words, for the export's signature. Empty if everything is wanted.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        let mut say = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                words.push(format!("{name}={value}"));
            }
        };
        say("since", self.since.map(|t| t.to_string()).as_deref());
        say("until", self.until.map(|t| t.to_string()).as_deref());
        say("actor", self.actor.as_deref());
        say("organization", self.organization.as_deref());
        self.actions.iter().for_each(|action| say("action", Some(action.as_str())));
        say("object_kind", self.object_kind.as_deref());
        say("object", self.object.as_deref());
        say("outcome", self.outcome.map(|o| o.as_str()));
        say("address", self.network.map(|network| network.to_string()).as_deref());
        words.join(" ")
    }
}

pub(crate) fn is_signed(signer: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    VerifyingKey::from_bytes(&signer.0).is_ok_and(|key| {
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    })
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no Ed25519 public key; give the PEM text or the 64 hexadecimal digits that `aivonx audit key` prints"
)]
pub struct NoPublicKey;

impl PublicKey {
    /// As PEM (SubjectPublicKeyInfo), which other programs read.
    ///
    /// # Errors
    /// If the bytes are no point of the curve.
    pub fn to_pem(&self) -> Result<String, NoPublicKey> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| NoPublicKey)?;
        key.to_public_key_pem(LineEnding::LF).map_err(|_| NoPublicKey)
    }

    /// Reads PEM or 64 hexadecimal digits.
    ///
    /// # Errors
    /// If it is neither.
    pub fn from_text(text: &str) -> Result<Self, NoPublicKey> {
        let text = text.trim();
        let bytes = match VerifyingKey::from_public_key_pem(text) {
            Ok(key) => key.to_bytes(),
            Err(_) => text.parse::<Self>().map_err(|_| NoPublicKey)?.0,
        };
        VerifyingKey::from_bytes(&bytes).map_err(|_| NoPublicKey)?;
        Ok(HexBytes(bytes))
    }
}
