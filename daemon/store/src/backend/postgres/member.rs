//! Who may write: the members, one row each in `aivonx.member`.
//!
//! Not a lock of a session: a pooler in transaction mode shares sessions out anew for each statement, and they are lost with
//! every connection. A row says which data directory it is for (`id`), which process uses that (`process`, with its
//! `place`), when it was last seen, and an `epoch` that every start raises, by a random step: a start that a failover forgot
//! does not share its epoch with the next. Each change compares the epoch in its own statement, so a process that was
//! superseded or fenced writes nothing, however late its change arrives.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use aivonx_protocol::{UnixMillis, Untrusted};
use sha2::{Digest as _, Sha256};
use tokio_postgres::{Row, types::Type};

use super::link::{self, Link, Param};
use crate::{
    StoreError,
    member::{Member, MemberState},
};

/// The right to write as a member.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(super) id: String,
    pub(super) epoch: i64,
}

/// The process that claims.
pub(crate) struct Claimant {
    /// The id of the data directory, out of its file `STORE`.
    pub(crate) id: String,
    /// What the member is called.
    pub(crate) name: String,
    /// For messages.
    process: String,
    /// Equal for two processes only if they use one directory on one running machine, where the directory's lock lets in
    /// one at a time. A copy of the directory, also on a copy of the machine, has another.
    place: String,
}

/// A process that was not seen for so long is taken to be gone.
const STALE: &str = "30 seconds";

const CLAIM: &str = "
    INSERT INTO aivonx.member AS known (id, name, process, place, version, epoch)
    VALUES ($1, $2, $3, $4, $5, 1 + floor(random() * 1000000)::bigint)
    ON CONFLICT (id) DO UPDATE
    SET epoch = known.epoch + 1 + floor(random() * 1000000)::bigint, name = $2, process = $3, place = $4, version = $5,
        seen = clock_timestamp()
    WHERE known.fenced IS NULL
      AND ($6 OR known.place IS NULL OR known.place = $4 OR known.seen < clock_timestamp() - interval '30 seconds')
    RETURNING epoch";

const LIST: &str = "
    SELECT m.id, m.name, m.address, m.version, m.process, m.fenced IS NOT NULL, m.place IS NOT NULL,
           m.seen > clock_timestamp() - interval '15 seconds', (extract(epoch FROM m.seen) * 1000)::bigint,
           m.revision, w.revision, m.place IS NOT NULL AND m.fenced IS NULL
               AND m.seen > clock_timestamp() - interval '30 seconds',
           greatest(0, extract(epoch FROM clock_timestamp() - m.seen))::bigint, m.epoch,
           (SELECT count(DISTINCT c.revision) FROM aivonx.change c WHERE c.revision > m.revision)
    FROM aivonx.member m, aivonx.writer w ORDER BY m.name, m.id";

/// A row, with what only the store needs of it.
pub(crate) struct Known {
    pub(crate) member: Member,
    /// A process that may still write uses it.
    pub(crate) is_alive: bool,
    process: String,
    seen_ago: i64,
    epoch: i64,
}

impl Known {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let is_fenced = link::column(row, 5)?;
        let state = match (is_fenced, link::column(row, 6)?, link::column(row, 7)?) {
            (true, ..) => MemberState::Fenced,
            (_, false, _) => MemberState::Stopped,
            (.., true) => MemberState::Serving,
            (.., false) => MemberState::Away,
        };
        let seen: i64 = link::column(row, 8)?;
        let behind: i64 = link::column(row, 14)?;
        Ok(Self {
            member: Member {
                id: link::column(row, 0)?,
                name: link::column(row, 1)?,
                address: link::column(row, 2)?,
                version: link::column(row, 3)?,
                state,
                seen: UnixMillis::try_from(seen).unwrap_or(0),
                revision: link::column::<i64>(row, 9)?.try_into().unwrap_or(0),
                lag: u64::try_from(behind).unwrap_or(0),
            },
            is_alive: link::column(row, 11)?,
            process: link::column(row, 4)?,
            seen_ago: link::column(row, 12)?,
            epoch: link::column(row, 13)?,
        })
    }

    fn in_words(&self) -> String {
        format!("{} (seen {} s ago)", Untrusted::new(&self.process), self.seen_ago)
    }
}

/// Every member that there was.
pub(crate) fn rows(link: &Link) -> Result<Vec<Known>, StoreError> {
    link.read(LIST, Vec::new())?.iter().map(Known::read).collect()
}

/// Takes from a member the right to write; false if it had none.
pub(crate) fn fence(link: &Link, id: &str) -> Result<bool, StoreError> {
    let fenced = link.once(
        "UPDATE aivonx.member SET fenced = clock_timestamp() WHERE id = $1 AND fenced IS NULL RETURNING id",
        vec![Param::new(id.to_owned(), Type::TEXT)],
    )?;
    Ok(!fenced.is_empty())
}

/// Takes or renews the right to do what is done once, for 10 seconds. Returns the fencing token, which every other holder
/// raises; None if another member has it.
pub(crate) fn duty(link: &Link, id: &str, name: &'static str) -> Result<Option<u64>, StoreError> {
    let rows = link.once(
        "INSERT INTO aivonx.duty AS d (name, member, until) VALUES ($1, $2, clock_timestamp() + interval '10 seconds')
         ON CONFLICT (name) DO UPDATE
         SET member = $2, until = excluded.until, token = d.token + CASE WHEN d.member = $2 THEN 0 ELSE 1 END
         WHERE d.member = $2 OR d.until < clock_timestamp() RETURNING token",
        vec![Param::new(name, Type::TEXT), Param::new(id.to_owned(), Type::TEXT)],
    )?;
    let token = rows.first().map(|row| link::column::<i64>(row, 0)).transpose()?;
    Ok(token.and_then(|token| token.try_into().ok()))
}

impl Claimant {
    /// This process, which has the lock on `dir`.
    pub(crate) fn of(dir: &Path, id: &str, name: Option<&str>) -> Result<Self, StoreError> {
        let meta = fs::metadata(dir).map_err(StoreError::io("look at", dir))?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let place = format!("{}\n{}\n{}\n{host}", boot.trim(), meta.dev(), meta.ino());
        Ok(Self {
            id: id.to_owned(),
            name: name.unwrap_or(host).to_owned(),
            process: format!("process {} on {host}, in {}", std::process::id(), dir.display()),
            place: hex::encode(&Sha256::digest(place.as_bytes())[..16]),
        })
    }
}

impl Claim {
    /// No right: epochs begin at 1.
    pub(crate) const fn none() -> Self {
        Self { id: String::new(), epoch: 0 }
    }

    /// The right to write as the member of the data directory of `claimant`, which joins if it is new; from another process
    /// that is alive only by `force`.
    ///
    /// # Errors
    /// If another process is this member, if the member was fenced, or if members of another version run.
    pub(crate) fn take(link: &Link, claimant: Claimant, force: bool) -> Result<Self, StoreError> {
        let known = rows(link)?;
        for other in known.iter().filter(|other| other.is_alive && other.member.id != claimant.id) {
            fits(link, &other.member)?;
        }
        let id = claimant.id;
        let params = [id.clone(), claimant.name, claimant.process, claimant.place, VERSION.to_owned()];
        let params = params.map(|text| Param::new(text, Type::TEXT)).into_iter();
        let taken = link.once(CLAIM, params.chain([Param::new(force, Type::BOOL)]).collect())?;
        if let Some(row) = taken.first() {
            return Ok(Self { id, epoch: link::column(row, 0)? });
        }
        let rows = rows(link)?;
        let Some(held) = rows.iter().find(|row| row.member.id == id) else {
            return Err(StoreError::Database(format!("{} changes meanwhile", link.name())));
        };
        if held.member.state == MemberState::Fenced {
            return Err(fenced(link));
        }
        let why = format!(
            "{} is in use by {}, with this data directory or a copy of it: two gateways with one are refused. Stop that one; \
             or give this one a new data directory, with which it joins. If that one's machine is gone, its right to write \
             ends {STALE} after it was last seen, or at once with `aivonxd takeover --force`",
            link.name(),
            held.in_words()
        );
        Err(StoreError::DatabaseHeld { why, seen: held.member.seen })
    }

    /// Refuses while another member than `id` is alive.
    pub(crate) fn alone(link: &Link, id: &str) -> Result<(), StoreError> {
        let rows = rows(link)?;
        let Some(other) = rows.iter().find(|row| row.is_alive && row.member.id != id) else { return Ok(()) };
        Err(StoreError::DatabaseRefused(format!(
            "{} is in use by {}; stop all its members first",
            link.name(),
            other.in_words()
        )))
    }

    /// What a change compares, as parameters.
    pub(super) fn params(&self) -> [Param; 2] {
        [Param::new(self.id.clone(), Type::TEXT), Param::new(self.epoch, Type::INT8)]
    }

    /// Why this process may not write any more; Ok if it may.
    pub(super) fn check(&self, link: &Link) -> Result<(), StoreError> {
        let rows = rows(link)?;
        let row = rows.iter().find(|row| row.member.id == self.id);
        self.judge(link, row.map(|row| (row.epoch, row.member.state == MemberState::Fenced)))
    }

    /// The same, by the row's epoch and whether it is fenced.
    pub(super) fn judge(&self, link: &Link, row: Option<(i64, bool)>) -> Result<(), StoreError> {
        match row {
            Some((_, true)) => Err(fenced(link)),
            Some((epoch, _)) if epoch == self.epoch => Ok(()),
            Some((epoch, _)) if epoch > self.epoch => Err(StoreError::Superseded(format!(
                "{} was taken over by another process with this data directory, or a copy of it; this one may not write it \
                 any more",
                link.name()
            ))),
            // Before this member's last start.
            _ => Err(gone_back(link)),
        }
    }

    /// Says that this process is alive, which revision it serves from and where, and forgets changes that all follow.
    pub(super) fn sign(&self, link: &Link, revision: i64, address: &str) -> Result<(), StoreError> {
        let [id, epoch] = self.params();
        let params =
            vec![id, epoch, Param::new(revision, Type::INT8), Param::new(address.to_owned(), Type::TEXT)];
        let signed = link.once(
            "UPDATE aivonx.member SET seen = clock_timestamp(), revision = $3, address = $4 WHERE id = $1 AND epoch = $2
             RETURNING id",
            params,
        )?;
        if signed.is_empty() {
            return self.check(link);
        }
        // The newest change stays: by that a member knows that nothing is missing. A member that has stopped is made known
        // again by its next start.
        link.once(
            "WITH stopped AS (
                DELETE FROM aivonx.member
                WHERE place IS NULL AND fenced IS NULL AND seen < clock_timestamp() - interval '1 day'
             )
             DELETE FROM aivonx.change WHERE made < clock_timestamp() - interval '10 minutes'
             AND revision < (SELECT revision FROM aivonx.writer)",
            Vec::new(),
        )?;
        Ok(())
    }

    /// Lets the next process in at once.
    pub(super) fn release(&self, link: &Link) {
        if self.epoch == 0 {
            return;
        }
        // If it fails, the right ends by itself.
        let _ = link
            .once("UPDATE aivonx.member SET place = NULL WHERE id = $1 AND epoch = $2", self.params().into());
    }
}

pub(super) fn gone_back(link: &Link) -> StoreError {
    StoreError::Database(format!(
        "{} went back to an earlier state: it lacks changes that this gateway has made or seen. Look for a failover, or a \
         backup that was put back",
        link.name()
    ))
}

fn fenced(link: &Link) -> StoreError {
    StoreError::Superseded(format!(
        "this member of {} was fenced by an administrator: it may neither write nor serve. To have the gateway join anew, \
         give it a new data directory",
        link.name()
    ))
}

/// The version of this build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Refuses to run beside a member whose version is more than one minor version away.
fn fits(link: &Link, other: &Member) -> Result<(), StoreError> {
    if is_near(&other.version, VERSION) {
        return Ok(());
    }
    Err(StoreError::DatabaseRefused(format!(
        "the member {} of {} runs aivonxd {}, and this is {VERSION}: members may differ by one minor version; upgrade one \
         version after the other",
        Untrusted::new(&other.name),
        link.name(),
        Untrusted::new(&other.version)
    )))
}

fn is_near(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    match (parts(one), parts(other)) {
        (Some(one), Some(other)) => one.0 == other.0 && one.1.abs_diff(other.1) <= 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_may_differ_by_one_minor_version() {
        for (other, near) in [
            ("1.4.0", true),
            ("1.5.9", true),
            ("1.3.2", true),
            ("1.2.0", false),
            ("2.4.0", false),
            ("x", false),
        ] {
            assert_eq!(is_near("1.4.7", other), near, "{other}");
        }
    }
}
