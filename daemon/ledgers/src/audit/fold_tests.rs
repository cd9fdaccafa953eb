//! Floods and summaries.

use aivonx_domain::AccessRecord;

use super::*;

fn denied(name: &str) -> Entry {
    let who = Who::control(Some(format!("id-{name}")), name, 5, 5, Some(1));
    Entry::new(Action::Denied).actor(who).outcome(Outcome::Denied)
}

fn guess(action: Action, name: &str, address: [u16; 8]) -> Entry {
    Entry::new(action).actor(Who::http(None, name, address.into(), Some("curl"))).outcome(Outcome::Denied)
}

#[test]
fn the_first_are_single_and_the_rest_is_counted() {
    let mut fold = Fold::default();
    let single = (0..100).filter_map(|n| fold.admit(denied("mallory"), n)).count();
    assert_eq!(single, 3);
    assert!(fold.admit(denied("alice"), 5).is_some());
    for _ in 0..100 {
        assert!(fold.admit(Entry::new(Action::Create), 5).is_some());
    }
    let entries = fold.close(0);
    assert_eq!(entries.len(), 1);
    assert_eq!((&*entries[0].details["count"], &*entries[0].details["since"]), ("97", "3"));
    assert_eq!(fold.close(0), []);
}

#[test]
fn no_name_a_stranger_makes_up_costs_memory_for_ever() {
    let mut fold = Fold::default();
    for n in 0..ACTORS_MAX + 500 {
        fold.admit(denied(&format!("n{n}")), 0);
    }
    assert!(fold.admit(guess(Action::LoginFailed, "root", [0; 8]), 0).is_none());
    fold.lose(Action::Create);
    let entries = fold.close(0);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].action, Action::AuditOverflow);
    assert_eq!((&*entries[0].details["n_denied"], &*entries[0].details["n_create"]), ("500", "1"));
}

#[test]
fn a_stranger_fills_no_log_whatever_it_calls_itself_and_wherever_it_comes_from() {
    for action in [Action::LoginFailed, Action::PasswordReset, Action::Update] {
        let mut fold = Fold::default();
        let guesses = (0..1000u16).map(|n| guess(action, &format!("u{}", n % 20), [1, 2, 3, 4, n, 6, 7, 8]));
        assert_eq!(guesses.filter_map(|entry| fold.admit(entry, 0)).count(), 10, "{action}");
        let [rest] = &fold.close(0)[..] else { panic!("one entry") };
        assert_eq!((rest.outcome, &*rest.details["count"]), (Outcome::Denied, "990"));
        assert!(rest.details["names"].contains("others=") && rest.details["names"].contains("u10=50"));

        // From as many networks as there are.
        let guesses = (0..5000u16).map(|n| guess(action, "root", [n, 2, 3, 4, 5, 6, 7, 8]));
        let single = guesses.filter_map(|entry| fold.admit(entry, 0)).count();
        assert_eq!(single, STRANGERS_MAX);
        assert!(fold.admit(denied("alice"), 0).is_some(), "who is known is not drowned out");
        let overflow = fold.close(0).pop().unwrap();
        assert_eq!(overflow.details[&format!("n_{action}")], (5000 - STRANGERS_MAX).to_string());
    }
}

fn done(user: Option<&str>, key: Option<&str>) -> AccessRecord {
    let named = |text: &str| (format!("id-{text}").into(), text.into());
    let client = [127, 0, 0, 1].into();
    let mut record = AccessRecord::new(uuid::Uuid::nil(), client, http::Method::POST);
    record.subject = (user.is_some() || key.is_some()).then(|| {
        Arc::new(Subject { organization: Some(named("acme")), user: user.map(named), key: key.map(named) })
    });
    (record.status, record.prompt_tokens, record.output_tokens) = (200, Some(10), Some(5));
    record
}

fn infer(fold: &mut Fold, records: &[AccessRecord]) {
    records.iter().for_each(|record| fold.infer(record));
}

#[test]
fn inference_is_summed_per_actor() {
    let mut fold = Fold::default();
    for n in 0..20 {
        let status = if n == 0 { 500 } else { 200 };
        // A subject of its own each: they say the same.
        infer(
            &mut fold,
            &[AccessRecord { status, model: Some("llama3:8b".into()), ..done(Some("alice"), Some("ci")) }],
        );
        infer(
            &mut fold,
            &[AccessRecord { model: Some(format!("m{n:02}").into()), ..done(None, Some("bot")) }],
        );
        let mut found = done(None, None);
        found.findings.add(Category::Key);
        infer(&mut fold, &[found]);
    }
    let mut entries = fold.close(7);
    entries.sort_by(|a, b| a.who.name.cmp(&b.who.name));
    let [alice, anonymous, bot] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(alice.details["requests"], "20");
    assert_eq!(alice.details["failed"], "1");
    assert_eq!(alice.details["prompt_tokens"], "200");
    assert_eq!(alice.details["models"], "llama3:8b=20");
    assert_eq!(alice.object.as_ref().unwrap().id.as_deref(), Some("id-ci"));
    assert_eq!(alice.organization.as_ref().unwrap().name.as_deref(), Some("acme"));
    assert_eq!((anonymous.who.id.as_deref(), &*anonymous.who.name), (None, "anonymous"));
    // "key" is what it is called, and yet only a count.
    assert_eq!((&*anonymous.details["found_key"], bot.details.get("found_email")), ("20", None));
    assert_eq!(bot.who.id.as_deref(), Some("id-bot"));
    assert!(!bot.details["models"].is_empty());
}

#[test]
fn summaries_are_bounded() {
    let mut fold = Fold::default();
    let subjects: Vec<_> = (0..ACTORS_MAX + 7).map(|n| done(Some(&format!("u{n}")), None)).collect();
    infer(&mut fold, &subjects);
    for n in 0..50 {
        infer(&mut fold, &[AccessRecord { model: Some(format!("m{n}").into()), ..subjects[0].clone() }]);
    }
    let entries = fold.close(0);
    assert_eq!(entries.len(), ACTORS_MAX + 1);
    let of = |name: &str| entries.iter().find(|e| e.who.name == name).unwrap();
    assert_eq!(of("others").details["requests"], "7");
    assert!(of("u0").details["models"].contains("others=42"), "{}", of("u0").details["models"]);
}

#[test]
fn summaries_tell_addresses_apart_as_far_as_they_are_few() {
    let mut fold = Fold::default();
    let from = |n: u8| AccessRecord { client: [192, 0, 2, n].into(), ..done(Some("alice"), None) };
    infer(&mut fold, &[from(1), from(2), from(1)]);
    // Another client with as many addresses as it likes.
    let bot = done(None, Some("bot"));
    let many: Vec<_> = (0..1000)
        .map(|n| AccessRecord { client: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into(), ..bot.clone() })
        .collect();
    infer(&mut fold, &many);
    let entries = fold.close(0);
    let of = |name: &str| {
        let requests = |entry: &&Entry| entry.details["requests"].parse::<u64>().unwrap();
        let of = entries.iter().filter(|entry| entry.who.name == name);
        of.map(|entry| (entry.who.source.address.as_deref(), requests(&entry))).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(of("alice"), BTreeMap::from([(Some("192.0.2.1"), 2), (Some("192.0.2.2"), 1)]));
    assert_eq!(of("bot").len(), ADDRESSES_MAX + 1);
    assert_eq!(of("bot")[&None], 1000 - ADDRESSES_MAX as u64);
}
