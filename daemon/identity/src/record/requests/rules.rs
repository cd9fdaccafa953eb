//! What binds requests: limits, prices, model policy and privacy.

use std::collections::BTreeMap;

use aivonx_protocol::{
    audit::Action,
    limit::{LimitRequest, LimitTarget},
    policy::{PolicyChange, PolicyRequest},
    price::PriceRequest,
    privacy::{Category, PrivacyRequest},
};

use crate::{opaque, record::Record};

pub(super) fn limit(request: &LimitRequest) -> Option<Record> {
    match request {
        LimitRequest::Show { .. } | LimitRequest::Profiles | LimitRequest::Unpriced { .. } => None,
        LimitRequest::Set { target, values, .. } => {
            let set: BTreeMap<String, String> = values
                .iter()
                .map(|value| (value.name.to_string(), value.name.cap_text(value.limit)))
                .collect();
            Some(limits_of(target).with("set", set))
        }
        LimitRequest::Unset { target, names, .. } => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            Some(
                limits_of(target)
                    .with("unset", if names.is_empty() { vec!["all".to_owned()] } else { names }),
            )
        }
        LimitRequest::SetProfile { organization, profile, reset } => {
            let record = match organization {
                Some(organization) => Record::new(Action::Update, "organization", organization),
                None => Record::new(Action::Update, "limit", ""),
            };
            let record = record.of_organization(organization.as_deref());
            Some(record.with("limit_profile", profile).with("reset", reset))
        }
    }
}

/// The record of a change of limits is about what they are set on.
fn limits_of(target: &LimitTarget) -> Record {
    let record = |kind, object: &str| Record::new(Action::Update, kind, object);
    match target {
        LimitTarget::Own => record("limit", ""),
        LimitTarget::Organization { organization } => {
            record("organization", organization).of_organization(Some(organization))
        }
        LimitTarget::User { user } => record("user", user),
        LimitTarget::Key { organization, key } => {
            record("key", opaque::shown(key)).of_organization(organization.as_deref())
        }
    }
}

pub(super) fn price(request: &PriceRequest) -> Option<Record> {
    match request {
        PriceRequest::List => None,
        PriceRequest::Set { model, prompt, output } => Some(
            Record::new(Action::Update, "price", model)
                .with("prompt_usd", prompt.to_string())
                .with("output_usd", output.to_string()),
        ),
        PriceRequest::Remove { model } => Some(Record::new(Action::Delete, "price", model)),
    }
}

pub(super) fn policy(request: &PolicyRequest) -> Option<Record> {
    match request {
        PolicyRequest::List { .. } | PolicyRequest::Aliases { .. } => None,
        PolicyRequest::Set { organization, model, change, .. } => {
            let PolicyChange { keep_alive, num_ctx, output_max } = &**change;
            Some(
                Record::new(Action::Update, "policy", model)
                    .of_organization(organization.as_deref())
                    .maybe("keep_alive", keep_alive)
                    .maybe("num_ctx", num_ctx)
                    .maybe("output_max", output_max),
            )
        }
        PolicyRequest::Remove { organization, model } => {
            Some(Record::new(Action::Delete, "policy", model).of_organization(organization.as_deref()))
        }
        PolicyRequest::SetAlias { organization, alias, models, .. } => Some(
            Record::new(Action::Update, "alias", alias)
                .of_organization(organization.as_deref())
                .with("models", models),
        ),
        PolicyRequest::RemoveAlias { organization, alias } => {
            Some(Record::new(Action::Delete, "alias", alias).of_organization(organization.as_deref()))
        }
    }
}

pub(super) fn privacy(request: &PrivacyRequest) -> Option<Record> {
    match request {
        // The text of a test is nobody's business.
        PrivacyRequest::Show { .. } | PrivacyRequest::Test { .. } => None,
        PrivacyRequest::Set { organization, mode, categories } => {
            let record = match organization {
                Some(organization) => Record::new(Action::Update, "organization", organization),
                None => Record::new(Action::Update, "privacy", ""),
            };
            let names = |categories: &Vec<Category>| {
                if categories.is_empty() {
                    vec!["all"]
                } else {
                    categories.iter().map(|c| c.name()).collect()
                }
            };
            let record = record.of_organization(organization.as_deref()).maybe("privacy", mode);
            Some(record.maybe("privacy_categories", &categories.as_ref().map(names)))
        }
    }
}
