//! Limits and prices.

use aivonx_protocol::{
    limit::{
        EffectiveLimit, LimitLevel, LimitName, LimitProfileInfo, LimitSetting, LimitSource, LimitTarget,
        LimitValue, Limits,
    },
    money::MicroUsd,
    organization::{LimitProfile, PrivacyMode},
    price::Price,
};

use super::{HOSTILE, NOW};

fn limit(name: &str, level: LimitLevel, limit: Option<u64>, source: LimitSource) -> EffectiveLimit {
    let name: LimitSetting = name.parse().unwrap();
    EffectiveLimit { name, level, limit, unit: name.name.unit(), source, used: None, resets: None }
}

pub(crate) fn limits() -> Vec<Limits> {
    use LimitLevel::{Fleet, Key, Organization, User};
    let resets = Some(NOW + 5 * 3_600_000 + 12 * 60_000);
    let acme = Limits {
        level: Organization,
        id: Some("0195f2a0-0000-7000-8000-0000000000b1".into()),
        name: Some("acme".into()),
        organization: Some("acme".into()),
        profile: LimitProfile::Standard,
        limits: vec![
            EffectiveLimit {
                used: Some(9),
                resets,
                ..limit("inference.day", Organization, Some(1_000_000_000), LimitSource::OrganizationAdmin)
            },
            EffectiveLimit {
                used: Some(99_000_001),
                resets,
                ..limit("spend.day", Organization, Some(99_000_000), LimitSource::Organization)
            },
            limit("burst.minute", Organization, Some(10), LimitSource::Profile),
            limit("user.tokens.minute", Organization, Some(4000), LimitSource::Fleet),
            limit("user.spend.day", Organization, None, LimitSource::Organization),
            limit("key.spend.day", Organization, None, LimitSource::Profile),
        ],
        revision: 3,
    };
    let key = Limits {
        level: Key,
        name: Some(HOSTILE.into()),
        limits: vec![
            limit("inference.day", Key, None, LimitSource::Profile),
            EffectiveLimit { used: Some(2), ..limit("concurrent", Key, Some(2), LimitSource::KeyAdmin) },
            limit("spend.month", User, Some(12_345_678), LimitSource::UserAdmin),
            limit("inference.day", Organization, Some(1000), LimitSource::Organization),
        ],
        revision: 0,
        ..acme.clone()
    };
    let fleet = Limits {
        level: Fleet,
        id: None,
        name: None,
        organization: None,
        limits: vec![
            limit("anonymous.hour", Fleet, Some(50), LimitSource::Profile),
            limit("inference.day", Fleet, Some(1000), LimitSource::Fleet),
        ],
        ..acme.clone()
    };
    vec![acme, key, fleet]
}

/// Those that a request asks for; of others than organizations those of a hostile key.
pub(crate) fn limits_of(target: &LimitTarget) -> Limits {
    let [acme, key, fleet] = &limits()[..] else { unreachable!("there are three") };
    let id = |id: &String| Some(id.clone());
    match target {
        LimitTarget::Own => fleet.clone(),
        LimitTarget::Organization { organization } => Limits { id: id(organization), ..acme.clone() },
        LimitTarget::User { user } => {
            let name = Some("mallory.with-a-long-name@department.example.org".to_owned());
            Limits { id: id(user), name, level: LimitLevel::User, ..key.clone() }
        }
        LimitTarget::Key { key: wanted, .. } => Limits { id: id(wanted), ..key.clone() },
    }
}

pub(crate) fn limit_profiles() -> Vec<LimitProfileInfo> {
    let standard = LimitProfileInfo {
        profile: LimitProfile::Standard,
        fleet: true,
        organizations: vec!["acme".into(), "globex".into()],
        privacy: PrivacyMode::Redact,
        limits: vec![
            LimitValue { name: LimitSetting::bare(LimitName::AnonymousHour), limit: Some(50) },
            LimitValue { name: LimitSetting::of_user(LimitName::SpendDay), limit: Some(10_000_000) },
        ],
    };
    let team = LimitProfileInfo {
        profile: LimitProfile::Team,
        fleet: false,
        organizations: vec!["a".into(), "b".into(), "c".into()],
        privacy: PrivacyMode::Detect,
        ..standard.clone()
    };
    let unlimited = LimitProfileInfo {
        profile: LimitProfile::Unlimited,
        organizations: vec![],
        privacy: PrivacyMode::Off,
        limits: vec![],
        ..team.clone()
    };
    vec![standard, team, unlimited]
}

pub(crate) fn prices() -> Vec<Price> {
    let price = |model: &str, prompt, output| Price {
        model: model.into(),
        prompt: MicroUsd(prompt),
        output: MicroUsd(output),
        created: NOW,
        revision: 1,
    };
    vec![price("llama3.3:70b", 590_000, 790_000), price(HOSTILE, 1, 1_000_000_000_000), price("*", 0, 0)]
}
