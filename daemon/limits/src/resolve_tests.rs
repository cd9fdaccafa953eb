use aivonx_protocol::money::MICRO;
use aivonx_store::LimitSubject;
use proptest::prelude::*;

use super::*;

fn setting(text: &str) -> LimitSetting {
    text.parse().unwrap()
}

fn values(pairs: &[(&str, Option<u64>)]) -> LimitValues {
    pairs.iter().map(|(name, cap)| (setting(name), *cap)).collect()
}

fn record(granted: LimitValues, own: LimitValues) -> LimitRecord {
    LimitRecord { granted, own, ..LimitRecord::new(LimitSubject::Fleet) }
}

#[test]
fn the_profiles_are_those_of_the_design() {
    let of = |profile| fleet(profile, &LimitValues::new());
    let cap = |scope: &Scope, name: &str| scope.get(setting(name)).cap;
    let standard = of(LimitProfile::Standard);
    for (name, expected) in [
        ("anonymous.hour", 50),
        ("user.hour", 1000),
        ("login.hour", 10),
        ("reset.hour", 5),
        ("token.hour", 20),
        ("inference.day", 1000),
        ("user.inference.day", 100),
        ("burst.minute", 10),
        ("spend.day", 100 * MICRO),
        ("user.spend.day", 10 * MICRO),
        ("prompt.chars", 10_000),
    ] {
        assert_eq!(cap(&standard, name), Some(expected), "{name}");
    }
    let team = of(LimitProfile::Team);
    for (name, expected) in [
        ("inference.day", None),
        ("user.inference.day", None),
        ("burst.minute", Some(600)),
        ("prompt.chars", Some(1_000_000)),
        ("spend.day", Some(100 * MICRO)),
        ("login.hour", Some(10)),
    ] {
        assert_eq!(cap(&team, name), expected, "{name}");
    }
    let unlimited = of(LimitProfile::Unlimited);
    assert!(LimitSetting::all().into_iter().all(|setting| unlimited.get(setting).cap.is_none()));
}

#[test]
fn nearer_beats_farther_and_set_beats_profile() {
    let fleet_set = values(&[("inference.day", Some(500)), ("burst.minute", Some(20))]);
    let set = record(values(&[("inference.day", Some(3)), ("key.hour", Some(7))]), LimitValues::new());
    let acme = organization(LimitProfile::Standard, &fleet_set, Some(&set));
    let total = acme.get(setting("inference.day"));
    assert_eq!((total.cap, total.source), (Some(3), LimitSource::Organization));
    // What was set on the fleet holds for an unlimited organization as well.
    let free = organization(LimitProfile::Unlimited, &fleet_set, None);
    let burst = free.get(setting("burst.minute"));
    assert_eq!((burst.cap, burst.source), (Some(20), LimitSource::Fleet));

    let alice = record(values(&[("inference.day", Some(250)), ("burst.minute", None)]), LimitValues::new());
    let alice = user(&acme, Some(&alice));
    assert_eq!(alice.own.now.get(LimitName::InferenceDay).cap, Some(250));
    assert_eq!(alice.own.now.get(LimitName::BurstMinute).cap, None);
    assert_eq!(user(&acme, None).own.now.get(LimitName::InferenceDay).cap, Some(100), "of the profile");

    // A key of a user has what keys have; one of nobody is a subject of its own.
    let hers = key(&acme, Some(&alice), None).now;
    assert_eq!((hers.get(LimitName::InferenceDay).cap, hers.get(LimitName::UserHour).cap), (None, Some(7)));
    let nobodys = key(&acme, None, None).now;
    assert_eq!(nobodys.get(LimitName::InferenceDay).cap, Some(100));
    assert_eq!(
        (nobodys.get(LimitName::UserHour).cap, nobodys.get(LimitName::BurstMinute).cap),
        (Some(7), Some(20))
    );
}

#[test]
fn a_model_without_a_price_is_refused_to_a_user_where_the_organization_or_the_user_says_so() {
    let unpriced = |refuses: bool| values(&[("spend.unpriced", refuses.then_some(0))]);
    for (fleet_says, organization_says, user_says, refuses) in [
        (false, Some(true), Some(false), true),
        (false, Some(false), Some(true), true),
        (false, Some(false), Some(false), false),
        (false, Some(true), None, true),
        (true, None, Some(false), true),
        // An organization's own choice is nearer than the fleet's.
        (true, Some(false), None, false),
    ] {
        let set = organization_says.map(|says| record(unpriced(says), LimitValues::new()));
        let acme = organization(LimitProfile::Standard, &unpriced(fleet_says), set.as_ref());
        let set = user_says.map(|says| record(unpriced(says), LimitValues::new()));
        let alice = user(&acme, set.as_ref());
        assert_eq!(
            alice.caps().of(LimitName::SpendUnpriced).is_some(),
            refuses,
            "{fleet_says} {organization_says:?} {user_says:?}"
        );
    }
}

#[test]
fn an_administrator_of_the_organization_distributes_what_it_was_given() {
    let own = values(&[("user.inference.day", Some(20)), ("inference.day", Some(9999))]);
    let set = record(LimitValues::new(), own);
    let acme = organization(LimitProfile::Standard, &LimitValues::new(), Some(&set));
    assert_eq!(acme.get(setting("user.inference.day")).source, LimitSource::OrganizationAdmin);
    let total = acme.get(setting("inference.day"));
    assert_eq!(
        (total.cap, total.source),
        (Some(1000), LimitSource::Profile),
        "more than it has counts as that"
    );
    // One may have more than the others, but no more than any had.
    let of = |granted: LimitValues, own: LimitValues| {
        user(&acme, Some(&record(granted, own))).own.now.get(LimitName::InferenceDay)
    };
    let more = of(LimitValues::new(), values(&[("inference.day", Some(80))]));
    assert_eq!((more.cap, more.source), (Some(80), LimitSource::UserAdmin));
    assert_eq!(of(LimitValues::new(), values(&[("inference.day", None)])).cap, Some(100));
    // Unless a superadmin said so.
    let granted = of(values(&[("inference.day", Some(400))]), LimitValues::new());
    assert_eq!((granted.cap, granted.source), (Some(400), LimitSource::User));
    assert_eq!(
        of(values(&[("inference.day", Some(400))]), values(&[("inference.day", Some(300))])).cap,
        Some(300)
    );
}

fn any_values() -> impl Strategy<Value = LimitValues> {
    let settings = LimitSetting::all();
    let entry = (0..settings.len(), proptest::option::weighted(0.8, 0_u64..20));
    proptest::collection::vec(entry, 0..12)
        .prop_map(move |entries| entries.into_iter().map(|(at, cap)| (settings[at], cap)).collect())
}

fn any_record() -> impl Strategy<Value = Option<LimitRecord>> {
    proptest::option::of((any_values(), any_values()).prop_map(|(granted, own)| record(granted, own)))
}

fn any_profile() -> impl Strategy<Value = LimitProfile> {
    proptest::sample::select(profile::ALL.to_vec())
}

/// The first of `layers` that says something: the rule in other words.
fn first(layers: &[&dyn Fn() -> Option<Option<u64>>]) -> Option<u64> {
    layers.iter().find_map(|layer| layer()).flatten()
}

fn own_of(values: &LimitValues, name: LimitName) -> Option<Option<u64>> {
    // Keys of a record below an organization: any but `key.` is the subject's own; the last written wins.
    values.iter().filter(|(s, _)| s.name == name && s.each != Each::Key).map(|(_, cap)| *cap).next_back()
}

proptest! {
    /// Without administrators of organizations, what holds is what the nearest says.
    #[test]
    fn the_nearest_says(
        profile in any_profile(),
        fleet_set in any_values(),
        org in any_values(),
        member in any_values(),
    ) {
        let org_record = record(org.clone(), LimitValues::new());
        let member_record = record(member.clone(), LimitValues::new());
        let scope = organization(profile, &fleet_set, Some(&org_record));
        let base = profile::values(profile);
        for setting in LimitSetting::all() {
            let expected = first(&[
                &|| org.get(&setting).copied(),
                &|| fleet_set.get(&setting).copied(),
                &|| base.get(&setting).copied(),
            ]);
            prop_assert_eq!(scope.get(setting).cap, expected, "{}", setting);
        }
        let alice = user(&scope, Some(&member_record));
        for name in LimitName::ALL {
            let default = LimitSetting::of_user(name);
            let all = scope.get(default).cap;
            let expected = match own_of(&member, name) {
                // A choice is not undone by a nearer one.
                Some(cap) if name == LimitName::SpendUnpriced && is_less(all, cap) => all,
                Some(cap) => cap,
                None => all,
            };
            prop_assert_eq!(alice.own.now.get(name).cap, expected, "{}", name);
        }
    }

    /// Limits set by administrators of an organization only tighten what holds without them.
    #[test]
    fn they_only_tighten(
        profile in any_profile(),
        fleet_set in any_values(),
        org in any_record(),
        member in any_record(),
        of_key in any_record(),
        acts_for_one in any::<bool>(),
    ) {
        let granted = |record: &Option<LimitRecord>| {
            record.as_ref().map(|record| LimitRecord { own: LimitValues::new(), ..record.clone() })
        };
        let resolve = |org: &Option<LimitRecord>, member: &Option<LimitRecord>, of_key: &Option<LimitRecord>| {
            let scope = organization(profile, &fleet_set, org.as_ref());
            let member = user(&scope, member.as_ref());
            let key = key(&scope, acts_for_one.then_some(&member), of_key.as_ref());
            (scope, member, key)
        };
        let (scope, member_now, key_now) = resolve(&org, &member, &of_key);
        let (most, member_most, key_most) = resolve(&granted(&org), &granted(&member), &granted(&of_key));
        let pairs = [
            (scope.total, most.total),
            (scope.user, most.user),
            (scope.key, most.key),
            (member_now.own, member_most.own),
            (member_now.key, member_most.key),
            (key_now, key_most),
        ];
        for (now, most) in pairs {
            prop_assert_eq!(now.granted, most.now, "what was granted does not depend on them");
            for name in LimitName::ALL {
                prop_assert!(!is_less(most.now.get(name).cap, now.now.get(name).cap), "{}", name);
            }
        }
    }
}
