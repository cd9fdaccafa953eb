//! The repositories, one for each noun.

use super::{
    AliasRecord, AliasWeightsRecord, AnswersRecord, AuditLog, BlockRecord, CopiesRecord, DataKeys,
    DisabledKeyRecord, KeyCertificateRecord, KeyQueueingRecord, KeyRecord, KeyUses, LearnedTexts,
    LimitCounters, LimitRecord, LockoutRecord, ModelAccessRecord, NodeTraitsRecord, NodeWakeRecord, Nodes,
    OrganizationRecord, PatternRecord, PlacementRecord, PolicyRecord, PriceRecord, Records, SecretRecord,
    SessionRecord, Settings, Store, UsageLog, UserRecord, usage,
};

impl Store {
    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> Nodes {
        Nodes { records: Records::new(self.clone()) }
    }

    /// The organizations.
    #[must_use]
    pub fn organizations(&self) -> Records<OrganizationRecord> {
        Records::new(self.clone())
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> Records<UserRecord> {
        Records::new(self.clone())
    }

    /// The API keys.
    #[must_use]
    pub fn keys(&self) -> Records<KeyRecord> {
        Records::new(self.clone())
    }

    /// How the requests of keys wait.
    #[must_use]
    pub fn key_queueing(&self) -> Records<KeyQueueingRecord> {
        Records::new(self.clone())
    }

    /// The certificates of keys.
    #[must_use]
    pub fn key_certificates(&self) -> Records<KeyCertificateRecord> {
        Records::new(self.clone())
    }

    /// Which API keys are disabled.
    #[must_use]
    pub fn disabled_keys(&self) -> Records<DisabledKeyRecord> {
        Records::new(self.clone())
    }

    /// What was learned of the nodes.
    #[must_use]
    pub fn learned(&self) -> LearnedTexts {
        LearnedTexts { store: self.clone() }
    }

    /// The last uses of the API keys.
    #[must_use]
    pub fn key_uses(&self) -> KeyUses {
        KeyUses { store: self.clone() }
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> Records<SessionRecord> {
        Records::new(self.clone())
    }

    /// The failed logins.
    #[must_use]
    pub fn lockouts(&self) -> Records<LockoutRecord> {
        Records::new(self.clone())
    }

    /// The daemon's own secrets.
    #[must_use]
    pub fn secrets(&self) -> Records<SecretRecord> {
        Records::new(self.clone())
    }

    /// Limits that were set.
    #[must_use]
    pub fn limits(&self) -> Records<LimitRecord> {
        Records::new(self.clone())
    }

    /// The prices.
    #[must_use]
    pub fn prices(&self) -> Records<PriceRecord> {
        Records::new(self.clone())
    }

    /// The model policies.
    #[must_use]
    pub fn policies(&self) -> Records<PolicyRecord> {
        Records::new(self.clone())
    }

    /// For whom models are.
    #[must_use]
    pub fn model_access(&self) -> Records<ModelAccessRecord> {
        Records::new(self.clone())
    }

    /// The aliases of models.
    #[must_use]
    pub fn aliases(&self) -> Records<AliasRecord> {
        Records::new(self.clone())
    }

    /// How many keys the models of aliases are for.
    #[must_use]
    pub fn alias_weights(&self) -> Records<AliasWeightsRecord> {
        Records::new(self.clone())
    }

    /// The models that are kept loaded.
    #[must_use]
    pub fn copies(&self) -> Records<CopiesRecord> {
        Records::new(self.clone())
    }

    /// What is said of nodes beside their records.
    #[must_use]
    pub fn node_traits(&self) -> Records<NodeTraitsRecord> {
        Records::new(self.clone())
    }

    /// How nodes that sleep are woken.
    #[must_use]
    pub fn node_wakes(&self) -> Records<NodeWakeRecord> {
        Records::new(self.clone())
    }

    /// Where the operators of organizations may place nodes.
    #[must_use]
    pub fn placements(&self) -> Records<PlacementRecord> {
        Records::new(self.clone())
    }

    /// The blocks.
    #[must_use]
    pub fn blocks(&self) -> Records<BlockRecord> {
        Records::new(self.clone())
    }

    /// What happens to personal data in answers.
    #[must_use]
    pub fn answers(&self) -> Records<AnswersRecord> {
        Records::new(self.clone())
    }

    /// Patterns that are looked for in prompts and answers.
    #[must_use]
    pub fn patterns(&self) -> Records<PatternRecord> {
        Records::new(self.clone())
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { store: self.clone() }
    }

    /// The audit log.
    #[must_use]
    pub fn audit_log(&self) -> AuditLog {
        AuditLog { store: self.clone() }
    }

    /// The counters of limits.
    #[must_use]
    pub fn limit_counters(&self) -> LimitCounters {
        LimitCounters { store: self.clone() }
    }

    /// The usage ledger, with sums of the days of `calendar`.
    #[must_use]
    pub fn usage_log(&self, calendar: usage::Calendar) -> UsageLog {
        UsageLog { store: self.clone(), calendar }
    }

    /// The data keys.
    #[must_use]
    pub fn data_keys(&self) -> DataKeys {
        DataKeys { store: self.clone() }
    }
}
