//! What a crash leaves behind, and what a repair makes of it.

use wirelet_abi::table::{TAG_BUSY, TAG_EMPTY};

use super::super::hash::Place;
use super::*;

const SHAPE: Shape =
    Shape { kind: kind::HASH, shared: false, capacity: 2000, key_bytes: 13, value_bytes: 20 };

fn filled() -> (Arc<Table>, Model) {
    let table = new_table(&SHAPE, 3);
    let model: Model = (0..2000).map(|n| (key(&SHAPE, n), value(&SHAPE, n.into()))).collect();
    table.fill(model.iter().map(|(key, value)| (&key[..], &value[..]))).expect("room");
    (table, model)
}

#[test]
fn an_entry_that_was_being_written_is_freed() {
    let (table, mut model) = filled();
    let torn = key(&SHAPE, 7);
    let place = table.hash().find(&torn).expect("it is there");
    table.hash().set_tag(place, TAG_BUSY);
    table.memory().store32(0, 5);
    let repaired = table.repair();
    assert_eq!((repaired.busy, repaired.misplaced, repaired.interrupted), (1, 0, true));
    model.remove(&torn);
    assert_equal(&table, &model);
    assert!(table.repair().was_whole());
}

#[test]
fn a_key_that_lies_elsewhere_or_twice_is_freed() {
    let (table, model) = filled();
    let hash = table.hash();
    // The same entry again, in its own group and in one where it can't be.
    let (original, twin) = (0..)
        .map(|number| hash.find(&key(&SHAPE, number)).expect("it is there"))
        .find_map(|place| {
            let mut empty = super::super::hash::slots(hash.tags(place.group).matching(TAG_EMPTY));
            Some((place, Place { slot: empty.next()?, ..place }))
        })
        .expect("a group with room");
    let home = hash.home_of_hash(hash.hash_at(original));
    let elsewhere = (0..hash.geometry.groups)
        .find(|&group| {
            group != home.first && group != home.second && hash.tags(group).matching(0) != 0
        })
        .expect("another group with room");
    let slot = super::super::hash::slots(hash.tags(elsewhere).matching(TAG_EMPTY)).next();
    let stranger = Place { group: elsewhere, slot: slot.expect("room") };
    for copy in [twin, stranger] {
        for at in (0..hash.geometry.stride).step_by(8) {
            let word = hash.memory.load64(hash.entry(original) + at);
            hash.memory.store64(hash.entry(copy) + at, word);
        }
        hash.set_tag(copy, home.tag);
    }
    assert_eq!(table.repair().misplaced, 2);
    assert_equal(&table, &model);
}

#[test]
fn a_key_in_both_of_its_groups_stays_in_the_first() {
    let (table, model) = filled();
    let hash = table.hash();
    let first = model.keys().find_map(|key| {
        let (place, home) = (hash.find(key)?, hash.home(key));
        let mut room = super::super::hash::slots(hash.tags(home.second).matching(TAG_EMPTY));
        let other = Place { group: home.second, slot: room.next()? };
        (place.group == home.first && home.first != home.second).then_some((place, other, home))
    });
    let (place, other, home) = first.expect("a key that can be in two groups");
    for at in (0..hash.geometry.stride).step_by(8) {
        hash.memory.store64(hash.entry(other) + at, hash.memory.load64(hash.entry(place) + at));
    }
    hash.set_tag(other, home.tag);
    assert_eq!(table.repair().misplaced, 1);
    assert_eq!((hash.tag(place), hash.tag(other)), (home.tag, TAG_EMPTY));
    assert_equal(&table, &model);
}

#[test]
fn counts_that_lie_are_counted_anew() {
    let (table, model) = filled();
    table.hash().set_count(u32::MAX);
    for group in 0..table.geometry().groups {
        table.hash().set_overflow(group, 0);
    }
    assert!(table.repair().overflows > 0, "no key had gone to its second group");
    assert_equal(&table, &model);
    for group in 0..table.geometry().groups {
        table.hash().set_overflow(group, 200);
    }
    assert!(table.repair().was_whole(), "too high is slow, not wrong");
    assert!((0..table.geometry().groups).all(|group| table.hash().tags(group).overflow() < 200));
    for number in 0..2000 {
        assert!(table.delete(&key(&SHAPE, number)));
    }
    assert!((0..table.geometry().groups).all(|group| table.hash().tags(group).0 == [0; 16]));
}
