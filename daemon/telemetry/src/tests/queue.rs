use std::sync::{Arc, Mutex, atomic::Ordering, mpsc};

use aivonx_config::LogFormat;
use aivonx_protocol::log::LogFilter;

use super::{super::hub::Hub, LONG, Rig, Stuck};
use crate::LogScope;

#[test]
fn a_sink_that_stands_still_blocks_nobody_and_losses_are_said() {
    let (let_go, go) = mpsc::channel();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let hub = Hub::default();
    hub.name_sink("a stuck sink");
    let sink = Box::new(Stuck { go, taken: taken.clone(), free: false });
    let rig = Rig::with_sink("info", sink, hub, Arc::default());
    // Would stand still here if the sink could hold it up.
    tracing::dispatcher::with_default(&rig.dispatch, || {
        for i in 0..20_000 {
            tracing::info!("{i}");
        }
    });
    let lost = rig.queue.losses().queue.load(Ordering::Relaxed);
    assert!((10_000..=12_000).contains(&lost), "{lost}");
    let_go.send(()).unwrap();
    assert!(rig.queue.flush(LONG));
    let taken = taken.lock().unwrap();
    let said = format!("{lost} log events were dropped because a stuck sink did not keep up");
    assert!(taken.contains(&said), "{:?}", taken.last());
    // What was not lost came in order.
    let kept: Vec<u32> = taken.iter().filter_map(|m| m.parse().ok()).collect();
    assert!(kept.is_sorted());
    assert_eq!(kept.len() as u64 + lost, 20_000);
    // The reader of the hub sees it, too.
    let page = rig.hub.recent(&LogScope::Everyone, &LogFilter::default(), 1).unwrap();
    assert_eq!(page.events[0].message, said);
    assert_eq!(page.sink, "a stuck sink");
}

#[test]
fn a_flush_gives_up_in_time() {
    let (_let_go, go) = mpsc::channel();
    let sink = Box::new(Stuck { go, taken: Arc::default(), free: false });
    let rig = Rig::with_sink("info", sink, Hub::default(), Arc::default());
    tracing::dispatcher::with_default(&rig.dispatch, || tracing::info!("stuck"));
    assert!(!rig.queue.flush(std::time::Duration::from_millis(20)));
}

#[test]
fn a_busy_log_keeps_its_order_on_the_way_out() {
    let rig = Rig::new("info", LogFormat::Human);
    let lines = rig.lines(|| {
        for i in 0..5000 {
            tracing::info!("{i}");
        }
    });
    let numbers: Vec<u32> = lines.iter().map(|l| l.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..5000));
}
