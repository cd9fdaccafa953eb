//! Operations on keys and sealed secrets.

use std::{ops::ControlFlow, time::Duration};

use aivonx_domain::TenantScope;
use aivonx_fleet::{Ended, Fleet, Task};
use aivonx_identity::{
    IdentityError,
    rotation::{PEPPER_DEADLINE, SIGNING_GRACE},
};
use aivonx_protocol::{
    Fault, FaultKind,
    job::{Job, JobKind},
    operation::Serve,
    secrets::{self, Check, SecretsStatus},
};
use aivonx_store::{
    SecretKind,
    secrets::{
        Secrets, SecretsError,
        rotate::{Outcome, Part, Rotated},
    },
};

use crate::control::{By, Services};

impl Serve<secrets::Status> for Services {
    async fn serve(&self, _: By<secrets::Status>, _: secrets::Status) -> Result<SecretsStatus, Fault> {
        Ok(self.secrets.status().await?)
    }
}

impl Serve<secrets::Validate> for Services {
    async fn serve(&self, _: By<secrets::Validate>, _: secrets::Validate) -> Result<Vec<Check>, Fault> {
        let checks = self.secrets.validate(&self.fleet.refusing()).await?;
        // What was found before is out of date, as an alert too.
        self.pulse.watch().checked(checks.clone());
        Ok(checks)
    }
}

impl Serve<secrets::Rotate> for Services {
    async fn serve(&self, _: By<secrets::Rotate>, asked: secrets::Rotate) -> Result<Job, Fault> {
        let deadline = deadline(asked.deadline_ms)?;
        rotate(self, Own { peppers: asked.peppers.then_some(deadline), signing: asked.signing })
    }
}

/// Which of the daemon's own keys are replaced beside the data keys.
struct Own {
    /// The pepper, and how long API keys may take to move to the new one.
    peppers: Option<Duration>,
    signing: bool,
}

/// How long API keys may take: there must be time to use them, and an end.
fn deadline(given: Option<u64>) -> Result<Duration, Fault> {
    let Some(given) = given.map(Duration::from_millis) else { return Ok(PEPPER_DEADLINE) };
    if (SHORTEST..=LONGEST).contains(&given) {
        return Ok(given);
    }
    let message = format!("deadline {} s is out of range", given.as_secs_f32());
    Err(Fault::new(FaultKind::Invalid, message).field("deadline").hint("give a span from 1s to 365d"))
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Begins a rotation.
fn rotate(services: &Services, own: Own) -> Result<Job, Fault> {
    let (secrets, identity) = (services.secrets.clone(), services.identity.clone());
    let begun =
        services.fleet.jobs().begin(&TenantScope::All, JobKind::Rotate, "data keys", async move |task| {
            // Before the data keys, so that the new ones are not sealed under a key that is about to go.
            let done = async {
                if let Some(deadline) = own.peppers {
                    identity.rotate(SecretKind::Pepper, deadline).await?;
                }
                if own.signing {
                    identity.rotate(SecretKind::TokenSigning, SIGNING_GRACE).await?;
                }
                Ok::<_, IdentityError>(())
            };
            match done.await {
                Ok(()) => ended(&task, secrets.rotate(&|parts| report(&task, parts)).await),
                Err(error) => Ended::Failed(error.to_string()),
            }
        });
    Ok(begun?)
}

/// Finishes a rotation that an earlier life of the daemon did not, if there is one.
///
/// # Errors
/// If the store fails, or the daemon stops.
pub(crate) async fn finish_rotation(fleet: &Fleet, secrets: &Secrets) -> Result<(), Fault> {
    if !secrets.is_unfinished().await? {
        return Ok(());
    }
    let secrets = secrets.clone();
    let work = async move |task: std::sync::Arc<Task>| {
        ended(&task, secrets.finish(&|parts| report(&task, parts)).await)
    };
    fleet.jobs().begin(&TenantScope::All, JobKind::Rotate, "data keys, unfinished", work)?;
    Ok(())
}

fn report(task: &Task, parts: &[Part]) -> ControlFlow<()> {
    let parts: Vec<_> = parts.iter().map(|part| (part.kind, part.done, part.total)).collect();
    task.progress(&parts);
    if task.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn ended(task: &Task, outcome: Result<Outcome, SecretsError>) -> Ended {
    match outcome {
        Ok(Outcome::Done(rotated)) => {
            task.subject(&format!("data key {}", rotated.data_key));
            // The last word on what was done: more may have come up on the way.
            let _ = report(task, &rotated.parts);
            verdict(&rotated)
        }
        Ok(Outcome::Stopped) => Ended::Cancelled,
        Err(error) => Ended::Failed(error.to_string()),
    }
}

fn verdict(rotated: &Rotated) -> Ended {
    let Some(first) = rotated.unopened.first() else { return Ended::Done };
    Ended::Failed(format!(
        "{} of the secrets do not open and keep the old data key, the first of them among the {}, in record {}: {}",
        rotated.unopened.len(),
        first.kind,
        first.record,
        first.why
    ))
}
