use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_700_000_000;
const DAEMON: &str = "0190-daemon";

fn key() -> TokenKey {
    TokenKey::new(&[7; 32])
}

fn claims() -> Claims {
    Claims {
        iss: DAEMON.into(),
        aud: AUDIENCE.into(),
        sub: "user-1".into(),
        org: Some("org-1".into()),
        role: Role::Member,
        epoch: 3,
        sid: "session-1".into(),
        ext: Extent::Full,
        iat: NOW,
        exp: NOW + 900,
        jti: "token-1".into(),
    }
}

fn read_at(token: &str, now: u64) -> Result<Claims, JwtError> {
    verify(token, &Verifiers::new([&key()]), now * 1000, DAEMON)
}

fn read(token: &str) -> Result<Claims, JwtError> {
    read_at(token, NOW)
}

/// A token of any header and claims, truly signed.
fn signed(header: &Value, claims: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let text = format!("{}.{}", part(header.to_string().as_bytes()), part(claims));
    let signature = key().key.sign(text.as_bytes());
    format!("{text}.{}", part(&signature.to_bytes()))
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key().id })
}

fn with_claims(change: impl FnOnce(&mut Value)) -> Result<Claims, JwtError> {
    let mut value = serde_json::to_value(claims()).unwrap();
    change(&mut value);
    read(&signed(&header(), value.to_string().as_bytes()))
}

fn with_header(change: impl FnOnce(&mut Value)) -> Result<Claims, JwtError> {
    let mut value = header();
    change(&mut value);
    read(&signed(&value, &serde_json::to_vec(&claims()).unwrap()))
}

#[test]
fn what_is_signed_is_read() {
    let token = key().sign(&claims());
    assert!(looks_like(token.expose()) && token.expose().len() < 600, "{}", token.expose().len());
    assert_eq!(read(token.expose()).unwrap(), claims());
    assert_eq!(with_claims(|_| ()).unwrap(), claims());
    assert_eq!(with_claims(|c| c["org"] = Value::Null).unwrap().org, None);
    let again = TokenKey::from_secret(&key().secret()).unwrap();
    assert_eq!(again.id(), key().id());
    assert!(TokenKey::from_secret(&WireSecret::new("AAAA".into())).is_err());
    assert_eq!(format!("{:?}", key()), format!("TokenKey {{ id: \"{}\", .. }}", key().id()));
}

#[test]
fn no_token_chooses_its_algorithm() {
    for other in ["none", "None", "NONE", "", "HS256", "RS256", "ES256", "EdDSA ", "eddsa", "Ed25519"] {
        assert_eq!(with_header(|h| h["alg"] = other.into()), Err(JwtError::Algorithm), "{other}");
    }
    // None: no signature at all.
    let token = key().sign(&claims());
    let (text, _) = token.expose().rsplit_once('.').unwrap();
    assert_eq!(read(&format!("{text}.")), Err(JwtError::Malformed));
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let body = text.split_once('.').unwrap().1;
    assert_eq!(read(&format!("{none}.{body}.")), Err(JwtError::Malformed));
    let none = json!({ "alg": "none", "typ": "at+jwt", "kid": key().id }).to_string();
    assert_eq!(read(&format!("{}.{body}.", URL_SAFE_NO_PAD.encode(none))), Err(JwtError::Algorithm));
    // HS256 with the public key as the secret.
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": key().id }).to_string();
    let text = format!("{}.{body}", URL_SAFE_NO_PAD.encode(header));
    let mut mac = Hmac::<Sha256>::new_from_slice(key().key.verifying_key().as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let sum = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    assert_eq!(read(&format!("{text}.{sum}")), Err(JwtError::Algorithm));
}

#[test]
fn only_our_keys_are_taken_and_only_by_their_own_id() {
    let other = TokenKey::new(&[8; 32]);
    assert_eq!(read(other.sign(&claims()).expose()), Err(JwtError::Key));
    for odd in ["", "0", "../../key", "' or 1=1"] {
        assert_eq!(with_header(|h| h["kid"] = odd.into()), Err(JwtError::Key), "{odd}");
    }
    assert_eq!(with_header(|h| h["kid"] = Value::Null), Err(JwtError::Malformed));
    assert_eq!(with_header(|h| drop(h.as_object_mut().unwrap().remove("kid"))), Err(JwtError::Malformed));
    // Both are ours, but the one named did not sign.
    let both = Verifiers::new([&key(), &other]);
    let mut swapped = header();
    swapped["kid"] = other.id().into();
    let token = signed(&swapped, &serde_json::to_vec(&claims()).unwrap());
    assert_eq!(verify(&token, &both, NOW * 1000, DAEMON), Err(JwtError::Signature));
    assert!(verify(other.sign(&claims()).expose(), &both, NOW * 1000, DAEMON).is_ok());
    assert_eq!(verify(&token, &Verifiers::default(), NOW * 1000, DAEMON), Err(JwtError::Key));
}

#[test]
fn headers_that_bring_keys_or_demands_are_refused() {
    for extra in ["jwk", "jku", "x5c", "x5u", "crit", "b64", "zip", "cty"] {
        assert_eq!(with_header(|h| h[extra] = "x".into()), Err(JwtError::Malformed), "{extra}");
    }
    for typ in ["JWT", "jwt", "", "AT+JWT", "dpop+jwt"] {
        assert_eq!(with_header(|h| h["typ"] = typ.into()), Err(JwtError::Malformed), "{typ}");
    }
    // A key given twice: readers disagree about which counts.
    let twice = format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, key().id);
    let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims()).unwrap());
    let text = format!("{}.{body}", URL_SAFE_NO_PAD.encode(twice));
    let signature = URL_SAFE_NO_PAD.encode(key().key.sign(text.as_bytes()).to_bytes());
    assert_eq!(read(&format!("{text}.{signature}")), Err(JwtError::Malformed));
}

#[test]
fn audience_issuer_and_times_are_checked() {
    assert_eq!(with_claims(|c| c["aud"] = "other".into()), Err(JwtError::Audience));
    assert_eq!(with_claims(|c| c["aud"] = json!(["aivonx"])), Err(JwtError::Claims));
    assert_eq!(with_claims(|c| c["iss"] = "another-daemon".into()), Err(JwtError::Issuer));
    assert_eq!(with_claims(|c| c["exp"] = NOW.into()), Err(JwtError::Expired));
    assert_eq!(with_claims(|c| c["exp"] = 0.into()), Err(JwtError::Expired));
    assert_eq!(with_claims(|c| c["iat"] = (NOW + SKEW + 1).into()), Err(JwtError::NotYet));
    assert!(with_claims(|c| c["iat"] = (NOW + SKEW).into()).is_ok());
    let token = key().sign(&claims());
    assert!(read_at(token.expose(), NOW + 899).is_ok());
    assert_eq!(read_at(token.expose(), NOW + 900), Err(JwtError::Expired));
    assert_eq!(read_at(token.expose(), NOW - SKEW - 1), Err(JwtError::NotYet));
}

#[test]
fn claims_missing_added_or_of_another_type_are_refused() {
    let names: Vec<String> =
        serde_json::to_value(claims()).unwrap().as_object().unwrap().keys().cloned().collect();
    for name in names.iter().filter(|n| *n != "org") {
        let removed = with_claims(|c| drop(c.as_object_mut().unwrap().remove(name)));
        assert_eq!(removed, Err(JwtError::Claims), "without {name}");
        assert_eq!(with_claims(|c| c[name] = json!([])), Err(JwtError::Claims), "{name} of another type");
    }
    for (name, value) in
        [("nbf", json!(0)), ("admin", json!(true)), ("exp", json!(1e300)), ("exp", json!(-1))]
    {
        assert_eq!(with_claims(|c| c[name] = value.clone()), Err(JwtError::Claims), "{name} {value}");
    }
    assert_eq!(with_claims(|c| c["role"] = "root".into()), Err(JwtError::Claims));
    assert_eq!(with_claims(|c| c["ext"] = "Full".into()), Err(JwtError::Claims));
    for body in [&b""[..], b"null", b"{}", b"[]", b"\xff\xfe", b"{\"iss\":\"x\"} {}"] {
        assert_eq!(read(&signed(&header(), body)), Err(JwtError::Claims));
    }
}

#[test]
fn no_token_has_a_second_spelling() {
    let token = key().sign(&claims());
    let text = token.expose();
    for changed in [
        format!("{text}="),
        format!("{text}=="),
        format!(" {text}"),
        format!("{text} "),
        format!("{text}\n"),
        format!("{text}.x"),
        format!("{text}."),
        format!(".{text}"),
        format!("{text}.{text}"),
        text.replacen('.', "..", 1),
        text.replace('.', ""),
        text.replacen('.', "", 1),
        text.replace('.', "+"),
    ] {
        assert_eq!(read(&changed), Err(JwtError::Malformed), "{changed}");
    }
    // 64 bytes leave four bits of the last character over: any of them set says the same to a lax reader.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *text.as_bytes().last().unwrap();
    let index = alphabet.iter().position(|c| *c == last).unwrap();
    assert_eq!(index % 16, 0);
    for extra in 1..16 {
        let changed = format!("{}{}", &text[..text.len() - 1], char::from(alphabet[index + extra]));
        assert_eq!(read(&changed), Err(JwtError::Malformed));
    }
}

#[test]
fn each_cut_and_each_flipped_bit_is_found() {
    let token = key().sign(&claims());
    let text = token.expose();
    for end in 0..text.len() {
        assert!(read(&text[..end]).is_err(), "cut at {end}");
        assert!(read(&text[end + 1..]).is_err(), "from {end}");
    }
    for at in 0..text.len() {
        for bit in 0..7 {
            let mut changed = text.as_bytes().to_vec();
            changed[at] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert!(read(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_huge_token_is_not_looked_at() {
    assert_eq!(read(&"a".repeat(LONGEST + 1)), Err(JwtError::Long));
    assert_eq!(read(&".".repeat(LONGEST)), Err(JwtError::Malformed));
    let long = with_claims(|c| c["sub"] = "x".repeat(4096).into());
    assert_eq!(long, Err(JwtError::Long));
}

#[test]
fn a_key_of_small_order_signs_nothing() {
    // With the neutral element as its key, a lax check takes a signature of zeros for any message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = VerifyingKey::from_bytes(&neutral).unwrap();
    let keys = Verifiers([(key().id, weak)].into());
    let token = key().sign(&claims());
    let (text, _) = token.expose().rsplit_once('.').unwrap();
    let mut zero = [0; 64];
    zero[0] = 1;
    let forged = format!("{text}.{}", URL_SAFE_NO_PAD.encode(zero));
    assert_eq!(verify(&forged, &keys, NOW * 1000, DAEMON), Err(JwtError::Signature));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic_or_is_taken(text in ".{0,200}", a in ".*", b in ".*", c in ".*") {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let plain = format!("{a}.{b}.{c}");
        let encoded = format!("{}.{}.{}", part(&a), part(&b), part(&c));
        for token in [text, plain, encoded] {
            prop_assert!(read(&token).is_err());
        }
    }

    #[test]
    fn whatever_is_signed_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(read(&signed(&header(), &body)), Err(JwtError::Claims));
    }
}
