//! What needs somebody, of what is known: no more than the caller may see.

use aivonx_protocol::{
    UnixMillis,
    lockout::Lockout,
    pulse::{Alert, AlertKind, AlertPlace},
    secrets::{Check, CheckOutcome},
};

use super::watch::{Condition, Watch};

/// Locked logins that have a line each.
const LOCKED_MAX: usize = 3;

/// A node that should serve and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why, as the last check found. Untrusted.
    pub why: Option<String>,
    /// Whether it refuses the credential it is given.
    pub refuses: bool,
    /// Whether the daemon itself simulates it.
    pub simulated: bool,
}

/// What the caller may see of what is.
#[derive(Debug, Default)]
pub struct Scene {
    /// Whether the whole fleet is the caller's.
    pub fleet: bool,
    /// Whether the caller reads the audit log of the fleet.
    pub audit: bool,
    /// Whether the caller sees how secrets are kept.
    pub secrets: bool,
    /// Whether there are nodes, and none of them serves.
    pub none_active: bool,
    /// The nodes that should serve and do not.
    pub down: Vec<Down>,
    /// The logins that are locked.
    pub locked: Vec<Lockout>,
    /// The keys by which everyone who reaches a listener may use the gateway, if there are some.
    pub exposed: Option<String>,
}

/// What needs somebody, the worst first.
#[must_use]
pub fn alerts(scene: &Scene, watch: &Watch) -> Vec<Alert> {
    let mut all = Vec::new();
    if scene.none_active {
        let text = "no node is active, so nothing can be served";
        all.push(alert(AlertKind::NoNode, text, AlertPlace::Nodes).grave().helps("aivonx node list"));
    }
    all.extend(scene.down.iter().map(|node| down(node, watch)));
    locked(&scene.locked, &mut all);
    if scene.fleet {
        fleet(scene, watch, &mut all);
    }
    if scene.audit && watch.cross_organization() > 0 {
        let count = watch.cross_organization();
        let s = if count == 1 { "attempt" } else { "attempts" };
        let text = format!("{count} {s} within the hour to reach another organization's records");
        let one = alert(AlertKind::CrossOrganization, text, AlertPlace::Audit);
        all.push(one.helps("aivonx audit list --action cross_org_denied"));
    }
    if scene.secrets {
        all.extend(watch.checks().iter().filter_map(secrets));
    }
    all.sort_by(|a, b| (!a.grave, a.kind, &a.object).cmp(&(!b.grave, b.kind, &b.object)));
    all
}

fn alert(kind: AlertKind, text: impl Into<String>, place: AlertPlace) -> Alert {
    Alert { kind, grave: false, text: text.into(), since: None, place, object: None, command: None }
}

/// For building one piece by piece.
trait Piece {
    fn grave(self) -> Self;
    fn helps(self, command: &str) -> Self;
    fn since(self, since: Option<UnixMillis>) -> Self;
    fn about(self, object: &str) -> Self;
}

impl Piece for Alert {
    fn grave(mut self) -> Self {
        self.grave = true;
        self
    }

    fn helps(mut self, command: &str) -> Self {
        self.command = Some(command.to_owned());
        self
    }

    fn since(mut self, since: Option<UnixMillis>) -> Self {
        self.since = since;
        self
    }

    fn about(mut self, object: &str) -> Self {
        self.object = Some(object.to_owned());
        self
    }
}

fn down(node: &Down, watch: &Watch) -> Alert {
    let name = &node.name;
    let simulated = if node.simulated { " (simulated)" } else { "" };
    let why = node.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let (kind, text, command) = if node.refuses {
        let text = format!("{name}{simulated} refuses its credential{why}");
        (AlertKind::NodeRefuses, text, format!("aivonx node set {name} --bearer-file FILE"))
    } else {
        let text = format!("{name}{simulated} does not answer{why}");
        (AlertKind::NodeDown, text, format!("aivonx node check {name}"))
    };
    let since = watch.since(&Condition::Down(node.id.clone()));
    alert(kind, text, AlertPlace::Nodes).grave().since(since).about(name).helps(&command)
}

fn locked(locked: &[Lockout], all: &mut Vec<Alert>) {
    let one = |lockout: &Lockout| {
        let Lockout { user, address, failures, .. } = lockout;
        let text = format!("{user} is locked from {address} after {failures} failed logins");
        alert(AlertKind::Locked, text, AlertPlace::Lockouts)
            .since(Some(lockout.last))
            .about(user)
            .helps("aivonx lockout clear USER")
    };
    if locked.len() <= LOCKED_MAX {
        all.extend(locked.iter().map(one));
        return;
    }
    let mut users: Vec<&str> = locked.iter().map(|lockout| &*lockout.user).collect();
    users.sort_unstable();
    users.dedup();
    let named = users.iter().take(LOCKED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = if users.len() > LOCKED_MAX { ", ..." } else { "" };
    let text = format!("{} logins are locked after failures: {named}{more}", locked.len());
    let one = alert(AlertKind::Locked, text, AlertPlace::Lockouts).helps("aivonx lockout list");
    all.push(one.since(locked.iter().map(|lockout| lockout.last).max()).about(users[0]));
}

/// What is the whole fleet's.
fn fleet(scene: &Scene, watch: &Watch, all: &mut Vec<Alert>) {
    if let Some(why) = watch.store_failed() {
        let one = alert(AlertKind::Store, why.to_owned(), AlertPlace::Log).grave();
        all.push(one.since(watch.since(&Condition::StoreFailed)).helps("aivonx logs --level error"));
    } else if watch.store_errors() > 0 {
        let text = format!(
            "{} reads or writes of the store failed within the hour: is the disk full?",
            watch.store_errors()
        );
        all.push(alert(AlertKind::Store, text, AlertPlace::Log).grave().helps("aivonx logs --level error"));
    }
    if let Some(since) = watch.since(&Condition::AuditBroken) {
        let text = "the audit log does not verify: it was changed or cut from outside";
        let one = alert(AlertKind::AuditBroken, text, AlertPlace::Audit).grave().since(Some(since));
        all.push(one.helps("aivonx audit verify"));
    }
    if let Some(since) = watch.since(&Condition::AuditStalled) {
        let text = "the audit log cannot be written";
        let one = alert(AlertKind::AuditStalled, text, AlertPlace::Log).grave().since(Some(since));
        all.push(one.helps("aivonx logs --level error"));
    }
    if let Some(lost) = in_short(watch.ledgers_lost()) {
        let text = format!("part of a ledger is lost: {lost}");
        let one = alert(AlertKind::Lost, text, AlertPlace::Audit).grave();
        all.push(one.helps("aivonx audit list --action chain_lost"));
    }
    if watch.lost() > 0 {
        let text =
            format!("{} requests within the hour are missing from the log or the ledger", watch.lost());
        all.push(alert(AlertKind::Lost, text, AlertPlace::Log).helps("aivonx logs --level warn"));
    }
    if let Some(keys) = &scene.exposed {
        let text = format!("everyone who can reach a listener may use the gateway ({keys})");
        all.push(alert(AlertKind::Exposed, text, AlertPlace::Elsewhere).helps("aivonx config show"));
    }
}

/// The first few of what is lost, and how much there is besides; None if there is nothing.
pub fn in_short(lost: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = lost.iter().take(SHOWN).cloned().collect();
    if lost.len() > SHOWN {
        shown.push(format!("and {} more", lost.len() - SHOWN));
    }
    (!shown.is_empty()).then(|| shown.join("; "))
}

/// What a check of the secrets found, if it is one that somebody must do something about now.
fn secrets(check: &Check) -> Option<Alert> {
    let (kind, grave) = match (check.outcome, &*check.name) {
        // A node that refuses its credential has a line of its own.
        (_, "nodes") | (CheckOutcome::Ok, _) => return None,
        (CheckOutcome::Fail, _) => (AlertKind::Secrets, true),
        (CheckOutcome::Warn, "age" | "rotation" | "api keys") => (AlertKind::Rotation, false),
        (CheckOutcome::Warn, "snapshots") => (AlertKind::Secrets, false),
        // Worth knowing, and no reason to get up.
        (CheckOutcome::Warn, _) => return None,
    };
    let text = match &*check.name {
        "age" => format!("keys are overdue for rotation, {}", check.finding),
        "api keys" => format!("API keys, {}", check.finding),
        name => format!("secrets, {name}: {}", check.finding),
    };
    let one = alert(kind, text, AlertPlace::Secrets).about(&check.name).helps("aivonx secrets validate");
    Some(if grave { one.grave() } else { one })
}

#[cfg(test)]
mod tests {
    use super::{super::watch::Glance, *};

    fn kinds(alerts: &[Alert]) -> Vec<(AlertKind, AlertPlace)> {
        alerts.iter().map(|alert| (alert.kind, alert.place)).collect()
    }

    fn gpu(name: &str) -> Down {
        let why = Some("connection refused".to_owned());
        Down { id: name.into(), name: name.into(), why, refuses: false, simulated: false }
    }

    fn lock(user: &str) -> Lockout {
        Lockout {
            user: user.into(),
            address: "192.0.2.7".into(),
            failures: 5,
            last: 7,
            locked_until: Some(9),
        }
    }

    fn check(name: &str, outcome: CheckOutcome) -> Check {
        Check { name: name.into(), outcome, finding: "found".into(), fix: None }
    }

    #[test]
    fn nothing_is_said_where_all_is_well() {
        let scene = Scene { fleet: true, audit: true, secrets: true, ..Scene::default() };
        let mut watch = Watch::default();
        watch.checked(vec![check("elsewhere", CheckOutcome::Warn), check("opens", CheckOutcome::Ok)]);
        assert_eq!(alerts(&scene, &watch), []);
    }

    #[test]
    fn each_kind_leads_to_its_cure_and_the_worst_comes_first() {
        let mut watch = Watch::default();
        let glance = Glance {
            down: vec!["gpu2".into()],
            audit_broken: true,
            audit_stalled: true,
            cross_organization: 3,
            store_failed: None,
            store_errors: 2,
            lost: 1,
            ledgers_lost: Vec::new(),
        };
        watch.note(&glance, 1000);
        watch.checked(vec![
            check("opens", CheckOutcome::Fail),
            check("age", CheckOutcome::Warn),
            check("nodes", CheckOutcome::Fail),
        ]);
        let scene = Scene {
            fleet: true,
            audit: true,
            secrets: true,
            none_active: true,
            down: vec![gpu("gpu2"), Down { refuses: true, simulated: true, ..gpu("gpu3") }],
            locked: vec![lock("alice")],
            exposed: Some("listen[1].access = \"open\"".into()),
        };
        let told = alerts(&scene, &watch);
        assert_eq!(
            kinds(&told),
            [
                (AlertKind::NoNode, AlertPlace::Nodes),
                (AlertKind::Store, AlertPlace::Log),
                (AlertKind::AuditBroken, AlertPlace::Audit),
                (AlertKind::AuditStalled, AlertPlace::Log),
                (AlertKind::Secrets, AlertPlace::Secrets),
                (AlertKind::NodeDown, AlertPlace::Nodes),
                (AlertKind::NodeRefuses, AlertPlace::Nodes),
                (AlertKind::CrossOrganization, AlertPlace::Audit),
                (AlertKind::Locked, AlertPlace::Lockouts),
                (AlertKind::Rotation, AlertPlace::Secrets),
                (AlertKind::Lost, AlertPlace::Log),
                (AlertKind::Exposed, AlertPlace::Elsewhere),
            ]
        );
        let node = &told[5];
        assert_eq!((&*node.text, node.since), ("gpu2 does not answer: connection refused", Some(1000)));
        assert_eq!(
            (node.object.as_deref(), node.command.as_deref()),
            (Some("gpu2"), Some("aivonx node check gpu2"))
        );
        assert!(told[6].text.starts_with("gpu3 (simulated) refuses its credential"));
        assert!(told[7].text.starts_with("3 attempts within the hour"));
        assert!(told[11].text.contains("listen[1].access"), "{:?}", told[11]);
        // A user bound to an organization sees its nodes and its users.
        let bound = Scene { down: vec![gpu("gpu2")], locked: vec![lock("alice")], ..Scene::default() };
        let told = alerts(&bound, &watch);
        assert_eq!(
            kinds(&told),
            [(AlertKind::NodeDown, AlertPlace::Nodes), (AlertKind::Locked, AlertPlace::Lockouts)]
        );
    }

    #[test]
    fn many_locks_are_one_line() {
        let locked: Vec<Lockout> = ["d", "b", "a", "c", "a"].map(lock).into();
        let told = alerts(&Scene { locked, ..Scene::default() }, &Watch::default());
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].text, "5 logins are locked after failures: a, b, c, ...");
    }
}
