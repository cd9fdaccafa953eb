//! Models of the fleet, as the catalogue knows them.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    job::Job,
    operation::operations,
};

/// One model, over all nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name with tag, as the nodes report it.
    pub name: String,
    /// Size on disk in bytes, where a node reports it.
    pub size: Option<u64>,
    /// Content digest, where a node reports it.
    pub digest: Option<String>,
    /// Family (`llama`, `qwen3`), where a node reports it.
    pub family: Option<String>,
    /// Parameter size (`8.0B`), where a node reports it.
    pub parameters: Option<String>,
    /// Quantization (`Q4_K_M`), where a node reports it.
    pub quantization: Option<String>,
    /// Newest modification among the nodes, RFC 3339.
    pub modified_at: Option<String>,
    /// Whether the node hands prompts on to a third party.
    pub cloud: bool,
    /// Where it is.
    pub nodes: Vec<ModelOnNode>,
}

/// One model on one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelOnNode {
    /// Node name.
    pub node: String,
    /// Whether it is in memory.
    pub loaded: bool,
    /// Bytes of GPU memory it takes while loaded.
    pub size_vram: Option<u64>,
    /// When the node will unload it.
    pub expires_at: Option<UnixMillis>,
    /// Context length it is loaded with.
    pub context_length: Option<u64>,
}

/// A model that is kept loaded. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Stable id, never reused.
    pub id: String,
    /// Slug of the organization on whose nodes it is; None is on shared ones.
    pub organization: Option<String>,
    /// The model, as it was given.
    pub model: String,
    /// How many nodes it is kept loaded on.
    pub copies: u32,
    /// Only on the node of this name, or on those with this label (`zone=b`).
    pub on: Option<String>,
    /// Whether nodes keep it without an end, and requests for other models leave it there.
    pub pin: bool,
    /// Whether it is pulled to nodes that do not have it.
    pub pull: bool,
    /// Nodes that hold it in memory now, by name.
    pub loaded: Vec<String>,
    /// Nodes that are loading or pulling it for that.
    pub loading: Vec<String>,
    /// Why there are fewer than wanted, as far as is known.
    pub lacks: Option<String>,
    /// When it was set first.
    pub created: UnixMillis,
    /// Revision of the record.
    pub revision: u64,
}

/// A name under which nodes have different weights. `--output json` prints its nodes with the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Name with tag.
    pub model: String,
    /// The nodes that have it.
    pub nodes: Vec<Weights>,
}

/// What a node has under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// Node name.
    pub node: String,
    /// Digest of the model's manifest, which says more than its weights.
    pub digest: String,
    /// Digests of the files it is made of, with a space between; None where the node does not say.
    pub weights: Option<String>,
}

operations! {
    /// Requests about models.
    Request::Model(ModelRequest);

    /// All models, by name.
    "model.list" List -> Vec<Model> as Models, needs ModelsRead;

    /// One model.
    "model.show" Show {
        /// Model name; `:latest` is implied.
        model: String,
    } -> Model as Model, needs ModelsRead;

    /// Pull as a job.
    "model.pull" Pull {
        /// Model name.
        model: String,
        /// Node name or id; empty is every active node.
        nodes: Vec<String>,
        /// Allow a registry without TLS (Ollama's `insecure`).
        insecure: bool,
    } -> Job as Job, needs ModelsWrite,
        noted |op| Noted::new(Action::ModelPull, "model", &op.model)
            .with("nodes", &op.nodes)
            .with("insecure", op.insecure);

    /// Remove a model from one node, or from every node that has it.
    "model.remove" Remove {
        /// Model name.
        model: String,
        /// Node name or id; None is every node that has it.
        node: Option<String>,
    } -> ModelRemoved as ModelRemoved, needs ModelsWrite,
        noted |op| Noted::new(Action::Delete, "model", &op.model).maybe("node", &op.node);

    /// Load into a node's memory, as a job.
    "model.load" Load {
        /// Model name.
        model: String,
        /// Node name or id; None is every node that has it and takes requests.
        node: Option<String>,
        /// How long it stays in memory without a request: a duration such as `30m`, seconds, or negative for ever.
        /// None is the node's own habit.
        keep_alive: Option<String>,
    } -> Job as Job, needs ModelsWrite,
        noted |op| Noted::new(Action::ModelLoad, "model", &op.model)
            .maybe("node", &op.node)
            .maybe("keep_alive", &op.keep_alive);

    /// Take out of a node's memory, as a job.
    "model.unload" Unload {
        /// Model name.
        model: String,
        /// Node name or id; None is every node that holds it.
        node: Option<String>,
    } -> Job as Job, needs ModelsWrite,
        noted |op| Noted::new(Action::ModelUnload, "model", &op.model).maybe("node", &op.node);

    /// Copy under another name on the nodes that have it, as a job.
    "model.copy" Copy {
        /// Model name.
        model: String,
        /// The other name.
        destination: String,
        /// Node name or id; None is every node that has it.
        node: Option<String>,
    } -> Job as Job, needs ModelsWrite,
        noted |op| Noted::new(Action::ModelCopy, "model", &op.destination)
            .with("source", &op.model)
            .maybe("node", &op.node);

    /// Make one out of others, or of files that a node has, as a job.
    "model.create" Create {
        /// Name of the new one.
        model: String,
        /// What it is, as the body of Ollama's `/api/create`: an object in JSON.
        definition: String,
        /// Node name or id; empty is every active node that has all of what it is made of.
        nodes: Vec<String>,
    } -> Job as Job, needs ModelsWrite,
        noted |op| Noted::new(Action::ModelCreate, "model", &op.model).with("nodes", &op.nodes);

    /// Send to its registry from one node, as a job.
    "model.push" Push {
        /// Model name.
        model: String,
        /// Node name or id; None is one that has it.
        node: Option<String>,
        /// Allow a registry without TLS (Ollama's `insecure`).
        insecure: bool,
    } -> Job as Job, needs ModelsWrite,
        noted |op| Noted::new(Action::ModelPush, "model", &op.model)
            .maybe("node", &op.node)
            .with("insecure", op.insecure);

    /// Keep loaded on so many nodes.
    "model.place" Place {
        /// Model name.
        model: String,
        /// How many nodes.
        copies: u32,
        /// Only on the node of this name, or on those with this label (`zone=b`).
        on: Option<String>,
        /// Nodes keep it without an end, and requests for other models leave it there.
        pin: bool,
        /// Pull it to nodes that do not have it.
        pull: bool,
    } -> Placement as Placement, needs ModelsWrite,
        noted |op| Noted::new(Action::Update, "placement", &op.model)
            .with("copies", op.copies)
            .maybe("on", &op.on)
            .with("pin", op.pin)
            .with("pull", op.pull);

    /// The models that are kept loaded, by name.
    "model.placements" Placements -> Vec<Placement> as Placements, needs ModelsRead;

    /// Keep loaded no longer.
    "model.unplace" Unplace {
        /// Model name, or id of the placement.
        model: String,
    } -> () as Done, needs ModelsWrite, noted |op| Noted::new(Action::Delete, "placement", &op.model);

    /// The names under which nodes have different weights.
    "model.drifts" Drifts -> Vec<Drift> as Drifts, needs ModelsRead;
}

/// What a removal did on each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRemoved {
    /// Nodes it was removed from.
    pub removed: Vec<String>,
    /// Nodes that refused, with their reason.
    pub failed: Vec<(String, String)>,
}
