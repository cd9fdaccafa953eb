//! What a value is, by where it stands: text, nearly always.

use arrayvec::ArrayVec;

/// What a member's key says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing.
    Other,
    /// `model` of the outermost object: the gateway has looked it up.
    Model,
    /// A parameter of the outermost object or of `options` whose numbers may be large.
    Parameter,
    /// The same, where any number will do.
    Seed,
    /// Ties a call to its result.
    Id,
    /// Where an image, a sound or a document may be, in base64 or as a `data:` URL.
    Data,
    /// The same, but only as a `data:` URL.
    Url,
    /// Data that is said to be text.
    Document,
    /// What data beside it is.
    MediaType,
    /// State that only its maker reads.
    Opaque,
    /// Text, in place of which some nodes take its tokens: numbers in arrays.
    Text(&'static str),
    /// Tokens of a text.
    Ids(&'static str),
    /// Vectors that stand for text.
    Vectors(&'static str),
    /// Parameters of the model.
    Options,
    /// Arguments of a tool call, or their schema: all of it is text, under any key.
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
        (Zone::Root | Zone::Options, b"seed") => Key::Seed,
        (Zone::Root | Zone::Options, _) if is_parameter(key) => Key::Parameter,
        (Zone::Plain | Zone::Tokens(_), b"input") => Key::Arguments,
        (_, b"arguments" | b"parameters" | b"input_schema" | b"schema" | b"format") => Key::Arguments,
        (_, b"id" | b"tool_call_id" | b"tool_use_id" | b"call_id" | b"item_id") => Key::Id,
        (_, b"images" | b"data" | b"file_data") => Key::Data,
        (_, b"media_type" | b"mime_type" | b"mimeType") => Key::MediaType,
        (_, b"url" | b"image_url") => Key::Url,
        (_, b"signature" | b"thought_signature" | b"encrypted_content") => Key::Opaque,
        _ => text(key),
    }
}

/// Whether a whole value is a word of the APIs themselves: a role, a type or why an answer ended. A pattern of an
/// organization's own would change what the request or answer is.
pub(super) fn is_word_of_the_apis(value: &[u8]) -> bool {
    matches!(
        value,
        b"adaptive"
            | b"allowed_tools"
            | b"any"
            | b"array"
            | b"assistant"
            | b"audio"
            | b"audio_url"
            | b"auto"
            | b"base64"
            | b"boolean"
            | b"chat.completion"
            | b"chat.completion.chunk"
            | b"completed"
            | b"computer_use_preview"
            | b"content_filter"
            | b"custom"
            | b"developer"
            | b"disabled"
            | b"document"
            | b"embedding"
            | b"enabled"
            | b"end_turn"
            | b"ephemeral"
            | b"error"
            | b"failed"
            | b"file"
            | b"file_search"
            | b"float"
            | b"function"
            | b"function_call"
            | b"function_call_output"
            | b"grammar"
            | b"high"
            | b"image"
            | b"image_url"
            | b"in_progress"
            | b"incomplete"
            | b"input_audio"
            | b"input_file"
            | b"input_image"
            | b"input_text"
            | b"integer"
            | b"json"
            | b"json_object"
            | b"json_schema"
            | b"length"
            | b"list"
            | b"load"
            | b"low"
            | b"max_tokens"
            | b"mcp"
            | b"medium"
            | b"message"
            | b"minimal"
            | b"model"
            | b"none"
            | b"null"
            | b"number"
            | b"object"
            | b"output_text"
            | b"pause_turn"
            | b"reasoning"
            | b"redacted_thinking"
            | b"refusal"
            | b"regex"
            | b"required"
            | b"response"
            | b"server_tool_use"
            | b"stop"
            | b"stop_sequence"
            | b"string"
            | b"summary_text"
            | b"system"
            | b"text"
            | b"text_completion"
            | b"text_editor"
            | b"thinking"
            | b"tool"
            | b"tool_calls"
            | b"tool_reference"
            | b"tool_result"
            | b"tool_use"
            | b"url"
            | b"user"
            | b"video_url"
            | b"web_search"
            | b"web_search_tool_result"
            | b"xhigh"
    )
}

/// Parameters that may have nine digits or more, or that are lists of tokens without being a prompt.
fn is_parameter(key: &[u8]) -> bool {
    matches!(
        key,
        b"max_tokens"
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

/// The keys of text and of what stands for it, in any case, with `_` or without: what one node refuses another may
/// read.
fn text(key: &[u8]) -> Key {
    let mut name = ArrayVec::<u8, 24>::new();
    for byte in key.iter().filter(|byte| !matches!(byte, b'_' | b'-')) {
        if name.try_push(byte.to_ascii_lowercase()).is_err() {
            return Key::Other;
        }
    }
    Key::Text(match &*name {
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
        b"reasoningcontent" => "reasoning_content",
        b"output" => "output",
        b"query" => "query",
        b"documents" => "documents",
        b"inputprefix" => "input_prefix",
        b"inputsuffix" => "input_suffix",
        b"inputextra" => "input_extra",
        b"tokens" => return Key::Ids("tokens"),
        b"tokenids" => return Key::Ids("token_ids"),
        b"inputids" => return Key::Ids("input_ids"),
        b"inputtokens" => return Key::Ids("input_tokens"),
        b"promptids" => return Key::Ids("prompt_ids"),
        b"prompttokens" => return Key::Ids("prompt_tokens"),
        b"prompttokenids" => return Key::Ids("prompt_token_ids"),
        b"promptembeds" => return Key::Vectors("prompt_embeds"),
        b"promptembedding" => return Key::Vectors("prompt_embedding"),
        b"promptembeddings" => return Key::Vectors("prompt_embeddings"),
        b"inputembeds" => return Key::Vectors("input_embeds"),
        b"inputsembeds" => return Key::Vectors("inputs_embeds"),
        // Engines have more of the kind, of images and of decoders. Not `stop_token_ids` and the like: those are no text.
        name if name.ends_with(b"embeds") || name.ends_with(b"embeddings") => {
            return Key::Vectors("embeddings");
        }
        name if [
            b"inputids".as_slice(),
            b"promptids",
            b"inputtokenids",
            b"prompttokenids",
            b"fixtokenids",
        ]
        .iter()
        .any(|end| name.ends_with(end)) =>
        {
            return Key::Ids("token_ids");
        }
        _ => return Key::Other,
    })
}

/// Where the members of an object or array are that stands in `zone` under `key`.
pub(super) fn inside(zone: Zone, key: Key, object: bool) -> Zone {
    match (zone, key) {
        (Zone::Free, _) | (_, Key::Arguments) => Zone::Free,
        (_, Key::Vectors(name)) => Zone::Tokens(name),
        (_, Key::Text(name) | Key::Ids(name)) | (Zone::Tokens(name), _) if !object => Zone::Tokens(name),
        (Zone::Root, Key::Options | Key::Parameter | Key::Seed) | (Zone::Options, _) => Zone::Options,
        _ => Zone::Plain,
    }
}
