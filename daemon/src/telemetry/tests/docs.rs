use std::{fs, path::Path};

/// The documentation names every word an alert can wait for.
#[test]
fn every_event_is_in_the_documentation() {
    let docs = include_str!("../mod.rs");
    let mut missing = Vec::new();
    let mut found = 0;
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, source| {
        for rest in source.split("event = \"").skip(1) {
            let event = rest.split('"').next().unwrap_or_default();
            found += 1;
            if !docs.contains(&format!("`{event}`")) {
                missing.push(format!("{event} ({})", path.display()));
            }
        }
    });
    assert!(found > 20, "only {found} events were found");
    assert!(missing.is_empty(), "add to the table in telemetry/mod.rs: {missing:?}");
}

/// Calls `each` with every source of the daemon but its tests.
fn each_source(dir: &Path, each: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && name != "tests" {
            each_source(&path, each);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            each(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
