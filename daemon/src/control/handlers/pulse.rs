//! How the gateway does right now, as far as the caller may see it.

use std::sync::Arc;

use aivonx_domain::TenantScope;
use aivonx_fleet::{Node, NodeScope};
use aivonx_gateway::pulse::{
    Numbers,
    alerts::{self, Down, Scene},
    budgets,
    busiest::{Busy, Of},
};
use aivonx_identity::Actor;
use aivonx_protocol::{
    Permission,
    lockout::Lockout,
    node::{AdminState, Pool},
    pulse::{self, BUSIEST_MAX, Pulse, PulseSecond, PulseSum, WINDOW},
};

use crate::control::Services;

/// What has changed since the second `since`, and everything else as it is.
pub(super) async fn tell(services: &Services, actor: &Actor, since: u64) -> Pulse {
    let reach = actor.reach();
    let running = services.running.paces(&reach).await;
    let pulse = &services.pulse;
    let now = pulse.now();
    // No role that is confined to a user may ask; one that could would match no organization.
    let organization = match &reach {
        TenantScope::All => None,
        TenantScope::Organization(id) => Some(&**id),
        TenantScope::User { .. } => Some(""),
    };
    let told = pulse.told(organization, since, now, &running);
    let lasted = u32::try_from(pulse.lasted(now).min(WINDOW)).unwrap_or(u32::MAX);
    let busiest = |of| pulse.busiest(of, organization, BUSIEST_MAX, now).iter().map(busy).collect();
    let hot = services.identity.hot().load();
    let may = |permission: Permission| permission.is_of(actor.role, actor.organization.is_some());
    Pulse {
        now,
        organization: organization.map(|id| hot.organization(id).map_or(id, |one| &*one.slug).to_owned()),
        lasted,
        minute: sum(&told.minute, lasted.min(60)),
        seconds: told.seconds.iter().map(|(at, numbers)| second(*at, numbers)).collect(),
        active: count(running.len()),
        streams: count(running.iter().filter(|pace| pace.answering.is_some()).count()),
        models: busiest(Of::Models),
        organizations: busiest(Of::Organizations),
        keys: busiest(Of::Keys),
        budgets: match services.identity.limits_now() {
            Some(now) if may(Permission::LimitRead) => budgets::near(&hot, &now, organization),
            _ => Vec::new(),
        },
        alerts: {
            let scene = scene(services, actor, &reach, &may);
            alerts::alerts(&scene, &pulse.watch())
        },
    }
}

fn scene(services: &Services, actor: &Actor, reach: &TenantScope, may: &dyn Fn(Permission) -> bool) -> Scene {
    let realm = NodeScope::from(reach);
    let hot = services.fleet.hot();
    let snapshot = hot.load();
    let own = || snapshot.nodes.iter().filter(|node| realm.covers(node.organization.as_deref()));
    // Only where one is down it has to be known why.
    let is_down = |node: &Arc<Node>| node.admin_state == AdminState::Enabled && node.pool == Pool::Standby;
    let down = if own().any(is_down) { down(services, reach) } else { Vec::new() };
    let locked: Vec<Lockout> = match may(Permission::LockoutRead) {
        true => services.identity.lockouts_within(actor, false),
        false => Vec::new(),
    };
    let fleet = *reach == TenantScope::All;
    Scene {
        fleet,
        audit: fleet && may(Permission::AuditRead),
        secrets: may(Permission::SecretsRead),
        none_active: fleet && !snapshot.nodes.is_empty() && !own().any(|node| node.takes_requests()),
        down,
        locked,
        exposed: services.config.get().exposed_by().filter(|_| fleet),
    }
}

fn down(services: &Services, reach: &TenantScope) -> Vec<Down> {
    let refusing = services.fleet.refusing();
    let nodes = services.fleet.list(reach).into_iter();
    nodes
        .filter(|node| node.admin_state == AdminState::Enabled && node.pool == Pool::Standby)
        .map(|node| {
            let said = refusing.iter().find(|(name, _)| *name == node.name).map(|(_, said)| said.clone());
            Down {
                id: node.id,
                name: node.name,
                refuses: said.is_some(),
                why: said.or(node.last_error),
                simulated: node.simulated,
            }
        })
        .collect()
}

fn second(at: u64, numbers: &Numbers) -> PulseSecond {
    let timed = numbers.first_byte.iter().any(|count| *count > 0);
    PulseSecond {
        at,
        requests: numbers.requests,
        errors: numbers.errors,
        refused: numbers.refused,
        prompt_tokens: numbers.prompt_tokens,
        output_tokens: numbers.output_tokens,
        busy_ms: numbers.busy_ms,
        first_byte: if timed { numbers.first_byte.to_vec() } else { Vec::new() },
    }
}

fn sum(numbers: &Numbers, seconds: u32) -> PulseSum {
    PulseSum {
        seconds,
        requests: numbers.requests.into(),
        errors: numbers.errors.into(),
        refused: numbers.refused.into(),
        prompt_tokens: numbers.prompt_tokens,
        output_tokens: numbers.output_tokens,
        first_byte_p50_ms: pulse::quantile(&numbers.first_byte, 50),
        first_byte_p95_ms: pulse::quantile(&numbers.first_byte, 95),
    }
}

fn busy(busy: &Busy) -> pulse::Busy {
    pulse::Busy {
        id: busy.id.to_string(),
        name: busy.name.to_string(),
        organization: busy.organization.as_ref().map(ToString::to_string),
        requests: busy.asked.requests,
        errors: busy.asked.errors,
        tokens: busy.asked.tokens,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
