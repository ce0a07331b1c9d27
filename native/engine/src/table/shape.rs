//! What a program asks for, and where it lies in memory.

use wirelet_abi::table::{self, TableEntry, TableHeader, flags, kind};
use wirelet_abi::{Error, ErrorCode, guest, limits};

/// What a program asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// One of [`kind`].
    pub kind: u32,
    /// One table for all lcores, written by the host.
    pub shared: bool,
    /// Keys that it must be able to hold; elements of an array.
    pub capacity: u32,
    /// Bytes of a key; 4 or 16 for LPM, 0 for an array.
    pub key_bytes: u32,
    /// Bytes of a value; 4 for LPM.
    pub value_bytes: u32,
}

impl Shape {
    /// Checks the shape against what there is and the limits.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`.
    pub fn check(&self) -> Result<(), Error> {
        let Shape { kind: of, capacity, key_bytes, value_bytes, .. } = *self;
        if !(kind::HASH..=kind::ARRAY).contains(&of) {
            return refused(format!("a table of kind {of}"));
        }
        let name = kind::NAMES[of as usize];
        if capacity == 0 || capacity > limits::TABLE_CAPACITY_MAX {
            let most = limits::TABLE_CAPACITY_MAX;
            return refused(format!("{name} table: a capacity of {capacity}, not 1 to {most}"));
        }
        let (keys, values) = match of {
            kind::LPM4 => (4..=4, 4..=4),
            kind::LPM6 => (16..=16, 4..=4),
            kind::ARRAY => (0..=0, 1..=limits::TABLE_VALUE_BYTES_MAX),
            _ => (1..=limits::TABLE_KEY_BYTES_MAX, 0..=limits::TABLE_VALUE_BYTES_MAX),
        };
        if !keys.contains(&key_bytes) || !values.contains(&value_bytes) {
            return refused(format!(
                "{name} table: keys of {key_bytes} and values of {value_bytes} bytes; \
                 {} to {} and {} to {} are possible",
                keys.start(),
                keys.end(),
                values.start(),
                values.end(),
            ));
        }
        self.check_size(name)
    }

    fn check_size(&self, name: &str) -> Result<(), Error> {
        if self.is_lpm() && !self.shared {
            return refused(format!("{name} table: it can only be `shared`"));
        }
        let geometry = Geometry::of(self);
        let most = limits::TABLE_ARRAY_BYTES_MAX;
        // An array that its program writes is copied in one go, at a burst boundary.
        if self.kind == kind::ARRAY && !self.shared && geometry.bytes as u64 > most {
            let message = format!("array of {} bytes, at most {most}", geometry.bytes);
            return refused(format!("{message} for one that its program writes"));
        }
        geometry.check()
    }

    fn is_lpm(&self) -> bool {
        matches!(self.kind, kind::LPM4 | kind::LPM6)
    }
}

fn refused(message: String) -> Result<(), Error> {
    Err(Error::new(ErrorCode::Tables, message))
}

/// Where everything lies in a table's memory, in bytes from its start. Native-owned: it is never
/// read back from memory that a guest can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Groups, a power of two; 0 for what has none.
    pub groups: usize,
    /// First tags; the root (LPM); the elements (ARRAY).
    pub tags: usize,
    /// First ages; 0 but for LRU.
    pub ages: usize,
    /// Dirty bytes; 0 where there are none.
    pub dirty: usize,
    /// First entry; the nodes (LPM).
    pub entries: usize,
    /// Bytes of an entry or element.
    pub stride: usize,
    /// Bytes from an entry's start to its value.
    pub value: usize,
    /// Bits of the root (LPM).
    pub root_bits: u32,
    /// Nodes there is room for (LPM).
    pub nodes: usize,
    /// The rules, which only native code reads (LPM).
    pub rules: usize,
    /// Bytes of all.
    pub bytes: usize,
}

impl Geometry {
    /// The geometry of `shape`.
    pub fn of(shape: &Shape) -> Geometry {
        match shape.kind {
            kind::LPM4 | kind::LPM6 => Self::lpm(shape, default_nodes(shape)),
            kind::ARRAY => Self::array(shape),
            _ => Self::hash(shape),
        }
    }

    fn empty() -> Geometry {
        Geometry {
            groups: 0,
            tags: size_of::<TableHeader>(),
            ages: 0,
            dirty: 0,
            entries: 0,
            stride: 0,
            value: 0,
            root_bits: 0,
            nodes: 0,
            rules: 0,
            bytes: 0,
        }
    }

    fn hash(shape: &Shape) -> Geometry {
        let groups = table::groups(shape.capacity) as usize;
        let value = table::padded(shape.key_bytes) as usize;
        let stride = value + table::padded(shape.value_bytes) as usize;
        let empty = Self::empty();
        let mut end = empty.tags;
        let mut part = |bytes: usize| {
            let start = end;
            end = (start + bytes).next_multiple_of(64);
            start
        };
        let tags = part(groups * table::GROUP_TAG_BYTES);
        let ages = if shape.kind == kind::LRU { part(groups * AGE_BYTES) } else { 0 };
        let dirty = part(groups);
        let entries = part(groups * table::GROUP_ENTRIES * stride);
        Geometry { groups, tags, ages, dirty, entries, stride, value, bytes: end, ..empty }
    }

    fn array(shape: &Shape) -> Geometry {
        let stride = table::padded(shape.value_bytes) as usize;
        let empty = Self::empty();
        let end = empty.tags + shape.capacity as usize * stride;
        Geometry { stride, bytes: end.next_multiple_of(64), ..empty }
    }

    /// The geometry of a table that was made with so many nodes.
    pub fn exactly(shape: &Shape, nodes: usize) -> Geometry {
        if shape.is_lpm() { Self::lpm(shape, nodes) } else { Self::of(shape) }
    }

    /// As it is, but for an LPM table with room for at least `nodes` nodes.
    pub fn with_nodes(self, shape: &Shape, nodes: usize) -> Geometry {
        if self.root_bits == 0 { self } else { Self::lpm(shape, nodes.max(self.nodes)) }
    }

    /// Whether it fits into a program's memory.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`.
    pub fn check(&self) -> Result<(), Error> {
        let window = (guest::STATE_WINDOW_END - guest::TABLES) as usize;
        if self.bytes > window {
            let mib = self.bytes.div_ceil(1 << 20);
            return refused(format!("a table of {mib} MiB, at most {}", window >> 20));
        }
        Ok(())
    }

    fn lpm(shape: &Shape, nodes: usize) -> Geometry {
        let root_bits = root_bits(shape.capacity);
        let empty = Self::empty();
        let entries = empty.tags + (size_of::<u32>() << root_bits);
        let rules = entries + nodes * table::LPM_NODE_ENTRIES * size_of::<u32>();
        let end = rules + shape.capacity as usize * rule_bytes(shape.key_bytes);
        let bytes = end.next_multiple_of(64);
        let stride = size_of::<u32>();
        Geometry { entries, stride, root_bits, nodes, rules, bytes, ..empty }
    }

    /// What a program finds in its table page when the table is mapped at guest address `at`.
    /// `tracking`: changed groups are marked, somebody copies.
    pub fn entry(&self, shape: &Shape, seed: u64, at: u32, tracking: bool) -> TableEntry {
        let address = |offset: usize| if offset == 0 { 0 } else { at + offset as u32 };
        let last = self.groups.saturating_sub(1) as u32;
        TableEntry {
            header: at,
            tags: address(self.tags),
            entries: address(self.entries),
            ages: address(self.ages),
            dirty: address(self.dirty),
            copying: u32::from(tracking),
            tags_mask: if self.root_bits > 0 {
                self.root_bits
            } else {
                last * table::GROUP_TAG_BYTES as u32
            },
            capacity: shape.capacity,
            seed,
            stride: self.stride as u32,
            value_offset: self.value as u32,
            kind: shape.kind,
            flags: if shape.shared { flags::SHARED } else { 0 },
            reserved: 0,
        }
    }
}

/// Bytes of a group's ages.
pub const AGE_BYTES: usize = 64;

/// From so many prefixes on a root of 24 bits is worth its 64 MiB.
const LARGE_ROOT_PREFIXES: u32 = 4096;

fn root_bits(capacity: u32) -> u32 {
    if capacity < LARGE_ROOT_PREFIXES { 16 } else { 24 }
}

/// Bytes of a rule: address, value, length and three unused.
pub const fn rule_bytes(key_bytes: u32) -> usize {
    key_bytes as usize + 8
}

/// Nodes that prefixes as they are announced in the Internet need, with plenty to spare. A table of
/// other prefixes is built with as many nodes as they need.
fn default_nodes(shape: &Shape) -> usize {
    let capacity = shape.capacity as usize;
    match (shape.kind, root_bits(shape.capacity)) {
        // Longer than 24 bits: less than 1 in 100.
        (kind::LPM4, 24) => 1024 + (capacity / 16).min(1 << 17),
        // The most that any prefixes need: one node for bits 17 to 24, one for 25 to 32.
        (kind::LPM4, _) => 2 * capacity,
        // Half of them are /48, and share the nodes above.
        (_, 24) => 1024 + capacity.min(1 << 18),
        (_, _) => 64 + 4 * capacity,
    }
}
