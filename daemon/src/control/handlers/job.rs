//! Requests about jobs.

use aivonx_protocol::{
    Event, Reply,
    job::{Job, JobRequest, JobState},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<JobRequest>) -> Answer {
    let jobs = services.fleet.jobs();
    let actor = permitted.actor().clone();
    let reach = &actor.reach();
    let done = match permitted.into_request() {
        JobRequest::List => Ok(Reply::Jobs(jobs.list(reach))),
        JobRequest::Show { job } => jobs.show(reach, &job).map(|job| Reply::Job(Box::new(job))),
        JobRequest::Cancel { job } => jobs.cancel(reach, &job).await.map(|job| Reply::Job(Box::new(job))),
        JobRequest::Follow { job } => match jobs.follow(reach, &job) {
            Ok(steps) => {
                return Answer::Stream(follow(steps).map(|job| Ok(Event::Job(Box::new(job)))).boxed());
            }
            Err(error) => Err(error),
        },
    };
    Answer::Reply(done.map_err(|error| services.fault(&actor, error)))
}

/// How a job stands now, then each step the reader is fast enough to see, up to and with the last.
fn follow(mut steps: watch::Receiver<Job>) -> impl Stream<Item = Job> + Send {
    steps.mark_changed();
    stream::unfold(Some(steps), async |steps| {
        let mut steps = steps?;
        // The sender goes only with the job, after its end has been seen or the job forgotten.
        steps.changed().await.ok()?;
        let job = steps.borrow_and_update().clone();
        let running = job.state == JobState::Running;
        Some((job, running.then_some(steps)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Reply::samples()
            .into_iter()
            .find_map(|r| if let Reply::Job(j) = r { Some(*j) } else { None })
            .unwrap()
    }

    #[tokio::test]
    async fn a_job_is_followed_from_where_it_stands_to_its_end() {
        let mut job = Job { state: JobState::Running, completed: 1, ..job() };
        let (sender, steps) = watch::channel(job.clone());
        let mut steps = std::pin::pin!(follow(steps));
        assert_eq!(steps.next().await.unwrap().completed, 1);
        job.completed = 2;
        sender.send_replace(job.clone());
        assert_eq!(steps.next().await.unwrap().completed, 2);
        job.state = JobState::Done;
        sender.send_replace(job.clone());
        assert_eq!(steps.next().await.unwrap().state, JobState::Done);
        assert!(steps.next().await.is_none(), "the sender is still there, but the job is over");
    }

    #[tokio::test]
    async fn a_job_that_is_over_is_shown_once() {
        let (_sender, steps) = watch::channel(Job { state: JobState::Cancelled, ..job() });
        assert_eq!(follow(steps).count().await, 1);
    }
}
