//! Patterns of organizations' own: added, listed and removed, and compiled for the data path.

use std::{collections::HashMap, sync::Arc};

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Fault, FaultKind,
    privacy::{NewPattern, Pattern, PatternAction},
    user::Role,
};
use aivonx_store::{OrganizationRecord, PatternRecord};
use aivonx_wire::privacy::pattern::{self, Patterns};

use super::{Actor, Identity, privacy::not_of_fleet};

/// Most patterns of one organization.
const MOST: usize = 50;

/// Most words of one pattern, and most characters of a word, a name and a marker.
const WORDS: usize = 200;
const WORD: usize = 64;

/// Longest regular expression, in bytes.
const EXPRESSION: usize = 2048;

/// The patterns of one owner as requests are searched for them.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    records: Vec<PatternRecord>,
    patterns: Arc<Patterns>,
}

impl Compiled {
    /// Those of `records`; `old` goes on if it is of the same.
    fn of(records: Vec<PatternRecord>, old: Option<&Self>) -> Self {
        if let Some(old) = old.filter(|old| old.records == records) {
            return old.clone();
        }
        let patterns = records.iter().filter_map(|record| match compile(record) {
            Ok(pattern) => Some(pattern),
            // It was compiled when it was added.
            Err(error) => {
                tracing::error!(event = "pattern_unusable", %error, reason = %record.name, "a pattern is not looked for");
                None
            }
        });
        Self { patterns: patterns.collect(), records }
    }

    pub(super) fn patterns(&self) -> Arc<Patterns> {
        self.patterns.clone()
    }
}

/// The patterns of each organization, and under None of those without one.
pub(super) type AllCompiled = HashMap<Option<Arc<str>>, Compiled>;

/// Compiles what is new in `records`.
pub(super) fn compile_all(records: Vec<PatternRecord>, old: Option<&AllCompiled>) -> AllCompiled {
    let mut by_owner: HashMap<Option<Arc<str>>, Vec<PatternRecord>> = HashMap::new();
    for record in records {
        by_owner.entry(record.organization.as_deref().map(Arc::from)).or_default().push(record);
    }
    let owners = by_owner.into_iter();
    owners
        .map(|(owner, records)| {
            let compiled = Compiled::of(records, old.and_then(|old| old.get(&owner)));
            (owner, compiled)
        })
        .collect()
}

fn compile(record: &PatternRecord) -> Result<pattern::Pattern, pattern::BadPattern> {
    let expression = record.regex.clone().unwrap_or_else(|| pattern::of_words(&record.words));
    pattern::Pattern::new(&record.name, &expression, &record.marker, record.action)
}

impl Identity {
    /// The patterns of an organization: the one `wanted`, the actor's own, or those without one.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach.
    pub async fn patterns(&self, actor: &Actor, wanted: Option<&str>) -> Result<Vec<Pattern>, Fault> {
        let organization = self.organization_of(actor, wanted).await?;
        let mut records = self.patterns_of(organization.as_ref()).await?;
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records.into_iter().map(|record| shown(record, organization.as_ref())).collect())
    }

    /// Those of the organization with this slug as requests are searched for them.
    pub(super) fn compiled_patterns(&self, slug: Option<&str>) -> Option<Arc<Patterns>> {
        let hot = self.hot.load();
        match slug {
            Some(slug) => hot.organization_by_slug(slug)?.screening.own.clone(),
            None => hot.screening().own.clone(),
        }
    }

    async fn patterns_of(
        &self,
        organization: Option<&OrganizationRecord>,
    ) -> Result<Vec<PatternRecord>, Fault> {
        let id = organization.map(|found| &*found.id);
        let mut records = self.store.patterns().list(&TenantScope::All).await?;
        records.retain(|record| record.organization.as_deref() == id);
        Ok(records)
    }

    /// Adds one.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach; `Invalid` for what cannot be searched for; `Exists` for a name
    /// that is taken; `NotPermitted` for those without an organization by others than superadmins.
    pub async fn add_pattern(
        &self,
        actor: &Actor,
        wanted: Option<&str>,
        new: NewPattern,
    ) -> Result<Pattern, Fault> {
        let organization = self.owner_of_patterns(actor, wanted).await?;
        let NewPattern { name, regex, words, marker, action } = new;
        check_name(&name)?;
        let marker = marker.unwrap_or_else(|| marker_of(&name));
        check_text("marker", &marker)?;
        match &regex {
            Some(_) if !words.is_empty() => {
                return Err(invalid(
                    "words",
                    "a pattern has a regex or words, not both".into(),
                    "make two of it",
                ));
            }
            None if words.is_empty() => {
                return Err(invalid(
                    "regex",
                    "a pattern needs a regex or words".into(),
                    "give --regex or --words",
                ));
            }
            Some(regex) if regex.len() > EXPRESSION => {
                let message = format!("the regex has more than {EXPRESSION} bytes");
                return Err(invalid("regex", message, "make several patterns of it"));
            }
            _ => {}
        }
        if words.len() > WORDS {
            return Err(invalid(
                "words",
                format!("there are more than {WORDS} words"),
                "make several patterns",
            ));
        }
        words.iter().try_for_each(|word| check_text("words", word))?;
        let record = PatternRecord {
            id: String::new(),
            organization: organization.as_ref().map(|found| found.id.clone()),
            name,
            regex,
            words,
            marker,
            action,
            created: 0,
            revision: 0,
        };
        let field = if record.regex.is_some() { "regex" } else { "words" };
        if let Err(bad) = compile(&record) {
            return Err(
                Fault::new(FaultKind::Invalid, format!("the pattern cannot be used: {bad}")).field(field)
            );
        }
        if self.patterns_of(organization.as_ref()).await?.len() >= MOST {
            let message = format!("there are {MOST} patterns already");
            return Err(invalid("name", message, "remove one, or put words together in one pattern"));
        }
        let record = self.store.patterns().insert(record).await.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        Ok(shown(record, organization.as_ref()))
    }

    /// Removes one.
    ///
    /// # Errors
    /// `NotFound`; `NotPermitted` as in [`Self::add_pattern`], and by an administrator of the organization for one that
    /// replaces or refuses.
    pub async fn remove_pattern(&self, actor: &Actor, wanted: Option<&str>, name: &str) -> Result<(), Fault> {
        let organization = self.owner_of_patterns(actor, wanted).await?;
        let records = self.patterns_of(organization.as_ref()).await?;
        let Some(record) = records.into_iter().find(|record| record.name == name) else {
            let message = format!("there is no pattern {name:?}");
            return Err(Fault::new(FaultKind::NotFound, message)
                .field("name")
                .hint("see aivonx privacy pattern list"));
        };
        if actor.role != Role::Superadmin && record.action != PatternAction::Detect {
            let message = "an org-admin may not loosen what happens to personal data";
            return Err(Fault::new(FaultKind::NotPermitted, message).field("name").hint("a superadmin may"));
        }
        let removed = self.store.patterns().remove(&TenantScope::All, &record.id, None).await;
        removed.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        Ok(())
    }

    /// Whose patterns the actor may change.
    async fn owner_of_patterns(
        &self,
        actor: &Actor,
        wanted: Option<&str>,
    ) -> Result<Option<OrganizationRecord>, Fault> {
        let found = self.organization_of(actor, wanted).await?;
        if found.is_none() && actor.role != Role::Superadmin {
            return Err(not_of_fleet());
        }
        Ok(found)
    }
}

fn shown(record: PatternRecord, organization: Option<&OrganizationRecord>) -> Pattern {
    let PatternRecord { name, regex, words, marker, action, created, .. } = record;
    Pattern {
        name,
        organization: organization.map(|found| found.slug.clone()),
        regex,
        words,
        marker,
        action,
        created,
    }
}

/// `[REDACTED_PROJECT_X]` for `project-x`.
fn marker_of(name: &str) -> String {
    format!("[REDACTED_{}]", name.to_ascii_uppercase().replace('-', "_"))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=WORD).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let message = format!("{name:?} is no name for a pattern");
    Err(invalid("name", message, "up to 64 of a-z, 0-9 and -, such as project-names"))
}

fn check_text(field: &str, text: &str) -> Result<(), Fault> {
    let length = text.chars().count();
    if (1..=WORD).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("{text:?} has {length} characters");
    Err(invalid(field, message, "1 to 64 that can be printed"))
}

fn invalid(field: &str, message: String, hint: &str) -> Fault {
    Fault::new(FaultKind::Invalid, message).field(field).hint(hint)
}
