//! Pulling a model to a simulated node: as many bytes as the real one has, from nowhere.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use http::{Response, StatusCode};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use super::{
    answer::{Body, NDJSON, error, json, pieces, quote},
    hardware::{Weights, digest},
    node::SimNode,
};

/// Bytes a second.
const SPEED: f64 = 450e6;
/// Time between two reports.
const STEP: Duration = Duration::from_millis(200);

/// Answers `POST /api/pull`.
pub(super) async fn answer(node: &Arc<SimNode>, name: &str, streamed: bool) -> Response<Body> {
    if name.is_empty() {
        return error(StatusCode::BAD_REQUEST, "invalid model name");
    }
    let weights = Weights::of(name);
    let missing = weights.name.contains("missing");
    let mut pull = Pull::new(node.clone(), weights, missing);
    if streamed {
        let lines = stream::unfold(pull, async |mut pull| {
            let line = pull.next().await?;
            Some((line + "\n", pull))
        });
        return pieces(NDJSON, lines);
    }
    if missing {
        return error(StatusCode::INTERNAL_SERVER_ERROR, NOT_THERE);
    }
    while pull.next().await.is_some() {}
    json(r#"{"status":"success"}"#)
}

const NOT_THERE: &str = "pull model manifest: file does not exist";

struct Pull {
    node: Arc<SimNode>,
    weights: Weights,
    /// Whether there is nothing of this name.
    missing: bool,
    /// Digest and bytes of each layer.
    layers: Vec<(String, u64)>,
    /// Bytes of the layer at hand; None before its first report.
    done: Option<u64>,
    stage: Stage,
    random: StdRng,
}

enum Stage {
    Manifest,
    Layer(usize),
    Last(usize),
    Over,
}

const LAST: [&str; 3] = ["verifying sha256 digest", "writing manifest", "success"];

impl Pull {
    fn new(node: Arc<SimNode>, weights: Weights, missing: bool) -> Self {
        let part = |what: &str, bytes| (digest(&format!("{} {what}", weights.name)), bytes);
        let small = [part("template", 1_429), part("license", 11_343), part("parameters", 487)];
        let mut layers = vec![(weights.digest.clone(), weights.size)];
        layers.extend(small);
        let random = StdRng::seed_from_u64(weights.size);
        Self { node, weights, missing, layers, done: None, stage: Stage::Manifest, random }
    }

    /// The next line, when it is time for it.
    async fn next(&mut self) -> Option<String> {
        match self.stage {
            Stage::Over => None,
            Stage::Manifest => {
                self.stage = Stage::Layer(0);
                Some(r#"{"status":"pulling manifest"}"#.to_owned())
            }
            Stage::Layer(_) if self.missing => {
                self.stage = Stage::Over;
                Some(format!(r#"{{"error":{}}}"#, quote(NOT_THERE)))
            }
            Stage::Layer(at) => {
                let (digest, total) = self.layers[at].clone();
                let short = &digest[..12];
                let head =
                    format!(r#"{{"status":"pulling {short}","digest":"sha256:{digest}","total":{total}"#);
                let Some(done) = self.done else {
                    self.done = Some(0);
                    return Some(head + "}");
                };
                if total > 1_000_000 {
                    sleep(STEP).await;
                }
                let more = SPEED * STEP.as_secs_f64() * self.random.random_range(0.7..1.2);
                let completed = (done + more as u64).min(total);
                self.done = Some(completed);
                if completed == total {
                    self.done = None;
                    self.stage =
                        if at + 1 < self.layers.len() { Stage::Layer(at + 1) } else { Stage::Last(0) };
                }
                Some(format!(r#"{head},"completed":{completed}}}"#))
            }
            Stage::Last(at) => {
                if at + 1 < LAST.len() {
                    self.stage = Stage::Last(at + 1);
                } else {
                    self.stage = Stage::Over;
                    self.node.add(self.weights.clone());
                }
                Some(format!(r#"{{"status":"{}"}}"#, LAST[at]))
            }
        }
    }
}
