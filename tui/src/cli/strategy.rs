//! `aivonx strategy ...`

use aivonx_protocol::strategy::{self, Strategy};
use clap::{Args, Subcommand, ValueEnum, builder::PossibleValue};

use super::Context;
use crate::{
    exit::Failure,
    nouns,
    render::{Column, Table, text::safe},
};

/// What can be done with the strategy.
#[derive(Debug, Subcommand)]
pub enum StrategyVerb {
    /// The strategy in use, the others, and the models with one of their own
    Show,
    /// Choose another; it applies to the next request
    Set(SetArgs),
    /// The models with a strategy of their own
    Models,
}

/// `strategy set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The strategy
    #[arg(value_name = "STRATEGY", value_enum, required_unless_present = "default")]
    pub strategy: Option<Choice>,
    /// Only for models whose names match; the most specific pattern counts
    #[arg(long, value_name = "GLOB")]
    pub model: Option<String>,
    /// From now on they have the fleet's
    #[arg(long, requires = "model", conflicts_with = "strategy")]
    pub default: bool,
}

/// [`Strategy`] as clap sees it.
#[derive(Debug, Clone, Copy)]
pub struct Choice(Strategy);

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Strategy::Cost),
            Self(Strategy::LeastActive),
            Self(Strategy::LowestLatency),
            Self(Strategy::RoundRobin),
            Self(Strategy::Weighted),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        // The spelling of options is forgiven.
        let value = PossibleValue::new(self.0.name());
        Some(match self.0 {
            Strategy::LeastActive => value.alias("least-active"),
            Strategy::LowestLatency => value.alias("lowest-latency"),
            Strategy::RoundRobin => value.alias("round-robin"),
            Strategy::Cost | Strategy::Weighted => value,
        })
    }
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: StrategyVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        StrategyVerb::Show => {
            let strategy = client.ask(strategy::Show).await?;
            let models = client.ask(strategy::ShowModels).await?;
            context.out.show(&strategy, |out| {
                out.table(&table(strategy))?;
                if !models.is_empty() {
                    out.line("")?;
                    nouns::list(out, &models)?;
                }
                Ok(())
            })
        }
        StrategyVerb::Models => {
            let models = client.ask(strategy::ShowModels).await?;
            context.out.show(&models, |out| match &*models {
                [] => out.line(
                    "All models have the fleet's. Change it: aivonx strategy set STRATEGY --model GLOB",
                ),
                models => nouns::list(out, models),
            })
        }
        StrategyVerb::Set(SetArgs { strategy, model: Some(model), .. }) => {
            let strategy = strategy.map(|Choice(strategy)| strategy);
            let models = client.ask(strategy::SetModel { model: model.clone(), strategy }).await?;
            context.out.show(&models, |out| match strategy {
                Some(strategy) => {
                    out.line(format_args!("Strategy of {} is {}.", safe(&model), strategy.name()))
                }
                None => out.line(format_args!("{} has the fleet's strategy.", safe(&model))),
            })
        }
        StrategyVerb::Set(SetArgs { strategy, .. }) => {
            // Required without a model.
            let strategy = strategy.map_or_else(Strategy::default, |Choice(strategy)| strategy);
            let strategy = client.ask(strategy::Set(strategy)).await?;
            context.out.show(&strategy, |out| out.line(format_args!("Strategy is {}.", strategy.name())))
        }
    }
}

fn table(now: Strategy) -> Table {
    let mut table = Table::new([Column::text("IN USE"), Column::text("STRATEGY"), Column::text("CHOOSES")]);
    for strategy in Strategy::ALL {
        let about = strategy.about().into();
        table.row([if strategy == now { "*" } else { "" }.into(), strategy.name().into(), about]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_in_use_is_marked() {
        insta::assert_snapshot!(table(Strategy::LowestLatency).render(Some(80), false), @r"
        IN USE  STRATEGY        CHOOSES
                cost            the node where the first token is predicted to come soonest
                least_active    the node with the fewest requests at work
        *       lowest_latency  the node with the lowest average latency
                round_robin     one node after the other
                weighted        the node with the fewest requests for its label 'weight'
        ");
    }

    #[test]
    fn every_strategy_can_be_chosen() {
        let names: Vec<&str> = Choice::value_variants().iter().map(|choice| choice.0.name()).collect();
        assert_eq!(names, Strategy::ALL.map(Strategy::name));
        assert!(Choice::from_str("least-active", false).is_ok());
    }
}
