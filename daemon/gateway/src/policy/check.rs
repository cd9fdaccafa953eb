//! What the fields of policies and aliases may hold.

use aivonx_domain::Globs;
use aivonx_protocol::{Fault, FaultKind, Untrusted, policy::Weighted};

/// Longest name of a model or alias, bytes.
const NAME_MAX: usize = 256;
/// Most models an alias stands for.
const MODELS_MAX: usize = 16;
/// Largest weight of a model among those of an alias.
const WEIGHT_MAX: u32 = 1_000_000;
/// Largest context, tokens: more than any model has.
const CONTEXT_MAX: u32 = 100_000_000;
/// Units of a duration as nodes read it (Go's).
const UNITS: [&str; 7] = ["ns", "us", "\u{b5}s", "ms", "s", "m", "h"];

fn invalid(field: &str, value: &str, fix: &str) -> Fault {
    let message = format!("the {field} \"{}\" cannot be used", Untrusted::new(value).max(100));
    Fault::new(FaultKind::Invalid, message).field(field).hint(fix)
}

/// A pattern of models.
pub(super) fn pattern(value: &str) -> Result<(), Fault> {
    Globs::check(&[value.to_owned()])
        .map_err(|_| invalid("model", value, "use a pattern such as llama3.2:*, qwen3:8b or *"))
}

/// The name of an alias or a model.
pub(super) fn name(field: &'static str, value: &str) -> Result<(), Fault> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?' | '"' | '\\');
    if value.is_empty() || value.len() > NAME_MAX || value.contains(odd) {
        return Err(invalid(field, value, "use a name such as gpt-4o or llama3.3:70b, without wildcards"));
    }
    Ok(())
}

/// The models of an alias.
pub(super) fn models(values: &[String]) -> Result<(), Fault> {
    values.iter().try_for_each(|value| name("models", value))?;
    let twice = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value));
    if let Some((_, value)) = twice {
        return Err(invalid("models", value, "name each model once"));
    }
    if values.is_empty() || values.len() > MODELS_MAX {
        let message = format!("an alias stands for 1 to {MODELS_MAX} models, not for {}", values.len());
        let fix = "name what is served, and after it what is served when no node can serve that";
        return Err(Fault::new(FaultKind::Invalid, message).field("models").hint(fix));
    }
    Ok(())
}

/// The weights of the models of an alias.
pub(super) fn weights(models: &[Weighted]) -> Result<(), Fault> {
    match models.iter().find(|one| one.weight > WEIGHT_MAX) {
        Some(one) => {
            Err(invalid("models", &format!("{}={}", one.model, one.weight), "use weights up to 1000000"))
        }
        None if models.iter().all(|one| one.weight == 0) => {
            let message = "an alias whose models all have no weight serves nobody";
            Err(Fault::new(FaultKind::Invalid, message).field("models").hint("use weights such as a=90 b=10"))
        }
        None => Ok(()),
    }
}

/// How long a model stays in memory.
pub(super) fn keep_alive(value: &str) -> Result<(), Fault> {
    if value.parse::<i32>().is_ok() || is_duration(value) {
        return Ok(());
    }
    Err(invalid("keep_alive", value, "use a duration such as 30m or 1h30m, seconds, or -1 for ever"))
}

/// How long a model stays in memory, in the form in which it is sent to nodes: seconds are a number, all else is
/// text.
///
/// # Errors
/// It is no such time.
pub fn keep_alive_as_sent(value: &str) -> Result<serde_json::Value, Fault> {
    keep_alive(value)?;
    Ok(value.parse::<i64>().map_or_else(|_| value.into(), Into::into))
}

pub(super) fn num_ctx(tokens: u32) -> Result<(), Fault> {
    if (1..=CONTEXT_MAX).contains(&tokens) {
        return Ok(());
    }
    Err(invalid("num_ctx", &tokens.to_string(), "use a number of tokens, such as 8192"))
}

pub(super) fn output_max(tokens: u32) -> Result<(), Fault> {
    if tokens > 0 {
        return Ok(());
    }
    Err(invalid("max_output", "0", "use a number of tokens, such as 2048"))
}

/// Numbers with units, one after the other: `1h30m`, `-1m`, `1.5h`.
fn is_duration(value: &str) -> bool {
    let mut rest = value.strip_prefix('-').unwrap_or(value);
    if rest.is_empty() || rest.len() > 32 {
        return false;
    }
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        if rest[..number].parse::<f64>().is_err() {
            return false;
        }
        rest = &rest[number..];
        let unit = rest.len() - rest.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.').len();
        if !UNITS.contains(&&rest[..unit]) {
            return false;
        }
        rest = &rest[unit..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_nodes() {
        for good in ["30m", "1h30m", "-1", "0", "300", "-1m", "1.5h", "500ms"] {
            keep_alive(good).unwrap();
        }
        for bad in ["", "m", "-", "1", "1d", "30 m", "1h3", "1..5h", "99999999999", "\u{1b}[31m"] {
            // A bare number is seconds.
            assert_eq!(keep_alive(bad).is_ok(), bad == "1", "{bad:?}");
        }
    }

    #[test]
    fn names_and_lists_are_bounded() {
        name("alias", "gpt-4o").unwrap();
        name("alias", "hf.co/org/Repo-GGUF:Q4_K_M").unwrap();
        for bad in ["", "a b", "a*", "a\n", "a\"b", &"x".repeat(257)] {
            assert_eq!(name("alias", bad).unwrap_err().field.as_deref(), Some("alias"), "{bad:?}");
        }
        let list = |names: &[&str]| models(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        list(&["a", "b"]).unwrap();
        assert!(list(&[]).is_err() && list(&["a", "a"]).is_err() && list(&["a"; 17]).is_err());
        pattern("llama*").unwrap();
        assert!(pattern("a b").is_err() && num_ctx(0).is_err() && output_max(0).is_err());
        num_ctx(8192).unwrap();
        output_max(1).unwrap();
    }
}
