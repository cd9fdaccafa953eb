//! Usage for people.

use aivonx_protocol::{
    UnixMillis,
    usage::{UsageBy, UsageFrom, UsagePer, UsageRecord, UsageReport, UsageRow},
};
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    exit::Failure,
    nouns::{Field, usage::REPORT},
    render::{
        Cell, Column, Out, Table, Tone, View,
        text::{self, count, safe, usd},
    },
};

/// `usage show` and `usage top`.
pub(super) fn report(out: &mut Out, report: &UsageReport) -> Result<(), Failure> {
    let span = format!("{} to {}", text::time(report.since, &out.zone), text::time(report.until, &out.zone));
    if report.by.is_none() && report.per.is_none() {
        let mut table = total(&report.total);
        table.pair("time", span);
        return out.table(&table);
    }
    if report.rows.is_empty() {
        return out.line(format_args!("Nothing was used from {span}."));
    }
    let table = rows(report, &out.view());
    out.table(&table)?;
    if report.cut {
        out.line("There are more rows: narrow it down with --org, --user, --since, or --lines.")?;
    }
    let all = &report.total;
    out.line(format_args!(
        "From {span}, together: {} requests, {} tokens in, {} out, USD {}",
        count(all.requests),
        count(all.prompt_tokens),
        count(all.output_tokens),
        usd(all.spend)
    ))
}

/// What a time came to, and what is left of the limits of the day.
fn total(row: &UsageRow) -> Table {
    let mut table = Table::pairs();
    table.pair("requests", count(row.requests));
    table.pair("failed", count(row.failed));
    table.pair("refused", count(row.refused));
    table.pair("tokens in", count(row.prompt_tokens));
    table.pair("tokens out", count(row.output_tokens));
    if row.estimated > 0 {
        table.pair(
            "estimated",
            format!("the tokens of {} requests, which no node counted", count(row.estimated)),
        );
    }
    table.pair("spend", format!("USD {}", usd(row.spend)));
    if let Some(mean) = row.total_ms.checked_div(row.requests) {
        table.pair("mean time", text::latency(mean as f64));
    }
    if !row.findings.is_empty() {
        let found: Vec<String> =
            row.findings.iter().map(|(what, n)| format!("{} {what}", count(*n))).collect();
        table.pair("found in prompts", found.join(", "));
    }
    let of = |used: Option<u64>, limit: Option<u64>, shown: fn(u64) -> String| {
        used.map(|used| match limit {
            Some(limit) => format!("{} of {}", shown(used), shown(limit)),
            None => format!("{}, no limit", shown(used)),
        })
    };
    if let Some(text) = of(row.requests_used, row.requests_limit, count) {
        table.pair("requests today", text);
    }
    if let Some(text) = of(row.spend_used, row.spend_limit, usd) {
        table.pair("USD today", text);
    }
    table
}

fn title(by: UsageBy) -> &'static str {
    match by {
        UsageBy::Organization => "ORG",
        UsageBy::User => "USER",
        UsageBy::Key => "KEY",
        UsageBy::Model => "MODEL",
        UsageBy::Node => "NODE",
    }
}

fn rows(report: &UsageReport, view: &View<'_>) -> Table {
    let limits = report.rows.iter().any(|row| row.requests_limit.is_some() || row.spend_limit.is_some());
    let mut columns = Vec::new();
    if report.per.is_some() {
        columns.push(Column::text("TIME (UTC)"));
    }
    if let Some(by) = report.by {
        columns.push(Column::text(title(by)).cut(12));
    }
    let fields = if limits { REPORT } else { &REPORT[..REPORT.len() - 1] };
    columns.extend(fields.iter().map(Field::column));
    let mut table = Table::new(columns);
    for row in &report.rows {
        let mut cells: Vec<Cell> = Vec::new();
        if let Some(per) = report.per {
            cells.push(Cell::new(row.time.map_or_else(|| text::NONE.to_owned(), |at| step(at, per))));
        }
        if report.by.is_some() {
            cells.push(Cell::optional(row.name.as_ref()));
        }
        cells.extend(fields.iter().map(|field| field.cell(row, view)));
        table.row(cells);
    }
    table
}

/// When a step begins, as far as it matters.
pub(super) fn step(at: UnixMillis, per: UsagePer) -> String {
    let form = match per {
        UsagePer::Hour => "%Y-%m-%d %H:00",
        UsagePer::Day => "%Y-%m-%d",
        UsagePer::Month => "%Y-%m",
    };
    i64::try_from(at)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| text::NONE.to_owned(), |at| at.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

/// One request on a line.
pub(super) fn line(UsageFrom { record, address }: &UsageFrom, zone: &TimeZone) -> String {
    let name = |text: &Option<String>| text.as_ref().map_or_else(|| text::NONE.to_owned(), |text| safe(text));
    let tokens = |n: Option<u64>| n.map_or_else(|| text::NONE.to_owned(), |n| n.to_string());
    let mut line = format!(
        "{} {} {} org={} user={} key={} from={} model={} node={} in={} out={} usd={} {}",
        text::time(record.time, zone),
        record.status,
        safe(&record.route),
        name(&record.organization),
        name(&record.user),
        name(&record.key),
        name(address),
        name(if record.served.is_some() { &record.served } else { &record.model }),
        name(&record.node),
        tokens(record.prompt_tokens),
        tokens(record.output_tokens),
        usd(record.spend),
        text::latency(f64::from(record.total_ms)),
    );
    if record.outcome != "complete" {
        line.push(' ');
        line.push_str(&safe(&record.outcome));
    }
    if let Some(limit) = &record.limit {
        line.push_str(&format!(" limit={}", safe(limit)));
    }
    line
}

/// How it went.
pub(super) fn tone(record: &UsageRecord) -> Tone {
    match &*record.outcome {
        "complete" if record.status < 400 => Tone::Plain,
        "refused" | "client_gone" | "client_stalled" => Tone::Warn,
        _ => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn rows_at_eighty_columns_and_in_a_pipe() {
        let report = samples::usage_report();
        let months = UsageReport { by: None, per: Some(UsagePer::Month), ..report.clone() };
        insta::assert_snapshot!(
            [
                rows(&report, &samples::VIEW).render(Some(80), false),
                rows(&report, &samples::VIEW).render(None, false),
                rows(&months, &samples::VIEW).render(Some(80), false)
            ]
            .join("\n\n")
        );
    }

    #[test]
    fn a_total_in_words() {
        insta::assert_snapshot!(total(&samples::usage_report().total).render(Some(80), false));
    }

    #[test]
    fn requests_on_lines() {
        let lines: Vec<_> = samples::usage_records().iter().map(|r| line(r, &TimeZone::UTC)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
