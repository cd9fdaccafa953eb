use std::{io::ErrorKind, path::Path};

use aivonx_config::{Config, Log, LogFormat, LogTarget};
use aivonx_protocol::log::LogFilter;

use super::{
    super::init::{InitError, build, choose},
    LONG,
};
use crate::LogScope;

fn log(target: LogTarget) -> Log {
    Log { target, ..Config::default().log }
}

#[tokio::test]
async fn a_file_is_made_in_the_data_directory_and_written_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("new/data");
    let log = Log { format: LogFormat::Json, ..log(LogTarget::File) };
    let (telemetry, dispatch, warning) = build(&log, &data_dir, false).unwrap();
    assert_eq!(warning, None);
    let path = data_dir.join("aivonxd.log");
    assert_eq!(telemetry.sink(), format!("file {}", path.display()));
    telemetry.spawn();
    telemetry.access().push(vec![super::access::record()]);
    tracing::dispatcher::with_default(&dispatch, || tracing::info!(node = "gpu1", "here"));
    tokio::time::timeout(LONG, telemetry.stop()).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("\"message\":\"here\",\"node\":\"gpu1\""), "{text}");
    assert!(text.contains("\"status\":200,\"outcome\":\"complete\""), "{text}");
    assert_eq!(
        telemetry.hub().recent(&LogScope::Everyone, &LogFilter::default(), 10).unwrap().events.len(),
        2
    );
    assert_eq!(telemetry.metrics().requests_total(), 1);
}

#[test]
fn a_missing_journald_falls_back_and_says_so() {
    let chosen =
        choose(&log(LogTarget::Journald), Path::new("/"), false, || Err(ErrorKind::NotFound.into())).unwrap();
    assert_eq!(chosen.name, "stderr");
    let warning = chosen.warning.unwrap();
    assert!(
        warning.starts_with(
            "logging to stderr, because journald does not answer at /run/systemd/journal/socket: "
        )
    );
}

#[test]
fn what_cannot_be_set_up_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = |log: &Log| build(log, dir.path(), false).unwrap_err();
    let wrong = Log { file: Some(file.join("x.log")), ..log(LogTarget::File) };
    let wrong = error(&wrong);
    assert!(matches!(wrong, InitError::File { .. }));
    assert!(wrong.to_string().contains("log.file: cannot open "), "{wrong}");
    let wrong = error(&Log { level: "loud".into(), ..log(LogTarget::Stderr) });
    assert!(wrong.to_string().contains("`loud` is not a level"), "{wrong}");
    let (telemetry, ..) = build(&log(LogTarget::Stderr), dir.path(), false).unwrap();
    assert!(telemetry.set_level("fleet=lots").is_err());
    telemetry.set_level("warn,fleet=debug").unwrap();
}
