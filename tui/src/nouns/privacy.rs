//! Personal data in prompts: the categories as they are typed, and what a test of a text came to.

use aivonx_protocol::{
    organization::PrivacyMode,
    privacy::{Category, PrivacyReport},
};

use super::privacy_name;
use crate::render::text::safe;

/// Categories as they are typed; none is all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Categories(pub Vec<Category>);

pub(crate) fn categories(text: &str) -> Result<Categories, String> {
    if text == "all" {
        return Ok(Categories(Vec::new()));
    }
    // The usual ones, and more.
    if let Some(more) = text.strip_prefix("all,") {
        let more = categories(more)?.0.into_iter().filter(|category| !Category::USUAL.contains(category));
        return Ok(Categories(Category::USUAL.into_iter().chain(more).collect()));
    }
    let known = |name: &str| {
        Category::NAMED
            .into_iter()
            .find(|category| category.name() == name)
            .ok_or_else(|| format!("'{name}' is none; accepted are email, phone, ssn, card, key, iban, passport, alphanumeric, and all"))
    };
    text.split(',').map(|name| known(name.trim())).collect::<Result<_, _>>().map(Categories)
}

/// Whether a prompt with this text goes out, and how.
pub(crate) fn outcome(report: &PrivacyReport) -> String {
    let whose = whose(report.organization.as_deref());
    match (&report.refusal, report.mode) {
        (Some(why), mode) => {
            format!(
                "The mode {whose} is {}: a prompt like this is refused ({}).",
                privacy_name(mode),
                safe(why)
            )
        }
        (None, PrivacyMode::Off) => format!(
            "The mode {whose} is off: it goes out as it is, except what its own patterns find; redact would send what is \
             shown here."
        ),
        (None, PrivacyMode::Detect) => format!(
            "The mode {whose} is detect: it goes out as it is, except what its own patterns find, and is counted."
        ),
        (None, mode) => format!("The mode {whose} is {}: it goes out as shown here.", privacy_name(mode)),
    }
}

/// The organization in a sentence.
pub(crate) fn whose(organization: Option<&str>) -> String {
    match organization {
        Some(organization) => format!("of {}", safe(organization)),
        None => "of those without an organization".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_named() {
        assert_eq!(categories("email, key").unwrap().0, [Category::Email, Category::Key]);
        assert_eq!(categories("all").unwrap().0, []);
        assert!(categories("email,names").unwrap_err().contains("'names' is none; accepted are email"));
    }
}
