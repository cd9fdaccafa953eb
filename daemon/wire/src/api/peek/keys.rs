//! The keys whose meaning the gateway relies on, and how a node would read their spellings.

use super::PeekError;
use crate::api::{escape::unescape, json::Raw};

/// The keys of one object. ASCII without upper case, so that folding is simple.
pub(super) trait Names: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// As it is written.
    fn name(self) -> &'static str;

    /// Which of them is written so.
    fn exactly(bytes: &[u8]) -> Option<Self>;
}

/// An enum of keys and their names.
macro_rules! names {
    ($(#[$doc:meta])* $keys:ident { $($key:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $keys {
            $($key),+
        }

        impl Names for $keys {
            const ALL: &'static [Self] = &[$(Self::$key),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$key => $name),+
                }
            }

            #[expect(non_upper_case_globals, reason = "named as the variants they stand for")]
            fn exactly(bytes: &[u8]) -> Option<Self> {
                // As patterns, not as comparisons: they become one decision by length and bytes.
                $(
                    const $key: &[u8] = $name.as_bytes();
                )+
                match bytes {
                    $($key => Some(Self::$key),)+
                    _ => None,
                }
            }
        }
    };
}

names! {
    /// Keys of the outermost object.
    Governed {
        Model = "model",
        Name = "name",
        Stream = "stream",
        StreamOptions = "stream_options",
        Messages = "messages",
        Prompt = "prompt",
        Options = "options",
        KeepAlive = "keep_alive",
        Input = "input",
        System = "system",
        Suffix = "suffix",
        Template = "template",
        Context = "context",
        Raw = "raw",
        Images = "images",
        Tools = "tools",
        Format = "format",
        Think = "think",
        Instructions = "instructions",
        MaxTokens = "max_tokens",
        MaxCompletionTokens = "max_completion_tokens",
        MaxOutputTokens = "max_output_tokens",
        MaxNewTokens = "max_new_tokens",
        MaxTokensToSample = "max_tokens_to_sample",
        MaxLength = "max_length",
        NPredict = "n_predict",
        NumPredict = "num_predict",
        MinTokens = "min_tokens",
        MinNewTokens = "min_new_tokens",
        MinLength = "min_length",
        Thinking = "thinking",
        Reasoning = "reasoning",
        N = "n",
        NCmpl = "n_cmpl",
        NumReturnSequences = "num_return_sequences",
        BestOf = "best_of",
        NumBeams = "num_beams",
        BeamWidth = "beam_width",
        Background = "background",
        AutoMaxNewTokens = "auto_max_new_tokens",
        Parameters = "parameters",
        SamplingParams = "sampling_params",
        GenerationConfig = "generation_config",
        ExtraBody = "extra_body",
        Models = "models",
        ModelList = "model_list",
        Fallbacks = "fallbacks",
        ContextFallbacks = "context_window_fallbacks",
        PolicyFallbacks = "content_policy_fallbacks",
        Source = "source",
        Insecure = "insecure",
        PreviousResponseId = "previous_response_id",
    }
}

names! {
    /// Keys inside `options`, `thinking` and `reasoning`.
    Inner {
        NumCtx = "num_ctx",
        NumPredict = "num_predict",
        NPredict = "n_predict",
        MaxTokens = "max_tokens",
        BudgetTokens = "budget_tokens",
        NumBatch = "num_batch",
        NumGpu = "num_gpu",
        NumThread = "num_thread",
        NumGqa = "num_gqa",
        MainGpu = "main_gpu",
        UseMmap = "use_mmap",
        UseMlock = "use_mlock",
        LowVram = "low_vram",
        Numa = "numa",
        F16Kv = "f16_kv",
        LogitsAll = "logits_all",
        VocabOnly = "vocab_only",
        EmbeddingOnly = "embedding_only",
        RopeBase = "rope_frequency_base",
        RopeScale = "rope_frequency_scale",
    }
}

impl Governed {
    /// Where in a prompt its value stands, as nodes put prompts together, if it is part of one.
    pub(super) fn in_prompt(self) -> Option<u8> {
        match self {
            Self::Template => Some(0),
            Self::Tools => Some(1),
            Self::System | Self::Instructions => Some(2),
            Self::Context => Some(3),
            Self::Messages | Self::Prompt | Self::Input => Some(4),
            Self::Suffix => Some(5),
            _ => None,
        }
    }

    /// Whether it bounds the tokens of an answer, or a part of them: the words of OpenAI, Anthropic, llama.cpp, TGI,
    /// Transformers, TabbyAPI, Ollama and vLLM.
    pub(super) fn bounds(self) -> bool {
        use Governed as G;
        matches!(
            self,
            G::MaxTokens
                | G::MaxCompletionTokens
                | G::MaxOutputTokens
                | G::MaxNewTokens
                | G::MaxTokensToSample
                | G::MaxLength
                | G::NPredict
                | G::NumPredict
                | G::MinTokens
                | G::MinNewTokens
                | G::MinLength
        )
    }

    /// Whether it says how many answers are made: `n` by any of its names, and the wider searches out of which the
    /// best come back. `use_beam_search` is not among them: its beam is as wide as these say.
    pub(super) fn multiplies(self) -> bool {
        use Governed as G;
        matches!(self, G::N | G::NCmpl | G::NumReturnSequences | G::BestOf | G::NumBeams | G::BeamWidth)
    }

    /// Whether it is an object with keys of [`Inner`].
    pub(super) fn holds(self) -> bool {
        matches!(self, Self::Options | Self::Thinking | Self::Reasoning)
    }

    /// Whether a node may put what is in it in the place of what was checked: LiteLLM writes an `extra_body` over the
    /// rest of the body, and it and others ask models of these lists in place of the one asked for. What TGI, SGLang
    /// and Transformers call parameters has bounds of its own.
    pub(super) fn replaces(self) -> bool {
        use Governed as G;
        matches!(
            self,
            G::ExtraBody
                | G::Models
                | G::ModelList
                | G::Fallbacks
                | G::ContextFallbacks
                | G::PolicyFallbacks
                | G::Parameters
                | G::SamplingParams
                | G::GenerationConfig
                | G::AutoMaxNewTokens
        )
    }
}

impl Inner {
    /// Its name in errors, if in `holder` it bounds the tokens of an answer, or a part of them.
    pub(super) fn bounds(self, holder: Governed) -> Option<&'static str> {
        match (holder, self) {
            (Governed::Options, Self::NumPredict) => Some("options.num_predict"),
            (Governed::Options, Self::NPredict) => Some("options.n_predict"),
            (Governed::Options, Self::MaxTokens) => Some("options.max_tokens"),
            (Governed::Thinking, Self::BudgetTokens) => Some("thinking.budget_tokens"),
            (Governed::Reasoning, Self::MaxTokens) => Some("reasoning.max_tokens"),
            _ => None,
        }
    }

    /// Whether Ollama loads a model anew for another value (its `Runner` options, those of older versions too).
    pub(super) fn reloads(self) -> bool {
        !matches!(self, Self::NumPredict | Self::NPredict | Self::MaxTokens | Self::BudgetTokens)
    }
}

names! {
    /// Keys inside `stream_options`.
    StreamOption {
        IncludeUsage = "include_usage",
    }
}

/// Which of `K` this key is, if any, escapes resolved.
///
/// # Errors
/// [`PeekError::Miscased`] if it is one of them only to a reader that folds case, or that writes words together as in
/// `maxTokens`.
#[inline(always)]
pub(super) fn which<K: Names>(key: Raw<'_>) -> Result<Option<K>, PeekError> {
    let exact = K::exactly(key.bytes);
    // Resolving and folding leave a plain key as it is.
    if exact.is_some() || is_plain(key.bytes) { Ok(exact) } else { folded(key) }
}

/// Whether no byte begins an escape or folds into another: all are ASCII but neither backslash nor upper case. `[`
/// counts as one of these, being between them.
#[inline(always)]
fn is_plain(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks();
    match bytes.last_chunk() {
        // The last word may begin inside the one before.
        Some(last) => words.iter().chain([last]).all(|word| plain_word(*word)),
        None => bytes.iter().all(|byte| !(0x80..).contains(byte) && !(b'A'..=b'\\').contains(byte)),
    }
}

#[inline(always)]
fn plain_word(bytes: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(bytes);
    let low = word & !HIGH;
    // The highest bit of each byte: whether it is at least `A`, and whether it is beyond the backslash.
    let from = low + ONES * (0x80 - b'A' as u64);
    let beyond = low + ONES * (0x80 - b'\\' as u64 - 1);
    (word | (from & !beyond)) & HIGH == 0
}

#[cold]
fn folded<K: Names>(key: Raw<'_>) -> Result<Option<K>, PeekError> {
    // None of the names is that long.
    if key.cut {
        return Ok(None);
    }
    let Some(spelled) = unescape(key.bytes) else { return Ok(None) };
    for known in K::ALL {
        let name = known.name();
        if spelled == name {
            return Ok(Some(*known));
        }
        if letters(&spelled).eq(letters(name)) {
            return Err(PeekError::Miscased(spelled, name));
        }
    }
    Ok(None)
}

/// The letters of `text` without case and word separators.
fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(fold).filter(|c| !matches!(c, '_' | '-'))
}

/// Unicode simple folding, as far as it can end in an ASCII letter: besides upper case only the long s and
/// the Kelvin sign.
fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Governed, Inner, Names, PeekError, StreamOption, fold, unescape, which};
    use crate::api::json::Raw;

    /// The same name by name, with nothing left out.
    fn plainly<K: Names>(key: &[u8]) -> Result<Option<K>, PeekError> {
        let Some(spelled) = unescape(key) else { return Ok(None) };
        for known in K::ALL {
            if spelled == known.name() {
                return Ok(Some(*known));
            }
            let together = |text: &str| text.chars().map(fold).collect::<String>().replace(['_', '-'], "");
            let plain =
                spelled.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) && !key.contains(&b'\\');
            if !plain && together(&spelled) == together(known.name()) {
                return Err(PeekError::Miscased(spelled, known.name()));
            }
        }
        Ok(None)
    }

    fn names<K: Names>() -> Vec<&'static str> {
        K::ALL.iter().map(|key| key.name()).collect()
    }

    #[test]
    fn each_name_is_found_and_folds_to_nothing_else() {
        fn all<K: Names + PartialEq + std::fmt::Debug>() {
            for key in K::ALL {
                assert_eq!(K::exactly(key.name().as_bytes()), Some(*key));
                assert!(key.name().bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase() && b != b'\\'));
            }
        }
        all::<Governed>();
        all::<Inner>();
        all::<StreamOption>();
    }

    /// A spelling of a name: each character as it is, in upper case, escaped, or replaced.
    fn spelled(name: &str, ways: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (c, way) in name.chars().zip(ways.iter().cycle()) {
            let upper = c.to_ascii_uppercase();
            match (way, c) {
                (0, _) => out.extend(upper.to_string().bytes()),
                (1, _) => out.extend(format!("\\u{:04x}", u32::from(c)).bytes()),
                (2, _) => out.extend(format!("\\u{:04X}", u32::from(upper)).bytes()),
                (3, 's') => out.extend("\u{17f}".bytes()),
                (3, 'k') => out.extend("\u{212a}".bytes()),
                (3, 'e') => out.extend("\u{e9}".bytes()),
                (4, _) => {}
                (5, _) => out.push(b'\\'),
                (6, _) => out.push(0xff),
                _ => out.extend(c.to_string().bytes()),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn keys_are_found_as_by_going_through_all_names(
            name in prop_oneof![
                9 => prop::sample::select([names::<Governed>(), names::<Inner>(), names::<StreamOption>(),
                    vec!["temperature", "top_p", "max_token", "modell"]].concat()).prop_map(str::to_owned),
                1 => ".{0,12}",
            ],
            ways in prop::collection::vec(prop_oneof![3 => Just(9_u8), 1 => 0_u8..8], 1..24),
        ) {
            let key = spelled(&name, &ways);
            let raw = Raw { bytes: &key, cut: false, length: key.len() };
            prop_assert_eq!(which::<Governed>(raw), plainly(&key));
            prop_assert_eq!(which::<Inner>(raw), plainly(&key));
            prop_assert_eq!(which::<StreamOption>(raw), plainly(&key));
        }
    }
}
