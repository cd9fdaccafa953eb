//! How a node is chosen: for the fleet, and for models that have a strategy of their own.

use aivonx_domain::{Globs, TenantScope};
use aivonx_protocol::strategy::{ModelStrategy, Strategy};
use aivonx_store::{Settings, StoreError};

use super::{Fleet, error::FleetError};

/// Most patterns with a strategy of their own.
const MOST: usize = 256;

/// The strategies in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strategies {
    /// Of all models but the following.
    pub(super) fleet: Strategy,
    /// Patterns as they were written, and compiled, the most specific first.
    models: Vec<(String, Globs, Strategy)>,
}

impl Strategies {
    pub(super) fn new(fleet: Strategy, models: Vec<(String, Strategy)>) -> Self {
        let compiled = |(model, strategy): (String, Strategy)| {
            let globs = Globs::new(std::slice::from_ref(&model));
            (model, globs, strategy)
        };
        let mut models: Vec<_> = models.into_iter().map(compiled).collect();
        models.sort_by_cached_key(|(model, ..)| Globs::rank(model));
        Self { fleet, models }
    }

    pub(super) async fn load(settings: &Settings) -> Result<Self, StoreError> {
        Ok(Self::new(settings.strategy().await?, settings.model_strategies().await?))
    }

    /// The strategy of the model of this normal name, if it has one of its own.
    pub(super) fn of(&self, normal: &str) -> Option<Strategy> {
        let own = self.models.iter().find(|(_, globs, _)| globs.allow_normal(normal));
        own.map(|(.., strategy)| *strategy)
    }

    fn shown(&self) -> Vec<ModelStrategy> {
        let shown = |(model, _, strategy): &(String, Globs, Strategy)| ModelStrategy {
            model: model.clone(),
            strategy: *strategy,
        };
        self.models.iter().map(shown).collect()
    }
}

impl Fleet {
    /// How the scheduler chooses.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.hot().load().strategy
    }

    /// Sets how the scheduler chooses, for everybody.
    ///
    /// # Errors
    /// If the caller reaches less than the whole fleet, or the store fails.
    pub async fn set_strategy(
        &self,
        reach: &TenantScope,
        strategy: Strategy,
    ) -> Result<Strategy, FleetError> {
        for_all(reach)?;
        let _turn = self.edit().await;
        let settings = self.store.settings();
        settings.set_strategy(strategy).await?;
        self.checker.registry.set_strategies(Strategies::load(&settings).await?);
        tracing::info!(event = "strategy_set", strategy = strategy.name(), "scheduling strategy set");
        Ok(strategy)
    }

    /// The models with a strategy of their own. Those who reach less than the whole fleet see none: patterns can name
    /// the models of others.
    #[must_use]
    pub fn model_strategies(&self, reach: &TenantScope) -> Vec<ModelStrategy> {
        match reach {
            TenantScope::All => self.checker.registry.strategies().shown(),
            _ => Vec::new(),
        }
    }

    /// Sets how the scheduler chooses for models that match `pattern`; None is as for all others.
    ///
    /// # Errors
    /// If the pattern is wrong, there are too many, the caller reaches less than the whole fleet, or the store fails.
    pub async fn set_model_strategy(
        &self,
        reach: &TenantScope,
        pattern: String,
        strategy: Option<Strategy>,
    ) -> Result<Vec<ModelStrategy>, FleetError> {
        for_all(reach)?;
        Globs::check(std::slice::from_ref(&pattern)).map_err(|error| {
            FleetError::field("model", error.to_string(), "use a name or a pattern such as 'llama*'")
        })?;
        let _turn = self.edit().await;
        let settings = self.store.settings();
        let mut models = settings.model_strategies().await?;
        let normal = Globs::normal(&pattern);
        let before = models.len();
        models.retain(|(other, _)| Globs::normal(other) != normal);
        match strategy {
            Some(_) if models.len() >= MOST => {
                let message = format!("{MOST} patterns have a strategy of their own, which is the most");
                let fix = "give one back: aivonx strategy set --default --model PATTERN";
                return Err(FleetError::field("model", message, fix));
            }
            Some(strategy) => models.push((pattern.clone(), strategy)),
            None if models.len() == before => {
                let message = format!("'{pattern}' has no strategy of its own");
                return Err(FleetError::field(
                    "model",
                    message,
                    "see `aivonx strategy show` for those that have",
                ));
            }
            None => {}
        }
        settings.set_model_strategies(models).await?;
        self.checker.registry.set_strategies(Strategies::load(&settings).await?);
        let name = strategy.map_or("default", Strategy::name);
        tracing::info!(event = "strategy_set", strategy = name, model = %pattern, "scheduling strategy of models set");
        Ok(self.model_strategies(reach))
    }
}

fn for_all(reach: &TenantScope) -> Result<(), FleetError> {
    match reach {
        TenantScope::All => Ok(()),
        _ => Err(FleetError::FleetWide("setting the strategy")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_decides() {
        let models = [
            ("*", Strategy::LeastActive),
            ("llama*", Strategy::RoundRobin),
            ("llama3", Strategy::Weighted),
            ("LLAMA3:8b*", Strategy::LowestLatency),
        ];
        let models = models.map(|(model, strategy)| (model.to_owned(), strategy));
        let strategies = Strategies::new(Strategy::Cost, models[1..].to_vec());
        for (model, expected) in [
            ("llama3:latest", Some(Strategy::Weighted)),
            ("llama3:70b", Some(Strategy::RoundRobin)),
            ("llama3:8b-q4", Some(Strategy::LowestLatency)),
            ("qwen3:latest", None),
        ] {
            assert_eq!(strategies.of(model), expected, "{model}");
        }
        assert_eq!(
            Strategies::new(Strategy::Cost, models.to_vec()).of("qwen3:latest"),
            Some(Strategy::LeastActive)
        );
    }
}
