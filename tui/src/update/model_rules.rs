//! What holds for models by name: those that are kept loaded, strategies of their own, and for which organizations
//! they are.

use aivonx_protocol::{
    Request,
    model::{self, Placement},
    policy::{self, ModelAccess},
    strategy::{self, ModelStrategy, Strategy},
};

use super::{dialogs, forms, nodes::Prepared};
use crate::{
    keymap::Do,
    state::{
        Model, Topic,
        calls::Act,
        form::{self, Field, Form, FormFor},
        models::{ModelForm, Tab},
    },
};

/// A key of the tabs beside the list of models.
pub(super) fn carry_out(model: &mut Model, does: Do) {
    match (does, model.models.tab) {
        (Do::Add, Tab::Kept) => keep(model, ""),
        (Do::Add, Tab::Strategies) => forms::open(model, strategy_form(None)),
        (Do::Add, Tab::Restrictions) => forms::open(model, restriction_form(None)),
        (Do::Edit, tab) => {
            let form = match tab {
                Tab::Models => None,
                Tab::Kept => model.models.kept.chosen().map(|one| keep_form(&one.model, Some(one))),
                Tab::Strategies => model.models.strategies.chosen().map(|one| strategy_form(Some(one))),
                Tab::Restrictions => {
                    model.models.restrictions.chosen().map(|one| restriction_form(Some(one)))
                }
            };
            if let Some(form) = form {
                forms::open(model, form);
            }
        }
        (Do::Remove, Tab::Kept) => {
            let names = named(model.models.kept.targets(), |one: &Placement| &one.model);
            let line = "It stays in memory until its node needs the room or does not use it any more.";
            remove(model, "Keep", "loaded no longer?", line, names, |model| {
                (Request::from(model::Unplace { model }), Topic::Kept)
            });
        }
        (Do::Remove, Tab::Strategies) => {
            let names = named(model.models.strategies.targets(), |one: &ModelStrategy| &one.model);
            let line = "Nodes are chosen for them as the whole fleet has it.";
            remove(model, "Forget the strategy of", "?", line, names, |model| {
                (Request::from(strategy::SetModel { model, strategy: None }), Topic::ModelStrategies)
            });
        }
        (Do::Remove, Tab::Restrictions) => {
            let names = named(model.models.restrictions.targets(), |one: &ModelAccess| &one.model);
            let line = "Every organization sees and uses them then.";
            remove(model, "Let everyone use", "?", line, names, |model| {
                let (only, deny) = (Some(Vec::new()), Some(Vec::new()));
                (Request::from(policy::SetAccess { model, only, deny }), Topic::Restrictions)
            });
        }
        _ => {}
    }
}

fn named<T>(chosen: Vec<&T>, name: fn(&T) -> &String) -> Vec<String> {
    chosen.into_iter().map(|one| name(one).clone()).collect()
}

/// Asks before something is taken back for models of these names.
fn remove(
    model: &mut Model,
    verb: &str,
    end: &str,
    line: &str,
    names: Vec<String>,
    request: impl Fn(String) -> (Request, Topic),
) {
    let what = match &*names {
        [] => return,
        [one] => one.clone(),
        more => format!("{} of them", more.len()),
    };
    let blank = if end == "?" { "" } else { " " };
    let requests = names.into_iter().map(|name| {
        let (request, topic) = request(name.clone());
        let what = Act {
            doing: format!("Changing {name}"),
            done: format!("{name} is changed"),
            reload: vec![topic],
        };
        (request, what)
    });
    let requests = requests.collect();
    dialogs::confirm(model, format!("{verb} {what}{blank}{end}"), vec![line.into()], "Do it", None, requests);
}

fn open(what: ModelForm, title: &str, intro: &str, fields: Vec<Field>) -> Form {
    Form::new(FormFor::Model(what), title, intro, fields)
}

/// Opens the form for keeping a model loaded.
pub(super) fn keep(model: &mut Model, name: &str) {
    let known = model.models.kept.all().iter().find(|one| one.model == name);
    let form = keep_form(name, known);
    forms::open(model, form);
}

fn keep_form(name: &str, known: Option<&Placement>) -> Form {
    let copies = known.map_or(1, |one| one.copies).to_string();
    let on = known.and_then(|one| one.on.clone()).unwrap_or_default();
    let pin = "nodes keep it without an end, and requests for other models leave it there";
    let fields = vec![
        Field::text("model", "Model", "its name; no tag is :latest", name).required(),
        Field::text("copies", "Copies", "on how many nodes", &copies).required().checked(form::number),
        Field::text("on", "On", "NODE or LABEL=VALUE; empty: any shared node", &on),
        Field::toggle("pin", "Pin", pin, known.is_some_and(|one| one.pin)),
        Field::toggle("pull", "Pull", "to nodes that do not have it", known.is_some_and(|one| one.pull)),
    ];
    let intro = "The gateway loads it again after a restart, and elsewhere when a node goes.";
    open(ModelForm::Keep, "Keep a model loaded", intro, fields)
}

fn strategy_form(known: Option<&ModelStrategy>) -> Form {
    let options = Strategy::ALL.map(|strategy| (strategy.name(), strategy.about()));
    let chosen = known.map(|one| one.strategy).unwrap_or_default();
    let name = known.map_or("", |one| &one.model);
    let fields = vec![
        Field::text("model", "Models", "their names; * and ? are wildcards: llama3*", name).required(),
        Field::choice("strategy", "Strategy", "", &options, chosen.name()),
    ];
    let intro =
        "How a node is chosen for these models, in place of the fleet's way. The most specific name counts.";
    open(ModelForm::Strategy, "A strategy for models", intro, fields)
}

fn restriction_form(known: Option<&ModelAccess>) -> Form {
    let words = |of: fn(&ModelAccess) -> &Vec<String>| known.map(|one| of(one).join(" ")).unwrap_or_default();
    let name = known.map_or("", |one| &one.model);
    let fields = vec![
        Field::text("model", "Models", "their names; * and ? are wildcards: llama3*", name).required(),
        Field::text(
            "only",
            "Only for",
            "organizations, with blanks between; empty: all",
            &words(|one| &one.only),
        ),
        Field::text("deny", "Not for", "organizations, with blanks between", &words(|one| &one.deny)),
    ];
    let intro = "Others neither see nor use these models, under whatever name.";
    open(ModelForm::Restriction, "For which organizations models are", intro, fields)
}

/// The request of such a form.
pub(super) fn prepared(form: &Form, what: ModelForm) -> Prepared {
    let model = form.value("model");
    let (request, done, topic) = match what {
        ModelForm::Keep => {
            let copies: u32 =
                form.value("copies").parse().map_err(|_| "copies: a whole number".to_owned())?;
            let done = format!("{model} is kept loaded on {copies} of the nodes");
            let (on, pin, pull) = (form.given("on"), form.is_on("pin"), form.is_on("pull"));
            let request = model::Place { model: model.clone(), copies, on, pin, pull };
            (Request::from(request), done, Topic::Kept)
        }
        ModelForm::Strategy => {
            let chosen = form.value("strategy");
            let strategy = Strategy::ALL.into_iter().find(|known| known.name() == chosen);
            let done = format!("the strategy of {model} is {chosen}");
            let request = strategy::SetModel { model: model.clone(), strategy };
            (Request::from(request), done, Topic::ModelStrategies)
        }
        ModelForm::Restriction => {
            let (only, deny) = (form.words("only"), form.words("deny"));
            if only.is_empty() && deny.is_empty() {
                return Err("name an organization; ctrl-d in the list lets everyone use them".to_owned());
            }
            let done = format!("{model} is for whom you said");
            let request = policy::SetAccess { model: model.clone(), only: Some(only), deny: Some(deny) };
            (Request::from(request), done, Topic::Restrictions)
        }
    };
    Ok((request, Act { doing: format!("Changing {model}"), done, reload: vec![topic] }))
}
