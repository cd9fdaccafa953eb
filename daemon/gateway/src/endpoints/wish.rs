//! What a client wants of models: read from its body, and begun on the fleet.

use aivonx_fleet::{Definition, Digest, Fleet, FleetError, RoutingRules};
use aivonx_protocol::{Fault, Request, Untrusted, job::Job, model};
use aivonx_wire::api::{Peek, route::Action};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use crate::error_response::Refusal;

pub(super) enum Wish {
    Pull { model: String, insecure: bool },
    Delete { model: String },
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
            let Names { source, destination } = names;
            return if source.is_empty() || destination.is_empty() {
                Err(wrong("source and destination are required".to_owned()))
            } else {
                Ok(Self::Copy { source, destination })
            };
        }
        let model = peek.model(true).ok_or(Refusal::ModelMissing)?.to_owned();
        let insecure = peek.insecure;
        Ok(match action {
            Action::Create => {
                let definition = Definition::read(body).map_err(|error| Refusal::from(Fault::from(error)))?;
                Self::Create { model, definition }
            }
            Action::Push => Self::Push { model, insecure },
            Action::Delete => Self::Delete { model },
            _ => Self::Pull { model, insecure },
        })
    }

    /// The same as a request of the control socket, for the audit log.
    pub(super) fn request(&self) -> Request {
        match self {
            Self::Pull { model, insecure } => {
                model::Pull { model: model.clone(), nodes: Vec::new(), insecure: *insecure }.into()
            }
            Self::Delete { model } => model::Remove { model: model.clone(), node: None }.into(),
            Self::Copy { source, destination } => {
                model::Copy { model: source.clone(), destination: destination.clone(), node: None }.into()
            }
            Self::Create { model, .. } => {
                model::Create { model: model.clone(), definition: String::new(), nodes: Vec::new() }.into()
            }
            Self::Push { model, insecure } => {
                model::Push { model: model.clone(), node: None, insecure: *insecure }.into()
            }
        }
    }

    /// The models that it is about.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Copy { source, destination } => (source, Some(&**destination)),
            Self::Create { model, definition } => (model, definition.from()),
            Self::Pull { model, .. } | Self::Delete { model } | Self::Push { model, .. } => (model, None),
        };
        std::iter::once(&**first).chain(second)
    }

    /// The files that it is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = &Digest> {
        let definition = if let Self::Create { definition, .. } = self { Some(definition) } else { None };
        definition.into_iter().flat_map(Definition::files)
    }

    /// Whether what it makes hands prompts on to a third party.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Create { definition, .. } if definition.is_remote())
    }

    /// Whether it puts a model that is there under another name.
    pub(super) fn spreads(&self) -> bool {
        matches!(self, Self::Copy { .. } | Self::Create { .. })
    }

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
            Self::Delete { model } => {
                let shown = Untrusted::new(&model).max(100).to_string();
                Err(FleetError::UnknownModel { wanted: shown, nearest: Vec::new() })
            }
        }
    }
}
