//! The rules of each credential, pure: they know neither store nor clock nor network, and take the time as an argument.

pub mod api_key;
pub mod backup_code;
pub mod jwt;
pub mod lockout;
pub mod password;
pub mod password_memory;
mod password_rules;
mod random;
pub mod token_format;
pub mod totp;

pub use random::NoRandom;

#[cfg(test)]
mod tests {
    /// What comes from the store, or from a service over it, is given to them.
    #[test]
    fn they_import_neither_store_nor_services() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/credentials");
        for file in std::fs::read_dir(here).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines().filter(|line| line.trim_start().starts_with("use ")) {
                let theirs = ["aivonx_store", "aivonx_ledgers", "crate::", "super::super"];
                assert!(!theirs.iter().any(|part| line.contains(part)), "{}: {line}", path.display());
            }
        }
    }
}
