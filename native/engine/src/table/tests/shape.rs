//! What can be asked for, and where it lies.

use wirelet_abi::table::{TableEntry, flags};
use wirelet_abi::{ErrorCode, guest, limits};

use super::*;

#[test]
fn what_no_table_can_be_is_refused() {
    let good = hash_shape(kind::HASH, 100, 4, 4);
    good.check().expect("an ordinary table");
    let bad = [
        Shape { kind: 0, ..good },
        Shape { kind: 6, ..good },
        Shape { kind: u32::MAX, ..good },
        Shape { capacity: 0, ..good },
        Shape { capacity: limits::TABLE_CAPACITY_MAX + 1, ..good },
        Shape { capacity: u32::MAX, ..good },
        Shape { key_bytes: 0, ..good },
        Shape { key_bytes: limits::TABLE_KEY_BYTES_MAX + 1, ..good },
        Shape { value_bytes: limits::TABLE_VALUE_BYTES_MAX + 1, ..good },
        Shape { value_bytes: u32::MAX, ..good },
        // More than the state window has room for.
        Shape { capacity: limits::TABLE_CAPACITY_MAX, value_bytes: 64, ..good },
        Shape { kind: kind::LPM4, ..good },
        Shape { kind: kind::LPM4, shared: true, key_bytes: 16, ..good },
        Shape { kind: kind::LPM6, shared: true, ..good },
        Shape { kind: kind::LPM6, shared: true, key_bytes: 16, value_bytes: 8, ..good },
        Shape { kind: kind::ARRAY, ..good },
        Shape { kind: kind::ARRAY, key_bytes: 0, value_bytes: 0, ..good },
        // An lcore would have to copy it in one go.
        Shape { kind: kind::ARRAY, key_bytes: 0, capacity: 1 << 20, ..good },
    ];
    for shape in bad {
        let error = shape.check().expect_err("a bad shape");
        assert_eq!(error.code, ErrorCode::Tables, "{shape:?}");
        assert!(Table::new("test", &shape).is_err());
    }
    Shape { kind: kind::ARRAY, key_bytes: 0, capacity: 1 << 20, shared: true, ..good }
        .check()
        .expect("the host replaces a shared one");
}

/// First address and bytes of each part, in order of address.
fn parts(shape: &Shape, entry: &TableEntry, bytes: usize) -> Vec<(u32, u32)> {
    let groups = entry.tags_mask / 16 + 1;
    let mut parts = vec![
        (entry.header, 64),
        (entry.tags, groups * 16),
        (entry.dirty, groups),
        (entry.entries, groups * 15 * entry.stride),
        (entry.header + bytes as u32, 0),
    ];
    if shape.kind == kind::LRU {
        parts.push((entry.ages, groups * 64));
    }
    parts.sort_unstable();
    parts
}

proptest! {
    #[test]
    fn parts_lie_apart_and_begin_at_cache_lines(
        mut shape in hash_shapes(5000),
        lru in any::<bool>(),
        tracking in any::<bool>(),
    ) {
        shape.kind = if lru { kind::LRU } else { kind::HASH };
        let table = new_table(&shape, 77);
        let entry = table.entry(guest::TABLES, tracking);
        let parts = parts(&shape, &entry, table.geometry().bytes);
        for pair in parts.windows(2) {
            prop_assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{parts:?}");
            prop_assert_eq!(pair[0].0 % 64, 0);
        }
        prop_assert!(table.geometry().bytes <= table.backing().bytes());
        let groups = entry.tags_mask / 16 + 1;
        prop_assert!(groups.is_power_of_two() && entry.tags_mask == (groups - 1) * 16);
        prop_assert!(groups * 8 >= shape.capacity);
        prop_assert_eq!(entry.copying, u32::from(tracking));
        prop_assert_eq!((entry.value_offset % 8, entry.stride % 8), (0, 0));
        prop_assert!(entry.value_offset >= shape.key_bytes);
        prop_assert!(entry.stride >= entry.value_offset + shape.value_bytes);
        prop_assert_eq!((entry.seed, entry.capacity, entry.kind), (77, shape.capacity, shape.kind));
    }
}

#[test]
fn an_array_is_a_header_and_elements() {
    let shape = Shape { shared: true, ..hash_shape(kind::ARRAY, 10, 0, 12) };
    let table = new_table(&shape, 0);
    let entry = table.entry(0x2020_0000, true);
    assert_eq!((entry.tags, entry.stride, entry.flags), (0x2020_0040, 16, flags::SHARED));
    assert_eq!((entry.entries, entry.dirty, entry.ages), (0, 0, 0));
    assert_eq!(table.geometry().bytes, 64 + 192);
}

#[test]
fn two_tables_have_two_seeds() {
    let shape = hash_shape(kind::HASH, 10, 4, 4);
    let [one, other] = [(); 2].map(|()| Table::new("test", &shape).expect("a table").seed());
    assert_ne!(one, other);
}
