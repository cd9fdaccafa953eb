//! Pulling a model: as many bytes as the real one has, from nowhere.

use std::time::Duration;

use rand::Rng as _;

use crate::{
    Model,
    json::quote,
    model::digest,
    reply::{Reply, ReplyStep, Then},
    state::NodeState,
};

/// Bytes a second.
const SPEED: f64 = 450e6;
/// Time between two reports.
const STEP: Duration = Duration::from_millis(200);

const NOT_THERE: &str = "pull model manifest: file does not exist";

/// Answers `POST /api/pull`. There is no model with `missing` in its name.
pub(crate) fn answer(state: &mut NodeState, name: &str, stream: bool) -> Reply {
    if name.is_empty() {
        return Reply::error(400, "invalid model name");
    }
    let mut lines = vec![status("pulling manifest")];
    if name.contains("missing") {
        if !stream {
            return Reply::error(500, NOT_THERE);
        }
        lines.push(ReplyStep::now(format!("{{\"error\":{}}}\n", quote(NOT_THERE))));
        return Reply::ndjson(lines);
    }
    let model = state.new_model(name);
    for (digest, total) in layers(state, &model) {
        let short = &digest[..12];
        let head = format!(r#"{{"status":"pulling {short}","digest":"sha256:{digest}","total":{total}"#);
        lines.push(ReplyStep::now(format!("{head}}}\n")));
        for (completed, after) in reports(state, total) {
            lines.push(ReplyStep { bytes: format!("{head},\"completed\":{completed}}}\n").into(), after });
        }
    }
    lines.extend(["verifying sha256 digest", "writing manifest", "success"].map(status));
    let pulled = Then::Pulled(Box::new(model));
    if stream {
        return Reply::ndjson(lines).then(pulled);
    }
    let took = lines.iter().map(|line| line.after).sum();
    Reply::json(200, r#"{"status":"success"}"#).after(took).then(pulled)
}

fn status(status: &str) -> ReplyStep {
    ReplyStep::now(format!("{{\"status\":\"{status}\"}}\n"))
}

/// Digest and bytes of each layer.
fn layers(state: &NodeState, model: &Model) -> Vec<(String, u64)> {
    if state.machine.is_none() {
        return vec![("aa11".repeat(16), 3_000_000), ("bb22".repeat(16), 1_200)];
    }
    let small = [("template", 1_429), ("license", 11_343), ("parameters", 487)];
    let small = small.map(|(what, bytes)| (digest(&format!("{} {what}", model.name)), bytes));
    [(model.digest.clone(), model.size)].into_iter().chain(small).collect()
}

/// Bytes there at each report of a layer, and the pause before it.
fn reports(state: &mut NodeState, total: u64) -> Vec<(u64, Duration)> {
    if state.machine.is_none() {
        let steps = state.pull_steps;
        return (1..=steps).map(|step| (total * step / steps, Duration::ZERO)).collect();
    }
    let pause = if total > 1_000_000 { STEP } else { Duration::ZERO };
    let (mut done, mut reports) = (0, Vec::new());
    while done < total {
        let more = SPEED * STEP.as_secs_f64() * state.random.random_range(0.7..1.2);
        done = total.min(done + more as u64);
        reports.push((done, pause));
    }
    reports
}
