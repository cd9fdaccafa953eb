//! Which events are kept: a level, and levels per part (`info,fleet=debug,access=warn,hyper=debug`).

use std::sync::{Arc, Mutex, PoisonError};

use aivonx_protocol::log::Level;
use arc_swap::ArcSwap;
use tracing::{Metadata, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::filter::Targets;

/// Parts of the daemon that can be named, and their tracing targets. `access` is the one event per request; `proxy` is
/// what `gateway` was called.
const PARTS: [(&str, &str); 18] = [
    ("access", "access"),
    ("api", "aivonx_wire::api"),
    ("app", "aivonx_daemon::app"),
    ("audit", "aivonx_ledgers::audit"),
    ("config", "aivonx_config"),
    ("control", "aivonx_daemon::control"),
    ("fleet", "aivonx_fleet"),
    ("gateway", "aivonx_gateway"),
    ("identity", "aivonx_identity"),
    ("lifecycle", "aivonx_daemon::lifecycle"),
    ("limits", "aivonx_limits"),
    ("policy", "aivonx_gateway::policy"),
    ("privacy", "aivonx_wire::privacy"),
    ("proxy", "aivonx_gateway"),
    ("secrets", "aivonx_store::secrets"),
    ("store", "aivonx_store"),
    ("telemetry", "aivonx_telemetry"),
    ("usage", "aivonx_ledgers::usage"),
];

/// Why a level was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// Nothing given.
    #[error("log.level is empty: give a level such as `info`, or `info,fleet=debug`")]
    Empty,
    /// Not a level.
    #[error("log.level: `{0}` is not a level: use off, error, warn, info, debug or trace")]
    UnknownLevel(String),
    /// More than one level without a part.
    #[error(
        "log.level: `{0}` is a second level for everything: give one, and name a part for others (`fleet={0}`)"
    )]
    SecondLevel(String),
    /// Not a part's or a library's name.
    #[error("log.level: `{0}` is not a part of the daemon: use one of {known}, or a library's name", known = known())]
    UnknownPart(String),
    /// Libraries print what they transport when traced.
    #[error(
        "log.level: `{0}=trace` is refused, because libraries then print what they carry: use `{0}=debug`"
    )]
    LibraryTrace(String),
}

/// Parses directives.
///
/// # Errors
/// The first directive that cannot be obeyed, with what would be accepted in its place.
pub fn parse(directives: &str) -> Result<Targets, LevelError> {
    let mut base = None;
    let mut named = Vec::new();
    for directive in directives.split(',').map(str::trim).filter(|d| !d.is_empty()) {
        match directive.split_once('=') {
            None => {
                let level = level(directive)?;
                if base.replace(level).is_some() {
                    return Err(LevelError::SecondLevel(directive.to_owned()));
                }
            }
            Some((part, word)) => named.push((target(part.trim())?, level(word.trim())?)),
        }
    }
    if base.is_none() && named.is_empty() {
        return Err(LevelError::Empty);
    }
    let base = base.unwrap_or(LevelFilter::INFO);
    // Libraries have their own idea of what is worth saying: they are heard from `warn` on unless named.
    let mut targets = Targets::new()
        .with_default(base.min(LevelFilter::WARN))
        .with_target("aivonx", base)
        .with_target("access", base);
    for (name, level) in named {
        if level == LevelFilter::TRACE && !name.starts_with("aivonx") && name != "access" {
            return Err(LevelError::LibraryTrace(name));
        }
        targets = targets.with_target(name, level);
    }
    Ok(targets)
}

fn level(word: &str) -> Result<LevelFilter, LevelError> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(LevelError::UnknownLevel(word.to_owned())),
    })
}

/// The tracing target of a part as people name it.
fn target(part: &str) -> Result<String, LevelError> {
    let first = part.split("::").next().unwrap_or_default();
    let well_formed =
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:-".contains(&b));
    if !well_formed {
        return Err(LevelError::UnknownPart(part.to_owned()));
    }
    if first.starts_with("aivonx_") {
        return Ok(part.to_owned());
    }
    if let Some((_, target)) = PARTS.iter().find(|(name, _)| *name == first) {
        return Ok(format!("{target}{}", &part[first.len()..]));
    }
    // One letter off a part's name is a slip, not a library.
    if PARTS.iter().any(|(name, _)| strsim::damerau_levenshtein(name, first) == 1) {
        return Err(LevelError::UnknownPart(part.to_owned()));
    }
    Ok(part.replace('-', "_"))
}

fn known() -> String {
    PARTS.map(|(name, _)| name).join(", ")
}

/// How a target is shown: that it is ours goes without saying, and so does a crate that only holds parts.
#[must_use]
pub fn shown(target: &'static str) -> &'static str {
    let Some(own) = target.strip_prefix("aivonx_") else { return target };
    ["daemon::", "ledgers::", "wire::"].iter().find_map(|holder| own.strip_prefix(holder)).unwrap_or(own)
}

/// The filter in force, changed while running.
#[derive(Debug, Clone)]
pub struct LevelHandle(Arc<ArcSwap<Targets>>);

impl LevelHandle {
    pub fn new(targets: Targets) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(targets)))
    }

    /// Puts another filter in force.
    pub fn set(&self, targets: Targets) {
        // Call sites remember whether anyone listens. Two rebuilds at a time could leave the older answer.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.store(Arc::new(targets));
        tracing::callsite::rebuild_interest_cache();
    }

    pub fn enabled(&self, meta: &Metadata<'_>) -> bool {
        self.0.load().would_enable(meta.target(), meta.level())
    }

    /// Least severity of access events that is wanted; None: none at all.
    pub fn access(&self) -> Option<Level> {
        let targets = self.0.load();
        let wants = |level| targets.would_enable("access", &level);
        match () {
            () if wants(tracing::Level::INFO) => Some(Level::Info),
            () if wants(tracing::Level::WARN) => Some(Level::Warn),
            () if wants(tracing::Level::ERROR) => Some(Level::Error),
            () => None,
        }
    }

    pub fn interest(&self, meta: &Metadata<'_>) -> Interest {
        if self.enabled(meta) { Interest::always() } else { Interest::never() }
    }

    pub fn most(&self) -> LevelFilter {
        let targets = self.0.load();
        targets
            .iter()
            .map(|(_, level)| level)
            .chain(targets.default_level())
            .max()
            .unwrap_or(LevelFilter::OFF)
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::LevelError;
    use super::parse;

    #[test]
    fn parts_libraries_and_the_rest() {
        let t = parse("info, fleet=debug ,access=warn,hyper=debug").unwrap();
        assert!(t.would_enable("aivonx_fleet::health", &Level::DEBUG));
        assert!(!t.would_enable("aivonx_gateway", &Level::DEBUG));
        assert!(t.would_enable("aivonx_gateway", &Level::INFO));
        assert!(!t.would_enable("access", &Level::INFO));
        assert!(t.would_enable("hyper::proto", &Level::DEBUG));
        assert!(!t.would_enable("h2", &Level::INFO));
        assert!(t.would_enable("h2", &Level::WARN));
        assert!(!parse("off").unwrap().would_enable("h2", &Level::ERROR));
        assert!(parse("fleet=trace").unwrap().would_enable("aivonx_fleet", &Level::TRACE));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let cases = [
            ("", "log.level is empty: give a level such as `info`, or `info,fleet=debug`"),
            ("loud", "log.level: `loud` is not a level: use off, error, warn, info, debug or trace"),
            (
                "info,debug",
                "log.level: `debug` is a second level for everything: give one, and name a part for others (`fleet=debug`)",
            ),
            (
                "h2=trace",
                "log.level: `h2=trace` is refused, because libraries then print what they carry: use `h2=debug`",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), want);
        }
        assert!(parse("feet=debug").unwrap_err().to_string().contains("`feet` is not a part of the daemon"));
        assert!(matches!(parse("fleet[x]=debug"), Err(LevelError::UnknownPart(_))));
    }
}
