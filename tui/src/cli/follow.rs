//! Following a job to its end: `model pull` and `job show --follow`.

use aivonx_protocol::{
    Event,
    client::Client,
    job::{self, Job, JobState},
};

use crate::{
    exit::{Exit, Failure},
    render::{
        Out,
        out::note,
        progress::Progress,
        text::{Lines, safe},
    },
};

/// Which steps reach standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// A drawing for people, nothing for scripts.
    ForPeople,
    /// A drawing for people, one JSON object a step for scripts.
    All,
}

/// How to follow or end a job, for people.
#[must_use]
pub fn ways(id: &str) -> String {
    format!("Follow it: aivonx job show {0} --follow\nEnd it:    aivonx job cancel {0}", safe(id))
}

/// Follows `job` until it ends and answers how it ended. Ctrl-C leaves it running.
///
/// # Errors
/// The connection ends, or the caller leaves.
pub async fn follow(client: &Client, out: &mut Out, job: Job, steps: Steps) -> Result<Job, Failure> {
    let id = job.id.clone();
    let mut progress = Progress::new(out.terminal, out.width);
    let ended = tokio::select! {
        ended = watch(client, out, &mut progress, job, steps) => ended,
        _ = tokio::signal::ctrl_c() => {
            // Leaves the line with the terminal's own ^C in it.
            note("");
            return Err(Failure::failed(format!("left; job {id} goes on without you")).with_hint(ways(&id)));
        }
    };
    ended.map_err(|failure| match failure {
        Failure::Lost(_) | Failure::Unreachable(_) => {
            note(format_args!("Job {} goes on if the daemon still runs.", safe(&id)));
            failure
        }
        failure => failure,
    })
}

async fn watch(
    client: &Client,
    out: &mut Out,
    progress: &mut Progress,
    mut job: Job,
    steps: Steps,
) -> Result<Job, Failure> {
    let mut stream = client.follow(job::Follow { job: job.id.clone() }).await?;
    while let Some(step) = stream.next().await {
        let Event::Job(now) = step? else { continue };
        job = *now;
        if !out.is_json() {
            let drawn = progress.step(&job);
            out.raw(drawn)?;
        } else if steps == Steps::All {
            out.json_line(&job)?;
        }
    }
    Ok(job)
}

/// A job that did not end well is a failure, with every node's reason said.
///
/// # Errors
/// It failed or was cancelled.
pub fn verdict(job: &Job) -> Result<(), Failure> {
    match job.state {
        JobState::Done => Ok(()),
        JobState::Running => Err(Failure::Lost("the job's stream ended before the job".to_owned())),
        JobState::Cancelled => {
            note(format_args!("aivonx: job {} was cancelled", safe(&job.id)));
            Err(Failure::Silent(Exit::Failed))
        }
        JobState::Failed => {
            for target in &job.targets {
                if let Some(why) = &target.error {
                    note(format_args!("aivonx: {}: {}", safe(&target.node), Lines(why)));
                }
            }
            note(format_args!("aivonx: job {} failed; what lies behind it: aivonx logs", safe(&job.id)));
            Err(Failure::Silent(Exit::Failed))
        }
    }
}
