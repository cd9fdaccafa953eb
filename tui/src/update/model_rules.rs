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
    nouns::placement::is_of,
    render::text::plural,
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
        (Do::Add, Tab::Kept) => forms::open(model, keep_form("", None)),
        (Do::Add, Tab::Strategies) => forms::open(model, strategy_form(None)),
        (Do::Add, Tab::Restrictions) => forms::open(model, restriction_form(None)),
        (Do::Edit, Tab::Kept) => {
            let Some(one) = model.models.kept.chosen() else { return };
            if !is_own(model, one) {
                let (name, owner) = (&one.model, one.organization.as_deref().unwrap_or("the fleet"));
                let why = format!("{name} is kept loaded by {owner}, which alone can change it");
                return model.warn(why);
            }
            let form = keep_form(&one.model, Some(one));
            forms::open(model, form);
        }
        (Do::Edit, Tab::Strategies) => {
            if let Some(form) = model.models.strategies.chosen().map(|one| strategy_form(Some(one))) {
                forms::open(model, form);
            }
        }
        (Do::Edit, Tab::Restrictions) => {
            if let Some(form) = model.models.restrictions.chosen().map(|one| restriction_form(Some(one))) {
                forms::open(model, form);
            }
        }
        (Do::Remove, Tab::Kept) => {
            let line = "It stays in memory until its node needs the room or does not use it any more.";
            let requests = model.models.kept.targets().into_iter().map(|one| {
                let name = match &one.organization {
                    Some(organization) => format!("{} of {organization}", one.model),
                    None => one.model.clone(),
                };
                // Several may keep a model of that name.
                let request = model::Unplace { model: one.id.clone() };
                let done = format!("{name} is kept loaded no longer");
                (name, Request::from(request), done, Topic::Kept)
            });
            let requests = requests.collect();
            remove(model, |what| format!("Keep {what} loaded no longer?"), line, requests);
        }
        (Do::Remove, Tab::Strategies) => {
            let line = "Nodes are chosen for them as the whole fleet has it.";
            let requests = model.models.strategies.targets().into_iter().map(|one| {
                let request = strategy::SetModel { model: one.model.clone(), strategy: None };
                let done = format!("the strategy of {} is the fleet's", one.model);
                (one.model.clone(), Request::from(request), done, Topic::ModelStrategies)
            });
            let requests = requests.collect();
            remove(model, |what| format!("Forget the strategy of {what}?"), line, requests);
        }
        (Do::Remove, Tab::Restrictions) => {
            let line = "What other lines and the organizations' own settings say of them still holds.";
            let requests = model.models.restrictions.targets().into_iter().map(|one| {
                let (only, deny) = (Some(Vec::new()), Some(Vec::new()));
                let request = policy::SetAccess { model: one.model.clone(), only, deny };
                let done = format!("every organization may use {}", one.model);
                (one.model.clone(), Request::from(request), done, Topic::Restrictions)
            });
            let requests = requests.collect();
            remove(model, |what| format!("Let every organization use {what}?"), line, requests);
        }
        _ => {}
    }
}

/// Whether what the caller sets for that model is this one: those of others are beside it.
fn is_own(model: &Model, one: &Placement) -> bool {
    one.organization == model.identity.as_ref().and_then(|who| who.organization.clone())
}

/// Asks before something is taken back: of what, how, what is said then, and what is looked at again.
fn remove(
    model: &mut Model,
    title: impl Fn(&str) -> String,
    line: &str,
    all: Vec<(String, Request, String, Topic)>,
) {
    let title = match &*all {
        [] => return,
        [(name, ..)] => title(name),
        more => title(&format!("{} of them", more.len())),
    };
    let requests = all.into_iter().map(|(name, request, done, topic)| {
        (request, Act { doing: format!("Changing {name}"), done, reload: vec![topic] })
    });
    let requests = requests.collect();
    dialogs::confirm(model, title, vec![line.into()], "Do it", None, requests);
}

/// A form about models; one that is `known` is changed, and keeps its name.
fn form(
    what: ModelForm,
    known: Option<&str>,
    title: String,
    intro: &str,
    name: Field,
    mut fields: Vec<Field>,
) -> Form {
    if known.is_none() {
        fields.insert(0, name.required());
    }
    Form::new(FormFor::Model(what, known.map(str::to_owned)), title, intro, fields)
}

/// Opens the form for keeping a model loaded.
pub(super) fn keep(model: &mut Model, name: &str) {
    let mut all = model.models.kept.all().iter();
    let known = all.find(|one| is_of(one, name) && is_own(model, one));
    let form = keep_form(name, known);
    forms::open(model, form);
}

fn keep_form(name: &str, known: Option<&Placement>) -> Form {
    let copies = known.map_or(1, |one| one.copies).to_string();
    let on = known.and_then(|one| one.on.clone()).unwrap_or_default();
    let pin = "nodes keep it, and requests for other models leave it there";
    let fields = vec![
        Field::text("copies", "Copies", "on how many nodes", &copies).required().checked(form::number),
        Field::text("on", "On", "NODE or LABEL=VALUE; empty: any shared node", &on),
        Field::toggle("pin", "Pin", pin, known.is_some_and(|one| one.pin)),
        Field::toggle("pull", "Pull", "to nodes that do not have it", known.is_some_and(|one| one.pull)),
    ];
    let field = Field::text("model", "Model", "its name; no tag is :latest", name);
    let intro = "The gateway loads it again after a restart, and elsewhere when a node goes.";
    let title = format!("Keep {} loaded", known.map_or("a model", |one| &one.model));
    form(ModelForm::Keep, known.map(|one| &*one.model), title, intro, field, fields)
}

fn models_field() -> Field {
    Field::text("model", "Models", "their names; * and ? are wildcards: llama3*", "")
}

fn strategy_form(known: Option<&ModelStrategy>) -> Form {
    let options = Strategy::ALL.map(|strategy| (strategy.name(), strategy.about()));
    let chosen = known.map(|one| one.strategy).unwrap_or_default();
    let fields = vec![Field::choice("strategy", "Strategy", "", &options, chosen.name())];
    let intro =
        "How a node is chosen for these models, in place of the fleet's way. The most specific name counts.";
    let title =
        known.map_or("A strategy for models".to_owned(), |one| format!("The strategy of {}", one.model));
    form(ModelForm::Strategy, known.map(|one| &*one.model), title, intro, models_field(), fields)
}

fn restriction_form(known: Option<&ModelAccess>) -> Form {
    let words = |of: fn(&ModelAccess) -> &Vec<String>| known.map(|one| of(one).join(" ")).unwrap_or_default();
    let about = "organizations, with blanks between; empty: all";
    let fields = vec![
        Field::text("only", "Only for", about, &words(|one| &one.only)),
        Field::text("deny", "Not for", "organizations, with blanks between", &words(|one| &one.deny)),
    ];
    let intro = "Others neither see nor use these models, under whatever name.";
    let title = known.map_or("For which organizations models are".to_owned(), |one| {
        format!("For which organizations {} is", one.model)
    });
    form(ModelForm::Restriction, known.map(|one| &*one.model), title, intro, models_field(), fields)
}

/// The request of such a form, for the model that it changes or names.
pub(super) fn prepared(form: &Form, what: ModelForm, known: Option<&str>) -> Prepared {
    let model = known.map_or_else(|| form.value("model"), str::to_owned);
    let (request, done, topic) = match what {
        ModelForm::Keep => {
            let copies: u32 =
                form.value("copies").parse().map_err(|_| "copies: a whole number".to_owned())?;
            let done = format!("{model} is to be kept loaded on {}", plural(copies.into(), "node"));
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
            let named = [("only for", &only), ("not for", &deny)].into_iter();
            let named = named.filter(|(_, all)| !all.is_empty());
            let named: Vec<String> = named.map(|(how, all)| format!("{how} {}", all.join(", "))).collect();
            let done = format!("{model} is {}", named.join(", and "));
            let request = policy::SetAccess { model: model.clone(), only: Some(only), deny: Some(deny) };
            (Request::from(request), done, Topic::Restrictions)
        }
    };
    Ok((request, Act { doing: format!("Changing {model}"), done, reload: vec![topic] }))
}
