//! What can be done with organizations.

use aivonx_protocol::{
    Request,
    organization::{
        self, LimitProfile, NewOrganization, NodeAccess, Organization, OrganizationChange,
        OrganizationRequest, PrivacyMode,
    },
};

use super::{Prepared, says};
use crate::{
    keymap::Do,
    msg::Effect,
    render::text::plural,
    state::{
        Model, Right, Topic,
        calls::Act,
        dialog::RequestsOf,
        form::{Field, Form, FormFor, labels, slug},
    },
    update::{act, dialogs, forms},
};

const RELOAD: &[Topic] = &[Topic::Organizations];

const PROFILES: &[(&str, &str)] = &[
    ("standard", "100 requests a day per user, 10 USD a day"),
    ("team", "no daily request caps; 10 USD a day"),
    ("unlimited", "no limits"),
];
const NODES: &[(&str, &str)] = &[
    ("shared", "every node that is not assigned to an organization"),
    ("labels", "those of the shared ones with certain labels"),
    ("exclusive", "only nodes assigned to it: 2, e, Org"),
];
const PRIVACY: &[(&str, &str)] = &[
    ("off", "personal data is not looked for"),
    ("detect", "personal data is noticed"),
    ("redact", "personal data is replaced"),
    ("block", "prompts with personal data are refused"),
];

/// A key of the tab's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    if does == Do::Add {
        // To add one takes more than to change one.
        return match model.why_not(Right::OrganizationsAdd) {
            Some(why) => model.warn(why),
            None => {
                let form = form(model, None);
                forms::open(model, form);
            }
        };
    }
    let chosen: Vec<Organization> = model.access.organizations.targets().into_iter().cloned().collect();
    let Some(first) = chosen.first() else { return };
    match does {
        Do::Edit => {
            let form = form(model, Some(first));
            forms::open(model, form);
        }
        Do::Enable => {
            for one in &chosen {
                let (request, what) = set_enabled(one, true);
                act(model, out, request, what);
            }
        }
        Do::Disable => {
            let lines =
                vec!["Its users and keys are refused at once; running requests and sessions end.".into()];
            let requests = chosen.iter().map(|one| set_enabled(one, false)).collect();
            let title = format!("Disable {}?", named(&chosen));
            dialogs::confirm(model, title, lines, "Disable", None, requests);
            dialogs::count(model, out, of(chosen));
        }
        Do::Remove => {
            if let Some(why) = model.why_not(Right::OrganizationsAdd) {
                return model.warn(why);
            }
            let (users, keys) =
                chosen.iter().fold((0, 0), |(users, keys), one| (users + one.users, keys + one.keys));
            let nodes: u32 = chosen.iter().map(|one| one.exclusive_nodes).sum();
            let mut lines = vec![format!(
                "{} and {} go with it; their running requests end.",
                plural(users.into(), "user"),
                plural(keys.into(), "key")
            )];
            if nodes > 0 {
                let count = plural(nodes.into(), "node");
                lines.push(format!(
                    "{count} assigned to it alone will be shared, and disabled until you enable them."
                ));
            }
            let typed = if chosen.len() == 1 { first.slug.clone() } else { "remove".to_owned() };
            let requests = chosen.iter().map(remove).collect();
            let title = format!("Remove {}?", named(&chosen));
            dialogs::confirm(model, title, lines, "Remove", Some(typed), requests);
            dialogs::count(model, out, of(chosen));
        }
        _ => {}
    }
}

fn of(chosen: Vec<Organization>) -> RequestsOf {
    RequestsOf::Organizations(chosen.into_iter().map(|one| one.slug).collect())
}

fn named(chosen: &[Organization]) -> String {
    match chosen {
        [one] => format!("organization {}", one.slug),
        more => plural(more.len() as u64, "organization"),
    }
}

fn set_enabled(one: &Organization, enabled: bool) -> (Request, Act) {
    let change = OrganizationChange { enabled: Some(enabled), ..OrganizationChange::default() };
    let request = OrganizationRequest::Set(organization::Set {
        organization: one.id.clone(),
        revision: None,
        change: Box::new(change),
    });
    let (doing, done) = if enabled { ("Enabling", "enabled") } else { ("Disabling", "disabled") };
    let what = says(format!("{doing} {}", one.slug), format!("{} is {done}", one.slug), RELOAD);
    (Request::Organization(request), what)
}

fn remove(one: &Organization) -> (Request, Act) {
    let request = OrganizationRequest::Remove(organization::Remove {
        organization: one.id.clone(),
        revision: None,
        with_contents: one.users + one.keys + one.exclusive_nodes > 0,
    });
    let what = says(format!("Removing {}", one.slug), format!("{} is removed", one.slug), RELOAD);
    (Request::Organization(request), what)
}

fn form(model: &Model, one: Option<&Organization>) -> Form {
    let slug_now = one.map(|one| one.slug.clone()).unwrap_or_default();
    let name = one.map(|one| one.name.clone()).unwrap_or_default();
    let models = one.map(|one| one.models.join(" ")).unwrap_or_default();
    let totp = one.is_some_and(|one| one.require_totp);
    let cloud = one.is_some_and(|one| one.cloud_models);
    let as_profile: &[(&str, &str)] = &[("as the limits say", "")];
    let as_set_up: &[(&str, &str)] = &[("as set up", "what was chosen at set-up")];
    let (mut privacy, mut profiles) = (PRIVACY.to_vec(), PROFILES.to_vec());
    if one.is_none() {
        privacy.splice(0..0, as_profile.iter().copied());
        profiles.splice(0..0, as_set_up.iter().copied());
    }
    let (nodes_now, labels_now) = match one.map(|one| &one.nodes) {
        None | Some(NodeAccess::Shared) => ("shared", String::new()),
        Some(NodeAccess::Exclusive) => ("exclusive", String::new()),
        Some(NodeAccess::Labels(all)) => {
            let all: Vec<String> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
            ("labels", all.join(" "))
        }
    };
    let privacy_now = one.map_or("", |one| privacy_word(one.privacy));
    let profile_now = one.map_or("", |one| profile_word(one.limit_profile));
    let mut fields = vec![
        Field::text("slug", "Slug", "its short name: lower case letters, digits, -", &slug_now)
            .required()
            .checked(slug),
        Field::text("name", "Name", "its name for people", &name),
        Field::choice("limit_profile", "Limits", "its limits", &profiles, profile_now),
        Field::choice("privacy", "Privacy", "personal data in prompts", &privacy, privacy_now),
        Field::text("models", "Models", "what it may use, such as llama3* qwen3:8b; empty: all", &models),
        Field::choice("nodes", "Nodes", "which nodes serve it", NODES, nodes_now),
        Field::text(
            "labels",
            "Labels",
            "KEY=VALUE, separated by blanks: nodes that have all of them",
            &labels_now,
        )
        .required()
        .checked(labels)
        .with("nodes", &["labels"]),
        Field::toggle("require_totp", "2FA", "its users must have a second factor", totp),
        Field::toggle("cloud_models", "Cloud", "models that a node passes on to a third party", cloud),
    ];
    // What is not known yet cannot be changed.
    let networks = match one {
        None => Some(String::new()),
        Some(one) => model
            .access
            .networks
            .as_ref()
            .map(|all| all.get(&one.id).map(|networks| networks.join(" ")).unwrap_or_default()),
    };
    if let Some(networks) = networks.filter(|_| model.why_not(Right::OrganizationsAdd).is_none()) {
        let help = "where its operators may add nodes: 10.1.0.0/16; empty: nowhere";
        fields.push(Field::text("node_networks", "Networks", help, &networks));
    }
    if let (Some(one), Some(all)) = (one, &model.access.hidden_usage) {
        let help = "what it uses of its limits, from its members";
        fields.push(Field::toggle("hide_usage", "Hide use", help, all.contains(&one.id)));
    }
    match one {
        None => Form::new(FormFor::AddOrganization, "Add an organization", "", fields),
        Some(one) => {
            let purpose = FormFor::EditOrganization(one.id.clone(), one.revision);
            Form::new(purpose, format!("Change organization {}", one.slug), "", fields)
        }
    }
}

fn privacy_word(mode: PrivacyMode) -> &'static str {
    match mode {
        PrivacyMode::Off => "off",
        PrivacyMode::Detect => "detect",
        PrivacyMode::Redact => "redact",
        PrivacyMode::Block => "block",
    }
}

fn profile_word(profile: LimitProfile) -> &'static str {
    match profile {
        LimitProfile::Standard => "standard",
        LimitProfile::Team => "team",
        LimitProfile::Unlimited => "unlimited",
    }
}

fn privacy(form: &Form) -> Option<PrivacyMode> {
    let word = form.value("privacy");
    let all = [PrivacyMode::Off, PrivacyMode::Detect, PrivacyMode::Redact, PrivacyMode::Block];
    all.into_iter().find(|mode| privacy_word(*mode) == word)
}

fn profile(form: &Form) -> Option<LimitProfile> {
    let word = form.value("limit_profile");
    let all = [LimitProfile::Standard, LimitProfile::Team, LimitProfile::Unlimited];
    all.into_iter().find(|profile| profile_word(*profile) == word)
}

fn nodes(form: &Form) -> NodeAccess {
    match &*form.value("nodes") {
        "exclusive" => NodeAccess::Exclusive,
        "labels" => {
            let words = form.words("labels");
            let pairs = words.iter().filter_map(|word| word.split_once('='));
            NodeAccess::Labels(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        }
        _ => NodeAccess::Shared,
    }
}

/// Adds the organization of this form.
pub(in crate::update) fn add(form: &Form) -> Prepared {
    let slug = form.value("slug");
    let new = NewOrganization {
        slug: slug.clone(),
        name: form.given("name"),
        require_totp: form.is_on("require_totp"),
        models: form.words("models"),
        nodes: nodes(form),
        cloud_models: form.is_on("cloud_models"),
        privacy: privacy(form),
        limit_profile: profile(form),
    };
    let what = says(format!("Adding {slug}"), format!("added {slug}"), RELOAD);
    let networks = form.words("node_networks");
    let request = if networks.is_empty() {
        organization::Add(Box::new(new)).into()
    } else {
        organization::AddWithNetworks { organization: Box::new(new), networks }.into()
    };
    Ok((request, what))
}

/// Says where the operators of the organization of this form may place nodes, if that is to change.
fn set_networks(form: &Form, organization: &str) -> Option<(Request, Act)> {
    if !form.changes("node_networks") {
        return None;
    }
    let networks = form.words("node_networks");
    let slug = form.value("slug");
    let what = says(format!("Changing {slug}"), format!("{slug} is changed"), &[Topic::Networks]);
    let request = OrganizationRequest::SetNetworks(organization::SetNetworks {
        organization: organization.to_owned(),
        networks,
    });
    Some((Request::Organization(request), what))
}

/// Hides from the members of the organization of this form what it uses, or shows it, if that is to change.
fn hide_usage(form: &Form, organization: &str) -> Option<(Request, Act)> {
    if !form.changes("hide_usage") {
        return None;
    }
    let hidden = form.is_on("hide_usage");
    let slug = form.value("slug");
    let what = says(format!("Changing {slug}"), format!("{slug} is changed"), &[Topic::HiddenUsage]);
    let request = OrganizationRequest::HideUsage(organization::HideUsage {
        organization: organization.to_owned(),
        hidden,
    });
    Some((Request::Organization(request), what))
}

/// What the form changes beside the record.
fn beside(form: &Form, id: &str) -> impl Iterator<Item = (Request, Act)> {
    set_networks(form, id).into_iter().chain(hide_usage(form, id))
}

/// What follows once the first request of this form was answered.
pub(super) fn then(model: &Model, form: &Form, id: &str) -> Vec<(Request, Act)> {
    let one = model.access.organizations.all().iter().find(|one| one.id == id);
    let is_record_changed = one.is_some_and(|one| changes(form, one) != OrganizationChange::default());
    beside(form, id).skip(usize::from(!is_record_changed)).collect()
}

/// Changes what the form changes.
pub(in crate::update) fn change(model: &Model, form: &Form, id: &str, revision: u64) -> Prepared {
    let known = model.access.organizations.all().iter().find(|one| one.id == id);
    let one = known.ok_or_else(|| "it was removed meanwhile".to_owned())?;
    let change = changes(form, one);
    if change == OrganizationChange::default() {
        return beside(form, id).next().ok_or_else(|| "nothing was changed".into());
    }
    let request = OrganizationRequest::Set(organization::Set {
        organization: id.to_owned(),
        revision: Some(revision),
        change: Box::new(change),
    });
    let what = says(format!("Changing {}", one.slug), format!("{} is changed", one.slug), RELOAD);
    Ok((Request::Organization(request), what))
}

fn changes(form: &Form, one: &Organization) -> OrganizationChange {
    let differs = |key: &str, before: &str| Some(form.value(key)).filter(|value| value != before);
    let toggled = |key: &str, before: bool| Some(form.is_on(key)).filter(|on| *on != before);
    OrganizationChange {
        slug: differs("slug", &one.slug),
        name: differs("name", &one.name),
        require_totp: toggled("require_totp", one.require_totp),
        models: Some(form.words("models")).filter(|models| *models != one.models),
        nodes: Some(nodes(form)).filter(|nodes| *nodes != one.nodes),
        cloud_models: toggled("cloud_models", one.cloud_models),
        privacy: privacy(form).filter(|mode| *mode != one.privacy),
        limit_profile: profile(form).filter(|profile| *profile != one.limit_profile),
        ..OrganizationChange::default()
    }
}
