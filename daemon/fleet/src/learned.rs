//! What was learned of a node, as people see it.

use aivonx_domain::TenantScope;
use aivonx_protocol::strategy::{Learned, LearnedModel};
use aivonx_scheduler::{Lessons, Speed};

use super::{Fleet, FleetError};

impl Fleet {
    /// What was learned of a node, by its name or id.
    ///
    /// # Errors
    /// [`FleetError::UnknownNode`], with names like it.
    pub fn learned(&self, reach: &TenantScope, node: &str) -> Result<Learned, FleetError> {
        let registry = &self.checker.registry;
        let id = registry.resolve(&reach.into(), node)?;
        let (lessons, names) = registry.dispatch.lessons(&id);
        Ok(learned(&lessons, names))
    }
}

/// `names` are those of the models in `lessons`, in the same order.
fn learned(lessons: &Lessons, names: Vec<String>) -> Learned {
    let model = |(name, (_, speed)): (String, &(_, Speed))| LearnedModel {
        model: name,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        load_ms: speed.load.map(|seconds| (seconds * 1000.0).round() as u64),
        prefill_per_second: speed.prefill.and_then(per_second),
        decode_per_second: speed.decode.and_then(per_second),
    };
    let mut models: Vec<LearnedModel> = names.into_iter().zip(&lessons.speeds).map(model).collect();
    models.sort_by(|a, b| a.model.cmp(&b.model));
    Learned {
        parallel: lessons.parallel,
        parallel_stated: lessons.parallel_stated,
        models_at_once: lessons.models.map(|(most, _)| u32::try_from(most).unwrap_or(u32::MAX)),
        models_at_most: lessons.models.is_some_and(|(_, is_most)| is_most),
        cached_tokens: lessons.cached,
        one_by_one: lessons.one_by_one,
        models,
    }
}

/// Tokens a second, to a tenth; None where a token takes no time that could be measured.
fn per_second(seconds: f64) -> Option<f64> {
    Some((10.0 / seconds).round() / 10.0).filter(|rate| rate.is_finite())
}
