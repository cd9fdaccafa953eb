//! What the packages' scripts do as root where the daemon's user may write.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/scripts/master-key.sh");
/// Stands for the daemon's user.
const DAEMON: u32 = 12_345;
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

struct Machine {
    _own: tempfile::TempDir,
    etc: PathBuf,
    data: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        fs::set_permissions(own.path(), Permissions::from_mode(0o755)).unwrap();
        let (etc, data) = (own.path().join("etc"), own.path().join("data"));
        fs::create_dir(&etc).unwrap();
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        chown(&data, Some(DAEMON), Some(DAEMON)).unwrap();
        Self { _own: own, etc, data }
    }

    fn planted(&self) -> PathBuf {
        self.data.join("master.key")
    }

    /// A file of root's in the form of a key.
    fn of_root(&self) -> PathBuf {
        let path = self.etc.join("of-another-gateway");
        fs::write(&path, KEY).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        path
    }

    /// Runs the script; what it made the key.
    fn make_master_key(&self) -> String {
        let script = fs::read_to_string(SCRIPT).unwrap();
        let script = script
            .replace("/etc/aivonx", self.etc.to_str().unwrap())
            .replace("/var/lib/aivonx", self.data.to_str().unwrap());
        let program = "aivonx() { echo generated >\"$4\"; }; make_master_key";
        let ran = Command::new("timeout")
            .args(["60", "sh", "-ec", &format!("{script}\n{program}")])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let key = self.etc.join("master.key");
        let found = fs::symlink_metadata(&key).unwrap();
        assert!(found.is_file() && found.uid() == 0 && found.nlink() == 1, "{found:?}");
        fs::read_to_string(key).unwrap()
    }
}

fn is_untouched(path: &Path) -> bool {
    let found = fs::symlink_metadata(path).unwrap();
    (found.mode() & 0o7777, found.uid()) == (0o640, 0) && fs::read_to_string(path).unwrap() == KEY
}

#[test]
fn the_master_key_is_taken_over_from_nobody_but_the_daemon() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    let machine = Machine::new();
    fs::write(machine.planted(), KEY).unwrap();
    fs::set_permissions(machine.planted(), Permissions::from_mode(0o600)).unwrap();
    chown(machine.planted(), Some(DAEMON), Some(DAEMON)).unwrap();
    assert_eq!(machine.make_master_key(), KEY);
    assert!(!machine.planted().exists());
    assert_eq!(fs::metadata(machine.etc.join("master.key")).unwrap().mode() & 0o7777, 0o600);

    type Plant = fn(&Path, &Path);
    let plants: [Plant; 4] = [
        |at, target| symlink(target, at).unwrap(),
        |at, target| fs::hard_link(target, at).unwrap(),
        |at, _| assert!(Command::new("mkfifo").arg(at).status().unwrap().success()),
        |at, _| fs::write(at, "root:x:0:0::/root:/bin/sh\n").unwrap(),
    ];
    for plant in plants {
        let machine = Machine::new();
        let target = machine.of_root();
        plant(&machine.planted(), &target);
        assert_eq!(machine.make_master_key(), "generated\n");
        assert!(is_untouched(&target));
    }
}
