//! Usage and limits, prices and model policy, as the console knows them.

mod time;

use aivonx_protocol::{
    limit::{LimitProfileInfo, LimitTarget, Limits, Unpriced},
    policy::{Alias, Policy},
    price::Price,
    privacy::{AnswerMode, Pattern, PrivacySettings},
    usage::{UsageBy, UsageFilter, UsageReport, UsageRow},
};

pub(crate) use self::time::{Measure, Period};
use super::{Right, list::List};
use crate::nouns::{Budget, LimitRow, Served};

/// What is shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tab {
    /// What organizations use.
    #[default]
    Organizations,
    /// What users use.
    Users,
    /// What keys are used for.
    Keys,
    /// What models serve.
    Models,
    /// What nodes serve.
    Nodes,
    /// What tokens cost.
    Prices,
    /// What requests for models are given or bound to.
    Policies,
    /// Other names for models.
    Aliases,
}

impl Tab {
    /// Every tab, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Organizations,
        Self::Users,
        Self::Keys,
        Self::Models,
        Self::Nodes,
        Self::Prices,
        Self::Policies,
        Self::Aliases,
    ];

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Organizations => "Orgs",
            Self::Users => "Users",
            Self::Keys => "Keys",
            Self::Models => "Models",
            Self::Nodes => "Nodes",
            Self::Prices => "Prices",
            Self::Policies => "Policies",
            Self::Aliases => "Aliases",
        }
    }

    /// What usage has a row for there; None where it is about something else.
    pub(crate) fn by(self) -> Option<UsageBy> {
        match self {
            Self::Organizations => Some(UsageBy::Organization),
            Self::Users => Some(UsageBy::User),
            Self::Keys => Some(UsageBy::Key),
            Self::Models => Some(UsageBy::Model),
            Self::Nodes => Some(UsageBy::Node),
            Self::Prices | Self::Policies | Self::Aliases => None,
        }
    }

    /// What one must be allowed to see.
    pub(crate) fn right(self) -> Right {
        match self {
            Self::Organizations => Right::OrganizationsRead,
            Self::Users | Self::Keys | Self::Models => Right::UsageRead,
            Self::Nodes => Right::NodesRead,
            Self::Prices => Right::PricesRead,
            Self::Policies | Self::Aliases => Right::PolicyRead,
        }
    }
}

/// Whose limits and usage are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OpenLimits {
    /// The caller's: of a member its own, of others those of its organization, else those of the fleet.
    Own,
    /// Those of one of these, by id; of a model or node by name.
    One {
        /// What it is.
        by: UsageBy,
        /// Its id.
        id: String,
        /// Its name. Untrusted.
        name: String,
    },
}

impl OpenLimits {
    /// Whose limits that are; None where there are none.
    pub(crate) fn target(&self) -> Option<LimitTarget> {
        let Self::One { by, id, .. } = self else { return Some(LimitTarget::Own) };
        Some(match by {
            UsageBy::Organization => LimitTarget::Organization { organization: id.clone() },
            UsageBy::User => LimitTarget::User { user: id.clone() },
            UsageBy::Key => LimitTarget::Key { organization: None, key: id.clone() },
            UsageBy::Model | UsageBy::Node => return None,
        })
    }

    /// Which usage that is.
    pub(crate) fn filter(&self) -> UsageFilter {
        let mut filter = UsageFilter::default();
        if let Self::One { by, id, .. } = self {
            let field = match by {
                UsageBy::Organization => &mut filter.organization,
                UsageBy::User => &mut filter.user,
                UsageBy::Key => &mut filter.key,
                UsageBy::Model => &mut filter.model,
                UsageBy::Node => &mut filter.node,
            };
            *field = Some(id.clone());
        }
        filter
    }

    /// The organization whose settings it has: Some(None) is those without one, or the caller's own.
    pub(crate) fn organization(&self) -> Option<Option<String>> {
        match self {
            Self::Own => Some(None),
            Self::One { by: UsageBy::Organization, id, .. } => Some(Some(id.clone())),
            Self::One { .. } => None,
        }
    }

    /// What it is called: `organization acme`.
    pub(crate) fn called(&self) -> String {
        match self {
            Self::Own => "the fleet or your own".to_owned(),
            Self::One { by, name, .. } => format!("{by} {name}"),
        }
    }
}

/// What a form of this screen is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UsageForm {
    /// Set limits of this one.
    Limits(OpenLimits),
    /// Give this one a limit profile.
    Profile(OpenLimits),
    /// What happens to personal data in prompts of this organization; None is those without one.
    Privacy(Option<String>),
    /// Add a pattern there.
    Pattern(Option<String>),
    /// What would become of a text there.
    PrivacyTest(Option<String>),
    /// Set a price.
    Price,
    /// Set a policy; as it was seen, if it was there.
    Policy(Option<Box<Policy>>),
    /// Set an alias; as it was seen, if it was there.
    Alias(Option<Box<Alias>>),
}

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// What is shown.
    pub(crate) tab: Tab,
    /// Over which time.
    pub(crate) period: Period,
    /// What the chart is of.
    pub(crate) measure: Measure,
    /// Whom the details that are open are about.
    pub(crate) open: Option<OpenLimits>,
    /// Whom the limits and steps of time below are about; also where another screen shows them.
    pub(crate) asked: Option<OpenLimits>,
    /// The last sums.
    pub(crate) report: Option<UsageReport>,
    /// What organizations use.
    pub(crate) organizations: List<Budget>,
    /// What users use.
    pub(crate) users: List<Budget>,
    /// What keys are used for.
    pub(crate) keys: List<Budget>,
    /// What models serve.
    pub(crate) models: List<Served>,
    /// What nodes serve.
    pub(crate) nodes: List<Served>,
    /// The limits of the one asked about.
    pub(crate) limits: List<LimitRow>,
    /// The same as they came.
    pub(crate) limits_of: Option<Limits>,
    /// Models for which its limits on money do not hold.
    pub(crate) unpriced: Option<Unpriced>,
    /// Its usage by steps of time.
    pub(crate) steps: Option<UsageReport>,
    /// What happens to personal data in its prompts.
    pub(crate) privacy: Option<PrivacySettings>,
    /// What happens to it in the answers.
    pub(crate) answers: Option<AnswerMode>,
    /// Its own patterns.
    pub(crate) patterns: List<Pattern>,
    /// Whether these are shown in place of its limits.
    pub(crate) shows_patterns: bool,
    /// The limit profiles.
    pub(crate) profiles: Vec<LimitProfileInfo>,
    /// The prices.
    pub(crate) prices: List<Price>,
    /// What requests for models are given or bound to.
    pub(crate) policies: List<Policy>,
    /// Other names for models.
    pub(crate) aliases: List<Alias>,
}

impl Usage {
    /// Whether the limits that are open are the caller's own.
    pub(crate) fn is_own(&self) -> bool {
        self.open == Some(OpenLimits::Own)
    }

    /// Forgets whose limits were looked at.
    pub(crate) fn forget_one(&mut self) {
        self.limits.clear();
        self.limits_of = None;
        self.unpriced = None;
        self.steps = None;
        self.privacy = None;
        self.answers = None;
        self.patterns.clear();
        self.shows_patterns = false;
    }

    /// These limits hold for the one asked about.
    pub(crate) fn note(&mut self, limits: Limits, now: u64) {
        self.limits.set(LimitRow::all(&limits).collect(), now);
        self.limits_of = Some(limits);
    }
}

/// A row without usage, for what has none yet.
pub(crate) fn unused(id: &str, name: &str) -> UsageRow {
    UsageRow { id: Some(id.to_owned()), name: Some(name.to_owned()), ..UsageRow::default() }
}
