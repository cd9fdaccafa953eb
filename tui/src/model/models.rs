//! The models as the console knows them.

use std::{borrow::Cow, cmp::Ordering};

use aivonx_protocol::model::{Model as Known, ModelOnNode};

use super::list::{Column, List, Record, Width};
use crate::filter::Subject;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Models {
    /// All models.
    pub(crate) list: List<Known>,
    /// The column of the node that actions are for; None is every node.
    pub(crate) node: Option<String>,
}

impl Models {
    /// Goes to the node's column at the right, or at the left; past the last one is every node again.
    pub(crate) fn step(&mut self, nodes: &[&str], forward: bool) {
        let at = self.node.as_ref().and_then(|node| nodes.iter().position(|name| name == node));
        let next = match (at, forward) {
            (None, true) => Some(0),
            (None, false) => nodes.len().checked_sub(1),
            (Some(at), true) => Some(at + 1),
            (Some(at), false) => at.checked_sub(1),
        };
        self.node = next.and_then(|at| nodes.get(at)).map(|name| (*name).to_owned());
    }
}

/// Where a model is on a node.
pub(crate) fn on<'a>(model: &'a Known, node: &str) -> Option<&'a ModelOnNode> {
    model.nodes.iter().find(|place| place.node == node)
}

impl Subject for Known {
    fn field(&self, name: &str) -> Option<String> {
        let nodes = |loaded: bool| {
            let names = self.nodes.iter().filter(|place| place.loaded || !loaded);
            names.map(|place| &*place.node).collect::<Vec<_>>().join(" ")
        };
        Some(match name {
            "model" | "name" => self.name.clone(),
            "family" => self.family.clone()?,
            "size" => self.size?.to_string(),
            "node" => nodes(false),
            "loaded" => nodes(true),
            "quant" => self.quantization.clone()?,
            "cloud" => if self.cloud { "yes" } else { "no" }.to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name)
            || self.family.as_deref().is_some_and(&mut *test)
            || self.quantization.as_deref().is_some_and(&mut *test)
            || self.nodes.iter().any(|place| test(&place.node))
    }
}

impl Record for Known {
    const COLUMNS: &'static [Column] = &[
        Column::new("MODEL", Width::Fill(22), 0),
        Column::number("SIZE", 7, 3),
        Column::new("PARAMS", Width::Fixed(7), 5),
        Column::new("QUANT", Width::Fixed(8), 6),
        Column::new("FAMILY", Width::Fixed(9), 7),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.size.cmp(&other.size),
            2 => self.parameters.cmp(&other.parameters),
            3 => self.quantization.cmp(&other.quantization),
            4 => self.family.cmp(&other.family),
            _ => self.name.cmp(&other.name),
        }
    }
}
