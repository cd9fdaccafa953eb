use std::io::{BufRead as _, BufReader, Write as _};

use super::*;

/// Inserts and changes nodes, and says on standard output what was acknowledged.
pub(super) async fn write_for_ever(dir: &Path) {
    let store = open(dir).await;
    println!("\nREADY");
    let mut tasks = Vec::new();
    for writer in 0..4 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for i in 0.. {
                let record = store.nodes().insert(node(&format!("w{writer}-{i}"))).await.unwrap();
                let record = store.nodes().update(&record.id, Some(1), |n| n.max_parallel = 1).await.unwrap();
                // One write, so that a kill cannot tear a line.
                let line = format!("ACK {}\n", record.name);
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn everything_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let sub = dir.path().join(round.to_string());
        let mut child = super::child::start("write", &sub);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut count = 0;
        for line in lines {
            if let Some(name) = line.strip_prefix("ACK ") {
                acknowledged.push((round, format!("{name}/2")));
                count += 1;
                if count == 60 * round {
                    // Goes on reading afterwards: what was acknowledged before the kill counts too.
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        let super::child::Outcome::Opened(found) = super::child::try_open(&sub) else { panic!("refused") };
        let missing: Vec<_> =
            acknowledged.iter().filter(|(r, name)| *r == round && !found.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
