//! `aivonx job ...`

use aivonx_protocol::job::{self, Job, JobKind, JobState};
use clap::{Args, Subcommand};

use super::{Context, follow, node::footers};
use crate::{
    exit::Failure,
    nouns::{self, job::state},
    render::{Column, Out, Table, progress, text::safe},
};

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum JobVerb {
    /// Running and recent jobs, newest first
    #[command(visible_alias = "ls")]
    List,
    /// One job and its progress on every node
    Show(ShowArgs),
    /// End a job
    Cancel(Id),
}

/// `job show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Id of the job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Show its progress until it ends
    #[arg(long, short = 'f')]
    pub follow: bool,
}

/// A job.
#[derive(Debug, Args)]
pub struct Id {
    /// Id of the job
    #[arg(value_name = "JOB")]
    pub job: String,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: JobVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        JobVerb::List => {
            let jobs = client.ask(job::List).await?;
            context.out.show(&jobs, |out| {
                if jobs.is_empty() {
                    return out.line("No job runs or ran lately. Begin one: aivonx model pull MODEL");
                }
                nouns::list(out, &jobs)
            })
        }
        JobVerb::Show(ShowArgs { job, follow: true }) => {
            let job = client.ask(job::Show { job: job.clone() }).await?;
            let end = follow::follow(&client, &mut context.out, job, follow::Steps::All).await?;
            follow::verdict(&end)
        }
        JobVerb::Show(ShowArgs { job, follow: false }) => {
            let job = client.ask(job::Show { job: job.clone() }).await?;
            context.out.show(&job, |out| show(out, &job))
        }
        JobVerb::Cancel(Id { job }) => {
            let job = client.ask(job::Cancel { job: job.clone() }).await?;
            context.out.show(&job, |out| {
                let (id, subject) = (safe(&job.id), safe(&job.subject));
                match job.state {
                    JobState::Running => out.line(format_args!("Job {id} ({subject}) is being cancelled.")),
                    JobState::Cancelled => out.line(format_args!("Job {id} ({subject}) is cancelled.")),
                    state => out.line(format_args!(
                        "Job {id} ({subject}) was over already: {}.",
                        progress::state(state)
                    )),
                }
            })
        }
    }
}

fn show(out: &mut Out, job: &Job) -> Result<(), Failure> {
    nouns::show(out, job)?;
    out.line("")?;
    out.table(&targets(job))?;
    let errors = job.targets.iter().filter_map(|target| Some((&*target.node, target.error.as_deref()?)));
    footers(out, errors)?;
    if job.state == JobState::Running {
        out.line("")?;
        out.line(follow::ways(&job.id))?;
    }
    Ok(())
}

fn targets(job: &Job) -> Table {
    let mut table = Table::new([
        Column::text(match job.kind {
            JobKind::Rotate => "KIND",
            _ => "NODE",
        })
        .cut(12),
        Column::text("STATE"),
        Column::number("DONE"),
        Column::text("STATUS").cut(12),
    ]);
    for target in &job.targets {
        table.row([
            (&target.node).into(),
            state(target.state),
            progress::amount(job.kind, target.completed, target.total).into(),
            (&target.status).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn parts_of_jobs() {
        let shown: Vec<String> =
            samples::jobs().iter().map(|job| targets(job).render(Some(80), false)).collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
