//! What is written behind a state file's memory: whose it is, and what.
//!
//! ```text
//! magic u64, version u32, active u32, bytes u32, 0 u32, checksum u64: 32 bytes
//! fields: kind, shared, capacity, key bytes, value bytes, nodes, lcore: u32 each;
//!         seed, serial, memory bytes: u64 each
//! texts: program, name, fields of the key, fields of the value: bytes u32 and UTF-8 each
//! ```
//! All but *active* is written once, before the file gets its name, and covered by the checksum.

use wirelet_abi::table;

use crate::table::memory::words;
use crate::table::shape::Shape;

/// Bytes before the fields.
pub const HEAD_BYTES: usize = 32;
/// Where *active* lies.
pub const ACTIVE: usize = 12;

const MAGIC: u64 = u64::from_le_bytes(*b"wirelet\0");
/// Goes up with every change of this layout or of a table's.
const VERSION: u32 = 1;
const NO_LCORE: u32 = u32::MAX;
/// Longer texts are damage.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Kind of a file with the values of counters: no table's kind.
pub const KIND_COUNTERS: u32 = 0x100;
/// Kind of a file with the names of counters.
pub const KIND_NAMES: u32 = 0x101;

/// Whose state it is, and of what shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The program, as the engine knows it.
    pub program: String,
    /// The table's name.
    pub name: String,
    /// The lcore that writes it; none for what all share.
    pub lcore: Option<u32>,
    /// Kind, capacity, sizes.
    pub shape: Shape,
    /// Fields of key and value.
    pub layouts: [String; 2],
    /// Nodes of an LPM table.
    pub nodes: u32,
    /// Where the hash begins.
    pub seed: u64,
    /// Of several for the same table the one with the largest number is the newest.
    pub serial: u64,
    /// Bytes of memory before the label.
    pub memory_bytes: u64,
}

/// What is the same for all files that take each other's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    program: String,
    name: String,
    lcore: Option<u32>,
    /// Counters are no table, whatever their name.
    what: u32,
}

/// Why there is no label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Written by another version of Wirelet.
    Version(u32),
    /// No label, or not as it was written.
    Damaged(&'static str),
}

impl Label {
    /// Whose it is.
    pub fn identity(&self) -> Identity {
        let (program, name) = (self.program.clone(), self.name.clone());
        Identity { program, name, lcore: self.lcore, what: self.shape.kind & !0xFF }
    }

    /// The label as it is written; not active.
    pub fn encode(&self) -> Vec<u8> {
        let Shape { kind, shared, capacity, key_bytes, value_bytes } = self.shape;
        let lcore = self.lcore.unwrap_or(NO_LCORE);
        let numbers = [kind, shared.into(), capacity, key_bytes, value_bytes, self.nodes, lcore];
        let mut body: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let long = [self.seed, self.serial, self.memory_bytes];
        body.extend(long.iter().flat_map(|number| number.to_le_bytes()));
        for text in [&self.program, &self.name, &self.layouts[0], &self.layouts[1]] {
            body.extend((text.len() as u32).to_le_bytes());
            body.extend(text.as_bytes());
        }
        let mut label = MAGIC.to_le_bytes().to_vec();
        for number in [VERSION, 0, body.len() as u32, 0] {
            label.extend(number.to_le_bytes());
        }
        label.extend(checksum(&body).to_le_bytes());
        label.extend(body);
        label
    }

    /// The label out of the bytes behind a file's memory, and whether it is active; of any bytes.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn decode(tail: &[u8]) -> Result<(Label, bool), Unreadable> {
        let mut head = Reader(tail);
        let (magic, version) = (head.u64(), head.u32());
        if magic != Some(MAGIC) {
            return Err(Unreadable::Damaged("it has no label"));
        }
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(Unreadable::Version(other)),
            None => return Err(Unreadable::Damaged("its label is cut off")),
        }
        let active = head.u32() == Some(1);
        let bytes = head.u32().unwrap_or(0) as usize;
        let (_, sum) = (head.u32(), head.u64());
        let body = tail.get(HEAD_BYTES..).and_then(|rest| rest.get(..bytes));
        let body = body.ok_or(Unreadable::Damaged("its label is cut off"))?;
        if sum != Some(checksum(body)) {
            return Err(Unreadable::Damaged("its label is not as it was written"));
        }
        let label = Self::decode_body(Reader(body));
        label.map(|label| (label, active)).ok_or(Unreadable::Damaged("its label is no label"))
    }

    fn decode_body(mut body: Reader<'_>) -> Option<Label> {
        let kind = body.u32()?;
        let shared = body.u32()? == 1;
        let (capacity, key_bytes, value_bytes) = (body.u32()?, body.u32()?, body.u32()?);
        let shape = Shape { kind, shared, capacity, key_bytes, value_bytes };
        let nodes = body.u32()?;
        let lcore = Some(body.u32()?).filter(|&lcore| lcore != NO_LCORE);
        let (seed, serial, memory_bytes) = (body.u64()?, body.u64()?, body.u64()?);
        let (program, name) = (body.text()?, body.text()?);
        let layouts = [body.text()?, body.text()?];
        Some(Label { program, name, lcore, shape, layouts, nodes, seed, serial, memory_bytes })
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    table::hash(bytes.len() as u64, words(bytes))
}

/// Reads numbers and texts one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let bytes = self.u32()? as usize;
        if bytes > TEXT_BYTES_MAX {
            return None;
        }
        String::from_utf8(self.take(bytes)?.to_vec()).ok()
    }
}
