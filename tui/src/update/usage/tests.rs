//! What follows from the keys of usage and limits.

mod privacy;

use aivonx_protocol::{
    Fault, FaultKind, Reply, Request,
    limit::{self, LimitRequest, LimitSource, LimitTarget},
    organization::LimitProfile,
    policy::{self, PolicyRequest},
    price::{self, PriceRequest},
    usage::{self, UsageBy, UsagePer, UsageRequest},
    user::Role,
};

use crate::{
    msg::{Effect, Msg},
    nouns::Noun as _,
    samples,
    state::{
        Dialog, Model, Screen, Topic,
        testing::{answer_all, call, connected, full, full_as, press, press_all, refuse, reply, type_text},
        usage::{OpenLimits, Period, Tab},
    },
    update::update,
    view::tests::shot,
};

fn notice(model: &Model) -> &str {
    model.notice.as_ref().map_or("", |notice| &notice.text)
}

fn answered(model: &mut Model, keys: &str) {
    for key in keys.split(' ') {
        let effects = press(model, key);
        answer_all(model, effects);
    }
}

fn asked(effects: &[Effect]) -> Vec<&'static str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Call { request, .. } => Some(request.name()),
            _ => None,
        })
        .collect()
}

/// The limits of acme, open.
fn acme() -> Model {
    let mut model = full(80, 24);
    answered(&mut model, "6 j enter");
    assert_eq!(model.usage.limits_of.as_ref().and_then(|limits| limits.name.as_deref()), Some("acme"));
    model
}

fn type_limit(model: &mut Model, text: &str) -> Vec<Effect> {
    press_all(model, "e ctrl-u");
    type_text(model, text);
    press(model, "ctrl-s")
}

#[test]
fn those_who_have_least_left_come_first() {
    let mut model = full(80, 24);
    press(&mut model, "6");
    let names: Vec<&str> =
        (0..3).filter_map(|row| model.usage.organizations.shown(row)).map(|one| one.name()).collect();
    assert_eq!(names, [samples::HOSTILE, "acme", "(none)"]);
    // What is nobody's has nothing to open.
    press_all(&mut model, "G enter");
    assert!(!model.detail && notice(&model).contains("belongs to none"), "{}", notice(&model));
    press_all(&mut model, "s s");
    let first = model.usage.organizations.shown(0).unwrap();
    assert_eq!(first.name(), samples::HOSTILE, "the largest share of requests");
}

#[test]
fn who_has_used_nothing_is_listed_too() {
    let mut model = full(80, 24);
    press_all(&mut model, "6 tab tab");
    let names: Vec<&str> = model.usage.keys.all().iter().map(|one| one.name()).collect();
    assert!(names.contains(&"ci") && names.iter().filter(|name| **name == "ci").count() == 1, "{names:?}");
    press_all(&mut model, "6 backtab");
    // The samples' users share an id.
    let mut users = samples::users();
    users[1].id = "another".into();
    let ticket = model.calls.begin(crate::state::Purpose::Load(Topic::Users), model.now);
    reply(&mut model, ticket, Reply::Users(users));
    answered(&mut model, "tab backtab");
    let names: Vec<&str> = model.usage.users.all().iter().map(|one| one.name()).collect();
    assert!(names.contains(&"root") && names.contains(&"alice"), "{names:?}");
}

#[test]
fn another_time_and_another_tab_ask_anew() {
    let (mut model, effects) = connected(80, 24, Some(Role::Superadmin));
    answer_all(&mut model, effects);
    let effects = press(&mut model, "6");
    assert_eq!(asked(&effects), ["daemon.status", "usage.report", "organization.list"]);
    let since = |effects: &[Effect], wanted: UsageBy| {
        effects.iter().find_map(|effect| match effect {
            Effect::Call {
                request: Request::Usage(UsageRequest::Report(usage::Report { filter, by, per: None })),
                ..
            } if *by == Some(wanted) => filter.since,
            _ => None,
        })
    };
    assert_eq!(since(&effects, UsageBy::Organization), Some(Period::Day.since(model.now, 0)));
    let effects = press(&mut model, "p");
    assert!(matches!(effects[0], Effect::Drop(_)), "what was asked for before is given up");
    assert_eq!(since(&effects, UsageBy::Organization), Some(Period::Month.since(model.now, 0)));
    let effects = press(&mut model, "tab");
    assert!(matches!(effects[0], Effect::Drop(_)));
    assert_eq!(since(&effects, UsageBy::User), Some(Period::Month.since(model.now, 0)));
    let effects = press_all(&mut model, "backtab backtab backtab backtab");
    assert!(asked(&effects).contains(&"price.list") && asked(&effects).contains(&"policy.aliases"));
}

#[test]
fn it_is_asked_again_while_it_is_shown() {
    let ticked = |model: &mut Model, seconds: u64| {
        model.calls.clear();
        let start = model.now;
        let mut all = Vec::new();
        for second in 1..=seconds {
            let effects = update(model, Msg::Tick(start + second * 1000));
            all.extend(asked(&effects));
            answer_all(model, effects);
        }
        all.into_iter().filter(|name| !matches!(*name, "daemon.status" | "job.list")).collect::<Vec<_>>()
    };
    let mut model = full(80, 24);
    press(&mut model, "6");
    assert_eq!(ticked(&mut model, 8), ["usage.report", "usage.report"]);
    answered(&mut model, "j enter");
    let names = ticked(&mut model, 20);
    let count = |wanted: &str| names.iter().filter(|name| **name == wanted).count();
    assert_eq!((count("limit.show"), count("usage.report")), (5, 6), "the chart once: {names:?}");
    // On another screen nothing of it is asked for.
    press(&mut model, "2");
    assert_eq!(ticked(&mut model, 8), Vec::<&str>::new());
    press(&mut model, "6");
    model.last_key = 0;
    assert_eq!(ticked(&mut model, 8), Vec::<&str>::new(), "nobody is there");
}

#[test]
fn a_limit_is_set_in_place() {
    let mut model = acme();
    press(&mut model, "e");
    let Some(Dialog::Form(form)) = model.dialogs.last() else { panic!() };
    assert_eq!(form.value("limit"), "inference.day=1000000000", "the chosen one");
    press(&mut model, "esc");
    assert_eq!(type_limit(&mut model, "inference.day"), []);
    assert!(shot(&model).contains("NAME=VALUE"), "{}", shot(&model));
    press(&mut model, "esc");
    let effects = type_limit(&mut model, "inference.day=12 user.spend.day=2.50");
    let (ticket, request) = call(&effects);
    let Request::Limit(LimitRequest::Set(limit::Set { target, revision: None, values })) = request else {
        panic!()
    };
    let id = samples::organizations()[0].id.clone();
    assert_eq!(*target, LimitTarget::Organization { organization: id });
    assert_eq!(values.iter().map(|value| value.limit).collect::<Vec<_>>(), [Some(12), Some(2_500_000)]);
    // A refusal goes to the field, and what was typed stays.
    let fault = Fault::new(FaultKind::NotPermitted, "more than acme was given").field("limit");
    let effects = refuse(&mut model, ticket, fault);
    answer_all(&mut model, effects);
    assert!(shot(&model).contains("more than acme was given"), "{}", shot(&model));
    let effects = press(&mut model, "ctrl-s");
    let (ticket, _) = call(&effects);
    let mut limits = model.usage.limits_of.clone().unwrap();
    limits.limits[0].limit = Some(12);
    model.usage.limits.choose("Organization key.spend.day");
    let effects = reply(&mut model, ticket, Reply::Limits(Box::new(limits)));
    assert_eq!(asked(&effects), ["limit.show", "usage.report"]);
    assert!(model.dialogs.is_empty() && notice(&model).contains("holds for organization acme"));
    assert_eq!(model.usage.limits.chosen().unwrap().limit.limit, Some(12), "what was changed is chosen");
    assert!(shot(&model).contains("9 of 12") && shot(&model).contains("75%"), "{}", shot(&model));
}

#[test]
fn what_blocks_at_once_is_asked_first() {
    let mut model = acme();
    assert_eq!(type_limit(&mut model, "inference.day=9"), []);
    assert!(shot(&model).contains("9 are used already: requests are refused for 5h 12m"), "{}", shot(&model));
    // What was typed stays, whether it is left or refused.
    let typed = |model: &Model| match model.dialogs.last() {
        Some(Dialog::Form(form)) => form.value("limit"),
        other => panic!("{other:?}"),
    };
    press(&mut model, "n");
    assert_eq!(typed(&model), "inference.day=9");
    press(&mut model, "esc");
    assert!(model.dialogs.is_empty());
    type_limit(&mut model, "concurrent=0");
    assert!(shot(&model).contains("lets nothing through"));
    let effects = press(&mut model, "y");
    let (ticket, request) = call(&effects);
    assert!(matches!(request, Request::Limit(LimitRequest::Set(_))));
    refuse(&mut model, ticket, Fault::new(FaultKind::Invalid, "not that one"));
    assert_eq!(typed(&model), "concurrent=0");
    assert!(shot(&model).contains("not that one"), "{}", shot(&model));
    press(&mut model, "esc");
    // Where nothing is blocked nothing is asked.
    assert_eq!(asked(&type_limit(&mut model, "inference.day=10")), ["limit.set"]);
}

#[test]
fn what_was_set_is_taken_back() {
    let mut model = acme();
    let effects = type_limit(&mut model, "inference.day=unset spend.day=unset");
    let (ticket, request) = call(&effects);
    assert!(
        matches!(request, Request::Limit(LimitRequest::Unset(limit::Unset { names, .. })) if names.len() == 2)
    );
    let limits = samples::limits().remove(0);
    reply(&mut model, ticket, Reply::Limits(Box::new(limits)));
    let effects = press(&mut model, "u");
    let Request::Limit(LimitRequest::Unset(limit::Unset { names, .. })) = call(&effects).1 else { panic!() };
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["inference.day"]);
    model.calls.clear();
    press_all(&mut model, "g j j");
    assert_eq!(model.usage.limits.chosen().unwrap().limit.source, LimitSource::Profile);
    assert_eq!(press(&mut model, "u"), []);
    assert!(notice(&model).contains("burst.minute is not set on organization acme"), "{}", notice(&model));
    press(&mut model, "ctrl-d");
    assert!(shot(&model).contains("inference.day, spend.day, user.spend.day"), "{}", shot(&model));
    let effects = press(&mut model, "y");
    assert!(
        matches!(call(&effects).1, Request::Limit(LimitRequest::Unset(limit::Unset { names, .. })) if names.is_empty()),
        "none named is all"
    );
}

#[test]
fn profiles_are_for_organizations_and_the_fleet() {
    let mut model = acme();
    press(&mut model, "f");
    assert_eq!(press(&mut model, "ctrl-s"), []);
    assert!(shot(&model).contains("has it already"), "{}", shot(&model));
    assert_eq!(press_all(&mut model, "u down space ctrl-s"), [], "it asks first");
    let effects = press(&mut model, "y");
    let id = samples::organizations()[0].id.clone();
    let expected = LimitRequest::SetProfile(limit::SetProfile {
        organization: Some(id),
        profile: LimitProfile::Unlimited,
        reset: true,
    });
    assert_eq!(*call(&effects).1, Request::Limit(expected));
    press_all(&mut model, "esc esc");
    model.calls.clear();
    answered(&mut model, "o");
    assert_eq!(model.usage.asked, Some(OpenLimits::Own));
    press_all(&mut model, "f t ctrl-s");
    let effects = press(&mut model, "y");
    assert!(matches!(
        call(&effects).1,
        Request::Limit(LimitRequest::SetProfile(limit::SetProfile {
            organization: None,
            profile: LimitProfile::Team,
            reset: false
        }))
    ));
    press_all(&mut model, "esc esc");
    model.calls.clear();
    answered(&mut model, "tab tab g enter f");
    assert!(model.dialogs.is_empty() && notice(&model).contains("profile of its organization"));
}

#[test]
fn prices_are_set_and_forgotten() {
    let mut model = full(80, 24);
    press(&mut model, ":");
    type_text(&mut model, "prices");
    press_all(&mut model, "enter G e");
    press(&mut model, "ctrl-u");
    type_text(&mut model, "1.25");
    let effects = press(&mut model, "ctrl-s");
    let Request::Price(PriceRequest::Set(price::Set { model: name, prompt, output })) = call(&effects).1
    else {
        panic!()
    };
    assert_eq!((&**name, prompt.0, output.0), ("llama3.3:70b", 1_250_000, 790_000));
    press_all(&mut model, "esc esc ctrl-d");
    let effects = press(&mut model, "y");
    assert!(
        matches!(call(&effects).1, Request::Price(PriceRequest::Remove(price::Remove { model })) if model == "llama3.3:70b")
    );
}

#[test]
fn of_a_policy_only_what_was_changed_is_sent() {
    let mut model = full(80, 24);
    press(&mut model, ":");
    type_text(&mut model, "policies");
    press_all(&mut model, "enter e");
    assert_eq!(press(&mut model, "ctrl-s"), []);
    assert!(shot(&model).contains("nothing to set"), "{}", shot(&model));
    press_all(&mut model, "down down ctrl-u ctrl-s");
    let effects = press(&mut model, "esc");
    assert!(matches!(effects[..], [Effect::Drop(_)]), "it was sent");
    press(&mut model, "esc");
    press_all(&mut model, "e down down ctrl-u");
    let effects = press(&mut model, "ctrl-s");
    let Request::Policy(PolicyRequest::Set(policy::Set { model: name, revision, change, .. })) =
        call(&effects).1
    else {
        panic!()
    };
    assert_eq!((&**name, *revision), ("*", Some(1)));
    assert_eq!((change.keep_alive.as_ref(), change.num_ctx, change.output_max), (None, Some(None), None));
    press_all(&mut model, "esc esc tab a");
    type_text(&mut model, "gpt-5");
    press_all(&mut model, "enter enter");
    type_text(&mut model, "llama3.3:70b, qwen3:8b");
    let effects = press(&mut model, "enter");
    let Request::Policy(PolicyRequest::SetAlias(policy::SetAlias {
        alias,
        models,
        organization: None,
        revision: None,
    })) = call(&effects).1
    else {
        panic!()
    };
    assert_eq!((&**alias, models.len()), ("gpt-5", 2));
    press_all(&mut model, "esc esc ctrl-d");
    let effects = press(&mut model, "y");
    assert!(matches!(call(&effects).1, Request::Policy(PolicyRequest::RemoveAlias(_))));
}

#[test]
fn details_elsewhere_show_the_limits_of_the_chosen_one() {
    let mut model = full(120, 40);
    let effects = press_all(&mut model, "5 enter");
    let Some(Effect::Call { ticket, request }) = effects.last() else { panic!("{effects:?}") };
    assert!(matches!(
        request,
        Request::Limit(LimitRequest::Show(limit::Show { target: LimitTarget::Organization { .. } }))
    ));
    let ticket = *ticket;
    // Another line is another one, and what was asked for the first is given up.
    model.access.organizations.set(
        samples::organizations()
            .into_iter()
            .enumerate()
            .map(|(at, one)| aivonx_protocol::organization::Organization { id: at.to_string(), ..one })
            .collect(),
        1,
    );
    let effects = press(&mut model, "j");
    assert!(effects.contains(&Effect::Drop(ticket)), "{effects:?}");
    answer_all(&mut model, effects);
    assert!(shot(&model).contains("USD, used up"), "{}", shot(&model));
    let effects = press(&mut model, "l");
    assert_eq!(model.screen, Screen::Usage);
    answer_all(&mut model, effects);
    let asked = OpenLimits::One { by: UsageBy::Organization, id: "1".into(), name: "globex".into() };
    assert_eq!((model.usage.tab, &model.usage.asked), (Tab::Organizations, &Some(asked)));
    assert!(model.usage.steps.as_ref().is_some_and(|report| report.per == Some(UsagePer::Day)));
    press_all(&mut model, "esc esc");
    assert_eq!(model.screen, Screen::Access);
}

#[test]
fn roles_see_and_do_what_they_may() {
    let mut auditor = full_as(80, 24, Role::Auditor);
    answered(&mut auditor, "6 j enter e");
    assert!(
        auditor.dialogs.is_empty() && notice(&auditor).contains("takes org-admin"),
        "{}",
        notice(&auditor)
    );
    assert_eq!(press(&mut auditor, "enter"), []);
    assert!(auditor.dialogs.is_empty());
    let mut operator = full_as(80, 24, Role::Operator);
    let effects = press_all(&mut operator, "6 enter");
    assert!(!asked(&effects).contains(&"limit.show") && asked(&effects).contains(&"usage.report"));
    answer_all(&mut operator, effects);
    press(&mut operator, "o");
    assert!(notice(&operator).contains("takes auditor"), "{}", notice(&operator));
    // A member begins with itself, and nodes are nothing it sees.
    let (mut member, effects) = connected(80, 24, Some(Role::Member));
    answer_all(&mut member, effects);
    press(&mut member, "6");
    assert_eq!(member.usage.tab, Tab::Users);
    let effects = press_all(&mut member, "tab tab tab");
    assert_eq!(member.usage.tab, Tab::Nodes);
    let by_node = |effect: &Effect| {
        let by_node = Some(UsageBy::Node);
        matches!(effect, Effect::Call { request: Request::Usage(UsageRequest::Report(usage::Report { by, .. })), .. } if *by == by_node)
    };
    assert!(!effects.iter().any(by_node));
    let mut looking = acme();
    looking.settings.read_only = true;
    press(&mut looking, "e");
    assert!(notice(&looking).contains("--read-only"));
}
