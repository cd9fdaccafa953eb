//! Ollama model names, normalised for comparison only: what is forwarded is what the client wrote.
//!
//! `[HOST/][NAMESPACE/]MODEL[:TAG]`; the tag is what follows the last `:` after the last `/`, `latest` if
//! absent; the default host is `registry.ollama.ai`, the default namespace `library`; case does not count, nor do
//! white space around it and a last `:local`, which asks for the model on the node itself.

use std::borrow::Cow;

use arrayvec::ArrayString;

/// The form of `name` under which two spellings of one model compare equal. Names of `openai` nodes are
/// compared exactly and never pass through here.
#[must_use]
pub fn normalize(name: &str) -> Cow<'_, str> {
    let (stripped, tagged) = take_apart(name);
    if tagged && stripped.len() == name.len() && !name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let mut owned = stripped.to_ascii_lowercase();
    if !tagged {
        owned.push_str(LATEST);
    }
    Cow::Owned(owned)
}

/// Hands the normal form of `name` to `use_it`, built on the stack where it fits: the scheduler asks for it
/// on every request.
pub fn with_normal<T>(name: &str, use_it: impl FnOnce(&str) -> T) -> T {
    let (stripped, tagged) = take_apart(name);
    let mut room = ArrayString::<128>::new();
    if room.try_push_str(stripped).is_ok() && (tagged || room.try_push_str(LATEST).is_ok()) {
        room.make_ascii_lowercase();
        return use_it(&room);
    }
    use_it(&normalize(name))
}

const LATEST: &str = ":latest";

/// The name without the default registry and namespace, and whether it has a tag.
fn take_apart(name: &str) -> (&str, bool) {
    let name = without_local(name.trim());
    let Some(slash) = memchr::memrchr(b'/', name.as_bytes()) else {
        return (name, name.bytes().any(|b| b == b':'));
    };
    (strip_defaults(name), name[slash + 1..].contains(':'))
}

/// The name without a last `:local`.
fn without_local(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((before, last)) if last.eq_ignore_ascii_case("local") => before,
        _ => name,
    }
}

/// Whether the name alone says that the node hands prompts on to a third party.
#[must_use]
pub fn names_cloud(name: &str) -> bool {
    let tail = name.rfind('/').map_or(0, |at| at + 1);
    // `:cloud` may follow a tag; whatever else follows it, a name that has it is not to be trusted.
    name[tail..].split(':').skip(1).any(|tag| {
        let tag = tag.trim().to_ascii_lowercase();
        tag == "cloud" || tag.ends_with("-cloud")
    })
}

pub fn strip_defaults(name: &str) -> &str {
    let name = strip_prefix_ignore_case(name, "registry.ollama.ai/").unwrap_or(name);
    strip_prefix_ignore_case(name, "library/").unwrap_or(name)
}

fn strip_prefix_ignore_case<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let head = name.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::{names_cloud, normalize, with_normal};

    #[test]
    fn spellings_of_one_model_compare_equal() {
        for name in [
            "llama3.2",
            "Llama3.2:latest",
            "library/llama3.2",
            "registry.ollama.ai/library/llama3.2:LATEST",
            " llama3.2\n",
            "llama3.2:local",
            "llama3.2:latest:LOCAL ",
        ] {
            assert_eq!(normalize(name), "llama3.2:latest", "{name}");
            with_normal(name, |normal| assert_eq!(normal, "llama3.2:latest", "{name}"));
        }
        assert_eq!(normalize("hf.co/Org/Repo-GGUF:Q4_K_M"), "hf.co/org/repo-gguf:q4_k_m");
        assert_eq!(normalize("localhost:5000/team/m"), "localhost:5000/team/m:latest");
    }

    #[test]
    fn long_names_have_a_normal_form_too() {
        for len in 115..135 {
            let name = "Ä".to_owned() + &"X".repeat(len);
            with_normal(&name, |normal| assert_eq!(normal, normalize(&name)));
        }
    }

    #[test]
    fn cloud_is_told_from_the_tag() {
        assert!(names_cloud("gpt-oss:120b-cloud"));
        assert!(names_cloud("minimax-m2:cloud"));
        assert!(names_cloud("gpt-oss:120b:cloud"));
        assert!(names_cloud("GPT-OSS:120b:Cloud "));
        assert!(names_cloud("localhost:5000/team/m:cloud:local"));
        assert!(!names_cloud("m:8b:local"));
        assert!(!names_cloud("cloud"));
        assert!(!names_cloud("cloud-model:8b"));
    }
}
