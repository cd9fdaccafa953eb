//! How users of organizations are named, who all share one set of names.

use aivonx_domain::TenantScope;
use aivonx_protocol::Fault;

use super::{Actor, Identity, fields};

impl Identity {
    /// Whether `actor` may name a user of `organization` so. Names that end in `@SLUG` are for users of that organization,
    /// and its own administrators give no other names: one that is taken would reveal a user of another organization.
    pub(super) async fn check_ending(
        &self,
        actor: &Actor,
        name: &str,
        organization: Option<&str>,
    ) -> Result<(), Fault> {
        let owner = match name.rsplit_once('@') {
            Some((_, slug)) => self.store.organizations().by_name(&TenantScope::All, None, slug).await?,
            None => None,
        };
        let own = owner.as_ref().is_some_and(|owner| Some(owner.id.as_str()) == organization);
        let (bound, place) = (actor.is_bound(), self.organization_of(actor, organization).await?);
        let fix = match (place, owner) {
            (Some(place), _) if bound && !own => {
                let slug = place.slug;
                format!("an org-admin gives names that end in @{slug}, such as alice@{slug}")
            }
            (_, Some(owner)) if !own => {
                format!("names that end in @{} are for users of that organization", owner.slug)
            }
            _ => return Ok(()),
        };
        Err(fields::invalid("name", name, fix))
    }
}
