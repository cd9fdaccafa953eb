//! What an authenticator app does.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The code that an authenticator shows, `ahead` steps from now.
pub(crate) fn otp(secret: &str, ahead: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let key = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).unwrap();
    mac.update(&(now / 30 + ahead).to_be_bytes());
    let sum: [u8; 20] = mac.finalize().into_bytes().into();
    let at = usize::from(sum[19] & 0xf);
    let number = u32::from_be_bytes([sum[at] & 0x7f, sum[at + 1], sum[at + 2], sum[at + 3]]);
    format!("{:06}", number % 1_000_000)
}
