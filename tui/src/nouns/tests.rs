//! What the command line prints of every noun.

use aivonx_protocol::{
    audit::AuditEntry,
    block::Block,
    incident::Finding,
    job::Job,
    key::Key,
    lockout::Lockout,
    model::Model,
    node::Node,
    organization::Organization,
    policy::{Alias, Policy},
    price::Price,
    route::RouteAccess,
    running::Running,
    session::Session,
    snapshot::Snapshot,
    user::User,
};

use super::*;
use crate::samples;

/// On a terminal, in a pipe, and everything about each.
fn shown<T: Noun>(all: &[T]) -> String {
    let table = table(all, &samples::VIEW);
    let details = all.iter().map(|one| one.details(&samples::VIEW).render(Some(80), false));
    let tables = [table.render(Some(80), false), table.render(None, false)];
    for line in tables[0].lines() {
        assert!(crate::render::cells::width(line) <= 80, "{line}");
    }
    tables.into_iter().chain(details).collect::<Vec<_>>().join("\n\n")
}

macro_rules! nouns {
    ($($name:ident: $noun:ty = $samples:expr;)+) => {$(
        #[test]
        fn $name() {
            let all: Vec<$noun> = $samples;
            insta::assert_snapshot!(stringify!($name), shown(&all));
        }
    )+};
}

nouns! {
    aliases: Alias = samples::aliases();
    audit_entries: AuditEntry = samples::audit_entries();
    blocks: Block = samples::blocks();
    findings: Finding = samples::findings();
    jobs: Job = samples::jobs();
    keys: Key = samples::keys();
    lockouts: Lockout = samples::lockouts();
    models: Model = samples::models();
    nodes: Node = samples::nodes();
    organizations: Organization = samples::organizations();
    policies: Policy = samples::policies();
    prices: Price = samples::prices();
    requests: Running = samples::running();
    routes: RouteAccess = samples::routes();
    sessions: Session = samples::sessions();
    snapshots: Snapshot = samples::snapshots();
    users: User = samples::users();
}

#[test]
fn a_key_of_a_demoted_user_says_why_it_opens_nothing() {
    let key = Key { scopes: Vec::new(), ..samples::keys().remove(0) };
    let shown = shown(&[key]);
    assert_eq!(shown.matches("demoted").count(), 3, "{shown}");
    assert!(shown.contains(super::key::NO_SCOPES), "{shown}");
}

/// The console begins with an order there is.
#[test]
fn the_console_has_a_cell_for_every_column() {
    fn count<T: Noun>(all: &[T]) {
        for one in all {
            assert_eq!(one.cells(&samples::VIEW).len(), T::columns().len());
        }
        assert!(T::sorts(T::FIRST));
    }
    count(&samples::nodes());
    count(&samples::findings());
    count(&samples::jobs());
    count(&samples::running());
    count(&samples::sessions());
}
