//! What simulated models say: sentences that are grammatical and mean little, one token at a time.

use rand::{SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

const OPENINGS: [&str; 8] = [
    "Certainly.",
    "Good question.",
    "Here is a short answer.",
    "Let us take this step by step.",
    "In short:",
    "That depends on the load.",
    "There are two parts to this.",
    "Yes, with one caveat.",
];
const SUBJECTS: [&str; 12] = [
    "the gateway",
    "a simulated node",
    "the scheduler",
    "each request",
    "this made-up answer",
    "the second replica",
    "a warm model",
    "the queue",
    "the context window",
    "every token",
    "the cache",
    "a patient client",
];
const VERBS: [&str; 12] = [
    "waits for",
    "measures",
    "carries",
    "hands over",
    "keeps",
    "follows",
    "balances",
    "returns",
    "counts",
    "explains",
    "shares",
    "prepares",
];
const OBJECTS: [&str; 12] = [
    "the first byte",
    "a free slot",
    "the next batch",
    "its own pace",
    "one stream at a time",
    "the shortest path",
    "a small budget",
    "the same model",
    "every detail",
    "what was asked",
    "the last word",
    "an even load",
];
const ENDINGS: [&str; 8] = [
    "without hurry",
    "before anything else",
    "as long as it runs",
    "under steady traffic",
    "on the nearest card",
    "until the answer is done",
    "for everyone alike",
    "in plain sight",
];

/// An endless text; the same for the same seed.
#[derive(Debug)]
pub(crate) struct Words {
    random: StdRng,
    /// What is left of the sentence, last word first.
    left: Vec<String>,
    sentences: u32,
}

impl Words {
    /// The text of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), left: Vec::new(), sentences: 0 }
    }

    fn sentence(&mut self) {
        let random = &mut self.random;
        let mut pick = |from: &[&'static str]| *from.choose(random).unwrap_or(&"so");
        let text = if self.sentences == 0 {
            pick(&OPENINGS).to_owned()
        } else {
            let subject = pick(&SUBJECTS);
            let (first, rest) = subject.split_at(1);
            let rest = format!("{rest} {} {} {}", pick(&VERBS), pick(&OBJECTS), pick(&ENDINGS));
            format!("{}{rest}.", first.to_uppercase())
        };
        // As tokens are: the space goes with the word after it.
        let space = if self.sentences > 0 && self.sentences.is_multiple_of(4) { "\n\n" } else { " " };
        let mut words: Vec<String> = text.split(' ').map(|word| format!(" {word}")).collect();
        if let Some(first) = words.first_mut() {
            *first = match self.sentences {
                0 => first.trim_start().to_owned(),
                _ => first.replacen(' ', space, 1),
            };
        }
        words.reverse();
        self.left = words;
        self.sentences += 1;
    }
}

impl Iterator for Words {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.left.is_empty() {
            self.sentence();
        }
        self.left.pop()
    }
}

/// How many tokens an answer has when nobody says: mostly short, now and then long.
pub(crate) fn length(random: &mut impl rand::Rng) -> usize {
    let short: usize = random.random_range(20..90);
    if random.random_bool(0.2) { short * 3 } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_text() {
        let text = |seed| Words::new(seed).take(60).collect::<String>();
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        let text = text(7);
        assert!(text.starts_with(char::is_uppercase) && !text.contains("  "), "{text:?}");
        assert!(text.matches(['.', ':']).count() >= 4, "{text:?}");
    }
}
