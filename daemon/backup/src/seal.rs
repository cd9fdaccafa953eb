//! The key of a backup's content: made for each, and sealed for who may open it.

use std::path::Path;

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use aivonx_protocol::{
    WireSecret,
    audit::HexBytes,
    backup::{PRIVATE_KEY, SealedKey, Sealing},
};
use aivonx_store::secrets::MasterKey;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::AesGcm256, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use rand::TryRngCore as _;
use zeroize::Zeroizing;

use super::BackupError;

type Kem = X25519HkdfSha256;

/// The key of a content.
pub(crate) type ContentKey = Zeroizing<[u8; 32]>;

/// What every sealed key is bound to.
const CONTEXT: &[u8] = b"aivonx backup key v1\0";

/// Cost of a passphrase's key, several times that of a login: a backup may lie about for years. The memory is the daemon's.
const MEMORY: u32 = 64 * 1024;
const PASSES: u32 = 6;
/// The most that a header can ask for.
const MEMORY_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 16;

/// Shortest passphrase, in characters.
pub(crate) const PASSPHRASE_MIN: usize = 12;

/// What opens a backup.
#[derive(Debug)]
pub enum Opener {
    /// The master key.
    Master(MasterKey),
    /// A passphrase.
    Passphrase(WireSecret),
    /// A recipient's private key, as `aivonx backup generate-key` writes it.
    Private(WireSecret),
    /// Nothing was given: what is wanted is said.
    None,
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, BackupError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes[..])
        .map_err(|e| BackupError::Sealing(format!("the system gives no random numbers: {e}")))?;
    Ok(bytes)
}

/// A new content key, in clear and sealed.
pub(crate) fn new_key(sealing: &Sealing, master: &MasterKey) -> Result<(ContentKey, SealedKey), BackupError> {
    let key = random::<32>()?;
    let sealed = match sealing {
        Sealing::Master => {
            let (nonce, sealed) = master.seal(CONTEXT, &key[..])?;
            SealedKey::Master { tag: HexBytes(master.tag()), nonce: HexBytes(nonce), sealed: fixed(&sealed)? }
        }
        Sealing::Passphrase(phrase) => {
            if phrase.expose().chars().count() < PASSPHRASE_MIN {
                return Err(BackupError::Sealing(format!(
                    "the passphrase is too short: at least {PASSPHRASE_MIN} characters, for whoever has the file has \
                     time"
                )));
            }
            let (salt, nonce) = (*random::<16>()?, *random::<12>()?);
            let cipher = from_passphrase(phrase, &salt, MEMORY, PASSES)?;
            let sealed = cipher.encrypt(&Nonce::from(nonce), Payload { msg: &key[..], aad: CONTEXT });
            let sealed = sealed.map_err(|_| unsealable())?;
            SealedKey::Passphrase {
                salt: HexBytes(salt),
                memory: MEMORY,
                passes: PASSES,
                nonce: HexBytes(nonce),
                sealed: fixed(&sealed)?,
            }
        }
        Sealing::Recipient(text) => {
            let public = parse_public(text)?;
            let (encapsulated, sealed) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, Kem>(
                &OpModeS::Base,
                &public,
                CONTEXT,
                &key[..],
                &[],
            )
            .map_err(|_| unsealable())?;
            SealedKey::Recipient {
                public: fixed(&public.to_bytes())?,
                encapsulated: fixed(&encapsulated.to_bytes())?,
                sealed: fixed(&sealed)?,
            }
        }
    };
    Ok((key, sealed))
}

/// Opens a content key; the error says what is wanted or what is wrong.
pub(crate) fn open_key(sealed: &SealedKey, opener: &Opener) -> Result<ContentKey, String> {
    let wanted = |what: &str| format!("it is sealed with {what}");
    match (sealed, opener) {
        (SealedKey::Master { tag, nonce, sealed }, Opener::Master(master)) => {
            if tag.0 != master.tag() {
                return Err(format!(
                    "the master key in {} is not the one it is sealed with",
                    master.path().display()
                ));
            }
            key(master.open(CONTEXT, nonce.0, &sealed.0))
        }
        (SealedKey::Passphrase { salt, memory, passes, nonce, sealed }, Opener::Passphrase(phrase)) => {
            if *memory > MEMORY_MAX || *passes > PASSES_MAX {
                return Err(format!(
                    "its header asks for {memory} KiB and {passes} passes, which is too much"
                ));
            }
            let cipher = from_passphrase(phrase, &salt.0, *memory, *passes).map_err(|e| e.to_string())?;
            let opened = cipher.decrypt(&Nonce::from(nonce.0), Payload { msg: &sealed.0, aad: CONTEXT });
            match opened {
                Ok(plain) => key(Some(Zeroizing::new(plain))),
                Err(_) => Err("the passphrase is wrong".to_owned()),
            }
        }
        (SealedKey::Recipient { public, encapsulated, sealed }, Opener::Private(text)) => {
            let private = parse_private(text)?;
            if fixed(&Kem::sk_to_pk(&private).to_bytes()).ok() != Some(*public) {
                return Err(format!("the private key is not the one of {}", STANDARD.encode(public.0)));
            }
            let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(&encapsulated.0);
            let encapsulated = encapsulated.map_err(|_| "its key is damaged".to_owned())?;
            let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
                &OpModeR::Base,
                &private,
                &encapsulated,
                CONTEXT,
                &sealed.0,
                &[],
            );
            key(opened.ok().map(Zeroizing::new))
        }
        (SealedKey::Master { .. }, _) => {
            Err(wanted("the master key of the gateway that made it; name its file with --master-key"))
        }
        (SealedKey::Passphrase { .. }, _) => Err(wanted("a passphrase; give it with --passphrase-file")),
        (SealedKey::Recipient { public, .. }, _) => Err(format!(
            "it is sealed for {}; name the file of the private key with --private-key",
            STANDARD.encode(public.0)
        )),
    }
}

fn key(plain: Option<Zeroizing<Vec<u8>>>) -> Result<ContentKey, String> {
    let damaged = || "its key is damaged".to_owned();
    let plain = plain.ok_or_else(damaged)?;
    let mut key = ContentKey::default();
    if plain.len() != key.len() {
        return Err(damaged());
    }
    key.copy_from_slice(&plain);
    Ok(key)
}

fn from_passphrase(
    phrase: &WireSecret,
    salt: &[u8],
    memory: u32,
    passes: u32,
) -> Result<Aes256Gcm, BackupError> {
    let refused = |e: argon2::Error| BackupError::Sealing(format!("the passphrase cannot be used: {e}"));
    let params = Params::new(memory, passes, 1, Some(32)).map_err(refused)?;
    let mut key = ContentKey::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(phrase.expose().as_bytes(), salt, &mut key[..])
        .map_err(refused)?;
    Ok(Aes256Gcm::new((&*key).into()))
}

/// The public half of a recipient's private key, in base64.
///
/// # Errors
/// If that is no private key.
pub fn public_key(private: &WireSecret) -> Result<String, String> {
    parse_private(private).map(|private| STANDARD.encode(Kem::sk_to_pk(&private).to_bytes()))
}

/// Reads a private key, also one of before they were marked.
fn parse_private(text: &WireSecret) -> Result<<Kem as hpke::Kem>::PrivateKey, String> {
    let text = text.expose().trim();
    let bytes =
        Zeroizing::new(STANDARD.decode(text.strip_prefix(PRIVATE_KEY).unwrap_or(text)).unwrap_or_default());
    <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes)
        .map_err(|_| format!("this is no private key: {PRIVATE_KEY} and 256 bits in base64 are expected"))
}

fn parse_public(text: &str) -> Result<<Kem as hpke::Kem>::PublicKey, BackupError> {
    if text.trim().starts_with(PRIVATE_KEY) {
        return Err(BackupError::Sealing(
            "this is the private key, and would stand in the backup for all to read: name the public key that \
             `aivonx backup generate-key` printed"
                .to_owned(),
        ));
    }
    let bytes = STANDARD.decode(text.trim()).unwrap_or_default();
    <Kem as hpke::Kem>::PublicKey::from_bytes(&bytes).map_err(|_| {
        BackupError::Sealing(format!(
            "\"{}\" is no recipient's key: `aivonx backup generate-key` prints one",
            aivonx_protocol::Untrusted::new(text)
        ))
    })
}

/// Whether a text is a recipient's public key.
pub(crate) fn check_recipient(text: &str) -> Result<(), BackupError> {
    parse_public(text).map(drop)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<HexBytes<N>, BackupError> {
    bytes.try_into().map(HexBytes).map_err(|_| unsealable())
}

fn unsealable() -> BackupError {
    BackupError::Sealing("its key cannot be sealed".to_owned())
}

/// Reads a secret of one line from a file.
///
/// # Errors
/// If the file cannot be read.
pub fn read_secret(path: &Path) -> Result<WireSecret, BackupError> {
    let text = std::fs::read_to_string(path).map_err(BackupError::io("read", path))?;
    let text = Zeroizing::new(text);
    Ok(WireSecret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
