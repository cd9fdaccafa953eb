//! Setting limits: what may be set on whom, and what is kept of it. Who may set anything at all is not decided here.
//!
//! A superadmin grants; an administrator of an organization only tightens, see [`super::resolve`].

use aivonx_protocol::{
    Fault, FaultKind,
    limit::{CAP_MAX, Each, LimitName, LimitSetting, LimitValue},
};
use aivonx_store::{LimitRecord, LimitSubject};

use super::{resolve, shown::Resolved};

/// A setting and its cap; None is unlimited.
pub type Cap = (LimitSetting, Option<u64>);

/// The values as they are kept for `subject`.
///
/// # Errors
/// `Invalid`: there are none, one is no limit of `subject`, or one is out of its range.
pub fn check(subject: &LimitSubject, values: Vec<LimitValue>) -> Result<Vec<Cap>, Fault> {
    let invalid = |message: String| Fault::new(FaultKind::Invalid, message).field("limit");
    if values.is_empty() {
        let fault = invalid("there is nothing to set".to_owned());
        return Err(fault.hint("name a limit and its value, such as inference.day=100"));
    }
    let caps = values
        .into_iter()
        .map(|value| Ok((fitting(subject, value.name)?, value.limit)))
        .collect::<Result<Vec<_>, Fault>>()?;
    for (setting, cap) in &caps {
        if cap.is_some_and(|cap| cap > CAP_MAX) {
            let message = format!("{setting} cannot be more than {}", setting.cap_text(Some(CAP_MAX)));
            return Err(invalid(message).hint("use unlimited"));
        }
        if setting.name == LimitName::SpendUnpriced && cap.is_some_and(|cap| cap != 0) {
            return Err(invalid(format!("{setting} is free or refuse")).hint("use one of the two"));
        }
    }
    Ok(caps)
}

/// The settings as they are kept for `subject`.
///
/// # Errors
/// `Invalid` if one is no limit of `subject`.
pub fn check_names(subject: &LimitSubject, names: Vec<LimitSetting>) -> Result<Vec<LimitSetting>, Fault> {
    names.into_iter().map(|name| fitting(subject, name)).collect()
}

/// Whether an administrator of the organization may set these.
///
/// # Errors
/// `NotPermitted` if one is looser than what is granted.
pub fn check_tightening(caps: &[Cap], resolved: &Resolved) -> Result<(), Fault> {
    let granted = |setting: &LimitSetting| resolved.granted(*setting);
    let Some((setting, _)) = caps.iter().find(|(setting, cap)| resolve::is_less(granted(setting), *cap))
    else {
        return Ok(());
    };
    let message = format!(
        "an administrator of an organization may set {setting} to {} at most here",
        setting.cap_text(granted(setting))
    );
    Err(Fault::new(FaultKind::NotPermitted, message).field("limit").hint("a superadmin may set more"))
}

/// Sets them, for a superadmin if `free`, whose word takes the place of the organization's own.
pub fn set(record: &mut LimitRecord, caps: Vec<Cap>, free: bool) {
    for (setting, cap) in caps {
        if free {
            record.own.remove(&setting);
            record.granted.insert(setting, cap);
        } else {
            record.own.insert(setting, cap);
        }
    }
}

/// Takes back what was set, for a superadmin if `free`: these, or all if there are none.
///
/// # Errors
/// `NotPermitted` if one was granted by a superadmin, and it is not `free`.
pub fn unset(record: &mut LimitRecord, names: &[LimitSetting], free: bool) -> Result<(), Fault> {
    let named = |setting: &LimitSetting| names.is_empty() || names.contains(setting);
    let granted = record.granted.keys().find(|setting| {
        !free && !names.is_empty() && names.contains(setting) && !record.own.contains_key(setting)
    });
    if let Some(setting) = granted {
        let message = format!("{setting} was set by a superadmin");
        return Err(Fault::new(FaultKind::NotPermitted, message)
            .field("limit")
            .hint("a superadmin may take it back; you may set less"));
    }
    record.own.retain(|setting, _| !named(setting));
    if free {
        record.granted.retain(|setting, _| !named(setting));
    }
    Ok(())
}

/// The setting as it is kept for this kind of subject.
fn fitting(subject: &LimitSubject, setting: LimitSetting) -> Result<LimitSetting, Fault> {
    let name = setting.name;
    let refused =
        |message: String, fix: String| Err(Fault::new(FaultKind::Invalid, message).field("limit").hint(fix));
    match subject {
        LimitSubject::Fleet => Ok(setting),
        _ if name.is_by_address() => refused(
            format!("{name} is counted by address, so it is the fleet's alone"),
            "leave --org, --user and --key out".to_owned(),
        ),
        LimitSubject::Organization { .. } => Ok(setting),
        LimitSubject::User { .. } => match setting.each {
            Each::Key => Ok(setting),
            Each::Itself | Each::User => Ok(LimitSetting::bare(name)),
        },
        LimitSubject::Key { .. } if !LimitSetting::goes_for_keys(name) => {
            refused(format!("keys have no {name}"), "set it with --user or --org".to_owned())
        }
        LimitSubject::Key { .. } if setting.each == Each::User && !setting.is_bare() => {
            refused(format!("{setting} is not of a key"), format!("use {name}"))
        }
        LimitSubject::Key { .. } => Ok(LimitSetting::bare(name)),
    }
}
