//! Models that are kept loaded.
//!
//! ## placement
//! | field | meaning |
//! |---|---|
//! | `id` | stable id |
//! | `organization` | slug of the organization on whose nodes it is, or null for shared ones |
//! | `model` | the model |
//! | `copies` | how many nodes it is kept loaded on |
//! | `on` | node or label that it is kept to, or null |
//! | `pin` | whether nodes keep it without an end |
//! | `pull` | whether it is pulled to nodes that do not have it |
//! | `loaded` | array of the nodes that hold it in memory now |
//! | `loading` | array of the nodes that are loading or pulling it |
//! | `lacks` | why there are fewer than wanted, or null |
//! | `created` | time |
//! | `revision` | rises with every change |

use aivonx_protocol::model::Placement;

use crate::render::{Cell, Column, Table, Tone};

/// Placements, and how far they are.
pub(crate) fn table(all: &[Placement]) -> Table {
    let mut table = Table::new([
        Column::text("MODEL"),
        Column::text("KEPT"),
        Column::text("ON"),
        Column::text("LOADED"),
        Column::text("LOADING"),
        Column::text("LACKS"),
    ]);
    for one in all {
        let (loaded, wanted) = (one.loaded.len(), one.copies as usize);
        let tone = if loaded >= wanted { Tone::Good } else { Tone::Warn };
        let on = one.on.as_deref().or(one.organization.as_deref());
        let nodes = |nodes: &[String]| Cell::optional((!nodes.is_empty()).then(|| nodes.join(", ")));
        table.row([
            format!("{}{}", one.model, if one.pin { " (pinned)" } else { "" }).into(),
            Cell::toned(format!("{loaded} of {wanted}"), tone),
            Cell::optional(on),
            nodes(&one.loaded),
            nodes(&one.loading),
            Cell::optional(one.lacks.as_deref()),
        ]);
    }
    table
}
