//! What the process itself costs.

use std::{fs, sync::OnceLock, time::SystemTime};

/// Resident memory in bytes from `/proc/self/status`; 0 on systems without it.
#[must_use]
pub fn resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|text| resident_in(&text)).unwrap_or(0)
}

/// `VmRSS:     1234 kB`
fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// When this was first asked for, which [`super::init()`] does at start.
pub fn started() -> SystemTime {
    static STARTED: OnceLock<SystemTime> = OnceLock::new();
    *STARTED.get_or_init(SystemTime::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_found() {
        assert_eq!(resident_in("Name:\tx\nVmRSS:\t   18432 kB\n"), Some(18_874_368));
        assert!(resident_bytes() > 100 << 10);
    }
}
