//! `aivonx status`, and `aivonx` alone.

use aivonx_protocol::{
    Client, ClientError, FaultKind, UnixMillis, backup,
    daemon::{self, Status},
    snapshot::{self, NewestSnapshot},
    strategy::Strategy,
};
use serde::Serialize;

use super::Context;
use crate::{
    exit::Failure,
    render::{
        Cell, Out, Table, Tone,
        text::{self, count, wrap},
    },
};

/// A backup this old, in milliseconds, is worth a look: they are made every day.
const BACKUP_OLD: u64 = 2 * 24 * 3_600_000;

/// What `status` prints as JSON.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// How the daemon does.
    #[serde(flatten)]
    pub status: Status,
    /// The newest snapshot of its store.
    pub newest_snapshot: Option<NewestSnapshot>,
    /// When the newest backup was made; null without any.
    pub newest_backup: Option<UnixMillis>,
}

impl Shown {
    async fn ask(client: &Client) -> Result<Self, ClientError> {
        let status = client.ask(daemon::GetStatus).await?;
        // A caller with restricted rights gets neither the process id nor these.
        let (newest_snapshot, newest_backup) = match status.pid {
            0 => (None, None),
            _ => (known(client.ask(snapshot::Newest).await)?, known(client.ask(backup::Newest).await)?),
        };
        Ok(Self { status, newest_snapshot, newest_backup })
    }
}

/// None if an older daemon does not know of it.
fn known<T>(answer: Result<Option<T>, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(ClientError::Fault(fault)) if fault.kind == FaultKind::Unsupported => Ok(None),
        answer => answer,
    }
}

/// Shows how the gateway does.
///
/// # Errors
/// Why not.
pub async fn status(context: &mut Context) -> Result<(), Failure> {
    let shown = Shown::ask(&context.visitor().await?).await?;
    context.out.show(&shown, |out| show(out, &shown))
}

/// Shows how the gateway does and what to type next.
///
/// # Errors
/// Why not.
pub async fn overview(context: &mut Context) -> Result<(), Failure> {
    let shown = Shown::ask(&context.visitor().await?).await?;
    context.out.show(&shown, |out| {
        show(out, &shown)?;
        out.line("")?;
        out.line(next(&shown.status))
    })
}

fn show(out: &mut Out, shown: &Shown) -> Result<(), Failure> {
    let table = table(shown, text::now());
    out.table(&table)?;
    for warning in &shown.status.warnings {
        out.line("")?;
        let text = wrap(&text::safe(warning), "! ", "  ", out.width);
        out.line(text)?;
    }
    Ok(())
}

fn table(shown: &Shown, now: u64) -> Table {
    let status = &shown.status;
    let mut table = Table::pairs();
    let doing = if status.draining {
        Cell::new("shutting down: finishing what runs").tone(Tone::Warn)
    } else {
        Cell::new(format!("up {}", text::span(now.saturating_sub(status.started))))
    };
    // A caller with restricted rights gets no process id.
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
    table.pair("snapshot", snapshot(shown.newest_snapshot, now));
    table.pair("backup", backup(shown.newest_backup, now));
    table.pair("log", &status.log_sink);
    table
}

/// How old the newest snapshot is, and how much it lacks.
fn snapshot(newest: Option<NewestSnapshot>, now: u64) -> Cell {
    let Some(newest) = newest else { return Cell::new("none yet").tone(Tone::Warn) };
    let behind = match newest.behind {
        0 => "nothing changed since".to_owned(),
        1 => "1 change since".to_owned(),
        many => format!("{} changes since", count(many)),
    };
    Cell::new(format!("{}, {behind}", text::ago(newest.taken, now)))
}

/// How old the newest backup is.
fn backup(newest: Option<UnixMillis>, now: u64) -> Cell {
    match newest {
        // A gateway that was begun just now makes its first within the hour.
        None => Cell::new("none yet"),
        Some(made) if now.saturating_sub(made) > BACKUP_OLD => {
            Cell::new(text::ago(made, now)).tone(Tone::Warn)
        }
        Some(made) => Cell::new(text::ago(made, now)),
    }
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

    fn shown(status: Status, newest_snapshot: Option<NewestSnapshot>) -> String {
        table(&Shown { status, newest_snapshot, newest_backup: None }, samples::NOW).render(Some(80), false)
    }

    #[test]
    fn a_busy_gateway() {
        let newest = NewestSnapshot { taken: samples::NOW - 7_200_000, behind: 17 };
        insta::assert_snapshot!(shown(samples::status(), Some(newest)));
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
        let next = next(&status);
        insta::assert_snapshot!(format!("{}\n\n{next}", shown(status, None)));
    }

    #[test]
    fn what_comes_next_depends() {
        let mut status = samples::status();
        assert!(next(&status).contains("node list") && next(&status).contains("model list"));
        status.models = 0;
        assert!(next(&status).contains("model pull"));
    }
}
