//! Random damages of a data directory.

use std::{
    fs,
    os::unix::{
        fs::{FileExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Bytes of a page and of a segment, as engines and disks have them.
const PAGE: usize = 4096;
const SEGMENT: usize = 512 << 10;

/// Regular files below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort_unstable();
    found
}

/// A file to damage: the larger ones more often, and every one now and then.
fn pick(data: &Path, random: &mut StdRng) -> PathBuf {
    let all: Vec<_> = files(data)
        .into_iter()
        .filter(|path| !path.ends_with("lock") && !path.ends_with("master.key"))
        .map(|path| (4.0 + (fs::metadata(&path).unwrap().len() as f64).sqrt() / 40.0, path))
        .collect();
    all.choose_weighted(random, |(weight, _)| *weight).unwrap().1.clone()
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
    let end = bytes.len().min(length.saturating_sub(at));
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&bytes[..end], at as u64).unwrap();
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        _ => drop(fs::remove_file(path)),
    }
}

/// Damages `data`, and says how.
pub(super) fn damage(data: &Path, older: &Path, random: &mut StdRng) -> String {
    let path = pick(data, random);
    let name = path.strip_prefix(data).unwrap().display().to_string();
    let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    let somewhere = |random: &mut StdRng| random.random_range(0..length.max(1));
    let large = [data.join("store/db"), path.clone()].choose(random).unwrap().clone();
    match random.random_range(0..61) {
        0..13 => {
            let bits = *[1, 1, 1, 3, 20, 200].choose(random).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            for _ in 0..bits {
                if let Some(byte) = bytes.get_mut(somewhere(random)) {
                    *byte ^= 1_u8 << random.random_range(0..8_u32);
                }
            }
            fs::write(&path, bytes).unwrap();
            format!("{bits} bits of {name} flipped")
        }
        13..20 => {
            let some = random.random_range(0..=length);
            let lengths = [0, length / 2, some, length.saturating_sub(1), length.saturating_sub(PAGE)];
            let to = *lengths.choose(random).unwrap();
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(to as u64).unwrap();
            format!("{name} cut from {length} to {to}")
        }
        20..33 => {
            let size = *[16, 512, PAGE, 65_536, SEGMENT].choose(random).unwrap();
            let at = somewhere(random);
            let zeros = random.random_bool(0.5);
            let mut bytes = vec![0; size];
            if !zeros {
                random.fill(&mut bytes[..]);
            }
            overwrite(&path, at, &bytes);
            format!("{size} bytes of {name} at {at} are {}", if zeros { "zero" } else { "noise" })
        }
        33..36 => {
            remove(&path);
            format!("{name} removed")
        }
        36 => {
            let dir = *["store", "store/blobs", "snapshots"].choose(random).unwrap();
            remove(&data.join(dir));
            format!("{dir}/ removed")
        }
        37..39 => {
            let other = pick(data, random);
            let (ours, theirs) = (fs::read(&path).unwrap(), fs::read(&other).unwrap());
            fs::write(&path, theirs).unwrap();
            fs::write(&other, ours).unwrap();
            format!("{name} and {} changed places", other.strip_prefix(data).unwrap().display())
        }
        39..43 => {
            let old = files(older);
            let old = old.choose(random).unwrap();
            let name = old.strip_prefix(older).unwrap();
            if name.ends_with("lock") || name.ends_with("master.key") {
                return "nothing".to_owned();
            }
            fs::copy(old, data.join(name)).unwrap();
            format!("{} as it was before", name.display())
        }
        43..52 => {
            let size = *[PAGE, PAGE, SEGMENT].choose(random).unwrap();
            let bytes = fs::read(&large).unwrap();
            let places = (bytes.len() / size).max(1);
            let (from, to) = (random.random_range(0..places) * size, random.random_range(0..places) * size);
            overwrite(&large, to, &bytes[from..bytes.len().min(from + size)]);
            format!("{size} bytes of {} at {from} written at {to} too", large.display())
        }
        52..56 => {
            let mut bytes = fs::read(&path).unwrap();
            let size = *[1, 100, PAGE, SEGMENT].choose(random).unwrap();
            let noise = random.random_bool(0.5);
            bytes.extend((0..size).map(|_| if noise { random.random() } else { 0_u8 }));
            fs::write(&path, bytes).unwrap();
            format!("{size} bytes added to {name}")
        }
        _ => {
            let names =
                ["store/db", "store/conf", "STORE", "COMMIT", "store", "snapshots", "lock", "master.key"];
            let at = data.join(names.choose(random).unwrap());
            remove(&at);
            let kind = *["directory", "link to nothing", "device", "named pipe", "socket", "nothing"]
                .choose(random)
                .unwrap();
            match kind {
                "directory" => fs::create_dir(&at).unwrap(),
                "link to nothing" => symlink("/nonexistent/x", &at).unwrap(),
                "device" => symlink("/dev/null", &at).unwrap(),
                "socket" => drop(UnixListener::bind(&at).unwrap()),
                "named pipe" => {
                    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                    rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
                }
                _ => {}
            }
            format!("{} is a {kind}", at.strip_prefix(data).unwrap().display())
        }
    }
}
