//! Who may do what: organizations, users, roles, passwords, second factors, API keys, tokens, lockout.
//!
//! The files about one credential each ([`password`], [`totp`], [`code`], [`opaque`], [`api_key`], [`jwt`],
//! [`lockout`]) are pure: they know neither store nor clock nor network, and are told the time. [`Identity`] is
//! the service over them and the store; the data path reads its [`Snapshot`] and nothing else.

pub mod access;
mod account;
mod account_error;
mod actor;
pub mod api_key;
mod caller;
pub mod code;
mod directory;
mod entries;
mod error;
mod fields;
mod follow;
mod foreign;
mod hashers;
pub mod jwt;
mod key_count;
mod key_lookup;
mod key_uses;
mod keys;
mod lifting;
mod limit_view;
mod limits;
pub mod lockout;
mod lockouts;
mod login;
pub mod material;
pub mod opaque;
mod organizations;
pub mod password;
pub mod password_memory;
mod password_rules;
mod privacy;
mod random;
pub mod record;
pub mod refresh;
#[cfg(any(test, feature = "testing"))]
pub mod rig;
pub mod rotation;
mod rules;
pub mod second_factor;
mod service;
mod sessions;
mod setup;
pub mod snapshot;
mod tokens;
pub mod totp;
pub mod unattended;
mod user_names;
mod users;
mod whoami;

pub use account_error::AccountError;
pub use actor::{Actor, Source};
pub use caller::{Caller, NotKnown, Renewal};
pub use error::IdentityError;
pub use key_count::too_many_keys;
pub use lockouts::{Attempt, Lockouts, Refused};
pub use login::{Authenticated, Owed};
pub use random::NoRandom;
pub use service::{Counters, Hot, Identity};
pub use sessions::{Ended, includes};
pub use snapshot::Snapshot;
