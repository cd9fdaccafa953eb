//! Operations on jobs.

use aivonx_protocol::{
    Event, Fault,
    job::{self, Job, JobState},
    operation::Serve,
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;

use crate::control::{By, Events, Services};

impl Serve<job::List> for Services {
    async fn serve(&self, by: By<job::List>, _: job::List) -> Result<Vec<Job>, Fault> {
        Ok(self.fleet.jobs().list(&by.reach()))
    }
}

impl Serve<job::Show> for Services {
    async fn serve(&self, by: By<job::Show>, asked: job::Show) -> Result<Job, Fault> {
        self.fleet.jobs().show(&by.reach(), &asked.job).map_err(self.fault(&by))
    }
}

impl Serve<job::Cancel> for Services {
    async fn serve(&self, by: By<job::Cancel>, asked: job::Cancel) -> Result<Job, Fault> {
        self.fleet.jobs().cancel(&by.reach(), &asked.job).await.map_err(self.fault(&by))
    }
}

impl Serve<job::Follow> for Services {
    async fn serve(&self, by: By<job::Follow>, asked: job::Follow) -> Result<Events, Fault> {
        let steps = self.fleet.jobs().follow(&by.reach(), &asked.job).map_err(self.fault(&by))?;
        Ok(follow(steps).map(|job| Ok(Event::Job(Box::new(job)))).boxed())
    }
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
    use aivonx_protocol::Reply;

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
