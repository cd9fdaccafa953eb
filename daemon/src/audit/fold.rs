//! Counting together what comes too often to be written down singly.

/// A finished request of the data path.
#[derive(Debug, Clone, Copy)]
pub struct Inference<'a> {
    /// Id of the user, if the request had one.
    pub user: Option<&'a str>,
    /// Id of the API key, if one was used.
    pub key: Option<&'a str>,
    /// Name of the user, else of the key; `anonymous` without either.
    pub name: &'a str,
    /// Id of the organization.
    pub organization: Option<&'a str>,
    /// Model as the catalogue names it.
    pub model: Option<&'a str>,
    /// Status of the answer.
    pub status: u16,
    /// Tokens of the prompt, as counted by the node.
    pub prompt_tokens: u64,
    /// Tokens of the output, as counted by the node.
    pub output_tokens: u64,
}
