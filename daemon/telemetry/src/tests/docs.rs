use std::{fs, path::Path};

/// The documentation names every word an alert can wait for.
#[test]
fn every_event_is_in_the_documentation() {
    let docs = include_str!("../lib.rs");
    let mut missing = Vec::new();
    let mut found = 0;
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut |path, source| {
        for rest in source.split("event = \"").skip(1) {
            let event = rest.split('"').next().unwrap_or_default();
            found += 1;
            if !docs.contains(&format!("`{event}`")) {
                missing.push(format!("{event} ({})", path.display()));
            }
        }
    });
    assert!(found > 20, "only {found} events were found");
    assert!(missing.is_empty(), "add to the table in telemetry/src/lib.rs: {missing:?}");
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

/// The alert rules name metrics that exist.
#[test]
fn every_metric_of_the_alert_rules_is_on_the_page() {
    let rules = include_str!("../../../../packaging/prometheus/aivonx.rules.yml");
    let page = include_str!("metrics.txt");
    let names = regex::Regex::new(r"\b(?:aivonx|process)_[a-z_]+").unwrap();
    let mut found = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let expression = rule.split("labels:").next().unwrap();
        for name in names.find_iter(expression).map(|name| name.as_str()) {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            let is_there = [
                format!("\n{family}{{"),
                format!("\n{family} "),
                format!("\n{family}_count{{"),
                format!("\n# TYPE {family} "),
            ];
            assert!(is_there.iter().any(|line| page.contains(line)), "{name} is on no page of metrics");
            found += 1;
        }
        for word in ["outcome=~?\"([^\"]*)\"", "state=\"([^\"]*)\""] {
            for values in regex::Regex::new(word).unwrap().captures_iter(expression) {
                for value in values[1].split('|') {
                    assert!(page.contains(&format!("=\"{value}\"")), "{value} is no label of metrics");
                }
            }
        }
    }
    assert!(found >= 12, "{found}");
}
