//! What a client wants of models: read from its body, and begun on the fleet.

use aivonx_fleet::{Definition, Digest, Fleet, FleetError, RoutingRules};
use aivonx_protocol::{Fault, Request, job::Job, model};
use aivonx_wire::api::{Peek, route::Action};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use crate::error_response::Refusal;

pub(super) enum Wish {
    Delete { model: String },
    Job(JobWish),
}

/// What is carried out as a job.
pub(super) enum JobWish {
    Pull { model: String, insecure: bool },
    Copy { source: String, destination: String },
    Create { model: String, definition: Definition },
    Push { model: String, insecure: bool },
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    source: String,
    #[serde(default)]
    destination: String,
}

impl Wish {
    /// What a request to a route with this action wants.
    pub(super) fn read(action: Action, peek: &Peek, body: &[u8]) -> Result<Self, Refusal> {
        let wrong = |message: String| Refusal::Manage { status: StatusCode::BAD_REQUEST, message };
        if matches!(action, Action::Copy) {
            let names: Names = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
            let [source, destination] = [names.source, names.destination].map(|name| name.trim().to_owned());
            return if source.is_empty() || destination.is_empty() {
                Err(wrong("source and destination are required".to_owned()))
            } else {
                Ok(Self::Job(JobWish::Copy { source, destination }))
            };
        }
        // White space around a name says nothing, to Ollama neither.
        let model = peek.model(true).map(str::trim).filter(|model| !model.is_empty());
        let model = model.ok_or(Refusal::ModelMissing)?.to_owned();
        let insecure = peek.insecure;
        Ok(Self::Job(match action {
            Action::Delete => return Ok(Self::Delete { model }),
            Action::Create => {
                let definition = Definition::read(body).map_err(|error| Refusal::from(Fault::from(error)))?;
                JobWish::Create { model, definition }
            }
            Action::Push => JobWish::Push { model, insecure },
            _ => JobWish::Pull { model, insecure },
        }))
    }

    /// The same as a request of the control socket, for the audit log: on the node that the client chose, if it did.
    pub(super) fn request(&self, node: Option<String>) -> Request {
        let job = match self {
            Self::Delete { model } => return model::Remove { model: model.clone(), node }.into(),
            Self::Job(job) => job,
        };
        match job {
            JobWish::Pull { model, insecure } => {
                let nodes = node.into_iter().collect();
                model::Pull { model: model.clone(), nodes, insecure: *insecure }.into()
            }
            JobWish::Copy { source, destination } => {
                model::Copy { model: source.clone(), destination: destination.clone(), node }.into()
            }
            JobWish::Create { model, .. } => {
                let (definition, nodes) = (String::new(), node.into_iter().collect());
                model::Create { model: model.clone(), definition, nodes }.into()
            }
            JobWish::Push { model, insecure } => {
                model::Push { model: model.clone(), node, insecure: *insecure }.into()
            }
        }
    }

    /// The models that it is about.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Job(JobWish::Copy { source, destination }) => (source, Some(&**destination)),
            Self::Job(JobWish::Create { model, definition }) => (model, definition.from()),
            Self::Job(JobWish::Pull { model, .. } | JobWish::Push { model, .. }) | Self::Delete { model } => {
                (model, None)
            }
        };
        std::iter::once(&**first).chain(second)
    }

    /// The files that it is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = &Digest> {
        self.definition().into_iter().flat_map(Definition::files)
    }

    /// Whether what it makes hands prompts on to a third party.
    pub(super) fn is_remote(&self) -> bool {
        self.definition().is_some_and(Definition::is_remote)
    }

    fn definition(&self) -> Option<&Definition> {
        if let Self::Job(JobWish::Create { definition, .. }) = self { Some(definition) } else { None }
    }

    /// Whether it puts a model that is there under another name.
    pub(super) fn spreads(&self) -> bool {
        matches!(self, Self::Job(JobWish::Copy { .. } | JobWish::Create { .. }))
    }
}

impl JobWish {
    /// Whether a node tells how far it is.
    pub(super) fn tells(&self) -> bool {
        !matches!(self, Self::Copy { .. })
    }

    /// Begins the job that carries it out.
    pub(super) async fn begin(
        self,
        fleet: &Fleet,
        before: Vec<HeaderValue>,
        eligible: &RoutingRules,
    ) -> Result<Job, FleetError> {
        match self {
            Self::Pull { model, insecure } => {
                fleet.jobs().pull_after(before, eligible, &model, &[], insecure).await
            }
            Self::Copy { source, destination } => {
                fleet.copy_model(before, eligible, &source, &destination, None)
            }
            Self::Create { model, definition } => {
                fleet.create_model(before, eligible, &model, definition, &[]).await
            }
            Self::Push { model, insecure } => fleet.push_model(before, eligible, &model, None, insecure),
        }
    }
}
