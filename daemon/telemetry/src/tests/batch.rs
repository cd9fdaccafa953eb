use std::sync::Arc;

use aivonx_config::LogFormat;
use aivonx_domain::{any, batch::Batch};
use aivonx_protocol::log::Level;
use proptest::prelude::*;

use super::super::{
    format::{Formatter, Style},
    metrics::{Gauges, Metrics},
    pipe::Losses,
    sink,
    view::{Body, Bunch, View},
};

/// The pages, without what differs from run to run.
fn pages(metrics: &Metrics) -> String {
    let mut all = metrics.render(&Gauges::default());
    for organization in [None, Some("o1"), Some("o2")] {
        all += &metrics.render_share(organization, Vec::new());
    }
    let mut lines: Vec<_> = all.lines().filter(|line| !line.starts_with("process_")).collect();
    lines.sort_unstable();
    lines.join("\n")
}

proptest! {
    #[test]
    fn every_request_is_in_one_group(records in any::requests(60)) {
        let batch = Batch::of(&records);
        let mut seen = vec![false; records.len()];
        let place = |record: &aivonx_domain::AccessRecord| records.iter().position(|r| std::ptr::eq(r, record)).unwrap();
        for (at, group) in batch.groups().iter().enumerate() {
            let members: Vec<usize> = batch.members(group).map(place).collect();
            prop_assert!(members.is_sorted());
            prop_assert_eq!(members.len() as u64, group.sums.requests);
            for member in members {
                prop_assert!(!std::mem::replace(&mut seen[member], true));
                let (one, other) = (&records[member], group.alike);
                let what = |r: &aivonx_domain::AccessRecord| {
                    (r.places(), r.status, r.outcome, r.model.clone(), r.node.clone(), r.route)
                };
                prop_assert_eq!(what(one), what(other));
                prop_assert_eq!(batch.each().nth(member).unwrap().0, at);
            }
        }
        prop_assert!(seen.into_iter().all(|seen| seen));
        let last = |group| batch.members(group).last().map(place);
        prop_assert!(batch.latest().map(last).is_sorted());
        prop_assert_eq!(batch.latest().count(), batch.groups().len());
    }

    #[test]
    fn metrics_of_a_batch_are_those_of_its_requests(records in any::requests(60)) {
        let [together, singly] = [0; 2].map(|_| Metrics::new(Arc::new(Losses::default()), sink::channel().0));
        together.count(&Batch::of(&records));
        records.iter().for_each(|record| singly.count(&Batch::of(std::slice::from_ref(record))));
        prop_assert_eq!(together.requests_total(), records.len() as u64);
        prop_assert_eq!(pages(&together), pages(&singly));
    }

    /// What is written fast is what is written from the words.
    #[test]
    fn a_line_is_the_same_however_it_is_written(records in any::requests(60), json: bool, time in 0..4_000_000_000_000_u64) {
        let format = if json { LogFormat::Json } else { LogFormat::Human };
        let mut formatter = Formatter::new(Style { format, colour: false });
        let bunch = Bunch::new(time, records);
        for at in 0..bunch.len() {
            let view = bunch.view(at, at as u64 + 1).unwrap();
            let mut fast = String::new();
            formatter.line(view, &mut fast);
            let mut slow = String::new();
            let text = view.text();
            if json {
                formatter.line(View { body: Body::Text(&text), ..view }, &mut slow);
            } else {
                // Its fields are not all of those of the words, which people are not told twice.
                let Body::Access(request) = view.body else { panic!("a request") };
                formatter.slowly(request, &mut slow);
                let begin = fast.find("access: ").unwrap() + "access: ".len();
                fast = fast.split_off(begin).trim_end().to_owned();
            }
            prop_assert_eq!(fast, slow);
        }
    }

    #[test]
    fn a_level_is_that_of_the_outcome(records in any::requests(10)) {
        let bunch = Bunch::new(1, records);
        for event in (0..bunch.len()).filter_map(|at| bunch.view(at, 1)) {
            let odd = event.text().fields().any(|f| f.name == "outcome" && matches!(f.value, "node_failed" | "broken"));
            prop_assert_eq!(event.level, if odd { Level::Warn } else { Level::Info });
        }
    }
}
