//! Which node a chat would go to now, and why.

use aivonx_fleet::{NoNode, NodeScope, Overflow, RoutingRules, Snapshot, Want, Work};
use aivonx_protocol::strategy::Explained;
use aivonx_wire::api::{Peek, meter::BYTES_PER_TOKEN};
use bytes::Bytes;

use super::work;
use crate::policy::{Candidate, Rules};

/// A chat that is not sent.
#[derive(Debug, Clone, Copy)]
pub struct Chat<'a> {
    /// Model, or an alias.
    pub model: &'a str,
    /// The one message, from the user.
    pub prompt: &'a str,
    /// Id of the organization it is for.
    pub organization: Option<&'a str>,
    /// What of the fleet that may use.
    pub eligible: &'a RoutingRules,
    /// Seconds of waiting for the fleet's own nodes after which third parties are asked.
    pub overflow: f64,
}

/// Which node `chat` would go to. Nodes outside of `realm` are not shown.
///
/// # Errors
/// The organization may not have the model, or no node has it.
pub fn explain(
    snapshot: &Snapshot,
    rules: Option<&Rules>,
    chat: Chat<'_>,
    realm: &NodeScope,
) -> Result<Explained, NoNode> {
    let plan = rules.and_then(|rules| rules.plan(chat.organization, chat.model, chat.eligible));
    let Some(plan) = plan else { return explain_one(snapshot, chat, false, realm) };
    let one = |candidate: &Candidate| {
        explain_one(snapshot, Chat { model: &candidate.model, ..chat }, candidate.granted, realm)
    };
    // The first that need not wait is served, else the first that can be. Of equals the last is taken, so backwards.
    let explained = plan.candidates.iter().rev().map(one).max_by_key(rank);
    explained
        .unwrap_or_else(|| Err(NoNode::UnknownModel { model: chat.model.to_owned(), nearest: Vec::new() }))
}

/// How good it is to be served so.
fn rank(explained: &Result<Explained, NoNode>) -> u8 {
    let Ok(explained) = explained else { return 0 };
    match explained.nodes.iter().find(|node| node.chosen).and_then(|node| node.cost) {
        None => 1,
        Some(cost) if cost.wait_ms > 0 => 2,
        Some(_) => 3,
    }
}

fn explain_one(
    snapshot: &Snapshot,
    chat: Chat<'_>,
    granted: bool,
    realm: &NodeScope,
) -> Result<Explained, NoNode> {
    let dispatch = &snapshot.dispatch;
    let organization = chat.organization.map_or(0, |id| dispatch.number(id));
    let body = [Bytes::from(body(chat.model, chat.prompt))];
    let peek = Peek::read(&body).unwrap_or_default();
    let prompt = peek.prompt_at_most() / BYTES_PER_TOKEN;
    let mut blocks = Vec::new();
    work::chain(&peek, &body, prompt, work::seed(dispatch, organization, Some(chat.model)), &mut blocks);
    let want = Want {
        model: Some(chat.model),
        granted,
        // Every node serves chats.
        ollama: Some((0, 0, 0)),
        openai: true,
        api: 0,
        eligible: chat.eligible,
        overflow: Overflow { after: chat.overflow, otherwise: None },
    };
    let prompt = u32::try_from(prompt).unwrap_or(u32::MAX);
    let work = Work { prompt, blocks: &blocks, streams: true, organization, ..Work::default() };
    snapshot.explain(want, work, realm)
}

/// The chat as clients write it: without blanks, the role first.
fn body(model: &str, prompt: &str) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!(r#"{{"model":{},"messages":[{{"role":"user","content":{}}}]}}"#, text(model), text(prompt))
}
