//! Values of the samples: personal data in prompts.

use crate::{
    organization::{LimitProfile, PrivacyMode},
    privacy::{
        AnswerMode, AnswerPrivacy, Category, Pattern, PatternAction, PrivacyCount, PrivacyReport,
        PrivacySettings,
    },
};

pub(super) fn settings() -> PrivacySettings {
    PrivacySettings {
        organization: Some("acme".into()),
        mode: PrivacyMode::Redact,
        categories: vec![Category::Email, Category::Key],
        profile: Some(LimitProfile::Standard),
    }
}

pub(super) fn report() -> PrivacyReport {
    PrivacyReport {
        organization: Some("acme".into()),
        mode: PrivacyMode::Block,
        findings: vec![PrivacyCount { category: Category::Email, count: 2 }],
        redacted: "mail [REDACTED_EMAIL]".into(),
        refusal: Some("the prompt contains email".into()),
    }
}

pub(super) fn answers() -> AnswerPrivacy {
    AnswerPrivacy { organization: Some("acme".into()), answers: AnswerMode::Redact }
}

pub(super) fn pattern() -> Pattern {
    Pattern {
        name: "staff".into(),
        organization: Some("acme".into()),
        regex: Some("E-[0-9]{6}".into()),
        words: Vec::new(),
        marker: "[REDACTED_STAFF]".into(),
        action: PatternAction::Redact,
        created: 1_700_000_000_000,
    }
}
