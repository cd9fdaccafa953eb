//! Values of the samples: limits and prices.

use crate::{
    limit::{
        EffectiveLimit, LimitLevel, LimitName, LimitProfileInfo, LimitSetting, LimitSource, LimitTarget,
        LimitUnit, LimitValue, Limits,
    },
    money::MicroUsd,
    organization::{LimitProfile, PrivacyMode},
    price::Price,
};

const NOW: u64 = 1_700_000_000_000;

pub(super) fn key() -> LimitTarget {
    LimitTarget::Key { organization: Some("acme".into()), key: "ci".into() }
}

pub(super) fn organization() -> LimitTarget {
    LimitTarget::Organization { organization: "acme".into() }
}

pub(super) fn user() -> LimitTarget {
    LimitTarget::User { user: "alice".into() }
}

pub(super) fn values() -> Vec<LimitValue> {
    vec![
        LimitValue { name: LimitSetting::bare(LimitName::InferenceDay), limit: Some(3) },
        LimitValue { name: LimitSetting::of_user(LimitName::SpendDay), limit: None },
    ]
}

pub(super) fn limits() -> Limits {
    Limits {
        level: LimitLevel::Organization,
        id: Some("0190-org".into()),
        name: Some("acme".into()),
        organization: Some("acme".into()),
        profile: LimitProfile::Standard,
        limits: vec![EffectiveLimit {
            name: LimitSetting::bare(LimitName::InferenceDay),
            level: LimitLevel::Organization,
            limit: Some(3),
            unit: LimitUnit::Requests,
            source: LimitSource::Organization,
            used: Some(2),
            resets: Some(NOW),
        }],
        revision: 4,
    }
}

pub(super) fn profile() -> LimitProfileInfo {
    LimitProfileInfo {
        profile: LimitProfile::Standard,
        fleet: true,
        organizations: vec!["acme".into()],
        privacy: PrivacyMode::Redact,
        limits: values(),
    }
}

pub(super) fn price() -> Price {
    Price {
        model: "llama3*".into(),
        prompt: MicroUsd(150_000),
        output: MicroUsd(600_000),
        created: NOW,
        revision: 1,
    }
}
