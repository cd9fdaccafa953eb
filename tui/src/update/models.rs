//! What can be done with models.

use aivonx_protocol::{Request, model::ModelRequest};

use super::{dialogs, forms, nodes};
use crate::{
    keymap::Do,
    model::{Model, Topic, calls::Act, models::on},
};

/// The names of the nodes, in the order of their columns.
pub(crate) fn columns(model: &Model) -> Vec<&str> {
    let mut names: Vec<&str> = model.nodes.list.all().iter().map(|node| &*node.name).collect();
    // Who may see models need not see nodes.
    if names.is_empty() {
        let places = model.models.list.all().iter().flat_map(|known| &known.nodes);
        names = places.map(|place| &*place.node).collect();
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, does: Do) {
    match does {
        Do::Left | Do::Right => {
            let names: Vec<String> = columns(model).into_iter().map(str::to_owned).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            model.models.step(&names, does == Do::Right);
        }
        Do::Pull => {
            let name = model.models.list.chosen().map(|known| known.name.clone()).unwrap_or_default();
            let nodes = model.models.node.iter().cloned().collect();
            forms::open(model, nodes::pull_form(nodes, &name));
        }
        Do::Remove => remove(model),
        _ => {}
    }
}

fn remove(model: &mut Model) {
    let node = model.models.node.clone();
    let known: Vec<_> = model.models.list.targets().into_iter().cloned().collect();
    let affected: Vec<_> =
        known.iter().filter(|known| node.as_deref().is_none_or(|node| on(known, node).is_some())).collect();
    let Some(first) = affected.first() else {
        if let Some(node) = &node {
            model.warn(format!("it is not on {node}"));
        }
        return;
    };
    let what = match &*affected {
        [one] => format!("model {}", one.name),
        more => format!("{} models", more.len()),
    };
    let mut lines = Vec::new();
    let loaded = affected
        .iter()
        .flat_map(|known| &known.nodes)
        .filter(|place| place.loaded && node.as_deref().is_none_or(|node| node == place.node));
    match (&node, loaded.count()) {
        (Some(node), _) => lines.push(format!("It is deleted from the disk of {node} alone.")),
        (None, _) => {
            let mut names: Vec<&str> =
                affected.iter().flat_map(|known| &known.nodes).map(|place| &*place.node).collect();
            names.sort_unstable();
            names.dedup();
            lines.push(format!("It is deleted from the disks of: {}.", names.join(", ")));
        }
    }
    lines.push("To have it again it must be pulled again.".into());
    let typed =
        node.is_none().then(|| if affected.len() == 1 { first.name.clone() } else { "remove".into() });
    let title = match &node {
        Some(node) => format!("Remove {what} from {node}?"),
        None => format!("Remove {what} from every node?"),
    };
    let requests = affected
        .iter()
        .map(|known| {
            let request = ModelRequest::Remove { model: known.name.clone(), node: node.clone() };
            let act = Act {
                doing: format!("Removing {}", known.name),
                done: format!("{} is removed", known.name),
                reload: vec![Topic::Models],
            };
            (Request::Model(request), act)
        })
        .collect();
    dialogs::confirm(model, title, lines, "Remove", typed, requests);
}
