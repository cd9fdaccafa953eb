//! What a node has that may sleep, as it is kept over a restart: without it no request could wake it after one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::inventory::{Inventory, SeenModel};

/// What it holds in memory is no part of it: that is lost in its sleep.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
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

/// As text.
pub(super) fn write(inventory: &Inventory) -> Option<String> {
    let models = inventory.models.iter();
    let models = models.map(|model| KeptModel { name: model.name.clone(), raw: model.raw.clone() });
    let kept = Kept { version: inventory.version.clone(), tells: inventory.tells, models: models.collect() };
    serde_json::to_string(&kept).ok()
}

/// What [`write`] wrote; None if it cannot be read.
pub(super) fn read(text: &str) -> Option<Inventory> {
    let Kept { version, tells, models } = serde_json::from_str(text).ok()?;
    let model = |KeptModel { name, raw }: KeptModel| {
        Some(SeenModel { name, facts: serde_json::from_str(raw.get()).ok()?, raw })
    };
    let models = models.into_iter().map(model).collect::<Option<_>>()?;
    Some(Inventory { version, tells, models, loaded: Vec::new() })
}
