//! What can be done about usage and limits.

mod limits;
mod policies;
mod prices;
mod privacy;
mod sums;
#[cfg(test)]
mod tests;

use aivonx_protocol::{
    Fault, Reply, Request,
    limit::{self, EffectiveLimit, Limits},
    policy, price,
    usage::{self, UsageBy, UsageFilter},
    user::Role,
};

pub(super) use self::sums::fill;
use super::{dialogs, forms, keys, load, nodes::Prepared, reload};
use crate::{
    keymap::Do,
    msg::Effect,
    nouns::{LimitRow, Noun as _},
    state::{
        Dialog, Model, Right, Screen, Topic, access,
        calls::Act,
        dialog::Order,
        form::FormFor,
        list::{List, Load},
        usage::{OpenLimits, Tab, UsageForm},
    },
};

/// How often what is shown is asked for anew, and how often the chart, milliseconds.
const EVERY: u64 = 4000;
const STEPS_EVERY: u64 = 20_000;

/// Time has passed while the screen is shown.
pub(super) fn tick(model: &mut Model, out: &mut Vec<Effect>) {
    if model.now % EVERY >= super::STATUS_EVERY {
        return;
    }
    if model.screen == Screen::Usage {
        look(model, out);
    }
    if model.usage.asked.is_some() {
        load(model, out, Topic::Limits);
        if model.screen == Screen::Usage && model.now % STEPS_EVERY < super::STATUS_EVERY {
            load(model, out, Topic::Steps);
        }
    }
}

/// Asks for what the tab shows.
pub(super) fn refresh(model: &mut Model, out: &mut Vec<Effect>) {
    let member = model.identity.as_ref().is_some_and(|who| who.role == Some(Role::Member));
    // A member sees itself.
    if member && model.usage.report.is_none() && model.usage.tab == Tab::Organizations {
        model.usage.tab = Tab::Users;
    }
    look(model, out);
    // Who has used nothing yet is listed as well.
    let (topic, known) = match model.usage.tab {
        Tab::Organizations => (Topic::Organizations, &model.access.organizations.load),
        Tab::Users => (Topic::Users, &model.access.users.load),
        Tab::Keys => (Topic::Keys, &model.access.keys.load),
        _ => return,
    };
    if *known == Load::Waiting {
        load(model, out, topic);
    }
}

fn look(model: &mut Model, out: &mut Vec<Effect>) {
    let topic = match model.usage.tab {
        Tab::Prices => Topic::Prices,
        Tab::Policies => Topic::Policies,
        Tab::Aliases => Topic::Aliases,
        _ => Topic::Usage,
    };
    load(model, out, topic);
}

/// Asks anew about the one whose limits are shown.
pub(super) fn attend(model: &mut Model, out: &mut Vec<Effect>) {
    if model.usage.asked.is_none() {
        return;
    }
    load(model, out, Topic::Limits);
    if model.screen == Screen::Usage {
        load(model, out, Topic::Steps);
        load(model, out, Topic::Privacy);
        load(model, out, Topic::Answers);
        if model.usage.shows_patterns {
            load(model, out, Topic::Patterns);
        }
        load(model, out, Topic::Unpriced);
        if model.usage.profiles.is_empty() {
            load(model, out, Topic::Profiles);
        }
    }
}

/// Whose limits are in sight.
fn subject(model: &Model) -> Option<OpenLimits> {
    if !model.detail {
        return None;
    }
    match model.screen {
        Screen::Usage => model.usage.open.clone(),
        Screen::Access => person(model),
        _ => None,
    }
}

/// The one chosen among organizations, users and keys.
fn person(model: &Model) -> Option<OpenLimits> {
    let access = &model.access;
    let (by, id, name) = match access.tab {
        access::Tab::Organizations => {
            access.organizations.chosen().map(|one| (UsageBy::Organization, &one.id, &one.slug))?
        }
        access::Tab::Users => access.users.chosen().map(|one| (UsageBy::User, &one.id, &one.name))?,
        access::Tab::Keys => access.keys.chosen().map(|one| (UsageBy::Key, &one.id, &one.name))?,
    };
    Some(OpenLimits::One { by, id: id.clone(), name: name.clone() })
}

/// Asks for the limits of the one that is in sight now, if it is another than before.
pub(super) fn follow(model: &mut Model, out: &mut Vec<Effect>) {
    if model.screen != Screen::Usage || !model.detail {
        model.usage.open = None;
    }
    let wanted = subject(model);
    if wanted == model.usage.asked {
        return;
    }
    model.usage.asked = wanted;
    model.usage.forget_one();
    let about_one =
        [Topic::Limits, Topic::Steps, Topic::Privacy, Topic::Answers, Topic::Patterns, Topic::Unpriced];
    for topic in about_one {
        out.extend(model.calls.give_up(topic).into_iter().map(Effect::Drop));
    }
    attend(model, out);
}

/// What is asked for a topic, and what one must be allowed to see for it.
pub(super) fn request(model: &Model, topic: Topic) -> Option<(Right, Request)> {
    let usage = &model.usage;
    Some(match topic {
        Topic::Usage => {
            let filter = UsageFilter {
                since: Some(usage.period.since(model.now, model.day_offset())),
                ..UsageFilter::default()
            };
            let by = Some(usage.tab.by()?);
            (usage.tab.right(), Request::from(usage::Report { filter, by, per: None }))
        }
        Topic::Steps => {
            let since = usage.period.steps(model.now, model.day_offset()).first().copied();
            let filter = UsageFilter { since, ..usage.asked.as_ref()?.filter() };
            let per = Some(usage.period.per());
            (Right::UsageRead, Request::from(usage::Report { filter, by: None, per }))
        }
        Topic::Limits => {
            let target = usage.asked.as_ref()?.target()?;
            (Right::LimitsRead, Request::from(limit::Show { target }))
        }
        Topic::Unpriced => {
            let target = usage.asked.as_ref()?.target()?;
            (Right::LimitsRead, Request::from(limit::FindUnpriced { target }))
        }
        Topic::Profiles => (Right::LimitsRead, Request::from(limit::Profiles)),
        Topic::Privacy => {
            let organization = usage.asked.as_ref()?.organization()?;
            (Right::PrivacyRead, Request::from(aivonx_protocol::privacy::Show { organization }))
        }
        Topic::Answers => {
            let organization = usage.asked.as_ref()?.organization()?;
            (Right::PrivacyRead, Request::from(aivonx_protocol::privacy::Answers { organization }))
        }
        Topic::Patterns => {
            let organization = usage.asked.as_ref()?.organization()?;
            (Right::PrivacyRead, Request::from(aivonx_protocol::privacy::Patterns { organization }))
        }
        Topic::Prices => (Right::PricesRead, Request::from(price::List)),
        Topic::Policies => (Right::PolicyRead, Request::from(policy::List { organization: None })),
        Topic::Aliases => (Right::PolicyRead, Request::from(policy::Aliases { organization: None })),
        _ => return None,
    })
}

/// An answer to it.
pub(super) fn loaded(model: &mut Model, topic: Topic, reply: Reply) {
    let now = model.now;
    let usage = &mut model.usage;
    match reply {
        Reply::Usage(report) if topic == Topic::Steps => usage.steps = Some(*report),
        Reply::Usage(report) => {
            usage.report = Some(*report);
            fill(model);
        }
        Reply::Limits(limits) => usage.note(*limits, now),
        Reply::LimitProfiles(profiles) => usage.profiles = profiles,
        Reply::Unpriced(found) => usage.unpriced = Some(found),
        Reply::Privacy(settings) => usage.privacy = Some(*settings),
        Reply::AnswerPrivacy(settings) => usage.answers = Some(settings.answers),
        Reply::Patterns(all) => usage.patterns.set(all, now),
        Reply::Prices(prices) => usage.prices.set(prices, now),
        Reply::Policies(policies) => usage.policies.set(policies, now),
        Reply::Aliases(aliases) => usage.aliases.set(aliases, now),
        _ => {}
    }
}

/// Something could not be had.
pub(super) fn failed(model: &mut Model, topic: Topic, fault: Fault) {
    let usage = &mut model.usage;
    let load = match (topic, usage.tab) {
        (Topic::Usage, Tab::Organizations) => &mut usage.organizations.load,
        (Topic::Usage, Tab::Users) => &mut usage.users.load,
        (Topic::Usage, Tab::Keys) => &mut usage.keys.load,
        (Topic::Usage, Tab::Models) => &mut usage.models.load,
        (Topic::Usage, Tab::Nodes) => &mut usage.nodes.load,
        (Topic::Limits, _) => &mut usage.limits.load,
        (Topic::Prices, _) => &mut usage.prices.load,
        (Topic::Policies, _) => &mut usage.policies.load,
        (Topic::Aliases, _) => &mut usage.aliases.load,
        (Topic::Patterns, _) => &mut usage.patterns.load,
        _ => return model.warn(fault.message),
    };
    *load = Load::Failed(fault);
}

/// Opens the chosen line.
pub(super) fn open(model: &mut Model) {
    if model.is_patterns() {
        return privacy::show_pattern(model);
    }
    if model.is_limits() {
        return match model.why_not(Right::LimitsWrite) {
            Some(why) => model.warn(why),
            None => limits::edit(model),
        };
    }
    let usage = &model.usage;
    let Some(by) = usage.tab.by() else {
        model.detail = model.rows_ref().is_some_and(|rows| rows.counts().0 > 0);
        return;
    };
    fn of<T: crate::nouns::Noun>(list: &List<T>) -> Option<(String, String)> {
        list.chosen().map(|one| (one.id().into_owned(), one.name().to_owned()))
    }
    let chosen = match usage.tab {
        Tab::Organizations => of(&usage.organizations),
        Tab::Users => of(&usage.users),
        Tab::Keys => of(&usage.keys),
        Tab::Models => of(&usage.models),
        _ => of(&usage.nodes),
    };
    match chosen {
        None => {}
        Some((id, name)) if id == name && name == crate::nouns::usage::NOBODY => {
            model.warn("this is what belongs to none of them; o shows the limits of the fleet");
        }
        Some((id, name)) => {
            model.usage.open = Some(OpenLimits::One { by, id, name });
            model.detail = true;
        }
    }
}

/// Goes to the limits of the one chosen on the screen of organizations, users and keys.
pub(super) fn show(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(whose) = person(model) else { return };
    model.usage.tab = match model.access.tab {
        access::Tab::Organizations => Tab::Organizations,
        access::Tab::Users => Tab::Users,
        access::Tab::Keys => Tab::Keys,
    };
    keys::go(model, out, Screen::Usage);
    model.usage.open = Some(whose);
    model.detail = true;
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::NextTab | Do::PreviousTab => {
            let at = Tab::ALL.iter().position(|tab| *tab == model.usage.tab).unwrap_or(0);
            let step = if does == Do::NextTab { 1 } else { Tab::ALL.len() - 1 };
            model.usage.tab = Tab::ALL[(at + step) % Tab::ALL.len()];
            model.detail = false;
            model.usage.open = None;
            // What was asked for is about another tab.
            out.extend(model.calls.give_up(Topic::Usage).into_iter().map(Effect::Drop));
            refresh(model, out);
        }
        Do::Period => {
            model.usage.period = model.usage.period.next();
            model.usage.steps = None;
            reload(model, out, Topic::Usage);
            if model.is_limits() {
                reload(model, out, Topic::Steps);
            }
        }
        Do::OwnLimits => {
            model.usage.open = Some(OpenLimits::Own);
            model.detail = true;
        }
        Do::Measure => model.usage.measure = model.usage.measure.next(),
        _ if model.is_limits() => match does {
            Do::Privacy => privacy::edit(model),
            Do::PrivacyTest => privacy::test(model),
            Do::Patterns => privacy::patterns(model, out),
            _ => limits::carry_out(model, out, does),
        },
        Do::Add if model.is_patterns() => privacy::new_pattern(model),
        Do::Remove if model.is_patterns() => privacy::remove_patterns(model),
        _ => match model.usage.tab {
            Tab::Prices => prices::carry_out(model, does),
            Tab::Policies | Tab::Aliases => policies::carry_out(model, does),
            _ => {}
        },
    }
}

/// The request of the form that was filled in; None where it was sent, or a question has to be answered first.
pub(super) fn prepared(model: &mut Model, out: &mut Vec<Effect>) -> Option<Prepared> {
    let Some(Dialog::Form(form)) = model.dialogs.last() else { return None };
    let FormFor::Usage(what) = &form.purpose else { return None };
    let asked = match what {
        UsageForm::Limits(whose) => limits::set(model, form, whose),
        UsageForm::Profile(whose) => limits::apply(model, form, whose),
        UsageForm::Privacy(organization) => privacy::set(model, form, organization.as_deref()),
        UsageForm::Pattern(organization) => privacy::add_pattern(form, organization.as_deref()),
        UsageForm::PrivacyTest(organization) => privacy::tried(form, organization.as_deref()),
        UsageForm::Price => prices::set(form),
        UsageForm::Policy(before) => policies::set(form, before.as_deref()),
        UsageForm::Alias(before) => policies::set_alias(form, before.as_deref()),
    };
    match asked {
        Err(why) => Some(Err(why)),
        Ok(Asked { request, what, because, then }) if because.is_empty() => {
            forms::submit(model, out, request, what, then.into_iter().collect());
            None
        }
        Ok(Asked { request, what, because, then }) => {
            let title = what.doing.replacen("Setting ", "Set ", 1).replacen("Giving ", "Give ", 1) + "?";
            let requests = [(request, what)].into_iter().chain(then).collect();
            dialogs::confirm(model, title, because, "Do it", None, requests).order = Order::Form;
            None
        }
    }
}

/// What a form asks for.
struct Asked {
    request: Request,
    what: Act,
    /// What has to be known before: sentences, none if nothing has.
    because: Vec<String>,
    /// What follows if it is done.
    then: Option<(Request, Act)>,
}

impl Asked {
    fn new(request: Request, doing: String, done: String, reload: &[Topic]) -> Self {
        Self { request, what: Act { doing, done, reload: reload.to_vec() }, because: Vec::new(), then: None }
    }
}

/// What was done, where the answer says more than that.
pub(super) fn done(model: &mut Model, done: &str, reply: Reply) {
    match reply {
        Reply::Limits(limits) => {
            let usage = &mut model.usage;
            let same = |old: &mut Limits| old.level == limits.level && old.id == limits.id;
            if let Some(old) = usage.limits_of.take_if(same) {
                usage.note(*limits, model.now);
                // What was changed is what one wants to see.
                let value = |limit: &EffectiveLimit| (limit.level, limit.name, limit.limit, limit.source);
                let is_new = |row: &&LimitRow| !old.limits.iter().any(|old| value(old) == value(&row.limit));
                let changed = usage.limits.all().iter().find(is_new).map(|row| row.id().into_owned());
                if let Some(id) = changed {
                    usage.limits.choose(&id);
                }
            }
            model.tell(done);
        }
        Reply::Privacy(settings) => {
            model.usage.privacy = Some(*settings);
            model.tell(done);
        }
        Reply::AnswerPrivacy(settings) => {
            model.usage.answers = Some(settings.answers);
            model.tell(done);
        }
        Reply::PrivacyReport(report) => privacy::report(model, &report),
        _ => {}
    }
}
