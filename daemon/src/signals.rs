//! The signals that the daemon heeds: those that end it, and the one that has it read its configuration again.

use std::io;

use aivonx_config::Live;
use aivonx_ledgers::audit::{Audit, Entry, Who};
use aivonx_protocol::audit::{Action, Outcome};
use aivonx_telemetry::Telemetry;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use crate::{certificates::Certificates, lifecycle};

/// The signals that mean something here.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that says to stop.
    pub(crate) async fn stop(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }

    /// Reloads on SIGHUP, and then has `look` check the control socket, until a signal says to stop.
    pub(crate) async fn serve_until_stop(
        &mut self,
        live: &Live,
        certificates: &Certificates,
        audit: &Audit,
        telemetry: &Telemetry,
        look: &Notify,
    ) {
        let mut changes = live.subscribe();
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    reload(live, certificates, audit);
                    look.notify_one();
                }
                changed = changes.changed() => {
                    let level = changes.borrow_and_update().log.level.clone();
                    if changed.is_ok() && let Err(e) = telemetry.set_level(&level) {
                        tracing::error!(event = "config_reload_failed", error = %e, "the log level stays");
                    }
                }
            }
        }
    }
}

/// Reads the configuration again, and records that in the log and the audit log, however it went. Nobody knows who
/// sent the signal.
fn reload(live: &Live, certificates: &Certificates, audit: &Audit) {
    lifecycle::reloading();
    let entry =
        Entry::new(Action::ConfigReload).actor(Who::signal()).via("SIGHUP").object("config", None, None);
    let (entry, line) = match live.reload() {
        Ok(mut done) => {
            // One that is refused is logged. Only with the file: a reload that fails changes nothing.
            let new = certificates.reload();
            done.applied.extend(new.as_ref().into_iter().flatten().cloned());
            tracing::info!(
                event = "config_reload",
                applied = %done.applied.join(" "),
                needs_restart = %done.needs_restart.join(" "),
                "configuration reloaded"
            );
            for warning in live.get().warnings() {
                tracing::warn!(event = "config_reload", "{warning}");
            }
            let entry = entry.reloaded(&done);
            match new {
                Ok(_) => (entry, "serving; configuration reloaded"),
                Err(error) => (
                    entry.outcome(Outcome::Failed).detail("why", &error),
                    "serving; configuration reloaded, but for a certificate that cannot be used",
                ),
            }
        }
        Err(mistakes) => {
            tracing::error!(
                event = "config_reload_failed",
                mistakes = mistakes.count(),
                "configuration not reloaded; the old one stays (see 'aivonxd check')"
            );
            for mistake in mistakes.lines() {
                tracing::error!(event = "config_reload_failed", "{mistake}");
            }
            let entry = entry.outcome(Outcome::Failed).detail("why", &mistakes);
            (entry, "serving; the changed configuration has mistakes and was not loaded")
        }
    };
    // Without waiting: what comes next may be the signal to stop.
    audit.note(entry);
    lifecycle::ready(line);
}

#[cfg(test)]
mod tests {
    use aivonx_config::Listen;
    use aivonx_gateway::{Acme, Inherited, bind_all};

    use super::*;
    use crate::{args::GenCert, gen_cert::gen_cert};

    #[tokio::test]
    async fn a_reload_that_fails_leaves_the_certificates_too() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            gen_cert(&GenCert { dir: dir.path().join(name), names: vec!["localhost".into()] }).unwrap();
        };
        make("served");
        make("new");
        let listen = Listen {
            address: "127.0.0.1:0".parse().unwrap(),
            tls_cert: vec![dir.path().join("served/cert.pem")],
            tls_key: vec![dir.path().join("served/key.pem")],
            ..Listen::default()
        };
        let bound = bind_all(&[listen], 1, Inherited::default(), &Acme::new(dir.path())).unwrap();
        let certificates = Certificates::of(&bound);
        for name in ["cert.pem", "key.pem"] {
            std::fs::copy(dir.path().join("new").join(name), dir.path().join("served").join(name)).unwrap();
        }
        let file = dir.path().join("aivonxd.toml");
        std::fs::write(&file, "[proxy]\nretries = 1\n").unwrap();
        let live = Live::from_file(&file).unwrap();
        std::fs::write(&file, "[proxy]\nretires = 1\n").unwrap();
        reload(&live, &certificates, &Audit::memory());
        assert_eq!(certificates.reload().unwrap(), ["listen[0].tls_cert"], "it was not read yet");
    }

    #[tokio::test]
    async fn a_reload_by_signal_is_audited_however_it_went() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("aivonxd.toml");
        std::fs::write(&file, "[proxy]\nretries = 1\n").unwrap();
        let live = Live::from_file(&file).unwrap();
        let audit = Audit::memory();
        std::fs::write(&file, "[proxy]\nretries = 0\nthreads = 3\n").unwrap();
        reload(&live, &Certificates::default(), &audit);
        std::fs::write(&file, "[proxy]\nretires = 0\n").unwrap();
        reload(&live, &Certificates::default(), &audit);
        let [done, failed] = &audit.kept()[..] else { panic!("two reloads") };
        for entry in [done, failed] {
            assert_eq!((entry.action, entry.actor.name.as_str()), (Action::ConfigReload, "signal"));
            assert_eq!(entry.via.as_deref(), Some("SIGHUP"));
        }
        assert_eq!((done.outcome, failed.outcome), (Outcome::Ok, Outcome::Failed));
        assert_eq!(done.details["applied"], "proxy.retries");
        assert_eq!(done.details["needs_restart"], "proxy.threads");
        assert!(failed.details["why"].contains("retires"), "{failed:?}");
    }
}
