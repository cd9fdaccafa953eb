//! What holds for models by name.

use aivonx_protocol::{
    model::{self, ModelRequest, Placement},
    policy::PolicyRequest,
};

use super::*;

/// On the tab of those kept loaded, with these: what keeps them, under which name.
fn kept(all: &[(Option<&str>, &str)]) -> Model {
    let mut model = full(80, 24);
    let Reply::Placements(sample) = Request::from(model::Placements).sample_reply().unwrap() else {
        panic!()
    };
    let one = |(organization, name): &(Option<&str>, &str)| Placement {
        id: format!("{name}-{}", organization.unwrap_or("fleet")),
        organization: organization.map(str::to_owned),
        model: (*name).into(),
        copies: 3,
        on: None,
        ..sample[0].clone()
    };
    model.models.kept.set(all.iter().map(one).collect(), samples::NOW);
    press_all(&mut model, "3 tab g");
    model
}

#[test]
fn the_chosen_placement_goes_and_no_other_of_that_name() {
    let mut model = kept(&[(None, "qwen3:8b"), (Some("acme"), "qwen3:8b")]);
    for (id, said) in [("qwen3:8b-fleet", "qwen3:8b is kept"), ("qwen3:8b-acme", "qwen3:8b of acme is kept")]
    {
        model.models.kept.choose(id);
        press(&mut model, "ctrl-d");
        let effects = press(&mut model, "y");
        let (ticket, request) = call(&effects);
        assert_eq!(*request, Request::from(model::Unplace { model: id.into() }));
        reply(&mut model, ticket, Reply::Done(()));
        assert!(notice(&model).contains(said), "{}", notice(&model));
        model.calls.clear();
    }
}

#[test]
fn what_an_organization_keeps_is_not_the_fleets_to_change() {
    let mut model = kept(&[(Some("acme"), "qwen3:8b")]);
    press(&mut model, "e");
    assert!(model.dialogs.is_empty());
    assert!(notice(&model).contains("kept loaded by acme"), "{}", notice(&model));
    // Nor is it what the fleet keeps under that name.
    press_all(&mut model, "3 backtab");
    super::super::model_rules::keep(&mut model, "qwen3:8b");
    assert!(shot(&model).contains("Keep a model loaded"), "{}", shot(&model));
}

#[test]
fn another_spelling_of_a_model_is_that_model() {
    let mut model = kept(&[(None, "qwen3")]);
    super::super::model_rules::keep(&mut model, "qwen3:latest");
    let effects = press(&mut model, "ctrl-s");
    let Request::Model(ModelRequest::Place(model::Place { model: name, copies, .. })) = call(&effects).1
    else {
        panic!("{effects:?}")
    };
    assert_eq!((&**name, *copies), ("qwen3", 3));
}

#[test]
fn what_is_changed_keeps_its_name_which_cannot_be_typed() {
    let mut model = kept(&[(None, "qwen3:8b")]);
    press(&mut model, "e");
    assert!(shot(&model).contains("Keep qwen3:8b loaded"), "{}", shot(&model));
    type_text(&mut model, "2");
    let effects = press(&mut model, "ctrl-s");
    let Request::Model(ModelRequest::Place(model::Place { model: name, copies, .. })) = call(&effects).1
    else {
        panic!("{effects:?}")
    };
    assert_eq!((&**name, *copies), ("qwen3:8b", 2));
    for keys in ["esc esc tab g e", "esc tab g e"] {
        press_all(&mut model, keys);
        let Some(Dialog::Form(form)) = model.dialogs.last() else { panic!("{keys}") };
        assert!(form.fields.iter().all(|field| field.key != "model"), "{}", form.title);
    }
}

#[test]
fn what_is_said_is_what_was_done() {
    let mut model = full(80, 24);
    press_all(&mut model, "3 backtab a");
    type_text(&mut model, "llama3*");
    press(&mut model, "tab");
    type_text(&mut model, "acme");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, request) = call(&effects);
    assert!(matches!(request, Request::Policy(PolicyRequest::SetAccess(_))));
    reply(&mut model, ticket, Reply::ModelAccess(Vec::new()));
    assert_eq!(notice(&model), "llama3* is only for acme");
}

#[test]
fn who_is_bound_to_an_organization_sets_no_restrictions() {
    let mut model = full(80, 24);
    let who = model.identity.as_mut().unwrap();
    (who.role, who.organization) = (Some(Role::Operator), Some("acme".into()));
    model.models.restrictions.set(Vec::new(), samples::NOW);
    press_all(&mut model, "3 backtab");
    let shown = shot(&model);
    assert!(shown.contains("is shown to those alone who run the"), "{shown}");
    press(&mut model, "a");
    assert!(model.dialogs.is_empty() && notice(&model).contains("bound to an organization"));
}
