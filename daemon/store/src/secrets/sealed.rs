//! A secret at rest, and how the store learns which data keys a record needs.

use std::{cell::RefCell, collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

/// A secret at rest: AES-256-GCM under a data key, bound to its tree and record id by the associated data.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Sealed {
    /// Which data key.
    pub key: u32,
    /// 96 random bits.
    pub nonce: [u8; 12],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Not the ciphertext: its length is the secret's.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}

thread_local! {
    /// The data keys of what is serialised on this thread, while [`data_keys_in`] runs.
    static NOTED: RefCell<Option<BTreeSet<u32>>> = const { RefCell::new(None) };
}

/// As derived, and noted for [`data_keys_in`].
impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        NOTED.with_borrow_mut(|noted| {
            if let Some(noted) = noted {
                noted.insert(self.key);
            }
        });
        let mut form = serializer.serialize_struct("Sealed", 3)?;
        form.serialize_field("key", &self.key)?;
        form.serialize_field("nonce", &self.nonce)?;
        form.serialize_field("ciphertext", &self.ciphertext)?;
        form.end()
    }
}

/// Runs `encode`, and says which data keys the secrets need that it serialised, wherever in a record they
/// stand. So no kind of record can hold a secret unnoticed, and none can be stored without its data key.
pub(crate) fn data_keys_in<T>(encode: impl FnOnce() -> T) -> (T, BTreeSet<u32>) {
    /// Ends the noting even if `encode` panics.
    struct Noting;
    impl Drop for Noting {
        fn drop(&mut self) {
            NOTED.set(None);
        }
    }
    let noting = Noting;
    NOTED.set(Some(BTreeSet::new()));
    let value = encode();
    let noted = NOTED.take().unwrap_or_default();
    drop(noting);
    (value, noted)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sealed(key: u32) -> Sealed {
        Sealed { key, nonce: [7; 12], ciphertext: vec![1, 2, 3] }
    }

    #[test]
    fn its_form_is_the_derived_one_and_reads_back() {
        #[derive(Serialize)]
        struct Derived {
            key: u32,
            nonce: [u8; 12],
            ciphertext: Vec<u8>,
        }
        let derived = Derived { key: 300, nonce: [7; 12], ciphertext: vec![1, 2, 3] };
        let text = serde_json::to_string(&sealed(300)).unwrap();
        assert_eq!(text, serde_json::to_string(&derived).unwrap());
        assert_eq!(serde_json::from_str::<Sealed>(&text).unwrap(), sealed(300));
    }

    #[test]
    fn every_secret_of_a_record_is_noted_however_deep() {
        let record = (1, Some(BTreeMap::from([("a", vec![sealed(3), sealed(5)])])), sealed(3));
        let (text, noted) = data_keys_in(|| serde_json::to_string(&record).unwrap());
        assert!(text.contains("nonce"));
        assert_eq!(noted, BTreeSet::from([3, 5]));
        let (_, noted) = data_keys_in(|| serde_json::to_string("nothing sealed").unwrap());
        assert!(noted.is_empty());
    }
}
