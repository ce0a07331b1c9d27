//! Copies while somebody writes, step by step: every order of writes and copies is a test case.

use wirelet_abi::ErrorCode;

use super::super::TableCopy;
use super::*;

/// One burst of changes, and what the copier does between it and the next.
#[derive(Clone, Debug)]
struct Burst {
    changes: Vec<Change>,
    harvest: bool,
    copy: bool,
    /// Values that the program writes in place during the burst, after the copier has looked.
    in_place: Vec<(u16, u32)>,
}

fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    let in_place = prop::collection::vec((0..300u16, any::<u32>()), 0..8);
    let burst = (changes(300, 60), any::<bool>(), any::<bool>(), in_place)
        .prop_map(|(changes, harvest, copy, in_place)| Burst { changes, harvest, copy, in_place });
    prop::collection::vec(burst, 0..8)
}

fn apply(table: &Table, model: &mut Model, changes: &[Change]) {
    let shape = table.shape();
    for change in changes {
        match *change {
            Change::Set(number, content) => {
                let (key, value) = (key(shape, number), value(shape, content));
                if table.set(&key, &value).is_ok() {
                    model.insert(key, value);
                }
            }
            Change::Delete(number) => {
                let key = key(shape, number);
                let was = model.remove(&key).is_some();
                // The model of an LRU table does not know what has made room.
                assert!(table.delete(&key) == was || shape.kind == kind::LRU);
            }
        }
    }
}

/// What `table` must hold after a copy out of a table that holds `model`.
fn resized(model: &Model, shape: &Shape) -> Model {
    let resize = |(key, value): (&Vec<u8>, &Vec<u8>)| {
        let mut value = value.clone();
        value.resize(shape.value_bytes as usize, 0);
        (key.clone(), value)
    };
    model.iter().map(resize).collect()
}

/// A program has asked for references to values: it marks the groups, and writes later.
fn references(table: &Table, numbers: &[(u16, u32)]) -> Vec<(usize, usize, Vec<u8>, u32)> {
    let hash = table.hash();
    let reference = |&(number, content): &(u16, u32)| {
        let key = key(table.shape(), number);
        let place = hash.find(&key)?;
        hash.mark(place.group);
        Some((place.group, hash.value(place), key, content))
    };
    numbers.iter().filter_map(reference).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_copy_holds_what_its_source_holds_when_it_is_finished(
        // Most are full, and have groups that are crowded.
        capacity in 1u32..150,
        sizes in (4u32..30, 0u32..50, 0u32..50),
        lru in any::<bool>(),
        growth in 1u32..6,
        seed in any::<u64>(),
        before in changes(300, 600),
        bursts in bursts(),
        groups_max in 1usize..5,
        dirt in changes(300, 50),
    ) {
        let of = if lru { kind::LRU } else { kind::HASH };
        let shape = hash_shape(of, capacity, sizes.0, sizes.1);
        let target = Shape { capacity: capacity * growth, value_bytes: sizes.2, ..shape };
        let (from, to) = (new_table(&shape, seed), new_table(&target, seed));
        // What is left in it of an earlier copy goes.
        apply(&to, &mut Model::new(), &dirt);
        let mut model = Model::new();
        let track = |model: &mut Model| if lru { *model = listed(&from, 1000) };
        apply(&from, &mut model, &before);
        let mut copy = TableCopy::new(Arc::clone(&from), Arc::clone(&to)).expect("it fits");
        copy.copy_all();
        for burst in &bursts {
            track(&mut model);
            let references = references(&from, &burst.in_place);
            if burst.harvest {
                copy.harvest();
            }
            for (_, at, key, content) in references {
                let value = value(&shape, content);
                from.memory().store(at, &value);
                model.insert(key, value);
            }
            // A boundary: only now are they copied, perhaps in the middle of the next burst.
            if burst.copy {
                copy.copy_harvested();
            }
            let (first, rest) = burst.changes.split_at(burst.changes.len() / 2);
            apply(&from, &mut model, first);
            if burst.copy {
                copy.copy_harvested();
            }
            apply(&from, &mut model, rest);
        }
        let mut boundaries = 0;
        while !copy.finish(groups_max) {
            boundaries += 1;
            prop_assert!(boundaries < 1000, "it never ends");
            if boundaries < 4 {
                apply(&from, &mut model, &[Change::Set(boundaries, 1), Change::Delete(5)]);
            }
        }
        track(&mut model);
        let model = resized(&model, &target);
        assert_equal(&to, &model);
        prop_assert!(to.repair().was_whole());
        prop_assert_eq!(to.counts(), from.counts());
        assert_goes_on(&from, &to, resized(&model, &shape), lru);
    }
}

/// The copy is a table like any other: the next changes do to it what they do to its source.
fn assert_goes_on(from: &Table, to: &Table, mut source: Model, lru: bool) {
    let mut copied = resized(&source, to.shape());
    let deletes: Vec<Change> = (0..150).map(Change::Delete).collect();
    apply(from, &mut source, &deletes);
    apply(to, &mut copied, &deletes);
    assert_equal(to, &copied);
    if lru && from.geometry() == to.geometry() {
        // Ages came along: both give up the same keys.
        let sets: Vec<Change> = (300..600).map(|number| Change::Set(number, 1)).collect();
        apply(from, &mut source, &sets);
        apply(to, &mut copied, &sets);
        let keys = |table| listed(table, 9).into_keys().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(keys(from), keys(to));
    }
}

#[test]
fn a_boundary_copies_no_more_groups_than_it_is_told() {
    let shape = hash_shape(kind::HASH, 1000, 4, 4);
    let (from, to) = (new_table(&shape, 1), new_table(&shape, 1));
    let mut copy = TableCopy::new(Arc::clone(&from), to).expect("it fits");
    let marked =
        || (0..128).filter(|group| from.memory().load8(from.geometry().dirty + group) != 0);
    (0..100).for_each(|group| from.hash().mark(group));
    assert_eq!(copy.harvest(), 100);
    (0..60).for_each(|group| from.hash().mark(group));
    // First those that were taken, then those that are marked.
    assert!(!copy.finish(70));
    assert_eq!(marked().count(), 60);
    assert!(!copy.finish(70));
    assert_eq!(marked().count(), 20);
    assert!(copy.finish(20));
    assert_eq!(marked().count(), 0);
    assert!(copy.finish(0), "nothing has changed");
    from.hash().mark(127);
    assert!(!copy.finish(0));
}

#[test]
fn a_first_key_that_goes_to_its_second_group_is_found_in_the_copy() {
    let shape = hash_shape(kind::HASH, 2000, 4, 4);
    let (from, to) = (new_table(&shape, 1), new_table(&shape, 1));
    let mut copy = TableCopy::new(Arc::clone(&from), Arc::clone(&to)).expect("it fits");
    copy.copy_all();
    let mut second = 0;
    for number in 0..2000 {
        let (key, home) = (key(&shape, number), from.hash().home(&key(&shape, number)));
        from.set(&key, &[1; 4]).expect("room");
        second += u32::from(from.hash().find(&key).is_some_and(|place| place.group != home.first));
        // Both groups changed in this burst: the second by the key, the first by its count.
        while !copy.finish(1) {}
        assert!(to.get(&key).is_some(), "key {number}, of two groups {home:?}");
    }
    assert!(second > 0, "no group was crowded");
}

#[test]
fn what_fills_up_a_value_is_no_part_of_it() {
    for (before, after) in [(12, 16), (12, 30), (12, 9), (1, 8), (8, 16)] {
        let shape = hash_shape(kind::HASH, 10, 8, before);
        let target = Shape { value_bytes: after, ..shape };
        let (from, to) = (new_table(&shape, 1), new_table(&target, 1));
        from.set(&[1; 8], &vec![7; before as usize]).expect("room");
        let place = from.hash().find(&[1; 8]).expect("it is there");
        let last = from.hash().value(place) + (before as usize - 1) / 8 * 8;
        if before % 8 != 0 {
            let word = from.memory().load64(last);
            from.memory().store64(last, word | u64::MAX << (before % 8 * 8));
        }
        let mut copy = TableCopy::new(from, Arc::clone(&to)).expect("it fits");
        copy.copy_all();
        assert!(copy.finish(1));
        let mut value = vec![7; before as usize];
        value.resize(after as usize, 0);
        assert_eq!(to.get(&[1; 8]), Some(value));
        let words = (after as usize).div_ceil(8);
        let padded = to.memory().load(to.hash().value(place), words * 8);
        assert!(padded[after.min(before) as usize..].iter().all(|&byte| byte == 0), "{padded:?}");
    }
}

#[test]
fn what_can_not_be_copied_is_refused() {
    let shape = hash_shape(kind::HASH, 100, 8, 8);
    let from = new_table(&shape, 1);
    for bad in [
        Shape { kind: kind::LRU, ..shape },
        Shape { key_bytes: 9, ..shape },
        Shape { capacity: 10, ..shape },
        hash_shape(kind::ARRAY, 1000, 0, 8),
    ] {
        let error = TableCopy::new(Arc::clone(&from), new_table(&bad, 1)).expect_err("no copy");
        assert_eq!(error.code, ErrorCode::TableSchema, "{bad:?}");
    }
    let array = new_table(&hash_shape(kind::ARRAY, 10, 0, 8), 1);
    let smaller = new_table(&hash_shape(kind::ARRAY, 9, 0, 8), 1);
    assert!(TableCopy::new(array, smaller).is_err());
}

#[test]
fn an_array_is_copied_whole() {
    for (capacity, value_bytes) in [(10, 12), (20, 12), (10, 29), (10, 5)] {
        let shape = hash_shape(kind::ARRAY, 10, 0, 12);
        let target = Shape { capacity, value_bytes, ..shape };
        let (from, to) = (new_table(&shape, 1), new_table(&target, 1));
        let mut model = Model::new();
        let mut copy = TableCopy::new(Arc::clone(&from), Arc::clone(&to)).expect("it fits");
        for index in 0..10u32 {
            let value = vec![index as u8 + 1; 12];
            from.set(&index.to_le_bytes(), &value).expect("an element");
            model.insert(index.to_le_bytes().to_vec(), value);
            if index == 5 {
                copy.copy_all();
                copy.harvest();
                copy.copy_harvested();
            }
        }
        assert!(copy.finish(1));
        assert_eq!(listed(&to, 100), resized(&model, &target));
    }
}
