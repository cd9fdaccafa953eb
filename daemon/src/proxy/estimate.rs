//! The tokens of an answer: as the node counted them, and where it did not, an estimate that says it is one.
//!
//! A node does not count if it does not know how (`/api/embeddings`, servers that ignore `include_usage`), if
//! its answer broke off, or if the client left before the end; what was produced until then was produced all
//! the same.

use aivonx_protocol::key::KeyScope;

use crate::{
    api::{
        meter::BYTES_PER_TOKEN,
        route::{self, Action, Need},
        usage::Usage,
    },
    telemetry::AccessRecord,
};

/// Puts counts into `record`, whose route and status are known. `prompt` is how many tokens the prompt has, about,
/// if that was looked at; `produced` how many of output went by.
pub(super) fn count(record: &mut AccessRecord, usage: Usage, prompt: Option<u64>, produced: u64) {
    record.prompt_tokens = usage.prompt;
    record.output_tokens = usage.output;
    if (usage.prompt.is_some() && usage.output.is_some()) || record.status != 200 {
        return;
    }
    let Some((route, _)) = route::find(record.route) else { return };
    let Action::Forward(forward) = route.action else { return };
    if route.need() != Need::Scope(KeyScope::Infer) {
        return;
    }
    if usage.prompt.is_none() {
        record.prompt_tokens = Some(prompt.unwrap_or(record.bytes_in / BYTES_PER_TOKEN));
        record.estimated = true;
    }
    // Embeddings have no output, so nothing is missing.
    let embeds = matches!(forward.path, "/api/embed" | "/api/embeddings" | "/v1/embeddings");
    if usage.output.is_none() && !embeds {
        record.output_tokens = Some(produced);
        record.estimated = true;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn counted(route: &'static str, status: u16, usage: Usage) -> (Option<u64>, Option<u64>, bool) {
        let mut record = AccessRecord::new(Uuid::nil(), [127, 0, 0, 1].into(), http::Method::POST);
        (record.route, record.status, record.bytes_in) = (route, status, 400);
        count(&mut record, usage, None, 7);
        (record.prompt_tokens, record.output_tokens, record.estimated)
    }

    #[test]
    fn only_what_the_node_did_not_count_is_estimated() {
        let both = Usage { prompt: Some(1), output: Some(2) };
        let prompt = Usage { prompt: Some(1), output: None };
        let none = Usage::default();
        for (route, status, usage, want) in [
            ("/api/chat", 200, both, (Some(1), Some(2), false)),
            ("/api/chat", 200, none, (Some(100), Some(7), true)),
            ("/v1/messages", 200, prompt, (Some(1), Some(7), true)),
            ("/api/embed", 200, prompt, (Some(1), None, false)),
            ("/v1/embeddings", 200, prompt, (Some(1), None, false)),
            ("/api/embeddings", 200, none, (Some(100), None, true)),
            // Nothing was produced, or nothing is counted.
            ("/api/chat", 503, none, (None, None, false)),
            ("/api/show", 200, none, (None, None, false)),
            ("unknown", 200, none, (None, None, false)),
        ] {
            assert_eq!(counted(route, status, usage), want, "{route} {status}");
        }
    }
}
