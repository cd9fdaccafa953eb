//! One fake node as a process, for tests written in other languages and for trying things by hand.
//!
//! `fake-node [--kind ollama|openai] [--listen ADDR] [--model NAME]... [--delay-ms N] [--tokens N] [--version V]
//! [--lacks PATH]...`
//!
//! Prints `listening on URL`. `GET /__fake/requests` returns the requests it got, and how each ended.
#![allow(clippy::unwrap_used, reason = "a test tool fails by panicking")]

use std::{net::SocketAddr, time::Duration};

use aivonx_tests::fake::{FakeNode, Kind};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut kind = Kind::Ollama;
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut models: Vec<String> = Vec::new();
    let mut delay = Duration::ZERO;
    let mut tokens = 0;
    let (mut version, mut lacks) = (None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{argument} wants a value"));
        match argument.as_str() {
            "--kind" if value == "openai" => kind = Kind::Openai,
            "--kind" if value == "ollama" => kind = Kind::Ollama,
            "--listen" => listen = value.parse().expect("an address"),
            "--model" => models.push(value),
            "--delay-ms" => delay = Duration::from_millis(value.parse().expect("milliseconds")),
            "--version" => version = Some(value),
            "--lacks" => lacks.push(value),
            "--tokens" => tokens = value.parse().expect("a count"),
            _ => panic!("unknown argument {argument} {value}"),
        }
    }
    if models.is_empty() {
        models.push("m:latest".to_owned());
    }
    let names: Vec<&str> = models.iter().map(String::as_str).collect();
    let node = FakeNode::start_at(kind, &names, listen).await;
    node.delay(delay);
    node.with(|s| {
        s.version = version.unwrap_or(std::mem::take(&mut s.version));
        s.lacks = lacks;
    });
    if tokens > 0 {
        node.with(|s| s.tokens = (0..tokens).map(|n| format!(" {n}")).collect());
    }
    println!("listening on {}", node.url());
    std::future::pending::<()>().await;
}
