//! Jobs: long operations that go on when the one who began them leaves.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Pulls a model to one or more nodes.
    Pull,
    /// Replaces the keys that secrets are sealed under.
    Rotate,
    /// Loads a model into the memory of one or more nodes.
    Load,
    /// Takes a model out of it.
    Unload,
    /// Copies a model under another name.
    Copy,
    /// Makes a model out of others, or of files.
    Create,
    /// Sends a model to its registry.
    Push,
}

impl JobKind {
    /// Whether it is measured in nodes that are through: nobody says how far one of them is.
    #[must_use]
    pub fn counts_nodes(self) -> bool {
        matches!(self, Self::Load | Self::Unload | Self::Copy | Self::Create)
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// At work.
    Running,
    /// Done on every target.
    Done,
    /// Failed on at least one target.
    Failed,
    /// Ended by an administrator or by shutdown.
    Cancelled,
}

/// A job and its progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Id, unique while the daemon runs and never reused.
    pub id: String,
    /// What it does.
    pub kind: JobKind,
    /// What it does it to: the new key for a rotation, else the model's name.
    pub subject: String,
    /// Where it stands.
    pub state: JobState,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended.
    pub ended: Option<UnixMillis>,
    /// Progress per node; for a rotation, per kind of secret.
    pub targets: Vec<JobTarget>,
    /// Bytes done, summed over digests, the slowest node counting for each digest; secrets for a rotation;
    /// nodes for loading and unloading.
    pub completed: u64,
    /// Bytes (or secrets, or nodes) in all, as far as known.
    pub total: u64,
}

/// A job's progress on one node, or with one kind of secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobTarget {
    /// Node name, or kind of secret.
    pub node: String,
    /// Where it stands there.
    pub state: JobState,
    /// The node's own last status line.
    pub status: String,
    /// Bytes (or secrets) done there; 1 of 1 for a node that has loaded or unloaded.
    pub completed: u64,
    /// Bytes (or secrets) in all there, as far as known.
    pub total: u64,
    /// Why it failed there.
    pub error: Option<String>,
}

operations! {
    /// Requests about jobs.
    Request::Job(JobRequest);

    /// Running and recent jobs, newest first.
    "job.list" List -> Vec<Job> as Jobs, needs JobsRead;

    /// One job.
    "job.show" Show {
        /// Job id.
        job: String,
    } -> Job as Job, needs JobsRead;

    /// Every step of one job as `Event::Job`, beginning with how it stands; ends with the job.
    "job.follow" Follow {
        /// Job id.
        job: String,
    } => Event, needs JobsRead;

    /// End it.
    "job.cancel" Cancel {
        /// Job id.
        job: String,
    } -> Job as Job, needs JobsWrite, noted |op| Noted::new(Action::JobCancel, "job", &op.job);
}
