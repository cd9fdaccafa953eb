//! Jobs that are followed, and the log: streams from the server, and what only the journal has.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use super::{
    server::{Does, Fake, ran, run, sample},
    terminal::Terminal,
};
use aivonx_protocol::{
    Event, Reply, Request,
    job::{Job, JobState},
    log::{self, Level, LogEvent, LogPage, LogRequest},
};

fn job(state: JobState, completed: u64, error: Option<&str>) -> Job {
    let sample = Reply::samples().into_iter().find_map(|reply| match reply {
        Reply::Job(job) => Some(*job),
        _ => None,
    });
    let mut job = sample.unwrap();
    job.targets.truncate(1);
    (job.id, job.state, job.completed, job.total) = ("j7".into(), state, completed, 1000);
    let target = &mut job.targets[0];
    (target.node, target.state, target.status) = ("gpu1".into(), state, "pulling".into());
    (target.completed, target.total, target.error) = (completed, 1000, error.map(Into::into));
    job
}

/// A server whose only job takes these steps.
fn with_job(steps: Vec<Job>, ends: bool) -> Fake {
    Fake::start(move |request| match request {
        Request::Job(aivonx_protocol::job::JobRequest::Follow(_)) => {
            let events = steps.iter().cloned().map(|job| Event::Job(Box::new(job))).collect();
            if ends { Does::Streams(events) } else { Does::Hangs(events) }
        }
        other => match sample(other) {
            Does::Replies(Reply::Job(_)) => {
                Does::Replies(Reply::Job(Box::new(job(JobState::Running, 0, None))))
            }
            other => other,
        },
    })
}

#[test]
fn a_pull_is_shown_to_its_end() {
    let steps = vec![
        job(JobState::Running, 0, None),
        job(JobState::Running, 10, None),
        job(JobState::Running, 500, None),
        job(JobState::Done, 1000, None),
    ];
    let fake = with_job(steps, true);
    let people = fake.run("model pull m");
    assert_eq!((people.code, people.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(people.out, @r"
    gpu1    0%  0 B of 1.0 kB  pulling
    gpu1   50%  500 B of 1.0 kB  pulling
    gpu1  done, 1.0 kB
    ");
    let scripts = fake.run("model pull m --output json");
    assert_eq!(serde_json::from_str::<Job>(&scripts.out).unwrap().state, JobState::Done);
    let steps = fake.run("job show j7 --follow --output json");
    let states: Vec<Job> = steps.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(states.len(), 4);
}

#[test]
fn a_pull_that_fails_says_why_and_is_a_failure() {
    let failed = job(JobState::Failed, 0, Some("file does not exist\u{1b}[2J"));
    let ran = with_job(vec![failed], true).run("model pull m");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("gpu1: file does not exist\\u{1b}[2J"), "{}", ran.err);
    let ran = with_job(vec![job(JobState::Cancelled, 0, None)], true).run("job show j7 -f");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cancelled"), "{}", ran.err);
    let ran = with_job(vec![job(JobState::Running, 1, None)], true).run("model pull m");
    assert_eq!(ran.code, Some(3), "a stream that ends before its job: {ran:?}");
}

#[test]
fn leaving_a_pull_does_not_end_it() {
    let fake = with_job(vec![job(JobState::Running, 10, None)], false);
    let mut child = fake.command("model pull m").spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("gpu1"), "{line}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("aivonx job show j7 --follow") && ran.err.contains("aivonx job cancel j7"),
        "{ran:?}"
    );
    assert!(!fake.asked().iter().any(|request| request.name() == "job.cancel"));
}

const NOW: u64 = 1_795_307_494_000;

fn event(seq: u64, time: u64, message: &str) -> LogEvent {
    LogEvent {
        seq,
        time,
        level: Level::Info,
        target: "access".into(),
        message: message.into(),
        fields: vec![("node".into(), "gpu1".into())],
    }
}

fn with_log(sink: &'static str, follow: Vec<Event>) -> Fake {
    Fake::start(move |request| match request {
        Request::Log(LogRequest::Recent(log::Recent { lines, .. })) => {
            let events = vec![event(1, NOW, "first"), event(2, NOW + 1000, "second\u{1b}[2J")];
            let skip = events.len().saturating_sub(*lines as usize);
            let events = events.into_iter().skip(skip).collect();
            Does::Replies(Reply::Logs(LogPage { events, oldest: Some(NOW), sink: sink.into() }))
        }
        Request::Log(LogRequest::Follow(_)) => Does::Streams(follow.clone()),
        other => sample(other),
    })
}

#[test]
fn the_log_for_people_and_scripts() {
    let fake = with_log("stderr", Vec::new());
    let people = fake.run("logs");
    assert_eq!((people.code, people.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(people.out, @r"
    2026-11-22 00:31:34 INFO  access: first node=gpu1
    2026-11-22 00:31:35 INFO  access: second\u{1b}[2J node=gpu1
    ");
    let scripts = fake.run("logs --output json");
    let events: Vec<LogEvent> = scripts.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[1].message, "second\u{1b}[2J");
    assert!(!scripts.out.contains('\u{1b}'));
}

#[test]
fn the_filter_reaches_the_daemon() {
    let fake = with_log("stderr", Vec::new());
    fake.run("logs -n 7 --level warn --grep a.c --node gpu1 --since 2026-11-22T00:31:34Z");
    match fake.asked().pop() {
        Some(Request::Log(LogRequest::Recent(log::Recent { filter, lines }))) => {
            assert_eq!(lines, 7);
            assert_eq!((filter.level, filter.since), (Some(Level::Warn), Some(NOW)));
            assert_eq!((filter.grep.as_deref(), filter.node.as_deref()), (Some("a.c"), Some("gpu1")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn following_says_what_was_missed() {
    let events =
        vec![Event::Log(event(1, NOW, "one")), Event::LogMissed(12), Event::Log(event(14, NOW, "two"))];
    let fake = with_log("stderr", events);
    let people = fake.run("logs -f");
    assert_eq!(people.code, Some(3), "the daemon ended the stream");
    insta::assert_snapshot!(people.out, @r"
    2026-11-22 00:31:34 INFO  access: one node=gpu1
    -- 12 lines missed: this reader was too slow --
    2026-11-22 00:31:34 INFO  access: two node=gpu1
    ");
    let scripts = fake.run("logs -f --output json");
    assert_eq!(scripts.out.lines().nth(1), Some("{\"missed\":12}"));
}

#[test]
fn a_reader_that_had_enough_ends_following_quietly() {
    let events = (0..250).map(|seq| Event::Log(event(seq, NOW, &"x".repeat(1000)))).collect();
    // More than a pipe holds, less than a stream's window, which this server does not keep count of.
    let fake = with_log("stderr", events);
    let mut child = fake.command("logs -f").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
}

/// Puts a journalctl of our own into `dir`. Written by another process: a file that this one has open for
/// writing while some other test forks could not be executed.
fn journalctl(dir: &Path, script: &str) {
    let mut write = Command::new("sh");
    write.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(dir.join("journalctl"));
    write.stdin(Stdio::piped());
    assert_eq!(run(write, &format!("#!/bin/sh\n{script}\n")).code, Some(0));
}

fn entry(time: u64, uid: u32, node: &str, message: &str) -> String {
    format!(
        r#"{{"__REALTIME_TIMESTAMP":"{time}000","PRIORITY":"6","_UID":"{uid}","AIVONX_TARGET":"access","AIVONX_NODE":"{node}","MESSAGE":"{message}"}}"#
    )
}

fn since(fake: &Fake, dir: &Path, more: &str) -> super::server::Ran {
    let mut command = fake.command(&format!("logs --since 2026-11-21T00:00:00Z {more}"));
    command.env("PATH", format!("{}:/usr/bin:/bin", dir.display()));
    run(command, "")
}

#[test]
fn older_lines_come_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = dir.path().join("arguments");
    let lines = [
        entry(NOW - 86_400_000 * 30, 0, "gpu1", "too old"),
        entry(NOW - 5000, 0, "gpu1", "older one"),
        "no entry".to_owned(),
        entry(NOW - 4500, u32::MAX, "gpu1", "forged"),
        entry(NOW - 4000, 0, "gpu2", "older two"),
        entry(NOW, 0, "gpu1", "first, which the daemon holds"),
    ];
    let script = format!("echo \"$@\" > {}\ncat <<'END'\n{}\nEND", arguments.display(), lines.join("\n"));
    journalctl(dir.path(), &script);
    let fake = with_log("journald", Vec::new());
    let ran = since(&fake, dir.path(), "");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ran.out, @r"
    2026-11-22 00:31:29 INFO  access: older one node=gpu1
    2026-11-22 00:31:30 INFO  access: older two node=gpu2
    2026-11-22 00:31:34 INFO  access: first node=gpu1
    2026-11-22 00:31:35 INFO  access: second\u{1b}[2J node=gpu1
    ");
    let asked = fs::read_to_string(&arguments).unwrap();
    assert!(asked.contains("--identifier=aivonxd") && asked.contains("--since=@"), "{asked}");

    let newest = since(&fake, dir.path(), "-n 3");
    assert!(
        newest.out.starts_with("2026-11-22 00:31:30") && newest.out.lines().count() == 3,
        "{}",
        newest.out
    );
    let node = since(&fake, dir.path(), "--node gpu2 -n 100");
    assert!(node.out.contains("older two") && !node.out.contains("older one"), "{}", node.out);
    assert!(fs::read_to_string(&arguments).unwrap().contains("AIVONX_NODE=gpu2"));
}

#[test]
fn a_closed_journal_names_the_group_after_all_else() {
    let dir = tempfile::tempdir().unwrap();
    journalctl(
        dir.path(),
        "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
    );
    let ran = since(&with_log("journald", Vec::new()), dir.path(), "");
    assert_eq!((ran.code, ran.out.lines().count()), (Some(4), 2), "{ran:?}");
    assert!(ran.err.contains("systemd-journal") && ran.err.contains("adm"), "{}", ran.err);
}

#[test]
fn a_log_kept_elsewhere_is_pointed_to() {
    let dir = tempfile::tempdir().unwrap();
    journalctl(dir.path(), "exit 99");
    let ran = since(&with_log("file /var/log/a.log", Vec::new()), dir.path(), "");
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 2), "{ran:?}");
    assert!(ran.err.contains("/var/log/a.log"), "{}", ran.err);
}

/// How far it is stands on standard error while that is a terminal, and is gone in the end.
#[test]
fn a_walk_along_the_audit_log_tells_how_far_it_is() {
    let fake = Fake::samples();
    let (code, shown) = Terminal::start(fake.command("audit verify"), 80, 24).end();
    assert_eq!(code, Some(1), "the sample's log is not intact");
    let (before, after) = shown.split_once("Verifying the audit log: 0 %, entry 300 of 70 000").unwrap();
    assert!(
        before.ends_with("\u{1b}[2K") && after.starts_with("\u{1b}[2K\u{1b}[31mThe audit log is NOT"),
        "{shown}"
    );
    let (_, shown) = Terminal::start(fake.command("audit verify --output json"), 80, 24).end();
    assert!(shown.starts_with('{'), "{shown}");
    let piped = fake.run("audit verify");
    assert_eq!((piped.code, piped.err.as_str()), (Some(1), ""));
    // It is no verdict that the daemon went away.
    let gone = Fake::start(|request| match request {
        Request::Audit(_) => Does::Streams(vec![Event::AuditWalked { seq: 1, last: 2 }]),
        other => sample(other),
    });
    let ran = gone.run("audit verify");
    assert!(ran.code != Some(0) && ran.err.contains("without a verdict"), "{ran:?}");
}
