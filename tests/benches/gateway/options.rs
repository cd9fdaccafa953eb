//! What follows `--` on the command line.

use super::rounds::Measure;
use anyhow::{Context as _, bail};
use std::path::PathBuf;

/// Shown by `--help`.
pub(crate) const HELP: &str = "\
usage: cargo bench -p aivonx-tests --bench gateway -- [OPTIONS]

  --quick          3 rounds with short windows (about half a minute)
  --rounds N       interleaved rounds (default 7, at most 100)
  --only NAME      only this proxy (gateway, nginx, haproxy) or this measure
                   (unary, single, burst, paced, body, idle); may be repeated
  --aivonxd PATH   measure this binary instead of building one
  --before PATH    an older aivonxd to measure beside it
  --keyed          measure aivonxd once more with a key on every request
  --limited        and once more with a key that has a cap on everything
  --json           print every sample as JSON
  --help           this text
";

/// The subjects that stand between the load and the node.
pub(crate) const PROXIES: [&str; 3] = ["gateway", "nginx", "haproxy"];

/// How to run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Interleaved rounds.
    pub(crate) rounds: usize,
    /// Short windows.
    pub(crate) quick: bool,
    /// Print JSON.
    pub(crate) json: bool,
    /// Measure this binary; `None` builds one.
    pub(crate) aivonxd: Option<PathBuf>,
    /// An older binary to compare with.
    pub(crate) before: Option<PathBuf>,
    /// Measure the gateway once more with a key on every request.
    pub(crate) keyed: bool,
    /// And once more with a cap on everything.
    pub(crate) limited: bool,
    /// The proxies to measure.
    pub(crate) proxies: Vec<&'static str>,
    /// What to measure.
    pub(crate) measures: Vec<Measure>,
}

/// Outcome of parsing.
pub(crate) enum Parsed {
    /// Measure.
    Run(Options),
    /// Print the help.
    Help,
}

/// Reads the arguments; `--bench`, which cargo adds, is skipped.
pub(crate) fn parse(arguments: &[String]) -> anyhow::Result<Parsed> {
    let mut rounds = None;
    let mut options = Options {
        rounds: 0,
        quick: false,
        json: false,
        aivonxd: None,
        before: None,
        keyed: false,
        limited: false,
        proxies: Vec::new(),
        measures: Vec::new(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => {}
            "--quick" => options.quick = true,
            "--json" => options.json = true,
            "--keyed" => options.keyed = true,
            "--limited" => options.limited = true,
            "--help" | "-h" => return Ok(Parsed::Help),
            "--aivonxd" => options.aivonxd = Some(value()?.into()),
            "--before" => options.before = Some(value()?.into()),
            "--rounds" => {
                let text = value()?;
                let number: usize = text.parse().with_context(|| format!("--rounds {text:?}"))?;
                if !(1..=100).contains(&number) {
                    bail!("--rounds {number}: give 1 to 100");
                }
                rounds = Some(number);
            }
            "--only" => {
                let name = value()?;
                if let Some(proxy) = PROXIES.into_iter().find(|proxy| proxy == name) {
                    options.proxies.push(proxy);
                } else if let Some(measure) = Measure::ALL.into_iter().find(|m| m.name() == name) {
                    options.measures.push(measure);
                } else {
                    bail!("--only {name:?}: give a proxy or a measure\n{HELP}");
                }
            }
            other => bail!("unknown option {other:?}\n{HELP}"),
        }
    }
    options.rounds = rounds.unwrap_or(if options.quick { 3 } else { 7 });
    if options.proxies.is_empty() {
        options.proxies = PROXIES.to_vec();
    }
    if options.measures.is_empty() {
        options.measures = Measure::ALL.to_vec();
    }
    Ok(Parsed::Run(options))
}
