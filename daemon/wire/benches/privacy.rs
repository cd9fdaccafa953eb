//! How fast prompts are searched: prose, prose with findings, and text made to be slow.
//!
//! `cargo bench -p aivonx-wire --bench privacy -- [NAME]`, which is a part of the names of those to run; each figure is the best of several runs on one core, in MB of the
//! body as sent, the whole way from its bytes to the edited ones.

use aivonx_protocol::organization::PrivacyMode;
use aivonx_wire::{
    api::Edits,
    privacy::{Privacy, screen},
};
use bytes::Bytes;

const SIZE: usize = 4 << 20;

/// Seconds this thread has run: what others do on the machine counts less than by the clock.
fn on_cpu() -> f64 {
    let told = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "a thread that runs for minutes")]
    let seconds = told.tv_sec as f64 + told.tv_nsec as f64 / 1e9;
    seconds
}

const PROSE: &str = "It was in the second year of the drought that the council asked her to survey the old \
    waterworks, and she went, because nobody else remembered where the pipes had been laid. The valley was quiet; \
    about 400 people still lived there, most of them older than the dam.\\n\\n\\\"You will want the maps,\\\" said the \
    keeper, \\\"but the maps are wrong.\\\" He had worked there since 1987 and knew the installations by their sound. ";

fn main() {
    // Cargo asks every bench whether it has tests.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let with_findings = format!("{}Write to bob@example.com or call 555-123-4567. ", PROSE.repeat(4));
    let code = "    let value = self.items.get(&key).map_or_else(|| default_value(index + 1), |item| item.size());\\n";
    let base64 = "aGVsbG8gd29ybGQ5IHRoaXMgaXMgbm90IHByb3NlIGF0IGFsbA/+Zm9vYmFyMTIzNDU2Nzg5";
    let json = r#"{\"name\":\"value and more of it\",\"n\":12345,\"list\":[1,2,3]},"#;
    let texts: [(&str, String); 38] = [
        ("prose", PROSE.to_owned()),
        ("prose without escapes", PROSE.replace("\\n", " ").replace("\\\"", "'")),
        ("prose with findings", with_findings),
        ("code", code.to_owned()),
        ("base64", base64.to_owned()),
        ("padded base64", "aGk=".to_owned()),
        ("padding", "a9=".to_owned()),
        ("one character", "a".to_owned()),
        ("at signs", "@".to_owned()),
        ("nearly addresses", "a@a.a@a.".to_owned()),
        ("local parts", "a+".to_owned()),
        ("addresses throughout", "bob@example.com ".repeat(64) + &PROSE.repeat(20)),
        ("single digits", "1 ".to_owned()),
        ("nearly cards", "4111 ".to_owned()),
        ("pieces of numbers", "1 555 ".to_owned()),
        ("nearly numbers", "+9(9)".to_owned()),
        ("nearly telephones", "555-123-456 ".to_owned()),
        ("bare numbers", "5551234567 ".to_owned()),
        ("nearly keys", "sk-aaaaaaaaaaaaaaaa-".to_owned()),
        ("keys without digits", "sk-".to_owned()),
        ("tokens without payload", "eyJ-".to_owned()),
        ("words of keys", "ghp_a".to_owned()),
        ("digits", "4".to_owned()),
        ("long words", "internationalization-s ".to_owned()),
        ("headers of keys", "-----BEGIN A-----".to_owned()),
        ("escapes", "\\u0061".to_owned()),
        ("newlines", "\\n".to_owned()),
        ("typography", PROSE.replace("the ", "the\u{a0}").replace(", ", "\u{2013}")),
        ("cyrillic", "съешь же ещё этих мягких французских булок, да выпей чаю ".to_owned()),
        ("chinese", "我能吞下玻璃而不伤身体，".to_owned()),
        ("full width", "４１１１ａｂｃ＠".to_owned()),
        ("zero width", "a\u{200b}1\u{200b}".to_owned()),
        ("percent", "%40%2525".to_owned()),
        ("backslashes", "\\\\".to_owned()),
        ("words of secrets", "token is ".to_owned()),
        ("assigned words", "password: required, ".to_owned()),
        ("assigned to each other", "password:x:".to_owned()),
        ("marks that assign", "a=b:c>".to_owned()),
    ];
    for (name, text) in &texts {
        measure(name, &format!(r#"{{"model":"m","prompt":"{}"}}"#, text.repeat(SIZE / text.len())));
    }
    let list = json.repeat(SIZE / json.len());
    measure("arguments", &format!(r#"{{"model":"m","x":"[{}1]"}}"#, list));
    measure("numbers", &format!(r#"{{"x":[{}1]}}"#, "4111,1,".repeat(SIZE / 7)));
    measure("small members", &format!(r#"{{"x":[{}1]}}"#, r#"{"a":1,"b":"c"},"#.repeat(SIZE / 16)));
}

fn measure(name: &str, body: &str) {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if wanted.is_some_and(|part| !name.contains(&*part)) {
        return;
    }
    let screening = Privacy { mode: PrivacyMode::Redact, ..Privacy::OFF }.into();
    let body = [Bytes::copy_from_slice(body.as_bytes())];
    let mut best = f64::MAX;
    let mut findings = String::new();
    for _ in 0..7 {
        let began = on_cpu();
        let mut edits = Edits::default();
        findings = match screen(&screening, &body[0], &mut edits) {
            Ok(found) => {
                std::hint::black_box(edits.apply(&body));
                found.total().to_string()
            }
            Err(why) => why.to_string(),
        };
        best = best.min(on_cpu() - began);
    }
    println!("{name:<24} {:>7.0} MB/s   {findings}", body[0].len() as f64 / best / 1e6);
}
