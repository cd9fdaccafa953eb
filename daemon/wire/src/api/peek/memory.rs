//! What a body says of a node's memory: what it is to load, and how, and what is to leave it.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#unload-a-model>

use std::ops::Range;

use bytes::Bytes;

use super::{Options, Peek, Value, within};
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
        let mut said = self.prompt_parts.iter().filter(|(order, _)| *order == SAID);
        self.keeps_for_no_time(segments, keep_alive)
            && said.all(|(_, range)| short(segments, range).is_some_and(|text| is_nothing(&text)))
    }

    /// Whether the time to keep the model after the answer is zero. `keep_alive` is as with [`Self::unloads`].
    #[must_use]
    pub fn keeps_for_no_time(&self, segments: &[Bytes], keep_alive: Option<&str>) -> bool {
        match (keep_alive, &self.keep_alive) {
            (Some(written), _) => is_no_time(written.as_bytes()),
            (None, Value::Given(range)) => short(segments, range).is_some_and(|text| is_no_time(&text)),
            (None, _) => false,
        }
    }
}

impl Peek {
    /// What a request that only loads the model has to carry for the node to load it as for this one: the options for
    /// which it would load it anew, where it is `native` and the node heeds them, and the time to keep it.
    #[must_use]
    pub fn loads(&self, segments: &[Bytes], native: bool) -> serde_json::Map<String, serde_json::Value> {
        let mut with = serde_json::Map::new();
        if !native {
            return with;
        }
        if let Options::Object { runner, .. } = &self.options {
            let member = |range: &Range<usize>| {
                let text: Vec<u8> = within(segments, range.clone()).collect::<Vec<_>>().concat();
                let text = String::from_utf8(text).ok()?;
                // What stands before it is what ended the one before.
                Some(text.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace()).to_owned())
            };
            let members: Vec<String> = runner.iter().filter_map(member).collect();
            let options = serde_json::from_str(&format!("{{{}}}", members.join(",")));
            with.extend(
                options.ok().filter(|_| !members.is_empty()).map(|options| ("options".to_owned(), options)),
            );
        }
        if let Value::Given(range) = &self.keep_alive
            // Without a prompt no time at all would unload it.
            && let Some(text) = short(segments, range).filter(|text| !is_no_time(text))
            && let Ok(time) = serde_json::from_slice(&text)
        {
            with.insert("keep_alive".to_owned(), time);
        }
        with
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
pub(crate) fn is_no_time(json: &[u8]) -> bool {
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
    fn a_load_is_asked_for_as_the_request_would_have_it() {
        let loads = |body: &str, native| {
            let segments = [Bytes::copy_from_slice(body.as_bytes())];
            serde_json::Value::from(Peek::read(&segments).unwrap().loads(&segments, native))
        };
        let body = r#"{"options":{ "seed":1 , "num_ctx" : 4096,"top_k":2,
            "num_gpu":1},"keep_alive":"30m","prompt":"x"}"#;
        let with = serde_json::json!({"options": {"num_ctx": 4096, "num_gpu": 1}, "keep_alive": "30m"});
        assert_eq!(loads(body, true), with);
        for body in
            [r#"{"options":{"seed":1},"keep_alive":"0s"}"#, "{}", r#"{"options":null,"keep_alive":null}"#]
        {
            assert_eq!(loads(body, true), serde_json::json!({}), "{body}");
        }
        assert_eq!(loads(body, false), serde_json::json!({}));
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
