//! Operations on the members of a cluster.

use aivonx_protocol::{
    Fault, FaultKind, Untrusted,
    cluster::{self, Member, MemberState},
    operation::Serve,
};
use aivonx_store::{Store, member};

use crate::control::{By, Services};

impl Serve<cluster::Members> for Services {
    async fn serve(&self, _: By<cluster::Members>, _: cluster::Members) -> Result<Vec<Member>, Fault> {
        members(&self.store).await
    }
}

impl Serve<cluster::Fence> for Services {
    async fn serve(&self, _: By<cluster::Fence>, asked: cluster::Fence) -> Result<Member, Fault> {
        let all = members(&self.store).await?;
        let member = chosen(&all, &asked.member)?;
        if member.here {
            return Err(Fault::new(FaultKind::Invalid, "this is the member that was asked")
                .field("member")
                .hint("ask another member, or stop this one"));
        }
        self.store.fence_member(&member.id).await?;
        Ok(Member { state: MemberState::Fenced, ..member.clone() })
    }
}

/// The member with this name or id.
fn chosen<'m>(all: &'m [Member], asked: &str) -> Result<&'m Member, Fault> {
    if let Some(member) = all.iter().find(|member| member.id == asked) {
        return Ok(member);
    }
    let shown = Untrusted::new(asked);
    let mut named = all.iter().filter(|member| member.name == asked);
    match (named.next(), named.next()) {
        (Some(member), None) => Ok(member),
        (Some(_), Some(_)) => {
            Err(Fault::new(FaultKind::Conflict, format!("several members are called \"{shown}\""))
                .field("member")
                .hint("name it by its id: see `aivonx cluster members --output json`"))
        }
        (None, _) => Err(Fault::new(FaultKind::NotFound, format!("there is no member \"{shown}\""))
            .field("member")
            .hint("see `aivonx cluster members`")),
    }
}

async fn members(store: &Store) -> Result<Vec<Member>, Fault> {
    let own = store.member_id();
    let shown = |found: member::Member| Member {
        here: own == Some(&*found.id),
        id: found.id,
        name: found.name,
        address: found.address,
        version: found.version,
        state: match found.state {
            member::MemberState::Serving => MemberState::Serving,
            member::MemberState::Away => MemberState::Away,
            member::MemberState::Stopped => MemberState::Stopped,
            member::MemberState::Fenced => MemberState::Fenced,
        },
        seen: found.seen,
        revision: found.revision,
        lag: found.lag,
    };
    Ok(store.members().await?.into_iter().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, name: &str) -> Member {
        Member {
            id: id.into(),
            name: name.into(),
            address: String::new(),
            version: String::new(),
            state: MemberState::Serving,
            seen: 0,
            revision: 0,
            lag: 0,
            here: false,
        }
    }

    #[test]
    fn a_member_is_named_by_what_only_it_has() {
        let all = [member("1", "a"), member("2", "b"), member("3", "b")];
        assert_eq!(chosen(&all, "a").unwrap().id, "1");
        assert_eq!(chosen(&all, "3").unwrap().id, "3");
        assert_eq!(chosen(&all, "b").unwrap_err().kind, FaultKind::Conflict);
        assert_eq!(chosen(&all, "c").unwrap_err().kind, FaultKind::NotFound);
    }
}
