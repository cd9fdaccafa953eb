use aivonx_config::LogFormat;
use aivonx_domain::arbitrary;
use aivonx_protocol::log::Level;
use proptest::prelude::*;

use super::super::{
    format::Style,
    view::{Body, Bunch, View},
};

proptest! {
    /// A line that is written from the record is the one that is written from its words.
    #[test]
    fn a_line_is_the_same_however_it_is_written(records in arbitrary::requests(60), time in 0..4_000_000_000_000_u64) {
        let style = Style { format: LogFormat::Json, colour: false };
        let bunch = Bunch::new(time, records);
        for at in 0..bunch.len() {
            let view = bunch.view(at, at as u64 + 1).unwrap();
            let [mut direct, mut words] = [String::new(), String::new()];
            style.line(view, &mut direct);
            style.line(View { body: Body::Text(&view.text()), ..view }, &mut words);
            prop_assert_eq!(direct, words);
        }
    }

    #[test]
    fn a_level_is_that_of_the_outcome(records in arbitrary::requests(10)) {
        let bunch = Bunch::new(1, records);
        for event in (0..bunch.len()).filter_map(|at| bunch.view(at, 1)) {
            let odd = matches!(event.text().field("outcome"), Some("node_failed" | "broken"));
            prop_assert_eq!(event.level, if odd { Level::Warn } else { Level::Info });
        }
    }
}
