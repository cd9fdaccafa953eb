//! What requests for models are given or bound to, and other names for models.

use aivonx_protocol::{
    Request,
    policy::{self, Alias, ContextSize, KeepAlive, Policy, PolicyChange, PolicyRequest},
};

use super::Asked;
use crate::{
    keymap::Do,
    state::{
        Model, Topic,
        calls::Act,
        form::{Field, Form, FormFor, slug},
        usage::{Tab, UsageForm},
    },
    update::{dialogs, forms},
};

/// A key of the tabs' own.
pub(super) fn carry_out(model: &mut Model, does: Do) {
    let policies = model.usage.tab == Tab::Policies;
    let form = match does {
        Do::Add if policies => policy_form(None),
        Do::Add => alias_form(None),
        Do::Edit => {
            let found = if policies {
                model.usage.policies.chosen().map(|one| policy_form(Some(one)))
            } else {
                model.usage.aliases.chosen().map(|one| alias_form(Some(one)))
            };
            let Some(form) = found else { return };
            form
        }
        Do::Remove => return remove(model, policies),
        _ => return,
    };
    forms::open(model, form);
}

fn of(organization: Option<&str>) -> String {
    organization.map_or_else(|| " of everybody".to_owned(), |slug| format!(" of {slug}"))
}

fn organization() -> Field {
    Field::text("organization", "Org", "its slug; empty: everybody's, or your own's", "").checked(slug)
}

fn tokens(text: &str) -> Result<(), String> {
    count(text).map(|_| ())
}

fn count(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "a number of tokens, such as 8192".to_owned())
}

fn policy_form(policy: Option<&Policy>) -> Form {
    let keep = policy.and_then(|policy| policy.keep_alive.as_ref());
    let size = policy.and_then(|policy| policy.num_ctx);
    let most = policy.and_then(|policy| policy.output_max).map(|most| most.to_string());
    let mut fields = Vec::new();
    if policy.is_none() {
        let about = "* and ? are wildcards: llama3.3:70b, llama3*, *";
        fields.push(Field::text("model", "Models", about, "").required());
        fields.push(organization());
    }
    fields.extend([
        Field::text(
            "keep_alive",
            "Keep alive",
            "how long they stay in memory: 30m, seconds, -1 for ever; empty: as asked",
            keep.map(|keep| &*keep.value).unwrap_or_default(),
        ),
        Field::toggle(
            "keep_force",
            "  forced",
            "whatever the client says",
            keep.is_some_and(|keep| keep.force),
        ),
        Field::text(
            "num_ctx",
            "Context",
            "tokens; empty: as asked",
            &size.map(|size| size.tokens.to_string()).unwrap_or_default(),
        )
        .checked(tokens),
        Field::toggle(
            "ctx_force",
            "  forced",
            "whatever the client says; another size loads the model anew",
            size.is_some_and(|size| size.force),
        ),
        Field::text(
            "output_max",
            "Max output",
            "most tokens of an answer; empty: any",
            &most.unwrap_or_default(),
        )
        .checked(tokens),
    ]);
    let title = policy.map_or_else(
        || "Add a model policy".to_owned(),
        |policy| format!("Policy for {}{}", policy.model, of(policy.organization.as_deref())),
    );
    let before = policy.map(|policy| Box::new(policy.clone()));
    Form::new(FormFor::Usage(UsageForm::Policy(before)), title, "", fields)
}

/// Sets what the form changes.
pub(super) fn set(form: &Form, before: Option<&Policy>) -> Result<Asked, String> {
    let keep_alive =
        form.given("keep_alive").map(|value| KeepAlive { value, force: form.is_on("keep_force") });
    let number = |key| form.given(key).map(|text| count(&text)).transpose();
    let num_ctx = number("num_ctx")?.map(|tokens| ContextSize { tokens, force: form.is_on("ctx_force") });
    let output_max = number("output_max")?;
    let differs = PolicyChange {
        keep_alive: Some(keep_alive).filter(|new| before.is_none_or(|old| old.keep_alive != *new)),
        num_ctx: Some(num_ctx).filter(|new| before.is_none_or(|old| old.num_ctx != *new)),
        output_max: Some(output_max).filter(|new| before.is_none_or(|old| old.output_max != *new)),
    };
    let (model, organization, revision, change) = match before {
        Some(old) => (old.model.clone(), old.organization.clone(), Some(old.revision), differs),
        None => {
            // What is left empty leaves a policy that is there already as it is.
            let given = PolicyChange {
                keep_alive: differs.keep_alive.filter(Option::is_some),
                num_ctx: differs.num_ctx.filter(Option::is_some),
                output_max: differs.output_max.filter(Option::is_some),
            };
            (form.value("model"), form.given("organization"), None, given)
        }
    };
    if change == PolicyChange::default() {
        return Err("nothing to set; fill in one of the fields".to_owned());
    }
    let whose = of(organization.as_deref());
    let request = PolicyRequest::Set(policy::Set {
        organization,
        model: model.clone(),
        revision,
        change: Box::new(change),
    });
    Ok(Asked::new(
        Request::Policy(request),
        format!("Setting the policy for {model}{whose}"),
        format!("the policy for {model}{whose} is set"),
        &[Topic::Policies],
    ))
}

fn alias_form(alias: Option<&Alias>) -> Form {
    let mut fields = Vec::new();
    if alias.is_none() {
        fields.push(Field::text("alias", "Alias", "the name that clients ask for: gpt-4o", "").required());
        fields.push(organization());
    }
    let models = alias.map(|alias| alias.models.join(" ")).unwrap_or_default();
    let about = "what is served: the first that a node can serve; separated by blanks";
    fields.push(Field::text("models", "Models", about, &models).required());
    let title = alias.map_or_else(
        || "Add an alias".to_owned(),
        |alias| format!("Alias {}{}", alias.alias, of(alias.organization.as_deref())),
    );
    let before = alias.map(|alias| Box::new(alias.clone()));
    Form::new(FormFor::Usage(UsageForm::Alias(before)), title, "", fields)
}

/// Sets the alias of this form.
pub(super) fn set_alias(form: &Form, before: Option<&Alias>) -> Result<Asked, String> {
    let models = form.words("models");
    let (alias, organization, revision) = match before {
        Some(old) if old.models == models => return Err("nothing was changed".to_owned()),
        Some(old) => (old.alias.clone(), old.organization.clone(), Some(old.revision)),
        None => (form.value("alias"), form.given("organization"), None),
    };
    let (doing, done) = (format!("Setting the alias {alias}"), format!("the alias {alias} is set"));
    let request = PolicyRequest::SetAlias(policy::SetAlias { organization, alias, models, revision });
    Ok(Asked::new(Request::Policy(request), doing, done, &[Topic::Aliases]))
}

fn remove(model: &mut Model, policies: bool) {
    let (noun, reload) = if policies { ("policy for", Topic::Policies) } else { ("alias", Topic::Aliases) };
    let named: Vec<(Request, String)> = if policies {
        let all = model.usage.policies.targets().into_iter();
        all.map(|one| {
            let (organization, model) = (one.organization.clone(), one.model.clone());
            let name = format!("{model}{}", of(organization.as_deref()));
            (Request::from(policy::Remove { organization, model }), name)
        })
        .collect()
    } else {
        let all = model.usage.aliases.targets().into_iter();
        all.map(|one| {
            let (organization, alias) = (one.organization.clone(), one.alias.clone());
            let name = format!("{alias}{}", of(organization.as_deref()));
            (Request::from(policy::RemoveAlias { organization, alias }), name)
        })
        .collect()
    };
    let title = match &*named {
        [] => return,
        [(_, name)] => format!("Forget the {noun} {name}?"),
        more if policies => format!("Forget {} policies?", more.len()),
        more => format!("Forget {} aliases?", more.len()),
    };
    let line = if policies {
        "Requests for these models are as clients make them from now on."
    } else {
        "Clients that ask for the name get what a node has under it, or an error."
    };
    let requests = named
        .into_iter()
        .map(|(request, name)| {
            let what = Act {
                doing: format!("Forgetting the {noun} {name}"),
                done: format!("the {noun} {name} is forgotten"),
                reload: vec![reload],
            };
            (request, what)
        })
        .collect();
    dialogs::confirm(model, title, vec![line.to_owned()], "Forget", None, requests);
}
