//! Data keys under the master key.

use super::{
    MasterKey, SecretsError,
    cipher::{Cipher, KEY, Key, random},
};
use crate::DataKeyRecord;

/// What a wrapped data key is bound to: its number.
fn context(id: u32) -> Vec<u8> {
    let mut context = b"aivonx data key v1\0".to_vec();
    context.extend_from_slice(&id.to_be_bytes());
    context
}

/// A new data key, wrapped and in clear.
pub(super) fn new_key(master: &MasterKey, id: u32) -> Result<(DataKeyRecord, Key), SecretsError> {
    let key = random::<KEY>()?;
    let created = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    Ok((wrap(master, id, &key, created)?, key))
}

fn wrap(master: &MasterKey, id: u32, key: &Key, created: u64) -> Result<DataKeyRecord, SecretsError> {
    let (nonce, wrapped) = master.cipher().seal(&context(id), &key[..])?;
    Ok(DataKeyRecord { id, master: master.tag(), nonce, wrapped, created })
}

/// The data key in clear; the caller has compared the master keys' tags.
pub(super) fn unwrap(wrapping: &Cipher, record: &DataKeyRecord) -> Result<Key, SecretsError> {
    let damaged = SecretsError::DamagedDataKey { id: record.id };
    let Some(plain) = wrapping.open(&context(record.id), record.nonce, &record.wrapped) else {
        return Err(damaged);
    };
    let mut key = Key::default();
    if plain.len() != KEY {
        return Err(damaged);
    }
    key.copy_from_slice(&plain);
    Ok(key)
}

/// The same data key under another master key; None if it is under that one already.
pub(super) fn rewrap(
    old: &MasterKey,
    new: &MasterKey,
    record: &DataKeyRecord,
) -> Result<Option<DataKeyRecord>, SecretsError> {
    if record.master == new.tag() {
        // Believed only if it opens: a record that was changed must not pass for one that is done.
        unwrap(&new.cipher(), record)?;
        return Ok(None);
    }
    if record.master != old.tag() {
        return Err(SecretsError::WrongMasterKey { path: old.path().to_owned() });
    }
    let key = unwrap(&old.cipher(), record)?;
    wrap(new, record.id, &key, record.created).map(Some)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn master(dir: &Path, name: &str) -> MasterKey {
        MasterKey::load_or_generate(&dir.join(name)).unwrap()
    }

    #[test]
    fn a_data_key_keeps_its_bits_under_another_master_key() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new, other) = (master(dir.path(), "a"), master(dir.path(), "b"), master(dir.path(), "c"));
        let (record, key) = new_key(&old, 7).unwrap();
        let moved = rewrap(&old, &new, &record).unwrap().unwrap();
        assert_eq!((moved.id, moved.created, moved.master), (7, record.created, new.tag()));
        assert_eq!(unwrap(&new.cipher(), &moved).unwrap(), key);
        assert!(unwrap(&old.cipher(), &moved).is_err());
        assert_eq!(rewrap(&old, &new, &moved).unwrap(), None, "done already");
        assert!(matches!(rewrap(&other, &new, &record), Err(SecretsError::WrongMasterKey { .. })));
        let mut changed = moved;
        changed.wrapped[0] ^= 1;
        assert!(matches!(rewrap(&old, &new, &changed), Err(SecretsError::DamagedDataKey { id: 7 })));
        let renumbered = DataKeyRecord { id: 8, ..record };
        assert!(rewrap(&old, &new, &renumbered).is_err());
    }
}
