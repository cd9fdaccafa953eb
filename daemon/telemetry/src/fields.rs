//! The fields with a name of their own in the journal.

/// What the journal has of every event besides these: the sentence, the id of its kind (see `messages.rs`), the
/// part of the daemon it is from, when it happened (journald's own time is when it came in), and all other fields
/// as `name=value`.
pub(crate) const OWN: [&str; 5] = ["message", "MESSAGE_ID", "AIVONX_TARGET", "AIVONX_TIME", "AIVONX_OTHER"];

macro_rules! fields {
    ($($name:ident: $meaning:literal,)*) => {
        /// The documented fields. In the journal they bear the prefix `AIVONX_` (`journalctl AIVONX_NODE=gpu1`),
        /// in JSON lines their own name.
        ///
        /// | field | meaning |
        /// |---|---|
        $(#[doc = concat!("| `", stringify!($name), "` | ", $meaning, " |")])*
        pub const FIELDS: &[&str] = &[$(stringify!($name)),*];

        /// [`OWN`], then [`FIELDS`] as the journal has them; the writer turns them to capitals.
        pub(crate) static NAMES: [&str; OWN.len() + FIELDS.len()] =
            [OWN[0], OWN[1], OWN[2], OWN[3], OWN[4], $(concat!("AIVONX_", stringify!($name))),*];
    };
}

fields! {
    node: "name of a node",
    model: "name of a model, as the catalogue has it",
    served: "name of the model that was asked of the node, where it is another (an alias or a fallback)",
    request_id: "our id of a request, also in its answer's `X-Request-Id`",
    client_request_id: "the client's own `X-Request-Id`",
    client: "address of the client",
    method: "method of a request",
    route: "of a request; a pattern, never the client's path",
    status: "HTTP status of the answer",
    limit: "name of the limit that refused a request",
    outcome: "`complete`, `refused`, `no_node`, `node_failed`, `broken`, `client_gone`, `timed_out`, `ended`, `client_stalled`",
    retries: "attempts after the first",
    bytes_in: "length of the request's body",
    bytes_out: "length of the answer's body",
    prompt_tokens: "as counted by the node",
    output_tokens: "as counted by the node",
    cost_microusd: "what the request cost, in millionths of a USD",
    findings: "personal data and credentials found in the prompt, by category: `email=2 card=1`",
    answer_findings: "the same in the answer",
    queued_ms: "from the request's head to the choice of a node",
    predicted_ms: "from the request's head to the first byte of a stream, as predicted when its node was chosen",
    first_byte_ms: "from the request's head to the answer's first byte",
    duration_ms: "from the request's head to the end",
    error: "why something failed; untrusted text, escaped wherever it is printed",
    reason: "why the daemon did something",
    event: "a word for what happened, for filters and alerts",
    uid: "user of a peer of the control socket",
    pid: "process of a peer of the control socket",
    job: "id of a job",
    state: "of a node or a job: what it has become",
    actor: "who did it, as the audit log names them; untrusted",
    organization: "id of an organization",
    org: "its slug",
    user: "name of the user a request is from",
    with: "name of the API key a request came with",
    checkpoint: "a signed checkpoint of the audit log, one line of JSON",
    url: "of a node",
    path: "of a file or socket of the daemon's",
}
