//! Requests that are about a node's memory and make no answer.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#unload-a-model>

use std::ops::Range;

use bytes::Bytes;

use super::{Peek, Value, within};
use crate::api::route::{Forward, Output};

/// Where in a prompt the values stand without which there is nothing to answer.
const SAID: u8 = 4;

/// Bytes of the longest value that is looked at.
const LONGEST: usize = 64;

impl Peek {
    /// Whether a request to `route` takes its model out of memory: it has no prompt, and the time to keep the model is
    /// zero. `keep_alive` is written into its body, if anything is.
    #[must_use]
    pub fn unloads(&self, route: &Forward, segments: &[Bytes], keep_alive: Option<&str>) -> bool {
        if route.output != Output::Predict {
            return false;
        }
        let zero = match (keep_alive, &self.keep_alive) {
            (Some(written), _) => is_no_time(written.as_bytes()),
            (None, Value::Given(range)) => short(segments, range).is_some_and(|text| is_no_time(&text)),
            (None, _) => false,
        };
        let mut said = self.prompt_parts.iter().filter(|(order, _)| *order == SAID);
        zero && said.all(|(_, range)| short(segments, range).is_some_and(|text| is_nothing(&text)))
    }
}

/// A value that is not long.
fn short(segments: &[Bytes], range: &Range<usize>) -> Option<Vec<u8>> {
    (range.len() <= LONGEST).then(|| within(segments, range.clone()).collect::<Vec<_>>().concat())
}

/// An empty text or list.
fn is_nothing(json: &[u8]) -> bool {
    use serde_json::Value as Json;
    match serde_json::from_slice(json) {
        Ok(Json::Null) => true,
        Ok(Json::String(text)) => text.is_empty(),
        Ok(Json::Array(list)) => list.is_empty(),
        _ => false,
    }
}

/// No time at all: a number of seconds, or a duration as Go writes it (`0`, `0s`, `0h0m`).
fn is_no_time(json: &[u8]) -> bool {
    use serde_json::Value as Json;
    match serde_json::from_slice(json) {
        Ok(Json::Number(seconds)) => seconds.as_f64() == Some(0.0),
        Ok(Json::String(text)) => {
            let text = text.trim_start_matches(['+', '-']);
            let unit = |c: char| matches!(c, 'h' | 'm' | 's' | 'n' | 'u' | 'µ' | 'μ');
            let mut rest = text.split(unit).filter(|digits| !digits.is_empty()).peekable();
            text.starts_with(['0', '.'])
                && rest.peek().is_some()
                && rest.all(|digits| digits.contains('0') && digits.chars().all(|c| matches!(c, '0' | '.')))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::route::{self, Action};

    fn unloads(path: &str, body: &str, written: Option<&str>) -> bool {
        let Some((route::Route { action: Action::Forward(forward), .. }, _)) = route::find(path) else {
            panic!("{path} is no route to a node");
        };
        let segments = [Bytes::copy_from_slice(body.as_bytes())];
        Peek::read(&segments).unwrap().unloads(forward, &segments, written)
    }

    #[test]
    fn nothing_said_and_no_time_to_keep_it_is_unloading() {
        for zero in ["0", "0.0", "-0", r#""0""#, r#""0s""#, r#""0m""#, r#""-0h0.0s""#, r#""\u0030s""#, "0e3"]
        {
            for said in ["", r#","prompt":"""#, r#","prompt":null"#, r#","messages":[ ]"#, r#","system":"s""#]
            {
                let body = format!(r#"{{"model":"m","keep_alive":{zero}{said}}}"#);
                assert!(unloads("/api/generate", &body, None), "{body}");
                assert!(unloads("/api/chat", &body, None), "{body}");
                assert!(!unloads("/api/generate", &body, Some("-1")), "policy keeps it");
                assert!(!unloads("/api/embed", &body, None) && !unloads("/v1/completions", &body, None));
            }
        }
        assert!(unloads("/api/generate", r#"{"model":"m"}"#, Some("0")), "as policy has it");
    }

    #[test]
    fn anything_else_is_not() {
        for time in
            ["1", "0.5", "-1", r#""5m""#, r#""0h1s""#, r#""""#, r#""s""#, r#""zero""#, "null", "[]", "false"]
        {
            let body = format!(r#"{{"model":"m","keep_alive":{time}}}"#);
            assert!(!unloads("/api/generate", &body, None), "{body}");
        }
        assert!(!unloads("/api/generate", r#"{"model":"m"}"#, None));
        for said in [r#""prompt":"hi""#, r#""prompt":" ""#, r#""messages":[{"role":"user","content":"hi"}]"#]
        {
            assert!(
                !unloads("/api/chat", &format!(r#"{{"model":"m","keep_alive":0,{said}}}"#), None),
                "{said}"
            );
        }
    }
}
