//! The counters page, read as a host reads it.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use wirelet_abi::DropReason;
use wirelet_abi::stats::{LcoreBlock, PageHeader, PortBlock, ProgramBlock};
use wirelet_packet::Backing;

/// The blocks of one lcore, all of the same publication.
#[derive(Clone)]
pub struct Lcore {
    pub lcore: LcoreBlock,
    pub ports: Vec<PortBlock>,
    pub programs: Vec<ProgramBlock>,
}

/// Blocks of all lcores.
pub struct Page(pub Vec<Lcore>);

/// Reads every lcore's blocks.
pub fn read(page: &Backing) -> Page {
    // SAFETY: the page begins with a header that nobody writes any more, but its generation.
    let header = unsafe { page.base().cast::<PageHeader>().read_volatile() };
    Page((0..header.lcores as usize).map(|index| read_lcore(page, &header, index)).collect())
}

fn read_lcore(page: &Backing, header: &PageHeader, index: usize) -> Lcore {
    let (ports, programs) = (header.ports as usize, header.programs as usize);
    let stride = size_of::<LcoreBlock>()
        + ports * size_of::<PortBlock>()
        + programs * size_of::<ProgramBlock>();
    let start = size_of::<PageHeader>() + index * stride;
    loop {
        let before = word(page, start).load(Ordering::Acquire);
        let copy = before.is_multiple_of(2).then(|| copy(page, start, ports, programs));
        fence(Ordering::Acquire);
        if let Some(copy) = copy
            && word(page, start).load(Ordering::Relaxed) == before
        {
            return copy;
        }
        std::hint::spin_loop();
    }
}

fn copy(page: &Backing, start: usize, ports: usize, programs: usize) -> Lcore {
    let mut at = start;
    let lcore = block(page, &mut at);
    let ports = (0..ports).map(|_| block(page, &mut at)).collect();
    let programs = (0..programs).map(|_| block(page, &mut at)).collect();
    Lcore { lcore, ports, programs }
}

fn block<T: Default>(page: &Backing, at: &mut usize) -> T {
    let mut block = T::default();
    let words: *mut u64 = (&raw mut block).cast();
    for index in 0..size_of::<T>() / 8 {
        let value = word(page, *at + index * 8).load(Ordering::Relaxed);
        // SAFETY: the blocks of the abi are structs of u64 only, and the index is within this one.
        unsafe { words.add(index).write(value) };
    }
    *at += size_of::<T>();
    block
}

fn word(page: &Backing, at: usize) -> &AtomicU64 {
    assert!(at + 8 <= page.bytes());
    // SAFETY: within the page, aligned, and written as atomics by the engine.
    unsafe { AtomicU64::from_ptr(page.base().add(at).cast()) }
}

impl Page {
    /// A sum over lcores of one number of a port.
    pub fn port(&self, port: usize, value: impl Fn(&PortBlock) -> u64) -> u64 {
        self.0.iter().map(|lcore| value(&lcore.ports[port])).sum()
    }

    /// A sum over lcores of one number of a program.
    pub fn program(&self, program: usize, value: impl Fn(&ProgramBlock) -> u64) -> u64 {
        self.0.iter().map(|lcore| value(&lcore.programs[program])).sum()
    }

    /// Drops of packets that came in by `port`.
    pub fn drops(&self, port: usize, reason: DropReason) -> u64 {
        self.port(port, |block| block.drops[reason as usize])
    }

    /// Drops of all ports for `reason`.
    pub fn all_drops(&self, reason: DropReason) -> u64 {
        (0..self.ports()).map(|port| self.drops(port, reason)).sum()
    }

    /// How many ports there are.
    pub fn ports(&self) -> usize {
        self.0[0].ports.len()
    }

    /// Every packet is counted exactly once, per port, in all, and per program.
    pub fn assert_conserved(&self) {
        let (mut came, mut tx, mut dropped) = (0, 0, 0);
        for port in 0..self.ports() {
            let received = self.port(port, |block| block.rx_packets + block.copied_packets);
            let forwarded = self.port(port, |block| block.forwarded_packets);
            let drops = self.port(port, |block| block.drops.iter().sum());
            assert_eq!(received, forwarded + drops, "port {port}: {}", self.describe());
            came += received;
            dropped += drops;
            tx += self.port(port, |block| block.tx_packets + block.punted_packets);
        }
        assert_eq!(came, tx + dropped, "{}", self.describe());
        for program in 0..self.0[0].programs.len() {
            let packets = self.program(program, |block| block.packets);
            let decided = self.program(program, |block| {
                block.verdicts.iter().sum::<u64>() + block.faulted_packets + block.undecided_packets
            });
            assert_eq!(packets, decided, "program {program}: {}", self.describe());
        }
    }

    /// What a failed assertion shows.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (index, lcore) in self.0.iter().enumerate() {
            let (block, programs) = (&lcore.lcore, &lcore.programs);
            text += &format!("\nlcore {index}: state {} {:?}", block.state, block.packets);
            for (number, port) in lcore.ports.iter().enumerate() {
                let drops: Vec<(&str, u64)> = DropReason::ALL
                    .iter()
                    .map(|reason| (reason.name(), port.drops[*reason as usize]))
                    .filter(|(_, count)| *count > 0)
                    .collect();
                let PortBlock { rx_packets, copied_packets, forwarded_packets, tx_packets, .. } =
                    port;
                text += &format!(
                    "\n  port {number}: rx {rx_packets} copied {copied_packets} forwarded \
                     {forwarded_packets} tx {tx_packets} drops {drops:?}"
                );
            }
            for (number, program) in programs.iter().enumerate() {
                text += &format!("\n  program {number}: {program:?}");
            }
        }
        text
    }
}
