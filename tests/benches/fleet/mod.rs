//! The scheduler and its queue in simulated time, beside one that knows everything and beside plain proxies.

mod drive;
mod drivers;
mod engine;
mod load;
mod targets;

use std::process::ExitCode;

use aivonx_scheduler::Policy;

use drive::{Driver, Outcome, Trouble, run};
use drivers::{Ours, Plain, Simple};
use engine::Machine;
use load::Request;
use targets::{LOADS, Report, Target, UNEQUAL, WITHIN};

/// Seconds of each run.
const SECONDS: f64 = 600.0;
/// Shares of the rate that the nodes can serve.
const SHARES: [f64; 3] = [0.5, 1.0, 1.2];

struct Mix {
    name: &'static str,
    machines: Vec<Machine>,
    requests: Vec<Request>,
    /// Requests a second that the nodes can serve.
    full: f64,
    trouble: Trouble,
}

fn mixes(trace: &[Request]) -> Vec<Mix> {
    let eight = vec![Machine::default(); 8];
    let mut asymmetric = eight.clone();
    for (machine, factor) in asymmetric.iter_mut().zip([0.3, 0.5, 0.7, 1.0, 1.0, 1.2, 1.5, 1.8]) {
        machine.prefill *= factor;
        machine.decode *= factor;
    }
    let twelve = load::of_models(trace.to_vec(), 12);
    let mix = |name, machines: &[Machine], requests: &[Request], full, trouble| Mix {
        name,
        machines: machines.to_vec(),
        requests: requests.to_vec(),
        full,
        trouble,
    };
    vec![
        mix("one model", &eight, trace, 4.5, Trouble::None),
        mix("twelve models", &eight, &twelve, 4.2, Trouble::None),
        mix("agents", &eight, &load::agents(), 28.0, Trouble::None),
        mix("asymmetric nodes", &asymmetric, trace, 4.5, Trouble::None),
        mix("a node dies", &eight, trace, 4.0, Trouble::Dies(120.0)),
        mix("a node answers 500", &eight, trace, 4.0, Trouble::Fails(120.0)),
        mix("a node turns slow", &eight, trace, 4.0, Trouble::Slows(120.0)),
    ]
}

/// Runs every mix, or those whose name contains the argument. Fails if a target is missed, or nothing is looked at.
pub(crate) fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let chosen = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let (load, trace) = match load::trace() {
        Ok(found) => found,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("load: {load}");
    let mut report = Report::default();
    for mix in mixes(&trace).iter().filter(|mix| chosen(mix.name)) {
        for share in SHARES {
            compare(mix, share, &mut report);
        }
    }
    if chosen("two organizations") {
        fairness(trace, &mut report);
    }
    report.end()
}

/// Runs one mix at one rate.
fn compare(mix: &Mix, share: f64, report: &mut Report) {
    let rate = mix.full * share;
    let requests = load::paced(&mix.requests, rate, SECONDS);
    println!("{}, {rate:.2} a second ({} requests)", mix.name, requests.len());
    let mut drivers: [(&str, Box<dyn Driver>); 6] = [
        ("reference", Box::new(Ours::new(Policy::Cost, true))),
        ("cost", Box::new(Ours::new(Policy::Cost, false))),
        ("least active", Box::new(Ours::new(Policy::LeastActive, false))),
        ("round robin", Box::new(Simple::new(Plain::RoundRobin))),
        ("least connections", Box::new(Simple::new(Plain::LeastConnections))),
        ("sticky by session", Box::new(Simple::new(Plain::Sticky))),
    ];
    let results: Vec<(&str, Times, Outcome)> = drivers
        .iter_mut()
        .map(|(name, driver)| {
            let outcome = run(&mut **driver, &mix.machines, &requests, mix.trouble);
            let times = Times::of(&outcome);
            println!(
                "  {name:<18} p50 {:>7.2}  p95 {:>7.2}  p99 {:>7.2}  loads {:>4}  cached {:>3.0} %  lost {:>4}",
                times.p50, times.p95, times.p99, outcome.loads, outcome.cached * 100.0, times.lost,
            );
            (*name, times, outcome)
        })
        .collect();
    let [(_, reference, known), (_, ours, outcome), others @ ..] = results.as_slice() else { return };
    let (p50, p95) = (ours.p50 / reference.p50, ours.p95 / reference.p95);
    println!("  cost / reference   p50 {p50:>7.2}  p95 {p95:>7.2}");
    let run = format!("{} at {share} of the rate", mix.name);
    report.require(Target::P50, p50 <= WITHIN, || format!("{run}: {p50:.2}"));
    report.require(Target::P95, p95 <= WITHIN, || format!("{run}: {p95:.2}"));
    report.require(Target::Loads, outcome.loads <= known.loads * LOADS, || {
        format!("{run}: {} loads, the reference {}", outcome.loads, known.loads)
    });
    for (name, other, _) in others {
        let worse = ours.p50 > other.p50 || ours.p95 > other.p95;
        report.require(Target::NeverWorse, !worse, || format!("{run}: {name} is better"));
    }
}

/// Two organizations, one of which asks ten times as much, while both have more to do than is served.
fn fairness(trace: Vec<Request>, report: &mut Report) {
    let machines = [Machine::default(); 8];
    let requests = load::paced(&load::of_two_organizations(trace), 40.0, 120.0);
    let outcome = run(&mut Ours::new(Policy::Cost, false), &machines, &requests, Trouble::None);
    let [more, less] = outcome.shares.map(|share| share / outcome.shares.iter().sum::<f64>());
    let text = format!("{:.1} % and {:.1} % of the service", more * 100.0, less * 100.0);
    println!("two organizations, 10 : 1, both with work: {text}");
    report.require(Target::Fairness, (more - 0.5).abs() <= UNEQUAL / 2.0, || text);
}

/// Seconds to the first token.
struct Times {
    p50: f64,
    p95: f64,
    p99: f64,
    lost: usize,
}

impl Times {
    fn of(outcome: &Outcome) -> Self {
        let mut first = outcome.first.clone();
        first.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            first.get((first.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(0.0)
        };
        let lost = first.iter().filter(|time| time.is_infinite()).count();
        Self { p50: at(50), p95: at(95), p99: at(99), lost }
    }
}
