//! Schemas of the store and the steps from one to the next.

use super::{StoreError, batch::Batch, ledgers::Ledgers, old, old_usage};

/// One step: brings every record from schema `to - 1` to schema `to`, in one transaction. What it writes to the
/// ledgers is not part of that: it must go on where an interrupted one left them.
pub(super) struct Step {
    pub(super) to: u32,
    pub(super) run: fn(&mut Batch<'_>, &Ledgers) -> Result<(), StoreError>,
}

/// What this build knows. A parameter so that tests can pretend to be a later version.
#[derive(Clone, Copy)]
pub(super) struct Schemas {
    /// The schema this build reads and writes.
    pub(super) current: u32,
    /// The steps to it, in order: from 1, without a gap.
    pub(super) steps: &'static [Step],
}

/// Raised by every change of a stored record's form, with a step that rewrites the old form ([`Batch::rewrite`]) and
/// [`super::tree::Tree::version`] raised with it. A new tree needs neither: where it is absent it is empty.
pub(super) const SCHEMAS: Schemas = Schemas { current: 2, steps: STEPS };

const STEPS: &[Step] = &[Step {
    to: 2,
    run: |batch, ledgers| {
        old::audit(batch.engine(), ledgers)?;
        old_usage::take_over(batch.engine(), ledgers)
    },
}];

impl Schemas {
    /// The steps that lead from `from` to the current schema.
    pub(super) fn from(&self, from: u32) -> impl Iterator<Item = &'static Step> + use<> {
        self.steps.iter().filter(move |step| step.to > from)
    }
}

#[cfg(test)]
mod tests {
    use super::SCHEMAS;

    #[test]
    fn the_steps_lead_to_the_current_schema_without_a_gap() {
        let mut reached = 1;
        for step in SCHEMAS.steps {
            assert_eq!(step.to, reached + 1);
            reached = step.to;
        }
        assert_eq!(reached, SCHEMAS.current);
    }
}
