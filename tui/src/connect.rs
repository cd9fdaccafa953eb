//! Finding the daemon: which sockets are tried, and what it means if none answers.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::client::{Client, ClientError};

use crate::exit::{Failure, Tried};

/// Where the packaged daemon's socket is.
pub(crate) const SYSTEM_SOCKET: &str = "/run/aivonx/control.sock";

/// How this program introduces itself, for the daemon's log.
const NAME: &str = concat!("aivonx ", env!("CARGO_PKG_VERSION"));

/// A daemon that answers.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub client: Client,
    /// The socket it goes through.
    pub path: PathBuf,
}

/// Connects to the first daemon that answers.
///
/// # Errors
/// [`Failure::Unreachable`] with every socket tried, [`Failure::NotPermitted`] if one is there but closed
/// to the caller, or what a daemon said in the handshake.
pub async fn connect(socket: Option<&Path>) -> Result<Connected, Failure> {
    let mut tried = Vec::new();
    let mut closed = None;
    for path in candidates(socket, |name| env::var_os(name)) {
        let why = match Client::connect(&path, NAME).await {
            Ok(client) => return Ok(Connected { client, path }),
            Err(ClientError::Denied(_)) => {
                closed.get_or_insert_with(|| path.clone());
                "you may not open it".to_owned()
            }
            Err(ClientError::Unreachable(text)) => reason(&path, &text),
            Err(other) => return Err(other.into()),
        };
        tried.push(Tried { path, why });
    }
    Err(match closed {
        Some(path) => denied(&path),
        None => Failure::Unreachable(tried),
    })
}

/// The sockets to try, in order.
fn candidates(socket: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    if let Some(path) = socket {
        return vec![path.to_owned()];
    }
    // The XDG rules: a path that is not absolute counts as not set.
    let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state =
        directory("XDG_STATE_HOME").or_else(|| directory("HOME").map(|home| home.join(".local/state")));
    let mut all = vec![PathBuf::from(SYSTEM_SOCKET)];
    all.extend(state.map(|state| state.join("aivonx/control.sock")));
    all
}

/// Why a socket did not answer, in a few words.
fn reason(path: &Path, text: &str) -> String {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        Ok(found) if !is_socket(path, &found) => "is no socket".to_owned(),
        // The first line is the client's reason, what follows its advice.
        _ if text.contains("nobody answers") => "nobody listens on it: the daemon does not run".to_owned(),
        _ => text.lines().next().unwrap_or_default().to_owned(),
    }
}

fn is_socket(path: &Path, found: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    found.file_type().is_socket() || fs::metadata(path).is_ok_and(|target| target.file_type().is_socket())
}

/// A socket that is closed to the caller: whose it is, and how to be let in.
fn denied(path: &Path) -> Failure {
    let caller = rustix::process::geteuid().as_raw();
    // The directory closes as well as the socket does, and then hides it.
    let owner = fs::metadata(path).ok().or_else(|| fs::metadata(path.parent()?).ok());
    let hint = match owner.map(|owner| (owner.uid(), owner.gid(), owner.mode() & 0o070 != 0)) {
        Some((uid, gid, true)) if gid != 0 => {
            let group = group_name(gid);
            format!(
                "It is open to uid {uid} and group {group}; you are uid {caller}.\nRun this with sudo, or join the \
                 group and log in again: sudo usermod -aG {group} \"$USER\""
            )
        }
        Some((uid, ..)) => format!(
            "It is open to uid {uid} alone; you are uid {caller}. Run this as that user{}.",
            if uid == 0 { ", with sudo" } else { "" }
        ),
        None => format!("You are uid {caller}. Run this with sudo."),
    };
    Failure::NotPermitted {
        message: format!("you may not open the control socket {}", path.display()),
        hint: Some(hint),
    }
}

/// The group's name as in /etc/group, else its number, which usermod takes as well.
fn group_name(gid: u32) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    groups
        .lines()
        .find_map(|line| {
            let mut parts = line.split(':');
            let name = parts.next()?;
            (parts.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
        })
        .unwrap_or_else(|| gid.to_string())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        // What to do is on the lines after the first.
        let (message, hint) = match text.split_once('\n') {
            Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
            None => (text.clone(), None),
        };
        match error {
            ClientError::Fault(fault) => Self::Fault { fault, option: None },
            ClientError::Denied(_) => Self::NotPermitted { message, hint },
            ClientError::Unreachable(_) | ClientError::Closed(_) => Self::Lost(text),
            ClientError::Version(_) | ClientError::Protocol(_) => Self::Failed { message, hint },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(vars: &[(&str, &str)]) -> Vec<String> {
        let variable =
            |name: &str| vars.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value));
        candidates(None, variable).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn sockets_in_order() {
        assert_eq!(tried(&[]), [SYSTEM_SOCKET]);
        assert_eq!(tried(&[("HOME", "/h")]), [SYSTEM_SOCKET, "/h/.local/state/aivonx/control.sock"]);
        let both = [("HOME", "/h"), ("XDG_STATE_HOME", "/s")];
        assert_eq!(tried(&both), [SYSTEM_SOCKET, "/s/aivonx/control.sock"]);
        let relative = [("HOME", "/h"), ("XDG_STATE_HOME", "s")];
        assert_eq!(tried(&relative), [SYSTEM_SOCKET, "/h/.local/state/aivonx/control.sock"]);
        assert_eq!(candidates(Some(Path::new("x")), |_| None), [PathBuf::from("x")]);
    }

    #[test]
    fn a_closed_socket_says_who_may() {
        let failure = denied(Path::new("/proc/1/fd/x"));
        assert_eq!(failure.exit(), crate::exit::Exit::NotPermitted);
        assert!(failure.to_string().contains("uid"), "{failure}");
        assert_eq!(group_name(0), "root");
        assert_eq!(group_name(4_000_000), "4000000");
    }

    #[tokio::test]
    async fn a_socket_nobody_serves() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let stale = dir.path().join("stale");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        for (path, why) in [
            (dir.path().join("absent"), "there is no such socket"),
            (file, "is no socket"),
            (stale, "nobody listens"),
        ] {
            let failure = connect(Some(&path)).await.unwrap_err();
            assert_eq!(failure.exit(), crate::exit::Exit::Unreachable);
            assert!(failure.to_string().contains(why), "{failure}");
        }
    }
}
