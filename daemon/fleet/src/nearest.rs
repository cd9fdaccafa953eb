//! Names like one that was not found.

use aivonx_domain::model_name;

/// At most three of `names` that are like `wanted`, best first.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    pick(names.map(|name| (strsim::jaro_winkler(name, wanted), name)))
}

/// The same for models. The tag that all have says nothing of likeness.
pub(super) fn nearest_models<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = bare(wanted);
    pick(names.map(|name| (strsim::jaro_winkler(&bare(name), &wanted), name)))
}

fn bare(name: &str) -> String {
    let normal = model_name::normalize(name);
    normal.strip_suffix(":latest").unwrap_or(&normal).to_owned()
}

fn pick<'a>(scored: impl Iterator<Item = (f64, &'a str)>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = scored.filter(|(score, _)| *score > 0.75).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest_models;

    #[test]
    fn likeness_is_of_the_name_not_of_its_default_tag() {
        let names = ["llama3.2:latest", "llama3.1:8b", "qwen3:latest"];
        let near = |wanted| nearest_models(wanted, names.into_iter());
        assert_eq!(near("lama3.2"), ["llama3.2:latest", "llama3.1:8b"]);
        assert_eq!(near("Qwen"), ["qwen3:latest"]);
        assert!(near("zzz").is_empty());
    }
}
