//! Who may do what: organizations, users, roles, passwords, second factors, API keys, tokens, lockout.
//!
//! The files about one credential each ([`password`], [`totp`], [`code`], [`opaque`], [`api_key`], [`jwt`],
//! [`lockout`]) are pure: they know neither store nor clock nor network, and are told the time.

mod actor;
pub mod api_key;
pub mod code;
pub mod jwt;
pub mod lockout;
pub mod opaque;
pub mod password;
pub mod password_rules;
mod random;
pub mod totp;

pub use actor::{Actor, Source};
pub use random::NoRandom;
