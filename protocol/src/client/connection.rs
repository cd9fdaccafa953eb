//! The connection task: one reader, one writer, and the table of requests in flight between them.
//!
//! Nothing here waits for a consumer: an answer has its own slot, and a stream has room for the whole window
//! the daemon may use. So a slow reader of one stream holds up nobody else.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::ClientError;
use crate::{
    ClientFrame, Event, Reply, Request, ServerFrame,
    frame::{self, FrameReader, MAX_IN, MAX_OUT},
    request::{MAX_IN_FLIGHT, STREAM_WINDOW},
    wire::{self, Payload},
};

/// Position of `ServerFrame::Event`: the one frame after which its request goes on.
const EVENT: u32 = 1;

/// How long to read on after a failed write.
const READ_GRACE: Duration = Duration::from_secs(1);

/// What came of one step of a stream.
pub(super) type StreamItem = Result<Event, ClientError>;

/// Who waits for an answer.
enum Waiting {
    Call(oneshot::Sender<Result<Reply, ClientError>>),
    Stream(mpsc::Sender<StreamItem>),
    /// Nobody any more; the entry stays until the daemon's last word, because the id is taken until then.
    Nobody,
}

struct Entry {
    waiting: Waiting,
    _slot: OwnedSemaphorePermit,
}

/// Requests in flight, or why there can be none.
pub(super) struct Table(Mutex<Result<HashMap<u64, Entry>, String>>);

impl Table {
    fn lock(&self) -> MutexGuard<'_, Result<HashMap<u64, Entry>, String>> {
        // No code panics while it holds the lock; the table is whole even if one did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, id: u64, waiting: Waiting, slot: OwnedSemaphorePermit) -> Result<(), ClientError> {
        match &mut *self.lock() {
            Ok(entries) => {
                entries.insert(id, Entry { waiting, _slot: slot });
                Ok(())
            }
            Err(why) => Err(ClientError::Closed(why.clone())),
        }
    }

    fn remove(&self, id: u64) -> Option<Waiting> {
        self.lock().as_mut().ok()?.remove(&id).map(|e| e.waiting)
    }

    /// Whether someone was still waiting for `id`.
    fn give_up(&self, id: u64) -> bool {
        match self.lock().as_mut().ok().and_then(|entries| entries.get_mut(&id)) {
            Some(entry) => !matches!(std::mem::replace(&mut entry.waiting, Waiting::Nobody), Waiting::Nobody),
            None => false,
        }
    }

    fn close(&self, why: &str) {
        let entries = match std::mem::replace(&mut *self.lock(), Err(why.to_owned())) {
            Ok(entries) => entries,
            Err(_) => return,
        };
        for entry in entries.into_values() {
            finish(entry.waiting, Err(ClientError::Closed(why.to_owned())));
        }
    }

    fn why_closed(&self) -> ClientError {
        match &*self.lock() {
            Ok(_) => ClientError::Closed("the connection has ended".into()),
            Err(why) => ClientError::Closed(why.clone()),
        }
    }
}

/// Ends a pending call or stream, with the error that ended it.
fn finish(waiting: Waiting, result: Result<(), ClientError>) {
    match waiting {
        Waiting::Call(answer) => {
            let error = result.err().unwrap_or_else(|| ClientError::Protocol("the answer is empty".into()));
            // A caller that has gone needs no answer.
            let _ = answer.send(Err(error));
        }
        Waiting::Stream(events) => {
            if let Err(error) = result {
                // Room for this one step is kept beyond the window.
                let _ = events.try_send(Err(error));
            }
        }
        Waiting::Nobody => {}
    }
}

/// The handles' side of a connection. When the last one goes, the connection is closed.
pub(super) struct Link {
    table: Arc<Table>,
    outbox: mpsc::UnboundedSender<Payload>,
    slots: Arc<Semaphore>,
    next_id: AtomicU64,
}

impl Link {
    /// Starts the connection task over a connection whose handshake is done.
    pub(super) fn start<R, W>(reader: FrameReader<R>, writer: W) -> Arc<Self>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        // Bounded by what may be in flight: each request in the table accounts for at most a call, a cancel
        // and one grant per half window.
        let (outbox, inbox) = mpsc::unbounded_channel();
        let table = Arc::new(Table(Mutex::new(Ok(HashMap::new()))));
        tokio::spawn(run(reader, writer, inbox, outbox.downgrade(), table.clone()));
        let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        Arc::new(Self { table, outbox, slots, next_id: AtomicU64::new(1) })
    }

    pub(super) async fn call(self: &Arc<Self>, request: Request) -> Result<Reply, ClientError> {
        let (answer, answered) = oneshot::channel();
        let _guard = self.send(request, Waiting::Call(answer)).await?;
        answered.await.unwrap_or_else(|_| Err(self.table.why_closed()))
    }

    pub(super) async fn stream(
        self: &Arc<Self>,
        request: Request,
    ) -> Result<(mpsc::Receiver<StreamItem>, InFlight), ClientError> {
        let (events, receiver) = mpsc::channel(STREAM_WINDOW as usize + 1);
        let guard = self.send(request, Waiting::Stream(events)).await?;
        Ok((receiver, guard))
    }

    async fn send(self: &Arc<Self>, request: Request, waiting: Waiting) -> Result<InFlight, ClientError> {
        let slot = self.slots.clone().acquire_owned().await;
        let slot = slot.map_err(|_| self.table.why_closed())?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = frame::seal(&ClientFrame::Call { id, request }, MAX_IN)
            .map_err(|e| ClientError::Protocol(e.to_string()))?;
        self.table.insert(id, waiting, slot)?;
        let guard = InFlight { link: self.clone(), id };
        self.outbox.send(frame).map_err(|_| self.table.why_closed())?;
        Ok(guard)
    }

    fn tell(&self, frame: &ClientFrame) {
        // A closed connection has nothing to cancel and nobody to grant to.
        if let Ok(frame) = frame::seal(frame, MAX_IN) {
            let _ = self.outbox.send(frame);
        }
    }
}

/// A request in flight. Dropped before the daemon's last word, it cancels the request.
pub(super) struct InFlight {
    link: Arc<Link>,
    id: u64,
}

impl InFlight {
    pub(super) fn grant(&self, events: u32) {
        self.link.tell(&ClientFrame::Grant { id: self.id, events });
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.link.table.give_up(self.id) {
            self.link.tell(&ClientFrame::Cancel { id: self.id });
        }
    }
}

async fn run<R, W>(
    mut reader: FrameReader<R>,
    writer: W,
    inbox: mpsc::UnboundedReceiver<Payload>,
    outbox: mpsc::WeakUnboundedSender<Payload>,
    table: Arc<Table>,
) where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let why = {
        let read = read(&mut reader, &outbox, &table);
        tokio::pin!(read);
        tokio::select! {
            why = &mut read => why,
            written = write(writer, inbox) => match written {
                Ok(()) => "it is no longer needed".into(),
                // The daemon's last words may still be on their way, and say more than a broken pipe.
                Err(e) => timeout(READ_GRACE, read).await.unwrap_or_else(|_| e.to_string()),
            },
        }
    };
    table.close(&why);
}

/// Ends when the last handle is gone, or the connection fails.
async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut inbox: mpsc::UnboundedReceiver<Payload>,
) -> io::Result<()> {
    while let Some(frame) = inbox.recv().await {
        frame::write(&mut writer, &frame).await?;
    }
    writer.shutdown().await
}

async fn read<R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    outbox: &mpsc::WeakUnboundedSender<Payload>,
    table: &Table,
) -> String {
    loop {
        let payload = match reader.next().await {
            Ok(Some(payload)) => payload,
            Ok(None) => return "it ended the session".into(),
            Err(e) => return e.to_string(),
        };
        match wire::decode::<ServerFrame, MAX_OUT>(&payload) {
            Ok(frame) => deliver(frame, outbox, table),
            Err(e) => match wire::frame_head(&payload) {
                Some((EVENT, id)) => drop_unreadable(id, &e.to_string(), outbox, table),
                Some((_, id)) => {
                    if let Some(waiting) = table.remove(id) {
                        finish(waiting, Err(ClientError::Protocol(e.to_string())));
                    }
                }
                None => return e.to_string(),
            },
        }
    }
}

fn deliver(frame: ServerFrame, outbox: &mpsc::WeakUnboundedSender<Payload>, table: &Table) {
    match frame {
        ServerFrame::Reply { id, result } => match (table.remove(id), result) {
            (Some(Waiting::Call(answer)), result) => {
                // A caller that has gone needs no answer.
                let _ = answer.send(result.map_err(ClientError::Fault));
            }
            (Some(waiting), Err(fault)) => finish(waiting, Err(ClientError::Fault(fault))),
            (Some(waiting), Ok(reply)) => {
                finish(waiting, Err(ClientError::unexpected("a stream", reply.name())));
            }
            (None, _) => {}
        },
        ServerFrame::End { id, result } => {
            if let Some(waiting) = table.remove(id) {
                finish(waiting, result.map_err(ClientError::Fault));
            }
        }
        ServerFrame::Event { id, event } => {
            let taken = match table.lock().as_ref().ok().and_then(|entries| entries.get(&id)) {
                // The last place is for the stream's end.
                Some(Entry { waiting: Waiting::Stream(events), .. }) => {
                    events.capacity() > 1 && events.try_send(Ok(event)).is_ok() || events.is_closed()
                }
                Some(Entry { waiting: Waiting::Call(_), .. }) => false,
                Some(Entry { waiting: Waiting::Nobody, .. }) | None => true,
            };
            if !taken {
                drop_unreadable(id, "more events than were granted", outbox, table);
            }
        }
    }
}

/// Gives up one stream whose events make no sense, and leaves the others alone.
fn drop_unreadable(id: u64, why: &str, outbox: &mpsc::WeakUnboundedSender<Payload>, table: &Table) {
    let waiting = match table.lock().as_mut().ok().and_then(|entries| entries.get_mut(&id)) {
        Some(entry) => std::mem::replace(&mut entry.waiting, Waiting::Nobody),
        None => return,
    };
    if matches!(waiting, Waiting::Nobody) {
        return;
    }
    finish(waiting, Err(ClientError::Protocol(why.to_owned())));
    if let (Some(outbox), Ok(frame)) = (outbox.upgrade(), frame::seal(&ClientFrame::Cancel { id }, MAX_IN)) {
        // A closed connection has nothing to cancel.
        let _ = outbox.send(frame);
    }
}
