//! A hostile program writes what it likes into its tables. Whatever is there: no panic, nothing
//! outside of the memory, an end after a bounded time; and after a repair it is a table again.

use super::super::TableCopy;
use super::*;

/// Bytes of a table: random, or nearly a table, so that the code goes far before it meets them.
fn scribble(table: &Table, seed: u64, keep_tags: bool) {
    let memory = table.memory();
    let mut state = seed;
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ mixed >> 27
    };
    let start = if keep_tags { table.geometry().tags } else { 0 };
    for at in (start..table.geometry().bytes).step_by(8) {
        let word = next();
        // Half of the words stay: true keys beside false ones.
        if !keep_tags || word.is_multiple_of(2) {
            memory.store64(at, word);
        }
    }
}

/// Memory behind the table's own that must stay as it is.
fn margin(table: &Table) -> Vec<u8> {
    let end = table.geometry().bytes;
    table.memory().load(end, table.backing().bytes() - end)
}

fn use_every_entry_point(table: &Arc<Table>, larger: &Shape) {
    let shape = *table.shape();
    // Few: each look-up that meets what seems to be written right now waits for it.
    for number in 0..6 {
        let (key, value) = (key(&shape, number), value(&shape, 5));
        let _ = table.get(&key);
        let set = table.set(&key, &value);
        if set.is_ok() && shape.kind != kind::ARRAY {
            assert_eq!(table.get(&key), Some(value), "its writer has just set it");
        }
        let _ = table.delete(&key);
    }
    let groups = table.geometry().groups as u64;
    for cursor in [0, 1, 15, groups * 16 - 1, groups * 16, u64::MAX] {
        let (entries, _) = table.read(cursor, 10);
        assert!(entries.len() <= 10);
    }
    let _ = table.counts();
    let to = new_table(larger, table.seed());
    let mut copy = TableCopy::new(Arc::clone(table), Arc::clone(&to)).expect("it fits");
    copy.harvest();
    copy.copy_all();
    copy.copy_harvested();
    for _ in 0..groups + 1 {
        copy.finish(1);
    }
    assert!(copy.finish(usize::MAX));
    let count = to.counts().count as usize;
    to.repair();
    assert!(to.counts().count as usize <= count, "a copy holds no more than it counts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_bytes_do_no_harm(
        mut shape in hash_shapes(100),
        lru in any::<bool>(),
        seed in any::<u64>(),
        keep_tags in any::<bool>(),
    ) {
        shape.kind = if lru { kind::LRU } else { kind::HASH };
        let larger = Shape { capacity: 300, ..shape };
        let table = new_table(&shape, seed);
        for number in 0..100 {
            let _ = table.set(&key(&shape, number), &value(&shape, 1));
        }
        let before = margin(&table);
        scribble(&table, seed, keep_tags);
        use_every_entry_point(&table, &larger);
        scribble(&table, seed ^ 1, keep_tags);
        let repaired = table.repair();
        prop_assert_eq!(repaired.count, table.counts().count);
        prop_assert_eq!(listed(&table, 64).len(), repaired.count as usize);
        for (key, value) in listed(&table, 64) {
            prop_assert_eq!(table.get(&key), Some(value));
        }
        prop_assert!(table.repair().was_whole());
        table.clear();
        use_every_entry_point(&table, &larger);
        prop_assert!(margin(&table) == before, "written behind the table");
    }

    #[test]
    fn any_bytes_of_an_array_are_its_elements(seed in any::<u64>()) {
        let shape = hash_shape(kind::ARRAY, 30, 0, 20);
        let table = new_table(&shape, 1);
        scribble(&table, seed, false);
        use_every_entry_point(&table, &Shape { capacity: 50, ..shape });
        table.repair();
    }
}
