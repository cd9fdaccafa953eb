//! `aivonx status`, and `aivonx` alone.

use aivonx_protocol::{daemon::Status, strategy::Strategy};

use super::Context;
use crate::{
    exit::Failure,
    render::{
        Cell, Out, Table, Tone,
        text::{self, count, wrap},
    },
};

/// Shows how the gateway does.
///
/// # Errors
/// Why not.
pub async fn status(context: &mut Context) -> Result<(), Failure> {
    let status = context.visitor().await?.status().await?;
    context.out.show(&status, |out| show(out, &status))
}

/// Shows how the gateway does and what to type next.
///
/// # Errors
/// Why not.
pub async fn overview(context: &mut Context) -> Result<(), Failure> {
    let status = context.visitor().await?.status().await?;
    context.out.show(&status, |out| {
        show(out, &status)?;
        out.line("")?;
        out.line(next(&status))
    })
}

fn show(out: &mut Out, status: &Status) -> Result<(), Failure> {
    let table = table(status, text::now());
    out.table(&table)?;
    for warning in &status.warnings {
        out.line("")?;
        let text = wrap(&text::safe(warning), "! ", "  ", out.width);
        out.line(text)?;
    }
    Ok(())
}

fn table(status: &Status, now: u64) -> Table {
    let mut table = Table::pairs();
    let doing = if status.draining {
        Cell::new("shutting down: finishing what runs").tone(Tone::Warn)
    } else {
        Cell::new(format!("up {}", text::span(now.saturating_sub(status.started))))
    };
    // Who may not see more is told no process id.
    let limited = status.pid == 0;
    let process = if limited { String::new() } else { format!(", pid {}", status.pid) };
    table.pair("daemon", format!("aivonxd {}, {} mode{process}", status.version, status.mode));
    table.pair("state", doing);
    if limited {
        if !status.listen.is_empty() {
            table.list("listens on", &status.listen);
        }
        table.pair("access", &status.access);
        return table;
    }
    table.list("listens on", &status.listen);
    table.pair("access", &status.access);
    table.pair("nodes", nodes(status));
    table.pair("models", count(status.models.into()));
    table.pair(
        "requests",
        format!(
            "{} at work, {} answered",
            count(status.active_requests.into()),
            count(status.requests_total)
        ),
    );
    table.pair("strategy", Strategy::name(status.strategy));
    table.pair("memory", text::bytes(status.resident_bytes));
    table.pair("data", &status.data_dir);
    table.pair("log", &status.log_sink);
    table
}

fn nodes(status: &Status) -> Cell {
    let all = [
        (status.nodes_active, "active"),
        (status.nodes_standby, "standby"),
        (status.nodes_draining, "draining"),
        (status.nodes_disabled, "disabled"),
    ];
    let words: Vec<String> = all
        .into_iter()
        .filter(|(number, word)| *number > 0 || *word == "active")
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    Cell::new(words.join(", ")).tone(match (status.nodes_active, status.nodes_standby) {
        (0, _) => Tone::Bad,
        (_, 0) => Tone::Good,
        _ => Tone::Warn,
    })
}

/// The commands that help most as things stand.
fn next(status: &Status) -> String {
    let mut lines = vec!["Next:"];
    let known = status.nodes_active + status.nodes_standby + status.nodes_draining + status.nodes_disabled;
    if known == 0 {
        lines.push("  aivonx node add NAME URL    add a server that runs models");
    } else {
        lines.push("  aivonx node list            the nodes, and why one is not active");
        if status.nodes_active > 0 && status.models == 0 {
            lines.push("  aivonx model pull MODEL     have the nodes download a model");
        } else {
            lines.push("  aivonx model list           the models, and where they are loaded");
        }
    }
    lines.push("  aivonx logs -f              what happens now");
    lines.push("  aivonx --help               everything else");
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_busy_gateway() {
        insta::assert_snapshot!(table(&samples::status(), samples::NOW).render(Some(80), false));
    }

    #[test]
    fn a_fresh_gateway_that_stops() {
        let status = Status {
            draining: true,
            nodes_active: 0,
            nodes_standby: 0,
            nodes_draining: 0,
            nodes_disabled: 0,
            models: 0,
            ..samples::status()
        };
        let shown = table(&status, samples::NOW).render(Some(80), false);
        insta::assert_snapshot!(format!("{shown}\n\n{}", next(&status)));
    }

    #[test]
    fn what_comes_next_depends() {
        let mut status = samples::status();
        assert!(next(&status).contains("node list") && next(&status).contains("model list"));
        status.models = 0;
        assert!(next(&status).contains("model pull"));
    }
}
