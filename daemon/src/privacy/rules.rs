//! What a value is, by where it stands: text, nearly always.

use super::{context, find::Hint};

/// What a member's key says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing.
    Other,
    /// `model` of the outermost object: the gateway has looked it up.
    Model,
    /// A parameter of the outermost object or of `options` whose numbers may be large.
    Parameter,
    /// Ties a call to its result.
    Id,
    /// Where an image, a sound or a document may be, in base64 or as a `data:` URL.
    Data,
    /// The same, but only as a `data:` URL.
    Url,
    /// State that only its maker reads.
    Opaque,
    /// Text, in place of which some nodes take its tokens: numbers in arrays.
    Text(&'static str),
    /// Vectors that stand for text.
    Vectors(&'static str),
    /// Parameters of the model.
    Options,
    /// What a tool is called with, or the schema of it: all of it is text, whatever its keys are.
    Arguments,
}

/// Which part of a body a value is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Members of the outermost object.
    Root,
    /// Parameters.
    Options,
    /// An array that may hold tokens in place of text.
    Tokens(&'static str),
    /// Everything else.
    Plain,
    /// Arguments of tools, and JSON in strings: keys mean nothing.
    Free,
}

/// What `key` means in `zone`.
pub(super) fn key(zone: Zone, key: &[u8]) -> Key {
    match (zone, key) {
        (Zone::Free, _) => Key::Other,
        (Zone::Root, b"model") => Key::Model,
        (Zone::Root, b"options" | b"parameters") => Key::Options,
        (Zone::Root, b"previous_response_id") => Key::Id,
        (Zone::Root | Zone::Options, _) if is_parameter(key) => Key::Parameter,
        (Zone::Plain | Zone::Tokens(_), b"input") => Key::Arguments,
        (_, b"arguments" | b"parameters" | b"input_schema" | b"schema" | b"format") => Key::Arguments,
        (_, b"id" | b"tool_call_id" | b"tool_use_id" | b"call_id" | b"item_id") => Key::Id,
        (_, b"images" | b"data" | b"file_data") => Key::Data,
        (_, b"url" | b"image_url") => Key::Url,
        (_, b"signature" | b"thought_signature" | b"encrypted_content") => Key::Opaque,
        _ => text(key),
    }
}

/// Parameters that may have nine digits or more, or that are lists of tokens without being a prompt.
fn is_parameter(key: &[u8]) -> bool {
    matches!(
        key,
        b"seed"
            | b"max_tokens"
            | b"max_completion_tokens"
            | b"max_output_tokens"
            | b"min_tokens"
            | b"n_predict"
            | b"num_predict"
            | b"num_ctx"
            | b"logit_bias"
            | b"stop_token_ids"
            | b"allowed_token_ids"
            | b"bad_words_ids"
    )
}

/// The keys of text and of what stands for it, in any case: what one node refuses another may read.
fn text(key: &[u8]) -> Key {
    let mut lower = [0; 24];
    let Some(lower) = lower.get_mut(..key.len()) else { return Key::Other };
    lower.copy_from_slice(key);
    lower.make_ascii_lowercase();
    Key::Text(match &*lower {
        b"prompt" => "prompt",
        b"prompts" => "prompts",
        b"input" => "input",
        b"inputs" => "inputs",
        b"context" => "context",
        b"messages" => "messages",
        b"content" => "content",
        b"text" => "text",
        b"system" => "system",
        b"suffix" => "suffix",
        b"template" => "template",
        b"instructions" => "instructions",
        b"thinking" => "thinking",
        b"reasoning" => "reasoning",
        b"reasoning_content" => "reasoning_content",
        b"output" => "output",
        b"query" => "query",
        b"documents" => "documents",
        b"input_prefix" => "input_prefix",
        b"input_suffix" => "input_suffix",
        b"input_extra" => "input_extra",
        b"tokens" => "tokens",
        b"token_ids" => "token_ids",
        b"input_ids" => "input_ids",
        b"input_tokens" => "input_tokens",
        b"prompt_ids" => "prompt_ids",
        b"prompt_tokens" => "prompt_tokens",
        b"prompt_token_ids" => "prompt_token_ids",
        b"prompt_embeds" => return Key::Vectors("prompt_embeds"),
        b"prompt_embedding" => return Key::Vectors("prompt_embedding"),
        b"prompt_embeddings" => return Key::Vectors("prompt_embeddings"),
        b"input_embeds" => return Key::Vectors("input_embeds"),
        b"inputs_embeds" => return Key::Vectors("inputs_embeds"),
        // Engines have more of the kind, of images and of decoders. Not `stop_token_ids` and the like: those are no text.
        name if name.ends_with(b"embeds") || name.ends_with(b"embeddings") => {
            return Key::Vectors("embeddings");
        }
        name if [b"input_ids".as_slice(), b"input_token_ids", b"prompt_token_ids"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            "token_ids"
        }
        _ => return Key::Other,
    })
}

/// Where the members of an object or array are that stands in `zone` under `key`.
pub(super) fn inside(zone: Zone, key: Key, object: bool) -> Zone {
    match (zone, key) {
        (Zone::Free, _) | (_, Key::Arguments) => Zone::Free,
        (_, Key::Vectors(name)) => Zone::Tokens(name),
        (_, Key::Text(name)) | (Zone::Tokens(name), _) if !object => Zone::Tokens(name),
        (Zone::Root, Key::Options | Key::Parameter) | (Zone::Options, _) => Zone::Options,
        _ => Zone::Plain,
    }
}

/// What the name of a value says: looked at only for short values with digits.
pub(super) fn hint(name: &[u8], value: &[u8]) -> Hint {
    let mut hint = Hint::default();
    // A marker in a name says what the name was.
    if name.len() > 40
        || name.contains(&b']')
        || !(7..=256).contains(&value.len())
        || !value.iter().any(u8::is_ascii_digit)
    {
        return hint;
    }
    let mut lower = [0; 40];
    let lower = &mut lower[..name.len()];
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let says = |word: &str| memchr::memmem::find(lower, word.as_bytes()).is_some();
    hint.phone = says("phone") || says("mobile") || says("fax") || lower.starts_with(b"tel");
    hint.ssn = says("ssn") || says("social_sec") || says("socialsec");
    hint.secret = context::is_secret_name(lower);
    hint
}
