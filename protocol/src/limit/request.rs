//! Requests about limits, and what they are answered with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LimitSetting, LimitUnit};
use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
    organization::{LimitProfile, PrivacyMode},
};

/// What has limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitLevel {
    /// The installation: what holds where nothing nearer is set.
    Fleet,
    /// An organization.
    Organization,
    /// A user.
    User,
    /// A key.
    Key,
}

/// Where a value comes from. One that was set beats a profile's, and a nearer one beats a farther one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// The limit profile.
    Profile,
    /// Set on the fleet.
    Fleet,
    /// Set on the organization.
    Organization,
    /// Set on the organization by an administrator of its own.
    OrganizationAdmin,
    /// Set on the user.
    User,
    /// Set on the user by an administrator of its organization.
    UserAdmin,
    /// Set on the key.
    Key,
    /// Set on the key by an administrator of its organization.
    KeyAdmin,
}

/// Whose limits are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitTarget {
    /// The caller's: of a member its own, of other roles those of its organization, else those of the fleet.
    Own,
    /// Those of an organization.
    Organization {
        /// Slug or id.
        organization: String,
    },
    /// Those of a user.
    User {
        /// Name or id.
        user: String,
    },
    /// Those of a key.
    Key {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
    },
}

impl LimitTarget {
    /// A change of limits is about what they are set on.
    fn noted(&self) -> Noted {
        let noted = |kind, object: &str| Noted::new(Action::Update, kind, object);
        match self {
            Self::Own => noted("limit", ""),
            Self::Organization { organization } => {
                noted("organization", organization).of_organization(Some(organization))
            }
            Self::User { user } => noted("user", user),
            Self::Key { organization, key } => noted("key", key).of_organization(organization.as_deref()),
        }
    }
}

/// A limit and its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitValue {
    /// What is limited.
    pub name: LimitSetting,
    /// The cap in its unit; None is unlimited.
    pub limit: Option<u64>,
}

/// One limit as it is in force. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveLimit {
    /// What is limited.
    pub name: LimitSetting,
    /// Whose it is: every level's cap is enforced, the tightest wins.
    pub level: LimitLevel,
    /// The cap; None is unlimited.
    pub limit: Option<u64>,
    /// What it counts.
    pub unit: LimitUnit,
    /// Where the value comes from.
    pub source: LimitSource,
    /// How much of it is used; None where nothing is counted, or the caller may not see it.
    pub used: Option<u64>,
    /// When the count begins anew; None where nothing is counted, or it is only given back.
    pub resets: Option<UnixMillis>,
}

/// The limits of the fleet, an organization, a user or a key. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Whose limits these are.
    pub level: LimitLevel,
    /// Its id; None for the fleet.
    pub id: Option<String>,
    /// Slug of the organization, name of the user or key; None for the fleet.
    pub name: Option<String>,
    /// Slug of the organization it belongs to.
    pub organization: Option<String>,
    /// The profile that its values begin with.
    pub profile: LimitProfile,
    /// Its limits, then those of the levels above that hold for it as well.
    pub limits: Vec<EffectiveLimit>,
    /// Revision of what was set on it; 0 if nothing was.
    pub revision: u64,
}

/// A limit profile. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitProfileInfo {
    /// The profile.
    pub profile: LimitProfile,
    /// Whether it is the fleet's: of users and keys without an organization, and of organizations to come.
    pub fleet: bool,
    /// Slugs of the organizations that have it and that the caller may see.
    pub organizations: Vec<String>,
    /// What becomes of personal data in prompts of organizations added with it.
    pub privacy: PrivacyMode,
    /// What it limits; what is not named is not limited.
    pub limits: Vec<LimitValue>,
}

/// Where limits on money cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpriced {
    /// Names of the models without a price, of those that are there and may be used.
    pub models: Vec<String>,
    /// Whether there is no price at all.
    pub all: bool,
}

operations! {
    /// Requests about limits. Append only.
    Request::Limit(LimitRequest);

    /// The limits in force.
    "limit.show" Show {
        /// Whose.
        target: LimitTarget,
    } -> Limits as Limits, needs LimitRead;

    /// Set values.
    "limit.set" Set {
        /// On what.
        target: LimitTarget,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The values.
        values: Vec<LimitValue>,
    } -> Limits as Limits, needs LimitWrite,
        noted |op| {
            let cap = |value: &LimitValue| (value.name.to_string(), value.name.cap_text(value.limit));
            op.target.noted().with("set", op.values.iter().map(cap).collect::<BTreeMap<_, _>>())
        };

    /// Take back what was set.
    "limit.unset" Unset {
        /// On what.
        target: LimitTarget,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// Which; none named is all.
        names: Vec<LimitSetting>,
    } -> Limits as Limits, needs LimitWrite,
        noted |op| {
            let names: Vec<String> = op.names.iter().map(ToString::to_string).collect();
            op.target.noted().with("unset", if names.is_empty() { vec!["all".to_owned()] } else { names })
        };

    /// The profiles.
    "limit.profiles" Profiles -> Vec<LimitProfileInfo> as LimitProfiles, needs LimitRead;

    /// Choose the profile of the fleet or of an organization.
    "limit.set_profile" SetProfile {
        /// Slug or id of the organization; None is the fleet.
        organization: Option<String>,
        /// The profile.
        profile: LimitProfile,
        /// Take back what was set on it, too.
        reset: bool,
    } -> Limits as Limits, needs LimitWrite,
        noted |op| Noted::on_organization("limit", op.organization.as_deref())
            .with("limit_profile", op.profile)
            .with("reset", op.reset);

    /// Which models have no price, so that limits on money hold for nobody who uses them.
    "limit.unpriced" FindUnpriced {
        /// Whose models: those of its organization, else those the caller sees.
        target: LimitTarget,
    } -> Unpriced as Unpriced, needs LimitRead;
}
