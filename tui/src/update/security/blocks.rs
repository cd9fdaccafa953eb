//! Who may not use the gateway.

use aivonx_protocol::{Request, block};

use super::span_check;
use crate::{
    state::{
        Model, Topic,
        calls::Act,
        form::{Field, Form, FormFor},
        security::SecurityForm,
    },
    update::{dialogs, forms, nodes::Prepared},
};

/// Opens the form, for this one at first.
pub(in crate::update) fn add(model: &mut Model, target: &str) {
    let fields = vec![
        Field::text(
            "target",
            "Who",
            "192.0.2.7, 2001:db8::/32, or a user or key: alice, user:ci, key:ci",
            target,
        )
        .required(),
        Field::text("lasts_ms", "For", "such as 1h or 30d; empty: until it is removed", "")
            .checked(span_check),
        Field::text("reason", "Reason", "for the list and the audit log", ""),
    ];
    let intro = "Requests of a blocked address, user or key are refused, and those that run end.";
    forms::open(model, Form::new(FormFor::Security(SecurityForm::Block), "Block", intro, fields));
}

/// Blocks what the form names.
pub(super) fn block(form: &Form) -> Prepared {
    let target = form.value("target");
    let lasts_ms = form.given("lasts_ms").map(|text| super::millis(&text)).transpose()?;
    let what = Act {
        doing: format!("Blocking {target}"),
        done: format!("{target} is blocked; to undo: :blocks, ctrl-d"),
        reload: vec![Topic::Blocks],
    };
    Ok((Request::from(block::Add { target, lasts_ms, reason: form.value("reason") }), what))
}

/// Asks before it unblocks the chosen ones.
pub(super) fn remove(model: &mut Model) {
    let requests: Vec<_> = model
        .security
        .blocks
        .targets()
        .into_iter()
        .map(|one| {
            // A name may be that of a user and of a key; the id is of one alone.
            let target = match one.of {
                block::BlockOf::Address => one.target.clone(),
                block::BlockOf::User | block::BlockOf::Key => format!("{}:{}", one.of.as_str(), one.id),
            };
            let what = Act {
                doing: format!("Unblocking {}", one.target),
                done: format!("{} is not blocked any more", one.target),
                reload: vec![Topic::Blocks],
            };
            (Request::from(block::Remove { target }), what)
        })
        .collect();
    let title = match &*requests {
        [] => return,
        [(_, what)] => format!("{}?", what.doing.replacen("Unblocking", "Unblock", 1)),
        more => format!("Unblock {} of them?", more.len()),
    };
    let lines = vec!["Requests from there are served again, and logins are let in.".into()];
    dialogs::confirm(model, title, lines, "Unblock", None, requests);
}
