//! What each dialect becomes in the others.

mod answers;
mod requests;

use super::{About, Api};

fn about() -> About {
    About {
        id: "r1".into(),
        model: "m".into(),
        created: 1_700_000_000,
        created_at: "2023-11-14T22:13:20Z".into(),
        begun: None,
        prompt: 7,
        asked: None,
    }
}
