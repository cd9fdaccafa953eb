//! For which organizations models are.

use aivonx_domain::{Globs, TenantScope};
use aivonx_identity::Actor;
use aivonx_protocol::{Fault, FaultKind, policy::ModelAccess};
use aivonx_store::ModelAccessRecord;

use super::{Policies, check};

/// Most patterns.
const MOST: usize = 256;

impl Policies {
    /// For whom models are, where that is not everyone, by pattern. Who is bound to an organization learns of none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn access(&self, actor: &Actor) -> Result<Vec<ModelAccess>, Fault> {
        if actor.reach() != TenantScope::All {
            return Ok(Vec::new());
        }
        let records = self.store.model_access().list(&TenantScope::All).await?;
        let slugs = self.identity.slugs(actor).await?;
        let named = |ids: Vec<String>| -> Vec<String> {
            ids.into_iter().map(|id| slugs.get(&id).cloned().unwrap_or(id)).collect()
        };
        let view = |record: ModelAccessRecord| ModelAccess {
            model: record.model,
            only: named(record.only),
            deny: named(record.deny),
            created: record.created,
            revision: record.revision,
        };
        Ok(records.into_iter().map(view).collect())
    }

    /// Says for whom the models of a pattern are; it holds when this returns. Gives what holds for the pattern then.
    ///
    /// # Errors
    /// `NotPermitted` for one who is bound to an organization; `NotFound` for an organization that is not there;
    /// `Invalid` for what is no pattern.
    pub async fn set_access(
        &self,
        actor: &Actor,
        model: &str,
        only: Option<Vec<String>>,
        deny: Option<Vec<String>>,
    ) -> Result<Vec<ModelAccess>, Fault> {
        check::pattern(model)?;
        if actor.reach() != TenantScope::All {
            let fault = Fault::new(
                FaultKind::NotPermitted,
                "for whom models are is for those to say who run the fleet",
            );
            return Err(fault.field("only_org").hint("ask one of them"));
        }
        let (only, deny) = (self.ids(actor, only).await?, self.ids(actor, deny).await?);
        let records = self.store.model_access();
        let id = String::from(Globs::normal(model));
        let known = records.list(&TenantScope::All).await?;
        if known.len() >= MOST && known.iter().all(|record| record.id != id) {
            let message = format!("there are {MOST} patterns already, which is the most");
            return Err(Fault::new(FaultKind::Conflict, message)
                .field("model")
                .hint("use fewer with wildcards"));
        }
        let old = known.into_iter().find(|record| record.id == id).unwrap_or_default();
        let (only_then, deny_then) = (only.as_ref().unwrap_or(&old.only), deny.as_ref().unwrap_or(&old.deny));
        if let Some(both) = only_then.iter().find(|id| deny_then.contains(*id)) {
            let slugs = self.identity.slugs(actor).await?;
            let slug = slugs.get(both).unwrap_or(both);
            let message =
                format!("{slug} would be among those that alone have the models, and be denied them");
            return Err(Fault::new(FaultKind::Invalid, message)
                .field("deny_org")
                .hint("leave it out of one of the two; --all-orgs takes back both"));
        }
        let written = model.to_owned();
        let change = move |old: Option<ModelAccessRecord>| {
            let mut new = old.unwrap_or(ModelAccessRecord { model: written, ..ModelAccessRecord::default() });
            new.only = only.unwrap_or(new.only);
            new.deny = deny.unwrap_or(new.deny);
            (!new.only.is_empty() || !new.deny.is_empty()).then_some(new)
        };
        records.alter(&id, change).await?;
        self.identity.settle().await?;
        let mut now = self.access(actor).await?;
        now.retain(|one| *Globs::normal(&one.model) == *id);
        Ok(now)
    }

    /// Ids of organizations, each once.
    async fn ids(&self, actor: &Actor, named: Option<Vec<String>>) -> Result<Option<Vec<String>>, Fault> {
        let Some(named) = named else { return Ok(None) };
        let mut ids = Vec::with_capacity(named.len());
        for name in named {
            let id = self.identity.organization(actor, &name).await?.id;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(Some(ids))
    }
}
