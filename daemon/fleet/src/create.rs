//! Models made out of others, copied, and sent to their registry.

use std::{collections::BTreeSet, time::Duration};

use aivonx_domain::model_name;
use aivonx_protocol::job::Job;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Endpoint, Fleet, blobs::Digest, client::Session, contact::Contact, error::FleetError, job_state::Deed,
    node_scope::NodeScope, pull::refusal, record::check_model_name,
};

/// How long a node may take to copy a model, which is a matter of its manifest alone.
const COPY: Duration = Duration::from_secs(60);

/// What a model is to be: the body of Ollama's `/api/create`.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    body: Map<String, Value>,
    /// What it is made of, by the names of the files.
    files: Vec<(String, Digest)>,
}

impl Definition {
    /// Reads one. Keys in another spelling, and those by which a node reads files of its own machine, are refused.
    ///
    /// # Errors
    /// [`FleetError::Field`].
    pub fn read(json: &[u8]) -> Result<Self, FleetError> {
        let wrong = |field, message: String, fix: &str| Err(FleetError::field(field, message, fix));
        let body: Map<String, Value> = serde_json::from_slice(json).map_err(|error| {
            FleetError::field(
                "definition",
                format!("it is no object in JSON: {error}"),
                "see Ollama's /api/create",
            )
        })?;
        for key in body.keys() {
            if !key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                let fix = "write keys as Ollama's documentation does, in lower case";
                return wrong("definition", format!("the key {key:?} is none of a model"), fix);
            }
            if matches!(&**key, "modelfile" | "path") {
                let fix = "send from, files and the like, as clients of Ollama 0.5.5 and newer do";
                return wrong("definition", format!("'{key}' is not passed on"), fix);
            }
        }
        for name in ["from", "remote_host", "quantize"] {
            if body.get(name).is_some_and(|value| !(value.is_string() || value.is_null())) {
                return wrong(
                    "definition",
                    format!("'{name}' must be a string"),
                    "leave it out, or send a name",
                );
            }
        }
        let mut all = Vec::new();
        for name in ["files", "adapters"] {
            let files = match body.get(name) {
                None | Some(Value::Null) => continue,
                Some(Value::Object(files)) => files,
                Some(_) => {
                    return wrong(
                        "definition",
                        format!("'{name}' must be an object"),
                        "map names to digests",
                    );
                }
            };
            for (file, digest) in files {
                let odd = file.is_empty() || file.len() > 255 || file.chars().any(char::is_control);
                let beyond = file.starts_with('/') || file.split(['/', '\\']).any(|part| part == "..");
                let Some(digest) = digest.as_str().and_then(Digest::parse).filter(|_| !odd && !beyond) else {
                    let message = format!("'{name}' has a file whose name or digest cannot be");
                    return wrong("definition", message, "map plain names to sha256:... digests");
                };
                all.push((file.clone(), digest));
            }
        }
        Ok(Self { body, files: all })
    }

    /// The model that it is made from.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        self.body.get("from").and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// The files that it is made of.
    pub fn files(&self) -> impl Iterator<Item = &Digest> {
        self.files.iter().map(|(_, digest)| digest)
    }

    /// Whether its prompts are to go to a third party.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.body.get("remote_host").and_then(Value::as_str).is_some_and(|host| !host.is_empty())
    }

    /// The request that makes it under this name.
    fn request(mut self, model: &str) -> bytes::Bytes {
        self.body.insert("model".into(), model.into());
        self.body.remove("name");
        self.body.insert("stream".into(), true.into());
        Value::from(self.body).to_string().into()
    }
}

impl Fleet {
    /// Begins to copy a model under the name `destination` on one node, or on every node that has it, as far as they
    /// are the caller's own; the request for it came with the values `before` of `Via`.
    ///
    /// # Errors
    /// No node has the model, there is no such node, or it cannot copy models.
    pub fn copy_model(
        &self,
        before: Vec<HeaderValue>,
        realm: impl Into<NodeScope>,
        model: &str,
        destination: &str,
        node: Option<&str>,
    ) -> Result<Job, FleetError> {
        check_model_name(destination)?;
        let realm = realm.into();
        let targets = self.active_with(&realm, model, node)?;
        let deed = Deed::Copy { destination: destination.to_owned() };
        self.jobs().start(&realm, model, deed, targets, before)
    }

    /// Begins to send a model to its registry from one node that has it.
    ///
    /// # Errors
    /// As [`Self::copy_model`].
    pub fn push_model(
        &self,
        before: Vec<HeaderValue>,
        realm: impl Into<NodeScope>,
        model: &str,
        node: Option<&str>,
        insecure: bool,
    ) -> Result<Job, FleetError> {
        let realm = realm.into();
        let mut targets = self.active_with(&realm, model, node)?;
        targets.truncate(1);
        self.jobs().start(&realm, model, Deed::Push { insecure }, targets, before)
    }

    /// Begins to make a model on `nodes`, or on every node that has all of what it is made of.
    ///
    /// # Errors
    /// [`FleetError::NotTogether`]; a name that cannot be, or a node that is not there or not the caller's.
    pub async fn create_model(
        &self,
        before: Vec<HeaderValue>,
        realm: impl Into<NodeScope>,
        model: &str,
        definition: Definition,
        nodes: &[String],
    ) -> Result<Job, FleetError> {
        check_model_name(model)?;
        let realm = realm.into();
        let mut targets = self.jobs().targets(&realm, nodes)?;
        let digests: BTreeSet<&Digest> = definition.files().collect();
        let mut parts: Vec<String> = digests.iter().map(ToString::to_string).collect();
        if let Some(from) = definition.from() {
            let having = self.checker.registry.having(&realm, &model_name::normalize(from));
            targets.retain(|node| having.iter().any(|(other, _)| other.id == node.id));
            parts.push(format!("the model {from}"));
        }
        for (file, digest) in &definition.files {
            let kind = self.jobs().kind_of(&realm, digest);
            if let Some(declared) = kind.and_then(|kind| kind.contradicts(file)) {
                let message = format!("'{file}' is declared as {declared}, but is none by its first bytes");
                return Err(FleetError::field("files", message, "name the file as what it is"));
            }
        }
        for digest in digests {
            targets = self.having_blob(&before, targets, digest).await;
        }
        if targets.is_empty() {
            return Err(FleetError::NotTogether(parts.join(", ")));
        }
        let definition = definition.request(model);
        self.jobs().start(&realm, model, Deed::Create { definition }, targets, before)
    }

    /// The active nodes of the caller's own that have the model, or the one that is named.
    fn active_with(
        &self,
        realm: &NodeScope,
        model: &str,
        node: Option<&str>,
    ) -> Result<Vec<Contact>, FleetError> {
        check_model_name(model)?;
        if let Some(node) = node {
            return Ok(vec![self.for_models(realm, node)?]);
        }
        let having = self.checker.registry.having(realm, &model_name::normalize(model));
        if having.is_empty() {
            self.jobs().has_own(realm)?;
            return Err(self.unknown_model(realm, model));
        }
        let targets: Vec<Contact> =
            having.into_iter().map(|(node, _)| node).filter(|node| node.active).collect();
        if targets.is_empty() { Err(FleetError::NowhereToLoad(model.to_owned())) } else { Ok(targets) }
    }
}

/// Copies a model on the node at `endpoint`.
pub(super) async fn copy(
    endpoint: &Endpoint,
    connect: Duration,
    model: &str,
    destination: &str,
    before: &[HeaderValue],
) -> Result<(), String> {
    let mut session = Session::new(endpoint, connect).after(before);
    let body = json!({"source": model, "destination": destination}).to_string();
    let sent = session.whole(Method::POST, "/api/copy", Some(body.into()));
    let answer = tokio::time::timeout(COPY, sent).await;
    match answer.map_err(|_| format!("no answer within {} s", COPY.as_secs()))? {
        Ok((StatusCode::OK, ..)) => Ok(()),
        Ok((status, body, _)) => Err(refusal(status, &body)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_node_that_redirects_is_not_followed() {
        let said = refusal(StatusCode::TEMPORARY_REDIRECT, br#"{"error":"moved"}"#);
        assert!(said.starts_with("the node redirects (307), which is not followed"), "{said}");
        assert_eq!(refusal(StatusCode::NOT_FOUND, br#"{"error":"no"}"#), "no");
    }

    #[test]
    fn a_definition_is_sent_as_it_was_checked() {
        let json =
            format!(r#"{{"name":"old","from":"m","stream":false,"files":{{"a.gguf":"{DIGEST}"}},"x":1}}"#);
        let definition = Definition::read(json.as_bytes()).unwrap();
        assert_eq!((definition.from(), definition.is_remote()), (Some("m"), false));
        let sent: Value = serde_json::from_slice(&definition.request("new")).unwrap();
        let want = json!({"model": "new", "from": "m", "stream": true, "files": {"a.gguf": DIGEST}, "x": 1});
        assert_eq!(sent, want);
        assert!(Definition::read(br#"{"remote_host":"https://x"}"#).unwrap().is_remote());
    }

    #[test]
    fn what_a_node_could_read_otherwise_is_refused() {
        for (json, says) in [
            ("[]", "no object"),
            (r#"{"From":"m"}"#, "From"),
            (r#"{"modelfile":"FROM /etc/passwd"}"#, "modelfile"),
            (r#"{"path":"/etc/passwd"}"#, "path"),
            (r#"{"from":["m"]}"#, "must be a string"),
            (r#"{"files":["a"]}"#, "must be an object"),
            (r#"{"files":{"a":"md5:x"}}"#, "digest"),
            (
                r#"{"files":{"../a":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}"#,
                "name",
            ),
        ] {
            let error = Definition::read(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}
