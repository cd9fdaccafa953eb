//! Restarts.

use aivonx_store::Store;

use super::*;
use crate::Limits;

async fn store(dir: &std::path::Path) -> Store {
    Store::open(dir, &aivonx_config::StoreOptions::default()).await.unwrap()
}

async fn limits(store: &Store, clock: Clock) -> Arc<Limits> {
    Limits::open(store.clone(), Arc::default(), clock).await.unwrap()
}

#[tokio::test]
async fn counters_are_as_they_were_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (hand, clock) = Hand::at(NOON, Duration::ZERO);
    let before = {
        let store = store(dir.path()).await;
        let limits = limits(&store, clock).await;
        let price = Price { prompt: 1_000_000, output: 1_000_000 };
        let level = limits.accounts().level(Kind::User, &"u".into(), caps(&[(LimitName::UserHour, 9)]));
        limits.throttle(Some([Some(&level), None, None]), [127, 0, 0, 1].into()).await.unwrap();
        let ask = Ask { price, ..at_most(3, 4) };
        let running = limits.reserve([Some(&level), None, None], &ask).await.unwrap();
        limits
            .reserve([Some(&level), None, None], &ask)
            .await
            .unwrap()
            .settle(Used { tokens: 5, cost: 5 }, &limits.now());
        hand.pass(Duration::from_secs(20));
        limits.flush().await.unwrap();
        // It is killed: nothing is given back any more.
        let _ = std::mem::ManuallyDrop::new(running);
        store.close().await.unwrap();
        level.account.counters(&limits.now())
    };
    assert_eq!((before.day.requests, before.day.tokens, before.day.spend, before.running), (2, 12, 12, 1));
    hand.pass(Duration::from_secs(30));
    let (hand, clock) = hand.another(Duration::ZERO);
    let store = store(dir.path()).await;
    let limits = limits(&store, clock).await;
    let after = limits.usage_of(Kind::User, "u");
    assert_eq!(after, super::super::Counters { running: 0, ..before });
    // The minute is as old as it is, the restart counted in.
    let level = limits.accounts().level(Kind::User, &"u".into(), caps(&[(LimitName::BurstMinute, 2)]));
    let refused = limits.reserve([Some(&level), None, None], &FREE).await.unwrap_err();
    assert_eq!(refused.resets_in, Some(10_000));
    hand.pass(Duration::from_secs(10));
    limits.reserve([Some(&level), None, None], &FREE).await.unwrap();
    assert_eq!(limits.refusals()[LimitName::BurstMinute as usize], 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn only_what_changed_is_saved_and_who_is_gone_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (hand, clock) = Hand::at(NOON, Duration::ZERO);
    let store = store(dir.path()).await;
    let limits = limits(&store, clock).await;
    let saved = || async { store.limit_counters().load().await.unwrap().len() };
    let [kept, gone] =
        ["kept", "gone"].map(|id| limits.accounts().level(Kind::Key, &id.into(), Caps::UNLIMITED));
    limits.flush().await.unwrap();
    assert_eq!(saved().await, 0);
    for level in [&kept, &gone] {
        limits
            .reserve([Some(level), None, None], &FREE)
            .await
            .unwrap()
            .settle(Used::default(), &limits.now());
    }
    limits.flush().await.unwrap();
    assert_eq!(saved().await, 2);
    drop(gone);
    limits.sweep().await.unwrap();
    assert_eq!(saved().await, 2, "what it used still counts");
    hand.pass(Duration::from_secs(31 * 86_400));
    limits.sweep().await.unwrap();
    assert_eq!(saved().await, 1);
    assert!(limits.accounts().find(Kind::Key, "gone").is_none());
    drop(kept);
    store.close().await.unwrap();
}
