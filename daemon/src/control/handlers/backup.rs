//! Operations on backups.

use std::{
    fs::File,
    io::{self, Read as _},
};

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Event, Fault, FaultKind, UnixMillis,
    backup::{self, Backup},
    operation::Serve,
};
use futures_util::{StreamExt as _, stream};

use crate::control::{By, Events, Services};

/// Bytes of one event.
const PIECE: usize = 256 * 1024;

impl Serve<backup::List> for Services {
    async fn serve(&self, _: By<backup::List>, _: backup::List) -> Result<Vec<Backup>, Fault> {
        Ok(self.backups.list().await?)
    }
}

impl Serve<backup::Create> for Services {
    async fn serve(&self, _: By<backup::Create>, _: backup::Create) -> Result<Backup, Fault> {
        Ok(self.backups.create().await?)
    }
}

impl Serve<backup::Export> for Services {
    async fn serve(&self, _: By<backup::Export>, asked: backup::Export) -> Result<Events, Fault> {
        let (made, file) = self.backups.export(asked.sealing).await?;
        let bytes = stream::unfold(Some(file), async |file| {
            let file = file?;
            match tokio::task::spawn_blocking(move || piece(file)).await {
                Ok(Ok((piece, _))) if piece.is_empty() => None,
                Ok(Ok((piece, file))) => Some((Ok(Event::BackupBytes(piece)), Some(file))),
                Ok(Err(error)) => Some((Err(unreadable(&error)), None)),
                Err(error) => Some((Err(unreadable(&error)), None)),
            }
        });
        // A client that has not seen the last event knows that it has not all.
        Ok(bytes.chain(stream::iter([Ok(Event::BackupMade(Box::new(made)))])).boxed())
    }
}

fn piece(file: File) -> io::Result<(Vec<u8>, File)> {
    let mut piece = Vec::with_capacity(PIECE);
    (&file).take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((piece, file))
}

fn unreadable(error: &dyn std::error::Error) -> Fault {
    Fault::new(FaultKind::Internal, format!("the backup cannot be read: {error}"))
}

impl Serve<backup::Verify> for Services {
    async fn serve(&self, _: By<backup::Verify>, asked: backup::Verify) -> Result<Backup, Fault> {
        Ok(self.backups.verify(&asked.file).await?)
    }
}

impl Serve<backup::Newest> for Services {
    async fn serve(&self, by: By<backup::Newest>, _: backup::Newest) -> Result<Option<UnixMillis>, Fault> {
        let told = !by.is_stranger() && by.reach() == TenantScope::All;
        Ok(self.backups.newest().filter(|_| told))
    }
}
