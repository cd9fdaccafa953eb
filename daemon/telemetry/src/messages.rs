//! Ids of the journal's messages: `MESSAGE_ID` makes `journalctl -x` explain an event, and
//! `journalctl MESSAGE_ID=...` finds it independently of its wording.
//!
//! `packaging/journald/aivonx.catalog` explains each and says what to do; a test compares the two.

/// `SYSLOG_IDENTIFIER` of our events, for `journalctl -t aivonxd`.
pub(crate) const IDENTIFIER: &str = "aivonxd";

/// An event with an id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// The word in the field `event`.
    pub event: &'static str,
    /// 128 random bits, hexadecimal. Never changed and never used again for something else.
    pub id: &'static str,
    /// What happened, in a few words.
    pub title: &'static str,
}

const fn message(event: &'static str, id: &'static str, title: &'static str) -> Message {
    Message { event, id, title }
}

/// Every event that has an id. Appended to.
pub const MESSAGES: &[Message] = &[
    message("start", "f628a6dde3204b77a5b0c2b2f6f91948", "The gateway starts, or has started"),
    message("stop", "19c7537a7ae0481eba0ea460750ae087", "The gateway stops, or has stopped"),
    message("setup_needed", "c407e41b25de426684a1d99db3397f20", "The gateway has no administrator yet"),
    message("setup", "6caae96c3e17448c8537a36604a498ef", "The first administrator was made"),
    message("recover", "0b750c6f9a824a918ceee13d337a61fe", "Root gave a user a new password"),
    message("config_reload", "913bf478a2ed4ea1b5a6d27f534be8f7", "The configuration was read again"),
    message(
        "config_reload_failed",
        "1a461154268141f585fbd58d53c325aa",
        "The changed configuration has mistakes and was not taken in",
    ),
    message("watchdog", "f8b2d4a0a7e2420890d14d70a7377aaa", "A part of the daemon stands still"),
    message("panic", "d3d78a36684c4acc9f756f3e907d7d42", "A thread of the daemon panicked"),
    message("node_active", "34fc323cc99e4b8088068f9891a83cb2", "A node takes requests"),
    message("node_standby", "458cff0789b646e687cafbcef8af5dbd", "A node takes no more requests"),
    message("node_absent", "3cf37fa16f754547ad1c7823e09a5f07", "A node does not answer and is waited for"),
    message("node_unusable", "7e60c8b1c0314cf4b8ff5c1343d93157", "A stored node cannot be used"),
    message("job_ended", "a57b80ba21354ad0ac0fcda021c38580", "A job ended before it was through"),
    message("login_failed", "8480ae16701d4b8f881b005b9a29a4e2", "A login was refused"),
    message("lockout", "347eab51d0de4312b188c6a6544e3d24", "A user is locked out from an address"),
    message("backup_code_used", "64da53932a3a4777bbfff952246faa93", "A backup code was spent"),
    message("permission_change", "6e5eefaf47cf44afadc329b709d45e72", "Somebody's rights were changed"),
    message(
        "cross_org_denied",
        "1113571e65194feba6b7862d12a1ea1e",
        "Somebody reached for what belongs to another organization",
    ),
    message("token_reuse", "5b09e86dad364f63a8d8d5cb5f530c78", "A spent refresh token came again"),
    message("secrets_rotate", "1486bafd883d48358abeaecc959002e8", "Keys were replaced"),
    message("secret_kept", "d77b845ce269432ea075f140e5686865", "An old key could not be forgotten"),
    message("identity_stale", "9d526a24186648b0b0b0e114961d9a37", "Users and keys could not be read anew"),
    message("fleet_sync", "bc5b0cd42b4d431c862a48019d54b7dc", "A change of the store was not taken in"),
    message("store_damaged", "a19e0742642345d786540812fd47f0fa", "The store is damaged"),
    message("restore", "8fbab064675743da9ee1c364f2012c70", "The store was restored from a snapshot"),
    message("chain_start", "cf6d20552d2145c284d5fcc6ed27b9f2", "A chain of the audit log begins"),
    message("audit_failed", "75bdc60bfca0435d87d74f1022a4e14d", "The audit log could not be written"),
    message("audit_broken", "43aaa3507c4e459ba636578cdb96f943", "The audit log does not verify"),
    message("audit_overflow", "688da6f3ec024068903a9f884d478847", "Audit entries came too fast"),
    message("audit_retention", "5830c8d3e83a49c995218595c395e06a", "Old audit entries were removed"),
    message("export", "7d56dc815a3d4b119d3b6959bf831a1b", "The audit log or usage was exported"),
    message("log_fallback", "27a7797950824be99c245a04f7a75f14", "The log goes elsewhere than configured"),
    message("log_lost", "e842f01447bd4a97878bd898d649088d", "Log events were dropped"),
    message("access_lost", "9a1fe96c511e4b2aa2a78eaf0f59cc56", "Requests were not logged or counted"),
    message("control_full", "2604527b2a064cb7ba0cdc6454c3f36a", "The control socket had no room"),
    message("control_accept_failed", "9b8c451f95f34632aef733256a4bceef", "The control socket cannot accept"),
    message("usage_failed", "20a49cdfffcf4d4a8fb1e93f20a36b43", "The usage ledger could not be written"),
    message("usage_lost", "5b2c1dd0cd5340129b9ea0c38a2e19a7", "Requests are missing from the usage ledger"),
    message(
        "budget_degraded",
        "3b0e9d4c1f5a4f0e8a6d2c7b9e1f4a53",
        "Limits cannot be shared with other gateways",
    ),
    message("budget_expired", "8c2f6a1de97b4d35b04f7e6a2d91c8b4", "A gateway lost its slice of a limit"),
    message(
        "budget_restored",
        "d15a7c30b8e24f6990a3c4e7f1b26d08",
        "The database of shared limits went back in time",
    ),
    message(
        "limits_lost",
        "6974ed72845f445b9205847d50ceecf8",
        "Counters of limits could not be read or saved",
    ),
    message("limit_reached", "5fc0a6b40fc84b888f211408f81581b6", "A limit refused a request"),
    message("chain_lost", "1e005226fb7d57c2f7ad1933e5b257d5", "Part of a ledger is lost"),
    message("store_failed", "30caa2ce1c5e1c548f0547fbcecdc17f", "The store takes no more changes"),
    message("control_made_anew", "91d10778de2791c0d0abbd4611236de4", "The control socket had been removed"),
    message("certificate_refused", "2bd4c936fed047939d0391f978ca2bc2", "A new certificate cannot be used"),
    message(
        "certificate_not_obtained",
        "9f1d06f9ad2d4f3d8f5a7be6b1c6204e",
        "A certificate could not be obtained",
    ),
];

/// The id of an event.
#[must_use]
pub fn id_of(event: &str) -> Option<&'static str> {
    MESSAGES.iter().find(|message| message.event == event).map(|message| message.id)
}
