//! Reads a parsed document against the table of keys.

use std::collections::BTreeSet;

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    find::{Find, Places},
    kind::{Value, wrong_type},
    mistake::quote,
    model::{Config, Listen},
    sections::{LISTEN, LISTEN_KEYS, SECTIONS, accepted_tables, dotted},
    suggest::nearest,
    table::Key,
};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Defaults where nothing, or nothing usable, was given.
    pub(super) config: Config,
    /// Where each given value stands.
    pub(super) places: Places,
    /// Dotted keys whose values were not usable.
    pub(super) bad: BTreeSet<String>,
    /// What is wrong.
    pub(super) finds: Vec<Find>,
}

type Name<'i> = Spanned<DeString<'i>>;

/// Reads all of `root` and collects every mistake, instead of stopping at the first.
pub(super) fn read(root: &DeTable<'_>) -> Read {
    let mut read = Read::default();
    let mut config = Config::default();
    let top = SECTIONS[0].keys;
    for (name, value) in root.iter() {
        let word = name.get_ref().as_ref();
        if word == LISTEN {
            read.listeners(&mut config, value);
        } else if let Some(section) = SECTIONS.iter().find(|section| section.name == word) {
            match value.get_ref() {
                DeValue::Table(table) => read.keys(word, "", table, section.keys, &mut config),
                other => {
                    read.not_a_table(word, name, other);
                    // What stands in `[[section]]` is judged all the same.
                    for item in other.as_array().into_iter().flat_map(|array| array.iter()) {
                        if let DeValue::Table(table) = item.get_ref() {
                            read.keys(word, "", table, section.keys, &mut config);
                        }
                    }
                }
            }
        } else if let Some(key) = top.iter().find(|key| key.name == word) {
            read.key("", key, value, &mut config);
        } else {
            read.unknown_top(name, value);
        }
    }
    read.config = config;
    read
}

impl Read {
    fn listeners(&mut self, config: &mut Config, value: &Value<'_>) {
        let fix = "write [[listen]] on a line of its own, in double brackets, and below it address = \"127.0.0.1:11435\"";
        let find = |span, what: String| Find { span, what, accepted: None, fix: Some(fix.into()) };
        let Some(array) = value.get_ref().as_array() else {
            let what = wrong_type(value.get_ref(), "a list of tables").what;
            self.bad.insert(LISTEN.into());
            self.finds.push(find(value.span(), format!("{LISTEN} {what}")));
            if let DeValue::Table(table) = value.get_ref() {
                self.keys(LISTEN, "", table, LISTEN_KEYS, &mut Listen::default());
            }
            return;
        };
        if array.is_empty() {
            self.finds.push(find(value.span(), format!("{LISTEN} is empty, so that nobody could connect")));
        }
        config.listen.clear();
        for (at, item) in array.iter().enumerate() {
            let prefix = format!("{LISTEN}[{at}]");
            let mut listen = Listen::default();
            match item.get_ref() {
                DeValue::Table(table) => {
                    self.places.insert(prefix.clone(), item.span());
                    self.keys(LISTEN, &prefix, table, LISTEN_KEYS, &mut listen);
                }
                other => {
                    let what = wrong_type(other, "a table").what;
                    self.bad.insert(LISTEN.into());
                    self.finds.push(find(item.span(), format!("{prefix} {what}")));
                }
            }
            config.listen.push(listen);
        }
    }

    /// Reads the keys of `[section]`; `prefix` names an element of an array.
    fn keys<Root: Default>(
        &mut self,
        section: &str,
        prefix: &str,
        table: &DeTable<'_>,
        keys: &[Key<Root>],
        root: &mut Root,
    ) {
        let prefix = if prefix.is_empty() { section } else { prefix };
        for (name, value) in table.iter() {
            match keys.iter().find(|key| key.name == name.get_ref()) {
                Some(key) => self.key(prefix, key, value, root),
                None => self.unknown(section, name, value, keys),
            }
        }
    }

    fn key<Root: Default>(&mut self, prefix: &str, key: &Key<Root>, value: &Value<'_>, root: &mut Root) {
        let dotted = dotted(prefix, key.name);
        self.places.insert(dotted.clone(), value.span());
        let Err(problems) = (key.read)(root, value) else { return };
        for problem in problems {
            self.finds.push(Find {
                span: problem.span.unwrap_or_else(|| value.span()),
                what: format!("{dotted} {}", problem.what),
                accepted: Some((key.accepted)()),
                fix: Some(problem.fix.unwrap_or_else(|| key.fallback())),
            });
        }
        self.bad.insert(dotted);
    }

    fn not_a_table(&mut self, section: &str, name: &Name<'_>, value: &DeValue<'_>) {
        let what = wrong_type(value, "a table").what;
        let fix =
            format!("write [{section}] on a line of its own, in single brackets and once, its keys below it");
        self.finds.push(Find {
            span: name.span(),
            what: format!("{section} {what}"),
            accepted: None,
            fix: Some(fix),
        });
    }

    fn unknown<Root>(&mut self, section: &str, name: &Name<'_>, value: &Value<'_>, keys: &[Key<Root>]) {
        let word = name.get_ref().as_ref();
        let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
        let noun = if value.get_ref().is_table() { "table" } else { "key" };
        let fix = elsewhere(word, section)
            .or_else(|| nearest(word, known.iter().copied()).map(|near| format!("did you mean {near}?")));
        self.finds.push(Find {
            span: name.span(),
            what: format!("there is no {noun} {} in [{section}]", quote(word)),
            accepted: Some(known.join(", ")),
            fix: Some(fix.unwrap_or_else(|| format!("remove the {noun}"))),
        });
    }

    fn unknown_top(&mut self, name: &Name<'_>, value: &Value<'_>) {
        let word = name.get_ref().as_ref();
        let sections = || SECTIONS[1..].iter().map(|section| section.name);
        let keys = || SECTIONS[0].keys.iter().map(|key| key.name);
        let is_table = match value.get_ref() {
            DeValue::Table(_) => true,
            DeValue::Array(items) => items.iter().any(|item| item.get_ref().is_table()),
            _ => false,
        };
        let (noun, accepted, near) = if is_table {
            let near = nearest(word, sections().chain([LISTEN]));
            let near =
                near.map(|near| if near == LISTEN { format!("[[{near}]]") } else { format!("[{near}]") });
            ("table", accepted_tables(), near)
        } else {
            let near = nearest(word, keys()).map(str::to_owned);
            ("key", format!("{}, then tables", keys().collect::<Vec<_>>().join(", ")), near)
        };
        let fix = elsewhere(word, "")
            .filter(|_| !is_table)
            .or_else(|| near.map(|near| format!("did you mean {near}?")))
            .unwrap_or_else(|| format!("remove the {noun}"));
        self.finds.push(Find {
            span: name.span(),
            what: format!("there is no {noun} {} at the top level", quote(word)),
            accepted: Some(accepted),
            fix: Some(fix),
        });
    }
}

/// Where a key that stands in `section` belongs, if it is known in another.
fn elsewhere(word: &str, section: &str) -> Option<String> {
    if section != LISTEN && LISTEN_KEYS.iter().any(|key| key.name == word) {
        return Some(format!("{word} belongs under [[{LISTEN}]]"));
    }
    let known = SECTIONS
        .iter()
        .find(|other| other.name != section && other.keys.iter().any(|key| key.name == word))?;
    Some(if known.name.is_empty() {
        format!("{word} belongs at the top of the file, before the first table")
    } else {
        format!("{word} belongs under [{}]", known.name)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::load::parse;

    fn complaint(text: &str) -> String {
        let mistakes = parse(Path::new("f"), text).unwrap_err();
        assert_eq!(mistakes.count(), 1, "{mistakes}");
        mistakes.to_string()
    }

    /// No key takes a date.
    #[test]
    fn every_key_refuses_a_wrong_type_and_says_what_it_accepts() {
        for section in &SECTIONS {
            let header =
                if section.name.is_empty() { String::new() } else { format!("[{}]\n", section.name) };
            for key in section.keys {
                let told = complaint(&format!("{header}{} = 1979-05-27\n", key.name));
                let name = dotted(section.name, key.name);
                assert!(told.contains(&format!("{name} is a datetime, not ")), "{told}");
                assert!(told.contains(&format!("= accepted: {}", (key.accepted)())), "{told}");
            }
        }
        for key in LISTEN_KEYS {
            let told = complaint(&format!("[[listen]]\n{} = 1979-05-27\n", key.name));
            assert!(told.contains(&format!("listen[0].{} is a datetime", key.name)), "{told}");
        }
    }

    #[test]
    fn every_misspelt_key_is_recognised() {
        for section in &SECTIONS[1..] {
            for key in section.keys {
                let slip = format!("{}x", key.name);
                let told = complaint(&format!("[{}]\n{slip} = 1\n", section.name));
                assert!(told.contains(&format!("did you mean {}?", key.name)), "{told}");
            }
        }
    }

    #[test]
    fn a_key_in_the_wrong_table_is_sent_home() {
        assert!(complaint("retries = 1").contains("retries belongs under [proxy]"));
        assert!(complaint("[log]\naddress = \"127.0.0.1:1\"").contains("address belongs under [[listen]]"));
        assert!(complaint("[log]\ndata_dir = \"/x\"").contains("at the top of the file"));
    }

    #[test]
    fn the_default_listener_stands_only_without_another() {
        let listens = |text| parse(Path::new("f"), text).unwrap().config.listen;
        assert_eq!(listens(""), [Listen::default()]);
        assert_eq!(listens("[[listen]]\naddress = \"[::1]:80\"").len(), 1);
        assert_eq!(listens("listen = [{ address = \"[::1]:80\" }, { diagnostics = true }]").len(), 2);
        assert!(complaint("listen = []").contains("empty"));
    }
}
