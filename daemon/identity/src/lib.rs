//! Who may do what: organizations, users, roles, passwords, second factors, API keys, tokens, lockout.
//!
//! What is known of one credential each is in [`credentials`], which is pure. [`Identity`] is the service over that and
//! the store; the data path reads its [`Snapshot`] and nothing else.

pub mod access_token;
mod account;
mod account_error;
mod actor;
mod blocked;
mod blocks;
mod caller;
mod contain;
pub mod credentials;
mod cross_tenant;
mod directory;
mod entries;
mod error;
mod fields;
mod follow;
mod hashers;
mod key_certificates;
mod key_count;
mod key_lookup;
pub mod key_material;
mod key_queueing;
mod key_state;
mod key_uses;
mod keys;
mod limits;
mod lockouts;
mod login;
mod organizations;
mod patterns;
mod privacy;
pub mod provisioning;
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
mod unlock;
mod user_names;
mod users;
mod whoami;

pub use account_error::AccountError;
pub use actor::{Actor, Source};
pub use blocked::Blocked;
pub use blocks::Blocks;
pub use caller::{Caller, NotKnown, Renewal};
pub use credentials::{NoRandom, api_key, backup_code, jwt, lockout, password, token_format, totp};
pub use error::IdentityError;
pub use key_certificates::certificate_name;
pub use key_count::too_many_keys;
pub use lockouts::{Attempt, Lockouts, Refused};
pub use login::{Authenticated, RequiredActions};
pub use service::{Counters, Hot, Identity};
pub use sessions::{Ended, includes};
pub use snapshot::Snapshot;
