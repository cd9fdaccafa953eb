//! What the daemon is and how it does.

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Fault,
    daemon::{self, Status},
    operation::Serve,
    pulse::Pulse,
    strategy::Strategy,
};

use super::pulse;
use crate::control::{By, Services};

impl Serve<daemon::GetStatus> for Services {
    async fn serve(&self, by: By<daemon::GetStatus>, _: daemon::GetStatus) -> Result<Status, Fault> {
        let status = (self.status)();
        Ok(match by.reach() {
            _ if by.is_stranger() => to_stranger(status),
            TenantScope::All => status,
            _ => to_tenant(status),
        })
    }
}

impl Serve<daemon::Pulse> for Services {
    async fn serve(&self, by: By<daemon::Pulse>, asked: daemon::Pulse) -> Result<Pulse, Fault> {
        Ok(pulse::tell(self, by.actor(), asked.since.unwrap_or(0)).await)
    }
}

/// That the daemon runs, and since when: no addresses, no paths, nothing of what it serves.
fn to_stranger(status: Status) -> Status {
    let warnings = if status.set_up {
        vec!["log in to see more: aivonx login".to_owned()]
    } else {
        vec!["there is no administrator yet: run 'sudo aivonx setup'".to_owned()]
    };
    Status { listen: Vec::new(), warnings, ..to_tenant(status) }
}

/// What concerns everyone who uses the gateway: where it listens, and nothing of the fleet, which is others' too.
fn to_tenant(status: Status) -> Status {
    Status {
        version: status.version,
        daemon_id: status.daemon_id,
        pid: 0,
        started: status.started,
        mode: status.mode,
        access: status.access,
        set_up: status.set_up,
        draining: status.draining,
        listen: status.listen,
        data_dir: String::new(),
        log_sink: String::new(),
        strategy: Strategy::default(),
        nodes_active: 0,
        nodes_standby: 0,
        nodes_draining: 0,
        nodes_disabled: 0,
        models: 0,
        active_requests: 0,
        requests_total: 0,
        resident_bytes: 0,
        warnings: Vec::new(),
        day_offset_minutes: status.day_offset_minutes,
    }
}
