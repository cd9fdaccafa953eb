//! The models as the console knows them.

use aivonx_protocol::{
    model::{Drift, Model as Known, ModelOnNode, Placement},
    policy::ModelAccess,
    strategy::ModelStrategy,
};

use super::list::List;

/// What is shown of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tab {
    /// The models, and where they are.
    #[default]
    Models,
    /// Those that are kept loaded.
    Kept,
    /// Those with a strategy of their own.
    Strategies,
    /// Those that are not for every organization.
    Restrictions,
}

impl Tab {
    /// Every tab, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Models, Self::Kept, Self::Strategies, Self::Restrictions];

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Models => "Models",
            Self::Kept => "Kept",
            Self::Strategies => "Strategies",
            Self::Restrictions => "Orgs",
        }
    }
}

/// What a form of the tabs beside the models is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelForm {
    /// Keep a model loaded.
    Keep,
    /// Give models a strategy of their own.
    Strategy,
    /// Say for which organizations models are.
    Restriction,
}

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Models {
    /// What is shown.
    pub(crate) tab: Tab,
    /// All models.
    pub(crate) list: List<Known>,
    /// The column of the node that actions are for; None is every node.
    pub(crate) node: Option<String>,
    /// Names under which nodes have different weights.
    pub(crate) drifts: Vec<Drift>,
    /// Models that are kept loaded.
    pub(crate) kept: List<Placement>,
    /// Models with a strategy of their own.
    pub(crate) strategies: List<ModelStrategy>,
    /// Models that are not for every organization.
    pub(crate) restrictions: List<ModelAccess>,
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
