//! The limit profiles: values to begin with.

use aivonx_protocol::{
    limit::{LimitName, LimitSetting},
    money::MICRO,
    organization::{LimitProfile, PrivacyMode},
};

use crate::store::LimitValues;

/// What a profile limits; what is not in it is not limited.
#[must_use]
pub fn values(profile: LimitProfile) -> LimitValues {
    use LimitName::{
        AnonymousHour, BurstMinute, InferenceDay, LoginHour, PromptChars, ResetHour, SpendDay, TokenHour,
        UserHour,
    };
    let (bare, of_user) = (LimitSetting::bare, LimitSetting::of_user);
    // By address and at the login: as good for a team as for the public.
    let doors = [
        (bare(AnonymousHour), 50),
        (bare(LoginHour), 10),
        (bare(ResetHour), 5),
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
