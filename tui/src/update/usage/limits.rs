//! Setting limits.

use aivonx_protocol::{
    Request,
    limit::{self, LimitLevel, LimitName, LimitRequest, LimitSetting, LimitValue, Limits},
    organization::LimitProfile,
};

use super::Asked;
use crate::{
    keymap::Do,
    msg::Effect,
    nouns::{
        limit::{Assignment, cap_text, source_is_own},
        profile_name,
    },
    render::text::span,
    state::{
        Model, Topic,
        calls::Act,
        form::{Field, Form, FormFor},
        list::Rows as _,
        usage::{OpenLimits, UsageForm},
    },
    update::{act, dialogs, forms},
};

const RELOAD: &[Topic] = &[Topic::Limits, Topic::Usage];

/// A key about the limits that are open.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::Edit => edit(model),
        Do::Unset => unset(model, out),
        Do::Profile => profile(model),
        Do::Remove => unset_all(model),
        _ => {}
    }
}

/// Whose limits these are, in words.
fn called(limits: &Limits) -> String {
    let name = limits.name.as_deref().unwrap_or_default();
    match limits.level {
        LimitLevel::Fleet => "the fleet".to_owned(),
        LimitLevel::Organization => format!("organization {name}"),
        LimitLevel::User => format!("user {name}"),
        LimitLevel::Key => format!("key {name}"),
    }
}

/// The limits that are open, or says why there are none.
fn open(model: &mut Model) -> Option<(OpenLimits, String, LimitLevel)> {
    let whose = model.usage.open.clone()?;
    if whose.target().is_none() {
        model.warn("models and nodes have no limits; organizations, users and keys have");
        return None;
    }
    match &model.usage.limits_of {
        Some(limits) => Some((whose, called(limits), limits.level)),
        None => {
            model.warn("its limits are not known yet");
            None
        }
    }
}

/// Opens a form with the chosen limit.
pub(super) fn edit(model: &mut Model) {
    let Some((whose, called, level)) = open(model) else { return };
    let typed = match model.usage.limits.chosen() {
        Some(row) if row.limit.level == level => {
            format!("{}={}", row.limit.name, row.limit.name.cap_text(row.limit.limit))
        }
        Some(row) => {
            let text = format!("{}=", row.limit.name);
            let of = row.of();
            model.tell(format!("that one is of {of} and holds as well; what you set here is its own"));
            text
        }
        None => String::new(),
    };
    let about = "inference.day=100 spend.day=2.50; =unlimited; =unset inherits it again";
    let fields = vec![Field::text("limit", "Limit", about, &typed).required().checked(check)];
    let intro = "The tightest of what is set on a user or key, its organization and the fleet holds. Names: \
                 aivonx-limits(7).";
    let form =
        Form::new(FormFor::Usage(UsageForm::Limits(whose)), format!("Set limits of {called}"), intro, fields);
    forms::open(model, form);
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Set(Vec<LimitValue>),
    Unset(Vec<LimitSetting>),
}

/// Reads `NAME=VALUE ...` or `NAME=unset ...`.
fn wanted(text: &str) -> Result<Wanted, String> {
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        match word.strip_suffix("=unset") {
            Some(name) => unset.push(name.parse().map_err(|unknown| format!("{unknown}"))?),
            None => {
                let Assignment(value) = word.parse()?;
                set.push(value);
            }
        }
    }
    match (set.is_empty(), unset.is_empty()) {
        (false, true) => Ok(Wanted::Set(set)),
        (true, false) => Ok(Wanted::Unset(unset)),
        (false, false) => Err("set some or unset some, not both at once".to_owned()),
        (true, true) => Err("write NAME=VALUE, such as inference.day=100".to_owned()),
    }
}

fn check(text: &str) -> Result<(), String> {
    wanted(text).map(|_| ())
}

/// Sets what the form sets, or takes it back.
pub(super) fn set(model: &Model, form: &Form, whose: &OpenLimits) -> Result<Asked, String> {
    let target = whose.target().ok_or("it has no limits")?;
    let called = model.usage.limits_of.as_ref().map_or_else(|| whose.called(), called);
    let values = match wanted(&form.value("limit"))? {
        Wanted::Unset(names) => {
            let words: Vec<String> = names.iter().map(ToString::to_string).collect();
            let words = words.join(", ");
            let request = LimitRequest::Unset(limit::Unset { target, revision: None, names });
            return Ok(Asked::new(
                Request::Limit(request),
                format!("Taking back {words} of {called}"),
                format!("{words} of {called} is inherited again"),
                RELOAD,
            ));
        }
        Wanted::Set(values) => values,
    };
    let words: Vec<String> =
        values.iter().map(|value| format!("{} {}", value.name, cap_text(value.name, value.limit))).collect();
    let words = words.join(", ");
    let because = values.iter().filter_map(|value| blocks(model, value)).collect();
    let request = LimitRequest::Set(limit::Set { target, revision: None, values });
    let asked = Asked::new(
        Request::Limit(request),
        format!("Setting {words} for {called}"),
        format!("{words} holds for {called}"),
        RELOAD,
    );
    Ok(Asked { because, ..asked })
}

/// What a value ends at once, if anything.
fn blocks(model: &Model, value: &LimitValue) -> Option<String> {
    let cap = value.limit?;
    if value.name.name == LimitName::SpendUnpriced {
        return Some("Where money is limited, requests for models without a price are refused.".to_owned());
    }
    let limits = model.usage.limits_of.as_ref()?;
    let mut all = limits.limits.iter();
    let now = all.find(|limit| limit.level == limits.level && limit.name == value.name);
    let used = now.and_then(|limit| limit.used).unwrap_or(0);
    if cap == 0 {
        return Some(format!("{} of 0 lets nothing through: every request is refused.", value.name));
    }
    if used < cap {
        return None;
    }
    let resets = now.and_then(|limit| limit.resets);
    let until = match resets {
        Some(at) => format!(" for {}", span(at.saturating_sub(model.now))),
        None => " until some of it is given back".to_owned(),
    };
    Some(format!(
        "{}: {} are used already: requests are refused{until}.",
        value.name,
        cap_text(value.name, Some(used))
    ))
}

/// Takes back the chosen limit.
fn unset(model: &mut Model, out: &mut Vec<Effect>) {
    let Some((whose, called, level)) = open(model) else { return };
    let Some(row) = model.usage.limits.chosen() else { return };
    let (first, from) = (row.limit.name, crate::nouns::limit::source(row.limit.source));
    let targets = model.usage.limits.targets().into_iter();
    let own = targets.filter(|row| row.limit.level == level && source_is_own(row.limit.source, level));
    let names: Vec<LimitSetting> = own.map(|row| row.limit.name).collect();
    if names.is_empty() {
        return model.warn(format!("{first} is not set on {called}: it comes from {from}"));
    }
    let Some(target) = whose.target() else { return };
    let words = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let request = LimitRequest::Unset(limit::Unset { target, revision: None, names });
    let what = Act {
        doing: format!("Taking back {words} of {called}"),
        done: format!("{words} of {called} is inherited again"),
        reload: RELOAD.to_vec(),
    };
    model.usage.limits.unmark();
    act(model, out, Request::Limit(request), what);
}

/// Takes back everything that was set, after a question.
fn unset_all(model: &mut Model) {
    let Some((whose, called, level)) = open(model) else { return };
    let Some(target) = whose.target() else { return };
    let set: Vec<String> = model
        .usage
        .limits
        .all()
        .iter()
        .filter(|row| row.limit.level == level && source_is_own(row.limit.source, level))
        .map(|row| row.limit.name.to_string())
        .collect();
    if set.is_empty() {
        return model.warn(format!("nothing is set on {called}"));
    }
    let lines = vec![format!("Inherited again: {}.", set.join(", "))];
    let request = LimitRequest::Unset(limit::Unset { target, revision: None, names: Vec::new() });
    let what = Act {
        doing: format!("Taking back what was set on {called}"),
        done: format!("{called} inherits its limits again"),
        reload: RELOAD.to_vec(),
    };
    let title = format!("Take back what was set on {called}?");
    dialogs::confirm(model, title, lines, "Take back", None, vec![(Request::Limit(request), what)]);
}

/// Opens a form with the profiles.
fn profile(model: &mut Model) {
    let Some((whose, called, level)) = open(model) else { return };
    if matches!(level, LimitLevel::User | LimitLevel::Key) {
        return model.warn("a user or key has the profile of its organization, else the fleet's");
    }
    let now = model.usage.limits_of.as_ref().map_or("", |limits| profile_name(limits.profile));
    let about = |profile: LimitProfile| {
        let known = model.usage.profiles.iter().find(|info| info.profile == profile);
        let caps = known.map(|info| &*info.limits).unwrap_or_default();
        let caps: Vec<String> = caps
            .iter()
            .map(|value| format!("{} {}", value.name, cap_text(value.name, value.limit)))
            .collect();
        if caps.is_empty() { "no limits".to_owned() } else { caps.join(", ") }
    };
    let options = ALL.map(|profile| (profile_name(profile), about(profile)));
    let options: Vec<(&str, &str)> = options.iter().map(|(name, about)| (*name, about.as_str())).collect();
    let fields = vec![
        Field::choice("profile", "Profile", "the values to begin with", &options, now),
        Field::toggle("reset", "Reset", "take back what was set on it, too", false),
    ];
    let intro = "A profile has values to begin with; what is set beats them. Organizations keep theirs when the \
                 fleet gets another.";
    let purpose = FormFor::Usage(UsageForm::Profile(whose));
    forms::open(model, Form::new(purpose, format!("Limit profile of {called}"), intro, fields));
}

const ALL: [LimitProfile; 3] = [LimitProfile::Standard, LimitProfile::Team, LimitProfile::Unlimited];

/// Chooses the profile of this form.
pub(super) fn apply(model: &Model, form: &Form, whose: &OpenLimits) -> Result<Asked, String> {
    let limits = model.usage.limits_of.as_ref().ok_or("its limits are not known yet")?;
    let word = form.value("profile");
    let profile = ALL.into_iter().find(|profile| profile_name(*profile) == word).ok_or("no such profile")?;
    let reset = form.is_on("reset");
    if profile == limits.profile && !reset {
        return Err(format!("{} has it already", called(limits)));
    }
    let organization = match (limits.level, whose) {
        (LimitLevel::Organization, _) => limits.id.clone(),
        (LimitLevel::Fleet, OpenLimits::Own) => None,
        _ => return Err("only the fleet and organizations have a profile".to_owned()),
    };
    let request = LimitRequest::SetProfile(limit::SetProfile { organization, profile, reset });
    let asked = Asked::new(
        Request::Limit(request),
        format!("Giving {} the profile {word}", called(limits)),
        format!("the profile of {} is {word}", called(limits)),
        RELOAD,
    );
    let kept = if reset { "What was set on it is taken back." } else { "What was set on it stays as it is." };
    let because = vec![
        format!(
            "Its values change at once from those of {} to those of {word}.",
            profile_name(limits.profile)
        ),
        kept.to_owned(),
        "Who has used more than it gives is refused until the count begins anew.".to_owned(),
    ];
    Ok(Asked { because, ..asked })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_typed_as_at_the_command_line() {
        let Ok(Wanted::Set(values)) = wanted(" inference.day=3, user.spend.day=2.5 key.hour=unlimited")
        else {
            panic!()
        };
        let words: Vec<String> =
            values.iter().map(|v| format!("{}={}", v.name, v.name.cap_text(v.limit))).collect();
        assert_eq!(words, ["inference.day=3", "user.spend.day=2.50", "key.hour=unlimited"]);
        assert_eq!(
            wanted("inference.day=unset spend.day=unset"),
            Ok(Wanted::Unset(vec!["inference.day".parse().unwrap(), "spend.day".parse().unwrap()]))
        );
        for (bad, says) in [
            ("", "NAME=VALUE"),
            ("inference.day", "NAME=VALUE"),
            ("inference.year=1", "aivonx-limits(7)"),
            ("inference.year=unset", "aivonx-limits(7)"),
            ("inference.day=-1", "whole number"),
            ("inference.day=1 spend.day=unset", "not both"),
        ] {
            let why = wanted(bad).unwrap_err();
            assert!(why.contains(says), "{bad}: {why}");
        }
    }
}
