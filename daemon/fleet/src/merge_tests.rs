//! Tests of merging pulls.

use std::collections::HashMap;

use aivonx_protocol::job::JobState;
use proptest::prelude::*;

use super::{Cursor, Line, Merge};

fn status(text: &str) -> Line {
    Line { status: text.into(), ..Line::default() }
}

fn layer(digest: &str, total: u64, completed: u64) -> Line {
    Line { status: format!("pulling {digest}"), digest: Some(digest.into()), total, completed, error: None }
}

fn news(merge: &Merge, cursor: &mut Cursor) -> String {
    merge.news(cursor).iter().map(|line| std::str::from_utf8(line).unwrap()).collect()
}

#[test]
fn one_node_is_passed_on_as_it_speaks() {
    let (mut merge, mut cursor) = (Merge::new(1), Cursor::default());
    let said = [
        r#"{"status":"pulling manifest"}"#,
        r#"{"status":"pulling dde5aa3fc5ff","digest":"sha256:dde5","total":100}"#,
        r#"{"status":"pulling dde5aa3fc5ff","digest":"sha256:dde5","total":100,"completed":40}"#,
        r#"{"status":"pulling dde5aa3fc5ff","digest":"sha256:dde5","total":100,"completed":100}"#,
        r#"{"status":"verifying sha256 digest"}"#,
        r#"{"status":"writing manifest"}"#,
    ];
    for line in said {
        merge.take(0, serde_json::from_str(line).unwrap());
        assert_eq!(news(&merge, &mut cursor), format!("{line}\n"));
    }
    merge.end(0, JobState::Done, None);
    assert_eq!(news(&merge, &mut cursor), "");
    assert_eq!((merge.state(), merge.bytes()), (JobState::Done, (100, 100)));
    assert_eq!(&Line::success()[..], b"{\"status\":\"success\"}\n");
    assert_eq!(&Line::failure("no".into())[..], b"{\"error\":\"no\"}\n");
}

#[test]
fn the_slowest_node_counts() {
    let (mut merge, mut cursor) = (Merge::new(2), Cursor::default());
    merge.take(0, status("pulling manifest"));
    assert!(news(&merge, &mut cursor).contains("pulling manifest"), "the first step is told at once");
    merge.take(0, layer("a", 100, 70));
    assert!(news(&merge, &mut cursor).ends_with("\"total\":100}\n"), "the other has nothing yet");
    merge.take(0, status("verifying"));
    merge.take(1, layer("a", 100, 30));
    let told = news(&merge, &mut cursor);
    assert!(told.contains("\"completed\":30") && !told.contains("verifying"), "{told}");
    merge.take(1, layer("a", 100, 20));
    assert_eq!(news(&merge, &mut cursor), "", "never backwards");
    merge.end(1, JobState::Done, None);
    let told = news(&merge, &mut cursor);
    assert!(told.contains("\"completed\":70") && told.contains("verifying"), "{told}");
    assert_eq!((merge.bytes_on(0), merge.bytes_on(1)), ((70, 100), (100, 100)));

    let late = news(&merge, &mut Cursor::default());
    assert_eq!(late.lines().count(), 3, "a late joiner gets how it stands: {late}");
}

#[test]
fn a_failed_node_holds_nobody_up_but_fails_the_whole() {
    let mut merge = Merge::new(2);
    merge.take(0, layer("a", 10, 10));
    merge.take(1, layer("a", 10, 1));
    merge.end(1, JobState::Failed, Some("disk full".into()));
    assert_eq!((merge.state(), merge.bytes()), (JobState::Running, (10, 10)));
    merge.end(0, JobState::Done, None);
    assert_eq!(merge.state(), JobState::Failed);
    assert_eq!(merge.error(Some(&["a", "b"])), "b: disk full");
    assert_eq!(merge.error(None), "disk full");
    merge.end(0, JobState::Failed, Some("disk full".into()));
    assert_eq!(merge.error(Some(&["a", "b"])), "disk full");
}

#[test]
fn a_node_that_tells_endless_steps_is_not_believed() {
    let mut merge = Merge::new(1);
    for n in 0..5000 {
        merge.take(0, status(&format!("step {n} {}", "x".repeat(2000))));
    }
    assert!(merge.steps.len() == super::STEPS && merge.steps[0].status.len() == crate::sanitize::TEXT);
}

proptest! {
    #[test]
    fn completed_is_the_minimum_never_above_total_and_never_falls(
        told in prop::collection::vec((0_usize..3, 0_u8..4, 0_u64..200, 0_u64..100, 0_u8..40), 1..200)
    ) {
        let mut merge = Merge::new(3);
        let mut cursor = Cursor::default();
        let mut ended = [false; 3];
        // What each node said last per layer, at most: the model to compare with.
        let mut most: [HashMap<u8, u64>; 3] = Default::default();
        let mut totals: HashMap<u8, u64> = HashMap::new();
        let mut last: HashMap<String, (u64, u64)> = HashMap::new();
        let mut sum = 0;
        for (node, digest, completed, total, dice) in told {
            if ended[node] {
                continue;
            }
            if dice == 0 {
                merge.end(node, JobState::Done, None);
                ended[node] = true;
            } else {
                merge.take(node, layer(&digest.to_string(), total, completed));
                let most = most[node].entry(digest).or_default();
                *most = completed.max(*most);
                let all = totals.entry(digest).or_default();
                *all = total.max(*all);
            }
            for line in merge.news(&mut cursor) {
                let line: Line = serde_json::from_slice(&line).unwrap();
                prop_assert!(line.completed <= line.total);
                let digest = line.digest.unwrap();
                let old = last.insert(digest, (line.completed, line.total)).unwrap_or_default();
                prop_assert!(old.0 <= line.completed && old.1 <= line.total);
            }
            let expected: u64 = totals.iter().map(|(digest, total)| {
                (0..3).map(|n| if ended[n] { *total } else { (*total).min(most[n].get(digest).copied().unwrap_or(0)) })
                    .min().unwrap()
            }).sum();
            let (completed, total) = merge.bytes();
            prop_assert_eq!(completed, expected);
            prop_assert!(completed <= total && completed >= sum);
            sum = completed;
        }
    }
}
