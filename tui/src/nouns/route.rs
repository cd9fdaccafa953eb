//! Routes: who may ask what, on which listener.
//!
//! ## route
//! | field | meaning |
//! |---|---|
//! | `listener` | address of the listener |
//! | `group` | `inference`, `models`, `management`, `account`, `diagnostics` or `open` |
//! | `access` | `off`, `anonymous`, `key` (one that may do what the route needs), or the scope that a key or token needs: of several, with a vertical bar between them, one |
//! | `routes` | array of texts: methods and path of each route |

use std::borrow::Cow;

use aivonx_protocol::route::RouteAccess;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Column, Table},
};

impl Noun for RouteAccess {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("LISTENER").cut(21), |route, _| (&route.listener).into())
            .sorted(|a, b| a.listener.cmp(&b.listener)),
        Field::<Self>::new(Column::text("ROUTES").cells(11), |route, _| route.group.as_str().into())
            .sorted(|a, b| a.group.cmp(&b.group)),
        Field::<Self>::new(Column::text("ACCESS").cells(12), |route, _| (&route.access).into())
            .sorted(|a, b| a.access.cmp(&b.access)),
        Field::<Self>::new(Column::text("SUCH AS").cut(26).optional(1), |route, _| {
            route.routes.first().map_or_else(String::new, Clone::clone).into()
        })
        .sorted(|a, b| a.routes.cmp(&b.routes)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{} {}", self.listener, self.group.as_str()))
    }

    fn name(&self) -> &str {
        self.group.as_str()
    }

    fn details(&self, _: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("listener", &self.listener);
        table.pair("group", self.group.as_str());
        table.pair("access", &self.access);
        table.list("routes", &self.routes);
        table
    }
}

impl Subject for RouteAccess {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "listener" => self.listener.clone(),
            "group" | "name" => self.group.as_str().to_owned(),
            "access" => self.access.clone(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(self.group.as_str()) || self.routes.iter().any(|route| test(route))
    }
}
