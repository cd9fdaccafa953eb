//! Whom the made-up traffic is from: organizations with users, keys, limits and prices. They are made over the
//! control socket, as an administrator would make them.

use std::path::Path;

use aivonx_protocol::{
    FaultKind, WireSecret,
    client::{Client, ClientError},
    key::{self, KeyScope, NewKey},
    limit::{self, LimitSetting, LimitTarget, LimitValue},
    money::MicroUsd,
    organization::{self, LimitProfile, NewOrganization, NodeAccess, PrivacyMode},
    price,
    user::{self, NewUser, Role},
};

/// What the name of every organization made here ends with. The daemon knows them by it.
const MARK: &str = "(simulated)";

/// Names of limits, and caps in their units.
type Caps = &'static [(&'static str, u64)];

/// Name, name for people, role, and limits.
type Member = (&'static str, &'static str, Role, Caps);

struct Tenant {
    slug: &'static str,
    name: &'static str,
    privacy: PrivacyMode,
    limits: Caps,
    users: &'static [Member],
}

/// Spend is in millionths of a US dollar.
const TENANTS: [Tenant; 3] = [
    Tenant {
        slug: "acme",
        name: "Acme Corporation",
        privacy: PrivacyMode::Detect,
        limits: &[("inference.day", 1500), ("spend.day", 600_000), ("concurrent", 24)],
        users: &[
            ("alice", "Alice Arnold", Role::OrgAdmin, &[]),
            ("bob", "Bob Brown", Role::Member, &[("tokens.day", 30_000)]),
        ],
    },
    Tenant {
        slug: "research",
        name: "Research Laboratory",
        privacy: PrivacyMode::Redact,
        limits: &[("inference.day", 2500), ("tokens.day", 400_000), ("spend.month", 40_000_000)],
        users: &[
            ("carol", "Carol Clark", Role::OrgAdmin, &[]),
            ("dave", "Dave Dunn", Role::Member, &[("burst.minute", 8), ("inference.day", 120)]),
            ("erin", "Erin Evans", Role::Member, &[("spend.day", 100_000)]),
        ],
    },
    Tenant {
        slug: "retail",
        name: "Retail Partners",
        privacy: PrivacyMode::Off,
        limits: &[("inference.day", 600), ("prompt.chars", 8000)],
        users: &[("frank", "Frank Fisher", Role::OrgAdmin, &[])],
    },
];

/// Name, organization, and user if it acts for one.
const KEYS: [(&str, &str, Option<&str>); 8] = [
    ("alice-laptop", "acme", Some("alice")),
    ("bob-editor", "acme", Some("bob")),
    ("ci", "acme", None),
    ("carol-desk", "research", Some("carol")),
    ("dave-notebook", "research", Some("dave")),
    ("erin-papers", "research", Some("erin")),
    ("indexer", "research", None),
    ("support-bot", "retail", None),
];

/// Glob, and USD per million tokens of the prompt and of output.
const PRICES: [(&str, u64, u64); 3] = [("llama3.3:70b", 3, 9), ("*embed*", 1, 1), ("*", 1, 3)];

/// What so many tokens of a model cost, in millionths of a US dollar.
pub(super) fn price(model: &str, prompt: u64, output: u64) -> u64 {
    let is_of = |glob: &str| match glob {
        "*" => true,
        "*embed*" => model.contains("embed"),
        exact => exact == model,
    };
    PRICES.iter().find(|(glob, ..)| is_of(glob)).map_or(0, |(_, read, made)| prompt * read + output * made)
}

/// A key, whose it is, and its secret.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    /// Its name.
    pub(super) name: &'static str,
    /// What is sent.
    pub(super) secret: WireSecret,
    /// Whose it is.
    pub(super) party: Party,
}

/// Who a key is, and whose.
#[derive(Debug, Clone)]
pub(super) struct Party {
    /// Id and slug.
    pub(super) organization: (String, String),
    /// Id and name.
    pub(super) user: Option<(String, String)>,
    /// Id of the key.
    pub(super) key: String,
}

/// Those that were made.
#[derive(Debug, Clone)]
pub(super) struct People {
    /// What they ask with.
    pub(super) credentials: Vec<Credential>,
    /// Whether nobody of them was there before.
    pub(super) new: bool,
    /// A user who can log in, with the password: the first, if it was not there before.
    pub(super) visitor: Option<(&'static str, WireSecret)>,
}

/// Makes everything that is not there yet, and keys with new secrets.
///
/// # Errors
/// The daemon refuses.
pub(super) async fn make(socket: &Path) -> Result<People, ClientError> {
    let client = Client::connect(socket, "simulated administrator").await?;
    // Prices of somebody's own stay.
    let prices = if client.ask(price::List).await?.is_empty() { &PRICES[..] } else { &[] };
    for (model, prompt, output) in prices {
        client
            .ask(price::Set {
                model: (*model).to_owned(),
                prompt: MicroUsd(prompt * 1_000_000),
                output: MicroUsd(output * 1_000_000),
            })
            .await?;
    }
    let mut visitor = None;
    for tenant in &TENANTS {
        let made = client.ask(organization::Add(Box::new(NewOrganization {
            slug: tenant.slug.to_owned(),
            name: Some(format!("{} {MARK}", tenant.name)),
            require_totp: false,
            models: Vec::new(),
            nodes: NodeAccess::Shared,
            cloud_models: false,
            privacy: Some(tenant.privacy),
            limit_profile: Some(LimitProfile::Unlimited),
        })));
        if new(made.await)?.is_some() {
            let target = LimitTarget::Organization { organization: tenant.slug.to_owned() };
            limit(&client, target, tenant.limits).await?;
        }
        for (user, display_name, role, limits) in tenant.users {
            // Hashing costs: one who logs in is enough to see.
            let password =
                visitor.is_none().then(|| WireSecret::new(format!("{:032x}", rand::random::<u128>())));
            let made = client.ask(user::Add(Box::new(NewUser {
                name: (*user).to_owned(),
                display_name: Some((*display_name).to_owned()),
                email: None,
                role: *role,
                organization: Some(tenant.slug.to_owned()),
                password: password.clone(),
            })));
            let is_new = new(made.await)?.is_some();
            if is_new && !limits.is_empty() {
                limit(&client, LimitTarget::User { user: (*user).to_owned() }, limits).await?;
            }
            if let Some(password) = password {
                visitor = Some((*user, is_new.then_some(password)));
            }
        }
    }
    let organizations = client.ask(organization::List).await?;
    let users = client.ask(user::List { organization: None, role: None }).await?;
    let visitor = visitor.and_then(|(user, password)| Some((user, password?)));
    let mut people = People { credentials: Vec::new(), new: true, visitor };
    for (name, organization, user) in KEYS {
        let made = client.ask(key::Create(Box::new(NewKey {
            name: name.to_owned(),
            organization: Some(organization.to_owned()),
            user: user.map(str::to_owned),
            scopes: vec![KeyScope::Infer],
            models: Vec::new(),
            networks: Vec::new(),
            expires: None,
        })));
        let made = match new(made.await)? {
            Some(made) => made,
            // Its secret went with the process that made it.
            None => {
                people.new = false;
                client
                    .ask(key::Rotate {
                        organization: Some(organization.to_owned()),
                        key: name.to_owned(),
                        grace_ms: 0,
                    })
                    .await?
            }
        };
        let of = |slug| organizations.iter().find(|found| found.slug == slug).map(|found| found.id.clone());
        let who =
            |name: &str| Some((users.iter().find(|found| found.name == name)?.id.clone(), name.to_owned()));
        let party = Party {
            organization: (of(organization).unwrap_or_default(), organization.to_owned()),
            user: user.and_then(who),
            key: made.key.id,
        };
        people.credentials.push(Credential { name, secret: made.secret, party });
    }
    Ok(people)
}

/// What was made; None if it was there before.
fn new<T>(made: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(ClientError::Fault(fault)) if fault.kind == FaultKind::Conflict => Ok(None),
        Err(error) => Err(error),
    }
}

async fn limit(client: &Client, target: LimitTarget, limits: &[(&str, u64)]) -> Result<(), ClientError> {
    let value = |(name, cap): &(&str, u64)| {
        let name = name.parse::<LimitSetting>().ok()?;
        Some(LimitValue { name, limit: Some(*cap) })
    };
    client
        .ask(limit::Set { target, revision: None, values: limits.iter().filter_map(value).collect() })
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_and_owner_is_there() {
        let limits = TENANTS.iter().flat_map(|tenant| {
            tenant.limits.iter().chain(tenant.users.iter().flat_map(|(.., limits)| limits.iter()))
        });
        for (name, _) in limits {
            assert!(name.parse::<LimitSetting>().is_ok(), "{name}");
        }
        for (key, organization, user) in KEYS {
            let tenant = TENANTS.iter().find(|tenant| tenant.slug == organization).unwrap();
            assert!(user.is_none_or(|user| tenant.users.iter().any(|(name, ..)| *name == user)), "{key}");
        }
    }
}
