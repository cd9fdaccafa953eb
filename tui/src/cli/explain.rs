//! `aivonx explain`

use std::path::PathBuf;

use aivonx_protocol::{
    WireSecret,
    strategy::{self, Cost, Explained, PROMPT_MAX},
};
use clap::Args;

use super::Context;
use crate::{
    exit::Failure,
    input,
    render::{
        Cell, Column, Out, Table, Tone,
        text::{count, safe},
    },
};

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the model, or an alias
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// With the text of this file, at most 1 MB, as the one message from the user; - is standard input. It is not kept
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// As a request of this organization [default: your own, or none]
    #[arg(long = "org", alias = "organization", value_name = "ORG")]
    pub organization: Option<String>,
}

/// Says which node a request would go to, and why.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: ExplainArgs) -> Result<(), Failure> {
    let ExplainArgs { model, prompt_file, organization } = args;
    let prompt = match prompt_file {
        Some(file) => String::clone(&*input::file("--prompt-file", &file, PROMPT_MAX as u64)?),
        None => String::new(),
    };
    let prompt = WireSecret::new(prompt);
    let explained = context.client().await?.ask(strategy::Explain { model, organization, prompt }).await?;
    context.out.show(&explained, |out| show(out, &explained))
}

fn show(out: &mut Out, explained: &Explained) -> Result<(), Failure> {
    out.line(format_args!(
        "{}, {} tokens of prompt. {}",
        safe(&explained.model),
        count(explained.prompt_tokens),
        safe(&explained.why)
    ))?;
    if explained.nodes.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&table(explained))
}

fn table(explained: &Explained) -> Table {
    let mut table = Table::new([
        Column::text(""),
        Column::text("NODE").cut(8),
        Column::number("TOTAL"),
        Column::number("WAIT"),
        Column::number("LOAD"),
        Column::number("EVICT"),
        Column::number("OTHERS"),
        Column::number("PREFILL"),
        Column::number("CACHED"),
        Column::text("WHY NOT"),
    ]);
    for one in &explained.nodes {
        let term = |of: fn(&Cost) -> i64| Cell::optional(one.cost.as_ref().map(|cost| seconds(of(cost))));
        table.row([
            if one.chosen { "*" } else { "" }.into(),
            Cell::toned(&one.node, if one.chosen { Tone::Good } else { Tone::Plain }),
            term(|cost| cost.total_ms),
            term(|cost| cost.wait_ms),
            term(|cost| cost.load_ms),
            term(|cost| cost.evict_ms),
            term(|cost| cost.others_ms),
            term(|cost| cost.prefill_ms),
            Cell::optional(one.cost.as_ref().map(|cost| count(cost.cached_tokens.into()))),
            one.reason.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

/// Milliseconds as seconds: `1.210`.
fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::{Reply, strategy::Considered};

    use super::*;
    use crate::samples::HOSTILE;

    #[test]
    fn each_node_has_its_terms_or_its_reason() {
        let explained = Reply::samples().into_iter().find_map(|reply| match reply {
            Reply::Explained(explained) => Some(*explained),
            _ => None,
        });
        let mut explained = explained.unwrap();
        let text = table(&explained).render(None, false);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["*", "gpu1", "1.210", "0.300", "0.500", "0.250", "-0.090", "0.250", "500"]);
        assert_eq!(rows[2], ["gpu2", "-", "-", "-", "-", "-", "-", "-", "down"]);
        explained.nodes.push(Considered {
            node: HOSTILE.into(),
            chosen: false,
            cost: None,
            reason: Some(HOSTILE.into()),
        });
        assert!(!table(&explained).render(None, false).contains('\u{1b}'));
    }
}
