//! Doing what the overview says to do next.

use aivonx_protocol::WireSecret;

use super::{access, account, forms, keys, login, nodes};
use crate::{
    msg::Effect,
    state::{
        Dialog, Model, Screen,
        access::Tab,
        dialog::Reveal,
        steps::{self, NextStep},
    },
};

/// Does it, where the caller can.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>) {
    match steps::next(model) {
        None => model.tell("nothing has to be done first: the gateway serves"),
        Some(NextStep::SetUp | NextStep::HaveSetUp) => account::set_up(model),
        Some(NextStep::LogIn) => login::ask(model),
        Some(NextStep::Password) => account::password(model),
        Some(NextStep::Enrol) => account::enrol(model, out),
        Some(NextStep::AddNode) => {
            keys::go(model, out, Screen::Nodes);
            forms::open(model, nodes::add_form());
        }
        Some(NextStep::MendNode) => keys::go(model, out, Screen::Nodes),
        Some(NextStep::Pull) => {
            keys::go(model, out, Screen::Models);
            forms::open(model, nodes::pull_form(Vec::new(), ""));
        }
        Some(NextStep::MakeKey) => {
            model.access.tab = Tab::Keys;
            keys::go(model, out, Screen::Access);
            access::make_key(model);
        }
        Some(NextStep::Try) => {
            let line = steps::line(model, steps::OF_THE_SHELL);
            out.push(Effect::Copy(WireSecret::new(line.clone())));
            model.dialogs.push(Dialog::Reveal(Box::new(Reveal {
                title: "Try it".into(),
                lines: vec!["In a shell that reaches the gateway; the answer streams:".into()],
                secret: WireSecret::new(line),
                command: None,
                copied: true,
            })));
        }
    }
}
