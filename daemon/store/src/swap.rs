//! Puts a store that `recover` has made in place of the one that is there.
//!
//! It is made in `store.restoring`, and the `STORE` and `COMMIT` that belong to it lie inside until it is in its place.
//! That `STORE` is written last: from then on the new store is whole, and [`finish`] puts it in place, however often and
//! wherever it was interrupted before. Without it, what lies there is a leftover.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{
    StoreError, files,
    layout::Layout,
    marker::{Acknowledged, Commit, Found, Marker},
};

const MARKER: &str = "STORE";
const COMMIT: &str = "COMMIT";

/// What is set aside because it is damaged, and because a backup is restored.
const DAMAGED: &str = "damaged";
const BEFORE: &str = "before";

/// How the names of stores begin that were set aside.
pub(super) const ASIDE: [&str; 2] = ["store.damaged-", "store.before-"];

/// Declares the store in `store.restoring` whole, and durably so.
pub(super) fn seal(layout: &Layout, marker: &Marker, reached: Acknowledged) -> Result<(), StoreError> {
    let fresh = layout.restoring();
    for entry in fs::read_dir(&fresh).map_err(StoreError::io("list", &fresh))? {
        let path = entry.map_err(StoreError::io("list", &fresh))?.path();
        File::open(&path).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &path))?;
    }
    Commit::create(&fresh.join(COMMIT), reached)?;
    marker.write(&fresh.join(MARKER))
}

/// What [`finish`] did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Where the store that was there is now.
    pub(super) set_aside: Option<PathBuf>,
}

/// Puts a store that was sealed into its place and sets aside what is there; removes one that was not. None if there was
/// nothing to put anywhere. For the holder of the directory's lock.
pub(super) fn finish(layout: &Layout) -> Result<Option<Placed>, StoreError> {
    let (fresh, store) = (layout.restoring(), layout.store());
    let stamp = stamp(DAMAGED);
    let mut set_aside = None;
    if is_marked(&fresh) {
        set_aside = move_aside(&store, &stamp)?;
        files::rename(&fresh, &store)?;
    } else {
        discard(layout)?;
    }
    if !is_marked(&store) {
        return Ok(None);
    }
    // `store/STORE` goes last: while it is there, this is not done.
    let is_damaged = files::in_place_of_file(&layout.marker()).is_none()
        && matches!(Marker::read(&layout.marker())?, Found::Damaged(_));
    if is_damaged {
        move_aside(&layout.marker(), &stamp)?;
    }
    if !layout.snapshots().is_dir() {
        move_aside(&layout.snapshots(), &stamp)?;
        files::make_dir(&layout.snapshots())?;
    }
    for (name, place) in [(COMMIT, layout.commit()), (MARKER, layout.marker())] {
        let from = store.join(name);
        if from.is_file() {
            if files::in_place_of_file(&place).is_some() {
                move_aside(&place, &stamp)?;
            }
            files::rename(&from, &place)?;
        }
    }
    files::sync_dir(&store)?;
    Ok(Some(Placed { set_aside }))
}

/// Sets aside the whole store, ledgers and snapshots included, and says where the records went.
pub(super) fn set_aside(layout: &Layout) -> Result<Option<PathBuf>, StoreError> {
    // Whether it was good is not looked at.
    let stamp = stamp(BEFORE);
    // The marker last: without it what is left would pass for no store.
    for path in [layout.ledgers(), layout.snapshots(), layout.commit()] {
        move_aside(&path, &stamp)?;
    }
    let store = move_aside(&layout.store(), &stamp)?;
    move_aside(&layout.marker(), &stamp)?;
    Ok(store)
}

/// Sets aside what stands in place of the ledgers' directories.
pub(super) fn clear_ledgers(layout: &Layout) -> Result<(), StoreError> {
    let stamp = stamp(DAMAGED);
    layout.misplaced_ledgers().iter().try_for_each(|(path, _)| move_aside(path, &stamp).map(drop))
}

/// The time with `why` before it, to be added to names.
fn stamp(why: &str) -> String {
    jiff::Timestamp::now().strftime(&format!("{why}-%Y%m%dT%H%M%S.%3fZ")).to_string()
}

/// Removes a store in the making, and a copy that was being read.
pub(super) fn discard(layout: &Layout) -> Result<(), StoreError> {
    [layout.restoring(), layout.reading()].iter().try_for_each(|dir| files::remove_dir(dir))
}

/// Whether a store that was sealed lies in `dir`.
fn is_marked(dir: &Path) -> bool {
    let marker = dir.join(MARKER);
    marker.is_file() && matches!(Marker::read(&marker), Ok(Found::Marker(_)))
}

/// Adds `stamp` to the name of the file or directory at `path`.
fn move_aside(path: &Path, stamp: &str) -> Result<Option<PathBuf>, StoreError> {
    // Not what a link leads to: a link to nothing is in the way too.
    if fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let aside = files::added(path, stamp);
    files::rename(path, &aside).map(|()| Some(aside))
}
