//! The counters page: what lcores publish and the host reads without a call into the data path.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use wirelet_abi::stats::{LcoreBlock, MAGIC, PageHeader, PortBlock, ProgramBlock};
use wirelet_abi::{ABI_VERSION, Error};
use wirelet_packet::{Backing, Pages, clock};

/// The page of an appliance.
#[derive(Debug)]
pub struct StatsPage {
    backing: Arc<Backing>,
    ports: usize,
    programs: usize,
}

impl StatsPage {
    /// A page for so many lcores, ports and programs.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new(lcores: usize, ports: usize, programs: usize, frames: usize) -> Result<Self, Error> {
        let stride = stride(ports, programs);
        let bytes = size_of::<PageHeader>() + lcores * stride;
        let backing = Arc::new(Backing::new("wirelet-stats", bytes, Pages::Small)?);
        let header = PageHeader {
            magic: MAGIC,
            abi: ABI_VERSION.into(),
            lcores: lcores as u64,
            ports: ports as u64,
            programs: programs as u64,
            cycles_hz: clock::cycles_hz(),
            frames: frames as u64,
            generation: 1,
            faults: 0,
            reserved: [0; 7],
        };
        // SAFETY: the page is longer than the header, aligned, and nobody else has it yet.
        unsafe { backing.base().cast::<PageHeader>().write(header) };
        Ok(StatsPage { backing, ports, programs })
    }

    /// Its memory.
    pub fn backing(&self) -> &Arc<Backing> {
        &self.backing
    }

    /// What is of no lcore.
    pub fn head(&self) -> PageHead {
        PageHead(Arc::clone(&self.backing))
    }

    /// The blocks of one lcore.
    pub fn writer(&self, lcore: usize) -> StatsWriter {
        let start = size_of::<PageHeader>() + lcore * stride(self.ports, self.programs);
        assert!(start + stride(self.ports, self.programs) <= self.backing.bytes());
        StatsWriter { backing: Arc::clone(&self.backing), start, sequence: 0 }
    }
}

fn stride(ports: usize, programs: usize) -> usize {
    size_of::<LcoreBlock>() + ports * size_of::<PortBlock>() + programs * size_of::<ProgramBlock>()
}

/// What of the page belongs to no lcore.
#[derive(Clone, Debug)]
pub struct PageHead(Arc<Backing>);

impl PageHead {
    /// All lcores run this generation, or will when they come around.
    pub fn published(&self, generation: u32) {
        let at = offset_of!(PageHeader, generation);
        word(&self.0, at).store(generation.into(), Ordering::Relaxed);
    }

    /// A program has faulted.
    pub fn faulted(&self) {
        word(&self.0, offset_of!(PageHeader, faults)).fetch_add(1, Ordering::Relaxed);
    }
}

fn word(page: &Backing, at: usize) -> &AtomicU64 {
    assert!(at + size_of::<u64>() <= page.bytes());
    // SAFETY: within the page, aligned to 8, and only ever accessed as atomics natively once the
    // header was written; guests never map this page.
    unsafe { AtomicU64::from_ptr(page.base().add(at).cast()) }
}

/// Publishes one lcore's blocks.
#[derive(Debug)]
pub struct StatsWriter {
    backing: Arc<Backing>,
    start: usize,
    sequence: u64,
}

impl StatsWriter {
    /// Copies private counters to the page; about 0.3 µs for two ports and two programs, so once in
    /// a hundred bursts. The sequence is odd meanwhile.
    pub fn publish<'a>(
        &mut self,
        lcore: &mut LcoreBlock,
        ports: impl Iterator<Item = &'a PortBlock>,
        programs: impl Iterator<Item = &'a ProgramBlock>,
    ) {
        self.sequence += 1;
        self.word(self.start).store(self.sequence, Ordering::Relaxed);
        fence(Ordering::Release);
        lcore.sequence = self.sequence;
        let mut at = self.start;
        at = self.copy(at, lcore);
        for port in ports {
            at = self.copy(at, port);
        }
        for program in programs {
            at = self.copy(at, program);
        }
        self.sequence += 1;
        lcore.sequence = self.sequence;
        self.word(self.start).store(self.sequence, Ordering::Release);
    }

    /// Copies a block of u64s word by word: the host must never see half a number.
    fn copy<T: Block>(&self, at: usize, block: &T) -> usize {
        let words = size_of::<T>() / size_of::<u64>();
        let source: *const u64 = (&raw const *block).cast();
        for index in 0..words {
            // SAFETY: blocks are repr(C) structs of u64 only (asserted in the abi), so every word
            // is initialised and within the block.
            let value = unsafe { source.add(index).read() };
            self.word(at + index * size_of::<u64>()).store(value, Ordering::Relaxed);
        }
        at + size_of::<T>()
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        word(&self.backing, at)
    }
}

/// Structs of u64 and nothing else.
trait Block {}
impl Block for LcoreBlock {}
impl Block for PortBlock {}
impl Block for ProgramBlock {}
