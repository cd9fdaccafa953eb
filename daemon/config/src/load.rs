//! Reads a file and finds everything that is wrong with it.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::Path,
    sync::Arc,
};

use toml::de::DeTable;

use super::{
    check, document,
    find::Places,
    mistake::{Mistake, Mistakes, Spot, line_of},
    model::Config,
    origin::{Origin, Origins},
    syntax,
};

/// Largest file that is read, bytes.
const LARGEST: u64 = 256 << 10;

/// A configuration without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where they come from.
    pub origins: Origins,
}

/// Reads and validates a file.
///
/// # Errors
/// Everything that is wrong with it, not only the first mistake.
pub fn load(path: &Path) -> Result<Loaded, Mistakes> {
    let bytes = read(path).map_err(|e| Mistakes::new(path, vec![unreadable(path, &e)]))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(path, text),
        Err(e) => {
            let text = String::from_utf8_lossy(&bytes);
            let at = e.valid_up_to();
            let mistake = Mistake {
                spot: Some(Spot::new(&text, at..at + 1)),
                what: "the file is not UTF-8 from here on".into(),
                accepted: None,
                fix: Some("save it as UTF-8".into()),
            };
            Err(Mistakes::new(path, vec![mistake]))
        }
    }
}

/// Validates the text of a file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Loaded, Mistakes> {
    let repaired = syntax::repair(text);
    let (root, _) = DeTable::parse_recoverable(&repaired.text);
    let mut read = document::read(root.get_ref());
    read.bad.extend(repaired.bad.iter().cloned());
    let mut finds = read.finds;
    finds.extend(check::mistakes(&read.config, &read.places, &read.bad));
    // What was made of a broken line says nothing about what was meant.
    finds.retain(|find| !repaired.changed.contains(&line_of(&repaired.text, find.span.start)));
    for find in &mut finds {
        find.span = repaired.original(text, find.span.start)..repaired.original(text, find.span.end);
    }
    finds.extend(repaired.finds);
    if finds.is_empty() {
        return Ok(Loaded { config: read.config, origins: origins(path, text, &read.places) });
    }
    finds.sort_by_key(|find| find.span.start);
    let found = finds.into_iter().map(|find| find.mistake(text)).collect();
    Err(Mistakes::new(path, found))
}

fn origins(path: &Path, text: &str, places: &Places) -> Origins {
    let file: Arc<str> = path.display().to_string().into();
    let mut origins = Origins::default();
    for (key, span) in places {
        origins.set(key, Origin::File { file: file.clone(), line: line_of(text, span.start) });
    }
    origins
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Mistake {
    let shown = aivonx_protocol::Untrusted::new(&path.display().to_string()).to_string();
    let (what, fix) = match error.kind() {
        ErrorKind::NotFound => (
            "there is no such file".into(),
            format!("make one with every default in it: aivonxd check --print-default > {shown}"),
        ),
        ErrorKind::PermissionDenied => (
            "this user may not read it".into(),
            format!("run as its owner, or let the group read it: chgrp aivonx {shown}; chmod 640 {shown}"),
        ),
        ErrorKind::IsADirectory => (
            "is a directory".into(),
            format!("name a file, and make it with: aivonxd check --print-default > {shown}/aivonxd.toml"),
        ),
        ErrorKind::FileTooLarge => (
            format!("is larger than {LARGEST} bytes"),
            "a configuration is a few KiB: is it the right file?".into(),
        ),
        _ => (format!("cannot be read: {error}"), "name a readable file".into()),
    };
    Mistake { spot: None, what, accepted: None, fix: Some(fix) }
}
