//! Tables of prefixes: bytes in, rules and tree in between, bytes out.

use std::mem::offset_of;

use wirelet_abi::table::{LPM_VALUE_MAX, TableHeader};
use wirelet_abi::{Error, ErrorCode};

use super::lpm::{self, Full, Lpm, Prefix, address_bits};
use super::state::{Listing, Table};

impl Table {
    /// LPM: the value of the longest prefix that an address in network order lies in. Takes no
    /// lock: it is what programs do, for tests and benches.
    #[inline]
    pub fn lookup(&self, address: &[u8]) -> Option<u32> {
        let bits = address_bits(address, self.shape().key_bytes)?;
        lpm::find(self.memory(), self.geometry(), bits)
    }
}

/// With the lock: nobody uses a node again while somebody is in it.
pub fn get(table: &Table, lpm: &Lpm, key: &[u8]) -> Option<Vec<u8>> {
    let value = match Prefix::parse(key, table.shape().key_bytes) {
        Some(prefix) => lpm.get(prefix),
        None => table.lookup(key),
    };
    Some(value?.to_le_bytes().to_vec())
}

pub fn read(lpm: &Lpm, cursor: u64, max: usize) -> Listing {
    let (rules, next) = lpm.read(cursor, max);
    let entry = |(prefix, value): (Prefix, u32)| (prefix.key(), value.to_le_bytes().to_vec());
    (rules.into_iter().map(entry).collect(), next)
}

pub fn set(table: &Table, lpm: &mut Lpm, key: &[u8], value: &[u8]) -> Result<(), Error> {
    let name = table.name();
    let refuse = |code, message: String| Err(Error::new(code, format!("{name}: {message}")));
    let Some(prefix) = Prefix::parse(key, table.shape().key_bytes) else {
        let bytes = table.shape().key_bytes;
        let message = format!("{key:02x?} is no prefix: {bytes} bytes, zero behind it, its length");
        return refuse(ErrorCode::TableValue, message);
    };
    let value = value.try_into().map_or(u32::MAX, u32::from_le_bytes);
    if value > LPM_VALUE_MAX {
        let message = format!("{prefix}: {value} is more than {LPM_VALUE_MAX}");
        return refuse(ErrorCode::TableValue, message);
    }
    let Err(full) = lpm.set(prefix, value) else {
        table.set_count(lpm.count());
        return Ok(());
    };
    let refused = offset_of!(TableHeader, refused);
    table.memory().store64(refused, table.memory().load64(refused) + 1);
    let message = match full {
        Full::Rules => format!("{prefix}: {} prefixes at most", table.shape().capacity),
        Full::Nodes => {
            let nodes = table.geometry().nodes;
            format!("{prefix}: the {nodes} nodes are in use; replace the table by a larger one")
        }
    };
    refuse(ErrorCode::TableFull, message)
}

pub fn delete(table: &Table, lpm: &mut Lpm, key: &[u8]) -> bool {
    let prefix = Prefix::parse(key, table.shape().key_bytes);
    let was = prefix.is_some_and(|prefix| lpm.delete(prefix));
    table.set_count(lpm.count());
    was
}
