//! What every backend must do. To add one, add a line to [`backends`].

use std::{collections::BTreeSet, path::Path, thread};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{Backend, Write, memory::Memory, sled::Sled};

/// Opens what was opened before, once that is dropped.
type Open<'o> = Box<dyn Fn() -> Box<dyn Backend> + 'o>;

type Backends<'d> = Vec<(&'static str, Open<'d>)>;

fn backends(dir: &Path) -> Backends<'_> {
    let memory = Memory::default();
    let mut all: Backends<'_> = vec![
        ("memory", Box::new(move || Box::new(memory.clone()))),
        ("sled", Box::new(move || Box::new(Sled::open(dir, 16 << 20).unwrap()))),
    ];
    #[cfg(feature = "cluster")]
    if let Some(postgres) = crate::testing::PostgresServer::start() {
        postgres.server().migrate("aivonx").unwrap();
        all.push((
            "postgres",
            Box::new(move || Box::new(postgres.server().backend(dir, "suite", false).unwrap())),
        ));
    }
    all
}

/// Runs `check` over a fresh one of each.
fn each(check: impl Fn(&Open<'_>)) {
    let dir = tempfile::tempdir().unwrap();
    for (name, open) in backends(dir.path()) {
        println!("backend {name}");
        check(&open);
    }
}

fn put<'w>(space: &'w str, key: &'w [u8], value: &'w [u8]) -> Write<'w> {
    Write { space, key, value: Some(value) }
}

fn remove<'w>(space: &'w str, key: &'w [u8]) -> Write<'w> {
    Write { space, key, value: None }
}

fn keys(backend: &dyn Backend, space: &str, prefix: &[u8]) -> Vec<Vec<u8>> {
    backend.scan(space, prefix).map(|pair| pair.unwrap().0).collect()
}

#[test]
fn what_was_never_written_is_empty() {
    each(|open| {
        let backend = open();
        assert_eq!(backend.get("node", b"a").unwrap(), None);
        assert_eq!(backend.scan("node", b"").count(), 0);
        backend.apply(&[remove("node", b"a")]).unwrap();
        backend.apply(&[]).unwrap();
        assert_eq!(backend.spaces().unwrap(), [""; 0]);
    });
}

#[test]
fn a_transaction_applies_its_writes_in_order_and_over_spaces() {
    each(|open| {
        let backend = open();
        backend
            .apply(&[
                put("node", b"a", b"1"),
                put("user", b"a", b"2"),
                put("node", b"a", b"3"),
                put("node", b"b", b""),
            ])
            .unwrap();
        assert_eq!(backend.get("node", b"a").unwrap().as_deref(), Some(&b"3"[..]));
        assert_eq!(backend.get("node", b"b").unwrap().as_deref(), Some(&b""[..]), "an empty value is one");
        assert_eq!(backend.get("user", b"a").unwrap().as_deref(), Some(&b"2"[..]));
        backend.apply(&[remove("user", b"a"), put("node", b"c", b"4"), remove("node", b"c")]).unwrap();
        assert_eq!(backend.spaces().unwrap(), ["node"]);
        assert_eq!(keys(&*backend, "node", b""), [b"a", b"b"]);
    });
}

#[test]
fn keys_and_values_are_any_bytes_and_keys_are_in_order() {
    each(|open| {
        let backend = open();
        let written: BTreeSet<Vec<u8>> =
            [&b""[..], b"\0", b"\0\0", b"a", b"a\0", b"a\xff", b"ab", b"b", b"\xff", b"\xff\xff"]
                .map(<[u8]>::to_vec)
                .into();
        let large = vec![0xa5; 3 << 20];
        let writes: Vec<Write<'_>> =
            written.iter().rev().map(|key| put("node", key, &large[..key.len() * 1000])).collect();
        backend.apply(&writes).unwrap();
        assert_eq!(keys(&*backend, "node", b""), written.iter().cloned().collect::<Vec<_>>());
        assert_eq!(keys(&*backend, "node", b"a"), [&b"a"[..], b"a\0", b"ab", b"a\xff"]);
        assert_eq!(keys(&*backend, "node", b"\xff"), [&b"\xff"[..], b"\xff\xff"]);
        backend.apply(&[put("node", b"a", &large)]).unwrap();
        assert_eq!(backend.get("node", b"a").unwrap().as_ref(), Some(&large));
    });
}

#[test]
fn a_space_that_was_cleared_is_empty_and_can_be_used_again() {
    each(|open| {
        let backend = open();
        backend.apply(&[put("node", b"a", b"1"), put("user", b"a", b"2")]).unwrap();
        backend.clear("node").unwrap();
        backend.clear("session").unwrap();
        assert_eq!(backend.spaces().unwrap(), ["user"]);
        assert_eq!(backend.get("node", b"a").unwrap(), None);
        backend.apply(&[put("node", b"b", b"3")]).unwrap();
        assert_eq!(keys(&*backend, "node", b""), [b"b"]);
    });
}

#[test]
fn what_was_flushed_is_there_after_it_was_opened_again() {
    each(|open| {
        for n in 0..20u8 {
            let backend = open();
            assert_eq!(keys(&*backend, "node", b"").len(), usize::from(n));
            backend.apply(&[put("node", &[n], &[n; 100]), put("meta", b"last", &[n])]).unwrap();
            backend.flush().unwrap();
            assert_eq!(backend.get("meta", b"last").unwrap(), Some(vec![n]));
        }
    });
}

#[test]
fn readers_see_no_transaction_in_part() {
    each(|open| {
        let backend = open();
        let backend = &*backend;
        backend.apply(&[put("node", b"n", &[0]), put("user", b"u", &[0])]).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..=100u8 {
                    backend.apply(&[put("node", b"n", &[n]), put("user", b"u", &[n])]).unwrap();
                }
            });
            loop {
                // In the order of the writes: what is read first is never the newer one.
                let first = backend.get("node", b"n").unwrap().unwrap();
                let second = backend.get("user", b"u").unwrap().unwrap();
                assert!(first <= second, "{first:?} {second:?}");
                if first == [100] {
                    break;
                }
            }
        });
    });
}

#[test]
fn it_holds_what_a_map_would() {
    each(|open| {
        let backend = open();
        let model = Memory::default();
        let write = (0..3usize, 0..20u8, proptest::option::of(any::<u8>()));
        TestRunner::deterministic()
            .run(&proptest::collection::vec(proptest::collection::vec(write, 0..8), 0..8), |transactions| {
                for transaction in &transactions {
                    let own: Vec<_> = transaction
                        .iter()
                        .map(|(s, k, v)| (["a", "b", "c"][*s], [*k], v.map(|v| [v])))
                        .collect();
                    let writes: Vec<Write<'_>> = own
                        .iter()
                        .map(|(space, key, value)| Write {
                            space,
                            key,
                            value: value.as_ref().map(|value| &value[..]),
                        })
                        .collect();
                    backend.apply(&writes).unwrap();
                    model.apply(&writes).unwrap();
                }
                for space in ["a", "b", "c"] {
                    let all = |backend: &dyn Backend| {
                        backend.scan(space, b"").collect::<Result<Vec<_>, _>>().unwrap()
                    };
                    prop_assert_eq!(all(&*backend), all(&model));
                }
                Ok(())
            })
            .unwrap();
    });
}
