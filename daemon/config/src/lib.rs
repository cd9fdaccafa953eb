//! The file configuration: how the process runs. What it serves is in the store.
//!
//! [`model`](self) declares every key once; parsing ([`load`]), the printed default file ([`print_default`]), what
//! `config show` lists and what a reload may change ([`Live`]) all come from that table.

mod check;
pub mod credentials;
mod document;
mod exposed;
mod find;
mod form;
mod kind;
pub mod level;
mod live;
mod load;
mod mistake;
mod model;
mod origin;
mod postgres;
mod print;
mod routes;
mod sections;
mod suggest;
mod syntax;
mod table;
mod text;
mod units;
mod warnings;

pub use form::{allowed_host, allowed_origin, with_scheme};
pub use live::{Asked, Live};
pub use load::{Loaded, load};
pub use mistake::Mistakes;
pub use model::*;
pub use origin::{Origin, Origins};
pub use postgres::{Host, Postgres, PostgresTls};
pub use print::print_default;
pub use units::show_time;
