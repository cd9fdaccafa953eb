//! Files that others must not read or write.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use aivonx_protocol::secrets::Check;

/// The mode bits of a file; None if it cannot be looked at.
pub(super) fn mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.mode() & 0o7777)
}

/// Whether none of the mode bits `others` is set.
pub(super) fn closed(name: &str, path: &Path, mode: Option<u32>, others: u32) -> Check {
    let path = path.display();
    match mode {
        None => Check::warn(
            name,
            format!("{path} cannot be looked at"),
            format!("see who owns it: ls -ld {path}"),
        ),
        Some(mode) if mode & others == 0 => Check::ok(name, format!("the mode of {path} is {mode:04o}")),
        Some(mode) => Check::fail(
            name,
            format!("the mode of {path} is {mode:04o}, so that others may use it"),
            format!("chmod {:04o} {path}", mode & !others),
        ),
    }
}

/// A file with the first administrator's password is not needed once there is one.
pub(super) fn setup(left: Option<&Path>) -> Check {
    match left.map(Path::display) {
        None => Check::ok("setup file", "no file with a password is left"),
        Some(path) => Check::fail(
            "setup file",
            format!("{path} holds the first administrator's password and is not needed any more"),
            format!(
                "shred -u {path}, remove access.setup_file or its LoadCredential=, and change that password"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::secrets::CheckOutcome::{Fail, Ok, Warn};

    use super::*;

    #[test]
    fn modes_are_judged_by_what_others_may() {
        let path = Path::new("/x");
        for (mode, others, outcome) in [
            (Some(0o700), 0o077, Ok),
            (Some(0o750), 0o077, Fail),
            (Some(0o660), 0o007, Ok),
            (Some(0o666), 0o007, Fail),
            (Some(0o644), 0o022, Ok),
            (None, 0o022, Warn),
        ] {
            assert_eq!(closed("n", path, mode, others).outcome, outcome, "{mode:?}");
        }
        assert_eq!(closed("n", path, Some(0o755), 0o077).fix.unwrap(), "chmod 0700 /x");
    }

    #[test]
    fn a_left_setup_file_is_named() {
        assert_eq!(setup(None).outcome, Ok);
        let left = setup(Some(Path::new("/etc/aivonx/setup")));
        assert_eq!(left.outcome, Fail);
        assert!(left.fix.unwrap().starts_with("shred -u /etc/aivonx/setup"));
    }
}
