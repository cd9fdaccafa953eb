use aivonx_config::Config;

use super::*;
use crate::{shared::Settings, transport::Cut};

fn settings() -> Settings {
    Settings { head: 4, keep_alive: 8, client_idle: 40, ..Settings::new(&Config::default()) }
}

/// The tick at which the ticker breaks the connection off, and why.
fn cut(conn: &ConnState, from: u32) -> Option<(u32, Cut)> {
    let settings = settings();
    (from..from + 100).find_map(|now| {
        conn.tick(now, &settings);
        conn.task.why_cut().map(|why| (now, why))
    })
}

#[test]
fn a_connection_without_a_request_is_closed() {
    let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
    assert_eq!(cut(&conn, 100), Some((105, Cut::Idle)), "before its first head");
    let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
    conn.begin(None);
    assert_eq!(cut(&conn, 100), None, "while it is answered");
    conn.end(None, 200);
    assert_eq!(cut(&conn, 200), Some((209, Cut::Idle)));
}

#[test]
fn every_head_has_its_time_from_when_it_begins() {
    for relayed in [false, true] {
        let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
        conn.begin(None);
        conn.relayed.set(relayed);
        conn.heard(b"{}", 150);
        conn.end(None, 200);
        // What may come before a head is none.
        conn.heard(b"\r\n", 201);
        conn.heard(b"G", 203);
        conn.heard(b"E", 206);
        assert_eq!(cut(&conn, 203), Some((208, Cut::Idle)), "{relayed}");
    }
    let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
    conn.begin(None);
    conn.end(None, 200);
    conn.heard(b"\r\n", 201);
    assert_eq!(cut(&conn, 200), Some((209, Cut::Idle)));
}

#[test]
fn a_connection_has_so_many_requests() {
    let conn = || ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
    let one = conn();
    assert_eq!([(); 4].map(|()| one.is_last(3, false)), [false, false, true, true]);
    assert!(!one.draining.get() && one.task.why_cut().is_none());
    let endless = conn();
    assert!((0..100).all(|_| !endless.is_last(0, true)));
    let two = conn();
    assert!(!two.is_last(2, true) && !two.draining.get());
    assert!(two.is_last(2, true) && two.draining.get(), "it is told");
    assert!(
        (0..STREAMS).all(|_| two.is_last(2, true)) && two.task.why_cut().is_none(),
        "may be on their way"
    );
    assert!(two.is_last(2, true));
    assert_eq!(two.task.why_cut(), Some(Cut::Idle), "it ignores GOAWAY");
}

#[test]
fn a_client_that_does_not_read_is_let_go_even_with_a_request_under_way() {
    for (relayed, at) in [(false, 209), (true, 241)] {
        let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
        conn.begin(None);
        conn.relayed.set(relayed);
        conn.wrote(Some(1 << 20), 150);
        conn.wrote(None, 200);
        conn.wrote(None, 205);
        assert_eq!(cut(&conn, 200), Some((at, Cut::Stalled)));
    }
    let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
    conn.begin(None);
    conn.wrote(None, 200);
    conn.wrote(Some(1), 205);
    assert_eq!(cut(&conn, 200), None, "it reads again");
}

#[test]
fn a_slow_client_has_time_for_what_its_system_took() {
    for (bytes, at) in [(20 << 10, 217 + 41), (1 << 30, 207 + 81)] {
        let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
        conn.begin(None);
        conn.relayed.set(true);
        conn.wrote(None, 200);
        conn.wrote(Some(bytes / 2), 205);
        conn.wrote(Some(bytes / 2), 206);
        conn.wrote(None, 207);
        assert_eq!(cut(&conn, 207), Some((at, Cut::Stalled)));
    }
}

#[test]
fn the_rest_of_a_nodes_answer_may_wait_in_the_window_of_its_stream() {
    let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
    conn.begin(None);
    conn.relayed.set(true);
    conn.end(None, 200);
    assert_eq!(cut(&conn, 200), Some((241, Cut::Idle)));
    assert!(conn.draining.get(), "and no more is taken meanwhile");
}

#[test]
fn streams_are_judged_one_by_one() {
    let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 100);
    let streams: [Rc<StreamState>; 3] = Default::default();
    for stream in &streams {
        conn.begin(Some(stream));
    }
    streams[0].polled(true, false, 100);
    streams[1].polled(false, true, 100);
    streams[2].polled(true, true, 100);
    assert_eq!(cut(&conn, 100), None, "the connection stays");
    let why = || streams.each_ref().map(|stream| stream.task.why_cut());
    assert_eq!(why(), [Some(Cut::Stalled), None, Some(Cut::Stalled)]);
    conn.end(Some(&streams[1]), 200);
    assert_eq!(streams[2].place.get(), 1, "the last took its place");
    conn.end(Some(&streams[0]), 204);
    conn.end(Some(&streams[2]), 208);
    assert!(conn.streams.borrow().is_empty());
    assert_eq!(cut(&conn, 208), Some((209, Cut::Idle)), "idle since the one that was read");
}
