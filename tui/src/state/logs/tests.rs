use super::*;

fn event(seq: u64, message: &str) -> LogEvent {
    LogEvent {
        seq,
        time: seq,
        level: Level::Info,
        target: "t".into(),
        message: message.into(),
        fields: vec![("status".into(), (400 + seq % 200).to_string())],
    }
}

/// Lets a filter look at all there is.
fn searched(logs: &mut Logs) {
    while logs.is_searching() {
        logs.search();
    }
}

/// Whether it was taken is of no interest.
fn let_go(_: bool) {}

fn seq(logs: &Logs) -> u64 {
    logs.chosen().unwrap().seq
}

#[test]
fn who_looks_back_keeps_the_place() {
    let mut logs = Logs::default();
    (1..11).for_each(|seq| let_go(logs.push(&event(seq, "a"))));
    assert_eq!(logs.at(), 9);
    logs.go(1);
    assert!(logs.follow, "at the end one goes on following");
    logs.go(-4);
    (11..21).for_each(|seq| let_go(logs.push(&event(seq, "b"))));
    assert_eq!((seq(&logs), logs.follow), (6, false));
    logs.set_filter(Filter::parse("b").unwrap());
    assert_eq!(seq(&logs), 11, "the next one shown");
    logs.set_filter(None);
    assert_eq!(seq(&logs), 6, "and back where one stood");
    logs.last();
    logs.push(&event(21, "b"));
    assert_eq!(seq(&logs), 21);
}

#[test]
fn the_oldest_go_while_one_follows_and_none_while_one_looks() {
    let mut logs = Logs::default();
    (1..=KEPT as u64 + 500).for_each(|seq| assert!(logs.push(&event(seq, "a"))));
    assert_eq!((logs.counts(), logs.oldest()), ((KEPT, KEPT), Some(501)));
    logs.first();
    assert!(!logs.push(&event(KEPT as u64 + 501, "a")), "the place would be lost");
    assert!(logs.held);
    assert_eq!((seq(&logs), logs.newest()), (501, Some((KEPT as u64 + 500, KEPT as u64 + 500))));
    logs.set_filter(Filter::parse("status:>=598").unwrap());
    assert!(logs.is_searching(), "not all at once");
    assert!(logs.count() > 0, "the newest first");
    searched(&mut logs);
    assert_eq!(logs.counts().0, KEPT / 100);
    logs.last();
    logs.release();
    assert!(logs.push(&event(KEPT as u64 + 501, "a")));
    assert_eq!(logs.counts(), (KEPT / 100, KEPT));
    logs.clear();
    logs.push(&event(1, "a"));
    assert_eq!(logs.counts(), (0, 1));
}

#[test]
fn older_ones_come_before_the_place() {
    let mut logs = Logs::default();
    (5000..5100).for_each(|seq| let_go(logs.push(&event(seq, "a"))));
    logs.go(-50);
    let before = seq(&logs);
    logs.set_filter(Filter::parse("a").unwrap());
    let past: Vec<_> = (3000..5000).map(|seq| LogEvent { seq: 0, ..event(seq, "a") }).collect();
    logs.older(&past, false);
    searched(&mut logs);
    assert_eq!((seq(&logs), logs.counts(), logs.oldest()), (before, (2100, 2100), Some(3000)));
    assert!(logs.go_to(4000));
    assert_eq!(logs.chosen().unwrap().time, 4000);
    assert!(!logs.go_to(9000));
    assert_eq!(logs.chosen().unwrap().time, 5099, "the last there is");
    logs.set_filter(None);
    // More than there is room for: the newest go, and the feed does not go on behind the hole.
    let past: Vec<_> = (0..KEPT as u64).map(|seq| LogEvent { seq: 0, ..event(seq / 40, "p") }).collect();
    logs.older(&past, true);
    assert!(logs.held && logs.all && !logs.follow);
    assert!(!logs.push(&event(5100, "a")));
    logs.last();
    logs.release();
    assert_eq!((logs.counts(), logs.newest()), ((0, 0), None), "anew, without a hole");
}

#[test]
fn what_was_lost_stands_where_it_would_be() {
    let mut logs = Logs::default();
    logs.push(&event(1, "a"));
    logs.lost(70, 9);
    logs.push(&event(72, "b"));
    assert_eq!((logs.missed, logs.count(), logs.newest()), (70, 3, Some((72, 72))));
    assert!(logs.shown(1).unwrap().message().starts_with("70 events dropped"));
}

#[test]
fn searching_goes_round() {
    let mut logs = Logs::default();
    (1..=100).for_each(|seq| let_go(logs.push(&event(seq, if seq % 10 == 0 { "ten" } else { "a" }))));
    assert!(!logs.find(true), "nothing was searched for");
    logs.set_filter(Filter::parse("ten").unwrap());
    logs.set_filter(None);
    assert!(logs.find(false));
    assert_eq!(seq(&logs), 90);
    assert!(logs.find(true) && logs.find(true));
    assert_eq!(seq(&logs), 10);
}
