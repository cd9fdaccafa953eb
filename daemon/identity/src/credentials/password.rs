//! Hashing and checking passwords: Argon2id, off the async threads, a bounded number at once.

use std::{fmt, sync::Arc};

use aivonx_protocol::WireSecret;
use argon2::{
    Algorithm, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::password_memory::Roomy;
pub use super::password_rules::{Attribute, Context, MAX_BYTES, MIN_CHARACTERS, Rule, check_rules};

/// OWASP's first recommendation for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Most memory a stored hash may ask for, in KiB: a damaged record must not take the machine down.
const MOST_MEMORY_KIB: u32 = 1 << 20;
/// Callers that may wait for each permit.
const QUEUE: usize = 64;
/// Verified against where there is no hash: any salt, and an output of zeros that no password has.
const DUMMY: &str = "$YWl2b254OiBubyB1c2VyLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password was neither hashed nor checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many others wait.
    #[error("too many passwords are being checked; try again in a few seconds")]
    Busy,
    /// The stored hash is no PHC string of Argon2.
    #[error("the stored password hash cannot be read: {0}")]
    Stored(String),
    /// Hashing failed.
    #[error("hashing the password failed: {0}")]
    Failed(String),
}

/// What checking a password found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct PasswordCheck {
    /// It is the right one.
    pub ok: bool,
    /// It is right, and its hash was made with weaker parameters than today's: hash it again.
    pub needs_rehash: bool,
}

/// Hashes and checks passwords. Clones share the permits.
#[derive(Clone)]
pub struct Hasher {
    permits: usize,
    params: Params,
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Hasher {
    /// A hasher that runs at most `permits` at once, each with 19 MiB for some 30 ms of one core.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self::with(permits, params(MEMORY_KIB, PASSES, LANES))
    }

    fn with(permits: usize, params: Params) -> Self {
        let permits = permits.max(1);
        Self {
            permits,
            params,
            running: Arc::new(Semaphore::new(permits)),
            queue: Arc::new(Semaphore::new(permits * QUEUE)),
        }
    }

    /// The same with permits of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::with(self.permits, self.params.clone())
    }

    /// As [`Self::new`], but fast and weak: for tests of what stands around it.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn weak() -> Self {
        Self::with(4, params(8, 1, 1))
    }

    /// Takes every place in the queue.
    #[cfg(test)]
    pub(crate) fn fill(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| self.queue.clone().try_acquire_owned().ok()).collect()
    }

    /// The PHC string of `password` under a new salt.
    ///
    /// # Errors
    /// [`HashError::Busy`]; [`HashError::Failed`] for want of random numbers or memory.
    pub async fn hash(&self, password: WireSecret) -> Result<String, HashError> {
        let argon2 = Roomy::new(self.params.clone());
        self.run(move || {
            let hash = argon2.hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|e| HashError::Failed(e.to_string()))
        })
        .await
    }

    /// Checks `password` against a stored hash. Without one (no such user, or none set) it takes as long and
    /// says no.
    ///
    /// # Errors
    /// [`HashError::Busy`]; [`HashError::Stored`] for a damaged record.
    pub async fn verify(&self, phc: Option<&str>, password: WireSecret) -> Result<PasswordCheck, HashError> {
        // Longer ones are never set; they cost what others cost, and say no.
        let possible = phc.is_some() && password.expose().len() <= MAX_BYTES;
        let password = if possible { password } else { WireSecret::new(String::new()) };
        let phc = match phc {
            Some(phc) if possible => phc.to_owned(),
            _ => self.dummy(),
        };
        let today = self.params.clone();
        self.run(move || {
            let stored = |e: password_hash::phc::Error| HashError::Stored(e.to_string());
            let hash = PasswordHash::new(&phc).map_err(stored)?;
            let params = Params::try_from(&hash).map_err(|e| HashError::Stored(e.to_string()))?;
            if hash.salt.is_none() || hash.hash.is_none() {
                return Err(HashError::Stored("it is cut off".into()));
            }
            if params.m_cost() > MOST_MEMORY_KIB {
                return Err(HashError::Stored(format!("it asks for {} KiB of memory", params.m_cost())));
            }
            let weaker = params.m_cost() < today.m_cost()
                || params.t_cost() < today.t_cost()
                || params.p_cost() < today.p_cost()
                || hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
                || hash.version != Some(Version::V0x13.into());
            match Roomy::new(params).verify_password(password.expose().as_bytes(), &hash) {
                Ok(()) if possible => Ok(PasswordCheck { ok: true, needs_rehash: weaker }),
                Ok(()) | Err(password_hash::Error::PasswordInvalid) => {
                    Ok(PasswordCheck { ok: false, needs_rehash: false })
                }
                Err(e) => Err(HashError::Failed(e.to_string())),
            }
        })
        .await
    }

    /// [`check_rules`] off the async threads: it looks through dictionaries for some milliseconds.
    ///
    /// # Errors
    /// The outer one if it could not run; the inner one has the rules that are broken.
    pub async fn check_rules(
        &self,
        password: WireSecret,
        context: Context,
    ) -> Result<Result<(), Vec<Rule>>, HashError> {
        self.run(move || Ok(check_rules(password.expose(), &context))).await
    }

    fn dummy(&self) -> String {
        let (m, t, p) = (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        format!("$argon2id$v=19$m={m},t={t},p={p}{DUMMY}")
    }

    /// Runs `work` on a blocking thread. The permits go with it: a caller that leaves does not make room for
    /// another hash while its own still runs.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let queued = self.queue.clone().try_acquire_owned().map_err(|_| HashError::Busy)?;
        let running: OwnedSemaphorePermit =
            self.running.clone().acquire_owned().await.map_err(|_| HashError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permits = (queued, running);
            work()
        });
        done.await.unwrap_or_else(|e| Err(HashError::Failed(e.to_string())))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("free", &self.running.available_permits()).finish_non_exhaustive()
    }
}

fn params(memory_kib: u32, passes: u32, lanes: u32) -> Params {
    // Only constants come here, and a test makes a hash with each.
    Params::new(memory_kib, passes, lanes, None).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use argon2::Argon2;

    use super::*;

    fn secret(text: &str) -> WireSecret {
        WireSecret::new(text.into())
    }

    const RIGHT: PasswordCheck = PasswordCheck { ok: true, needs_rehash: false };
    const WRONG: PasswordCheck = PasswordCheck { ok: false, needs_rehash: false };

    #[tokio::test]
    async fn hashes_have_the_recommended_parameters_and_salts_of_their_own() {
        let hasher = Hasher::new(2);
        let (a, b) = tokio::join!(hasher.hash(secret("correct horse")), hasher.hash(secret("correct horse")));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(a.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{a}");
        assert_ne!(a, b);
        assert_eq!(hasher.verify(Some(&a), secret("correct horse")).await.unwrap(), RIGHT);
        assert_eq!(hasher.verify(Some(&b), secret("Correct horse")).await.unwrap(), WRONG);
        assert_eq!(hasher.verify(Some(&b), secret("")).await.unwrap(), WRONG);
    }

    #[tokio::test]
    async fn a_weaker_hash_is_to_be_made_anew_and_a_stronger_one_is_not() {
        let weak = Hasher::weak().hash(secret("correct horse")).await.unwrap();
        let verdict = Hasher::new(1).verify(Some(&weak), secret("correct horse")).await.unwrap();
        assert_eq!(verdict, PasswordCheck { ok: true, needs_rehash: true });
        assert_eq!(Hasher::new(1).verify(Some(&weak), secret("wrong")).await.unwrap(), WRONG);
        let strong = Hasher::with(1, params(64, 3, 2)).hash(secret("correct horse")).await.unwrap();
        assert_eq!(Hasher::weak().verify(Some(&strong), secret("correct horse")).await.unwrap(), RIGHT);
        // Another Argon2 is verified as what it is, and replaced.
        let other = Argon2::new(Algorithm::Argon2i, Version::V0x13, params(64, 3, 1));
        let other = other.hash_password(b"correct horse").unwrap().to_string();
        let verdict = Hasher::weak().verify(Some(&other), secret("correct horse")).await.unwrap();
        assert_eq!(verdict, PasswordCheck { ok: true, needs_rehash: true });
    }

    #[tokio::test]
    async fn without_a_hash_the_work_is_done_all_the_same() {
        for hasher in [Hasher::new(1), Hasher::weak()] {
            let dummy = hasher.dummy();
            let parsed = PasswordHash::new(&dummy).unwrap();
            let params = Params::try_from(&parsed).unwrap();
            assert_eq!(
                (params.m_cost(), params.t_cost(), params.p_cost()),
                (hasher.params.m_cost(), hasher.params.t_cost(), hasher.params.p_cost())
            );
            let made = PasswordHash::new(&hasher.hash(secret("x")).await.unwrap()).unwrap();
            assert_eq!(parsed.hash.unwrap().len(), made.hash.unwrap().len());
            assert_eq!(parsed.salt.unwrap().len(), made.salt.unwrap().len());
            assert_eq!(hasher.verify(None, secret("anything")).await.unwrap(), WRONG);
        }
    }

    #[tokio::test]
    async fn a_password_of_any_length_is_refused_at_the_same_cost() {
        let hasher = Hasher::weak();
        let phc = hasher.hash(secret(&"x".repeat(MAX_BYTES))).await.unwrap();
        assert_eq!(hasher.verify(Some(&phc), secret(&"x".repeat(MAX_BYTES))).await.unwrap(), RIGHT);
        assert_eq!(hasher.verify(Some(&phc), secret(&"x".repeat(1 << 20))).await.unwrap(), WRONG);
        let empty = hasher.hash(secret("")).await.unwrap();
        assert_eq!(hasher.verify(Some(&empty), secret(&"x".repeat(1 << 20))).await.unwrap(), WRONG);
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_and_takes_no_memory() {
        let hasher = Hasher::weak();
        let huge = format!("$argon2id$v=19$m=4194304,t=1,p=1{DUMMY}");
        for phc in ["", "x", "$argon2id$v=19$m=8", "$2b$10$abc", &huge] {
            let error = hasher.verify(Some(phc), secret("x")).await.unwrap_err();
            assert!(matches!(error, HashError::Stored(_) | HashError::Failed(_)), "{phc}: {error}");
        }
    }

    #[tokio::test]
    async fn no_more_run_or_wait_than_allowed() {
        let hasher = Hasher::with(1, params(8, 1, 1));
        let held = hasher.running.clone().acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..QUEUE)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.hash(secret("x")).await })
            })
            .collect();
        while hasher.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(hasher.hash(secret("x")).await.unwrap_err(), HashError::Busy);
        drop(held);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        assert_eq!(hasher.queue.available_permits(), QUEUE);
    }
}
