//! The connection: made, kept, and made again. It owns every call under way, so that nothing else waits.

mod export;
mod fault;
mod report;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use aivonx_protocol::{
    Event, Fault, Request, UnixMillis, WireSecret,
    account::{self, LoggedIn},
    client::{Client, EventStream},
    request::STREAM_WINDOW,
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use self::fault::{fault, lost};
use crate::{
    connect::connect,
    msg::{Down, Export, Msg, NoExport, Ticket, Up},
    session,
    state::form::FormFile,
};

/// Waits before trying again, milliseconds; the last is repeated.
const WAITS: [u64; 6] = [250, 500, 1000, 2000, 4000, 5000];
/// What may wait on its way to the console or to here.
pub(crate) const QUEUE: usize = 64;

/// What the connection is asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// A call.
    Call(Ticket, Request),
    /// A stream of events.
    Follow(Ticket, Request),
    /// A copy of the audit log, to be written.
    Export(Ticket, Export),
    /// A report of an incident since then, to be shown or written.
    Report(Ticket, UnixMillis, Option<PathBuf>),
    /// Give up a call or a stream.
    Drop(Ticket),
    /// Read this file of a form.
    Read(Ticket, FormFile, String),
    /// Connect now.
    Connect,
    /// Keep this session.
    Keep(Box<LoggedIn>),
    /// Forget the session kept.
    Forget,
}

/// Starts the connection, which sends its messages to `happens`; returns where to send orders. Sessions are read from
/// and kept in files if `keeps`.
pub(crate) fn start(socket: Option<PathBuf>, keeps: bool, happens: Sender<Msg>) -> Sender<Order> {
    let (orders, inbox) = channel(QUEUE);
    let net = Net { socket, inbox, happens, secret: None, keeps };
    tokio::spawn(net.run());
    orders
}

/// What a form wants of a file; anything but a plain file could be waited for for ever.
fn contents(what: FormFile, path: &str) -> Result<WireSecret, String> {
    let path = Path::new(path);
    match std::fs::metadata(path) {
        Ok(what) if what.is_file() => {}
        Ok(_) => return Err("it is no file".into()),
        Err(error) => return Err(error.to_string()),
    }
    let read = match what {
        FormFile::Ca => crate::input::certificates("CA file", path).map(WireSecret::new),
        FormFile::ClientCert => crate::input::client_certificate("Cert file", path).map(WireSecret::new),
        FormFile::ClientKey => crate::input::secret("Key file", path),
    };
    read.map_err(|failure| failure.to_string())
}

struct Net {
    socket: Option<PathBuf>,
    inbox: Receiver<Order>,
    happens: Sender<Msg>,
    /// The session begun here, for the case that it could not be kept.
    secret: Option<WireSecret>,
    /// Whether sessions are read from and kept in files.
    keeps: bool,
}

/// The console is gone.
struct Gone;

impl Net {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let why = match self.open().await {
                Ok((client, up)) => {
                    failures = 0;
                    if self.happens.send(Msg::Up(Box::new(up))).await.is_err() {
                        return;
                    }
                    match self.serve(client).await {
                        Ok(why) => why,
                        Err(Gone) => return,
                    }
                }
                Err(why) => why,
            };
            let retry_ms = WAITS[failures.min(WAITS.len() - 1)];
            failures += 1;
            if self.happens.send(Msg::Down(Down { why, retry_ms })).await.is_err() {
                return;
            }
            if self.wait(Duration::from_millis(retry_ms)).await.is_err() {
                return;
            }
        }
    }

    /// Waits for `how_long`, or until an order to connect. Calls meanwhile get no answer: the console knows that
    /// there is no connection.
    async fn wait(&mut self, how_long: Duration) -> Result<(), Gone> {
        let wait = sleep(how_long);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return Ok(()),
                order = self.inbox.recv() => match order {
                    None => return Err(Gone),
                    Some(Order::Connect) => return Ok(()),
                    Some(Order::Call(ticket, _)) => {
                        let result = Err(lost("there is no connection"));
                        self.happens.send(Msg::Answer { ticket, result }).await.map_err(|_| Gone)?;
                    }
                    Some(Order::Export(ticket, _)) => {
                        let result = Err(NoExport::Failed("there is no connection".to_owned()));
                        self.happens.send(Msg::Exported { ticket, result }).await.map_err(|_| Gone)?;
                    }
                    Some(Order::Report(ticket, ..)) => {
                        let result = Err("there is no connection".to_owned());
                        self.happens.send(Msg::Reported { ticket, result }).await.map_err(|_| Gone)?;
                    }
                    Some(Order::Follow(ticket, _)) => {
                        let result = Err(lost("there is no connection"));
                        self.happens.send(Msg::Ended { ticket, result }).await.map_err(|_| Gone)?;
                    }
                    Some(Order::Read(ticket, what, path)) => self.read(ticket, what, path),
                    Some(_) => {}
                },
            }
        }
    }

    /// Reads a file beside everything else: the disk may be slow.
    fn read(&self, ticket: Ticket, what: FormFile, path: String) {
        let happens = self.happens.clone();
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(move || contents(what, &path)).await;
            let result = read.unwrap_or_else(|error| Err(format!("it cannot be read: {error}")));
            // Nobody is left to hear it: fine.
            let _ = happens.send(Msg::File { ticket, result }).await;
        });
    }

    /// Connects, and goes on with the session there is.
    async fn open(&self) -> Result<(Client, Up), String> {
        let connected = connect(self.socket.as_deref()).await.map_err(|failure| failure.to_string())?;
        let client = connected.client;
        let kept = if self.keeps { session::resume(&client).await } else { Ok(None) };
        let (mut identity, mut refused) = match kept {
            Ok(identity) => (identity, None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        if identity.is_none()
            && let Some(secret) = self.secret.clone()
            && let Ok(resumed) = client.ask(account::Resume { secret }).await
        {
            (identity, refused) = (Some(resumed), None);
        }
        let up = Up {
            daemon: client.daemon().version.clone(),
            login: client.daemon().login,
            identity,
            may_set_up: session::sudo(&connected.path).is_empty(),
            socket: connected.path.display().to_string(),
            refused,
        };
        Ok((client, up))
    }

    /// Carries out orders until the connection ends; why it did.
    async fn serve(&mut self, client: Client) -> Result<String, Gone> {
        let mut tasks: JoinSet<Option<String>> = JoinSet::new();
        let mut open: HashMap<Ticket, AbortHandle> = HashMap::new();
        loop {
            tokio::select! {
                order = self.inbox.recv() => match order {
                    None => return Err(Gone),
                    Some(Order::Call(ticket, request)) => {
                        let task = call(client.clone(), self.happens.clone(), ticket, request);
                        open.insert(ticket, tasks.spawn(task));
                    }
                    Some(Order::Follow(ticket, request)) => {
                        let task = follow(client.clone(), self.happens.clone(), ticket, request);
                        open.insert(ticket, tasks.spawn(task));
                    }
                    Some(Order::Export(ticket, wanted)) => {
                        let task = export::run(client.clone(), self.happens.clone(), ticket, wanted);
                        open.insert(ticket, tasks.spawn(task));
                    }
                    Some(Order::Report(ticket, since, file)) => {
                        let task = report::run(client.clone(), self.happens.clone(), ticket, since, file);
                        open.insert(ticket, tasks.spawn(task));
                    }
                    Some(Order::Drop(ticket)) => {
                        if let Some(task) = open.remove(&ticket) {
                            task.abort();
                        }
                    }
                    Some(Order::Read(ticket, what, path)) => self.read(ticket, what, path),
                    Some(Order::Connect) => {}
                    Some(Order::Keep(session)) => {
                        self.secret = Some(session.secret.clone());
                        if self.keeps
                            && let Err(failure) = session::keep(&client, &session)
                        {
                            let text = format!("logged in for as long as this console runs: {failure}");
                            self.happens.send(Msg::Told { text, bad: true }).await.map_err(|_| Gone)?;
                        }
                    }
                    Some(Order::Forget) => {
                        self.secret = None;
                        if self.keeps
                            && let Ok(files) = session::SessionFiles::of(&client.daemon().id)
                        {
                            files.remove();
                        }
                    }
                },
                Some(ended) = tasks.join_next() => {
                    open.retain(|_, task| !task.is_finished());
                    // One that was given up has nothing to say.
                    if let Ok(Some(why)) = ended {
                        return Ok(why);
                    }
                }
            }
        }
    }
}

/// Calls and sends the answer on; returns why the connection ended, if it did.
async fn call(client: Client, happens: Sender<Msg>, ticket: Ticket, request: Request) -> Option<String> {
    let (result, ended) = match client.call(request).await {
        Ok(reply) => (Ok(reply), None),
        Err(error) => {
            let (fault, ended) = fault(error);
            (Err(fault), ended)
        }
    };
    // The end of the connection answers all open calls at once.
    if ended.is_none() {
        let _ = happens.send(Msg::Answer { ticket, result }).await;
    }
    ended
}

/// Follows a stream and sends its events on, in batches where many come; returns why the connection ended, if it did.
async fn follow(client: Client, happens: Sender<Msg>, ticket: Ticket, request: Request) -> Option<String> {
    let (result, ended) = match client.stream(request).await {
        Ok(stream) => drain(stream, &happens, ticket).await,
        Err(error) => {
            let (fault, ended) = fault(error);
            (Err(fault), ended)
        }
    };
    if ended.is_none() {
        let _ = happens.send(Msg::Ended { ticket, result }).await;
    }
    ended
}

async fn drain(
    mut stream: EventStream,
    happens: &Sender<Msg>,
    ticket: Ticket,
) -> (Result<(), Fault>, Option<String>) {
    use futures_util::FutureExt as _;
    loop {
        let mut next = stream.next().await;
        let mut events: Vec<Event> = Vec::new();
        // What is there already is taken along.
        while let Some(Ok(event)) = next {
            events.push(event);
            if events.len() >= STREAM_WINDOW as usize {
                next = None;
                break;
            }
            match stream.next().now_or_never() {
                Some(more) => next = more,
                None => {
                    next = None;
                    break;
                }
            }
            if next.is_none() {
                // The stream has ended: that is sent after these.
                let _ = happens.send(Msg::Events { ticket, events }).await;
                return (Ok(()), None);
            }
        }
        let some = !events.is_empty();
        if some && happens.send(Msg::Events { ticket, events }).await.is_err() {
            return (Ok(()), None);
        }
        match next {
            Some(Err(error)) => {
                let (fault, ended) = fault(error);
                return (Err(fault), ended);
            }
            None if !some => return (Ok(()), None),
            _ => {}
        }
    }
}
