//! `aivonx check`: how safely the gateway is set up, one line for each thing that an attacker would look for.
//!
//! What is known is gathered here; each check is a function of that alone.

mod access;
mod accounts;
mod database;
mod files;
mod limits;
mod system;
mod tls;

use std::{fs, path::Path};

use aivonx_domain::{TenantScope, now};
use aivonx_identity::{Actor, provisioning};
use aivonx_limits::Caps;
use aivonx_protocol::{Fault, audit::AuditFilter, limit::LimitName, secrets::Check};
use aivonx_store::Ledger;

use crate::control::Services;

/// Looks at everything. `actor` sees everything.
///
/// # Errors
/// If the store fails.
pub(crate) async fn run(services: &Services, actor: &Actor) -> Result<Vec<Check>, Fault> {
    let config = services.config.get();
    let mut checks = secrets(services).await?;
    checks.extend(files(services, &config));
    checks.extend(
        services.certificates.served().iter().map(|one| tls::certificate(one, jiff::Timestamp::now())),
    );
    checks.extend(services.certificates.refused().map(|why| tls::refused(&why)));
    checks.extend(services.certificates.troubles().warnings().iter().map(|why| tls::not_obtained(why)));
    checks.extend([
        access::plain(&config),
        access::open(&config),
        access::hosts(&config),
        access::proxies(&config),
        access::hsts(&config),
        access::nodes(&services.fleet.list(&TenantScope::All)),
    ]);
    let users = services.store.users().list(&TenantScope::All).await?;
    let keys = services.identity.keys(actor, None, None, false).await?;
    checks.extend([
        accounts::two_factor(&users),
        accounts::passwords(&users, now()),
        accounts::keys(&keys, now()),
    ]);
    checks.extend(limited(services));
    checks.extend(store(services).await);
    checks.extend(system(services, actor).await?);
    Ok(checks)
}

async fn secrets(services: &Services) -> Result<Vec<Check>, Fault> {
    let found = services.secrets.validate(&services.fleet.refusing()).await?;
    Ok(found.into_iter().map(|check| Check { name: format!("secrets {}", check.name), ..check }).collect())
}

fn files(services: &Services, config: &aivonx_config::Config) -> Vec<Check> {
    let mut checks = vec![
        files::closed("data directory", &config.data_dir, files::mode(&config.data_dir), 0o077),
        files::closed("control socket", &config.control.socket, files::mode(&config.control.socket), 0o007),
    ];
    if let Some(file) = services.config.file() {
        checks.push(files::closed("configuration", file, files::mode(file), 0o022));
    }
    let setup = provisioning::file(config.access.setup_file.as_deref());
    checks.push(files::setup(setup.as_deref().filter(|path| path.exists())));
    checks
}

/// What keeps the settings, and how safely it is reached.
async fn store(services: &Services) -> Vec<Check> {
    let Some(server) = services.store.database().cloned() else { return vec![database::store(None)] };
    let (name, url) = (server.name(), server.url());
    let found = database::Database {
        name: &name,
        is_local: url.hosts.iter().all(aivonx_config::Host::is_local),
        speaks_tls: url.tls.is_some(),
        shows_certificate: url.tls.as_ref().is_some_and(|tls| tls.client.is_some()),
        password: server.password_length(),
    };
    let asked = server.clone();
    let rights =
        tokio::task::spawn_blocking(move || asked.needless_rights().map_err(|e| e.to_string())).await;
    let rights = rights.unwrap_or_else(|e| Err(e.to_string()));
    vec![
        database::store(Some(found)),
        database::connection(found),
        database::password(found),
        database::rights(found, rights.as_deref().map_err(String::as_str)),
    ]
}

fn limited(services: &Services) -> Vec<Check> {
    let hot = services.identity.hot().load();
    let enabled = hot.organizations().into_values().filter(|organization| organization.enabled);
    let organizations: Vec<(&str, Caps)> =
        enabled.map(|organization| (&*organization.slug, organization.level.caps)).collect();
    let mut money = organizations.iter().map(|(_, caps)| *caps).chain(hot.keys().map(|key| key.level.caps));
    let models = services.fleet.models(&TenantScope::All).into_iter().map(|model| model.name);
    let unpriced = services.prices.unpriced(models);
    let is_counted = |caps: Caps| {
        let has = |name| caps.of(name).is_some();
        (has(LimitName::SpendDay) || has(LimitName::SpendMonth)) && !has(LimitName::SpendUnpriced)
    };
    vec![limits::set(&organizations), limits::prices(money.any(is_counted), &unpriced.models)]
}

async fn system(services: &Services, actor: &Actor) -> Result<Vec<Check>, Fault> {
    let (config, audit) = (services.config.get(), services.identity.audit());
    let newest = audit.list(&actor.reach(), AuditFilter::default(), None, 1, false).await?;
    let lost = services.store.ledger_losses().into_iter().filter(|loss| loss.ledger == Ledger::Audit);
    let lost: Vec<String> = lost.map(|loss| loss.to_string()).collect();
    let process = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Ok(vec![
        system::clock(now(), newest.entries.first().map(|entry| entry.time), is_synchronized()),
        system::disk(rustix::fs::statvfs(&config.data_dir).ok().map(|disk| system::Disk {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            size: disk.f_blocks.saturating_mul(disk.f_frsize),
        })),
        system::backup(
            config.backup.interval,
            services.backups.newest(),
            services.backups.failure().as_deref(),
            now(),
        ),
        system::audit(audit.health().intact, &lost),
        system::sandbox(&system::Process::read(&process)),
    ])
}

/// Whether one of the usual services says that the clock is right.
fn is_synchronized() -> bool {
    ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid"]
        .iter()
        .any(|path| Path::new(path).exists())
}
