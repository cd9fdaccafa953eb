//! `aivonx pulse`

use aivonx_protocol::{
    daemon,
    pulse::{Alert, Budget, Busy, Pulse, PulseSum},
    running,
};
use clap::Args;
use serde::Serialize;

use super::Context;
use crate::{
    exit::Failure,
    render::{
        Cell, Column, Out, Table, Tone,
        text::{self, ago, count, latency, span, wrap},
    },
};

/// `pulse`
#[derive(Debug, Args)]
pub struct PulseArgs {
    /// Of the last five minutes only the seconds that have changed since this one, in Unix time
    #[arg(long, value_name = "SECOND")]
    pub since: Option<u64>,
}

/// Shows what the gateway does right now.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: PulseArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let pulse = client.ask(daemon::Pulse { since: args.since }).await?;
    let waiting = client.ask(running::Queue).await?.len() as u64;
    let shown = Shown { pulse, waiting };
    context.out.show(&shown, |out| show(out, &shown))
}

/// What the gateway does, and how much waits.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// What it does.
    #[serde(flatten)]
    pub pulse: Pulse,
    /// Requests that wait for a place on a node.
    pub waiting: u64,
}

fn show(out: &mut Out, shown: &Shown) -> Result<(), Failure> {
    let pulse = &shown.pulse;
    out.table(&vitals(shown))?;
    for (title, list) in
        [("MODEL", &pulse.models), ("ORGANIZATION", &pulse.organizations), ("KEY", &pulse.keys)]
    {
        if !list.is_empty() {
            out.line("")?;
            out.table(&busiest(title, list))?;
        }
    }
    if !pulse.budgets.is_empty() {
        out.line("")?;
        out.table(&budgets(&pulse.budgets, pulse.now))?;
    }
    for alert in &pulse.alerts {
        out.line("")?;
        let text = wrap(&said(alert, pulse.now), "! ", "  ", out.width);
        out.line(text)?;
    }
    Ok(())
}

/// So many of them per second, or how many there were, where that is less than one.
fn rate(number: u64, sum: &PulseSum) -> String {
    let seconds = u64::from(sum.seconds.max(1));
    let tenths = number.saturating_mul(10) / seconds;
    match tenths {
        0..1000 => format!("{}.{}/s", tenths / 10, tenths % 10),
        _ => format!("{}/s", count(tenths / 10)),
    }
}

fn vitals(shown: &Shown) -> Table {
    let Shown { pulse, waiting } = shown;
    let minute = &pulse.minute;
    let mut table = Table::pairs();
    if let Some(organization) = &pulse.organization {
        table.pair("organization", organization);
    }
    table.pair("over", format!("the last {}", span(u64::from(minute.seconds) * 1000)));
    table.pair("requests", format!("{}, {} in all", rate(minute.requests, minute), count(minute.requests)));
    let failed = format!("{}, and {} refused", count(minute.errors), count(minute.refused));
    let tone = if minute.errors > 0 { Tone::Bad } else { Tone::Plain };
    table.pair("failed", Cell::new(failed).tone(tone));
    let tokens =
        format!("{} out, {} in", rate(minute.output_tokens, minute), rate(minute.prompt_tokens, minute));
    table.pair("tokens", tokens);
    table.pair(
        "at work",
        format!(
            "{} now, {} streaming, {} waiting for a place",
            count(pulse.active.into()),
            count(pulse.streams.into()),
            count(*waiting)
        ),
    );
    let time = |millis: Option<u32>| millis.map_or_else(|| "-".to_owned(), |millis| latency(millis.into()));
    let first = format!("p50 {}, p95 {}", time(minute.first_byte_p50_ms), time(minute.first_byte_p95_ms));
    table.pair("first byte", first);
    table
}

fn busiest(title: &'static str, list: &[Busy]) -> Table {
    let mut table = Table::new([
        Column::text(title).cut(12),
        Column::number("REQUESTS IN 5M"),
        Column::number("FAILED"),
        Column::number("TOKENS"),
    ]);
    for busy in list {
        let name = match &busy.organization {
            Some(organization) => format!("{organization}/{}", busy.name),
            None => busy.name.clone(),
        };
        let failed = if busy.errors > 0 { Tone::Bad } else { Tone::Plain };
        table.row([
            Cell::new(name),
            count(busy.requests).into(),
            Cell::new(count(busy.errors)).tone(failed),
            count(busy.tokens).into(),
        ]);
    }
    table
}

fn budgets(list: &[Budget], now: u64) -> Table {
    let mut table = Table::new([
        Column::text("NEARLY USED UP").cut(14),
        Column::text("LIMIT"),
        Column::number("USED"),
        Column::number("OF"),
        Column::number("SHARE"),
        Column::number("RESETS IN").optional(1),
    ]);
    for budget in list {
        let amount = |number: u64| match budget.limit.is_spend() {
            true => aivonx_protocol::money::MicroUsd(number).to_string(),
            false => count(number),
        };
        let name = match &budget.organization {
            Some(organization) => format!("{} {organization}/{}", budget.of.as_str(), budget.name),
            None => format!("{} {}", budget.of.as_str(), budget.name),
        };
        let share = budget.share();
        let tone = if share >= 1000 { Tone::Bad } else { Tone::Warn };
        table.row([
            Cell::new(name),
            budget.limit.name().into(),
            amount(budget.used).into(),
            amount(budget.allowed).into(),
            Cell::new(format!("{} %", share / 10)).tone(tone),
            span(budget.resets.saturating_sub(now)).into(),
        ]);
    }
    table
}

fn said(alert: &Alert, now: u64) -> String {
    let since = alert.since.map(|since| format!(" ({})", ago(since, now))).unwrap_or_default();
    let command = alert.command.as_ref().map(|command| format!(" See: {command}")).unwrap_or_default();
    text::safe(&format!("{}{since}.{command}", alert.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn told(pulse: &Pulse) -> String {
        let shown = Shown { pulse: pulse.clone(), waiting: 2 };
        let mut parts = vec![vitals(&shown).render(Some(80), false)];
        parts.push(busiest("KEY", &pulse.keys).render(Some(80), false));
        parts.push(budgets(&pulse.budgets, pulse.now).render(Some(80), false));
        parts.extend(pulse.alerts.iter().map(|alert| wrap(&said(alert, pulse.now), "! ", "  ", Some(80))));
        parts.join("\n\n")
    }

    #[test]
    fn a_busy_gateway() {
        insta::assert_snapshot!(told(&samples::pulse()));
    }

    #[test]
    fn hostile_names() {
        let told = told(&samples::hostile_pulse());
        assert!(!told.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{told}");
    }
}
