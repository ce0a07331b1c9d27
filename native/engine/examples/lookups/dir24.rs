//! DIR-24-8 (Gupta, Lin, McKeown, 1998), as DPDK's rte_lpm has it: an entry for each first 24 bits,
//! groups of 256 for the last 8.

/// The table.
pub struct Dir24 {
    first: Vec<u32>,
    rest: Vec<[u32; 256]>,
}

/// The entry is the number of a group; others are value + 1, or 0.
const GROUP: u32 = 1 << 31;

impl Dir24 {
    pub fn new() -> Dir24 {
        Dir24 { first: vec![0; 1 << 24], rest: Vec::new() }
    }

    /// Adds a prefix; the shorter ones have to come first.
    pub fn add(&mut self, address: u32, length: u8, value: u32) {
        let index = (address >> 8) as usize;
        if length <= 24 {
            self.first[index..index + (1 << (24 - length))].fill(value + 1);
            return;
        }
        if self.first[index] < GROUP {
            self.rest.push([self.first[index]; 256]);
            self.first[index] = GROUP | (self.rest.len() - 1) as u32;
        }
        let group = &mut self.rest[(self.first[index] & !GROUP) as usize];
        let start = (address & 255) as usize;
        group[start..start + (1 << (32 - length))].fill(value + 1);
    }

    /// The value of the longest prefix, `u32::MAX` for none.
    #[inline]
    pub fn find(&self, address: u32) -> u32 {
        let mut entry = self.first[(address >> 8) as usize];
        if entry >= GROUP {
            entry = self.rest[(entry & !GROUP) as usize][(address & 255) as usize];
        }
        entry.wrapping_sub(1)
    }
}
