//! A PostgreSQL server for one test, from the distribution's binaries.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// Stops with this. It speaks on a socket in a directory of its own, and trusts who can reach that: its superuser is
/// `owner`, and there are the role and the database `aivonx`.
pub struct PostgresServer {
    dir: TempDir,
    bin: PathBuf,
    /// Who runs it: not root, which PostgreSQL refuses.
    user: Option<(u32, u32)>,
}

impl PostgresServer {
    /// None, and a line that says so, where PostgreSQL is not installed.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(bin) = newest() else {
            eprintln!("skipped: there is no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)");
            return None;
        };
        // A short path: that of a socket has at most 107 bytes.
        let dir = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let user = rustix::process::geteuid().is_root().then(|| {
            let id = |flag: &str| {
                let said = Command::new("id").args([flag, "postgres"]).output().unwrap();
                String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
            };
            (id("-u"), id("-g"))
        });
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        // Gateways of tests with another user connect too.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let server = Self { dir, bin, user };
        let data = server.data();
        let data = data.to_str().unwrap();
        let settings = ["--auth=trust", "--username=owner", "--no-sync", "--encoding=UTF8", "--no-locale"];
        server.done("initdb", &[&["-D", data][..], &settings].concat());
        server.begin();
        server.sql("postgres", "CREATE ROLE aivonx LOGIN");
        server.sql("postgres", "CREATE DATABASE aivonx");
        Some(server)
    }

    /// Stops it, ending all connections.
    pub fn stop(&self) {
        self.done("pg_ctl", &["-D", self.data().to_str().unwrap(), "-m", "fast", "-w", "stop"]);
    }

    /// Starts it again; it takes connections when this returns.
    pub fn begin(&self) {
        self.begin_with("-c listen_addresses=''");
    }

    /// The same, with these settings in the form of its command line.
    pub fn begin_with(&self, settings: &str) {
        let (data, log) = (self.data(), self.dir.path().join("log"));
        let options = format!("-c fsync=off -k {} {settings}", self.dir.path().display());
        let (data, log) = (data.to_str().unwrap(), log.to_str().unwrap());
        self.done("pg_ctl", &["-D", data, "-l", log, "-o", &options, "-w", "start"]);
    }

    /// The URL of the database `aivonx` for a role.
    #[must_use]
    pub fn url(&self, role: &str) -> String {
        format!("postgresql://{role}@/aivonx?host={}", self.dir.path().display())
    }

    /// Runs statements as the owner, in a database. Returns what they print.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let host = self.dir.path().to_str().unwrap();
        let said = self.run(
            "psql",
            &[
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                host,
                "-U",
                "owner",
                "-c",
                statements,
                database,
            ],
        );
        assert!(said.status.success(), "{statements}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    /// Puts a file into its data directory, which it alone may read. Returns where that is.
    pub fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.data().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = self.user {
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
        path
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn done(&self, program: &str, args: &[&str]) {
        let done = self.run(program, args);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(done.status.success(), "{program}: {}{}", said(&done.stdout), said(&done.stderr));
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let program = self.bin.join(program);
        let mut command = match self.user {
            Some((uid, gid)) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()]);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        // A server that is started would keep a pipe open for ever.
        let (out, err) = (self.dir.path().join("out"), self.dir.path().join("err"));
        let status = command
            .args(args)
            .current_dir(self.dir.path())
            .stdin(std::process::Stdio::null())
            .stdout(fs::File::create(&out).unwrap())
            .stderr(fs::File::create(&err).unwrap())
            .status()
            .unwrap();
        Output { status, stdout: fs::read(out).unwrap(), stderr: fs::read(err).unwrap() }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ =
            self.run("pg_ctl", &["-D", &self.data().display().to_string(), "-m", "immediate", "-w", "stop"]);
    }
}

/// The directory of the newest version's programs.
fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = versions.filter_map(Result::ok).map(|entry| entry.path());
    let newest = found.filter(|path| path.join("bin/initdb").metadata().is_ok_and(|m| m.mode() & 0o111 != 0));
    newest.max_by_key(|path| version(path)).map(|path| path.join("bin"))
}
