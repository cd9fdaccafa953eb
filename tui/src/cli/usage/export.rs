//! `aivonx usage export`: to standard output, for spreadsheets and scripts.

use std::fmt::Write as _;

use aivonx_protocol::{
    Event, UnixMillis, Untrusted,
    privacy::Category,
    usage::{self, UsageFrom, UsageRow},
};
use clap::ValueEnum;
use jiff::Timestamp;

use super::{Context, ExportArgs, Flat, filter, tell_lost};
use crate::{
    exit::Failure,
    render::{Out, text::usd},
};

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For spreadsheets.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

const RECORD: &str = "time,request_id,organization_id,organization,user_id,user,key_id,key,model,served,node,\
                      route,requests,prompt_tokens,output_tokens,estimated,usd,status,outcome,limit,findings,\
                      queued_ms,total_ms,address";

const ROW: &str = "time,id,name,requests,failed,refused,prompt_tokens,output_tokens,estimated,usd,findings,\
                   queued_ms,total_ms";

pub(super) async fn run(context: &mut Context, args: ExportArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let csv = args.format == Format::Csv && !context.out.is_json();
    let filter = filter(args.whose, &args.times);
    let out = &mut context.out;
    if args.by.is_some() || args.per.is_some() {
        let report = client
            .ask(usage::Report { filter, by: args.by.map(Into::into), per: args.per.map(Into::into) })
            .await?;
        tell_lost(client.ask(usage::Losses).await);
        if csv {
            line(out, ROW)?;
        }
        for row in &report.rows {
            if csv { line(out, &sums(row))? } else { out.json_line(row)? }
        }
        if report.cut {
            return Err(Failure::failed("there are more rows than could be told; these are not all")
                .with_hint("Export a shorter time at once: --since, --until"));
        }
        return Ok(());
    }
    let mut stream = client.follow(usage::ExportFrom { network: filter.network, filter }).await?;
    if csv {
        line(out, RECORD)?;
    }
    while let Some(step) = stream.next().await {
        let Event::UsageRequests(requests) = step? else { continue };
        for one in &requests {
            if csv { line(out, &request(one))? } else { out.json_line(&Flat::from(one))? }
        }
    }
    tell_lost(client.ask(usage::Losses).await);
    Ok(())
}

/// A line of CSV, with the line's end that it demands.
fn line(out: &mut Out, text: &str) -> Result<(), Failure> {
    out.line(format_args!("{text}\r"))
}

fn request(UsageFrom { record: r, address }: &UsageFrom) -> String {
    let maybe = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    cells(&[
        time(r.time),
        r.request_id.clone(),
        maybe(&r.organization_id),
        maybe(&r.organization),
        maybe(&r.user_id),
        maybe(&r.user),
        maybe(&r.key_id),
        maybe(&r.key),
        maybe(&r.model),
        maybe(&r.served),
        maybe(&r.node),
        r.route.clone(),
        r.requests.to_string(),
        number(r.prompt_tokens),
        number(r.output_tokens),
        r.estimated.to_string(),
        usd(r.spend),
        r.status.to_string(),
        r.outcome.clone(),
        maybe(&r.limit),
        findings(r.findings.iter().map(|(category, n)| (*category, u64::from(*n)))),
        number(r.queued_ms.map(Into::into)),
        r.total_ms.to_string(),
        maybe(address),
    ])
}

fn sums(r: &UsageRow) -> String {
    cells(&[
        r.time.map(time).unwrap_or_default(),
        r.id.clone().unwrap_or_default(),
        r.name.clone().unwrap_or_default(),
        r.requests.to_string(),
        r.failed.to_string(),
        r.refused.to_string(),
        r.prompt_tokens.to_string(),
        r.output_tokens.to_string(),
        r.estimated.to_string(),
        usd(r.spend),
        findings(r.findings.iter().map(|(category, n)| (*category, *n))),
        r.queued_ms.to_string(),
        r.total_ms.to_string(),
    ])
}

fn findings(found: impl Iterator<Item = (Category, u64)>) -> String {
    found.map(|(category, n)| format!("{category}={n}")).collect::<Vec<_>>().join(" ")
}

/// As RFC 3339 has it.
fn time(at: UnixMillis) -> String {
    let time = i64::try_from(at).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| at.to_string(), |time| time.to_string())
}

fn cells(cells: &[String]) -> String {
    let mut line = String::with_capacity(256);
    for (at, text) in cells.iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        cell(&mut line, text);
    }
    line
}

/// One cell: quoted where it must be, never a formula, and without what could mislead a terminal.
fn cell(out: &mut String, text: &str) {
    let shown = Untrusted::new(text).max(usize::MAX).to_string();
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !shown.contains([',', '"', '\n', ';']) {
        return out.push_str(&shown);
    }
    // Writing to a string does not fail.
    let _ = write!(out, "\"{}{}\"", if formula { "'" } else { "" }, shown.replace('"', "\"\""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn lines_have_as_many_cells_as_there_are_columns_and_none_is_a_formula() {
        let plain = samples::usage_records().swap_remove(0);
        assert_eq!(request(&plain).split(',').count(), RECORD.split(',').count());
        let row = samples::usage_report().rows.swap_remove(0);
        assert_eq!(sums(&row).split(',').count(), ROW.split(',').count());
        for (text, want) in [
            ("plain", "plain"),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@x", "\"'@x\""),
            ("\tx", "\"'\\tx\""),
            ("\rx", "\"'\\rx\""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a\nb\u{1b}[2J", "a\\nb\\u{1b}[2J"),
        ] {
            assert_eq!(cells(&[text.to_owned()]), want, "{text:?}");
        }
    }
}
