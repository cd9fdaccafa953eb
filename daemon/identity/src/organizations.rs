//! Administration of organizations.

use std::collections::HashMap;

use aivonx_domain::TenantScope;
use aivonx_limits::profile;
use aivonx_protocol::{
    Fault,
    organization::{
        NewOrganization, NodeAccess, NodeNetworks, Organization, OrganizationChange, OrganizationRemoved,
    },
    user::Role,
};
use aivonx_store::{OrganizationRecord, PlacementRecord, StoreError};

use super::{Actor, Identity, fields, rules};

/// What belongs to an organization.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    users: u32,
    keys: u32,
    nodes: u32,
}

impl Identity {
    /// The organizations `actor` may see, by slug.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn organizations(&self, actor: &Actor) -> Result<Vec<Organization>, Fault> {
        let reach = actor.reach();
        let records = self.store.organizations().list(&reach).await?;
        let mut counts = self.counts(&reach).await?;
        Ok(records
            .into_iter()
            .map(|record| {
                let counts = counts.remove(&record.id).unwrap_or_default();
                view(record, counts)
            })
            .collect())
    }

    /// One organization, by slug or id.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn organization(&self, actor: &Actor, wanted: &str) -> Result<Organization, Fault> {
        let found = self.store.organizations().find(&actor.reach(), None, wanted).await;
        self.shown(found.map_err(|e| self.refuse(actor, e))?).await
    }

    /// Adds an organization whose operators may place nodes in `networks`.
    ///
    /// # Errors
    /// `Invalid` naming the field; `Conflict` if the slug is taken.
    pub async fn add_organization(
        &self,
        actor: &Actor,
        new: NewOrganization,
        networks: &[String],
    ) -> Result<Organization, Fault> {
        let networks = fields::networks("node-networks", networks)?;
        let limit_profile = match new.limit_profile {
            Some(profile) => profile,
            None => self.store.settings().limit_profile().await?,
        };
        let record = OrganizationRecord {
            name: new.name.unwrap_or_else(|| new.slug.clone()),
            require_totp: new.require_totp,
            models: new.models,
            nodes: new.nodes,
            cloud_models: new.cloud_models,
            privacy: new.privacy.unwrap_or_else(|| profile::privacy(limit_profile)),
            limit_profile,
            ..OrganizationRecord::new(&new.slug)
        };
        check(&record)?;
        let added = self.store.organizations().insert_with_networks(record, networks).await;
        let record = added.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        Ok(view(record, Counts::default()))
    }

    /// Changes an organization. All but superadmins may only narrow what it may use.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Conflict` if it has changed since; `Invalid` or `NotPermitted`
    /// naming the field.
    pub async fn set_organization(
        &self,
        actor: &Actor,
        wanted: &str,
        revision: Option<u64>,
        change: OrganizationChange,
    ) -> Result<Organization, Fault> {
        let organizations = self.store.organizations();
        let reach = actor.reach();
        let found = organizations.find(&reach, None, wanted).await.map_err(|e| self.refuse(actor, e))?;
        let free = actor.role == Role::Superadmin;
        let changed = organizations.try_update(&reach, &found.id, revision, move |record| {
            let old = record.clone();
            apply(record, change);
            if !free {
                rules::check_narrowing(&old, record)?;
            }
            check(record)
        });
        let record = changed.await.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        self.shown(record).await
    }

    /// Removes an organization: an empty one, or with its users, keys and sessions. Its nodes become nobody's,
    /// and disabled.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Conflict` if it has changed since, or has contents and
    /// `with_contents` is not set.
    pub async fn remove_organization(
        &self,
        actor: &Actor,
        wanted: &str,
        revision: Option<u64>,
        with_contents: bool,
    ) -> Result<OrganizationRemoved, Fault> {
        let organizations = self.store.organizations();
        let reach = actor.reach();
        let done: Result<_, StoreError> = async {
            let id = organizations.find(&reach, None, wanted).await?.id;
            if with_contents {
                let (_, contents) = organizations.remove_with_contents(&reach, &id, revision).await?;
                let (users, keys, nodes) = (contents.users, contents.keys, contents.nodes);
                return Ok(OrganizationRemoved { users, keys, nodes });
            }
            organizations.remove(&reach, &id, revision).await?;
            Ok(OrganizationRemoved::default())
        }
        .await;
        let removed = done.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        Ok(removed)
    }

    /// Where the operators of the organization `wanted` may place nodes, or of each that `actor` may see.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn node_networks(
        &self,
        actor: &Actor,
        wanted: Option<&str>,
    ) -> Result<Vec<NodeNetworks>, Fault> {
        let (reach, organizations) = (actor.reach(), self.store.organizations());
        let found = match wanted {
            Some(wanted) => organizations.find(&reach, None, wanted).await.map(|one| vec![one]),
            None => organizations.list(&reach).await,
        };
        let mut all = Vec::new();
        for organization in found.map_err(|e| self.refuse(actor, e))? {
            let PlacementRecord { id, networks, .. } = self.store.placements().of(&organization.id).await?;
            all.push(NodeNetworks { organization: id, networks });
        }
        Ok(all)
    }

    /// Says where the operators of an organization may place nodes.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Invalid` naming the network.
    pub async fn set_node_networks(
        &self,
        actor: &Actor,
        wanted: &str,
        networks: &[String],
    ) -> Result<Vec<NodeNetworks>, Fault> {
        let networks = fields::networks("node-networks", networks)?;
        let found = self.store.organizations().find(&actor.reach(), None, wanted).await;
        let id = found.map_err(|e| self.refuse(actor, e))?.id;
        let PlacementRecord { id, networks, .. } =
            self.store.placements().set_networks(&id, networks).await?;
        Ok(vec![NodeNetworks { organization: id, networks }])
    }

    /// Ids of the organizations within reach that hide from their members what they use together.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn hidden_usage(&self, actor: &Actor) -> Result<Vec<String>, Fault> {
        let reach = actor.reach();
        let mut ids = self.store.settings().hidden_usage().await?;
        ids.retain(|id| reach.covers(Some(id), None));
        Ok(ids)
    }

    /// Hides from the members of an organization what it uses together, or shows it again. Returns what
    /// [`Self::hidden_usage`] does then.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn hide_usage(&self, actor: &Actor, wanted: &str, hidden: bool) -> Result<Vec<String>, Fault> {
        let found = self.store.organizations().find(&actor.reach(), None, wanted).await;
        let id = found.map_err(|e| self.refuse(actor, e))?.id;
        self.store.settings().hide_usage(id, hidden).await?;
        self.settle().await?;
        self.hidden_usage(actor).await
    }

    /// The organization a request is about: the one `wanted` by slug or id, which must be the actor's own if it
    /// has one; without `wanted` the actor's own. None is the fleet.
    pub async fn organization_of(
        &self,
        actor: &Actor,
        wanted: Option<&str>,
    ) -> Result<Option<OrganizationRecord>, Fault> {
        let reach = match actor.reach() {
            TenantScope::User { organization: Some(id), .. } => TenantScope::Organization(id),
            // A member of the fleet: no organization is its own.
            TenantScope::User { organization: None, .. } if wanted.is_none() => return Ok(None),
            TenantScope::User { organization: None, .. } => TenantScope::Organization(String::new()),
            reach => reach,
        };
        let asked = match (wanted, reach.organization()) {
            (Some(wanted), _) => wanted,
            (None, Some(own)) => own,
            (None, None) => return Ok(None),
        };
        let found = self.store.organizations().find(&reach, None, asked).await;
        found.map(Some).map_err(|e| self.refuse(actor, e))
    }

    /// The slugs of the organizations within reach of one who may see them, or the actor's own, by id.
    pub async fn slugs(&self, actor: &Actor) -> Result<HashMap<String, String>, Fault> {
        let records = match actor.reach() {
            TenantScope::All => self.store.organizations().list(&TenantScope::All).await?,
            _ => self.organization_of(actor, None).await?.into_iter().collect(),
        };
        Ok(records.into_iter().map(|record| (record.id, record.slug)).collect())
    }

    async fn shown(&self, record: OrganizationRecord) -> Result<Organization, Fault> {
        let mut counts = self.counts(&TenantScope::Organization(record.id.clone())).await?;
        let counts = counts.remove(&record.id).unwrap_or_default();
        Ok(view(record, counts))
    }

    async fn counts(&self, reach: &TenantScope) -> Result<HashMap<String, Counts>, Fault> {
        let mut counts: HashMap<String, Counts> = HashMap::new();
        for user in self.store.users().list(reach).await? {
            if let Some(id) = user.organization {
                counts.entry(id).or_default().users += 1;
            }
        }
        for key in self.store.keys().list(reach).await?.into_iter().filter(|key| key.revoked.is_none()) {
            if let Some(id) = key.organization {
                counts.entry(id).or_default().keys += 1;
            }
        }
        for node in self.store.nodes().list().await? {
            if let Some(id) = node.organization.filter(|id| reach.covers(Some(id), None)) {
                counts.entry(id).or_default().nodes += 1;
            }
        }
        Ok(counts)
    }
}

fn apply(record: &mut OrganizationRecord, change: OrganizationChange) {
    let OrganizationChange {
        slug,
        name,
        enabled,
        require_totp,
        models,
        nodes,
        cloud_models,
        privacy,
        limit_profile,
    } = change;
    set(&mut record.slug, slug);
    set(&mut record.name, name);
    set(&mut record.enabled, enabled);
    set(&mut record.require_totp, require_totp);
    set(&mut record.models, models);
    set(&mut record.nodes, nodes);
    set(&mut record.cloud_models, cloud_models);
    set(&mut record.privacy, privacy);
    set(&mut record.limit_profile, limit_profile);
}

/// Replaces `field`, if there is something to replace it with.
pub(super) fn set<T>(field: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *field = new;
    }
}

fn check(record: &OrganizationRecord) -> Result<(), Fault> {
    fields::slug(&record.slug)?;
    fields::text("name", &record.name)?;
    fields::models(&record.models)?;
    match &record.nodes {
        NodeAccess::Labels(labels) => fields::labels(labels),
        NodeAccess::Shared | NodeAccess::Exclusive => Ok(()),
    }
}

fn view(record: OrganizationRecord, counts: Counts) -> Organization {
    Organization {
        id: record.id,
        slug: record.slug,
        name: record.name,
        enabled: record.enabled,
        require_totp: record.require_totp,
        models: record.models,
        nodes: record.nodes,
        cloud_models: record.cloud_models,
        privacy: record.privacy,
        limit_profile: record.limit_profile,
        users: counts.users,
        keys: counts.keys,
        exclusive_nodes: counts.nodes,
        created: record.created,
        revision: record.revision,
    }
}

#[cfg(test)]
#[path = "organizations_tests.rs"]
mod tests;
