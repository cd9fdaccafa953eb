//! The tables.

use super::rounds::{Figures, Measure, Sample};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A figure of the table.
struct Row {
    name: &'static str,
    key: &'static str,
    measure: Measure,
    decimals: usize,
    value: fn(&Figures, &Sample) -> Option<f64>,
    target: Option<Target>,
}

/// What the gateway is held to.
#[derive(Clone, Copy)]
enum Target {
    /// At most this many times nginx's figure in the same round.
    Ratio(f64),
    /// At most this.
    AtMost(f64, &'static str),
}

fn cpu_us(_: &Figures, sample: &Sample) -> Option<f64> {
    has_proxy(sample).then(|| sample.outcome.cpu_ns / sample.outcome.units / 1e3)
}

fn path_us(_: &Figures, sample: &Sample) -> Option<f64> {
    has_proxy(sample).then(|| sample.outcome.path_ns / sample.outcome.units / 1e3)
}

fn cpu_ms(figures: &Figures, sample: &Sample) -> Option<f64> {
    cpu_us(figures, sample).map(|us| us / 1e3)
}

fn p50(_: &Figures, sample: &Sample) -> Option<f64> {
    Some(sample.outcome.p50_us)
}

fn added(figures: &Figures, sample: &Sample) -> Option<f64> {
    let direct = figures.samples.iter().find(|other| {
        other.measure == Measure::Single && other.subject == "direct" && other.round == sample.round
    })?;
    has_proxy(sample).then_some(sample.outcome.p50_us - direct.outcome.p50_us)
}

fn rate(_: &Figures, sample: &Sample) -> Option<f64> {
    Some(sample.outcome.units / sample.outcome.seconds)
}

fn per_stream(_: &Figures, sample: &Sample) -> Option<f64> {
    Some((sample.outcome.full_bytes - sample.outcome.base_bytes) / sample.outcome.units)
}

fn base(_: &Figures, sample: &Sample) -> Option<f64> {
    Some(sample.outcome.base_bytes / 1e6)
}

fn has_proxy(sample: &Sample) -> bool {
    sample.subject != "direct"
}

const ROWS: [Row; 11] = [
    Row {
        name: "CPU per unary request, concurrency 64 (us)",
        key: "unary_64_cpu_us",
        measure: Measure::Unary,
        decimals: 1,
        value: cpu_us,
        target: Some(Target::Ratio(1.3)),
    },
    Row {
        name: "  without control plane and log threads",
        key: "unary_64_path_cpu_us",
        measure: Measure::Unary,
        decimals: 1,
        value: path_us,
        target: None,
    },
    Row {
        name: "CPU per unary request, concurrency 1 (us)",
        key: "unary_1_cpu_us",
        measure: Measure::Single,
        decimals: 1,
        value: cpu_us,
        target: Some(Target::Ratio(1.3)),
    },
    Row {
        name: "added latency p50, concurrency 1 (us)",
        key: "added_p50_us",
        measure: Measure::Single,
        decimals: 1,
        value: added,
        target: Some(Target::Ratio(1.3)),
    },
    Row {
        name: "CPU per chunk at full speed (us)",
        key: "burst_chunk_cpu_us",
        measure: Measure::Burst,
        decimals: 2,
        value: cpu_us,
        target: Some(Target::Ratio(1.3)),
    },
    Row {
        name: "CPU per chunk at 20 ms per token (us)",
        key: "paced_chunk_cpu_us",
        measure: Measure::Paced,
        decimals: 1,
        value: cpu_us,
        target: Some(Target::Ratio(1.3)),
    },
    Row {
        name: "CPU per MiB of an 8 MiB body (ms)",
        key: "body_mib_cpu_ms",
        measure: Measure::Body,
        decimals: 3,
        value: cpu_ms,
        target: Some(Target::Ratio(2.0)),
    },
    Row {
        name: "resident bytes per idle stream",
        key: "idle_stream_bytes",
        measure: Measure::Idle,
        decimals: 0,
        value: per_stream,
        target: Some(Target::AtMost(32768.0, "32 KiB")),
    },
    Row {
        name: "base resident memory (MB)",
        key: "base_mb",
        measure: Measure::Idle,
        decimals: 1,
        value: base,
        target: Some(Target::AtMost(30.0, "30 MB")),
    },
    Row {
        name: "latency p50, concurrency 1 (us)",
        key: "p50_us",
        measure: Measure::Single,
        decimals: 1,
        value: p50,
        target: None,
    },
    Row {
        name: "requests per second, concurrency 64",
        key: "unary_64_rate",
        measure: Measure::Unary,
        decimals: 0,
        value: rate,
        target: None,
    },
];

/// Least, middle and greatest of some values.
#[derive(Clone, Copy)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { min, median, max })
    }

    fn text(self, decimals: usize) -> String {
        format!("{:.decimals$} [{:.decimals$} {:.decimals$}]", self.median, self.min, self.max)
    }

    fn json(self) -> Value {
        json!({"min": self.min, "median": self.median, "max": self.max})
    }
}

impl Row {
    /// The figure for one subject, round by round.
    fn values(&self, figures: &Figures, subject: &str) -> Vec<(usize, f64)> {
        let own = figures.samples.iter().filter(|s| s.measure == self.measure && s.subject == subject);
        own.filter_map(|sample| Some((sample.round, (self.value)(figures, sample)?))).collect()
    }

    fn spread(&self, figures: &Figures, subject: &str) -> Option<Spread> {
        Spread::of(self.values(figures, subject).into_iter().map(|(_, value)| value).collect())
    }

    fn measured(&self, figures: &Figures) -> bool {
        figures.samples.iter().any(|sample| sample.measure == self.measure)
    }

    /// The subject's figure over nginx's, within each round.
    fn ratio(&self, figures: &Figures, subject: &str) -> Option<Spread> {
        let nginx = self.values(figures, "nginx");
        let in_round =
            |round: usize| nginx.iter().find(|(other, _)| *other == round).map(|(_, value)| *value);
        let own = self.values(figures, subject);
        Spread::of(own.into_iter().filter_map(|(round, value)| Some(value / in_round(round)?)).collect())
    }
}

/// The tables for people.
pub(crate) fn text(figures: &Figures) -> String {
    let mut out = String::from("\n");
    for line in &figures.setup {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(out, "median [min max] over the rounds\n");
    let columns = &figures.subjects;
    header(&mut out, "", columns);
    for row in ROWS.iter().filter(|row| row.measured(figures)) {
        let cells: Vec<_> = columns
            .iter()
            .map(|subject| {
                row.spread(figures, subject).map_or("-".to_owned(), |spread| spread.text(row.decimals))
            })
            .collect();
        line(&mut out, row.name, &cells);
    }
    ratios(&mut out, figures);
    for note in &figures.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// Ratios and targets. Beside the ratios round by round stands that of the least values: other work on the
/// machine only ever adds to a figure, so on a busy one the least are nearest to the truth.
fn ratios(out: &mut String, figures: &Figures) {
    let columns: Vec<_> =
        figures.subjects.iter().copied().filter(|s| !["direct", "nginx"].contains(s)).collect();
    out.push('\n');
    let mut head = columns.clone();
    head.extend(["gateway, least to least", "target for the gateway"]);
    header(out, "ratio to nginx in the same round", &head);
    for row in ROWS.iter().filter(|row| row.measured(figures)) {
        let Some(target) = row.target else { continue };
        let mut cells: Vec<_> = columns
            .iter()
            .map(|subject| row.ratio(figures, subject).map_or("-".to_owned(), |spread| spread.text(2)))
            .collect();
        let least = |subject| row.spread(figures, subject).map(|spread| spread.min);
        let least = least("gateway").zip(least("nginx")).map(|(own, nginx)| own / nginx);
        cells.push(least.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
        let (wanted, reached) = match target {
            Target::Ratio(most) => {
                (format!("<= {most:.1}"), row.ratio(figures, "gateway").map(|s| s.median <= most))
            }
            Target::AtMost(most, text) => {
                (format!("<= {text}"), row.spread(figures, "gateway").map(|s| s.median <= most))
            }
        };
        let verdict = match reached {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        cells.push(format!("{wanted} {verdict}"));
        line(out, row.name, &cells);
    }
    out.push('\n');
}

fn header(out: &mut String, name: &str, columns: &[&str]) {
    line(out, name, columns);
}

fn line<T: AsRef<str>>(out: &mut String, name: &str, cells: &[T]) {
    let mut text = format!("{name:<43}");
    for cell in cells {
        let _ = write!(text, " {:>24}", cell.as_ref());
    }
    let _ = writeln!(out, "{}", text.trim_end());
}

/// Everything for programs.
pub(crate) fn json(figures: &Figures) -> Value {
    let mut rows = serde_json::Map::new();
    for row in &ROWS {
        let mut cells = serde_json::Map::new();
        for subject in &figures.subjects {
            let Some(spread) = row.spread(figures, subject) else { continue };
            let mut cell = spread.json();
            if let Some(ratio) = row.ratio(figures, subject) {
                cell["ratio_to_nginx"] = ratio.json();
            }
            cells.insert((*subject).to_owned(), cell);
        }
        rows.insert(row.key.to_owned(), Value::Object(cells));
    }
    json!({"setup": figures.setup, "notes": figures.notes, "rows": rows, "samples": figures.samples})
}
