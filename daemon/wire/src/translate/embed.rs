//! Embeddings: Ollama's two forms and OpenAI's.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Api, Refused,
    answer::About,
    json::{Json, Object},
    lenient::{Count, Lenient},
    openai_node::Unreadable,
};

/// Writes a request for `node`. Texts are cut to the model's context, or not, as the node does it.
pub(super) fn request(client: Api, node: Api, body: &Object<'_>) -> Result<Vec<u8>, Refused> {
    let model = body.needed("model")?;
    let (name, input) = match client {
        Api::OllamaEmbeddings => ("prompt", body.raw("prompt")),
        _ => ("input", body.raw("input")),
    };
    let input = input.ok_or_else(|| Refused::expected(name, "a string or a list of strings"))?;
    if node == Api::OllamaEmbed
        && input.trim_start_matches(['[', ' ', '\n']).starts_with(|c: char| c.is_ascii_digit())
    {
        // Tokens are of use to one model alone.
        return Err(Refused::not_carried("input"));
    }
    Ok(Json::object(|json| {
        json.put("model", &model);
        json.raw("input", input);
        json.raw_some("dimensions", body.raw("dimensions"));
        match node {
            Api::OllamaEmbed => json.raw_some("keep_alive", body.raw("keep_alive")),
            _ => json.put("encoding_format", "float"),
        }
    }))
}

#[derive(Deserialize)]
struct Given<'a> {
    /// Ollama's.
    #[serde(borrow, default)]
    embeddings: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    prompt_eval_count: Lenient<Count>,
    /// OpenAI's.
    #[serde(borrow, default)]
    data: Option<Vec<One<'a>>>,
    #[serde(default)]
    usage: Lenient<Counts>,
}

#[derive(Deserialize)]
struct One<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
    #[serde(default)]
    index: Lenient<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Lenient<Count>,
}

/// Translates an answer; `base64` is how the client wants its vectors. Also whether its tokens are estimated, as the node
/// did not count them.
///
/// # Errors
/// It is not what a node sends.
pub(super) fn answer(
    client: Api,
    about: &About,
    base64: bool,
    object: &[u8],
) -> Result<(Vec<u8>, bool), Unreadable> {
    let given: Given<'_> = serde_json::from_slice(object).map_err(|_| Unreadable)?;
    let counted = given.usage.0.map_or(given.prompt_eval_count, |usage| usage.prompt_tokens).0;
    let tokens = counted.map_or(about.prompt, |count| count.0);
    // The oldest form of Ollama tells none.
    let estimated = counted.is_none() && client != Api::OllamaEmbeddings;
    let vectors = match (given.embeddings, given.data) {
        (Some(vectors), _) => vectors,
        (None, Some(mut data)) => {
            data.sort_by_key(|one| one.index.0);
            data.into_iter().map(|one| one.embedding).collect()
        }
        (None, None) => return Err(Unreadable),
    };
    let encoded = match base64 {
        true => Some(vectors.iter().map(|vector| encode(vector)).collect::<Result<Vec<_>, _>>()?),
        false => None,
    };
    let written = Json::object(|json| match client {
        Api::OllamaEmbeddings => json.raw("embedding", vectors.first().map_or("[]", |vector| vector.get())),
        Api::OllamaEmbed => {
            json.put("model", &*about.model);
            json.list("embeddings", |list| vectors.iter().for_each(|vector| list.entry(vector)));
            json.put("prompt_eval_count", tokens);
            if let Some(begun) = about.begun {
                json.put("total_duration", u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
                json.put("load_duration", 0);
            }
        }
        _ => {
            json.put("object", "list");
            json.list("data", |list| {
                for (at, vector) in vectors.iter().enumerate() {
                    list.item(|item| {
                        item.put("object", "embedding");
                        match encoded.as_ref().and_then(|encoded| encoded.get(at)) {
                            Some(text) => item.put("embedding", text),
                            None => item.put("embedding", vector),
                        }
                        item.put("index", at);
                    });
                }
            });
            json.put("model", &*about.model);
            json.within("usage", |usage| {
                usage.put("prompt_tokens", tokens);
                usage.put("total_tokens", tokens);
            });
        }
    });
    Ok((written, estimated))
}

/// A vector as OpenAI packs it: little-endian floats of 32 bits.
fn encode(vector: &RawValue) -> Result<String, Unreadable> {
    let numbers: Vec<f32> = serde_json::from_str(vector.get()).map_err(|_| Unreadable)?;
    let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
    Ok(STANDARD.encode(bytes))
}
