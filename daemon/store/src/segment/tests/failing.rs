//! Disks that fail.

use std::os::unix::fs::MetadataExt as _;

use proptest::prelude::*;

use super::*;

#[test]
fn a_failed_write_changes_nothing_and_may_be_tried_again() {
    let rig = Rig { limits: Limits::default(), ..Rig::new() };
    let log = rig.whole();
    fill(&log, 1);
    for no_cut in [false, true] {
        let last = log.next() - 1;
        rig.disk.no_cut.store(no_cut, Ordering::Relaxed);
        rig.disk.write_in.store(1, Ordering::Relaxed);
        assert!(append(&log, 3).is_err());
        assert!(log.trouble().is_some());
        assert_eq!((log.next(), read(&log)), (last + 1, all(1..=last)));
        if no_cut {
            assert!(append(&log, 1).is_err(), "part of the group is still behind");
        }
        rig.disk.no_cut.store(false, Ordering::Relaxed);
        log.mend();
        assert_eq!(log.trouble(), None);
        fill(&log, 1);
        assert_eq!(read(&rig.whole()), all(1..=last + 2));
    }
}

#[test]
fn what_a_failed_sync_may_have_dropped_is_written_again_or_given_up() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 1);
    let (one, two) = (append(&log, 1).unwrap(), append(&log, 1).unwrap());
    rig.disk.sync_in.store(1, Ordering::Relaxed);
    log.sync(&one).unwrap();
    log.sync(&two).unwrap();
    assert_eq!((rig.files().len(), read(&log)), (2, all(1..=4)));
    assert_eq!(read(&rig.whole()), all(1..=4));

    let (three, four) = (append(&log, 1).unwrap(), append(&log, 1).unwrap());
    rig.disk.sync_in.store(1, Ordering::Relaxed);
    rig.disk.no_create.store(true, Ordering::Relaxed);
    assert!(log.sync(&three).is_err());
    assert!(log.trouble().is_some());
    assert!(log.sync(&four).is_err());
    log.sync(&two).unwrap();
    assert_eq!((log.next(), read(&log)), (5, all(1..=4)));
    assert!(append(&log, 1).is_err());
    rig.disk.no_create.store(false, Ordering::Relaxed);
    let again = append(&log, 1).unwrap();
    assert!(log.sync(&four).is_err(), "another frame has its number");
    log.sync(&again).unwrap();
    assert_eq!(log.trouble(), None);
    assert_eq!(read(&rig.whole()), all(1..=5));
}

#[test]
fn without_a_new_file_a_full_segment_grows() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 1);
    rig.disk.no_create.store(true, Ordering::Relaxed);
    fill(&log, 20);
    assert_eq!(rig.files().len(), 1);
    rig.disk.no_create.store(false, Ordering::Relaxed);
    fill(&log, 1);
    assert_eq!((rig.files().len(), read(&rig.whole())), (2, all(1..=44)));
}

#[test]
fn on_a_full_disk_what_is_reserved_is_written_and_more_changes_nothing() {
    let rig = Rig { limits: Limits::default(), ..Rig::new() };
    let log = rig.whole();
    fill(&log, 1);
    log.look().unwrap();
    rig.disk.no_room.store(true, Ordering::Relaxed);
    let written = || fs::metadata(&rig.files()[0]).unwrap().len();
    let error = loop {
        match append(&log, 200) {
            Ok(group) => log.sync(&group).unwrap(),
            Err(error) => break error,
        }
        // It is told while there is still something left of it.
        assert!(written() < 300 << 10 || log.look().is_err());
    };
    assert!(written() > 400 << 10 && error.wants_room(), "{}: {error}", written());
    assert!(log.trouble().is_some());
    // What is smaller may still have its place.
    fill(&log, 1);
    assert_eq!(read(&log), all(1..=log.next() - 1));
    rig.disk.no_room.store(false, Ordering::Relaxed);
    log.sync(&append(&log, 200).unwrap()).unwrap();
    log.look().unwrap();
    assert_eq!(log.trouble(), None);
    let last = log.next() - 1;
    drop(log);
    assert_eq!(read(&rig.whole()), all(1..=last));
}

#[test]
fn a_segment_that_is_full_gives_back_what_it_had_reserved() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 20);
    let closed = rig.files();
    assert!(closed.len() > 3);
    for path in &closed[..closed.len() - 1] {
        assert!(fs::metadata(path).unwrap().blocks() * 512 < 128 << 10, "{}", path.display());
    }
}

#[derive(Debug, Clone)]
enum Act {
    Append(u64),
    Sync,
    Roll,
    Forget(u64),
    Reopen,
    FailWrite,
    FailSync,
    Create(bool),
    Cut(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (1u64..4).prop_map(Act::Append),
        5 => Just(Act::Sync),
        1 => Just(Act::Roll),
        1 => (0u64..8).prop_map(Act::Forget),
        2 => Just(Act::Reopen),
        2 => Just(Act::FailWrite),
        2 => Just(Act::FailSync),
        1 => any::<bool>().prop_map(Act::Create),
        1 => any::<bool>().prop_map(Act::Cut),
    ];
    proptest::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_fails_what_was_acknowledged_is_there(acts in acts()) {
        let rig = Rig::new();
        let (mut log, mut last) = (rig.whole(), None);
        for act in acts {
            match act {
                Act::Append(count) => last = append(&log, count).ok().or(last),
                Act::Sync => if let Some(group) = &last { let _ = log.sync(group); },
                Act::Roll => drop(log.roll()),
                Act::Forget(back) => drop(log.forget(log.next().saturating_sub(back))),
                Act::Reopen => (log, last) = (rig.whole(), None),
                Act::FailWrite => rig.disk.write_in.store(1, Ordering::Relaxed),
                Act::FailSync => rig.disk.sync_in.store(1, Ordering::Relaxed),
                Act::Create(may) => rig.disk.no_create.store(!may, Ordering::Relaxed),
                Act::Cut(may) => rig.disk.no_cut.store(!may, Ordering::Relaxed),
            }
            let (numbers, holes) = read(&log);
            prop_assert_eq!(holes, []);
            prop_assert_eq!(numbers, (log.extent().first..log.next()).collect::<Vec<_>>());
            prop_assert!(rig.extent().last < log.next());
        }
        let log = rig.whole();
        let (numbers, _) = read(&log);
        prop_assert!(numbers.last().copied().unwrap_or(log.next() - 1) >= rig.extent().last);
    }
}
