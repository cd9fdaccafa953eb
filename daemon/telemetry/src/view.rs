//! Events as those see them who read the log: written down when they happened, or finished requests where they lie.

use std::borrow::Cow;

use aivonx_domain::access::{AccessRecord, Outcome};
use aivonx_protocol::{
    UnixMillis,
    log::{Level, LogEvent},
};

use super::record::{HEADER, Record, Text};

/// Finished requests, put into words only where someone reads them.
#[derive(Debug)]
pub(crate) struct Bunch {
    time: UnixMillis,
    requests: Vec<AccessRecord>,
    /// Bytes held, allocations included.
    bytes: usize,
}

/// One event, looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// Rising by one per event; given by the hub.
    pub(crate) seq: u64,
    pub(crate) time: UnixMillis,
    pub(crate) level: Level,
    /// Without our crate's name: `fleet::health`, `access`.
    pub(crate) target: &'static str,
    pub(crate) body: Body<'a>,
}

/// What an event says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    /// Words.
    Text(&'a Text),
    /// A finished request.
    Access(&'a AccessRecord),
}

/// How much is said about a request.
pub(crate) fn level_of(request: &AccessRecord) -> Level {
    match request.outcome {
        Outcome::NodeFailed | Outcome::Broken => Level::Warn,
        _ => Level::Info,
    }
}

impl Record {
    /// The event as number `seq`.
    pub(crate) fn view(&self, seq: u64) -> View<'_> {
        View { seq, time: self.time, level: self.level, target: self.target, body: Body::Text(&self.text) }
    }
}

impl Bunch {
    /// Requests that are logged at `time`.
    pub(crate) fn new(time: UnixMillis, mut requests: Vec<AccessRecord>) -> Self {
        // What is kept counts, used or not.
        requests.shrink_to(requests.len() * 2);
        let texts: usize = requests.iter().map(texts).sum();
        let bytes = size_of::<Self>() + HEADER + requests.capacity() * size_of::<AccessRecord>() + texts;
        Self { time, requests, bytes }
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Bytes held, allocations included, as long as any of them is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The request at a place as event number `seq`.
    pub(crate) fn view(&self, at: usize, seq: u64) -> Option<View<'_>> {
        let request = self.requests.get(at)?;
        let (time, level) = (self.time, level_of(request));
        Some(View { seq, time, level, target: "access", body: Body::Access(request) })
    }
}

/// Bytes that a request holds beside itself. The names are shared with the snapshot.
fn texts(request: &AccessRecord) -> usize {
    let texts = [&request.client_request_id, &request.error];
    texts.into_iter().flatten().map(|text| text.len()).sum()
}

impl<'a> View<'a> {
    /// The event in words.
    pub(crate) fn text(&self) -> Cow<'a, Text> {
        match self.body {
            Body::Text(text) => Cow::Borrowed(text),
            Body::Access(request) => Cow::Owned(Text::about(request)),
        }
    }

    /// Whether the event is about the node of this name.
    pub(crate) fn is_about(&self, node: &str) -> bool {
        match self.body {
            Body::Text(text) => text.field("node") == Some(node),
            Body::Access(request) => request.node.as_deref() == Some(node),
        }
    }

    /// Whether the event belongs to the organization with this id.
    pub(crate) fn is_of(&self, organization: &str) -> bool {
        match self.body {
            Body::Text(text) => text.field("organization") == Some(organization),
            Body::Access(request) => request.organization().is_some_and(|(id, _)| **id == *organization),
        }
    }

    /// Bytes of it alone.
    pub(crate) fn bytes(&self) -> usize {
        match self.body {
            Body::Text(text) => size_of::<Record>() + text.bytes(),
            Body::Access(request) => size_of::<AccessRecord>() + texts(request),
        }
    }

    pub(crate) fn to_event(self) -> LogEvent {
        let text = self.text();
        LogEvent {
            seq: self.seq,
            time: self.time,
            level: self.level,
            target: self.target.to_owned(),
            message: text.message().to_owned(),
            fields: text.fields().iter().map(|f| (f.name.to_owned(), f.value.clone())).collect(),
        }
    }
}
