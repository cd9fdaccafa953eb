//! What a node has that may sleep, as it is kept over a restart: without it no request could wake it after one.

use std::sync::Arc;

use aivonx_protocol::node::NodeKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::inventory::{Inventory, SeenModel};

/// Most bytes of one as text. What is written with it is lost where it is too large for the ledger, which takes 2 MiB.
const MOST: usize = 1 << 20;

/// What a node has, and where that was seen: if it is another address or kind by now, that is another server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeptInventory {
    pub(super) url: String,
    pub(super) kind: NodeKind,
    pub(super) inventory: Arc<Inventory>,
}

/// What it holds in memory is no part of it: that is lost in its sleep.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    url: String,
    kind: NodeKind,
    #[serde(default)]
    version: Option<Box<str>>,
    #[serde(default)]
    tells: bool,
    models: Vec<KeptModel>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptModel {
    name: Box<str>,
    /// What the node wrote about it.
    raw: Box<RawValue>,
}

impl KeptInventory {
    /// As text; None if that is too large.
    pub(super) fn write(self) -> Option<String> {
        let Self { url, kind, inventory } = self;
        let models = inventory.models.iter();
        let models = models.map(|model| KeptModel { name: model.name.clone(), raw: model.raw.clone() });
        let (version, tells, models) = (inventory.version.clone(), inventory.tells, models.collect());
        let text = serde_json::to_string(&Kept { url, kind, version, tells, models }).ok()?;
        (text.len() <= MOST).then_some(text)
    }

    /// What [`Self::write`] wrote; None if it cannot be read.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Kept { url, kind, version, tells, models } = serde_json::from_str(text).ok()?;
        let model = |KeptModel { name, raw }: KeptModel| {
            Some(SeenModel { name, facts: serde_json::from_str(raw.get()).ok()?, raw })
        };
        let models = models.into_iter().map(model).collect::<Option<_>>()?;
        let inventory = Arc::new(Inventory { version, tells, models, loaded: Vec::new() });
        Some(Self { url, kind, inventory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::read_tags;

    #[test]
    fn what_is_too_large_is_not_kept() {
        let text = |bytes: usize| {
            let tags = format!(r#"{{"models":[{{"name":"m","more":"{}"}}]}}"#, "x".repeat(bytes));
            let models = read_tags(tags.as_bytes()).unwrap();
            let inventory = Inventory { version: None, models, loaded: Vec::new(), tells: true }.into();
            KeptInventory { url: "http://a".into(), kind: NodeKind::Ollama, inventory }.write()
        };
        assert_eq!(text(MOST), None);
        let text = text(MOST / 2).unwrap();
        assert_eq!(KeptInventory::read(&text).unwrap().write(), Some(text));
    }
}
