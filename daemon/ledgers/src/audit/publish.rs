//! Checkpoints leave the store: to the log, so to the journal, and to an append-only file.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use aivonx_protocol::audit::Checkpoint;

/// Publishes `checkpoint`. A file that cannot be written is reported; the log has it all the same.
pub(super) async fn publish(checkpoint: &Checkpoint, file: Option<&Path>) {
    let line = checkpoint.line();
    tracing::info!(
        event = "audit_checkpoint",
        checkpoint = %line,
        seq = checkpoint.seq,
        "audit log signed up to entry {}",
        checkpoint.seq
    );
    let Some(path) = file.map(Path::to_owned) else { return };
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || append(&path, &line)).await;
    if let Err(error) = written.unwrap_or_else(|e| Err(io::Error::other(e))) {
        tracing::error!(
            event = "audit_failed",
            path = %shown,
            error = %error,
            "a checkpoint could not be appended to audit.checkpoint_file"
        );
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}
