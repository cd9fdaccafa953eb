//! How a node is chosen for a request.

use aivonx_protocol::{
    Request,
    strategy::{self, Strategy},
};

use super::{forms, nodes::Prepared, reload};
use crate::{
    msg::Effect,
    state::{
        Model, Right, Topic,
        calls::Act,
        form::{Field, Form, FormFor},
    },
};

/// Asks how it is, to show it.
pub(super) fn ask(model: &mut Model, out: &mut Vec<Effect>) {
    match model.why_not(Right::NodesRead) {
        Some(why) => model.warn(format!("how nodes are chosen: {why}")),
        None => reload(model, out, Topic::Strategy),
    }
}

/// Shows it, and lets those change it who may.
pub(super) fn show(model: &mut Model, strategy: Strategy) {
    if let Some(why) = model.why_not(Right::StrategyWrite) {
        return model.tell(format!("{}: {} ({why})", strategy.name(), strategy.about()));
    }
    let options = Strategy::ALL.map(|strategy| (strategy.name(), strategy.about()));
    let fields = vec![Field::choice("strategy", "Strategy", "", &options, strategy.name())];
    let intro = "Among the nodes that have the model and room for a request, this decides. It is for the whole fleet.";
    forms::open(model, Form::new(FormFor::Strategy, "How a node is chosen", intro, fields));
}

/// Sets what the form says.
pub(super) fn set(form: &Form) -> Prepared {
    let chosen = form.value("strategy");
    let strategy = Strategy::ALL.into_iter().find(|known| known.name() == chosen).unwrap_or_default();
    let act = Act {
        doing: "Setting the strategy".into(),
        done: format!("requests go to {}", strategy.about()),
        reload: vec![Topic::Status],
    };
    Ok((Request::from(strategy::Set(strategy)), act))
}
