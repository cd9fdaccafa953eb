use std::net::{IpAddr, Ipv4Addr};

use uuid::Uuid;

use super::{
    super::{conn::ConnState, upstream::NodeBody},
    *,
};
use aivonx_fleet::{Lease, testing};

fn flight() -> (Rc<InFlight>, Rc<ConnState>) {
    let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 1);
    let begun =
        Begun { id: Uuid::nil(), at: Instant::now(), client: IpAddr::V4(Ipv4Addr::LOCALHOST), route: "/x" };
    (InFlight::new(Transport { conn: conn.clone(), stream: None }, begun), conn)
}

#[test]
fn times_are_rounded_up_to_ticks() {
    let of = |ms| ticks(Duration::from_millis(ms));
    assert_eq!((of(0), of(1), of(250), of(251), of(60_000)), (0, 1, 1, 2, 240));
    assert_eq!(ticks(Duration::MAX), u32::MAX / 2);
}

#[test]
fn a_deadline_is_never_early_and_late_by_a_tick() {
    let (flight, _) = flight();
    flight.allow(Waiting::Head, 10, 4);
    // The tick in which it was set may have been nearly over.
    flight.tick(14, false, &[], |_| false);
    assert_eq!(flight.verdict(), None);
    flight.tick(15, false, &[], |_| false);
    assert_eq!(flight.verdict(), Some(CancelReason::TimedOut(Waiting::Head)));
}

#[test]
fn the_time_of_a_client_is_not_its_nodes() {
    let (flight, _) = flight();
    flight.allow(Waiting::Chunk, 10, 4);
    flight.no_deadline(Waiting::Client);
    flight.tick(1000, false, &[], |_| false);
    assert_eq!(flight.verdict(), None);
    flight.allow(Waiting::Chunk, 1000, 4);
    flight.tick(1005, false, &[], |_| false);
    assert_eq!(flight.verdict(), Some(CancelReason::TimedOut(Waiting::Chunk)));
}

#[test]
fn the_whole_answer_has_a_deadline_that_no_chunk_moves() {
    let (flight, _) = flight();
    flight.allow_total(10, 8);
    for now in 11..19 {
        flight.allow(Waiting::Chunk, now, 4);
        flight.tick(now, false, &[], |_| false);
        assert_eq!(flight.verdict(), None);
    }
    flight.tick(19, false, &[], |_| false);
    assert_eq!(flight.verdict(), Some(CancelReason::TimedOut(Waiting::Total)));
}

#[test]
fn the_first_reason_stays() {
    let (flight, _) = flight();
    flight.tick(2, true, &[], |_| false);
    flight.end(CancelReason::Cancelled);
    assert_eq!(flight.verdict(), Some(CancelReason::Stopping));
}

#[test]
fn a_client_that_does_not_take_the_end_is_broken_off() {
    let (flight, conn) = flight();
    flight.end(CancelReason::Cancelled);
    for now in 0..END_GRACE {
        assert_eq!(conn.task.why_cut(), None, "{now}");
        flight.tick(now, false, &[], |_| false);
    }
    assert_eq!(conn.task.why_cut(), Some(Cut::Cancelled));
}

#[test]
fn a_node_is_left_at_the_verdict_whatever_its_client_takes() {
    let node = Arc::new(testing::node("n"));
    for at in [true, false] {
        let (flight, conn) = flight();
        let lease = Lease::take(&node).unwrap();
        flight.answered_by(NodeHalf { body: NodeBody::read(), lease });
        flight.no_deadline(Waiting::Client);
        flight.tick(1, false, &[], |_| false);
        assert_eq!(node.live.active(), 1);
        if at {
            flight.tick(2, true, &[], |_| false);
        } else {
            flight.end(CancelReason::Cancelled);
        }
        assert_eq!((node.live.active(), conn.task.why_cut()), (0, None));
        assert!(flight.half().is_none());
    }
}

#[tokio::test]
async fn before_its_first_byte_a_request_learns_that_its_node_leaves() {
    for waiting in [Waiting::Load, Waiting::Head, Waiting::Whole, Waiting::Chunk] {
        let (flight, _) = flight();
        let node = Arc::new(testing::node("n"));
        flight.on_node(Some(node.clone()));
        flight.allow(waiting, 1, 1000);
        flight.tick(2, false, &[node], |_| false);
        let mut never = pin!(std::future::pending::<()>());
        let looked = flight.watch_node(never.as_mut());
        let left = tokio::time::timeout(Duration::ZERO, looked).await;
        assert_eq!(left.is_ok(), waiting != Waiting::Chunk, "{waiting:?}");
    }
}

#[tokio::test]
async fn a_verdict_interrupts_what_is_watched() {
    let (flight, _) = flight();
    assert_eq!(flight.watch(async { 7 }).await, Ok(7));
    let work = flight.watch(std::future::pending::<()>());
    let (interrupted, ()) = tokio::join!(work, async { flight.end(CancelReason::Retired) });
    assert_eq!(interrupted, Err(CancelReason::Retired));
}
