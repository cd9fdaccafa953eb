use std::{
    os::unix::net::UnixDatagram,
    sync::{Arc, Mutex, atomic::Ordering, mpsc},
};

use aivonx_protocol::log::LogFilter;

use super::{
    super::{hub::Hub, journald::Journald},
    LONG, Rig, Stuck,
};
use crate::config::LogFormat;

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
    let lost = rig.pipe.losses().queue.load(Ordering::Relaxed);
    assert!((10_000..=12_000).contains(&lost), "{lost}");
    let_go.send(()).unwrap();
    assert!(rig.pipe.flush(LONG));
    let taken = taken.lock().unwrap();
    let said = format!("{lost} log events were dropped because a stuck sink did not keep up");
    assert!(taken.contains(&said), "{:?}", taken.last());
    // What was not lost came in order.
    let kept: Vec<u32> = taken.iter().filter_map(|m| m.parse().ok()).collect();
    assert!(kept.is_sorted());
    assert_eq!(kept.len() as u64 + lost, 20_000);
    // The reader of the hub is told, too.
    let page = rig.hub.recent(&LogFilter::default(), 1).unwrap();
    assert_eq!(page.events[0].message, said);
    assert_eq!(page.sink, "a stuck sink");
}

#[test]
fn a_flush_gives_up_in_time() {
    let (_let_go, go) = mpsc::channel();
    let sink = Box::new(Stuck { go, taken: Arc::default(), free: false });
    let rig = Rig::with_sink("info", sink, Hub::default(), Arc::default());
    tracing::dispatcher::with_default(&rig.dispatch, || tracing::info!("stuck"));
    assert!(!rig.pipe.flush(std::time::Duration::from_millis(20)));
}

#[test]
fn the_journal_gets_fields_and_priorities() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(LONG)).unwrap();
    let sink = Box::new(Journald::open(&path).unwrap());
    let rig = Rig::with_sink("debug", sink, Hub::default(), Arc::default());
    let mut buffer = vec![0; 1 << 20];
    assert_eq!(journal.recv(&mut buffer).unwrap(), 0);
    tracing::dispatcher::with_default(&rig.dispatch, || {
        tracing::warn!(
            node = "gpu1",
            request_id = "r1",
            status = 502,
            event = "node_failed",
            "gone\n\u{1b}[2J"
        );
        tracing::debug!("fine print");
    });
    let mut receive = || {
        let n = journal.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    };
    assert_eq!(
        receive(),
        "PRIORITY=4\nSYSLOG_IDENTIFIER=aivonxd\nAIVONX_TARGET=telemetry::tests::pipe\nMESSAGE=gone\\n\\u{1b}[2J\n\
         AIVONX_NODE=gpu1\nAIVONX_REQUEST_ID=r1\nAIVONX_STATUS=502\nAIVONX_EVENT=node_failed\n"
    );
    assert!(receive().starts_with("PRIORITY=7\n"));
    // journald is restarted: its socket goes and comes back, and nothing is lost.
    drop(journal);
    std::fs::remove_file(&path).unwrap();
    tracing::dispatcher::with_default(&rig.dispatch, || tracing::error!("meanwhile"));
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(LONG)).unwrap();
    let n = journal.recv(&mut buffer).unwrap();
    assert!(String::from_utf8_lossy(&buffer[..n]).contains("MESSAGE=meanwhile\n"));
    assert!(rig.pipe.flush(LONG));
    assert_eq!(rig.pipe.losses().write.load(Ordering::Relaxed), 0);
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
