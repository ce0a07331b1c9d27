//! The program's keys and values, and its hash.

use std::hash::{BuildHasher, Hash, Hasher};

use wirelet_abi::table::{HASH_LAST, mix};

/// A 5-tuple as two words. A struct of its fields would be the same to read, but is several times
/// slower: compared by words, it waits for the narrower stores that made it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowKey([u64; 2]);

impl FlowKey {
    #[inline]
    pub fn of(id: u32) -> FlowKey {
        let (source, destination) = (u64::from(id), u64::from(!id));
        let ports = u64::from(id & 0xFFFF) | 443 << 16;
        FlowKey([source | destination << 32, ports | 17 << 32])
    }
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
        state.write_u64(self.0[1]);
    }
}

/// What is counted of a flow.
#[derive(Default)]
pub struct Flow {
    pub packets: u64,
    pub bytes: u64,
}

/// The hash of `wirelet_abi::table`, from a table's seed.
#[derive(Clone, Copy)]
pub struct SameHash(pub u64);

impl BuildHasher for SameHash {
    type Hasher = SameHash;

    #[inline]
    fn build_hasher(&self) -> SameHash {
        *self
    }
}

impl Hasher for SameHash {
    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0, word);
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys are made of words");
    }

    #[inline]
    fn finish(&self) -> u64 {
        let hash = self.0.wrapping_mul(HASH_LAST);
        hash ^ hash >> 29
    }
}
