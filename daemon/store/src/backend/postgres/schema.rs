//! The tables, and who may do what with them. Made by `aivonxd migrate`, never by the gateway itself.

use super::link::{self, Link};
use crate::StoreError;

/// What this build reads and writes. A version only adds to the one before, so that members of both can run while one after
/// the other is upgraded.
pub(crate) const VERSION: i32 = 2;

/// Budgets that several gateways share.
const BANK: &str = include_str!("bank.sql");

/// The tables of each version on top of those before, for their owner. `{role}` stands for the role of the gateway.
const TABLES: &[&str] = &[RECORDS, MEMBERS, BANK];

const RECORDS: &str = "
CREATE SCHEMA IF NOT EXISTS aivonx;
REVOKE ALL ON SCHEMA aivonx FROM PUBLIC;
GRANT USAGE ON SCHEMA aivonx TO {role};
-- Settings: space is the collection; key and value are aivonxd's own, with a checksum in each value.
CREATE TABLE IF NOT EXISTS aivonx.record (
    space text COLLATE \"C\" NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (space, key)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON aivonx.record TO {role};
-- The revision of the settings, which every change raises, by a random step.
CREATE TABLE IF NOT EXISTS aivonx.writer (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL DEFAULT 0
);
INSERT INTO aivonx.writer DEFAULT VALUES ON CONFLICT DO NOTHING;
GRANT SELECT, UPDATE ON aivonx.writer TO {role};
-- The form of these tables.
CREATE TABLE IF NOT EXISTS aivonx.version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL,
    made timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON aivonx.version TO {role};";

const MEMBERS: &str = "
-- Whose turn it is to change settings, and until when it may take.
ALTER TABLE aivonx.writer ADD COLUMN IF NOT EXISTS turn text, ADD COLUMN IF NOT EXISTS until timestamptz;
-- What the one gateway of version 1 was known by; a process of that version cannot write any more.
ALTER TABLE aivonx.writer DROP COLUMN IF EXISTS epoch, DROP COLUMN IF EXISTS owner, DROP COLUMN IF EXISTS holder,
    DROP COLUMN IF EXISTS place, DROP COLUMN IF EXISTS seen;
-- The gateways. Every start raises the epoch, which every change checks; place is NULL once it has stopped.
CREATE TABLE IF NOT EXISTS aivonx.member (
    id text PRIMARY KEY,
    name text NOT NULL,
    epoch bigint NOT NULL,
    process text NOT NULL,
    place text,
    version text NOT NULL,
    address text NOT NULL DEFAULT '',
    revision bigint NOT NULL DEFAULT 0,
    joined timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    fenced timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON aivonx.member TO {role};
-- What each revision changed, for a while: members read it to follow.
CREATE TABLE IF NOT EXISTS aivonx.change (
    revision bigint NOT NULL,
    space text COLLATE \"C\" NOT NULL,
    key bytea NOT NULL,
    member text NOT NULL,
    made timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (revision, space, key)
);
GRANT SELECT, INSERT, DELETE ON aivonx.change TO {role};
-- Who does what must be done once: until the time, renewed while it is alive. Every other holder raises the token.
CREATE TABLE IF NOT EXISTS aivonx.duty (
    name text PRIMARY KEY,
    member text NOT NULL,
    token bigint NOT NULL DEFAULT 1,
    until timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON aivonx.duty TO {role};";

/// The statements that make the tables, for their owner, and give `runtime`, the role of the gateway, rights on their
/// data alone. They can be run again.
pub(crate) fn sql(runtime: &str) -> String {
    let tables = TABLES.concat().replace("{role}", &identifier(runtime));
    format!(
        "BEGIN;
-- One at a time.
SELECT pg_advisory_xact_lock(7091893415426671);{tables}
INSERT INTO aivonx.version AS known (version) VALUES ({VERSION})
    ON CONFLICT (only_row) DO UPDATE SET version = greatest(known.version, excluded.version), made = now();
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
        // One that is newer by one was made for the members that are upgraded before this one.
        Some(version) if version == VERSION || version == VERSION + 1 => Ok(()),
        Some(newer) if newer > VERSION => Err(StoreError::DatabaseRefused(format!(
            "the tables in {name} have version {newer}, this aivonxd works with versions {VERSION} and {}; install the \
             version that made them",
            VERSION + 1
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
