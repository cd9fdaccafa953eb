//! A report of an incident, from the daemon to the screen or to a file.

use std::{
    io,
    path::{Path, PathBuf},
};

use aivonx_protocol::{UnixMillis, client::Client};
use jiff::tz::TimeZone;
use tokio::{sync::mpsc::Sender, task::spawn_blocking};

use super::fault::fault;
use crate::{
    audit_copy::Partial,
    background::place,
    incident_report,
    msg::{Msg, Reported, Ticket},
};

/// Gathers it and sends the result on; returns why the connection ended, if it did.
pub(super) async fn run(
    client: Client,
    happens: Sender<Msg>,
    ticket: Ticket,
    since: UnixMillis,
    file: Option<PathBuf>,
) -> Option<String> {
    let zone = TimeZone::system();
    let result = match (incident_report::gather(&client, since).await, file) {
        (Ok(report), None) => Ok(Reported::Shown(report.title(&zone), report.sections(&zone))),
        (Ok(report), Some(file)) => {
            let (file, text) = (place(&file), report.lines(&zone).join("\n") + "\n");
            // The disk may be slow.
            let written = spawn_blocking(move || {
                let why = |error: io::Error| format!("{}: {error}", file.display());
                write(&file, &text).map_err(why).map(|()| Reported::Written(file))
            });
            written.await.unwrap_or_else(|error| Err(error.to_string()))
        }
        (Err(error), _) => {
            let (fault, ended) = fault(error);
            if ended.is_some() {
                return ended;
            }
            Err(fault.message)
        }
    };
    let _ = happens.send(Msg::Reported { ticket, result }).await;
    None
}

/// A new file, readable by the caller alone.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut writing = Partial::begin(file)?;
    writing.write(text.as_bytes())?;
    writing.end(false)
}
