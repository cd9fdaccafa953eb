//! Any finished requests, for the properties of those who count and log them.

use std::{sync::Arc, time::Duration};

use aivonx_protocol::{limit::LimitName, privacy::Category};
use proptest::{prelude::*, sample::select};
use uuid::Uuid;

use crate::Findings;
use crate::access::{AccessRecord, Outcome, Subject};

/// Up to `most` requests. They share what they are about, as those of a batch do; some of it says the same and is
/// another in memory.
pub fn requests(most: usize) -> impl Strategy<Value = Vec<AccessRecord>> {
    let named = |id: &str, name: &str| Some((Arc::from(id), Arc::from(name)));
    let subject = |organization, user, key| Some(Arc::new(Subject { organization, user, key }));
    let subjects = vec![
        None,
        subject(named("o1", "acme"), named("u1", "alice"), named("k1", "ci")),
        subject(named("o1", "acme"), named("u1", "alice"), named("k1", "ci")),
        // Its organization and its key have other names than before.
        subject(named("o1", "acme-2"), named("u1", "alice"), named("k1", "ci two")),
        subject(named("o2", "other"), None, named("k2", "b\u{e4}r \"q\"")),
        subject(None, named("u3", "root"), None),
    ];
    let text = |text: &str| Some(Arc::from(text));
    let models =
        vec![None, text("llama3.2:latest"), text("llama3.2:latest"), text("m\u{202e}2"), text("a\\b c")];
    let nodes = vec![None, text("gpu1"), text("gpu2")];
    let routes =
        vec!["/api/chat", "/v1/chat/completions", "/api/show", "/health", "/v1/models/:model", "unknown"];
    let ms = prop_oneof![3 => 0..900_u64, 1 => 0..400_000_u64];
    let span = ms.prop_map(Duration::from_millis);
    let tokens = prop::option::of(prop_oneof![0..2000_u64, Just(u64::MAX / 1000)]);
    let about = (select(subjects), select(models.clone()), select(models), select(nodes), select(routes));
    let ending = (
        select(vec![200, 200, 200, 404, 429, 502, 0_u16]),
        select(Outcome::ALL.to_vec()),
        0..3_u8,
        any::<u128>(),
    );
    let counts = (0..9000_u64, 0..9000_u64, tokens.clone(), tokens, 0..3_u64, any::<bool>());
    let times = (span.clone(), prop::option::of(span.clone()), prop::option::of(span), any::<u8>());
    let odd = (
        prop::option::weighted(0.1, select(vec!["reset \u{1b}[2J", "Bearer abcdefgh", "gone"])),
        prop::option::weighted(0.1, select(vec!["mine", "a=b", ""])),
        prop::option::weighted(0.1, select(LimitName::ALL.to_vec())),
        prop::collection::vec(select(Category::ALL.to_vec()), 0..2),
        any::<bool>(),
    );
    let one = (about, ending, counts, times, odd).prop_map(|(about, ending, counts, times, odd)| {
        let (subject, model, served, node, route) = about;
        let (status, outcome, retries, id) = ending;
        let (bytes_in, bytes_out, prompt_tokens, output_tokens, cost, estimated) = counts;
        let (duration, first_byte, queued, client) = times;
        let (error, client_request_id, limit, found, v6) = odd;
        let mut findings = Findings::default();
        found.into_iter().for_each(|category| findings.add(category));
        let client = if v6 {
            [0, 0, 0, 0, 0, 0, 0, u16::from(client) % 3].into()
        } else {
            [10, 0, 0, client % 3].into()
        };
        let mut record = AccessRecord::new(Uuid::from_u128(id), client, http::Method::POST);
        if status == 404 {
            record.method = http::Method::GET;
        }
        AccessRecord {
            client_request_id: client_request_id.map(Into::into),
            subject,
            route,
            model,
            served,
            node,
            status,
            outcome,
            error: error.map(Into::into),
            retries,
            bytes_in,
            bytes_out,
            prompt_tokens,
            output_tokens,
            estimated,
            cost,
            limit,
            findings,
            answer_findings: findings,
            queued,
            first_byte,
            duration,
            ..record
        }
    });
    prop::collection::vec(one, 0..most)
}
