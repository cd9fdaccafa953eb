//! Which nodes and jobs are a caller's own: those it may see, change, and put models on.

use aivonx_domain::Reach;

use super::Eligible;

/// Which nodes and jobs are a caller's own. What merely serves it is wider, see [`Eligible`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(Kind);

impl Realm {
    /// The whole fleet.
    pub const ALL: Self = Self(Kind::All);
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// All of them.
    All,
    /// Those that are nobody's.
    Shared,
    /// Those of the organization with this id.
    Organization(String),
    /// None: a member of this organization, or of none.
    Member(Option<String>),
}

impl From<&Reach> for Realm {
    fn from(reach: &Reach) -> Self {
        Self(match reach {
            Reach::All => Kind::All,
            Reach::Organization(id) => Kind::Organization(id.clone()),
            Reach::User { organization, .. } => Kind::Member(organization.clone()),
        })
    }
}

/// Of a client over HTTP: one of an organization manages that organization's nodes alone, not the shared ones it uses.
impl From<&Eligible> for Realm {
    fn from(eligible: &Eligible) -> Self {
        Self(match eligible.organization() {
            Some(id) => Kind::Organization(id.to_owned()),
            None if eligible.is_all() => Kind::All,
            None => Kind::Shared,
        })
    }
}

impl Realm {
    /// Whether what belongs to `owner` (an organization's id, or nobody) is in it.
    #[must_use]
    pub fn covers(&self, owner: Option<&str>) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Shared => owner.is_none(),
            Kind::Organization(id) => owner == Some(id),
            Kind::Member(_) => false,
        }
    }

    /// Whether it is the whole fleet.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0 == Kind::All
    }

    /// The organization it belongs to: what its caller begins belongs there too.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        match &self.0 {
            Kind::All | Kind::Shared => None,
            Kind::Organization(id) => Some(id),
            Kind::Member(organization) => organization.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::organization::NodeAccess;

    use super::*;

    #[test]
    fn each_has_its_own() {
        let organization = |id: &str| Realm::from(&Reach::Organization(id.into()));
        let member = |organization: Option<&str>| {
            Realm::from(&Reach::User { organization: organization.map(str::to_owned), user: "u".into() })
        };
        let client = Eligible::of("acme", &NodeAccess::Shared, &[], true);
        let cases = [
            (Realm::from(&Reach::All), [true, true, true], None),
            (Realm::from(&Eligible::ALL), [true, true, true], None),
            (Realm::from(&Eligible::SHARED), [true, false, false], None),
            (Realm::from(&Eligible::SHARED.without_cloud()), [true, false, false], None),
            (organization("acme"), [false, true, false], Some("acme")),
            (Realm::from(&client), [false, true, false], Some("acme")),
            (organization("other"), [false, false, true], Some("other")),
            (member(Some("acme")), [false, false, false], Some("acme")),
            (member(None), [false, false, false], None),
        ];
        for (realm, expected, owner) in cases {
            let found = [None, Some("acme"), Some("other")].map(|owner| realm.covers(owner));
            assert_eq!((found, realm.organization()), (expected, owner), "{realm:?}");
        }
    }
}
