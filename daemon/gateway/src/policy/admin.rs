//! Administration of policies and aliases.

use aivonx_domain::{Globs, TenantScope, model_name};
use aivonx_identity::Actor;
use aivonx_protocol::{
    Fault, FaultKind, Untrusted,
    policy::{Alias, AliasShares, Policy, PolicyChange, Weighted},
};
use aivonx_store::{AliasRecord, AliasWeightsRecord, PolicyRecord, Record, Records};

use super::{Policies, check};

/// Most policies, and most aliases, of one organization or of the fleet.
const MOST: usize = 500;

impl Policies {
    /// Policies that apply within the reach of `actor`, the fleet's first; with `organization` only that one's and
    /// the fleet's.
    ///
    /// # Errors
    /// `NotFound` for an organization out of reach.
    pub async fn list(&self, actor: &Actor, organization: Option<&str>) -> Result<Vec<Policy>, Fault> {
        let records = self.visible(&self.store.policies(), actor, organization).await?;
        let slugs = self.identity.slugs(actor).await?;
        let slug = |id: String| slugs.get(&id).cloned().unwrap_or(id);
        let view = |mut record: PolicyRecord| {
            let organization = record.organization.take().map(slug);
            view_of_policy(record, organization)
        };
        Ok(records.into_iter().map(view).collect())
    }

    /// Adds a policy, or changes the one for this pattern.
    ///
    /// # Errors
    /// `NotFound` for an organization out of reach; `NotPermitted` for one who is bound to an organization and asks
    /// for the fleet's; `Conflict` if it has changed since; `Invalid` naming the field.
    pub async fn set(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        model: &str,
        revision: Option<u64>,
        change: PolicyChange,
    ) -> Result<Policy, Fault> {
        check::pattern(model)?;
        let (owner, slug) = self.owner(actor, organization).await?;
        let records = self.store.policies();
        let normal = String::from(Globs::normal(model));
        let fresh = PolicyRecord {
            id: String::new(),
            organization: owner.clone(),
            model: model.to_owned(),
            normal: normal.clone(),
            keep_alive: None,
            num_ctx: None,
            output_max: None,
            created: 0,
            revision: 0,
        };
        let apply = move |record: &mut PolicyRecord| {
            let PolicyChange { keep_alive, num_ctx, output_max } = change;
            record.keep_alive = keep_alive.unwrap_or(record.keep_alive.take());
            record.num_ctx = num_ctx.unwrap_or(record.num_ctx);
            record.output_max = output_max.unwrap_or(record.output_max);
            check_policy(record)
        };
        let record = self.put(actor, &records, fresh, &normal, revision, apply).await?;
        Ok(view_of_policy(record, slug))
    }

    /// Removes the policy for this pattern.
    ///
    /// # Errors
    /// `NotFound`, also out of reach; `NotPermitted` as of [`Self::set`].
    pub async fn remove(&self, actor: &Actor, organization: Option<&str>, model: &str) -> Result<(), Fault> {
        let owner = self.owner(actor, organization).await?.0;
        self.erase(actor, &self.store.policies(), owner, model, &Globs::normal(model)).await
    }

    /// Aliases that apply within the reach of `actor`, the fleet's first; with `organization` only that one's and
    /// the fleet's.
    ///
    /// # Errors
    /// `NotFound` for an organization out of reach.
    pub async fn aliases(&self, actor: &Actor, organization: Option<&str>) -> Result<Vec<Alias>, Fault> {
        let records = self.visible(&self.store.aliases(), actor, organization).await?;
        let slugs = self.identity.slugs(actor).await?;
        let slug = |id: String| slugs.get(&id).cloned().unwrap_or(id);
        let view = |mut record: AliasRecord| {
            let organization = record.organization.take().map(slug);
            view_of_alias(record, organization)
        };
        Ok(records.into_iter().map(view).collect())
    }

    /// Adds an alias, or replaces what it stands for.
    ///
    /// # Errors
    /// As of [`Self::set`].
    pub async fn set_alias(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        alias: &str,
        models: Vec<String>,
        revision: Option<u64>,
    ) -> Result<Alias, Fault> {
        let set = self.put_alias(actor, organization, alias, models, revision).await?;
        self.weigh(&set.id, Vec::new()).await?;
        Ok(set)
    }

    async fn put_alias(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        alias: &str,
        models: Vec<String>,
        revision: Option<u64>,
    ) -> Result<Alias, Fault> {
        check::name("alias", alias)?;
        check::models(&models)?;
        let (owner, slug) = self.owner(actor, organization).await?;
        let normal = model_name::normalize(alias).into_owned();
        let fresh = AliasRecord {
            id: String::new(),
            organization: owner,
            alias: alias.to_owned(),
            normal: normal.clone(),
            models: Vec::new(),
            created: 0,
            revision: 0,
        };
        let apply = move |record: &mut AliasRecord| {
            record.models = models;
            Ok(())
        };
        let record = self.put(actor, &self.store.aliases(), fresh, &normal, revision, apply).await?;
        Ok(view_of_alias(record, slug))
    }

    /// Adds an alias whose models are served by weight, or replaces what it stands for.
    ///
    /// # Errors
    /// As of [`Self::set`].
    pub async fn set_weighted(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        alias: &str,
        models: Vec<Weighted>,
        revision: Option<u64>,
    ) -> Result<Alias, Fault> {
        check::weights(&models)?;
        let names = models.iter().map(|one| one.model.clone()).collect();
        let set = self.put_alias(actor, organization, alias, names, revision).await?;
        self.weigh(&set.id, models.into_iter().map(|one| (one.model, one.weight)).collect()).await?;
        Ok(set)
    }

    /// Has the models of an alias served by these weights; without any, the first that a node can serve.
    async fn weigh(&self, id: &str, weights: Vec<(String, u32)>) -> Result<(), Fault> {
        let change = move |old: Option<AliasWeightsRecord>| {
            let new = AliasWeightsRecord { weights, ..old.unwrap_or_default() };
            (!new.weights.is_empty()).then_some(new)
        };
        self.store.alias_weights().alter(id, change).await?;
        Ok(self.in_force.settle().await?)
    }

    /// What is served for an alias, and what came of it.
    ///
    /// # Errors
    /// `NotFound` if there is none within reach.
    pub async fn shares(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        alias: &str,
    ) -> Result<AliasShares, Fault> {
        let normal = model_name::normalize(alias);
        let mut found = self.aliases(actor, organization).await?;
        // An organization's own hides the fleet's of the same name.
        let at = found.iter().rposition(|one| model_name::normalize(&one.alias) == normal);
        let Some(found) = at.map(|at| found.swap_remove(at)) else {
            let message = format!("there is no alias \"{}\"", Untrusted::new(alias).max(100));
            return Err(Fault::new(FaultKind::NotFound, message)
                .field("alias")
                .hint("see `aivonx model alias list`"));
        };
        let rules = self.hot().load();
        let (weighted, shares) = rules.as_ref().and_then(|rules| rules.shares(&found.id)).unwrap_or_default();
        Ok(AliasShares { organization: found.organization, alias: found.alias, weighted, shares })
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// As of [`Self::remove`].
    pub async fn remove_alias(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        alias: &str,
    ) -> Result<(), Fault> {
        let owner = self.owner(actor, organization).await?.0;
        self.erase(actor, &self.store.aliases(), owner, alias, &model_name::normalize(alias)).await
    }

    /// Whose a record is that `actor` asks to write: id and slug of the organization, or nothing for the fleet.
    async fn owner(
        &self,
        actor: &Actor,
        organization: Option<&str>,
    ) -> Result<(Option<String>, Option<String>), Fault> {
        let found = self.identity.organization_of(actor, organization).await?;
        Ok(found.map(|found| (found.id, found.slug)).unzip())
    }

    async fn visible<R: Record>(
        &self,
        records: &Records<R>,
        actor: &Actor,
        organization: Option<&str>,
    ) -> Result<Vec<R>, Fault> {
        let only = self.identity.organization_of(actor, organization).await?.map(|found| found.id);
        let mut found = records.list(&TenantScope::All).await?;
        // What the fleet sets holds for everyone; of the organizations one sees one's own.
        found.retain(|record| match (record.organization(), &only) {
            (None, _) => true,
            (Some(owner), Some(only)) => owner == only,
            (Some(_), None) => actor.reach() == TenantScope::All,
        });
        found.sort_by_key(|record| record.organization().is_some());
        Ok(found)
    }

    /// Adds `fresh`, or changes the record of its name; in either case as `apply` has it.
    async fn put<R: Record>(
        &self,
        actor: &Actor,
        records: &Records<R>,
        mut fresh: R,
        normal: &str,
        revision: Option<u64>,
        apply: impl FnOnce(&mut R) -> Result<(), Fault> + Send + 'static,
    ) -> Result<R, Fault> {
        let reach = self.reach(actor, fresh.organization())?;
        let owner = fresh.organization().map(str::to_owned);
        let there = records.by_name(&reach, owner.as_deref(), normal).await;
        let record = match there.map_err(|e| self.identity.refuse(actor, e))? {
            Some(record) => records.try_update(&reach, record.id(), revision, apply).await,
            None => {
                let others = records.list(&TenantScope::All).await?;
                if others.iter().filter(|other| other.organization() == owner.as_deref()).count() >= MOST {
                    let message = format!("there are {MOST} of them already, which is the most");
                    return Err(
                        Fault::new(FaultKind::Conflict, message).hint("remove some that are not needed")
                    );
                }
                apply(&mut fresh)?;
                records.insert(fresh).await
            }
        };
        let record = record.map_err(|e| self.identity.refuse(actor, e))?;
        self.in_force.settle().await?;
        Ok(record)
    }

    async fn erase<R: Record>(
        &self,
        actor: &Actor,
        records: &Records<R>,
        owner: Option<String>,
        asked: &str,
        normal: &str,
    ) -> Result<(), Fault> {
        let reach = self.reach(actor, owner.as_deref())?;
        let removed = async {
            let found = records.by_name(&reach, owner.as_deref(), normal).await?;
            let missing =
                || aivonx_store::StoreError::NotFound { noun: R::COLLECTION.as_str(), id: asked.to_owned() };
            records.remove(&reach, found.ok_or_else(missing)?.id(), None).await
        };
        removed.await.map_err(|e| self.identity.refuse(actor, e))?;
        Ok(self.in_force.settle().await?)
    }

    /// The records `actor` may write, if those of `owner` are among them.
    fn reach(&self, actor: &Actor, owner: Option<&str>) -> Result<TenantScope, Fault> {
        let reach = actor.reach();
        if reach.covers(owner, None) {
            return Ok(reach);
        }
        // An organization out of reach was not found above, so this is the fleet's.
        Err(Fault::new(FaultKind::NotPermitted, "the fleet's model policy is for those who run the fleet")
            .field("organization")
            .hint("name your organization"))
    }
}

fn check_policy(record: &PolicyRecord) -> Result<(), Fault> {
    if let Some(keep_alive) = &record.keep_alive {
        check::keep_alive(&keep_alive.value)?;
    }
    if let Some(size) = record.num_ctx {
        check::num_ctx(size.tokens)?;
    }
    if let Some(most) = record.output_max {
        check::output_max(most)?;
    }
    if record.keep_alive.is_none() && record.num_ctx.is_none() && record.output_max.is_none() {
        return Err(Fault::new(FaultKind::Invalid, "a policy that says nothing cannot be kept")
            .field("keep_alive")
            .hint("give keep_alive, num_ctx or max_output a value, or remove the policy"));
    }
    Ok(())
}

fn view_of_policy(record: PolicyRecord, organization: Option<String>) -> Policy {
    let PolicyRecord { id, model, keep_alive, num_ctx, output_max, created, revision, .. } = record;
    Policy { id, organization, model, keep_alive, num_ctx, output_max, created, revision }
}

fn view_of_alias(record: AliasRecord, organization: Option<String>) -> Alias {
    let AliasRecord { id, alias, models, created, revision, .. } = record;
    Alias { id, organization, alias, models, created, revision }
}
