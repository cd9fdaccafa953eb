//! Argon2 with memory that goes back to the system once a hash is made.
//!
//! The crate takes its blocks, 19 MiB by our parameters, from the allocator's heap. glibc keeps what was freed there,
//! in an arena for each thread that ever hashed: a gateway where a dozen people log in would hold hundreds of
//! megabytes for ever, full of what passwords were mixed into.

use argon2::{
    Algorithm, Argon2, Block, Error, Params, Version,
    password_hash::{
        self, CustomizedPasswordHasher, PasswordHasher,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};

/// Blocks of 1 KiB for which room is taken at the least. From 32 MiB on (`DEFAULT_MMAP_THRESHOLD_MAX`, mallopt(3))
/// glibc always asks the system for pages of their own, and gives them back at once; pages that are not touched
/// take no memory.
const ROOM: usize = 33 * 1024;

/// Argon2 of one kind and with one set of parameters.
pub(super) struct Roomy {
    algorithm: Algorithm,
    version: Version,
    params: Params,
}

impl Roomy {
    /// Today's kind with these parameters.
    pub(super) fn new(params: Params) -> Self {
        Self { algorithm: Algorithm::Argon2id, version: Version::V0x13, params }
    }
}

impl PasswordHasher<PasswordHash> for Roomy {
    fn hash_password_with_salt(&self, password: &[u8], salt: &[u8]) -> password_hash::Result<PasswordHash> {
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        let salt = Salt::new(salt)?;
        let mut out = [0; Output::MAX_LENGTH];
        let length = self.params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let out = out.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let blocks = self.params.block_count();
        let mut memory: Vec<Block> = Vec::new();
        memory.try_reserve_exact(blocks.max(ROOM)).map_err(|_| Error::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        argon2.hash_password_into_with_memory(password, &salt, out, &mut memory)?;
        Ok(PasswordHash {
            algorithm: self.algorithm.ident(),
            version: Some(self.version.into()),
            params: ParamsString::try_from(&self.params)?,
            salt: Some(salt),
            hash: Some(Output::new(out)?),
        })
    }
}

/// What verifying asks for: the kind and the parameters that the stored hash has.
impl CustomizedPasswordHasher<PasswordHash> for Roomy {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        Self { algorithm, version, params }.hash_password_with_salt(password, salt)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;

    use super::*;

    #[test]
    fn it_is_the_crates_argon2() {
        let params = Params::new(64, 2, 2, None).unwrap();
        for (algorithm, version) in
            [(Algorithm::Argon2id, Version::V0x13), (Algorithm::Argon2i, Version::V0x10)]
        {
            let theirs = Argon2::new(algorithm, version, params.clone());
            let ours = Roomy { algorithm, version, params: params.clone() };
            let hash = theirs.hash_password_with_salt(b"correct horse", b"some salt here").unwrap();
            assert_eq!(ours.hash_password_with_salt(b"correct horse", b"some salt here").unwrap(), hash);
            let today = Roomy::new(Params::default());
            assert_eq!(today.verify_password(b"correct horse", &hash), Ok(()));
            let wrong = today.verify_password(b"wrong horse", &hash);
            assert_eq!(wrong, Err(password_hash::Error::PasswordInvalid));
        }
    }

    /// What is resident after hashing on many threads is what was before, and not 19 MiB more for each.
    #[test]
    fn no_thread_keeps_the_memory() {
        const ALONE: &str = "AIVONX_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            // In a process of its own: what other tests take meanwhile is not to count.
            let (_crate, here) = module_path!().split_once("::").unwrap();
            let name = format!("{here}::no_thread_keeps_the_memory");
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            let done = alone.args(["--exact", &name]).env(ALONE, "1").output().unwrap();
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let hash = || {
            let params = Params::new(19 * 1024, 1, 1, None).unwrap();
            Roomy::new(params).hash_password_with_salt(b"correct horse", b"some salt here").unwrap();
        };
        let resident = aivonx_telemetry::process::resident_bytes;
        hash();
        let before = resident();
        // At once, so that each has an arena of its own.
        let (done, finished) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let done = done.clone();
                    scope.spawn(move || {
                        hash();
                        hash();
                        done.send(()).unwrap();
                        std::thread::park();
                    })
                })
                .collect();
            (0..8).for_each(|_| finished.recv().unwrap());
            let grown = resident().saturating_sub(before);
            threads.iter().for_each(|thread| thread.thread().unpark());
            assert!(grown < 64 << 20, "{} MiB", grown >> 20);
        });
    }
}
