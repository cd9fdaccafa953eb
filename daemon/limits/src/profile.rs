//! The limit profiles: values to begin with.

use aivonx_protocol::{
    limit::{LimitName, LimitProfileInfo, LimitSetting, LimitValue},
    money::MICRO,
    organization::{LimitProfile, PrivacyMode},
};
use aivonx_store::{LimitValues, OrganizationRecord};

/// The profiles, with those of `organizations` that have them; `fleet` is the fleet's.
#[must_use]
pub fn infos(fleet: LimitProfile, organizations: &[OrganizationRecord]) -> Vec<LimitProfileInfo> {
    let info = |wanted: LimitProfile| LimitProfileInfo {
        profile: wanted,
        fleet: wanted == fleet,
        organizations: organizations
            .iter()
            .filter(|organization| organization.limit_profile == wanted)
            .map(|organization| organization.slug.clone())
            .collect(),
        privacy: privacy(wanted),
        limits: values(wanted).into_iter().map(|(name, limit)| LimitValue { name, limit }).collect(),
    };
    ALL.into_iter().map(info).collect()
}

/// What a profile limits; what is not in it is not limited.
#[must_use]
pub fn values(profile: LimitProfile) -> LimitValues {
    use LimitName::{
        AnonymousHour, BurstMinute, InferenceDay, LoginHour, PromptChars, RefusedHour, ResetHour, SpendDay,
        TokenHour, UserHour,
    };
    let (bare, of_user) = (LimitSetting::bare, LimitSetting::of_user);
    // By address and at the login: as good for a team as for the public.
    let doors = [
        (bare(AnonymousHour), 50),
        (bare(LoginHour), 10),
        (bare(ResetHour), 5),
        (bare(RefusedHour), 100),
        (bare(TokenHour), 20),
        (bare(SpendDay), 100 * MICRO),
        (of_user(SpendDay), 10 * MICRO),
    ];
    let rest: &[(LimitSetting, u64)] = match profile {
        LimitProfile::Unlimited => return LimitValues::new(),
        LimitProfile::Standard => &[
            (bare(UserHour), 1000),
            (bare(InferenceDay), 1000),
            (of_user(InferenceDay), 100),
            (bare(BurstMinute), 10),
            (bare(PromptChars), 10_000),
        ],
        // An hourly cap beside 600 a minute would be one on requests a day in disguise.
        LimitProfile::Team => &[(bare(BurstMinute), 600), (bare(PromptChars), 1_000_000)],
    };
    doors.iter().chain(rest).map(|(setting, cap)| (*setting, Some(*cap))).collect()
}

/// The privacy mode that belongs to a profile.
#[must_use]
pub fn privacy(profile: LimitProfile) -> PrivacyMode {
    match profile {
        LimitProfile::Standard => PrivacyMode::Redact,
        LimitProfile::Team => PrivacyMode::Detect,
        LimitProfile::Unlimited => PrivacyMode::Off,
    }
}

/// Its name.
#[must_use]
pub fn name(profile: LimitProfile) -> &'static str {
    match profile {
        LimitProfile::Standard => "standard",
        LimitProfile::Team => "team",
        LimitProfile::Unlimited => "unlimited",
    }
}

/// Every profile, the tightest first.
pub const ALL: [LimitProfile; 3] = [LimitProfile::Standard, LimitProfile::Team, LimitProfile::Unlimited];

#[cfg(test)]
mod tests {
    use aivonx_protocol::limit::LimitUnit;

    use super::*;

    const PAGE: &str = include_str!("../../../man/aivonx-limits.7");

    /// What `man/aivonx-limits.7` promises of each profile.
    #[test]
    fn the_manual_page_has_every_name_and_every_value() {
        for name in LimitName::ALL {
            assert!(PAGE.contains(&format!(".It Ic {name}\n")), "{name} is not explained");
        }
        let cell = |setting: LimitSetting, cap: Option<u64>| match (cap, setting.name.unit()) {
            (None, _) => "\\-".to_owned(),
            (Some(cap), LimitUnit::MicroUsd) => format!("{} USD", cap / MICRO),
            (Some(cap), _) if cap >= 1_000_000 => format!("{} 000 000", cap / 1_000_000),
            (Some(cap), _) if cap >= 1000 => format!("{} 000", cap / 1000),
            (Some(cap), _) => cap.to_string(),
        };
        for setting in LimitSetting::all() {
            let caps = ALL.map(|profile| values(profile).get(&setting).copied().flatten());
            let cells: Vec<String> =
                caps.into_iter().map(|cap| format!(" Ta {}", cell(setting, cap))).collect();
            let row = format!(".It Ic {setting}{}\n", cells.concat());
            assert_eq!(PAGE.contains(&row), caps.iter().any(Option::is_some), "{row}");
        }
    }
}
