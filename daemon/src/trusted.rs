//! Whether a directory is ours alone: nobody but root and us could change what is in it, or put another one in its
//! place.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Why a directory is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error("{} belongs to uid {owner}, who could change what is kept there: name a directory of your own", .path.display())]
    Foreign { path: PathBuf, owner: u32 },
    #[error("others may write to {} (mode {mode:04o}), and could change what is kept there: chmod go-w, or name another directory", .path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("cannot look at {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Follows the absolute path `dir`, of which the end need not be there yet. Returns it without links, so that
/// nothing on the way can be exchanged later.
///
/// # Errors
/// [`Untrusted`], naming what on the way is somebody else's.
pub(crate) fn directory(dir: &Path) -> Result<PathBuf, Untrusted> {
    let mut existing = PathBuf::new();
    let mut rest = dir.components();
    while let Some(part) = rest.clone().next() {
        let next = existing.join(part);
        match fs::symlink_metadata(&next) {
            Ok(found) => {
                if found.is_symlink() {
                    owned(&next, &found, &[0, us()])?;
                }
                existing = next;
                rest.next();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(source) => return Err(Untrusted::Io { path: next, source }),
        }
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| Untrusted::Io { path, source }
    };
    let real = fs::canonicalize(&existing).map_err(failed(&existing))?;
    for above in real.ancestors() {
        let found = fs::symlink_metadata(above).map_err(failed(above))?;
        let is_itself = above == real && rest.as_path().as_os_str().is_empty();
        let owners = if is_itself { &[us()][..] } else { &[0, us()] };
        owned(above, &found, owners)?;
        // In a sticky directory others may add, but not rename what is ours.
        let sticky = found.mode() & 0o1000 != 0 && !is_itself;
        let private_group = found.gid() == rustix::process::getegid().as_raw();
        let open = if private_group { 0o002 } else { 0o022 };
        if found.mode() & open != 0 && !sticky {
            return Err(Untrusted::Open { path: above.to_owned(), mode: found.mode() & 0o7777 });
        }
    }
    // Joining nothing would end the path with a slash.
    Ok(if rest.as_path().as_os_str().is_empty() { real } else { real.join(rest.as_path()) })
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn owned(path: &Path, found: &Metadata, owners: &[u32]) -> Result<(), Untrusted> {
    match owners.contains(&found.uid()) {
        true => Ok(()),
        false => Err(Untrusted::Foreign { path: path.to_owned(), owner: found.uid() }),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, chown, lchown, symlink},
    };

    use super::*;

    const OTHER: u32 = 12_345;

    fn made(path: PathBuf, mode: u32) -> PathBuf {
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn why(path: &Path) -> String {
        directory(path).unwrap_err().to_string()
    }

    #[test]
    fn what_others_may_write_to_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(base.path()).unwrap();
        let own = made(base.join("own"), 0o700);
        assert_eq!(directory(&own).unwrap(), own);
        assert_eq!(directory(&own.join("not/yet")).unwrap(), own.join("not/yet"));
        symlink(&own, base.join("link")).unwrap();
        assert_eq!(directory(&base.join("link/x")).unwrap(), own.join("x"), "without the link");
        let open = made(base.join("open"), 0o777);
        let inside = made(open.join("inside"), 0o700);
        for path in [&open, &inside, &open.join("new")] {
            assert!(why(path).contains("others may write"), "{}", path.display());
        }
        let sticky = made(base.join("sticky"), 0o1777);
        let inside = made(sticky.join("inside"), 0o700);
        assert_eq!(directory(&inside).unwrap(), inside);
        assert!(why(&sticky).contains("others may write"), "what others plant there is used");
    }

    #[test]
    fn what_is_anothers_is_refused() {
        if us() != 0 {
            eprintln!("SKIPPED: only root can give something away");
            return;
        }
        let base = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(base.path()).unwrap();
        let foreign = made(base.join("foreign"), 0o755);
        chown(&foreign, Some(OTHER), Some(OTHER)).unwrap();
        let inside = made(foreign.join("inside"), 0o700);
        let own = made(base.join("own"), 0o700);
        let link = base.join("link");
        symlink(&own, &link).unwrap();
        lchown(&link, Some(OTHER), Some(OTHER)).unwrap();
        for path in [&foreign, &inside, &foreign.join("new"), &link] {
            assert!(why(path).contains("belongs to uid 12345"), "{}", path.display());
        }
        let shared = made(base.join("shared"), 0o770);
        chown(&shared, Some(0), Some(OTHER)).unwrap();
        assert!(why(&shared).contains("others may write"));
    }
}
