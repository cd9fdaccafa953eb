//! Models of a fake node.

/// One model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Name as the node reports it.
    pub name: String,
    /// Bytes on disk.
    pub size: u64,
    /// Digest.
    pub digest: String,
    /// When it was last modified, RFC 3339.
    pub modified_at: String,
    /// Family.
    pub family: String,
    /// Whether it is in memory.
    pub loaded: bool,
    /// Set for a model the node hands on to a third party.
    pub remote_host: Option<String>,
}

impl Model {
    /// A small model; its digest follows from the name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let sum = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self {
            name: name.to_owned(),
            size: 1_234_567_890,
            digest: format!("{sum:016x}").repeat(4),
            modified_at: "2026-01-02T03:04:05.678901234Z".to_owned(),
            family: "llama".to_owned(),
            loaded: false,
            remote_host: None,
        }
    }
}
