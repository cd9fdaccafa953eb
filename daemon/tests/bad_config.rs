//! Runs every file of `bad-config/` through `aivonxd check` and compares what it says with the `.expected` file
//! beside it. After a wanted change of the texts, `UPDATE_EXPECTED=1 cargo test -p aivonx-daemon --test bad_config`
//! writes them anew: read the difference before committing it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn check(dir: &Path, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aivonxd"))
        .current_dir(dir)
        .args(["check", "--config"])
        .arg(file)
        .output()
        .expect("aivonxd runs")
}

fn complaint(dir: &Path, file: &Path) -> String {
    let output = check(dir, file);
    let said = String::from_utf8(output.stderr).expect("messages are UTF-8");
    assert_eq!(output.status.code(), Some(1), "{}: {said}", file.display());
    assert!(output.stdout.is_empty(), "{}", file.display());
    said
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-config")
}

fn files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(cases()).expect("readable").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

#[test]
fn every_mistake_is_told_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let cases = files("toml");
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in cases {
        let name = Path::new(case.file_name().unwrap());
        let said = complaint(case.parent().unwrap(), name);
        let expected = case.with_extension("expected");
        if update {
            fs::write(expected, said).unwrap();
        } else if fs::read_to_string(&expected).ok().as_deref() != Some(&said) {
            wrong.push(format!("{} says:\n{said}", name.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn nothing_is_expected_of_a_case_that_is_gone() {
    for expected in files("expected") {
        assert!(expected.with_extension("toml").exists(), "{}", expected.display());
    }
}

#[test]
fn every_mistake_has_a_place_and_a_fix() {
    for case in files("toml") {
        let name = case.file_name().unwrap().to_str().unwrap();
        let said = complaint(case.parent().unwrap(), Path::new(name));
        let blocks = said.split("\n\n").skip(1);
        let first: usize = said.trim_start_matches("aivonxd: ").split(' ').next().unwrap().parse().unwrap();
        assert_eq!(blocks.clone().count(), first, "{said}");
        for block in blocks {
            let mut place = block.strip_prefix(&format!("{name}:")).unwrap().split(':');
            assert!(place.by_ref().take(2).all(|n| n.parse::<usize>().is_ok_and(|n| n > 0)), "{block}");
            assert!(block.lines().any(|l| l.trim_start_matches([' ', '|']).starts_with('^')), "{block}");
            assert!(block.contains("\n  = fix: ") || block.contains("\n   = fix: "), "{block}");
        }
    }
}

#[test]
fn what_is_said_is_safe_to_print() {
    for case in files("toml") {
        let said = complaint(case.parent().unwrap(), Path::new(case.file_name().unwrap()));
        let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!said.contains(hostile), "{}", case.display());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let said = complaint(dir.path(), Path::new("none.toml"));
    assert!(said.contains("none.toml: there is no such file"), "{said}");
    assert!(said.contains("aivonxd check --print-default > none.toml"), "{said}");
    let said = complaint(dir.path(), dir.path());
    assert!(said.contains("is a directory"), "{said}");
    fs::write(dir.path().join("large.toml"), vec![b'#'; 1 << 20]).unwrap();
    let said = complaint(dir.path(), Path::new("large.toml"));
    assert!(said.contains("is larger than"), "{said}");
}

#[test]
fn the_packaged_file_is_the_printed_default_and_has_no_mistakes() {
    let printed = Command::new(env!("CARGO_BIN_EXE_aivonxd"))
        .args(["check", "--print-default"])
        .output()
        .expect("aivonxd runs");
    assert!(printed.status.success() && printed.stderr.is_empty());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/aivonxd.toml");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&file, &printed.stdout).unwrap();
    }
    let packaged = fs::read(&file).expect("packaging/aivonxd.toml is readable");
    assert!(
        packaged == printed.stdout,
        "write it anew: aivonxd check --print-default > packaging/aivonxd.toml"
    );
    let output = check(file.parent().unwrap(), Path::new("aivonxd.toml"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
