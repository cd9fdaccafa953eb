//! A copy of the audit log, from the daemon to a file. What writes may wait for a disk: it does so on a thread of
//! its own, and holds the daemon back meanwhile.

use std::io;

use aivonx_protocol::{
    Event,
    audit::ExportSignature,
    client::{Client, ClientError},
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::spawn_blocking,
};

use super::fault::fault;
use crate::{
    audit_copy::{Exported, Writing, taken},
    background::place,
    msg::{Export, Msg, NoExport, Ticket},
};

/// Pieces on their way to the file.
const QUEUE: usize = 4;

/// One step of writing.
enum Step {
    Bytes(Vec<u8>),
    Signed(Box<ExportSignature>),
}

/// Writes the export and sends the result on; returns why the connection ended, if it did.
pub(super) async fn run(
    client: Client,
    happens: Sender<Msg>,
    ticket: Ticket,
    wanted: Export,
) -> Option<String> {
    let wanted = Export { file: place(&wanted.file), ..wanted };
    let (result, ended) = match copy(&client, &happens, ticket, &wanted).await {
        Ok(exported) => (Ok(exported), None),
        Err(Stopped::No(no)) => (Err(no), None),
        Err(Stopped::Client(error)) => {
            let (fault, ended) = fault(error);
            (Err(NoExport::Failed(fault.message)), ended)
        }
    };
    if ended.is_none() {
        let _ = happens.send(Msg::Exported { ticket, result }).await;
    }
    ended
}

enum Stopped {
    No(NoExport),
    Client(ClientError),
}

async fn copy(
    client: &Client,
    happens: &Sender<Msg>,
    ticket: Ticket,
    wanted: &Export,
) -> Result<Exported, Stopped> {
    // Before the daemon does the work.
    if let (false, Some(path)) = (wanted.replace, taken(&wanted.file)) {
        return Err(Stopped::No(NoExport::There { path, export: Box::new(wanted.clone()) }));
    }
    let mut stream = client.follow(wanted.request.clone()).await.map_err(Stopped::Client)?;
    let (steps, inbox) = channel(QUEUE);
    let (file, replace) = (wanted.file.clone(), wanted.replace);
    let writer = spawn_blocking(move || write(&file, replace, inbox));
    let (mut signed, mut written) = (None, 0);
    while let Some(event) = stream.next().await {
        let step = match event.map_err(Stopped::Client)? {
            Event::AuditBytes(bytes) => {
                written += bytes.len() as u64;
                Step::Bytes(bytes)
            }
            Event::AuditSigned(signature) => {
                signed = Some((*signature).clone());
                Step::Signed(signature)
            }
            _ => continue,
        };
        if steps.send(step).await.is_err() {
            // It says itself why.
            break;
        }
        let _ = happens.try_send(Msg::Exporting { ticket, written });
    }
    drop(steps);
    let failed = |why: String| Stopped::No(NoExport::Failed(why));
    match writer.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(failed(format!("{}: {error}", wanted.file.display()))),
        Err(error) => return Err(failed(error.to_string())),
    }
    match signed {
        Some(signed) => Ok(Exported::new(wanted.file.clone(), &signed)),
        None => Err(failed("the daemon ended the export without its signature".to_owned())),
    }
}

/// Writes what comes. Without a signature at the end it was given up, and nothing stays.
fn write(file: &std::path::Path, replace: bool, mut inbox: Receiver<Step>) -> io::Result<()> {
    let mut writing = Writing::begin(file, replace)?;
    while let Some(step) = inbox.blocking_recv() {
        match step {
            Step::Bytes(bytes) => writing.write(&bytes)?,
            Step::Signed(signed) => return writing.end(&signed),
        }
    }
    Ok(())
}
