//! Forms: fields that are filled in, checked one by one, and sent as one request.

use aivonx_protocol::{WireSecret, node::Probed};
use tui_input::Input;

pub(crate) use super::checks::{keep_alive, labels, name, number, slug, url};
use super::secret_input::SecretInput;
use crate::msg::Ticket;

/// What a field holds.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A line.
    Text(Input),
    /// A line that is not shown.
    Secret(SecretInput),
    /// A code that is good once: shown while it is typed, and kept no longer than a secret.
    Code(SecretInput),
    /// One of several words.
    Choice {
        /// The words, each with a few more about it.
        options: Vec<(String, String)>,
        /// The one chosen.
        at: usize,
    },
    /// Yes or no.
    Toggle(bool),
}

/// A condition on another field: its key, and the values with which this field is shown.
pub(crate) type Shown = (&'static str, &'static [&'static str]);

/// One field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// The field as the daemon names it in a refusal.
    pub(crate) key: &'static str,
    /// What stands before it.
    pub(crate) label: &'static str,
    /// What is said about it while it is filled in.
    pub(crate) about: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Whether it may not be empty.
    required: bool,
    /// What else it must be.
    check: Option<Check>,
    /// When it is shown; None is always.
    shown: Option<Shown>,
    /// Whether it holds what it was opened with, untouched: what is typed then takes its place.
    pub(crate) untouched: bool,
    /// What it was opened with; empty for secrets.
    opened: String,
    /// What is wrong with it.
    pub(crate) error: Option<String>,
}

impl Field {
    fn new(key: &'static str, label: &'static str, about: &'static str, kind: Kind) -> Self {
        let field = Self {
            key,
            label,
            about,
            kind,
            required: false,
            check: None,
            shown: None,
            untouched: false,
            opened: String::new(),
            error: None,
        };
        Self { opened: field.value(), ..field }
    }

    /// A line that holds `value`.
    pub(crate) fn text(key: &'static str, label: &'static str, about: &'static str, value: &str) -> Self {
        let text = Kind::Text(Input::new(value.to_owned()));
        Self { untouched: !value.is_empty(), ..Self::new(key, label, about, text) }
    }

    /// A line that is not shown.
    pub(crate) fn secret(key: &'static str, label: &'static str, about: &'static str) -> Self {
        Self::new(key, label, about, Kind::Secret(SecretInput::default()))
    }

    /// A code that is good once.
    pub(crate) fn code(key: &'static str, label: &'static str, about: &'static str) -> Self {
        Self::new(key, label, about, Kind::Code(SecretInput::default()))
    }

    /// One of several words, at first `chosen` or the first.
    pub(crate) fn choice(
        key: &'static str,
        label: &'static str,
        about: &'static str,
        options: &[(&str, &str)],
        chosen: &str,
    ) -> Self {
        let at = options.iter().position(|(word, _)| *word == chosen).unwrap_or(0);
        let options = options.iter().map(|(word, more)| ((*word).to_owned(), (*more).to_owned())).collect();
        Self::new(key, label, about, Kind::Choice { options, at })
    }

    /// Yes or no.
    pub(crate) fn toggle(key: &'static str, label: &'static str, about: &'static str, on: bool) -> Self {
        Self::new(key, label, about, Kind::Toggle(on))
    }

    /// With this typed already.
    pub(crate) fn holding(mut self, known: &WireSecret) -> Self {
        if let Kind::Secret(secret) | Kind::Code(secret) = &mut self.kind {
            secret.fill(known);
        }
        self
    }

    /// It may not be empty.
    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// It must pass this, unless it is empty.
    pub(crate) fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// It is shown only while another field has one of these values.
    pub(crate) fn with(mut self, key: &'static str, values: &'static [&'static str]) -> Self {
        self.shown = Some((key, values));
        self
    }

    fn value(&self) -> String {
        match &self.kind {
            Kind::Text(input) => input.value().trim().to_owned(),
            Kind::Secret(_) | Kind::Code(_) => String::new(),
            Kind::Choice { options, at } => {
                options.get(*at).map(|(word, _)| word.clone()).unwrap_or_default()
            }
            Kind::Toggle(on) => if *on { "yes" } else { "no" }.to_owned(),
        }
    }

    /// Notes what is wrong with it.
    pub(crate) fn validate(&mut self) -> bool {
        let empty = match &self.kind {
            Kind::Text(input) => input.value().trim().is_empty(),
            Kind::Secret(secret) | Kind::Code(secret) => secret.len() == 0,
            Kind::Choice { .. } | Kind::Toggle(_) => false,
        };
        self.error = match (empty, self.check) {
            (true, _) => self.required.then(|| "this is needed".to_owned()),
            (false, Some(check)) => check(&self.value()).err(),
            (false, None) => None,
        };
        self.error.is_none()
    }
}

/// Says what is wrong with a value.
type Check = fn(&str) -> Result<(), String>;

/// What a form is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FormFor {
    /// Begin a session.
    Login,
    /// Add a node.
    AddNode,
    /// Change the node with this id and revision.
    EditNode(String, u64),
    /// Pull a model to the nodes with these names; none is all.
    Pull(Vec<String>),
    /// Load these models into the memory of one node, or of those that have them.
    Load(Vec<String>, Option<String>),
    /// Copy this model under another name, on one node or where it is.
    CopyModel(String, Option<String>),
    /// Make a model out of this one, on one node or where it is.
    CreateModel(String, Option<String>),
    /// Send this model to its registry, from one node or from one that has it.
    PushModel(String, Option<String>),
    /// Choose how nodes are chosen.
    Strategy,
    /// Something that holds for models by name: that name, where it is there already.
    Model(super::models::ModelForm, Option<String>),
    /// Say how the node with this id is woken.
    Wake(String),
    /// Add an organization.
    AddOrganization,
    /// Change the organization with this id and revision.
    EditOrganization(String, u64),
    /// Add a user.
    AddUser,
    /// Change the user with this id and revision.
    EditUser(String, u64),
    /// Make a key.
    AddKey,
    /// Change the key with this id and revision.
    EditKey(String, u64),
    /// Give the key with this id in this organization a new secret.
    RotateKey(String, Option<String>),
    /// Ask the audit log.
    AuditQuery,
    /// Write a copy of it.
    AuditExport,
    /// Verify it against published checkpoints.
    AuditAnchors,
    /// Something about usage and limits.
    Usage(super::usage::UsageForm),
    /// Make the first administrator.
    SetUp,
    /// Change one's own password, because it has to be or because one wants to.
    Password,
    /// Prove who one is, to be offered a second factor.
    Enrol,
    /// Do something about the second factor there is.
    SecondFactor,
    /// Make a control token.
    Token,
    /// Replace the keys that secrets are kept under.
    RotateSecrets,
    /// Set a new password with the code that an administrator gave.
    Redeem,
    /// Something on the screen of security.
    Security(super::security::SecurityForm),
}

/// A form.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// What for.
    pub(crate) purpose: FormFor,
    /// What stands above it.
    pub(crate) title: String,
    /// What stands before the fields.
    pub(crate) intro: String,
    /// The fields.
    pub(crate) fields: Vec<Field>,
    /// The one being filled in.
    pub(crate) at: usize,
    /// The call that it was sent with, while that runs.
    pub(crate) sent: Option<Ticket>,
    /// Why it was refused, where that is about no field.
    pub(crate) fault: Option<String>,
    /// What asking the server in it gave, in the form of a node.
    pub(crate) probe: Probing,
    /// The address that was asked, or that need not be.
    pub(crate) asked: String,
    /// The files that were read for it: what of, the name, and what is in it.
    pub(crate) files: Vec<(FormFile, String, WireSecret)>,
    /// The number under which a file is being read, what of, its name, and what is done then.
    pub(crate) reading: Option<(Ticket, FormFile, String, After)>,
}

/// A field that names a file, which is read before the form is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormFile {
    /// Certificates to trust.
    Ca,
    /// The certificate that the gateway shows.
    ClientCert,
    /// Its private key.
    ClientKey,
}

impl FormFile {
    const ALL: [Self; 3] = [Self::Ca, Self::ClientCert, Self::ClientKey];

    /// The key of its field.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::ClientCert => "client_cert",
            Self::ClientKey => "client_key",
        }
    }
}

/// What stands in place of a file with certificates to trust the system's again.
pub(crate) const NO_CA: &str = "none";

/// What asking a server what it is has given so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Probing {
    /// Nothing was asked.
    #[default]
    Not,
    /// It is being asked.
    Asked(Ticket),
    /// It said this of itself, or why it did not.
    Found(Box<Probed>),
    /// The question was refused.
    Refused(String),
}

/// What is done when a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The form is sent.
    Send,
    /// The server in it is asked what it is.
    Probe,
}

impl Form {
    /// Whether it is that of a node.
    pub(crate) fn is_of_node(&self) -> bool {
        matches!(self.purpose, FormFor::AddNode | FormFor::EditNode(..))
    }

    /// With these fields.
    pub(crate) fn new(purpose: FormFor, title: impl Into<String>, intro: &str, fields: Vec<Field>) -> Self {
        let title = title.into();
        Self {
            purpose,
            title,
            intro: intro.to_owned(),
            fields,
            at: 0,
            sent: None,
            fault: None,
            probe: Probing::Not,
            asked: String::new(),
            files: Vec::new(),
            reading: None,
        }
    }

    /// Whether a field is shown now.
    pub(crate) fn shows(&self, at: usize) -> bool {
        let Some(field) = self.fields.get(at) else { return false };
        field.shown.is_none_or(|(key, values)| values.contains(&&*self.value(key)))
    }

    /// The value of a field; empty if it is not shown.
    pub(crate) fn value(&self, key: &str) -> String {
        let found = self.fields.iter().position(|field| field.key == key);
        found.filter(|at| self.shows(*at)).map(|at| self.fields[at].value()).unwrap_or_default()
    }

    /// The same, None if it is empty.
    pub(crate) fn given(&self, key: &str) -> Option<String> {
        Some(self.value(key)).filter(|value| !value.is_empty())
    }

    /// Whether it has this field, and that holds something else than it was opened with.
    pub(crate) fn changes(&self, key: &str) -> bool {
        self.fields.iter().any(|field| field.key == key && field.value() != field.opened)
    }

    /// Whether a toggle is on.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.value(key) == "yes"
    }

    /// What was typed into a secret field; None if nothing.
    pub(crate) fn secret(&self, key: &str) -> Option<WireSecret> {
        self.fields.iter().find(|field| field.key == key).and_then(|field| match &field.kind {
            Kind::Secret(secret) | Kind::Code(secret) if secret.len() > 0 => Some(secret.secret()),
            _ => None,
        })
    }

    /// A file that it names and that has not been read.
    pub(crate) fn unread(&self) -> Option<(FormFile, String)> {
        FormFile::ALL.into_iter().find_map(|what| {
            let path = self.given(what.key()).filter(|path| what != FormFile::Ca || path != NO_CA)?;
            self.contents(what).is_none().then_some((what, path))
        })
    }

    /// What is in a file that it names.
    pub(crate) fn contents(&self, what: FormFile) -> Option<&WireSecret> {
        let path = self.given(what.key())?;
        let mut files = self.files.iter();
        files.find(|(of, read, _)| *of == what && *read == path).map(|(.., text)| text)
    }

    /// The certificates in the file that it names.
    pub(crate) fn certificates(&self) -> Option<String> {
        self.contents(FormFile::Ca).map(|text| text.expose().to_owned())
    }

    /// The words of a line, separated by blanks or commas.
    pub(crate) fn words(&self, key: &str) -> Vec<String> {
        let value = self.value(key);
        value.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// The field being filled in.
    pub(crate) fn field(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.at)
    }

    /// Whether there is no field after this one.
    pub(crate) fn is_last(&self) -> bool {
        (self.at + 1..self.fields.len()).all(|at| !self.shows(at))
    }

    /// Goes to the next field shown, or the one before, round the ends.
    pub(crate) fn step(&mut self, forward: bool) {
        let count = self.fields.len();
        let steps =
            (1..=count).map(|step| (self.at + if forward { step } else { count - step }) % count.max(1));
        if let Some(at) = steps.into_iter().find(|at| self.shows(*at)) {
            self.at = at;
        }
    }

    /// Checks all fields shown; goes to the first that is wrong.
    pub(crate) fn validate(&mut self) -> bool {
        let mut wrong = None;
        for at in 0..self.fields.len() {
            if !self.shows(at) {
                self.fields[at].error = None;
            } else if !self.fields[at].validate() && wrong.is_none() {
                wrong = Some(at);
            }
        }
        if let Some(at) = wrong {
            self.at = at;
        }
        wrong.is_none()
    }

    /// Notes a refusal, at the field it names if there is one, and can be sent again: with its files read anew, since
    /// they may be what is put right.
    pub(crate) fn refuse(&mut self, field: Option<&str>, why: &str) {
        self.sent = None;
        self.files.clear();
        let named = |at: &usize| {
            field.is_some_and(|name| self.fields[*at].key.replace('_', "-") == name.replace('_', "-"))
        };
        let found = (0..self.fields.len()).find(|at| self.shows(*at) && named(at));
        if let Some(at) = found {
            self.fields[at].error = Some(why.to_owned());
            self.at = at;
            self.fault = None;
        } else {
            self.fault = Some(why.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        Form::new(
            FormFor::AddNode,
            "t",
            "",
            vec![
                Field::text("name", "Name", "", "").required().checked(name),
                Field::choice("credential", "Credential", "", &[("none", ""), ("bearer", "")], "none"),
                Field::secret("bearer", "Token", "").required().with("credential", &["bearer"]),
                Field::text("max_parallel", "At once", "", "0").checked(number),
            ],
        )
    }

    #[test]
    fn fields_that_are_not_shown_do_not_count() {
        let mut form = form();
        assert!(!form.validate());
        assert_eq!((form.at, form.fields[0].error.as_deref()), (0, Some("this is needed")));
        form.fields[0].kind = Kind::Text("gpu1".into());
        assert!(form.validate());
        form.step(true);
        form.step(true);
        assert_eq!(form.at, 3, "the token is not asked for");
        assert!(form.is_last());
        form.step(true);
        assert_eq!(form.at, 0);
        form.step(false);
        assert_eq!(form.at, 3);
        if let Kind::Choice { at, .. } = &mut form.fields[1].kind {
            *at = 1;
        }
        assert!(!form.validate());
        assert_eq!(form.at, 2);
    }

    #[test]
    fn refusals_go_to_their_field() {
        let mut form = form();
        form.sent = Some(1);
        form.refuse(Some("max-parallel"), "too many");
        assert_eq!((form.at, form.sent, form.fields[3].error.as_deref()), (3, None, Some("too many")));
        form.refuse(Some("bearer"), "wrong");
        assert_eq!(form.fault.as_deref(), Some("wrong"), "a field that is not shown cannot say it");
    }
}
