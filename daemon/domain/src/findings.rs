//! What was found, counted.

use aivonx_protocol::privacy::Category;

/// How often each category of personal data was found in a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings([u32; Category::ALL.len()]);

impl Findings {
    /// Counts one of `category`.
    pub fn add(&mut self, category: Category) {
        let count = &mut self.0[category as usize];
        *count = count.saturating_add(1);
    }

    /// Adds what was found elsewhere.
    pub fn join(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// How many of `category` were found.
    #[must_use]
    pub fn of(&self, category: Category) -> u32 {
        self.0[category as usize]
    }

    /// How many were found together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// The categories that were found, with their counts.
    pub fn each(&self) -> impl Iterator<Item = (Category, u32)> + '_ {
        Category::ALL
            .into_iter()
            .map(|category| (category, self.of(category)))
            .filter(|(_, count)| *count > 0)
    }

    /// The categories that were found and how often: `email=2 card=1`.
    #[must_use]
    pub fn counts(&self) -> String {
        self.each().map(|(category, count)| format!("{category}={count}")).collect::<Vec<_>>().join(" ")
    }

    /// The names of the categories that were found: `email, card`.
    #[must_use]
    pub fn kinds(&self) -> String {
        self.each().map(|(category, _)| category.name()).collect::<Vec<_>>().join(", ")
    }
}
