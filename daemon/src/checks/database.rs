//! The database that keeps the settings, if that is not the embedded store.

use aivonx_protocol::secrets::Check;
use aivonx_store::database::GOOD_PASSWORD;

/// What is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Database<'d> {
    /// In words.
    pub(super) name: &'d str,
    /// Every host is this machine.
    pub(super) is_local: bool,
    pub(super) speaks_tls: bool,
    pub(super) shows_certificate: bool,
    /// Characters.
    pub(super) password: Option<usize>,
}

/// Which store is in use.
pub(super) fn store(found: Option<Database<'_>>) -> Check {
    match found {
        None => Check::ok("store", "the embedded store in the data directory keeps the settings"),
        Some(database) => Check::ok("store", format!("{} keeps the settings", database.name)),
    }
}

/// Whether others on the way could read or change what is said.
pub(super) fn connection(database: Database<'_>) -> Check {
    const NAME: &str = "database connection";
    if database.speaks_tls {
        return Check::ok(NAME, "TLS, with the server's certificate and name checked");
    }
    let fix = "write sslmode=verify-full in cluster.postgres";
    match database.is_local {
        true => Check::ok(NAME, "plain, to this machine alone"),
        false => {
            Check::fail(NAME, "plain, over a network: who stands between reads and changes everything", fix)
        }
    }
}

/// Whether others could connect as the gateway.
pub(super) fn password(database: Database<'_>) -> Check {
    const NAME: &str = "database password";
    let fix = "give the role one of 16 characters or more (ALTER ROLE ... PASSWORD), and name its file in cluster.password_file";
    match database.password {
        Some(length) if length < GOOD_PASSWORD => {
            Check::fail(NAME, format!("it has {length} characters, fewer than {GOOD_PASSWORD}"), fix)
        }
        Some(_) => Check::ok(NAME, format!("it has {GOOD_PASSWORD} characters or more")),
        None if database.shows_certificate => Check::ok(NAME, "none; the gateway shows a client certificate"),
        None if database.is_local => {
            Check::warn(NAME, "none is given: the server trusts who connects from this machine", fix)
        }
        None => Check::fail(NAME, "none is given: the server trusts who connects over the network", fix),
    }
}

/// Whether the gateway's role could do more than it needs.
pub(super) fn rights(database: Database<'_>, found: Result<&[String], &str>) -> Check {
    const NAME: &str = "database role";
    let fix = "give the gateway a role of its own with the rights that `aivonxd migrate --print` shows";
    match found {
        Ok([]) => Check::ok(NAME, "it may read and write data, and nothing else"),
        Ok(more) => {
            let finding = format!("{}; data rights are enough", more.join(", "));
            // On one machine one role for both is usual.
            match database.is_local {
                true => Check::warn(NAME, finding, fix),
                false => Check::fail(NAME, finding, fix),
            }
        }
        Err(why) => {
            Check::warn(NAME, format!("its rights cannot be looked at: {why}"), "see `aivonx status`")
        }
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::secrets::CheckOutcome;

    use super::*;

    const FAR: Database<'_> = Database {
        name: "the PostgreSQL database a at db1:5432",
        is_local: false,
        speaks_tls: true,
        shows_certificate: false,
        password: Some(16),
    };

    #[test]
    fn what_is_weak_is_named() {
        assert_eq!(connection(FAR).outcome, CheckOutcome::Ok);
        assert_eq!(connection(Database { speaks_tls: false, ..FAR }).outcome, CheckOutcome::Fail);
        assert_eq!(
            connection(Database { speaks_tls: false, is_local: true, ..FAR }).outcome,
            CheckOutcome::Ok
        );
        assert_eq!(password(FAR).outcome, CheckOutcome::Ok);
        assert_eq!(password(Database { password: Some(15), ..FAR }).outcome, CheckOutcome::Fail);
        let none = Database { password: None, ..FAR };
        assert_eq!(password(none).outcome, CheckOutcome::Fail);
        assert_eq!(password(Database { is_local: true, ..none }).outcome, CheckOutcome::Warn);
        assert_eq!(password(Database { shows_certificate: true, ..none }).outcome, CheckOutcome::Ok);
        assert_eq!(rights(FAR, Ok(&[])).outcome, CheckOutcome::Ok);
        let superuser = ["it is a superuser".to_owned()];
        assert_eq!(rights(FAR, Ok(&superuser)).outcome, CheckOutcome::Fail);
        assert_eq!(rights(Database { is_local: true, ..FAR }, Ok(&superuser)).outcome, CheckOutcome::Warn);
        assert!(store(Some(FAR)).finding.contains("db1:5432"));
    }
}
