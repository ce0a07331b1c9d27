//! Arrays.

use wirelet_abi::ErrorCode;

use super::*;

#[test]
fn an_array_has_elements_by_number() {
    let shape = hash_shape(kind::ARRAY, 100, 0, 12);
    let table = new_table(&shape, 0);
    let key = |number: u32| number.to_le_bytes();
    table.set(&key(3), &[3; 12]).expect("an element");
    table.set(&key(99), &[9; 12]).expect("the last one");
    for none in [&key(100)[..], &[0; 3], &key(u32::MAX)] {
        assert_eq!(table.set(none, &[0; 12]).expect_err("no such").code, ErrorCode::TableValue);
        assert_eq!(table.get(none), None);
        assert!(!table.delete(none));
    }
    assert_eq!(table.set(&key(3), &[3; 11]).expect_err("short").code, ErrorCode::TableValue);
    assert_eq!(table.get(&key(3)), Some(vec![3; 12]));
    assert_eq!(table.get(&key(4)), Some(vec![0; 12]));
    assert_eq!(table.read(0, 1), (vec![(key(3).to_vec(), vec![3; 12])], Some(99)));
    assert_eq!(table.read(99, 1), (vec![(key(99).to_vec(), vec![9; 12])], None));
    assert_eq!(table.read(u64::MAX, 1), (vec![], None));
    assert!(table.delete(&key(3)) && !table.delete(&key(3)));
    table.clear();
    assert_eq!(listed(&table, 3), Model::new());
}
