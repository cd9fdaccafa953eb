//! The load generator: one measurement per process, so that nothing is carried over.

use super::{
    process::{self, Cpu},
    rounds::Measure,
    wire::{self, Reader, Side, Wish},
};
use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    io::{Read as _, Write as _},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What one process is to do, as JSON in its argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// What to measure.
    pub(crate) measure: Measure,
    /// Where to connect.
    pub(crate) target: SocketAddr,
    /// Processes whose CPU time and memory to read.
    pub(crate) pids: Vec<i32>,
    /// Length of the measured window.
    pub(crate) window: Duration,
    /// Connections, where the measure leaves it open.
    pub(crate) connections: usize,
    /// The key every request is sent with.
    pub(crate) secret: Option<String>,
}

/// What came of it, as JSON on standard output.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Requests, chunks, MiB or streams in the window.
    pub(crate) units: f64,
    /// The window's length in seconds.
    pub(crate) seconds: f64,
    /// CPU time of the processes in the window, in nanoseconds.
    pub(crate) cpu_ns: f64,
    /// The same without threads that work beside the traffic (control plane, log).
    pub(crate) path_ns: f64,
    /// Median time of a request in microseconds (measure `single`).
    pub(crate) p50_us: f64,
    /// 99th percentile of the same.
    pub(crate) p99_us: f64,
    /// Resident bytes before the streams (measure `idle`).
    pub(crate) base_bytes: f64,
    /// Resident bytes with them.
    pub(crate) full_bytes: f64,
}

/// A measurement that takes this much longer than its window is broken.
const END_WITHIN: Duration = Duration::from_secs(20);
/// Quiet time before CPU time is read: threads off the request's path finish what the requests left them.
const SETTLE: Duration = Duration::from_millis(40);
/// Lines of one stream at full speed: enough to make the cost of its request small.
const BURST_LINES: u64 = 1000;

/// The role `load`.
pub(crate) fn role(arguments: &[String]) -> anyhow::Result<()> {
    let order: Order = serde_json::from_str(arguments.first().context("no order given")?)?;
    let deadline = order.window + END_WITHIN;
    std::thread::spawn(move || {
        std::thread::sleep(deadline);
        eprintln!("gateway bench: a measurement did not end within {deadline:?}");
        std::process::exit(3);
    });
    let outcome = if order.measure == Measure::Single {
        single(&order)?
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, many(&order))?
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// One request after the other on one connection with plain blocking calls, which add the least of their own.
fn single(order: &Order) -> anyhow::Result<Outcome> {
    let request = Wish::UNARY.request(&question(), None, order.secret.as_deref());
    let mut socket = std::net::TcpStream::connect(order.target)?;
    socket.set_nodelay(true)?;
    let mut reader = Reader::new(Side::Client);
    let mut buffer = vec![0; 8192];
    let mut run = |window: Duration, times: &mut Vec<u64>| -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let sent = Instant::now();
            socket.write_all(&request)?;
            reader.reset();
            loop {
                let length = socket.read(&mut buffer)?;
                ensure!(length > 0, "the connection ended within an answer");
                if reader.feed(&buffer[..length])? {
                    break;
                }
            }
            times.push(u64::try_from(sent.elapsed().as_nanos())?);
            check_answer(&reader)?;
            if began.elapsed() >= window {
                return Ok(());
            }
        }
    };
    let mut times = Vec::with_capacity(1 << 17);
    run(order.window / 5, &mut times)?;
    times.clear();
    std::thread::sleep(SETTLE);
    let cpu = Cpu::of(&order.pids);
    let began = Instant::now();
    run(order.window, &mut times)?;
    let seconds = began.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let used = Cpu::of(&order.pids).since(cpu);
    times.sort_unstable();
    let percentile = |part: usize| times[(times.len() - 1) * part / 100] as f64 / 1000.0;
    Ok(Outcome {
        units: times.len() as f64,
        seconds,
        cpu_ns: used.all as f64,
        path_ns: used.path as f64,
        p50_us: percentile(50),
        p99_us: percentile(99),
        ..Outcome::default()
    })
}

async fn many(order: &Order) -> anyhow::Result<Outcome> {
    let wish = match order.measure {
        Measure::Unary | Measure::Body | Measure::Single => Wish::UNARY,
        Measure::Burst => Wish { stream: true, lines: BURST_LINES, pace_ms: 0, hold: false },
        // More lines than the window has time for: the streams end with the process.
        Measure::Paced => Wish { stream: true, lines: 1 << 32, pace_ms: 20, hold: false },
        Measure::Idle => Wish { stream: true, lines: 3, pace_ms: 0, hold: true },
    };
    let secret = order.secret.as_deref();
    let request: Rc<[u8]> = match order.measure {
        Measure::Body => wish.request(&document(), Some(&images()), secret).into(),
        _ => wish.request(&question(), None, secret).into(),
    };
    match order.measure {
        Measure::Paced => paced(order, request).await,
        Measure::Idle => idle(order, request).await,
        _ => saturated(order, wish, request).await,
    }
}

/// Every connection asks again as soon as it is answered.
async fn saturated(order: &Order, wish: Wish, request: Rc<[u8]>) -> anyhow::Result<Outcome> {
    let mut connections = Vec::new();
    for _ in 0..order.connections {
        connections.push(Connection::open(order.target).await?);
    }
    let connections = round(connections, order.window / 5, wish, &request).await?.0;
    tokio::time::sleep(SETTLE).await;
    let cpu = Cpu::of(&order.pids);
    let began = Instant::now();
    let (_, answers) = round(connections, order.window, wish, &request).await?;
    let seconds = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let used = Cpu::of(&order.pids).since(cpu);
    let per_answer = match order.measure {
        Measure::Burst => (BURST_LINES + 1) as f64,
        Measure::Body => request.len() as f64 / f64::from(1 << 20),
        _ => 1.0,
    };
    Ok(Outcome {
        units: answers as f64 * per_answer,
        seconds,
        cpu_ns: used.all as f64,
        path_ns: used.path as f64,
        ..Outcome::default()
    })
}

/// Runs all connections for `window`, each to the end of its last answer; gives them back with the number of
/// answers.
async fn round(
    connections: Vec<Connection>,
    window: Duration,
    wish: Wish,
    request: &Rc<[u8]>,
) -> anyhow::Result<(Vec<Connection>, u64)> {
    let began = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let request = request.clone();
            tokio::task::spawn_local(async move {
                let mut answers = 0;
                while began.elapsed() < window {
                    connection.ask(&request).await?;
                    connection.answer().await?;
                    if wish.stream {
                        check_stream(&connection.reader, wish.lines)?;
                    } else {
                        check_answer(&connection.reader)?;
                    }
                    answers += 1;
                }
                anyhow::Ok((connection, answers))
            })
        })
        .collect();
    let mut back = Vec::new();
    let mut answers = 0;
    for task in tasks {
        let (connection, own) = task.await??;
        back.push(connection);
        answers += own;
    }
    Ok((back, answers))
}

/// Streams at a token's pace, started evenly over the pace so that they do not arrive together.
async fn paced(order: &Order, request: Rc<[u8]>) -> anyhow::Result<Outcome> {
    let bytes = Rc::new(Cell::new(0));
    let failure = Rc::new(Cell::new(None));
    for _ in 0..order.connections {
        let mut connection = Connection::open(order.target).await?;
        connection.ask(&request).await?;
        let (bytes, failure) = (bytes.clone(), failure.clone());
        tokio::task::spawn_local(async move {
            loop {
                let before = connection.reader.payload;
                match connection.piece().await {
                    Ok(false) => bytes.set(bytes.get() + connection.reader.payload - before),
                    Ok(true) => break failure.set(Some(anyhow::anyhow!("a stream ended early"))),
                    Err(error) => break failure.set(Some(error)),
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (cpu, from, began) = (Cpu::of(&order.pids), bytes.get(), Instant::now());
    tokio::time::sleep(order.window).await;
    let (seconds, to) = (began.elapsed().as_secs_f64(), bytes.get());
    let used = Cpu::of(&order.pids).since(cpu);
    if let Some(error) = failure.take() {
        return Err(error);
    }
    let chunks = (to - from) as f64 / wire::LINE.len() as f64;
    let wanted = seconds * 50.0 * order.connections as f64;
    ensure!(
        chunks > wanted * 0.8,
        "only {chunks:.0} of {wanted:.0} chunks came through: the machine is too busy"
    );
    Ok(Outcome {
        units: chunks,
        seconds,
        cpu_ns: used.all as f64,
        path_ns: used.path as f64,
        ..Outcome::default()
    })
}

/// Streams that have begun and then say nothing.
async fn idle(order: &Order, request: Rc<[u8]>) -> anyhow::Result<Outcome> {
    let unary = Wish::UNARY.request(&question(), None, order.secret.as_deref());
    let mut first = Connection::open(order.target).await?;
    for _ in 0..100 {
        first.ask(&unary).await?;
        first.answer().await?;
        check_answer(&first.reader)?;
    }
    let base_bytes = process::resident_bytes(&order.pids) as f64;
    let mut open = Vec::new();
    let expected = 3 * wire::LINE.len() as u64;
    while open.len() < order.connections {
        let batch = (order.connections - open.len()).min(50);
        let tasks: Vec<_> = (0..batch)
            .map(|_| {
                let (target, request) = (order.target, request.clone());
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::open(target).await?;
                    connection.ask(&request).await?;
                    while connection.reader.payload < expected {
                        ensure!(!connection.piece().await?, "a stream ended early");
                    }
                    anyhow::Ok(connection)
                })
            })
            .collect();
        for task in tasks {
            open.push(task.await??);
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let full_bytes = process::resident_bytes(&order.pids) as f64;
    Ok(Outcome { units: open.len() as f64, base_bytes, full_bytes, ..Outcome::default() })
}

/// One client connection.
struct Connection {
    socket: TcpStream,
    reader: Reader,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(target: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(target).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, reader: Reader::new(Side::Client), buffer: vec![0; 16 << 10] })
    }

    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.reader.reset();
        Ok(self.socket.write_all(request).await?)
    }

    /// Reads once; true at the end of the answer.
    async fn piece(&mut self) -> anyhow::Result<bool> {
        let length = self.socket.read(&mut self.buffer).await?;
        ensure!(length > 0, "the connection ended within an answer");
        self.reader.feed(&self.buffer[..length])
    }

    async fn answer(&mut self) -> anyhow::Result<()> {
        while !self.piece().await? {}
        Ok(())
    }
}

fn check_answer(reader: &Reader) -> anyhow::Result<()> {
    reader.expect_ok()?;
    let expected = wire::ANSWER.len() as u64;
    if reader.payload != expected {
        bail!("an answer has {} bytes instead of {expected}", reader.payload);
    }
    Ok(())
}

fn check_stream(reader: &Reader, lines: u64) -> anyhow::Result<()> {
    reader.expect_ok()?;
    let expected = lines * wire::LINE.len() as u64 + wire::LAST_LINE.len() as u64;
    if reader.payload != expected {
        bail!("a stream has {} bytes instead of {expected}", reader.payload);
    }
    Ok(())
}

/// The user's message of a small request, which makes its body about 300 bytes.
fn question() -> String {
    "Why is the sky blue? Answer in one sentence, and say what an astronaut would see instead.".to_owned()
}

/// 4 MiB of text with the escapes prose has in JSON: a line break every 80 bytes, quotes here and there.
fn document() -> String {
    let line = r"It was the best of times, it was the worst of times, said the book; \u201cread\u201d it.\n";
    let quote = r#"\"Recalled to life,\" said the messenger, and rode on through the mud and the night.\n"#;
    let paragraph = [line, line, line, quote].concat();
    paragraph.repeat((4 << 20) / paragraph.len())
}

/// 4 MiB of base64, as an image is sent.
fn images() -> String {
    let text = "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO";
    format!(r#"["{}"]"#, text.repeat((4 << 20) / text.len()))
}
