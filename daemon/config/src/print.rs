//! The default file, made from the table.

use super::{
    model::{Config, Listen},
    sections::{LISTEN, LISTEN_DOC, LISTEN_KEYS, SECTIONS},
    table::{Applies, Key},
};

const HEAD: &str = "\
# Configuration of aivonxd: how the process runs. Every key is shown with its default.
# What it serves (nodes and the like) is kept in its store and changed with `aivonx`.
#
# Check this file with `aivonxd check --config FILE`. `aivonx config reload` (or SIGHUP) puts changes into
# effect at once, but for keys marked [restart]. `aivonx config show` tells what is in effect and why.
";

/// Width of comment lines that list what is accepted.
const WIDTH: usize = 110;

/// A commented file with every key at its default; it reads as exactly `Config::default()`.
#[must_use]
pub fn print_default() -> String {
    let config = Config::default();
    let mut out = HEAD.to_owned();
    for section in &SECTIONS {
        if section.name.is_empty() {
            keys(&mut out, section.keys, &config);
            heading(&mut out, LISTEN_DOC, &format!("[[{LISTEN}]]"));
            keys(&mut out, LISTEN_KEYS, &Listen::default());
        } else {
            heading(&mut out, section.doc, &format!("[{}]", section.name));
            keys(&mut out, section.keys, &config);
        }
    }
    out
}

fn heading(out: &mut String, doc: &[&str], brackets: &str) {
    out.push('\n');
    comment(out, doc);
    out.push_str(brackets);
    out.push('\n');
}

fn keys<Root>(out: &mut String, keys: &[Key<Root>], root: &Root) {
    for key in keys {
        out.push('\n');
        comment(out, key.doc);
        let restart = if key.applies == Applies::Restart { " [restart]" } else { "" };
        wrap(out, &format!("Accepted: {}.{restart}", (key.accepted)()));
        out.push_str(&format!("{} = {}\n", key.name, (key.show)(root)));
    }
}

fn comment(out: &mut String, lines: &[&str]) {
    for line in lines {
        out.push_str(&format!("#{line}\n"));
    }
}

fn wrap(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::load::parse;

    #[test]
    fn reads_as_exactly_the_default() {
        let printed = print_default();
        let loaded = parse(Path::new("aivonxd.toml"), &printed).unwrap_or_else(|e| panic!("{e}\n{printed}"));
        assert_eq!(loaded.config, Config::default());
    }

    #[test]
    fn shows_every_key_once_with_its_doc() {
        let printed = print_default();
        let table: toml::Table = printed.parse().unwrap();
        let mut shown = 0;
        for section in &SECTIONS {
            let within =
                if section.name.is_empty() { &table } else { table[section.name].as_table().unwrap() };
            for key in section.keys {
                assert!(within.contains_key(key.name), "{}.{}", section.name, key.name);
                assert!(key.doc.iter().all(|line| printed.contains(line)), "{}", key.name);
                shown += 1;
            }
        }
        let lines = printed.lines().filter(|l| l.contains(" = ") && !l.starts_with('#')).count();
        assert_eq!(lines, shown + LISTEN_KEYS.len());
        assert!(printed.lines().all(|l| l.chars().count() <= 120 && l.trim_end() == l), "{printed}");
        assert!(printed.ends_with("\"\n"));
    }
}
