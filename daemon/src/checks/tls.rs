//! Certificates that are served.

use aivonx_gateway::ServedCertificate;
use aivonx_protocol::secrets::Check;
use jiff::{SignedDuration, Timestamp};

const NAME: &str = "certificate";

/// A certificate that ends so soon should have been renewed.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);

/// Whether a certificate is good for a while, and its chain is in order.
pub(super) fn certificate(served: &ServedCertificate, now: Timestamp) -> Check {
    let ServedCertificate { at, until, chain_problem } = served;
    if *until < now {
        return Check::fail(NAME, format!("that of {at} has expired, at {until:.0}"), "renew it");
    }
    if let Some(problem) = chain_problem {
        let fix = "put the server's certificate first and each issuer's after it into the file";
        return Check::fail(NAME, format!("that of {at}: {problem}"), fix);
    }
    if until.duration_since(now) < SOON {
        return Check::warn(NAME, format!("that of {at} expires at {until:.0}"), "renew it");
    }
    Check::ok(NAME, format!("that of {at} is good until {until:.0}, and its key and chain match"))
}

/// One on the disk that is not served.
pub(super) fn refused(why: &str) -> Check {
    let finding = format!("one on the disk is refused, and the one before is served: {why}");
    Check::fail(NAME, finding, "put a usable pair there, then: aivonx config reload")
}

/// One that could not be obtained by ACME.
pub(super) fn not_obtained(why: &str) -> Check {
    Check::fail(
        NAME,
        why,
        "mend what it says; it is tried again by itself, and at once after: aivonx config reload",
    )
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::secrets::CheckOutcome::{Fail, Ok, Warn};

    use super::*;

    #[test]
    fn the_end_and_the_chain_decide() {
        let now: Timestamp = "2026-11-30T00:00:00Z".parse().unwrap();
        let of = |days: i64, problem: Option<&str>| {
            let until = now + SignedDuration::from_hours(24 * days);
            let served =
                ServedCertificate { at: "listen[0]".into(), until, chain_problem: problem.map(Into::into) };
            certificate(&served, now).outcome
        };
        assert_eq!([of(90, None), of(20, None), of(-1, None), of(90, Some("odd"))], [Ok, Warn, Fail, Fail]);
        assert_eq!(refused("no key").outcome, Fail);
    }
}
