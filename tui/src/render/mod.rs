//! What reaches the terminal: tables for people, JSON for scripts, escaped text for both.

pub(crate) mod bar;
pub(crate) mod cells;
pub mod json;
pub mod out;
pub mod progress;
pub mod qr;
pub mod table;
pub mod text;
mod view;

pub use out::{Format, Out};
pub(crate) use table::Width;
pub use table::{Cell, Column, Table, Tone};
pub(crate) use view::View;
