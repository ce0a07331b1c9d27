//! HASH and LRU tables.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wirelet_abi::ErrorCode;
use wirelet_abi::table::TAG_BUSY;

use super::super::Entry;
use super::*;

/// Whether both groups that `key` could be in are full.
fn no_group_has_room(table: &Table, key: &[u8]) -> bool {
    let hash = table.hash();
    let home = hash.home(key);
    [home.first, home.second].iter().all(|&group| hash.tags(group).used().count_ones() == 15)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_table_is_a_map_until_it_is_full(
        shape in hash_shapes(120),
        seed in any::<u64>(),
        changes in changes(200, 600),
    ) {
        let table = new_table(&shape, seed);
        let mut model = Model::new();
        let mut refused = 0;
        for change in changes {
            match change {
                Change::Set(number, content) => {
                    let (key, value) = (key(&shape, number), value(&shape, content));
                    match table.set(&key, &value) {
                        Ok(()) => drop(model.insert(key, value)),
                        Err(error) => {
                            prop_assert_eq!(error.code, ErrorCode::TableFull);
                            let full = model.len() == shape.capacity as usize;
                            prop_assert!(full || no_group_has_room(&table, &key));
                            prop_assert!(!model.contains_key(&key));
                            refused += 1;
                        }
                    }
                    prop_assert!(model.len() <= shape.capacity as usize);
                }
                Change::Delete(number) => {
                    let key = key(&shape, number);
                    prop_assert_eq!(table.delete(&key), model.remove(&key).is_some());
                    prop_assert_eq!(table.get(&key), None);
                }
            }
        }
        assert_equal(&table, &model);
        prop_assert_eq!(table.counts().refused, refused);
        prop_assert!(table.repair().was_whole());
        assert_equal(&table, &model);
        table.clear();
        assert_equal(&table, &Model::new());
    }

    #[test]
    fn a_full_lru_group_gives_up_what_was_not_used_for_longest(
        seed in any::<u64>(),
        changes in changes(400, 1000),
    ) {
        let shape = hash_shape(kind::LRU, 30, 8, 4);
        let table = new_table(&shape, seed);
        // For each group its keys, the one that was used last at the end.
        let mut groups: HashMap<usize, Vec<Entry>> = HashMap::new();
        let mut evicted = 0;
        for change in changes {
            let (Change::Set(number, _) | Change::Delete(number)) = change;
            let key = key(&shape, number);
            let group = groups.entry(table.hash().home(&key).first).or_default();
            let before = group.len();
            group.retain(|(other, _)| *other != key);
            match change {
                Change::Set(_, content) => {
                    if group.len() == 15 {
                        group.remove(0);
                        evicted += 1;
                    }
                    let value = value(&shape, content);
                    table.set(&key, &value).expect("an LRU table takes every key");
                    group.push((key, value));
                }
                Change::Delete(_) => prop_assert_eq!(table.delete(&key), group.len() < before),
            }
        }
        assert_equal(&table, &groups.into_values().flatten().collect());
        prop_assert_eq!(table.counts().evicted, evicted);
        prop_assert!(table.repair().was_whole());
    }
}

#[test]
fn every_table_takes_as_many_keys_as_it_says() {
    for (capacity, seed) in [(1, 1), (8, 2), (9, 3), (1000, 4), (65_536, 5), (65_537, 6)] {
        let shape = hash_shape(kind::HASH, capacity, 4, 4);
        let table = new_table(&shape, seed);
        let key = |number: u32| number.to_be_bytes();
        for number in 0..capacity {
            table.set(&key(number), &key(number)).expect("room");
        }
        let error = table.set(&key(capacity), &key(0)).expect_err("full");
        assert_eq!(error.code, ErrorCode::TableFull);
        table.set(&key(0), &key(7)).expect("a key that is there needs no room");
        assert!(table.delete(&key(0)));
        table.set(&key(capacity), &key(0)).expect("the room of the deleted one");
        assert_eq!(table.counts().count, capacity);
        assert_eq!(table.counts().refused, 1);
    }
}

#[test]
fn bytes_of_the_wrong_number_are_refused() {
    let table = new_table(&hash_shape(kind::HASH, 10, 6, 4), 1);
    for (key, value) in [(&[0; 5][..], &[0; 4][..]), (&[0; 7], &[0; 4]), (&[0; 6], &[0; 8])] {
        let error = table.set(key, value).expect_err("wrong sizes");
        assert_eq!(error.code, ErrorCode::TableValue);
    }
    assert_eq!(table.get(&[0; 5]), None);
    assert!(!table.delete(&[0; 8]));
    assert_eq!(table.counts().count, 0);
}

#[test]
fn a_reader_beside_the_writer_sees_whole_values() {
    let shape = hash_shape(kind::HASH, 64, 4, 64);
    let table = new_table(&shape, 9);
    let key = |number: u32| number.to_le_bytes();
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            for round in 0..20_000u32 {
                let number = round % 64;
                table.set(&key(number), &[round as u8; 64]).expect("room");
                if round % 5 == 0 {
                    table.delete(&key(number));
                }
            }
        });
        let mut seen = 0;
        while !done.is_finished() || seen == 0 {
            let value = table.get(&key(seen % 64));
            let listed = table.read(0, 100).0.into_iter().map(|(_, value)| value);
            for value in value.into_iter().chain(listed) {
                assert!(value.iter().all(|&byte| byte == value[0]), "torn: {value:?}");
            }
            seen += 1;
        }
    });
}

#[test]
fn a_value_that_is_being_written_says_so() {
    let shape = hash_shape(kind::HASH, 8, 4, 1024);
    let table = new_table(&shape, 9);
    table.set(&[1; 4], &[1; 1024]).expect("room");
    let place = table.hash().find(&[1; 4]).expect("it is there");
    let seen = AtomicBool::new(false);
    let end = Instant::now() + Duration::from_secs(20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !seen.load(Ordering::Relaxed) {
                table.set(&[1; 4], &[2; 1024]).expect("room");
            }
        });
        while table.hash().tag(place) != TAG_BUSY && Instant::now() < end {
            std::hint::spin_loop();
        }
        let was_busy = Instant::now() < end;
        seen.store(true, Ordering::Relaxed);
        assert!(was_busy, "a kill would leave half a value");
    });
}
