use std::{sync::Arc, time::Duration};

use aivonx_domain::access::{AccessRecord, Outcome, Subject};
use aivonx_protocol::{
    node::{AdminState, Pool},
    privacy::Category,
};

use super::{
    super::{
        access_queue,
        gauges::{AuditGauges, Gauges, NodeGauge, Refusals},
        metrics::Metrics,
        queue::Losses,
    },
    access::record,
};

fn metrics() -> Metrics {
    Metrics::new(Arc::new(Losses::default()), access_queue::channel().0)
}

fn node(name: &str, pool: Pool, admin_state: AdminState) -> NodeGauge {
    NodeGauge { name: name.into(), pool, admin_state, active: 2, latency: Some(Duration::from_millis(4)) }
}

/// The page without what differs from run to run.
fn page(metrics: &Metrics, gauges: &Gauges) -> String {
    let stable = |line: &&str| !line.starts_with("process_") && !line.contains("_bucket{");
    metrics.render(gauges).lines().filter(stable).map(|l| format!("{l}\n")).collect()
}

#[test]
fn the_page_is_as_documented() {
    let metrics = metrics();
    let none = AccessRecord {
        model: None,
        node: None,
        status: 404,
        outcome: Outcome::Refused,
        prompt_tokens: None,
        output_tokens: None,
        first_byte: None,
        ..record()
    };
    let odd = AccessRecord { model: Some("a\"b\\c\nd".into()), retries: 2, ..record() };
    let mut paid = AccessRecord { cost: 1_250_000, ..record() };
    paid.subject = Some(Arc::new(Subject {
        organization: Some(("id-acme".into(), "acme".into())),
        ..Subject::default()
    }));
    paid.findings.add(Category::Email);
    paid.answer_findings.add(Category::Card);
    metrics.count(&[record(), paid, none, odd]);
    let gauges = Gauges {
        nodes: vec![
            node("gpu2", Pool::Active, AdminState::Draining),
            NodeGauge { latency: None, ..node("gpu1", Pool::Active, AdminState::Enabled) },
        ],
        active_streams: 3,
        waiting: 4,
        connections: 5,
        connections_closed: vec![("full", 3), ("malformed", 1)],
        store_errors: 1,
        store_failed: false,
        store_flush: Some(Duration::from_micros(150)),
        refusals: Refusals {
            login_failures: 6,
            lockouts: 1,
            denials: 7,
            cross_organization: 2,
            limits: std::array::from_fn(|at| at as u64),
        },
        audit: AuditGauges {
            written: 7,
            pending: 1,
            lag: Duration::from_millis(2),
            failures: 0,
            checkpointed: Some(1_700_000_000_000),
            intact: Some(true),
        },
        usage_lost: 3,
        certificates_until: Some(1_800_000_000),
        certificates_failed: 2,
        budgets: None,
    };
    let got = page(&metrics, &gauges);
    let want = include_str!("metrics.txt").replace("{VERSION}", env!("CARGO_PKG_VERSION"));
    assert_eq!(got, want, "\n{got}");
}

#[test]
fn buckets_are_cumulative_and_end_in_infinity() {
    let metrics = metrics();
    metrics.count(&[record(), AccessRecord { duration: Duration::from_secs(1000), ..record() }]);
    let text = metrics.render(&Gauges::default());
    let bucket =
        |le: &str| format!("aivonx_request_duration_seconds_bucket{{le=\"{le}\",route=\"/api/chat\"}}");
    for (le, count) in [("0.01", 0), ("0.025", 1), ("600.0", 1), ("+Inf", 2)] {
        assert!(text.contains(&format!("{} {count}\n", bucket(le))), "{le}: {text}");
    }
}

#[test]
fn a_removed_node_takes_its_counts_along() {
    let metrics = metrics();
    let gauges = Gauges { nodes: vec![node("gpu1", Pool::Active, AdminState::Enabled)], ..Gauges::default() };
    let other = AccessRecord { node: None, ..record() };
    metrics.count(&[record(), other]);
    assert!(metrics.render(&gauges).contains("node=\"gpu1\""));
    let text = metrics.render(&Gauges::default());
    assert!(!text.contains("gpu1"), "{text}");
    assert!(text.contains(
        "aivonx_requests_total{route=\"/api/chat\",model=\"llama3.2:latest\",node=\"\",status=\"200\"} 1\n"
    ));
    assert_eq!(metrics.requests_total(), 2);
}

#[test]
fn label_sets_are_bounded() {
    let metrics = metrics();
    for i in 0..6000 {
        metrics.count(&[AccessRecord { model: Some(format!("m{i}").into()), ..record() }]);
    }
    let text = metrics.render(&Gauges::default());
    let sets = text.lines().filter(|l| l.starts_with("aivonx_requests_total{")).count();
    assert_eq!(sets, 5001);
    assert!(text.contains("model=\"\",node=\"gpu1\",status=\"200\"} 1000\n"));
}

#[test]
fn an_organization_is_given_its_share_alone() {
    let metrics = metrics();
    let of = |id: &str| {
        let organization = Some((id.into(), id.into()));
        Some(Arc::new(Subject { organization, user: None, key: None }))
    };
    let request = |model: &str, subject| AccessRecord { model: Some(model.into()), subject, ..record() };
    let records = [
        request("for-acme", of("acme")),
        request("for-both", of("acme")),
        request("for-both", of("other")),
        request("for-other", of("other")),
        request("for-nobody", None),
    ];
    metrics.count(&records);
    let nodes = vec![
        node("gpu1", Pool::Active, AdminState::Enabled),
        node("gpu2", Pool::Active, AdminState::Enabled),
    ];
    let whole = metrics.render(&Gauges { nodes: nodes.clone(), ..Gauges::default() });
    assert!(whole.contains("model=\"for-both\",node=\"gpu1\",status=\"200\"} 2\n"), "{whole}");

    assert!(whole.contains("aivonx_organization_tokens_total{organization=\"other\",model=\"for-both\""));
    let share = metrics.render_share(Some("acme"), nodes[1..].to_vec());
    for own in ["for-acme", "for-both", "node=\"gpu2\"", "aivonx_tokens"] {
        assert!(share.contains(own), "{own}: {share}");
    }
    assert!(share.contains("model=\"for-both\",node=\"gpu1\",status=\"200\"} 1\n"), "{share}");
    for foreign in [
        "for-other",
        "for-nobody",
        "{node=\"gpu1\"",
        "organization=\"other\"",
        "connections",
        "process_",
        "outcomes",
    ] {
        assert!(!share.contains(foreign), "{foreign}: {share}");
    }
    let nobodys = metrics.render_share(None, Vec::new());
    assert!(nobodys.contains("for-nobody") && !nobodys.contains("for-acme"), "{nobodys}");
    // A scrape of a share forgets no node.
    assert!(metrics.render(&Gauges { nodes, ..Gauges::default() }).contains("for-other"));
}
