//! Who was served how much of late: tokens, of which half are forgotten in a minute.

use foldhash::HashMap;

use crate::Time;

/// Seconds in which half is forgotten.
const HALF_LIFE: Time = 60.0;
/// Those remembered; when there are more, the ones that were served least are forgotten.
const MOST: usize = 4096;

#[derive(Debug, Clone, Copy, Default)]
struct Served {
    tokens: f64,
    at: Time,
}

/// Tokens served, by whom they were for.
#[derive(Debug, Default)]
pub(crate) struct Service(HashMap<u64, Served>);

impl Service {
    pub(crate) fn of(&self, who: u64, now: Time) -> f64 {
        self.0.get(&who).map_or(0.0, |served| served.now(now))
    }

    pub(crate) fn add(&mut self, who: u64, tokens: f64, now: Time) {
        if let Some(served) = self.0.get_mut(&who) {
            *served = Served { tokens: (served.now(now) + tokens).max(0.0), at: now };
            return;
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, served| served.now(now) >= 1.0);
            if self.0.len() >= MOST {
                self.0.clear();
            }
        }
        self.0.insert(who, Served { tokens: tokens.max(0.0), at: now });
    }
}

impl Served {
    fn now(&self, now: Time) -> f64 {
        self.tokens * (-(now - self.at).max(0.0) / HALF_LIFE).exp2()
    }
}
