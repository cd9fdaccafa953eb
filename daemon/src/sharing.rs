//! Limits that are shared with other gateways, as `[cluster]` says.

use aivonx_config::{Config, OnStoreLoss};
use aivonx_limits::{self as limits, Sharing};
use aivonx_store::{Store, StoreError};

/// How limits are shared; None where no database keeps the settings.
pub(crate) fn configured(store: &Store, config: &Config) -> Result<Option<Sharing>, StoreError> {
    let cluster = &config.cluster;
    // A lease that ends before it is renewed would count as spent again and again.
    let expires = cluster.slice_expires.max(cluster.slice_renew * 2);
    let bank = store.bank(expires, config.limits.day_offset)?;
    let on_loss = match cluster.on_store_loss {
        OnStoreLoss::Slice => limits::OnStoreLoss::Slice,
        OnStoreLoss::Open => limits::OnStoreLoss::Open,
        OnStoreLoss::Closed => limits::OnStoreLoss::Closed,
    };
    Ok(bank.map(|bank| Sharing { bank, renew: cluster.slice_renew, expires, on_loss }))
}
