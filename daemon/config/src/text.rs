//! Kinds of values that are text: paths, words with a form of their own, lists of them.

use std::path::{Component, Path, PathBuf};

use aivonx_protocol::{Untrusted, network::Network};

use super::{
    kind::{Kind, Problem, Value, quoted, wrong_type},
    mistake::quote,
};

/// An absolute path, not longer than the given number of bytes; for `Option<PathBuf>` the empty string means None.
#[derive(Debug, Clone, Copy)]
pub(super) struct AbsolutePath(pub(super) usize);

/// Longest path of a file, bytes.
pub(super) const FILE_PATH: usize = 4095;
/// Longest path of a Unix socket, bytes.
pub(super) const SOCKET_PATH: usize = 107;

impl AbsolutePath {
    fn check(self, text: &str) -> Result<PathBuf, Vec<Problem>> {
        let path = Path::new(text);
        if text.is_empty() {
            return Problem::new("is empty").one();
        }
        if text.chars().any(char::is_control) {
            return Problem::new(format!("is {}, which has control characters", quote(text))).one();
        }
        if text.starts_with('~') {
            return Problem::new(format!("is {}: `~` is not expanded here", quote(text))).one();
        }
        if !path.is_absolute() {
            return Problem::new(format!("is {}, which is not absolute", quote(text)))
                .fix(format!("begin it with `/`: {}", Untrusted::new(&quoted(&absolute(path)))))
                .one();
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Problem::new(format!("is {}, which climbs with `..`", quote(text))).one();
        }
        if text.len() > self.0 {
            let (is, most) = (text.len(), self.0);
            return Problem::new(format!("is {is} bytes long, of at most {most}")).one();
        }
        Ok(path.to_owned())
    }
}

/// A relative path put under the root.
fn absolute(path: &Path) -> String {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    Path::new("/").join(parts.collect::<PathBuf>()).display().to_string()
}

impl Kind<PathBuf> for AbsolutePath {
    fn read(&self, value: &Value<'_>) -> Result<PathBuf, Vec<Problem>> {
        match value.get_ref().as_str() {
            Some(text) => self.check(text),
            None => wrong_type(value.get_ref(), "a path").one(),
        }
    }

    fn show(&self, value: &PathBuf) -> String {
        quoted(&value.display().to_string())
    }

    fn accepted(&self) -> String {
        if self.0 < FILE_PATH {
            format!("an absolute path of at most {} bytes", self.0)
        } else {
            "an absolute path".into()
        }
    }
}

impl Kind<Option<PathBuf>> for AbsolutePath {
    fn read(&self, value: &Value<'_>) -> Result<Option<PathBuf>, Vec<Problem>> {
        match value.get_ref().as_str() {
            Some("") => Ok(None),
            _ => Kind::<PathBuf>::read(self, value).map(Some),
        }
    }

    fn show(&self, value: &Option<PathBuf>) -> String {
        value.as_ref().map_or_else(|| quoted(""), |path| Kind::<PathBuf>::show(self, path))
    }

    fn accepted(&self) -> String {
        format!("{}, or \"\" as if it were left out", Kind::<PathBuf>::accepted(self))
    }
}

/// One absolute path, or a list of them; the empty string is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paths;

impl Kind<Vec<PathBuf>> for Paths {
    fn read(&self, value: &Value<'_>) -> Result<Vec<PathBuf>, Vec<Problem>> {
        let one = AbsolutePath(FILE_PATH);
        let Some(array) = value.get_ref().as_array() else {
            return match value.get_ref().as_str() {
                Some("") => Ok(Vec::new()),
                Some(text) => one.check(text).map(|path| vec![path]),
                None => wrong_type(value.get_ref(), "a path or a list of paths").one(),
            };
        };
        each(array.iter(), |item| one.read(item))
    }

    fn show(&self, value: &Vec<PathBuf>) -> String {
        let shown = |path: &PathBuf| quoted(&path.display().to_string());
        match &value[..] {
            [] => quoted(""),
            [one] => shown(one),
            all => format!("[{}]", all.iter().map(shown).collect::<Vec<_>>().join(", ")),
        }
    }

    fn accepted(&self) -> String {
        "an absolute path, or a list of them; \"\" for none".into()
    }
}

/// A list of networks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Networks;

impl Kind<Vec<Network>> for Networks {
    fn read(&self, value: &Value<'_>) -> Result<Vec<Network>, Vec<Problem>> {
        let network = |value: &Value<'_>| {
            let text =
                value.get_ref().as_str().ok_or_else(|| vec![wrong_type(value.get_ref(), "a network")])?;
            text.parse().map_err(|_| vec![Problem::new(format!("has {}, which is no network", quote(text)))])
        };
        match value.get_ref().as_array() {
            Some(array) => each(array.iter(), network),
            None => {
                let problem = wrong_type(value.get_ref(), "a list");
                match value.get_ref().as_str().and_then(|text| text.parse::<Network>().ok()) {
                    Some(network) => problem.fix(format!("write [\"{network}\"]")).one(),
                    None => problem.one(),
                }
            }
        }
    }

    fn show(&self, value: &Vec<Network>) -> String {
        format!(
            "[{}]",
            value.iter().map(|network| quoted(&network.to_string())).collect::<Vec<_>>().join(", ")
        )
    }

    fn accepted(&self) -> String {
        "a list of networks and addresses, such as \"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.1\"; [] for none".into()
    }
}

/// Reads every item, and finds everything that is wrong with them.
fn each<'v, 'i: 'v, T>(
    items: impl Iterator<Item = &'v Value<'i>>,
    read: impl Fn(&Value<'_>) -> Result<T, Vec<Problem>>,
) -> Result<Vec<T>, Vec<Problem>> {
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for item in items {
        match read(item) {
            Ok(value) => good.push(value),
            Err(found) => {
                problems.extend(found.into_iter().map(|p| Problem { span: Some(item.span()), ..p }))
            }
        }
    }
    if problems.is_empty() { Ok(good) } else { Err(problems) }
}

/// Text that a function finds in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    /// What is wrong with it.
    pub(super) check: fn(&str) -> Result<(), Problem>,
    /// What is accepted.
    pub(super) accepted: &'static str,
}

impl Kind<String> for Text {
    fn read(&self, value: &Value<'_>) -> Result<String, Vec<Problem>> {
        let Some(text) = value.get_ref().as_str() else {
            return wrong_type(value.get_ref(), "a string").one();
        };
        (self.check)(text).map(|()| text.to_owned()).map_err(|problem| vec![problem])
    }

    fn show(&self, value: &String) -> String {
        quoted(value)
    }

    fn accepted(&self) -> String {
        self.accepted.into()
    }
}

/// A list of such texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListOf(pub(super) Text);

impl Kind<Vec<String>> for ListOf {
    fn read(&self, value: &Value<'_>) -> Result<Vec<String>, Vec<Problem>> {
        let Some(array) = value.get_ref().as_array() else {
            let problem = wrong_type(value.get_ref(), "a list");
            return match value.get_ref().as_str() {
                Some("") => problem.fix("write []").one(),
                Some(text) => problem.fix(format!("write [{}]", Untrusted::new(&quoted(text)))).one(),
                None => problem.one(),
            };
        };
        each(array.iter(), |item| self.0.read(item))
    }

    fn show(&self, value: &Vec<String>) -> String {
        format!("[{}]", value.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
    }

    fn accepted(&self) -> String {
        format!("a list of {}; [] for none", self.0.accepted)
    }
}
