//! Security entries go to the log as well, where alerts are made: as events of the action's name.

use aivonx_protocol::{Untrusted, audit::Outcome};

use super::{Entry, sensitive};

/// Writes `entry` to the log if it is about security.
pub(super) fn mirror(entry: &Entry) {
    if !entry.action.is_security() {
        return;
    }
    let who = &entry.who;
    let object = entry.object.as_ref().map(|o| {
        let named = o.name.as_deref().or(o.id.as_deref()).unwrap_or_default();
        format!("{} {named}", o.kind)
    });
    let object = object.unwrap_or_default();
    let agent = who.source.user_agent.clone().map(sensitive::scrub).unwrap_or_default();
    let name = sensitive::scrub(who.name.clone());
    // The address stands before the name, which is anybody's to choose: what bans addresses reads up to it.
    let from = who.source.address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
    let reason = ["reason", "lost"].iter().find_map(|name| entry.details.get(*name));
    let reason = reason.map(|reason| tracing::field::display(Untrusted::new(reason)));
    // The macro wants a level known at compile time.
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                target: "aivonx_ledgers::audit",
                event = entry.action.as_str(),
                outcome = entry.outcome.as_str(),
                actor = %Untrusted::new(&name).max(128),
                actor_id = who.id.as_deref().map(tracing::field::display),
                uid = who.source.uid,
                pid = who.source.pid,
                client = who.source.address.as_deref().map(tracing::field::display),
                user_agent = %Untrusted::new(&agent).max(128),
                organization = entry.organization.as_ref().map(|o| tracing::field::display(&o.id)),
                object = %Untrusted::new(&object).max(128),
                via = entry.via.as_deref().map(tracing::field::display),
                request_id = entry.request_id.as_deref().map(tracing::field::display),
                reason = reason.as_ref(),
                "{}{from} by {}: {}",
                entry.action, Untrusted::new(&name).max(128), entry.outcome
            )
        };
    }
    if entry.outcome == Outcome::Ok { tell!(info) } else { tell!(warn) }
}
