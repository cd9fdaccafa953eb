//! Models made of files that were sent before, or out of others.

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    json::{quote, text},
    reply::{Reply, ReplyStep},
    state::NodeState,
};

/// Answers a request about the file of this digest.
pub(crate) fn blob(state: &mut NodeState, method: &str, digest: &str, body: &[u8]) -> Reply {
    let known = state.blobs.contains_key(digest);
    match method {
        "HEAD" | "POST" if known => Reply::empty(),
        "HEAD" => Reply::text(404, ""),
        "POST" => {
            let hex: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
            if digest != format!("sha256:{hex}") {
                return Reply::error(400, "digest mismatch");
            }
            state.blobs.insert(digest.to_owned(), Bytes::copy_from_slice(body));
            Reply { status: 201, ..Reply::empty() }
        }
        _ => Reply::text(405, "405 method not allowed"),
    }
}

/// Answers `POST /api/create`.
pub(crate) fn answer(state: &mut NodeState, name: &str, body: &Value) -> Reply {
    let files = ["files", "adapters"].into_iter().filter_map(|key| body.get(key)?.as_object());
    for digest in files.flat_map(|files| files.values()).filter_map(Value::as_str) {
        if !state.blobs.contains_key(digest) {
            return Reply::error(400, "blob not found");
        }
    }
    let mut model = state.new_model(name);
    let from = text(body, "from");
    if !from.is_empty() {
        let Some(parent) = state.model(from) else {
            return Reply::error(404, &format!("model '{from}' not found"));
        };
        let name = std::mem::take(&mut model.name);
        model = parent.clone();
        (model.name, model.loaded) = (name, None);
    }
    state.add(model);
    done(&["using existing layer", "writing manifest"])
}

/// A stream of these lines that ends well.
pub(crate) fn done(lines: &[&str]) -> Reply {
    let lines = lines.iter().chain(&["success"]);
    Reply::ndjson(lines.map(|line| ReplyStep::now(format!("{{\"status\":{}}}\n", quote(line)))).collect())
}
