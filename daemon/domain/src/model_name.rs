//! Ollama model names, normalised for comparison only: what is forwarded is what the client wrote.
//!
//! `[HOST/][NAMESPACE/]MODEL[:TAG]`; the tag is what follows the last `:` after the last `/`, `latest` if
//! absent; the default host is `registry.ollama.ai`, the default namespace `library`; case does not count, nor do
//! white space around it and a last `:local`, which asks for the model on the node itself.

pub use aivonx_protocol::model_name::normalize;
use aivonx_protocol::model_name::{LATEST, take_apart};
use arrayvec::ArrayString;

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
