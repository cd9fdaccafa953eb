//! Logs that are torn, flipped, cut, swapped and rolled back.

mod failing;
mod watching;

use std::{
    fs,
    ops::RangeInclusive,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{
    format::{FRAME, HEADER},
    *,
};

const SMALL: Limits = Limits { bytes: 200, age: Duration::from_secs(3600) };

/// A directory with a log, what was noted of it, and a disk that fails on demand.
struct Rig {
    dir: tempfile::TempDir,
    noted: Arc<Mutex<Extent>>,
    disk: Arc<Faulty>,
    limits: Limits,
}

/// Fails on demand.
#[derive(Default)]
struct Faulty {
    /// Calls until one fails; counts down, and does not fail at 0.
    write_in: AtomicUsize,
    sync_in: AtomicUsize,
    no_create: AtomicBool,
    no_cut: AtomicBool,
    no_room: AtomicBool,
}

fn due(calls: &AtomicUsize) -> bool {
    calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) == Ok(1)
}

fn full() -> std::io::Error {
    std::io::ErrorKind::StorageFull.into()
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> std::io::Result<File> {
        if self.no_create.load(Ordering::Relaxed) { Err(full()) } else { System.create(path) }
    }

    fn write(&self, file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
        if due(&self.write_in) {
            System.write(file, &bytes[..bytes.len() * 2 / 3], at)?;
            return Err(full());
        }
        System.write(file, bytes, at)
    }

    fn reserve(&self, file: &File, from: u64, len: u64) -> std::io::Result<()> {
        if self.no_room.load(Ordering::Relaxed) { Err(full()) } else { System.reserve(file, from, len) }
    }

    fn cut(&self, file: &File, len: u64) -> std::io::Result<()> {
        if self.no_cut.load(Ordering::Relaxed) { Err(full()) } else { System.cut(file, len) }
    }

    fn sync(&self, file: &File) -> std::io::Result<()> {
        if due(&self.sync_in) { Err(full()) } else { System.sync(file) }
    }
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, noted: Arc::default(), disk: Arc::default(), limits: SMALL }
    }

    fn open_as(&self, daemon: &str, extent: Option<Extent>) -> (Log, Vec<Loss>) {
        let noted = self.noted.clone();
        let note = Box::new(move |extent, _| {
            *noted.lock().unwrap() = extent;
            Ok(())
        });
        let (dir, disk) = (self.dir.path(), self.disk.clone());
        Log::open(Setup { dir, daemon, name: "test", extent, limits: self.limits, disk, note }).unwrap()
    }

    fn extent(&self) -> Extent {
        *self.noted.lock().unwrap()
    }

    fn open(&self) -> (Log, Vec<Loss>) {
        self.open_as("d", Some(self.extent()))
    }

    /// Opened, with nothing lost.
    fn whole(&self) -> Log {
        let (log, losses) = self.open();
        assert_eq!(losses, []);
        log
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The files' contents, to be put back.
    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.files().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    fn put_back(&self, contents: &[(PathBuf, Vec<u8>)]) {
        self.files().iter().for_each(|path| fs::remove_file(path).unwrap());
        contents.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }
}

fn payload(number: u64) -> Vec<u8> {
    format!("frame {number} {}", "x".repeat((number % 7) as usize * 5)).into_bytes()
}

/// Appends a group of so many frames.
fn append(log: &Log, count: u64) -> Result<Appended, StoreError> {
    let next = log.next();
    log.append(&(next..next + count).map(|n| ((n % 5) as u8, payload(n))).collect::<Vec<_>>())
}

/// Appends so many groups of two, each durable.
fn fill(log: &Log, groups: u64) {
    (0..groups).for_each(|_| log.sync(&append(log, 2).unwrap()).unwrap());
}

/// The numbers of what can be read, all of it right, and the holes.
fn read(log: &Log) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut numbers, mut holes) = (Vec::new(), Vec::new());
    for item in log.read(0..=u64::MAX) {
        match item.unwrap() {
            Item::Frame(Placed { frame, .. }) => {
                assert_eq!(
                    (frame.kind, &frame.payload[..]),
                    ((frame.number % 5) as u8, &*payload(frame.number))
                );
                numbers.push(frame.number);
            }
            Item::Hole(hole) => holes.push((*hole.start(), *hole.end())),
        }
    }
    (numbers, holes)
}

fn all(range: RangeInclusive<u64>) -> (Vec<u64>, Vec<(u64, u64)>) {
    (range.collect(), Vec::new())
}

fn loss(from: u64, to: u64, how: How) -> Loss {
    Loss { from, to, how }
}

#[test]
fn what_is_appended_is_read_from_both_ends_and_after_a_restart() {
    let rig = Rig::new();
    let log = rig.whole();
    assert_eq!((log.next(), read(&log)), (1, (Vec::new(), Vec::new())));
    fill(&log, 20);
    assert!(rig.files().len() > 5, "{:?}", rig.files());
    for _ in 0..2 {
        let log = rig.whole();
        assert_eq!((log.next(), read(&log)), (41, all(1..=40)));
    }
    let log = rig.whole();
    fill(&log, 1);
    let mut frames = log.read(5..=38);
    let number = |item: Option<Result<Item, StoreError>>| match item {
        Some(Ok(Item::Frame(placed))) => placed.frame.number,
        other => panic!("{other:?}"),
    };
    assert_eq!((number(frames.next()), number(frames.next_back())), (5, 38));
    let mut rest: Vec<u64> = Vec::new();
    while let Some(item) = frames.next_back() {
        rest.push(number(Some(item)));
        rest.extend(frames.next().map(|item| number(Some(item))));
    }
    rest.sort_unstable();
    assert_eq!(rest, (6..=37).collect::<Vec<_>>());
    for segment in log.segments() {
        assert_eq!(segment.verify().unwrap(), []);
        let reader = segment.reader().unwrap();
        for item in segment.read().unwrap() {
            let Item::Frame(placed) = item else { panic!("{item:?}") };
            assert_eq!(reader.frame(placed.at).unwrap(), Some(placed.frame));
            assert_eq!(reader.frame(placed.at + 1).unwrap(), None);
        }
    }
}

#[test]
fn a_torn_tail_that_was_not_acknowledged_is_cut_off_quietly() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 1);
    let before = fs::metadata(&rig.files()[0]).unwrap().len();
    let _ = append(&log, 3).unwrap();
    drop(log);
    let contents = rig.contents();
    let len = contents[0].1.len();
    for end in before as usize..=len {
        let mut bytes = contents[0].1.clone();
        bytes.truncate(end);
        // What a loss of power leaves may have its right length.
        for torn in [bytes.clone(), [bytes, vec![0; len - end]].concat()] {
            rig.put_back(&[(contents[0].0.clone(), torn)]);
            let log = rig.whole();
            let last = if end == len { 5 } else { 2 };
            assert_eq!(read(&log), all(1..=last), "cut at {end}");
            let _ = append(&log, 1).unwrap();
            assert_eq!(read(&log), all(1..=last + 1));
        }
    }
}

#[test]
fn a_cut_anywhere_in_what_was_acknowledged_is_told_once() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 5);
    drop(log);
    let (contents, extent) = (rig.contents(), rig.extent());
    let (path, bytes) = contents.last().unwrap();
    for end in 0..bytes.len() {
        rig.put_back(&contents);
        fs::write(path, &bytes[..end]).unwrap();
        let (log, losses) = rig.open_as("d", Some(extent));
        let (numbers, _) = read(&log);
        let last = numbers.last().copied().unwrap();
        assert_eq!(losses, [loss(last + 1, 10, How::Cut)], "cut at {end}");
        assert_eq!(log.next(), 11);
        fill(&log, 1);
        drop(log);
        let log = rig.whole();
        assert_eq!(read(&log), ((1..=last).chain([11, 12]).collect(), vec![(last + 1, 10)]));
    }
}

#[test]
fn any_flipped_byte_is_found_or_harmless() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 9);
    drop(log);
    let (contents, extent) = (rig.contents(), rig.extent());
    assert!(contents.len() > 3);
    for (path, bytes) in &contents {
        for at in 0..bytes.len() {
            rig.put_back(&contents);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(path, flipped).unwrap();
            let (log, mut losses) = rig.open_as("d", Some(extent));
            for segment in log.segments() {
                losses.extend(segment.verify().unwrap());
            }
            let (numbers, holes) = read(&log);
            let mut lost: Vec<u64> = losses.iter().flat_map(|l| l.from..=l.to).collect();
            lost.dedup();
            assert_eq!(holes.iter().flat_map(|h| h.0..=h.1).collect::<Vec<_>>(), lost, "{path:?} at {at}");
            let missing: Vec<u64> = (1..=18).filter(|n| !numbers.contains(n)).collect();
            assert_eq!(missing, lost, "{path:?} at {at}");
            assert!(at < HEADER || lost.len() == 1, "{path:?} at {at}: {losses:?}");
            assert_eq!(log.next(), 19);
        }
    }
}

#[test]
fn segments_that_are_missing_swapped_stale_or_something_else_are_told() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 12);
    drop(log);
    let (contents, extent) = (rig.contents(), rig.extent());
    let first = |at: usize| -> u64 {
        contents.get(at).map_or(25, |(path, _)| path.file_stem().unwrap().to_str().unwrap().parse().unwrap())
    };
    let last = contents.len() - 1;
    let losses = |damage: &dyn Fn()| {
        rig.put_back(&contents);
        damage();
        let (log, losses) = rig.open_as("d", Some(extent));
        assert_eq!(log.next(), 25);
        fill(&log, 1);
        losses
    };
    for (at, (path, _)) in contents.iter().enumerate() {
        let how = if at == last { How::Cut } else { How::Missing };
        let gone = [loss(first(at), first(at + 1) - 1, how)];
        assert_eq!(losses(&|| fs::remove_file(path).unwrap()), gone);
        let link = || {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/nonexistent", path).unwrap();
        };
        if at != last {
            assert_eq!(losses(&link), gone);
        }
    }
    let swapped = losses(&|| {
        fs::write(&contents[1].0, &contents[2].1).unwrap();
        fs::write(&contents[2].0, &contents[1].1).unwrap();
    });
    assert_eq!(
        swapped.iter().map(|l| (l.from, l.to)).collect::<Vec<_>>(),
        [(first(1), first(2) - 1), (first(2), first(3) - 1)]
    );
    let half = contents[1].1.len() - 5;
    let stale = losses(&|| fs::write(&contents[1].0, &contents[1].1[..half]).unwrap());
    assert_eq!((stale[0].to, stale.len()), (first(2) - 1, 1));
    let everything = losses(&|| contents.iter().for_each(|(path, _)| fs::remove_file(path).unwrap()));
    assert_eq!(everything, [loss(1, 24, How::Missing)]);
    // Another daemon's.
    rig.put_back(&contents);
    let (_, foreign) = rig.open_as("another", Some(extent));
    assert_eq!(foreign.iter().map(|l| l.to - l.from + 1).sum::<u64>(), 24);
    // Nobody knows what was there.
    rig.put_back(&contents);
    let (log, unknown) = rig.open_as("d", None);
    assert_eq!((unknown, log.extent()), (Vec::new(), extent));
}

#[test]
fn what_is_damaged_within_is_passed_over() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 2);
    drop(log);
    let path = &rig.files()[0];
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xff], (HEADER + FRAME + 2) as u64).unwrap();
    let (log, losses) = rig.open();
    assert_eq!(losses, [loss(1, 1, How::Damaged)]);
    assert_eq!(read(&log), (vec![2, 3, 4], vec![(1, 1)]));
    fill(&log, 1);
    drop(log);
    let log = rig.whole();
    assert_eq!(read(&log), (vec![2, 3, 4, 5, 6], vec![(1, 1)]));
    assert!(log.segments().iter().all(|segment| segment.verify().unwrap().is_empty()));
}

#[test]
fn the_old_end_is_forgotten_by_segments_also_if_that_is_interrupted() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 12);
    let contents = rig.contents();
    let derived = log.segments()[0].clone();
    derived.keep_derived("index", b"of it").unwrap();
    assert_eq!(derived.derived("index").as_deref(), Some(&b"of it"[..]));
    let first = log.forget(9).unwrap();
    assert!((5..=9).contains(&first) && first % 2 == 1, "{first}");
    assert_eq!(read(&log), all(first..=24));
    assert_eq!(log.forget(9).unwrap(), first);
    assert!(rig.files().iter().all(|path| path.extension().unwrap() == "log"));
    rig.put_back(&contents);
    assert_eq!(read(&rig.whole()), all(first..=24));

    let log = rig.whole();
    log.roll().unwrap();
    let compacted = append(&log, 2).unwrap();
    log.sync(&compacted).unwrap();
    assert_eq!(log.forget(compacted.first).unwrap(), 25);
    assert_eq!((rig.files().len(), read(&rig.whole())), (1, all(25..=26)));
}

#[test]
fn what_was_derived_is_of_a_segment_as_it_is() {
    let rig = Rig::new();
    let log = rig.whole();
    fill(&log, 9);
    let segments = log.segments();
    let (a, b) = (&segments[0], &segments[1]);
    a.keep_derived("index", b"a").unwrap();
    fs::copy(a.path().with_extension("index"), b.path().with_extension("index")).unwrap();
    assert_eq!((a.derived("index"), b.derived("index")), (Some(b"a".to_vec()), None));
    let path = a.path().with_extension("index");
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        fs::write(&path, flipped).unwrap();
        assert_eq!(a.derived("index"), None);
        fs::write(&path, &bytes[..at]).unwrap();
        assert_eq!(a.derived("index"), None);
    }
    let active = segments.last().unwrap();
    active.keep_derived("index", b"x").unwrap();
    assert!(!active.is_closed() && active.derived("index").is_none());
}

#[test]
fn many_append_at_once_and_share_syncs() {
    let rig = Rig::new();
    let log = rig.whole();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    log.sync(&log.append(&[(1, b"one".to_vec()), (2, b"two".to_vec())]).unwrap()).unwrap();
                }
            });
        }
    });
    assert_eq!(log.extent(), Extent { first: 1, last: 400 });
    let (log, losses) = rig.open();
    assert_eq!((losses, log.read(1..=400).count()), (Vec::new(), 400));
}
