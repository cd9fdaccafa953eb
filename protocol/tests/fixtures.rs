//! The bytes of version 1, frozen. A row that no longer matches means that peers of older versions are
//! misread: append a variant instead of changing one. A new variant adds a row; none is ever edited.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use aivonx_protocol::{
    ClientFrame, Event, Fault, FaultKind, Permission, Reply, Request, ServerFrame,
    frame::{self, MAX_IN, MAX_OUT},
    handshake::{self, Answer, Login},
    operation::Declared,
    user::Role,
    wire,
};
use serde::{Serialize, de::DeserializeOwned};

const FROZEN: &str = include_str!("fixtures/v1.txt");

fn frozen() -> BTreeMap<&'static str, Vec<u8>> {
    let rows = FROZEN.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(|line| {
        let (name, bytes) = line.split_once(' ').unwrap();
        (name, hex::decode(bytes).unwrap())
    });
    rows.collect()
}

/// Compares every sample with its row, and reads every row.
fn check<T>(kind: &str, samples: &[T], name: fn(&T) -> &'static str, missing: &mut Vec<String>)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let rows = frozen();
    for sample in samples {
        let key = format!("{kind}/{}", name(sample));
        let bytes = wire::encode(sample, 0, MAX_OUT).unwrap();
        match rows.get(key.as_str()) {
            Some(row) => {
                assert_eq!(hex::encode(&bytes), hex::encode(row), "{key} is encoded otherwise now");
                assert_eq!(&wire::decode::<T, MAX_OUT>(row).unwrap(), sample, "{key} is read otherwise now");
            }
            None => missing.push(format!("{key} {}", hex::encode(&bytes))),
        }
    }
}

#[test]
fn every_message_keeps_its_bytes() {
    let mut missing = Vec::new();
    check("request", &Request::samples(), Request::name, &mut missing);
    check("reply", &Reply::samples(), Reply::name, &mut missing);
    check("event", &Event::samples(), Event::name, &mut missing);
    check("client_frame", &ClientFrame::samples(), ClientFrame::name, &mut missing);
    check("server_frame", &ServerFrame::samples(), ServerFrame::name, &mut missing);
    assert!(missing.is_empty(), "add to tests/fixtures/v1.txt:\n{}", missing.join("\n"));
}

#[test]
fn every_row_has_a_sample() {
    let mut names: Vec<String> = Vec::new();
    names.extend(Request::samples().iter().map(|r| format!("request/{}", r.name())));
    names.extend(Reply::samples().iter().map(|r| format!("reply/{}", r.name())));
    names.extend(Event::samples().iter().map(|r| format!("event/{}", r.name())));
    names.extend(ClientFrame::samples().iter().map(|r| format!("client_frame/{}", r.name())));
    names.extend(ServerFrame::samples().iter().map(|r| format!("server_frame/{}", r.name())));
    for key in frozen().keys().filter(|k| !k.starts_with("handshake/") && !k.starts_with("fault/")) {
        assert!(names.iter().any(|n| n == key), "{key} was removed from the protocol");
    }
}

/// Kinds of faults decide exit codes, so their numbers bind too.
#[test]
fn fault_kinds_keep_their_numbers() {
    let kinds = [
        FaultKind::Invalid,
        FaultKind::NotFound,
        FaultKind::Conflict,
        FaultKind::NotPermitted,
        FaultKind::Unavailable,
        FaultKind::TimedOut,
        FaultKind::Cancelled,
        FaultKind::Internal,
        FaultKind::Unsupported,
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        assert_eq!(*wire::encode(&kind, 0, 16).unwrap(), vec![u8::try_from(number).unwrap()]);
    }
}

#[test]
fn handshakes_keep_their_bytes() {
    let rows = frozen();
    assert_eq!(hex::encode(handshake::hello("aivonx 0.1.0")), hex::encode(&rows["handshake/hello"]));
    let ready = Answer::Ready { daemon_id: "0190-daemon".into(), login: Login::NotNeeded };
    assert_eq!(
        hex::encode(handshake::answer_bytes("aivonxd 0.1.0", &ready).unwrap()),
        hex::encode(&rows["handshake/ready"])
    );
    let refused = Answer::Refused(Fault::new(FaultKind::Unavailable, "full"));
    assert_eq!(
        hex::encode(handshake::answer_bytes("aivonxd 0.1.0", &refused).unwrap()),
        hex::encode(&rows["handshake/refused"])
    );
    let daemon = handshake::read_answer(&rows["handshake/ready"], "aivonx 0.1.0").unwrap();
    assert_eq!((daemon.version.as_str(), daemon.id.as_str()), ("aivonxd 0.1.0", "0190-daemon"));
}

#[test]
fn a_whole_frame_keeps_its_bytes() {
    let frame = frame::seal(&ClientFrame::Cancel { id: 251 }, MAX_IN).unwrap();
    // Length 4, variant 1, id 251 as a 16-bit integer behind its marker.
    assert_eq!(hex::encode(&*frame), "0400000001fbfb00");
}

#[test]
fn the_head_of_an_unknown_variant_is_read() {
    let call = wire::encode(&ClientFrame::Call { id: 700, request: Request::samples().remove(0) }, 0, MAX_IN);
    let mut bytes = call.unwrap().to_vec();
    assert_eq!(wire::frame_head(&bytes), Some((0, 700)));
    // A noun of a later version.
    let noun = bytes.len() - 2;
    bytes[noun] = 99;
    assert!(wire::decode::<ClientFrame, MAX_IN>(&bytes).is_err());
    assert_eq!(wire::frame_head(&bytes), Some((0, 700)));
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = wire::encode(&ClientFrame::Cancel { id: 1 }, 0, MAX_IN).unwrap().to_vec();
    bytes.push(0);
    assert_eq!(wire::decode::<ClientFrame, MAX_IN>(&bytes), Err(wire::WireError::Trailing(1)));
}

/// What each operation needs and is answered with and who may ask it, spelled out a second time.
#[test]
fn every_operation_is_what_the_table_says() {
    let letters = [
        (Role::Superadmin, 'S'),
        (Role::Operator, 'O'),
        (Role::Auditor, 'A'),
        (Role::OrgAdmin, 'G'),
        (Role::Member, 'M'),
    ];
    let who = |needs: Permission| {
        let fleet = letters.iter().filter(|(role, _)| needs.is_of(*role, false)).map(|(_, letter)| *letter);
        let bound = letters.iter().filter(|(role, _)| needs.is_of(*role, true)).map(|(_, letter)| *letter);
        let who: String = fleet.chain(bound.map(|letter| letter.to_ascii_lowercase())).collect();
        if who.is_empty() { "-".to_owned() } else { who }
    };
    let found = Request::all().map(|Declared { name, needs, answer }| {
        format!("{name:<27} {:<20} {answer:<21} {}\n", format!("{needs:?}"), who(*needs))
    });
    let rows =
        include_str!("fixtures/operations.txt").split_inclusive('\n').filter(|row| !row.starts_with('#'));
    assert_eq!(found.collect::<String>(), rows.collect::<String>(), "see tests/fixtures/operations.txt");
}
