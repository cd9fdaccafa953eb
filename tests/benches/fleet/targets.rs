//! What the scheduler is held to, and whether it was.

use std::process::ExitCode;

/// How much later than the reference's the first token may come.
pub(crate) const WITHIN: f64 = 1.25;
/// How many times its loads.
pub(crate) const LOADS: usize = 2;
/// How far the share of one of two organizations may be from the other's.
pub(crate) const UNEQUAL: f64 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    P50,
    P95,
    Loads,
    NeverWorse,
    Fairness,
}

impl Target {
    const ALL: [Self; 5] = [Self::P50, Self::P95, Self::Loads, Self::NeverWorse, Self::Fairness];

    fn text(self) -> String {
        match self {
            Self::P50 => format!("p50 within {WITHIN} of the reference's"),
            Self::P95 => format!("p95 within {WITHIN} of the reference's"),
            Self::Loads => format!("loads at most {LOADS} times the reference's"),
            Self::NeverWorse => "p50 and p95 no worse than those of any other".to_owned(),
            Self::Fairness => {
                format!("two organizations that ask 10 : 1 get equal shares within {:.0} %", UNEQUAL * 100.0)
            }
        }
    }
}

/// Which targets were looked at, and what missed them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    looked_at: Vec<Target>,
    missed: Vec<(Target, String)>,
}

impl Report {
    pub(crate) fn require(&mut self, target: Target, holds: bool, what: impl FnOnce() -> String) {
        self.looked_at.push(target);
        if !holds {
            self.missed.push((target, what()));
        }
    }

    /// Prints a line for each target and each run that missed it; fails if one did, or if nothing was looked at.
    pub(crate) fn end(&self) -> ExitCode {
        println!("targets");
        for target in Target::ALL {
            let runs = self.looked_at.iter().filter(|other| **other == target).count();
            let missed: Vec<&str> =
                self.missed.iter().filter(|(of, _)| *of == target).map(|(_, what)| &**what).collect();
            let verdict = match (runs, missed.is_empty()) {
                (0, _) => "not run",
                (_, true) => "pass",
                (_, false) => "FAIL",
            };
            println!("  {verdict:<8} {} ({} of {runs})", target.text(), runs - missed.len());
            missed.iter().for_each(|what| println!("           {what}"));
        }
        if self.missed.is_empty() && !self.looked_at.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
