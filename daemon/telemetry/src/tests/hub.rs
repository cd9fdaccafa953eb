use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use aivonx_domain::{AccessRecord, access::Subject};
use aivonx_protocol::log::{Level, LogFilter};
use futures_util::FutureExt as _;

use crate::LogScope;

use super::{
    super::{hub::*, record::Record, view::Bunch},
    LONG,
};

fn record(message: &str) -> Record {
    Record::own(Level::Info, "test", message)
}

fn messages(hub: &Hub, filter: &LogFilter, lines: u32) -> Vec<String> {
    hub.recent(&LogScope::Everyone, filter, lines).unwrap().events.into_iter().map(|e| e.message).collect()
}

async fn next(follow: &mut Follow) -> FollowItem {
    tokio::time::timeout(LONG, follow.next()).await.unwrap()
}

#[test]
fn the_newest_come_back_oldest_first() {
    let hub = Hub::with_capacity(4, usize::MAX);
    assert_eq!(hub.recent(&LogScope::Everyone, &LogFilter::default(), 10).unwrap().oldest, None);
    for i in 1..=6 {
        hub.put(record(&i.to_string()));
    }
    assert_eq!(messages(&hub, &LogFilter::default(), 10), ["3", "4", "5", "6"]);
    assert_eq!(messages(&hub, &LogFilter::default(), 2), ["5", "6"]);
    assert!(hub.recent(&LogScope::Everyone, &LogFilter::default(), 10).unwrap().oldest.is_some());
}

#[test]
fn filters_are_those_of_the_protocol() {
    let hub = Hub::default();
    hub.put(Record::own(Level::Debug, "test", "fine print"));
    hub.put(Record::own(Level::Warn, "odd", "a node is odd"));
    hub.put(Record::own(Level::Error, "bad", "worse"));
    let all = LogFilter { level: Some(Level::Trace), ..LogFilter::default() };
    assert_eq!(messages(&hub, &all, 10).len(), 3);
    assert_eq!(messages(&hub, &LogFilter::default(), 10), ["a node is odd", "worse"]);
    let grep = |re: &str| LogFilter { grep: Some(re.into()), ..LogFilter::default() };
    assert_eq!(messages(&hub, &grep("^a.*odd$"), 10), ["a node is odd"]);
    assert_eq!(messages(&hub, &grep("^bad$"), 10), ["worse"]);
    // The line as it is printed, its time included.
    for printed in ["event=bad", r"^20\d\d-\d\d-\d\d [0-9:]{8} ERROR \S+: worse event=bad"] {
        assert_eq!(messages(&hub, &grep(printed), 10), ["worse"], "{printed}");
    }
    assert!(messages(&hub, &grep("event=ba$"), 10).is_empty());
    let future = LogFilter { since: Some(u64::MAX), ..LogFilter::default() };
    assert!(messages(&hub, &future, 10).is_empty());
    let node = LogFilter { node: Some("gpu1".into()), ..LogFilter::default() };
    assert!(messages(&hub, &node, 10).is_empty());
    assert_eq!(
        hub.recent(&LogScope::Everyone, &grep("a(b"), 1).unwrap_err().to_string(),
        "grep: `a(b` is not a regular expression: unclosed group; put a backslash before characters meant as they are"
    );
    assert!(
        hub.recent(&LogScope::Everyone, &grep(r"(\w{500}){500}"), 1)
            .unwrap_err()
            .to_string()
            .contains("too large")
    );
    assert!(
        hub.recent(&LogScope::Everyone, &grep(&"a".repeat(2000)), 1)
            .unwrap_err()
            .to_string()
            .contains("2000 bytes long")
    );
}

#[test]
fn memory_is_bounded_by_bytes_too() {
    let hub = Hub::with_capacity(1000, 100_000);
    for i in 0..1000 {
        hub.put(record(&format!("{i} {}", "x".repeat(1000))));
        assert!(hub.bytes() <= 100_000 + 2000, "{}", hub.bytes());
    }
    let kept = messages(&hub, &LogFilter::default(), 1000);
    assert!((70..100).contains(&kept.len()), "{}", kept.len());
    assert!(kept.last().unwrap().starts_with("999 "));
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed() {
    let hub = Hub::with_capacity(10, usize::MAX);
    hub.put(record("before"));
    let mut follow = hub.follow(&LogScope::Everyone, &LogFilter::default(), 5).unwrap();
    for i in 0..25 {
        hub.put(record(&i.to_string()));
    }
    let FollowItem::Event(first) = next(&mut follow).await else { panic!("the past comes first") };
    assert_eq!(first.message, "before");
    assert_eq!(next(&mut follow).await, FollowItem::Missed(15));
    for i in 15..25 {
        let FollowItem::Event(event) = next(&mut follow).await else { panic!("nothing else is missed") };
        assert_eq!(event.message, i.to_string());
    }
    // A reader that waits sees what comes.
    let waiting = tokio::spawn(async move { next(&mut follow).await });
    hub.put(record("after"));
    assert!(matches!(waiting.await.unwrap(), FollowItem::Event(e) if e.message == "after"));
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let hub = Hub::with_capacity(10, usize::MAX);
    (1..=4).for_each(|i| drop(hub.put(record(&i.to_string()))));
    let behind = |after| LogFilter { after: Some(after), ..LogFilter::default() };
    assert_eq!(messages(&hub, &behind(2), 10), ["3", "4"]);
    // However few lines of the past are asked for.
    let mut follow = hub.follow(&LogScope::Everyone, &behind(3), 0).unwrap();
    assert!(matches!(next(&mut follow).await, FollowItem::Event(event) if event.message == "4"));
    (5..=25).for_each(|i| drop(hub.put(record(&i.to_string()))));
    let mut follow = hub.follow(&LogScope::Everyone, &behind(4), 10).unwrap();
    assert_eq!(next(&mut follow).await, FollowItem::Missed(11));
    for i in 16..=25 {
        let FollowItem::Event(event) = next(&mut follow).await else { panic!("nothing else is missed") };
        assert_eq!(event.seq, i);
    }
    // A number from before a restart says nothing.
    assert_eq!(messages(&hub, &behind(70_000), 2), ["24", "25"]);
    let mut follow = hub.follow(&LogScope::Everyone, &behind(70_000), 1).unwrap();
    assert!(matches!(next(&mut follow).await, FollowItem::Event(event) if event.seq == 25));
}

#[test]
fn many_writers_lose_no_order_and_wait_for_no_reader() {
    const EACH: u64 = 50_000;
    let hub = Hub::default();
    let mut follow = hub.follow(&LogScope::Everyone, &LogFilter::default(), 0).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let reader = s.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let (mut seen, mut missed, mut last_seq) = (0, 0, 0);
                let mut last = [-1i64; 2];
                while seen + missed < 2 * EACH {
                    match next(&mut follow).await {
                        FollowItem::Missed(n) => missed += n,
                        FollowItem::Event(e) => {
                            assert!(e.seq > last_seq);
                            last_seq = e.seq;
                            let (writer, i) = e.message.split_once(' ').unwrap();
                            let (writer, i): (usize, i64) = (writer.parse().unwrap(), i.parse().unwrap());
                            assert!(i > last[writer], "writer {writer}: {i} after {}", last[writer]);
                            last[writer] = i;
                            seen += 1;
                        }
                    }
                }
                seen
            })
        });
        // Someone who asks for pages all the time is in nobody's way either.
        let pager = s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(
                    hub.recent(&LogScope::Everyone, &LogFilter::default(), 100)
                        .unwrap()
                        .events
                        .is_sorted_by_key(|e| e.seq)
                );
            }
        });
        let begin = Instant::now();
        let writers = [0, 1].map(|writer| {
            let hub = hub.clone();
            s.spawn(move || {
                for i in 0..EACH {
                    hub.put(record(&format!("{writer} {i}")));
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        let rate = 2.0 * EACH as f64 / begin.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        pager.join().unwrap();
        let seen = reader.join().unwrap();
        eprintln!(
            "{rate:.0} events a second with two readers at work; the follower saw {seen} of {}",
            2 * EACH
        );
    });
}

#[tokio::test]
async fn an_organization_reads_its_own_events_alone() {
    let hub = Hub::default();
    let of = |id: &str| {
        let organization = Some((id.into(), "slug".into()));
        Some(Arc::new(Subject { organization, user: None, key: None }))
    };
    let request = |model: &str, subject| {
        let request = AccessRecord { model: Some(model.into()), subject, ..super::access::record() };
        Bunch::new(1, vec![request])
    };
    let text = |message: &str, organization: &str| {
        Record::about(Level::Info, message, &[("organization", organization)])
    };
    let fill = || {
        hub.put(record("the fleet's"));
        hub.put_all(request("acme-request", of("acme")));
        hub.put_all(request("other-request", of("other")));
        hub.put_all(request("nobody", None));
        hub.put(text("acme text", "acme"));
        hub.put(text("other text", "other"));
        hub.put(Record::about(Level::Info, "acme", &[("reason", "acme"), ("org", "acme")]));
    };
    fill();
    let read = |whose: &LogScope, filter: &LogFilter| {
        let page = hub.recent(whose, filter, 100).unwrap();
        page.events.into_iter().map(|e| e.message).collect::<Vec<_>>()
    };
    let acme = LogScope::Organization("acme".into());
    let all = LogFilter::default();
    let own = read(&acme, &all);
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own[0].contains("acme-request") && own[1] == "acme text");
    assert_eq!((read(&LogScope::Everyone, &all).len(), read(&LogScope::Nobody, &all).len()), (7, 0));
    let filter = |id: &str| LogFilter { organization: Some(id.into()), ..LogFilter::default() };
    assert_eq!(read(&LogScope::Everyone, &filter("acme")), own);
    assert_eq!(read(&acme, &filter("acme")), own);
    assert!(read(&acme, &filter("other")).is_empty());
    let grep = LogFilter { grep: Some("other|nobody|fleet".into()), ..LogFilter::default() };
    assert!(read(&acme, &grep).is_empty());

    let mut follow = hub.follow(&acme, &all, 1).unwrap();
    fill();
    for expected in ["acme text", "acme-request", "acme text"] {
        let FollowItem::Event(event) = next(&mut follow).await else { panic!("{expected}") };
        assert!(event.message.contains(expected), "{event:?}");
    }
    assert!(follow.next().now_or_never().is_none());
}
