//! Sending an answer as the fault of the moment wants.

use std::{io, time::Duration};

use crate::{
    Fault, Kind,
    reply::{Body, Reply, ReplyStep},
    state::Shared,
    wire::Wire,
};

/// How sending went.
pub(crate) enum Went {
    /// To the end; the connection can be used again.
    Well,
    /// The client left.
    Left,
    /// The fault wants the connection closed.
    Close,
    /// The fault wants the connection reset.
    Reset,
}

pub(crate) struct Sender<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) shared: &'a Shared,
    pub(crate) head_only: bool,
    /// Health checks wait for no gate.
    pub(crate) at_once: bool,
    pub(crate) kind: Kind,
}

impl Sender<'_> {
    pub(crate) async fn send(&mut self, reply: &Reply, fault: Option<Fault>) -> Went {
        match self.attempt(reply, fault).await {
            Ok(went) => went,
            Err(_) => Went::Left,
        }
    }

    async fn attempt(&mut self, reply: &Reply, fault: Option<Fault>) -> io::Result<Went> {
        match &fault {
            Some(Fault::ResetBeforeHead) => return Ok(Went::Reset),
            Some(Fault::CloseBeforeHead | Fault::CloseIfReused) => return Ok(Went::Close),
            Some(Fault::Silence) => {
                self.wire.gone().await;
                return Ok(Went::Left);
            }
            Some(Fault::Garbage) => {
                self.wire.send(b"\x15\x03\x01\x00\x02\x02\x46 this is no answer\r\n\r\n").await?;
                return Ok(Went::Close);
            }
            Some(Fault::HugeHead(size)) => {
                let head = format!("HTTP/1.1 200 OK\r\nX-Padding: {}\r\n", "x".repeat(*size));
                self.wire.send(head.as_bytes()).await?;
                return Ok(Went::Close);
            }
            // The reply is the fault's own.
            Some(Fault::Status(..) | Fault::Bytes(..)) => return self.answer(reply, None).await,
            Some(Fault::Body(body)) => return self.answer(&Reply::json(200, *body), None).await,
            Some(Fault::Events(events)) => {
                let reply = Reply { content_type: "text/event-stream", ..Reply::json(200, events.clone()) };
                return self.answer(&reply, None).await;
            }
            Some(Fault::Redirect(to)) => {
                let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
                self.wire.send(head.as_bytes()).await?;
                return Ok(Went::Well);
            }
            Some(Fault::EndlessInterim) => loop {
                self.wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await?;
            },
            Some(Fault::Interim) => {
                self.wire
                    .send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
                    .await?;
            }
            _ => {}
        }
        self.answer(reply, fault).await
    }

    async fn answer(&mut self, reply: &Reply, fault: Option<Fault>) -> io::Result<Went> {
        match &reply.body {
            Body::Whole(step) => self.whole(reply, step, fault).await,
            Body::Steps(steps) => self.steps(reply, steps, fault).await,
        }
    }

    fn head(&self, reply: &Reply, framing: &str) -> Vec<u8> {
        let reason = match reply.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            _ => "Status",
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", reply.status);
        if !reply.content_type.is_empty() {
            head += &format!("Content-Type: {}\r\n", reply.content_type);
        }
        for (name, value) in self.shared.look(|s| s.extra_fields.clone()) {
            head += &format!("{name}: {value}\r\n");
        }
        let date = self.shared.look(|s| s.now()).strftime("%a, %d %b %Y %H:%M:%S GMT");
        head += &format!("Date: {date}\r\n{framing}\r\n\r\n");
        head.into_bytes()
    }

    async fn whole(&mut self, reply: &Reply, step: &ReplyStep, fault: Option<Fault>) -> io::Result<Went> {
        if !self.turn(step.after).await {
            return Ok(Went::Left);
        }
        if fault.is_none() {
            self.apply(reply);
        }
        let body = &step.bytes;
        let length = match fault {
            Some(Fault::LengthTooLong(by)) => body.len() + by,
            Some(Fault::LengthTooShort(by)) => body.len().saturating_sub(by),
            _ => body.len(),
        };
        let head = self.head(reply, &format!("Content-Length: {length}"));
        if fault == Some(Fault::SlowHead) {
            for byte in head {
                self.wire.send(&[byte]).await?;
                tokio::task::yield_now().await;
            }
        } else {
            self.wire.send(&head).await?;
        }
        let cut = match fault {
            Some(Fault::ResetAfter(_) | Fault::CloseAfter(_) | Fault::StallAfter(_)) => body.len() / 2,
            _ => body.len(),
        };
        if !self.head_only {
            self.wire.send(&body[..cut]).await?;
        }
        Ok(match fault {
            Some(Fault::ResetAfter(_)) => Went::Reset,
            Some(Fault::StallAfter(_)) => {
                self.wire.gone().await;
                Went::Left
            }
            Some(Fault::LengthTooLong(_) | Fault::LengthTooShort(_) | Fault::CloseAfter(_)) => Went::Close,
            _ => Went::Well,
        })
    }

    async fn steps(&mut self, reply: &Reply, steps: &[ReplyStep], fault: Option<Fault>) -> io::Result<Went> {
        let mut head = self.head(reply, "Transfer-Encoding: chunked");
        if fault == Some(Fault::SlowHead) {
            for byte in std::mem::take(&mut head) {
                self.wire.send(&[byte]).await?;
                tokio::task::yield_now().await;
            }
        } else if self.kind == Kind::Openai {
            // llama.cpp sends the head at once, Ollama with the first token.
            self.wire.send(&std::mem::take(&mut head)).await?;
        }
        for (n, step) in steps.iter().enumerate() {
            if let Some(went) = self.fail_at(n, &mut head, reply, fault.as_ref()).await? {
                return Ok(went);
            }
            if !self.turn(step.after).await {
                return Ok(Went::Left);
            }
            if n == 1 && fault == Some(Fault::BadChunk) {
                self.wire.send(b"zz\r\nbroken\r\n").await?;
                return Ok(Went::Close);
            }
            if n + 1 == steps.len() {
                self.apply(reply);
            }
            let mut out = std::mem::take(&mut head);
            if n == 0
                && let Some(Fault::LongLine(size)) = fault
            {
                out.extend(chunk(&vec![b'x'; size]));
            }
            out.extend(chunk(&step.bytes));
            self.wire.send(&out).await?;
        }
        // After its terminator no node reports an error.
        let fault = fault.filter(|f| !matches!(f, Fault::ErrorAfter(_)));
        if let Some(went) = self.fail_at(steps.len(), &mut head, reply, fault.as_ref()).await? {
            return Ok(went);
        }
        self.wire.send(b"0\r\n\r\n").await?;
        Ok(Went::Well)
    }

    /// Applies what the answer changes: before its last bytes, which may announce it to the client.
    fn apply(&self, reply: &Reply) {
        if let Some(then) = &reply.then {
            self.shared.change(|s| s.apply(then));
        }
    }

    /// What the fault wants before step `n`.
    async fn fail_at(
        &mut self,
        n: usize,
        head: &mut Vec<u8>,
        reply: &Reply,
        fault: Option<&Fault>,
    ) -> io::Result<Option<Went>> {
        let went = match fault {
            Some(Fault::ResetAfter(at)) if *at == n => Went::Reset,
            Some(Fault::CloseAfter(at)) if *at == n => Went::Close,
            Some(Fault::EndAfter(at)) if *at == n => Went::Well,
            Some(Fault::ErrorAfter(at)) if *at == n => Went::Well,
            Some(Fault::StallAfter(at)) if *at == n => Went::Left,
            _ => return Ok(None),
        };
        let mut out = std::mem::take(head);
        if let Some(Fault::ErrorAfter(_)) = fault {
            out.extend(chunk(&reply.broken));
        }
        if matches!(went, Went::Well) {
            out.extend(b"0\r\n\r\n");
        }
        self.wire.send(&out).await?;
        if matches!(went, Went::Left) {
            self.wire.gone().await;
        }
        Ok(Some(went))
    }

    /// Waits for this step's turn (gate, and delay after `pause`); false if the client left meanwhile.
    async fn turn(&mut self, pause: Duration) -> bool {
        if self.at_once {
            return true;
        }
        let (gated, delay) = self.shared.look(|s| (s.gated, s.delay));
        let shared = self.shared;
        let wait = async {
            if gated && let Ok(permit) = shared.gate.acquire().await {
                permit.forget();
            }
            let pause = delay + pause;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            biased;
            () = wait => true,
            () = self.wire.gone() => false,
        }
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}
