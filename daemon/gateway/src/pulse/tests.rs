use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aivonx_domain::access::Subject;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// A moment to count from: the beginning of a second, and of a slice of the busiest.
const START: u64 = 1_700_000_000_000;

fn named(id: &str, name: &str) -> Option<(Arc<str>, Arc<str>)> {
    Some((id.into(), name.into()))
}

/// A chat that was answered in full.
fn chat() -> AccessRecord {
    let mut record = AccessRecord::new(Uuid::nil(), [127, 0, 0, 1].into(), http::Method::POST);
    record.route = "/api/chat";
    record.status = 200;
    record.outcome = Outcome::Complete;
    record.model = Some("llama3.2:latest".into());
    record.node = Some("gpu1".into());
    record.duration = Duration::from_secs(4);
    record.first_byte = Some(Duration::from_secs(2));
    record.prompt_tokens = Some(7);
    record.output_tokens = Some(100);
    record
}

fn of(organization: &str, key: &str) -> Option<Arc<Subject>> {
    let organization = named(organization, &format!("{organization}-slug"));
    Some(Arc::new(Subject { organization, user: None, key: named(key, &format!("{key}-name")) }))
}

fn sum(seconds: &[(u64, Numbers)]) -> Numbers {
    let mut sum = Numbers::default();
    for (_, numbers) in seconds {
        sum.add(numbers);
    }
    sum
}

#[test]
fn an_answer_is_spread_over_the_time_it_took() {
    let pulse = Pulse::new();
    pulse.fold(&[chat()], START + 500);
    let seconds = pulse.told(None, 0, START + 500, &[]).seconds;
    let told: Vec<_> = seconds
        .iter()
        .map(|(at, n)| (START / 1000 - at, n.requests, n.prompt_tokens, n.output_tokens, n.busy_ms))
        .collect();
    // Two seconds of waiting, then two in which a hundred tokens came.
    assert_eq!(
        told,
        [(4, 0, 0, 0, 500), (3, 0, 0, 0, 1000), (2, 0, 0, 25, 1000), (1, 0, 0, 50, 1000), (0, 1, 7, 25, 500)]
    );
    assert_eq!(seconds[4].1.first_byte[8], 1, "2 s is in the bucket up to 2.5 s");
    assert_eq!(sum(&seconds).first_byte.iter().sum::<u32>(), 1);
}

#[test]
fn failures_and_refusals_are_told_apart() {
    let ended = |outcome: Outcome, status: u16| {
        let mut record = chat();
        (record.outcome, record.status) = (outcome, status);
        let pulse = Pulse::new();
        pulse.fold(&[record], START);
        let n = sum(&pulse.told(None, 0, START, &[]).seconds);
        (n.requests, n.errors, n.refused)
    };
    assert_eq!(ended(Outcome::Complete, 200), (1, 0, 0));
    assert_eq!(ended(Outcome::ClientGone, 0), (1, 0, 0), "whoever leaves is no failure of ours");
    assert_eq!(ended(Outcome::Ended, 200), (1, 0, 0));
    assert_eq!(ended(Outcome::ClientStalled, 200), (1, 0, 0), "whoever stops reading is none either");
    assert_eq!(ended(Outcome::Broken, 200), (1, 1, 0), "an answer that broke off");
    assert_eq!(ended(Outcome::TimedOut, 504), (1, 1, 0));
    assert_eq!(ended(Outcome::NodeFailed, 502), (1, 1, 0));
    assert_eq!(ended(Outcome::NoNode, 503), (1, 1, 0));
    assert_eq!(ended(Outcome::Complete, 500), (1, 1, 0), "the node's own");
    assert_eq!(ended(Outcome::Refused, 503), (1, 1, 0));
    assert_eq!(ended(Outcome::NoNode, 404), (1, 0, 1), "a model that nobody has");
    assert_eq!(ended(Outcome::TimedOut, 408), (1, 0, 1), "a client that does not send");
    assert_eq!(ended(Outcome::Refused, 429), (1, 0, 1));
}

#[test]
fn health_checks_and_scrapes_are_left_out() {
    let pulse = Pulse::new();
    for route in ["/health", "/ready", "/metrics", "/api/version", "/", "/api/account/login"] {
        let mut record = chat();
        record.route = route;
        pulse.fold(&[record], START);
    }
    assert!(pulse.told(None, 0, START, &[]).seconds.is_empty());
    for route in ["/api/tags", "unknown"] {
        let mut record = chat();
        record.route = route;
        pulse.fold(&[record], START);
    }
    let n = sum(&pulse.told(None, 0, START, &[]).seconds);
    assert_eq!((n.requests, n.first_byte.iter().sum::<u32>()), (2, 0), "only inference is timed");
}

#[test]
fn only_what_changed_is_told_and_what_is_old_is_forgotten() {
    let pulse = Pulse::new();
    let mut short = chat();
    (short.duration, short.first_byte) = (Duration::from_millis(10), Some(Duration::from_millis(5)));
    let second = START / 1000;
    for step in 0..10 {
        pulse.fold(std::slice::from_ref(&short), START + step * 1000 + 100);
    }
    let now = START + 9500;
    let told = |since| {
        pulse.told(None, since, now, &[]).seconds.iter().map(|(at, _)| at - second).collect::<Vec<_>>()
    };
    assert_eq!(told(0), (0..10).collect::<Vec<_>>());
    assert_eq!(told(second + 8), [8, 9]);
    // One that began earlier changes earlier seconds too.
    pulse.fold(&[chat()], now);
    assert_eq!(told(second + 9), [5, 6, 7, 8, 9]);
    let later = now + WINDOW * 1000;
    assert!(pulse.told(None, 0, later, &[]).seconds.is_empty());
    assert!(pulse.busiest(Of::Models, None, 5, later + 10_000).is_empty());
}

#[test]
fn what_still_runs_is_part_of_it() {
    let pulse = Pulse::new();
    let now = START + 10_500;
    let pace = |route, age, answering: Option<u64>, tokens| Pace {
        route,
        age: Duration::from_millis(age),
        answering: answering.map(Duration::from_millis),
        tokens,
    };
    let running = [
        pace("/api/chat", 2000, Some(1000), 40),
        pace("/api/chat", 500, None, 0),
        pace("/metrics", 2000, Some(1000), 9),
    ];
    let second = START / 1000;
    let told = pulse.told(None, second + 10, now, &running);
    let told: Vec<_> =
        told.seconds.iter().map(|(at, n)| (at - second, n.requests, n.output_tokens, n.busy_ms)).collect();
    assert_eq!(told, [(8, 0, 0, 500), (9, 0, 20, 1000), (10, 0, 20, 1000)]);
    // Together with what has ended, and none of it for another organization.
    pulse.fold(&[chat()], now);
    let told = pulse.told(None, 0, now, &running);
    assert_eq!((told.minute.requests, told.minute.output_tokens, told.minute.busy_ms), (1, 140, 6500));
    assert_eq!(told.seconds.len(), 5);
    assert_eq!(pulse.told(Some("o1"), 0, now, &[]), Told::default());
    assert_eq!(pulse.told(Some("o1"), 0, now, &running[..1]).minute.output_tokens, 40);
}

#[test]
fn the_busiest_are_ranked_by_tokens_and_each_organization_sees_its_own() {
    let pulse = Pulse::new();
    let asked = |subject, model: &str, output| {
        let mut record = chat();
        (record.subject, record.model) = (subject, Some(model.into()));
        record.output_tokens = Some(output);
        record
    };
    let records =
        [asked(of("o1", "k1"), "a", 10), asked(of("o1", "k2"), "b", 500), asked(of("o2", "k3"), "a", 1000)];
    pulse.fold(&records, START);
    pulse.fold(&[asked(of("o1", "k1"), "a", 10), asked(None, "c", 1)], START + 15_000);
    let now = START + 20_000;
    let top = |of, organization, most| {
        let busy = pulse.busiest(of, organization, most, now);
        busy.iter().map(|b| (b.name.to_string(), b.asked.requests, b.asked.tokens)).collect::<Vec<_>>()
    };
    let row = |name: &str, requests, tokens| (name.to_owned(), requests, tokens);
    assert_eq!(top(Of::Models, None, 9), [row("a", 3, 1041), row("b", 1, 507), row("c", 1, 8)]);
    assert_eq!(top(Of::Models, Some("o1"), 9), [row("b", 1, 507), row("a", 2, 34)]);
    assert_eq!(top(Of::Organizations, None, 9), [row("o2-slug", 1, 1007), row("o1-slug", 3, 541)]);
    assert_eq!(top(Of::Keys, None, 2), [row("k3-name", 1, 1007), row("k2-name", 1, 507)]);
    assert!(top(Of::Keys, Some("o3"), 9).is_empty());
    let key = &pulse.busiest(Of::Keys, None, 1, now)[0];
    assert_eq!(key.organization.as_deref(), Some("o2-slug"));
}

#[test]
fn however_many_come_memory_is_bounded_and_the_sums_are_right() {
    let pulse = Pulse::new();
    for at in 0..3000_u64 {
        let mut record = chat();
        record.subject = of(&format!("o{at}"), &format!("k{at}"));
        (record.duration, record.first_byte) = (Duration::ZERO, None);
        pulse.fold(&[record], START + at);
    }
    let state = pulse.state();
    assert_eq!(state.organizations.len(), ORGANIZATIONS_MAX);
    let sum = state.busiest.sum(START / 1000 + 3);
    assert_eq!((sum.requests, sum.tokens), (3000, 3000 * 107));
    let newest: Arc<str> = "o2999".into();
    assert!(state.organizations.contains_key(&newest), "the quiet ones go");
}

/// A request of the property: what it was and how long after the one before it ended.
type Fed = (u64, u8, u8, u8, u16, u16, u16, u16);

proptest! {
    /// Sums equal what was fed, in the fleet, in organizations and among the busiest.
    #[test]
    fn sums_equal_what_was_fed(fed in prop::collection::vec(
        (0..700_u64, 0..4_u8, 0..3_u8, 0..4_u8, 0..9000_u16, 0..9000_u16, 0..500_u16, any::<u16>()), 1..120)
    ) {
        let pulse = Pulse::new();
        // Everything stays within all the windows: 120 requests in at most 84 s, of at most 18 s each.
        let mut now = START + 20_000;
        let mut expected = Numbers::default();
        let mut organizations: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        for (pause, organization, node, way, wait, answer, prompt, output) in fed as Vec<Fed> {
            now += pause;
            let mut record = chat();
            record.node = Some(format!("n{node}").into());
            record.subject = (organization > 0).then(|| of(&format!("o{organization}"), "k")).flatten();
            (record.outcome, record.status) = [
                (Outcome::Complete, 200), (Outcome::Broken, 200), (Outcome::Refused, 429), (Outcome::NodeFailed, 502),
            ][usize::from(way)];
            let waited = Duration::from_millis(wait.into());
            record.first_byte = Some(waited);
            record.duration = waited + Duration::from_millis(answer.into());
            record.prompt_tokens = Some(prompt.into());
            record.output_tokens = Some(output.into());
            expected.requests += 1;
            expected.errors += u32::from(way == 1 || way == 3);
            expected.refused += u32::from(way == 2);
            expected.prompt_tokens += u64::from(prompt);
            expected.output_tokens += u64::from(output);
            expected.busy_ms += u64::from(wait) + u64::from(answer);
            let own = organizations.entry(organization).or_default();
            *own = (own.0 + 1, own.1 + u64::from(output));
            pulse.fold(&[record], now);
        }
        let mut found = sum(&pulse.told(None, 0, now, &[]).seconds);
        let timed: u32 = found.first_byte.iter().sum();
        prop_assert_eq!(timed, expected.requests - expected.errors - expected.refused);
        found.first_byte = expected.first_byte;
        prop_assert_eq!(found, expected);
        for (organization, (requests, output)) in organizations {
            if organization > 0 {
                let own = sum(&pulse.told(Some(&format!("o{organization}")), 0, now, &[]).seconds);
                prop_assert_eq!((u64::from(own.requests), own.output_tokens), (requests, output));
            }
        }
        let models = pulse.busiest(Of::Models, None, 10, now);
        prop_assert_eq!(models.iter().map(|m| m.asked.requests).sum::<u64>(), u64::from(expected.requests));
        let tokens = expected.prompt_tokens + expected.output_tokens;
        prop_assert_eq!(models.iter().map(|m| m.asked.tokens).sum::<u64>(), tokens);
    }

    /// However long requests take and however long nothing happens, nothing panics and nothing is counted twice.
    #[test]
    fn what_is_beyond_the_window_is_left_out(
        steps in prop::collection::vec((0..2_000_000_u64, 0..u64::MAX / 2, any::<u64>()), 1..20)
    ) {
        let pulse = Pulse::new();
        let mut now = START;
        for (pause, duration, output) in steps {
            now += pause;
            let mut record = chat();
            record.duration = Duration::from_millis(duration);
            record.first_byte = None;
            record.output_tokens = Some(output);
            pulse.fold(&[record], now);
            let told = pulse.told(None, 0, now, &[]).seconds;
            prop_assert!(told.len() <= usize::try_from(WINDOW).unwrap());
            prop_assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(told.iter().all(|(at, _)| *at <= now / 1000 && *at + WINDOW > now / 1000));
        }
    }
}
