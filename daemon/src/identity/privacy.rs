//! What happens to personal data in prompts, as it is administered.

use crate::{
    limits::profile,
    privacy::Privacy,
    store::{FleetPrivacy, Store, StoreError},
};

/// What holds for those without an organization, and whether it was set.
pub(super) async fn of_fleet(store: &Store) -> Result<(Privacy, Option<FleetPrivacy>), StoreError> {
    let settings = store.settings();
    let set = settings.privacy().await?;
    let privacy = match &set {
        Some(set) => Privacy::new(set.mode, &set.categories),
        None => Privacy::new(profile::privacy(settings.limit_profile().await?), &[]),
    };
    Ok((privacy, set))
}
