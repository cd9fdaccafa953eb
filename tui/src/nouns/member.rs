//! Members of a cluster.
//!
//! ## member
//! | field | meaning |
//! |---|---|
//! | `id` | stable id, that of its data directory |
//! | `name` | `cluster.member` of its configuration, or the name of its host |
//! | `address` | its first listener; empty before it had one |
//! | `version` | version of its aivonxd |
//! | `state` | `serving`, `away` (not seen for 15 seconds), `stopped` or `fenced` |
//! | `seen` | time at which it was last seen, by the database's clock |
//! | `revision` | revision of the settings that it served from then |
//! | `lag` | changes of settings since that revision, of the last ten minutes |
//! | `here` | whether it is the gateway that was asked |
//!
//! ## cluster
//! | field | meaning |
//! |---|---|
//! | `serving` | how many members serve |
//! | `members` | every member, as above |

use std::borrow::Cow;

use aivonx_protocol::cluster::{Member, MemberState};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Cell, Column, Table, Tone, text::count},
};

fn state(member: &Member) -> Cell {
    let tone = match member.state {
        MemberState::Serving => Tone::Good,
        MemberState::Away => Tone::Bad,
        MemberState::Stopped | MemberState::Fenced => Tone::Dim,
    };
    Cell::toned(member.state.as_str(), tone)
}

impl Noun for Member {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("MEMBER").cut(20), |member, _| (&member.name).into())
            .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("STATE").cells(8), |member, _| state(member))
            .sorted(|a, b| a.state.cmp(&b.state)),
        Field::<Self>::new(Column::text("ADDRESS").cut(21), |member, _| (&member.address).into())
            .sorted(|a, b| a.address.cmp(&b.address)),
        Field::<Self>::new(Column::text("VERSION").cells(8), |member, _| (&member.version).into())
            .sorted(|a, b| a.version.cmp(&b.version)),
        Field::<Self>::new(Column::number("SEEN").cells(11), |member, view| view.ago(Some(member.seen)))
            .sorted(|a, b| b.seen.cmp(&a.seen)),
        Field::<Self>::new(Column::number("LAG").cells(6), |member, _| count(member.lag).into())
            .sorted(|a, b| b.lag.cmp(&a.lag)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("member", &self.name);
        table.pair("id", &self.id);
        table.pair("state", state(self));
        table.pair("address", &self.address);
        table.pair("version", &self.version);
        table.pair("seen", view.time(self.seen));
        table.pair("revision", count(self.revision));
        table.pair("changes behind", count(self.lag));
        table
    }
}

impl Subject for Member {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "name" | "member" => self.name.clone(),
            "state" => self.state.as_str().to_owned(),
            "address" => self.address.clone(),
            "version" => self.version.clone(),
            "id" => self.id.clone(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name) || test(&self.address)
    }
}
