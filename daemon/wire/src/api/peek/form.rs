//! What the gateway has to know of a form: the fields that mean something to it are those of a JSON body.

use std::ops::Range;

use super::{
    Peek, PeekError,
    error::LONGEST_NAME,
    keys::{Governed, Names as _, which},
};
use crate::api::json::Raw;

/// The key of a JSON body that a field of this name means.
///
/// # Errors
/// [`PeekError::Miscased`] and [`PeekError::Replaced`], as for a key.
pub(crate) fn governed_field(name: &str) -> Result<Option<&'static str>, PeekError> {
    let key = which::<Governed>(Raw { bytes: name.as_bytes(), cut: false, length: name.len() })?;
    match key {
        Some(key) if key.replaces() => Err(PeekError::Replaced(key.name())),
        key => Ok(key.map(Governed::name)),
    }
}

impl Peek {
    /// Of a form with this model, where it stands, and so many bytes of text.
    ///
    /// # Errors
    /// [`PeekError::Long`].
    pub(crate) fn of_form(model: Option<(String, Range<usize>)>, text: u64) -> Result<Self, PeekError> {
        let (model, model_at) = model.map_or((None, 0..0), |(model, at)| (Some(model), at));
        if model.as_ref().is_some_and(|model| model.len() > LONGEST_NAME) {
            return Err(PeekError::Long(Governed::Model.name()));
        }
        Ok(Self { model, model_at, is_form: true, prompt_at_most: text, ..Self::default() })
    }

    /// Whether it is a form, and no JSON.
    #[must_use]
    pub fn is_form(&self) -> bool {
        self.is_form
    }
}
