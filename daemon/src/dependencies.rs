//! `aivonxd version`: what the program is, and the crates it is made of, read out of the program itself.

use std::{fmt::Write as _, path::Path};

use auditable_info::{Limits, audit_info_from_file};
use auditable_serde::{DependencyKind, Package, Source, VersionInfo};
use serde_json::{Value, json};

use crate::{
    args::{DependencyFormat, Version},
    commands::say,
    error::AppError,
};

/// The file that runs, also where it was replaced or removed since.
const PROGRAM: &str = "/proc/self/exe";

/// `aivonxd version`
pub(crate) fn version(args: &Version) -> Result<(), AppError> {
    if !args.dependencies {
        return say(concat!("aivonxd ", env!("CARGO_PKG_VERSION")));
    }
    let list = match &args.programs[..] {
        [] => read(PROGRAM.as_ref())?,
        programs => merge(programs.iter().map(|program| read(program)).collect::<Result<_, _>>()?),
    };
    say(match args.output {
        DependencyFormat::Text => text(&list),
        DependencyFormat::Json => format!("{:#}", json!(list)),
        DependencyFormat::Cyclonedx => format!("{:#}", cyclonedx(&list)),
    }
    .trim_end())
}

/// The crates that a program was built from, as the build script wrote them into it.
fn read(program: &Path) -> Result<VersionInfo, AppError> {
    audit_info_from_file(program, Limits::default())
        .map_err(|e| AppError::Usage(format!("{} does not tell what it is made of: {e}", program.display())))
}

/// What several programs are made of. A crate is linked if it is into any of them.
fn merge(lists: Vec<VersionInfo>) -> VersionInfo {
    let mut packages: Vec<Package> = Vec::new();
    let format = lists.iter().map(|list| list.format).min().unwrap_or_default();
    for list in lists {
        let mut place = |package: &Package| {
            let same = |known: &Package| (&known.name, &known.version) == (&package.name, &package.version);
            packages.iter().position(same).unwrap_or_else(|| {
                packages.push(Package { dependencies: Vec::new(), ..package.clone() });
                packages.len() - 1
            })
        };
        let places: Vec<_> = list.packages.iter().map(&mut place).collect();
        for (package, at) in list.packages.iter().zip(&places) {
            let known = &mut packages[*at];
            known.kind = known.kind.max(package.kind);
            known.root |= package.root;
            known.dependencies.extend(package.dependencies.iter().filter_map(|needed| places.get(*needed)));
            known.dependencies.sort_unstable();
            known.dependencies.dedup();
        }
    }
    VersionInfo { packages, format }
}

/// The crates from elsewhere that are linked.
fn linked(list: &VersionInfo) -> impl Iterator<Item = &Package> {
    list.packages
        .iter()
        .filter(|package| package.kind == DependencyKind::Runtime && package.source != Source::Local)
}

fn text(list: &VersionInfo) -> String {
    let mut lines: Vec<_> = linked(list).map(|package| (&package.name, &package.version)).collect();
    lines.sort_unstable();
    lines.iter().fold(String::new(), |mut text, (name, version)| {
        let _ = writeln!(text, "{name} {version}");
        text
    })
}

/// A bill of materials, CycloneDX 1.6. It is the same for every build of the same sources.
fn cyclonedx(list: &VersionInfo) -> Value {
    let url = |package: &Package| format!("pkg:cargo/{}@{}", package.name, package.version);
    let is_linked = |package: &&Package| package.kind == DependencyKind::Runtime;
    let components = list.packages.iter().filter(is_linked).map(|package| {
        let mut component = json!({
            "type": if package.root { "application" } else { "library" },
            "bom-ref": url(package),
            "name": package.name,
            "version": package.version.to_string(),
        });
        if package.source == Source::CratesIo {
            component["purl"] = url(package).into();
        }
        component
    });
    let dependencies = list.packages.iter().filter(is_linked).map(|package| {
        let needed = package.dependencies.iter().filter_map(|at| list.packages.get(*at)).filter(is_linked);
        json!({ "ref": url(package), "dependsOn": needed.map(url).collect::<Vec<_>>() })
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": { "type": "application", "name": "aivonx", "version": env!("CARGO_PKG_VERSION") },
        },
        "components": components.collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> VersionInfo {
        let text = r#"{ "format": 1, "packages": [
            { "name": "aivonx-daemon", "version": "0.1.0", "source": "local", "root": true, "dependencies": [1, 2] },
            { "name": "bytes", "version": "1.12.0", "source": "crates.io" },
            { "name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build" } ] }"#;
        text.parse().unwrap()
    }

    #[test]
    fn only_what_is_linked_is_listed() {
        assert_eq!(text(&list()), "bytes 1.12.0\n");
        let bom = cyclonedx(&list());
        assert_eq!(bom["components"].as_array().unwrap().len(), 2);
        assert_eq!(bom["components"][1]["purl"], "pkg:cargo/bytes@1.12.0");
        assert_eq!(bom["dependencies"][0]["dependsOn"], json!(["pkg:cargo/bytes@1.12.0"]));
    }

    #[test]
    fn what_one_of_several_programs_links_is_linked() {
        let other: VersionInfo = r#"{ "format": 1, "packages": [
            { "name": "cc", "version": "1.0.0", "source": "crates.io" },
            { "name": "aivonx-tui", "version": "0.1.0", "source": "local", "root": true, "dependencies": [0] } ] }"#
            .parse()
            .unwrap();
        let both = merge(vec![list(), other]);
        assert_eq!(text(&both), "bytes 1.12.0\ncc 1.0.0\n");
        assert_eq!(both.packages.iter().filter(|package| package.root).count(), 2);
        assert_eq!(both.packages[3].dependencies, [2]);
    }
}
