//! Pieces that panes are drawn with. None knows the model.

pub(crate) mod chart;
pub(crate) mod grid;
pub(crate) mod input;
pub(crate) mod popup;
pub(crate) mod rows;
pub(crate) mod spark;
