//! What `aivonx` reads with the caller's rights: secrets, certificates, and a yes or no.

use std::{
    fs::File,
    io::{self, BufRead as _, IsTerminal as _, Read, Write as _},
    path::Path,
};

use aivonx_protocol::WireSecret;
use zeroize::Zeroizing;

use crate::{exit::Failure, render::out::note};

/// Largest secret read, in bytes. A whole one always fits into one frame.
const SECRET_MAX: u64 = 64 << 10;
/// Largest certificate file read, in bytes.
const CERTIFICATES_MAX: u64 = 512 << 10;

/// Reads the secret for `option` from the file, or from standard input if the file is `-`. One trailing
/// line break is not part of it.
///
/// # Errors
/// The file cannot be read, is empty, too large or not UTF-8.
pub fn secret(option: &str, file: &Path) -> Result<WireSecret, Failure> {
    let mut text = read(option, file, SECRET_MAX)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(empty(option, file).with_hint(
            "It has to hold the secret and nothing else; a line break at its end does not count.",
        ));
    }
    // The copy is cleared on drop like this one.
    Ok(WireSecret::new(String::clone(&text)))
}

/// Reads PEM certificates for `option` from the file, or from standard input if the file is `-`.
///
/// # Errors
/// The file cannot be read, is too large, or holds no certificate.
pub fn certificates(option: &str, file: &Path) -> Result<String, Failure> {
    let text = read(option, file, CERTIFICATES_MAX)?;
    if text.trim().is_empty() {
        return Err(empty(option, file));
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Failure::failed(format!("{option} {}: holds no PEM certificate", name(file))).with_hint(
            "Give the CA's certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----).",
        ));
    }
    // A private key in the same file must not leave it.
    if text.contains("PRIVATE KEY-----") {
        return Err(Failure::failed(format!("{option} {}: holds a private key", name(file)))
            .with_hint("Give a file with the CA's certificates only."));
    }
    Ok(String::clone(&text))
}

/// Reads a client certificate with its chain for `option` from the file, or from standard input if the file is `-`. A
/// private key that stands in the same file stays there.
///
/// # Errors
/// The file cannot be read, is too large, or holds no certificate.
pub fn client_certificate(option: &str, file: &Path) -> Result<String, Failure> {
    let text = read(option, file, CERTIFICATES_MAX)?;
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let mut chain = String::new();
    for part in text.split(begin).skip(1) {
        if let Some((body, _)) = part.split_once(end) {
            chain.extend([begin, body, end, "\n"]);
        }
    }
    if chain.is_empty() {
        return Err(Failure::failed(format!("{option} {}: holds no PEM certificate", name(file))).with_hint(
            "Give the client certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----).",
        ));
    }
    Ok(chain)
}

/// What is on standard input, up to `max` bytes; empty is fine.
///
/// # Errors
/// It cannot be read, is too long, or is no UTF-8.
pub fn text(max: u64) -> Result<Zeroizing<String>, Failure> {
    read("text", Path::new("-"), max)
}

/// Reads a text of at most `max` bytes for `option` from the file, or from standard input if the file is `-`.
///
/// # Errors
/// The file cannot be read, is too large or not UTF-8.
pub fn file(option: &str, file: &Path, max: u64) -> Result<Zeroizing<String>, Failure> {
    read(option, file, max)
}

fn read(option: &str, file: &Path, max: u64) -> Result<Zeroizing<String>, Failure> {
    let text = if file == Path::new("-") {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            note(format_args!(
                "{option}: type it and end with Ctrl-D on an empty line (it is shown as you type)"
            ));
        }
        limited(stdin.lock(), max)
    } else {
        File::open(file).and_then(|file| limited(file, max))
    };
    text.map_err(|error| {
        let message = format!("{option} {}: cannot be read: {error}", name(file));
        let hint = Some("The file is opened by aivonx with your own rights, not by the daemon.".to_owned());
        match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::NotPermitted { message, hint },
            io::ErrorKind::FileTooLarge => {
                Failure::failed(format!("{option} {}: is larger than {max} bytes", name(file)))
            }
            io::ErrorKind::InvalidData => {
                Failure::failed(format!("{option} {}: is not UTF-8 text", name(file)))
            }
            _ => Failure::Failed { message, hint },
        }
    })
}

/// Reads to the end without ever holding more than `max` bytes or leaving a copy behind.
fn limited(source: impl Read, max: u64) -> io::Result<Zeroizing<String>> {
    // Reserved at once, so that growing does not leave uncleared copies in memory.
    let room = usize::try_from(max).unwrap_or(usize::MAX) + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    source.take(max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn empty(option: &str, file: &Path) -> Failure {
    Failure::failed(format!("{option} {}: is empty", name(file)))
}

fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

/// Asks before something that cannot be undone. Without a terminal nobody can answer: only `--yes` does.
///
/// # Errors
/// Not confirmed.
pub fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(
            "standard input is not a terminal, so this cannot be confirmed; nothing was done",
        )
        .with_hint("Repeat it with --yes if you mean it."));
    }
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{} [y/N] ", crate::render::text::Lines(question));
    let _ = stderr.flush();
    let mut answer = String::new();
    let _ = stdin.lock().take(64).read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("not confirmed; nothing was done")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn read_secret(content: &[u8]) -> Result<String, String> {
        secret("--bearer-file", file(content).path())
            .map(|secret| secret.expose().to_owned())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn one_line_break_is_not_part_of_a_secret() {
        assert_eq!(read_secret(b"s3cret\n").unwrap(), "s3cret");
        assert_eq!(read_secret(b"s3cret\r\n").unwrap(), "s3cret");
        assert_eq!(read_secret(b" s3cret ").unwrap(), " s3cret ");
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_showing_it() {
        for (content, says) in [
            (b"".as_slice(), "is empty"),
            (b"\n", "is empty"),
            (b"\xff\xfe", "is not UTF-8"),
            (&[b'x'; 65 << 10], "is larger"),
        ] {
            let why = read_secret(content).unwrap_err();
            assert!(why.contains(says) && why.contains("--bearer-file"), "{why}");
        }
        let missing = secret("--bearer-file", Path::new("/nonexistent/secret")).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/secret") && missing.contains("cannot be read"), "{missing}");
    }

    #[test]
    fn certificates_are_certificates() {
        let ca = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates("--ca-file", file(ca.as_bytes()).path()).unwrap(), ca);
        let key = format!("{ca}-----BEGIN PRIVATE KEY-----\nMII=\n");
        for (content, says) in [("", "is empty"), ("hello", "no PEM certificate"), (&*key, "private key")] {
            let why = certificates("--ca-file", file(content.as_bytes()).path()).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }
}
