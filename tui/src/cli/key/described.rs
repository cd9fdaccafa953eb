//! Keys with what is said of them beside their records.

use aivonx_protocol::{
    client::Client,
    key::{self, Key, KeyCertificate, KeyQueueing, Priority},
};
use clap::Args;
use serde::Serialize;

use crate::{
    cli::Context,
    exit::Failure,
    nouns::{self, Noun as _},
    render::View,
};

/// `key list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this organization
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// Only those of this user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Revoked and expired ones too
    #[arg(long, short = 'a')]
    pub all: bool,
}

/// A key, and how its requests wait.
#[derive(Debug, Serialize)]
pub struct Described {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// Which go first.
    pub priority: Priority,
    /// Whether streams begin while they wait.
    pub keep_waiting: bool,
    /// The client certificate that stands for it.
    pub certificate: Option<String>,
    /// Whether it may be used.
    pub enabled: bool,
}

/// What is said of keys beside their records.
pub(super) struct Beside {
    queueing: Vec<KeyQueueing>,
    certificates: Vec<KeyCertificate>,
    disabled: Vec<String>,
}

impl Beside {
    /// Of one key, or of all of an organization, or of the caller's.
    pub(super) async fn ask(
        client: &Client,
        organization: Option<String>,
        key: Option<String>,
    ) -> Result<Self, Failure> {
        let queueing = key::Queueing { organization: organization.clone(), key: key.clone() };
        Ok(Self {
            queueing: client.ask(queueing).await?,
            certificates: client.ask(key::Certificates { organization, key }).await?,
            disabled: client.ask(key::Disabled).await?,
        })
    }

    pub(super) fn describe(&self, key: Key) -> Described {
        let waits = self.queueing.iter().find(|one| one.key == key.id);
        let certificate = self.certificates.iter().find(|one| one.key == key.id);
        Described {
            priority: waits.map(|waits| waits.priority).unwrap_or_default(),
            keep_waiting: waits.is_some_and(|waits| waits.keep_waiting),
            certificate: certificate.and_then(|certificate| certificate.name.clone()),
            enabled: !self.disabled.contains(&key.id),
            key,
        }
    }
}

pub(super) fn show(context: &mut Context, described: &Described) -> Result<(), Failure> {
    context.out.show(described, |out| {
        let id = std::slice::from_ref(&described.key.id);
        let disabled_keys = if described.enabled { &[] } else { id };
        let mut table = described.key.details(&View { disabled_keys, ..out.view() });
        nouns::key::waits(&mut table, described.priority, described.keep_waiting);
        nouns::key::certificate(&mut table, described.certificate.as_deref());
        out.table(&table)
    })
}

pub(super) async fn list(context: &mut Context, args: ListArgs) -> Result<(), Failure> {
    let filtered = args.organization.is_some() || args.user.is_some();
    let client = context.client().await?;
    let organization = args.organization.clone();
    let keys =
        client.ask(key::List { organization: args.organization, user: args.user, all: args.all }).await?;
    let beside = Beside::ask(&client, organization, None).await?;
    let keys: Vec<_> = keys.into_iter().map(|key| beside.describe(key)).collect();
    context.out.show(&keys, |out| match &*keys {
        [] if filtered => out.line("No key is like that. Revoked ones too: --all"),
        [] => out.line("There are no keys yet. Make one: aivonx key create NAME --org ORG"),
        keys => {
            let view = View { disabled_keys: &beside.disabled, ..out.view() };
            let table = nouns::table(keys.iter().map(|described| &described.key), &view);
            out.table(&table)
        }
    })
}
