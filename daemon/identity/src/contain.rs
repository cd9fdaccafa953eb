//! Shutting off whoever does harm, all of it in one step.

use aivonx_domain::now;
use aivonx_ledgers::audit::Entry;
use aivonx_protocol::{
    Fault, FaultKind,
    audit::Action,
    incident::{Contain, Contained, ContainedKind as Kind},
    network::Network,
};
use aivonx_store::{BlockRecord, Contain as Target, Contained as Done, Containment};

use super::{Actor, Blocks, blocked::ADDRESS, blocks::shown};

/// A target as it is stored and as people name it.
struct Named {
    kind: Kind,
    name: String,
    target: Target,
    /// What takes it back.
    undo: String,
}

impl Blocks {
    /// Shuts off what is named, or nothing of it; it holds when this returns.
    ///
    /// # Errors
    /// `NotFound` for what is not there; `Invalid` for nothing, for what is no network, for the actor itself, and as of
    /// [`Self::add`]; `Conflict` for the last superadmin.
    pub async fn contain(&self, actor: &Actor, asked: Contain) -> Result<Vec<Contained>, Fault> {
        let revoke = asked.revoke;
        self.check(asked.lasts_ms, &asked.reason, asked.addresses.len())?;
        let named = self.named(actor, asked).await?;
        if named.is_empty() {
            let fault = Fault::new(FaultKind::Invalid, "nothing is named that is to be contained");
            return Err(fault.hint("name it with --key, --user, --org or --address"));
        }
        let targets = named.iter().map(|named| named.target.clone()).collect();
        let done = self.store.contain(Containment { targets, revoke }).await;
        let done = done.map_err(|error| self.identity.refuse(actor, error))?;
        let done: Vec<Contained> =
            named.into_iter().zip(done).map(|(named, done)| told(named, done, revoke)).collect();
        // So that the commands can be had again, also where what follows fails.
        for one in &done {
            if let Some(undo) = &one.undo {
                let entry = Entry::new(Action::Disable).actor(actor.who());
                let entry = entry.object(one.kind.as_str(), None, Some(&one.name));
                self.identity.audit().note(entry.detail("undo", undo));
            }
        }
        self.identity.settle().await?;
        self.in_force.settle().await?;
        Ok(done)
    }

    async fn named(&self, actor: &Actor, asked: Contain) -> Result<Vec<Named>, Fault> {
        let Contain { keys, users, organizations, addresses, lasts_ms, reason, .. } = asked;
        let mut all = Vec::new();
        for wanted in keys {
            let key = self.identity.key(actor, None, &wanted).await?;
            let name = match &key.organization {
                Some(organization) => format!("{organization}/{}", key.name),
                None => key.name,
            };
            let undo = format!("aivonx key enable {}", key.id);
            all.push(Named { kind: Kind::Key, name, target: Target::Key(key.id), undo });
        }
        for wanted in users {
            let user = self.identity.user(actor, &wanted).await?;
            if actor.user.as_ref() == Some(&user.id) {
                let fault = Fault::new(FaultKind::Invalid, "that is you, who would be locked out");
                return Err(fault.field("user").hint("let another superadmin do it"));
            }
            let undo = format!("aivonx user enable {}", user.id);
            all.push(Named { kind: Kind::User, name: user.name, target: Target::User(user.id), undo });
        }
        for wanted in organizations {
            let organization = self.identity.organization(actor, &wanted).await?;
            let undo = format!("aivonx org set {} --enable", organization.id);
            let (name, target) = (organization.slug, Target::Organization(organization.id));
            all.push(Named { kind: Kind::Organization, name, target, undo });
        }
        let until = lasts_ms.map(|lasts| now().saturating_add(lasts));
        for wanted in addresses {
            let network = wanted.parse::<Network>().map_err(|error| {
                Fault::new(FaultKind::Invalid, format!("{wanted:?}: {error}")).field("address")
            })?;
            let name = shown(network);
            let block = BlockRecord {
                id: format!("{ADDRESS}{network}"),
                target: name.clone(),
                reason: reason.clone(),
                until,
                created: 0,
                revision: 0,
            };
            let undo = format!("aivonx block remove {name}");
            all.push(Named { kind: Kind::Address, name, target: Target::Network(network, block), undo });
        }
        Ok(all)
    }
}

fn told(named: Named, done: Done, revoke: bool) -> Contained {
    let Named { kind, name, undo, .. } = named;
    let Done { sessions, revoked, users, changed } = done;
    // Undoing must not let in what was shut off before.
    let undo = (changed && !(revoke && kind == Kind::Key)).then_some(undo);
    Contained { kind, name, sessions, revoked, must_change: users, undo }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Rig, root};

    #[tokio::test]
    async fn addresses_are_checked_as_those_of_blocks_and_undone_where_they_were_not_blocked() {
        let rig = Rig::new().await;
        let blocks = Blocks::open(rig.store(), &rig.identity).await.unwrap();
        let ask = |lasts_ms, reason: &str| Contain {
            keys: Vec::new(),
            users: Vec::new(),
            organizations: Vec::new(),
            addresses: vec!["192.0.2.1".into()],
            revoke: false,
            lasts_ms,
            reason: reason.to_owned(),
        };
        for (asked, field) in [(ask(Some(0), ""), "for"), (ask(None, &"x".repeat(201)), "reason")] {
            let fault = blocks.contain(&root(), asked).await.unwrap_err();
            assert_eq!(fault.field.as_deref(), Some(field), "{fault}");
        }
        let undo = async |asked| blocks.contain(&root(), asked).await.unwrap().remove(0).undo;
        assert_eq!(undo(ask(None, "guesses")).await.as_deref(), Some("aivonx block remove 192.0.2.1"));
        assert_eq!(undo(ask(Some(1000), "again")).await, None);
        let kept = blocks.list().await.unwrap().remove(0);
        assert_eq!((kept.until, kept.reason.as_str()), (None, "guesses"));
    }
}
