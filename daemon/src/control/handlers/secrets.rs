//! Requests about keys and sealed secrets.

use std::ops::ControlFlow;

use aivonx_protocol::{
    Fault, Reply,
    job::{Job, JobKind},
    secrets::SecretsRequest,
};

use crate::{
    control::{Answer, Services, access::Permitted},
    fleet::{Ended, Fleet, Task},
    secrets::{
        Secrets, SecretsError,
        rotate::{Outcome, Part, Rotated},
    },
};

pub(super) async fn handle(services: &Services, permitted: Permitted<SecretsRequest>) -> Answer {
    let secrets = &services.secrets;
    Answer::Reply(match permitted.into_request() {
        SecretsRequest::Status => {
            secrets.status().await.map(|status| Reply::Secrets(Box::new(status))).map_err(Fault::from)
        }
        SecretsRequest::Validate => {
            secrets.validate(&services.fleet.refusing()).await.map(Reply::Checks).map_err(Fault::from)
        }
        SecretsRequest::Rotate { .. } => {
            rotate(&services.fleet, secrets).map(|job| Reply::Job(Box::new(job)))
        }
    })
}

/// Begins a rotation.
fn rotate(fleet: &Fleet, secrets: &Secrets) -> Result<Job, Fault> {
    let secrets = secrets.clone();
    fleet.jobs().begin(JobKind::Rotate, "data keys", async move |task| {
        ended(&task, secrets.rotate(&|parts| report(&task, parts)).await)
    })
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
    fleet.jobs().begin(JobKind::Rotate, "data keys, unfinished", work).map(drop)
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
