//! One method per request. Errors of all of them: see [`Client::call`] and [`Client::stream`].

use super::{Client, ClientError, EventStream};
use crate::{
    Reply, Request,
    config::{ConfigRequest, Reloaded, Setting},
    daemon::{DaemonRequest, Status},
    job::{Job, JobRequest},
    log::{LogFilter, LogPage, LogRequest},
    model::{Model, ModelRemoved, ModelRequest},
    node::{AdminState, NewNode, Node, NodeChange, NodeRequest, Probe, Probed},
    pulse::Pulse,
    strategy::{Strategy, StrategyRequest},
};

/// Sends a request and takes the one right reply out.
macro_rules! ask {
    ($client:expr, $request:expr, $($pattern:pat => $out:expr),+) => {{
        let request: Request = $request;
        let asked = request.name();
        match $client.call(request).await? {
            $($pattern => Ok($out),)+
            other => Err(ClientError::unexpected(asked, other.name())),
        }
    }};
}
pub(super) use ask;

/// The daemon.
impl Client {
    /// What the daemon is and does now.
    pub async fn status(&self) -> Result<Status, ClientError> {
        ask!(self, Request::Daemon(DaemonRequest::Status), Reply::Status(status) => *status)
    }

    /// How it does right now; of the last minutes what has changed since the second `since`.
    pub async fn pulse(&self, since: Option<u64>) -> Result<Pulse, ClientError> {
        ask!(self, Request::Daemon(DaemonRequest::Pulse { since }), Reply::Pulse(pulse) => *pulse)
    }
}

/// Nodes. A node is named by its name or its id.
impl Client {
    /// All nodes, by name.
    pub async fn node_list(&self) -> Result<Vec<Node>, ClientError> {
        ask!(self, Request::Node(NodeRequest::List), Reply::Nodes(nodes) => nodes)
    }

    /// One node.
    pub async fn node_show(&self, node: &str) -> Result<Node, ClientError> {
        let node = node.to_owned();
        ask!(self, Request::Node(NodeRequest::Show { node }), Reply::Node(node) => *node)
    }

    /// Probes a node and adds it.
    pub async fn node_add(&self, node: NewNode) -> Result<Probe, ClientError> {
        ask!(self, Request::Node(NodeRequest::Add(Box::new(node))), Reply::Probe(probe) => *probe)
    }

    /// Changes fields of a node. With a `revision`, only if that is still its revision.
    pub async fn node_set(
        &self,
        node: &str,
        revision: Option<u64>,
        change: NodeChange,
    ) -> Result<Node, ClientError> {
        let request = NodeRequest::Set { node: node.to_owned(), revision, change: Box::new(change) };
        ask!(self, Request::Node(request), Reply::Node(node) => *node)
    }

    /// Enables, drains or disables a node.
    pub async fn node_set_state(
        &self,
        node: &str,
        revision: Option<u64>,
        state: AdminState,
    ) -> Result<Node, ClientError> {
        let request = NodeRequest::SetState { node: node.to_owned(), revision, state };
        ask!(self, Request::Node(request), Reply::Node(node) => *node)
    }

    /// Forgets a node; its running requests end.
    pub async fn node_remove(&self, node: &str, revision: Option<u64>) -> Result<(), ClientError> {
        let request = NodeRequest::Remove { node: node.to_owned(), revision };
        ask!(self, Request::Node(request), Reply::Done => ())
    }

    /// Checks a node now.
    pub async fn node_check(&self, node: &str) -> Result<Probe, ClientError> {
        let node = node.to_owned();
        ask!(self, Request::Node(NodeRequest::Check { node }), Reply::Probe(probe) => *probe)
    }

    /// Asks a server what it is as if it were to be added, without adding it.
    pub async fn node_probe(&self, new: NewNode) -> Result<Probed, ClientError> {
        let request = NodeRequest::Probe(Box::new(new));
        ask!(self, Request::Node(request), Reply::Probed(probed) => *probed)
    }

    /// Asks a node what it is as if it were changed so, without changing it.
    pub async fn node_probe_change(&self, node: &str, change: NodeChange) -> Result<Probed, ClientError> {
        let request = NodeRequest::ProbeChange { node: node.to_owned(), change: Box::new(change) };
        ask!(self, Request::Node(request), Reply::Probed(probed) => *probed)
    }

    /// All nodes, then every change of any, until the stream is dropped.
    pub async fn node_watch(&self) -> Result<EventStream, ClientError> {
        self.stream(Request::Node(NodeRequest::Watch)).await
    }
}

/// Models.
impl Client {
    /// All models, by name.
    pub async fn model_list(&self) -> Result<Vec<Model>, ClientError> {
        ask!(self, Request::Model(ModelRequest::List), Reply::Models(models) => models)
    }

    /// One model; `:latest` is implied.
    pub async fn model_show(&self, model: &str) -> Result<Model, ClientError> {
        let model = model.to_owned();
        ask!(self, Request::Model(ModelRequest::Show { model }), Reply::Model(model) => *model)
    }

    /// Begins to pull a model to `nodes`; none named is every active node. Follow the job for progress.
    pub async fn model_pull(
        &self,
        model: &str,
        nodes: Vec<String>,
        insecure: bool,
    ) -> Result<Job, ClientError> {
        let request = ModelRequest::Pull { model: model.to_owned(), nodes, insecure };
        ask!(self, Request::Model(request), Reply::Job(job) => *job)
    }

    /// Removes a model from one node, or from every node that has it.
    pub async fn model_remove(&self, model: &str, node: Option<String>) -> Result<ModelRemoved, ClientError> {
        let request = ModelRequest::Remove { model: model.to_owned(), node };
        ask!(self, Request::Model(request), Reply::ModelRemoved(removed) => removed)
    }

    /// Begins to load a model into the memory of one node, or of every node that has it. Follow the job.
    pub async fn model_load(
        &self,
        model: &str,
        node: Option<String>,
        keep_alive: Option<String>,
    ) -> Result<Job, ClientError> {
        let request = ModelRequest::Load { model: model.to_owned(), node, keep_alive };
        ask!(self, Request::Model(request), Reply::Job(job) => *job)
    }

    /// Begins to take a model out of the memory of one node, or of every node that holds it. Follow the job.
    pub async fn model_unload(&self, model: &str, node: Option<String>) -> Result<Job, ClientError> {
        let request = ModelRequest::Unload { model: model.to_owned(), node };
        ask!(self, Request::Model(request), Reply::Job(job) => *job)
    }
}

/// The scheduling strategy.
impl Client {
    /// The strategy in force.
    pub async fn strategy_show(&self) -> Result<Strategy, ClientError> {
        ask!(self, Request::Strategy(StrategyRequest::Show), Reply::Strategy(strategy) => strategy)
    }

    /// Changes the strategy.
    pub async fn strategy_set(&self, strategy: Strategy) -> Result<Strategy, ClientError> {
        ask!(self, Request::Strategy(StrategyRequest::Set(strategy)), Reply::Strategy(strategy) => strategy)
    }
}

/// Jobs.
impl Client {
    /// Running and recent jobs, newest first.
    pub async fn job_list(&self) -> Result<Vec<Job>, ClientError> {
        ask!(self, Request::Job(JobRequest::List), Reply::Jobs(jobs) => jobs)
    }

    /// One job.
    pub async fn job_show(&self, job: &str) -> Result<Job, ClientError> {
        let job = job.to_owned();
        ask!(self, Request::Job(JobRequest::Show { job }), Reply::Job(job) => *job)
    }

    /// One job as it goes, beginning with how it stands; ends with the job.
    pub async fn job_follow(&self, job: &str) -> Result<EventStream, ClientError> {
        self.stream(Request::Job(JobRequest::Follow { job: job.to_owned() })).await
    }

    /// Ends a job.
    pub async fn job_cancel(&self, job: &str) -> Result<Job, ClientError> {
        let job = job.to_owned();
        ask!(self, Request::Job(JobRequest::Cancel { job }), Reply::Job(job) => *job)
    }
}

/// The log.
impl Client {
    /// The newest `lines` events in the daemon's memory that pass the filter, oldest first.
    pub async fn log_recent(&self, filter: LogFilter, lines: u32) -> Result<LogPage, ClientError> {
        ask!(self, Request::Log(LogRequest::Recent { filter, lines }), Reply::Logs(page) => page)
    }

    /// The same, then every new event, until the stream is dropped.
    pub async fn log_follow(&self, filter: LogFilter, lines: u32) -> Result<EventStream, ClientError> {
        self.stream(Request::Log(LogRequest::Follow { filter, lines })).await
    }
}

/// The file configuration.
impl Client {
    /// Every effective setting and where it comes from.
    pub async fn config_show(&self) -> Result<Vec<Setting>, ClientError> {
        ask!(self, Request::Config(ConfigRequest::Show), Reply::Config(settings) => settings)
    }

    /// Reads the file again.
    pub async fn config_reload(&self) -> Result<Reloaded, ClientError> {
        ask!(self, Request::Config(ConfigRequest::Reload), Reply::Reloaded(reloaded) => reloaded)
    }
}
