//! The tables, and who may do what with them. Made by `aivonxd migrate`, never by the gateway itself.

use super::link::{self, Link};
use crate::StoreError;

/// What this build reads and writes.
pub(crate) const VERSION: i32 = 2;

/// Budgets that several gateways share.
const BANK: &str = include_str!("bank.sql");

/// The statements that make the tables, for their owner, and give `runtime`, the role of the gateway, rights on their
/// data alone. They can be run again.
pub(crate) fn sql(runtime: &str) -> String {
    let role = identifier(runtime);
    format!(
        "BEGIN;
-- One at a time.
SELECT pg_advisory_xact_lock(7091893415426671);
CREATE SCHEMA IF NOT EXISTS aivonx;
REVOKE ALL ON SCHEMA aivonx FROM PUBLIC;
-- Settings: space is the collection; key and value are aivonxd's own, with a checksum in each value.
CREATE TABLE IF NOT EXISTS aivonx.record (
    space text COLLATE \"C\" NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (space, key)
);
-- The one process that may write. Every claim raises the epoch, and every change checks it.
CREATE TABLE IF NOT EXISTS aivonx.writer (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch bigint NOT NULL DEFAULT 0,
    revision bigint NOT NULL DEFAULT 0,
    owner text,
    holder text,
    place text,
    seen timestamptz
);
INSERT INTO aivonx.writer DEFAULT VALUES ON CONFLICT DO NOTHING;
-- The form of these tables.
CREATE TABLE IF NOT EXISTS aivonx.version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL,
    made timestamptz NOT NULL DEFAULT now()
);
INSERT INTO aivonx.version (version) VALUES ({VERSION})
    ON CONFLICT (only_row) DO UPDATE SET version = excluded.version, made = now() WHERE version.version < excluded.version;
{BANK}-- The role of the gateway: data, and nothing else.
GRANT USAGE ON SCHEMA aivonx TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON aivonx.record TO {role};
GRANT SELECT, UPDATE ON aivonx.writer TO {role};
GRANT SELECT ON aivonx.version TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON aivonx.bank_member, aivonx.budget, aivonx.lease TO {role};
GRANT SELECT, UPDATE ON aivonx.bank TO {role};
GRANT EXECUTE ON FUNCTION aivonx.bank_turn, aivonx.bank_expire TO {role};
COMMIT;
"
    )
}

/// A name as SQL takes it, whatever is in it.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether the tables are there in the form that this build knows.
///
/// # Errors
/// [`StoreError::NotMigrated`] if they are not.
pub(crate) fn check(link: &Link) -> Result<(), StoreError> {
    let rows = link.read("SELECT version FROM aivonx.version", Vec::new())?;
    let version: Option<i32> = rows.first().map(|row| link::column(row, 0)).transpose()?;
    let name = link.name();
    match version {
        Some(VERSION) => Ok(()),
        Some(newer) if newer > VERSION => Err(StoreError::DatabaseRefused(format!(
            "the tables in {name} have version {newer}, this aivonxd knows versions up to {VERSION}; install the version \
             that made them"
        ))),
        Some(older) => {
            Err(StoreError::NotMigrated(format!("the tables in {name} have version {older}, not {VERSION}")))
        }
        None => Err(StoreError::NotMigrated(format!("{name} has no row in aivonx.version"))),
    }
}

/// Makes the tables with the rights of the role that `link` connects with.
pub(crate) fn apply(link: &Link, runtime: &str) -> Result<(), StoreError> {
    link.batch(sql(runtime))?;
    check(link)
}

/// What the role of `link` may do beyond reading and writing data, in words.
pub(crate) fn rights(link: &Link) -> Result<Vec<String>, StoreError> {
    let rows = link.read(
        "SELECT r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls,
                pg_catalog.has_schema_privilege('aivonx', 'CREATE'),
                pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
         FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
        Vec::new(),
    )?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let names = [
        "it is a superuser",
        "it may make roles",
        "it may make databases",
        "it may replicate",
        "it passes row-level security",
        "it may make and change tables in the schema aivonx",
        "it may make schemas in the database",
    ];
    let mut found = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        if link::column::<bool>(row, at)? {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_cannot_break_out_of_its_name() {
        let sql = sql("a\"; DROP TABLE x; --");
        assert!(sql.contains("TO \"a\"\"; DROP TABLE x; --\";"), "{sql}");
    }
}
