//! The manual pages say everything the programs accept: each program's own help is compared with its page.

use std::{collections::BTreeSet, path::Path, process::Command};

use aivonx_tests::harness::binary;

/// Every page, rendered by `man/build.sh` with the binaries under test.
fn pages() -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../man/build.sh");
    let bins = binary("aivonxd");
    let ran =
        Command::new(script).arg(out.path()).env("AIVONX_BIN_DIR", bins.parent().unwrap()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    out
}

fn read(pages: &tempfile::TempDir, name: &str) -> String {
    std::fs::read_to_string(pages.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(binary(program)).args(arguments).env("NO_COLOR", "1").output().unwrap();
    assert!(ran.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// What a help text lists: verbs, and options with their dashes.
fn listed(help: &str) -> (Vec<String>, BTreeSet<String>) {
    let (mut verbs, mut options) = (Vec::new(), BTreeSet::new());
    let mut section = "";
    for line in help.lines() {
        if !line.starts_with(' ') && line.ends_with(':') {
            section = line.trim_end_matches(':');
        } else if section == "Commands" && line.starts_with("  ") && !line.starts_with("   ") {
            verbs.push(line.split_whitespace().next().unwrap().to_owned());
        } else if line.trim_start().starts_with('-') {
            // What follows two spaces explains it; words of several lines do not begin with a dash and a letter.
            let head = line.trim_start().split("  ").next().unwrap();
            let words = head.split([' ', ',', '=']).filter(|word| word.starts_with('-') && word.len() > 1);
            options.extend(words.map(str::to_owned));
        }
    }
    verbs.retain(|verb| verb != "help");
    (verbs, options)
}

/// Calls `each` with the words and options of every verb that is not a noun.
fn each_verb(program: &str, words: &[String], each: &mut impl FnMut(&str, &BTreeSet<String>)) {
    let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    arguments.push("--help");
    let (verbs, options) = listed(&output(program, &arguments));
    if verbs.is_empty() {
        each(&words.join(" "), &options);
    }
    for verb in verbs {
        let mut inner = words.to_vec();
        inner.push(verb);
        each_verb(program, &inner, each);
    }
}

/// An option as mdoc has it.
fn fl(option: &str) -> String {
    format!("Fl {}", option[1..].replace('-', "\\-"))
}

#[test]
fn every_verb_and_option_is_in_the_page_of_aivonx() {
    let page = read(&pages(), "aivonx.1");
    let (_, global) = listed(&output("aivonx", &["--help"]));
    assert!(global.contains("--socket") && global.contains("--output"), "{global:?}");
    let mut seen = 0;
    each_verb("aivonx", &[], &mut |words, options| {
        let head = format!("\n.It Ic {}", words.replace('-', "\\-"));
        let begins =
            page.match_indices(&head).find(|(at, _)| page[at + head.len()..].starts_with([' ', '\n']));
        let (at, _) = begins.unwrap_or_else(|| panic!("aivonx.1 has no `{words}`"));
        let rest = &page[at + head.len()..];
        let item = &rest[..rest.find("\n.It Ic ").or_else(|| rest.find("\n.Ss ")).unwrap_or(rest.len())];
        for option in options.difference(&global) {
            assert!(item.contains(&fl(option)), "aivonx.1: `{words}` has no {option}\n{item}");
        }
        seen += 1;
    });
    assert!(seen > 50, "{seen}");
    for option in
        global.iter().filter(|option| option.len() > 2 && !["--help", "--version"].contains(&&***option))
    {
        assert!(page.contains(&fl(option)), "aivonx.1 has no {option}");
    }
}

#[test]
fn every_verb_and_option_is_in_the_page_of_aivonxd() {
    let page = read(&pages(), "aivonxd.8");
    let mut seen = 0;
    each_verb("aivonxd", &[], &mut |words, options| {
        let head = format!("\n.It Nm Cm {words}");
        let (at, _) =
            page.match_indices(&head).next().unwrap_or_else(|| panic!("aivonxd.8 has no `{words}`"));
        let rest = &page[at + head.len()..];
        let item = &rest[..rest.find("\n.It Nm Cm ").unwrap_or(rest.len())];
        for option in
            options.iter().filter(|option| !["-h", "--help", "-V", "--version"].contains(&&***option))
        {
            assert!(item.contains(&fl(option)), "aivonxd.8: `{words}` has no {option}\n{item}");
        }
        seen += 1;
    });
    assert!(seen >= 5, "{seen}");
}

#[test]
fn every_key_is_in_the_page_of_the_configuration() {
    let page = read(&pages(), "aivonxd.toml.5");
    let mut section = page.split_once(".Sh KEYS").unwrap().1;
    let mut seen = 0;
    for line in output("aivonxd", &["check", "--print-default"]).lines() {
        if line.starts_with('[') {
            let head = format!(".Ss {}\n", line.replace('[', "\\(lB").replace(']', "\\(rB"));
            section = page.split_once(&head).unwrap_or_else(|| panic!("aivonxd.toml.5 has no {line}")).1;
        } else if let (false, Some((key, value))) = (line.starts_with('#'), line.split_once(" = ")) {
            let here = section.split("\n.Ss ").next().unwrap();
            let (_, item) = here
                .split_once(&format!(".It \\fB\\%{key}\\fP\n"))
                .unwrap_or_else(|| panic!("aivonxd.toml.5 has no {key}"));
            let item = item.split("\n.It ").next().unwrap().replace('\n', " ");
            let value =
                value.replace('-', "\\-").split(' ').map(|word| format!("\\%{word}")).collect::<Vec<_>>();
            assert!(item.contains(&format!("Default: \\fB{}\\fP.", value.join(" "))), "{key}: {item}");
            assert!(item.contains("Accepted: "), "{key}: {item}");
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen}");
}

#[test]
fn every_page_is_whole() {
    let pages = pages();
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(pages.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(".\\\"@"), "{name}: a part was not put in");
        assert!(text.contains(&format!(".Os aivonx {}", env!("CARGO_PKG_VERSION"))), "{name}: no version");
        names.push(name);
    }
    let main = read(&pages, "aivonx.1");
    for name in names.iter().filter(|name| *name != "aivonx.1") {
        let (title, section) = name.rsplit_once('.').unwrap();
        assert!(main.contains(&format!(".Xr {title} {section}")), "aivonx.1 does not refer to {name}");
    }
}
