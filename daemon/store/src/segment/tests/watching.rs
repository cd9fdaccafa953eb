//! Files that are removed, cut or changed under an open log.

use super::*;

/// A log with closed segments and an open one.
fn filled(rig: &Rig) -> Log {
    let log = rig.whole();
    fill(&log, 12);
    assert!(log.segments().len() > 3);
    log.look().unwrap();
    assert_eq!(log.suspicions(), []);
    log
}

fn last(rig: &Rig) -> PathBuf {
    rig.files().pop().unwrap()
}

#[test]
fn what_is_added_to_is_written_again_where_it_was_removed() {
    let rig = Rig::new();
    let log = filled(&rig);
    let path = last(&rig);
    fs::remove_file(&path).unwrap();
    let waiting = append(&log, 1).unwrap();
    log.look().unwrap();
    assert!(path.is_file());
    // What had not been durable became so with the rest.
    assert_eq!(rig.extent().last, 25);
    log.sync(&waiting).unwrap();
    fill(&log, 4);
    assert_eq!(log.suspicions(), []);
    drop(log);
    let log = rig.whole();
    assert_eq!(log.read(1..=u64::MAX).filter(|item| matches!(item, Ok(Item::Frame(_)))).count(), 33);
}

#[test]
fn another_file_in_its_place_is_not_taken_for_it() {
    let rig = Rig::new();
    let log = filled(&rig);
    fs::rename(last(&rig), rig.dir.path().join("aside")).unwrap();
    fs::copy(
        rig.dir.path().join("aside"),
        rig.dir.path().join(format!("{:020}.log", log.segments().pop().unwrap().first)),
    )
    .unwrap();
    fill(&log, 1);
    log.look().unwrap();
    drop(log);
    assert_eq!(rig.whole().read(1..=u64::MAX).filter(|item| matches!(item, Ok(Item::Frame(_)))).count(), 26);
}

#[test]
fn one_that_was_cut_is_a_loss_and_writing_goes_on_in_another() {
    let rig = Rig::new();
    let log = filled(&rig);
    let first = log.segments().pop().unwrap().first;
    File::options().write(true).open(last(&rig)).unwrap().set_len(10).unwrap();
    assert!(append(&log, 1).is_err());
    log.look().unwrap();
    assert_eq!(log.suspicions(), [loss(first, 24, How::Damaged)]);
    fill(&log, 1);
    drop(log);
    let (log, _) = rig.open();
    let numbers = |item| match item {
        Ok(Item::Frame(placed)) => Some(placed.frame.number),
        _ => None,
    };
    let found: Vec<u64> = log.read(1..=u64::MAX).filter_map(numbers).collect();
    assert_eq!(found, (1..first).chain(25..=26).collect::<Vec<_>>());
}

#[test]
fn a_directory_that_was_removed_is_made_again_and_what_was_closed_is_missed() {
    let rig = Rig::new();
    let log = filled(&rig);
    let first = log.segments().pop().unwrap().first;
    fs::remove_dir_all(rig.dir.path()).unwrap();
    log.look().unwrap();
    let mut missed = log.suspicions();
    missed.sort_by_key(|loss| loss.from);
    assert!(missed.iter().all(|loss| loss.how == How::Missing), "{missed:?}");
    assert_eq!((missed[0].from, missed.last().unwrap().to), (1, first - 1));
    fill(&log, 1);
    drop(log);
    let (log, losses) = rig.open();
    assert_eq!(losses, [loss(1, first - 1, How::Missing)]);
    assert_eq!(log.extent().last, 26);
}

#[test]
fn what_cannot_be_made_again_is_a_trouble_until_it_can() {
    let rig = Rig::new();
    let log = filled(&rig);
    fs::remove_dir_all(rig.dir.path()).unwrap();
    fs::write(rig.dir.path(), "in its place").unwrap();
    for _ in 0..2 {
        let error = log.look().unwrap_err().to_string();
        assert!(error.contains("it is a file, not a directory"), "{error}");
        // The file that is still open takes what is written, which mends nothing.
        fill(&log, 1);
        log.mend();
        assert_eq!(log.trouble().unwrap().1, error);
    }
    let since = log.trouble().unwrap().0;
    log.fail("input/output error");
    assert!(log.look().is_err());
    assert!(log.is_behind() && log.trouble().unwrap().1.contains("input/output"));
    log.mend();
    assert_eq!(log.trouble().unwrap().0, since);
    fs::remove_file(rig.dir.path()).unwrap();
    log.look().unwrap();
    assert_eq!(log.trouble(), None);
    drop(log);
    let (log, losses) = rig.open();
    assert!(losses.iter().all(|loss| loss.how == How::Missing), "{losses:?}");
    assert_eq!(log.extent().last, 28);
}

#[test]
fn holes_that_readers_meet_are_losses_once_somebody_asks() {
    let rig = Rig::new();
    let log = filled(&rig);
    let segments = log.segments();
    let (damaged, gone) = (&segments[1], &segments[2]);
    let mut bytes = fs::read(damaged.path()).unwrap();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    fs::write(damaged.path(), bytes).unwrap();
    assert_eq!(log.suspicions(), []);
    assert!(damaged.read().unwrap().iter().any(|item| matches!(item, Item::Hole(_))));
    assert_eq!(log.suspicions(), [loss(damaged.end - 1, damaged.end - 1, How::Damaged)]);
    fs::remove_file(gone.path()).unwrap();
    assert_eq!(gone.reader().unwrap().frame(HEADER as u32).unwrap(), None);
    assert_eq!(log.suspicions(), [loss(gone.first, gone.end - 1, How::Missing)]);
    // What is forgotten is no loss.
    log.forget(gone.end).unwrap();
    gone.read().unwrap();
    assert_eq!(log.suspicions(), []);
}
