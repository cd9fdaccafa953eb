//! What is said of a node beside its record.

use aivonx_protocol::node::TraitsChange;
use clap::Args;

use crate::{
    exit::Failure,
    render::{Out, Table},
};

/// What is said of a node beside its record.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Traits {
    /// It is a hosted API: asked only by who may use cloud models, and where the fleet's own nodes would begin later than
    /// overflow.after
    #[arg(long)]
    third_party: bool,
    /// Most models it holds in memory at once; 0 has it learned
    #[arg(long, value_name = "N")]
    models_at_once: Option<u32>,
}

impl Traits {
    /// What is said now, and that it is `own` if that is.
    pub(super) fn change(&self, own: bool) -> TraitsChange {
        TraitsChange {
            third_party: (self.third_party || own).then_some(self.third_party),
            models_at_once: self.models_at_once.map(|most| Some(most).filter(|most| *most > 0)),
        }
    }
}

/// Writes what is said, if anything is.
pub(super) fn show(out: &mut Out, third_party: bool, models_at_once: Option<u32>) -> Result<(), Failure> {
    let mut table = Table::pairs();
    if third_party {
        table.pair("third party", "yes: asked where it is allowed and the fleet's own nodes are late");
    }
    if let Some(most) = models_at_once {
        table.pair("models at once", most.to_string());
    }
    if third_party || models_at_once.is_some() { out.table(&table) } else { Ok(()) }
}
