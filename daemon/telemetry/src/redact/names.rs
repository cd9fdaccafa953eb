//! The names that say that a value is a secret: one list for the log, for the audit log, and for JSON inside
//! their texts.

use aivonx_protocol::{audit::Action, limit::LimitName};

/// A value whose name contains one of these, in any case, is hidden.
const HIDDEN: [&str; 19] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "key",
    "authorization",
    "cookie",
    "credential",
    "prompt",
    "body",
    "pepper",
    "private",
    "totp",
    "_otp",
    "otp_",
    "backup_code",
    "recovery_code",
    "login_code",
];

/// Names that contain one of [`HIDDEN`] and only count, name or measure. Only letters and digits make a difference,
/// in any case: `promptTokens` is `prompt_tokens`.
const EXEMPT: [&str; 63] = [
    // Counts of tokens, as the dialects and engines name them.
    "prompt_tokens",
    "output_tokens",
    "input_tokens",
    "cached_tokens",
    "completion_tokens",
    "total_tokens",
    "reasoning_tokens",
    "audio_tokens",
    "text_tokens",
    "image_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_prompt_tokens",
    "n_prompt_tokens",
    "n_tokens",
    "num_tokens",
    "tokens",
    "token_count",
    "tokens_per_second",
    "tokens_minute",
    "tokens_day",
    "prompt_eval_count",
    "prompt_eval_duration",
    "prompt_n",
    "prompt_ms",
    "prompt_chars",
    "prompt_limit",
    // Lengths.
    "body_bytes",
    "body_limit",
    "body_idle",
    "body_rate",
    "body_budget",
    // What keys and tokens are called, and how many they are.
    "key_id",
    "key_name",
    "key_prefix",
    "key_count",
    "keys",
    "keys_removed",
    "removed_keys_count",
    "found_key",
    "model_key",
    "token_id",
    "token_name",
    "tokens_revoked",
    "credential_kind",
    // Settings that are on or off, prices, and the limit of each key that is not named like one of users.
    "key_hour",
    "prompt_usd",
    "require_totp",
    "totp_exempt",
    "must_change_password",
    "hash_pepper_too",
    // What can be done, or is wrong, about them.
    "private_networks",
    "tokenizer",
    "keyword",
];

/// Whether the value of what is called `name` is hidden.
pub fn hides(name: &str) -> bool {
    let hidden = HIDDEN.iter().any(|word| contains(name, word)) || name.eq_ignore_ascii_case("otp");
    hidden && !EXEMPT.iter().any(|exempt| same(name, &[exempt])) && !is_limit(name) && !is_count(name)
}

/// Whether it is a limit: of what it is set on, of each user, or of each key.
fn is_limit(name: &str) -> bool {
    let is = |limit: LimitName| ["", "user", "key"].iter().any(|each| same(name, &[each, limit.name()]));
    LimitName::ALL.into_iter().any(is)
}

/// Whether it says how many entries of an action there were.
fn is_count(name: &str) -> bool {
    Action::ALL.iter().any(|action| same(name, &["n", action.as_str()]))
}

fn contains(name: &str, word: &str) -> bool {
    name.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
}

fn same(name: &str, exempt: &[&str]) -> bool {
    let plain = u8::is_ascii_alphanumeric;
    let folded = name.bytes().filter(plain).map(|byte| byte.to_ascii_lowercase());
    folded.eq(exempt.iter().flat_map(|part| part.bytes()).filter(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide() {
        let hidden = [
            "password",
            "Password",
            "api_key",
            "x-api-key",
            "apiKey",
            "AUTHORIZATION",
            "proxy_authorization",
            "set_cookie",
            "prompt",
            "system_prompt",
            "body",
            "request_body",
            "access_token",
            "refreshToken",
            "client_secret",
            "master_key",
            "token",
            "SECRET",
            "otp",
            "totp",
            "user_otp",
            "backup_codes",
            "credential",
            "private_pem",
            "tokens_of_alice",
            "totp_secret",
            "token.hours",
        ];
        for name in hidden {
            assert!(hides(name), "{name}");
        }
        let shown = [
            "prompt_tokens",
            "output_tokens",
            "Total_Tokens",
            "promptTokens",
            "prompt-tokens",
            "model_key",
            "key_id",
            "body_bytes",
            "node",
            "model",
            "request_id",
            "status",
            "error",
            "url",
            "path",
            "count",
            "code",
            "status_code",
            "footprint",
            "root_path",
            "keep_alive",
            "require_totp",
            "requireTotp",
            "token.hour",
            "key.hour",
            "user.tokens.minute",
            "n_password_reset",
            "",
        ];
        for name in shown {
            assert!(!hides(name), "{name}");
        }
    }

    #[test]
    fn every_exemption_exempts_something() {
        for name in EXEMPT {
            assert!(HIDDEN.iter().any(|word| contains(name, word)), "{name} need not be listed");
        }
    }
}
