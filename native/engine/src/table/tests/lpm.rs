//! Longest prefix match against the plainest oracle: a list that is searched from end to end.

use std::sync::atomic::{AtomicBool, Ordering};

use wirelet_abi::ErrorCode;
use wirelet_abi::table::LPM_VALUE_MAX;

use super::super::TableCopy;
use super::*;

fn lpm_shape(bytes: u32, capacity: u32) -> Shape {
    let of = if bytes == 4 { kind::LPM4 } else { kind::LPM6 };
    Shape { kind: of, shared: true, capacity, key_bytes: bytes, value_bytes: 4 }
}

/// `(address, length)` with zeros behind the prefix.
fn cut(mut address: Vec<u8>, length: u8) -> Vec<u8> {
    for bit in usize::from(length)..address.len() * 8 {
        address[bit / 8] &= !(0x80 >> (bit % 8));
    }
    address.push(length);
    address
}

fn covers(prefix: &[u8], address: &[u8]) -> bool {
    let (&length, _) = prefix.split_last().expect("a prefix");
    cut(address.to_vec(), length) == prefix
}

fn longest(model: &Model, address: &[u8]) -> Option<Vec<u8>> {
    let covering = model.iter().filter(|(prefix, _)| covers(prefix, address));
    covering
        .max_by_key(|(prefix, _)| *prefix.last().expect("a length"))
        .map(|(_, value)| value.clone())
}

/// Addresses that share their beginnings, so that prefixes lie in one another.
fn address(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(10u8), 2 => Just(11), 1 => any::<u8>()];
    prop::collection::vec(byte, bytes)
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, u32),
    Delete(Vec<u8>),
    /// Deletes the n-th of those that are there.
    DeleteNth(usize),
    Settle,
    Clear,
}

fn steps(bytes: usize) -> impl Strategy<Value = Vec<Step>> {
    let prefix = move || {
        (address(bytes), 0..=8 * bytes as u8).prop_map(|(address, length)| cut(address, length))
    };
    let step = prop_oneof![
        40 => (prefix(), 0..=LPM_VALUE_MAX).prop_map(|(prefix, value)| Step::Set(prefix, value)),
        5 => prefix().prop_map(Step::Delete),
        25 => any::<usize>().prop_map(Step::DeleteNth),
        5 => Just(Step::Settle),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 0..120)
}

fn take(table: &Table, model: &mut Model, step: Step) {
    match step {
        Step::Set(prefix, value) => {
            let value = value.to_le_bytes();
            if table.set(&prefix, &value).is_ok() {
                model.insert(prefix, value.to_vec());
            } else {
                assert!(!model.contains_key(&prefix) || table.counts().refused > 0);
            }
        }
        Step::Delete(prefix) => {
            assert_eq!(table.delete(&prefix), model.remove(&prefix).is_some());
        }
        Step::DeleteNth(number) => {
            let mut prefixes: Vec<&Vec<u8>> = model.keys().collect();
            prefixes.sort();
            if let Some(&prefix) = prefixes.get(number % prefixes.len().max(1)) {
                let prefix = prefix.clone();
                assert!(table.delete(&prefix));
                model.remove(&prefix);
            }
        }
        Step::Settle => table.settle(),
        Step::Clear => {
            table.clear();
            model.clear();
        }
    }
}

/// All addresses give the value of the longest prefix that they lie in: those at the edges of every
/// prefix, beside it, and others.
fn assert_matches(table: &Table, model: &Model, others: &[Vec<u8>]) {
    assert_eq!(&listed(table, 7), model);
    assert_eq!(table.counts().count as usize, model.len());
    let edges = model.keys().flat_map(|prefix| {
        let (&length, first) = prefix.split_last().expect("a length");
        let mut last = first.to_vec();
        (usize::from(length)..last.len() * 8).for_each(|bit| last[bit / 8] |= 0x80 >> (bit % 8));
        let beside = |address: &[u8], by: u128| {
            let mut all = [0; 16];
            all[16 - address.len()..].copy_from_slice(address);
            let moved = u128::from_be_bytes(all).wrapping_add(by).to_be_bytes();
            moved[16 - address.len()..].to_vec()
        };
        [first.to_vec(), beside(first, u128::MAX), beside(&last, 1), last]
    });
    for address in edges.chain(others.iter().cloned()) {
        assert_eq!(table.get(&address), longest(model, &address), "{address:?}");
    }
    for (prefix, value) in model {
        assert_eq!(table.get(prefix).as_ref(), Some(value));
    }
}

fn check(bytes: u32, capacity: u32, steps: Vec<Step>, others: &[Vec<u8>]) {
    let shape = lpm_shape(bytes, capacity);
    let table = new_table(&shape, 1);
    let mut model = Model::new();
    for step in steps {
        take(&table, &mut model, step);
    }
    assert_matches(&table, &model, others);
    let larger = lpm_shape(bytes, capacity + 7);
    let larger = Arc::new(table.successor(&larger).expect("a larger one"));
    let mut copy = TableCopy::new(Arc::clone(&table), Arc::clone(&larger)).expect("it fits");
    copy.copy_all();
    assert!(copy.finish(1));
    assert_matches(&larger, &model, others);
    // As after a restart: the rules lie in the memory, nothing else is known.
    let repaired = table.repair();
    assert!(repaired.was_whole() && repaired.count as usize == model.len());
    assert_matches(&table, &model, others);
    for prefix in model.keys() {
        assert!(table.delete(prefix));
    }
    table.settle();
    assert_eq!(table.lpm().expect("an LPM table").nodes(), 0, "nodes that nothing needs");
    assert_matches(&table, &Model::new(), others);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_ipv4_address_gets_its_longest_prefix(
        steps in steps(4),
        others in prop::collection::vec(address(4), 50),
        capacity in 20u32..100,
    ) {
        check(4, capacity, steps, &others);
    }

    #[test]
    fn an_ipv6_address_gets_its_longest_prefix(
        steps in steps(16),
        others in prop::collection::vec(address(16), 50),
        capacity in 20u32..100,
    ) {
        check(16, capacity, steps, &others);
    }
}

proptest! {
    // The root alone has 64 MiB.
    #![proptest_config(ProptestConfig::with_cases(2))]

    #[test]
    fn a_root_of_24_bits_finds_the_same(
        steps in steps(4),
        steps_v6 in steps(16),
        others in prop::collection::vec(address(4), 50),
    ) {
        check(4, 4096, steps, &others);
        check(16, 4096, steps_v6, &[]);
    }

    #[test]
    fn bytes_that_others_wrote_lead_nowhere(
        steps in steps(4),
        after in steps(4),
        junk in prop::collection::vec(any::<u32>(), 100..200),
    ) {
        let table = new_table(&lpm_shape(4, 60), 1);
        let mut model = Model::new();
        steps.into_iter().for_each(|step| take(&table, &mut model, step));
        let end = table.geometry().bytes;
        for (index, &word) in junk.iter().cycle().take(end / 4).enumerate() {
            if word % 2 == 0 {
                table.memory().store32(index * 4, (word ^ index as u32) >> (word % 32));
            }
        }
        for step in after {
            let _ = match step {
                Step::Set(prefix, value) => table.set(&prefix, &value.to_le_bytes()).is_ok(),
                Step::Delete(prefix) => table.delete(&prefix),
                _ => table.get(&[10, 10, 10, 10]).is_some(),
            };
        }
        table.settle();
        table.repair();
        assert_matches(&table, &listed(&table, 100), &[vec![10; 4]]);
    }
}

#[test]
fn a_node_of_two_prefixes_of_one_length_stays() {
    let table = new_table(&lpm_shape(4, 10), 1);
    for (prefix, value) in
        [([10, 0, 0, 0, 17], 1), ([10, 0, 128, 0, 17], 2), ([10, 0, 7, 0, 24], 3)]
    {
        table.set(&prefix, &[value, 0, 0, 0]).expect("room");
    }
    assert!(table.delete(&[10, 0, 7, 0, 24]));
    assert_eq!(table.lookup(&[10, 0, 7, 1]), Some(1));
    // Below it a node comes and goes.
    table.set(&[10, 0, 7, 7, 32], &[3, 0, 0, 0]).expect("room");
    assert!(table.delete(&[10, 0, 7, 7, 32]));
    assert_eq!(table.lookup(&[10, 0, 128, 1]), Some(2));
    assert!(table.delete(&[10, 0, 0, 0, 17]));
    assert_eq!(table.lookup(&[10, 0, 7, 1]), None);
    assert_eq!(table.lookup(&[10, 0, 128, 1]), Some(2));
}

#[test]
fn what_is_no_prefix_is_refused() {
    let table = new_table(&lpm_shape(4, 10), 1);
    let value = 5u32.to_le_bytes();
    for key in [&[10, 0, 0, 0][..], &[10, 0, 0, 1, 24], &[10, 0, 0, 0, 33], &[0; 6], &[]] {
        assert_eq!(table.set(key, &value).expect_err("no prefix").code, ErrorCode::TableValue);
        assert!(!table.delete(key));
    }
    let large = (LPM_VALUE_MAX + 1).to_le_bytes();
    assert_eq!(
        table.set(&[10, 0, 0, 0, 8], &large).expect_err("large").code,
        ErrorCode::TableValue
    );
    assert_eq!(table.counts().count, 0);
    table.set(&[0, 0, 0, 0, 0], &LPM_VALUE_MAX.to_le_bytes()).expect("a default route");
    assert_eq!(table.get(&[1, 2, 3, 4]), Some(LPM_VALUE_MAX.to_le_bytes().to_vec()));
    assert_eq!(table.get(&[1, 2, 3]), None);
}

#[test]
fn a_full_table_says_of_what_and_stays_as_it_was() {
    let shape = lpm_shape(16, 4095);
    let table = new_table(&shape, 1);
    let host = |number: u16| {
        let mut key = vec![0x20; 16];
        key[0..2].copy_from_slice(&number.to_be_bytes());
        key.push(128);
        key
    };
    let nodes = table.geometry().nodes;
    let count = nodes as u16 / 14;
    for number in 0..count {
        table.set(&host(number), &[1, 0, 0, 0]).expect("14 nodes");
    }
    let error = table.set(&host(count), &[1, 0, 0, 0]).expect_err("no node left");
    assert_eq!(error.code, ErrorCode::TableFull);
    assert!(error.message.contains("nodes"), "{error}");
    assert_eq!(table.get(&host(count)[..16]), None);
    assert_eq!((table.counts().count, table.counts().refused), (count.into(), 1));
    // Given up, but not free before lcores have passed a boundary.
    assert!(table.delete(&host(0)));
    table.set(&host(count), &[1, 0, 0, 0]).expect_err("an lcore may still be in there");
    table.settle();
    table.set(&host(count), &[1, 0, 0, 0]).expect("the nodes of the deleted one");
    // A table that is built out of prefixes has as many nodes as they need.
    let entries: Vec<_> = (0..2000).map(host).collect();
    let entries_of = entries.iter().map(|key| (&key[..], &[7, 0, 0, 0][..]));
    let built = Table::build("built", &shape, entries_of).expect("nodes for all");
    assert!(entries.iter().all(|key| built.get(&key[..16]) == Some(vec![7, 0, 0, 0])));
    // As many prefixes as asked for, in any case.
    let small = new_table(&lpm_shape(4, 2), 1);
    for number in 0..2 {
        small.set(&[10, number, 0, 0, 16], &[1, 0, 0, 0]).expect("room");
    }
    let error = small.set(&[10, 2, 0, 0, 16], &[1, 0, 0, 0]).expect_err("full");
    assert!(error.code == ErrorCode::TableFull && !error.message.contains("nodes"), "{error}");
    small.set(&[10, 1, 0, 0, 16], &[9, 0, 0, 0]).expect("it is there already");
}

#[test]
fn rules_that_have_no_room_after_a_restart_go() {
    let shape = lpm_shape(16, 4095);
    let key = |number: u16| {
        let mut key = vec![0x20; 16];
        key[0..2].copy_from_slice(&number.to_be_bytes());
        key.push(128);
        key
    };
    let keys: Vec<_> = (0..2000).map(key).collect();
    let entries = keys.iter().map(|key| (&key[..], &[7, 0, 0, 0][..]));
    let large = Table::build("large", &shape, entries).expect("nodes for all");
    let small = new_table(&shape, 1);
    // Whatever takes its place has as many nodes.
    let successor = Arc::new(large.successor(&shape).expect("room"));
    assert!(successor.geometry().nodes >= large.geometry().nodes);
    let large = Arc::new(large);
    let mut copy = TableCopy::new(Arc::clone(&large), Arc::clone(&successor)).expect("it fits");
    copy.copy_all();
    assert_eq!(successor.counts().count, 2000);
    assert!(TableCopy::new(Arc::clone(&large), new_table(&shape, 1)).is_err(), "fewer nodes");
    let (from, to) = (large.geometry().rules, small.geometry().rules);
    for at in (0..small.geometry().bytes - to).step_by(4) {
        small.memory().store32(to + at, large.memory().load32(from + at));
    }
    let repaired = small.repair();
    assert_eq!((repaired.count, repaired.count + repaired.misplaced), (1174, 2000));
    assert_eq!(repaired.count as usize, listed(&small, 100).len());
    assert!(small.repair().was_whole());
}

#[test]
fn a_reader_beside_the_writer_never_meets_a_hole() {
    let table = new_table(&lpm_shape(4, 100), 1);
    table.set(&[10, 0, 0, 0, 8], &[1, 0, 0, 0]).expect("room");
    table.set(&[11, 0, 0, 0, 8], &[2, 0, 0, 0]).expect("room");
    let (done, boundary) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..400u32 {
                let length = 9 + (round % 24) as u8;
                let more = cut(vec![10, 1, 1, 1], length);
                table.set(&more, &[3, 0, 0, 0]).expect("room");
                let other = cut(vec![11, 1, 1, 1], length);
                table.set(&other, &[4, 0, 0, 0]).expect("room");
                assert!(table.delete(&more) && table.delete(&other));
                // Only when the reader is in no node: these become parts of other prefixes next.
                boundary.store(false, Ordering::Release);
                while !boundary.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                table.settle();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            for _ in 0..10 {
                let (ten, eleven) = (table.lookup(&[10, 1, 1, 1]), table.lookup(&[11, 1, 1, 1]));
                assert!(matches!(ten, Some(1 | 3)), "{ten:?}");
                assert!(matches!(eleven, Some(2 | 4)), "{eleven:?}");
            }
            boundary.store(true, Ordering::Release);
        }
        boundary.store(true, Ordering::Release);
    });
}
