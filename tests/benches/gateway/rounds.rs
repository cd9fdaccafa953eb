//! What is measured when: every measure on every subject in turn, round after round, so that a machine that
//! grows busier or slower spoils a round for all of them alike.

use super::{
    load::{Order, Outcome},
    options::Options,
    placement::Placement,
    process,
    subject::{self, Recipe, Subject},
};
use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use std::{io::Read as _, net::SocketAddr, process::Stdio, time::Duration};

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Small requests and answers at concurrency 64.
    Unary,
    /// The same, one after the other.
    Single,
    /// 16 streams at full speed.
    Burst,
    /// 20 streams with a chunk every 20 ms.
    Paced,
    /// 8 MiB request bodies on two connections.
    Body,
    /// 2000 streams that say nothing; also the memory without them.
    Idle,
}

impl Measure {
    /// All of them, in the order they run.
    pub(crate) const ALL: [Self; 6] =
        [Self::Unary, Self::Single, Self::Burst, Self::Paced, Self::Body, Self::Idle];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Single => "single",
            Self::Burst => "burst",
            Self::Paced => "paced",
            Self::Body => "body",
            Self::Idle => "idle",
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Unary => 64,
            Self::Single => 1,
            Self::Burst => 16,
            Self::Paced => 20,
            Self::Body => 2,
            Self::Idle => 2000,
        }
    }

    fn window(self, quick: bool) -> Duration {
        let full = match self {
            Self::Paced => Duration::from_millis(1600),
            Self::Idle => Duration::from_secs(5),
            _ => Duration::from_millis(700),
        };
        if quick { full / 2 } else { full }
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sample {
    /// What was measured.
    pub(crate) measure: Measure,
    /// On whom.
    pub(crate) subject: &'static str,
    /// In which round, from 0.
    pub(crate) round: usize,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// All measurements of a run.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Lines about the set-up.
    pub(crate) setup: Vec<String>,
    /// Columns.
    pub(crate) subjects: Vec<&'static str>,
    /// The measurements that worked.
    pub(crate) samples: Vec<Sample>,
    /// What did not work, and proxies that are not installed.
    pub(crate) notes: Vec<String>,
}

/// Rounds in which memory is measured: it hardly spreads, and each needs a fresh process.
const MEMORY_ROUNDS: usize = 3;

/// Runs everything.
pub(crate) fn run(options: &Options) -> anyhow::Result<Figures> {
    let placement = Placement::choose();
    let (recipes, notes) = subject::recipes(options)?;
    let (_node, direct) = subject::node(placement)?;
    if let Some(core) = placement.load {
        super::placement::pin(core).context("pinning the bench")?;
    }
    let mut bench = Bench {
        placement,
        quick: options.quick,
        figures: Figures {
            setup: vec![format!(
                "{} rounds, {}; {}",
                options.rounds,
                placement.describe(),
                recipes.iter().map(|recipe| recipe.version.as_str()).collect::<Vec<_>>().join(", ")
            )],
            subjects: vec![direct.name],
            samples: Vec::new(),
            notes,
        },
    };
    let node = direct.address;
    if options.measures.contains(&Measure::Idle) {
        let rounds = if options.quick { 1 } else { options.rounds.min(MEMORY_ROUNDS) };
        for round in 0..rounds {
            bench.memory(&recipes, node, round);
        }
    }
    let mut subjects = vec![direct];
    for recipe in &recipes {
        match recipe.start(node, placement) {
            Ok(subject) => {
                bench.figures.subjects.push(subject.name);
                subjects.push(subject);
            }
            Err(error) => bench.note(format!("{} is left out: {error:#}", recipe.name)),
        }
    }
    for round in 0..options.rounds {
        progress(&format!("round {} of {}", round + 1, options.rounds));
        for measure in options.measures.iter().copied().filter(|measure| *measure != Measure::Idle) {
            bench.measure(measure, &subjects, round);
        }
    }
    Ok(bench.figures)
}

fn progress(text: &str) {
    eprintln!("gateway bench: {text}");
}

struct Bench {
    placement: Placement,
    quick: bool,
    figures: Figures,
}

impl Bench {
    fn note(&mut self, note: String) {
        if !self.figures.notes.contains(&note) {
            self.figures.notes.push(note);
        }
    }

    /// Memory, each proxy in a process of its own that has done nothing else.
    fn memory(&mut self, recipes: &[Recipe], node: SocketAddr, round: usize) {
        progress(&format!("memory, round {}", round + 1));
        for recipe in recipes {
            match recipe.start(node, self.placement) {
                Ok(subject) => self.sample(Measure::Idle, &subject, round),
                Err(error) => self.note(format!("{} has no memory figures: {error:#}", recipe.name)),
            }
        }
    }

    /// One measure on all subjects; each round another one is first.
    fn measure(&mut self, measure: Measure, subjects: &[Subject], round: usize) {
        for place in 0..subjects.len() {
            let subject = &subjects[(place + round) % subjects.len()];
            // Without a proxy only the time a request takes says something.
            if subject.pids.is_empty() && measure != Measure::Single {
                continue;
            }
            self.sample(measure, subject, round);
        }
    }

    fn sample(&mut self, measure: Measure, subject: &Subject, round: usize) {
        match self.load(measure, subject) {
            Ok(outcome) => {
                self.figures.samples.push(Sample { measure, subject: subject.name, round, outcome });
            }
            Err(error) => {
                self.note(format!("{} of {} failed: {error:#}", measure.name(), subject.name));
            }
        }
    }

    fn load(&self, measure: Measure, subject: &Subject) -> anyhow::Result<Outcome> {
        let mut connections = measure.connections();
        if measure == Measure::Idle {
            // The proxy holds two descriptors for each stream.
            let most = usize::try_from(process::descriptor_limit()).unwrap_or(usize::MAX) / 2;
            connections = connections.min(most.saturating_sub(100));
        }
        let order = Order {
            measure,
            target: subject.address,
            pids: subject.pids.clone(),
            window: measure.window(self.quick),
            connections,
            secret: subject.secret.clone(),
        };
        let mut command = process::own_role(self.placement.load, "load")?;
        command.arg(serde_json::to_string(&order)?).stdout(Stdio::piped());
        let mut process = process::start(&mut command)?;
        let mut text = String::new();
        process.stdout().context("the load has no output")?.read_to_string(&mut text)?;
        let status = process.wait()?;
        ensure!(status.success(), "the load ended with {status}");
        Ok(serde_json::from_str(&text)?)
    }
}
