//! Tables against models: what a `HashMap` says is what a table must say.

mod array;
mod copying;
mod hash;
mod hostile;
mod lpm;
mod persist;
mod persist_killed;
mod persist_refused;
mod repair;
mod shape;

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use wirelet_abi::table::kind;

use super::{Shape, Table};

/// What a table must hold.
type Model = HashMap<Vec<u8>, Vec<u8>>;

/// What is done to a table.
#[derive(Clone, Debug)]
enum Change {
    Set(u16, u32),
    Delete(u16),
}

/// Few keys, so that they meet again.
fn changes(keys: u16, count: usize) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        3 => (0..keys, any::<u32>()).prop_map(|(key, value)| Change::Set(key, value)),
        1 => (0..keys).prop_map(Change::Delete),
    ];
    prop::collection::vec(change, 0..count)
}

fn hash_shape(of: u32, capacity: u32, key_bytes: u32, value_bytes: u32) -> Shape {
    Shape { kind: of, shared: false, capacity, key_bytes, value_bytes }
}

/// HASH shapes of all sizes that matter: words, and what is none.
fn hash_shapes(capacity_max: u32) -> impl Strategy<Value = Shape> {
    let keys = prop::sample::select(vec![2, 4, 8, 13, 16, 37]);
    let values = prop::sample::select(vec![0, 1, 4, 8, 12, 16, 61]);
    (1..=capacity_max, keys, values)
        .prop_map(|(capacity, key, value)| hash_shape(kind::HASH, capacity, key, value))
}

fn new_table(shape: &Shape, seed: u64) -> Arc<Table> {
    Arc::new(Table::with_seed("test", shape, seed).expect("a small table"))
}

/// The key of number `number`: all its bytes differ from those of others.
fn key(shape: &Shape, number: u16) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    (0..shape.key_bytes as usize).map(|at| bytes[at % 2].rotate_left(at as u32 / 2)).collect()
}

fn value(shape: &Shape, number: u32) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    (0..shape.value_bytes as usize).map(|at| bytes[at % 4].wrapping_add(at as u8 / 4)).collect()
}

/// Everything in the table, read in pieces of `max`.
fn listed(table: &Table, max: usize) -> Model {
    let mut all = Model::new();
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        let (entries, next) = table.read(from, max);
        assert!(entries.len() <= max, "{} entries", entries.len());
        for (key, value) in entries {
            assert!(all.insert(key, value).is_none(), "a key was listed twice");
        }
        cursor = next;
    }
    all
}

/// The table holds exactly what the model does, whichever way one looks.
fn assert_equal(table: &Table, model: &Model) {
    assert_eq!(&listed(table, 7), model);
    assert_eq!(table.counts().count as usize, model.len());
    for (key, value) in model {
        assert_eq!(table.get(key).as_ref(), Some(value));
    }
}
