//! Times a program over resident packets, interleaved with its native twin. A command, never a
//! test.

use std::sync::Arc;

use wirelet_abi::limits::BURST_MAX;
use wirelet_abi::{BurstHeader, Error, ErrorCode, limits};
use wirelet_packet::{Mbuf, Region, RegionConfig, clock};

use crate::burst::BurstPage;
use crate::event::Events;
use crate::log::LogWriter;
use crate::program::{Instance, Places, Program, ProgramConfig};
use crate::state::ProgramState;
use crate::twins::{TWINS, Twin};

/// Packets that lie ready in frames, as in DESIGN §6: more than the first-level cache holds.
const RESIDENT: usize = 4096;
/// A sample takes about this long.
const SAMPLE_NS: u64 = 2_000_000;

/// Samples of one burst size, in ns per packet.
#[derive(Clone, Debug)]
pub struct Row {
    /// Packets per burst.
    pub burst: usize,
    /// Of the program.
    pub samples: Vec<f64>,
    /// Of its twin, taken in turn with those; empty without a twin.
    pub native_samples: Vec<f64>,
}

/// Times `config` over `packets` at each of `bursts`, `rounds` samples each.
///
/// # Errors
/// What loading returns, `WIRELET_E_CONFIG_LIMIT` for bursts or packets out of range, the fault of
/// a program that faults.
pub fn bench(
    config: ProgramConfig,
    twin: &str,
    packets: &[Vec<u8>],
    bursts: &[usize],
    rounds: usize,
) -> Result<Vec<Row>, Error> {
    let twin = TWINS.iter().find(|(name, _)| *name == twin).map(|(_, twin)| *twin);
    let mut stage = Stage::new(config, packets)?;
    bursts.iter().map(|&burst| stage.row(burst, rounds, twin)).collect()
}

struct Stage {
    instance: Instance,
    page: BurstPage,
    region: Arc<Region>,
    mbufs: Vec<Mbuf>,
    /// Indexes of a burst in which every packet passes.
    all: [u8; BURST_MAX],
}

impl Stage {
    fn new(config: ProgramConfig, packets: &[Vec<u8>]) -> Result<Stage, Error> {
        let longest = packets.iter().map(Vec::len).max().unwrap_or(0);
        let region = Region::new(RegionConfig { frames: RESIDENT, ..RegionConfig::default() })?;
        if packets.is_empty() || longest > region.data_room() {
            let message = format!("{} packets, up to {longest} bytes", packets.len());
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
        let page = BurstPage::new()?;
        let places = Places {
            burst_page: Arc::clone(page.backing()),
            region: Arc::clone(&region),
            lcore: 0,
        };
        let log = LogWriter::new(Events::default().sender(0), 0);
        let program = Program::new(config, ProgramState::new(1)?)?;
        let instance = program.instantiate_first(&places, log).map_err(|fault| fault.error)?;
        let mbufs = (0..RESIDENT as u32).map(|frame| fill(&region, frame, packets)).collect();
        Ok(Stage { instance, page, region, mbufs, all: std::array::from_fn(|index| index as u8) })
    }

    fn row(&mut self, size: usize, rounds: usize, twin: Option<Twin>) -> Result<Row, Error> {
        if !(1..=BURST_MAX).contains(&size) {
            let message = format!("bursts of {size} packets");
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
        let first = self.pass(size, None)?;
        let passes = (SAMPLE_NS / first.max(1)).clamp(1, 1000);
        let mut row = Row { burst: size, samples: Vec::new(), native_samples: Vec::new() };
        for round in 0..rounds.max(1) {
            // Who goes first alternates, so that neither always finds the caches warm.
            for turn in [round % 2 == 0, round % 2 == 1] {
                let (samples, by) = match (turn, twin) {
                    (true, _) => (&mut row.samples, None),
                    (false, Some(twin)) => (&mut row.native_samples, Some(twin)),
                    (false, None) => continue,
                };
                let mut elapsed_ns = 0;
                for _ in 0..passes {
                    elapsed_ns += self.pass(size, by)?;
                }
                samples.push(elapsed_ns as f64 / (passes as f64 * RESIDENT as f64));
            }
        }
        Ok(row)
    }

    /// All resident packets once: descriptors written, the program or its twin called, verdicts
    /// read and checked. Returns nanoseconds.
    fn pass(&mut self, size: usize, twin: Option<Twin>) -> Result<u64, Error> {
        let started = clock::cycles();
        let frame_bytes = self.region.frame_bytes() as u32;
        let mut undecided = 0usize;
        for chunk in self.mbufs.chunks_mut(size) {
            let header = BurstHeader {
                count: chunk.len() as u32,
                lcore: 0,
                generation: 1,
                flags: 0,
                now_ns: started,
                reserved: [0; 5],
            };
            self.page.write(&self.region, &header, chunk, &self.all[..chunk.len()]);
            match twin {
                None => self.instance.run().map_err(|fault| fault.error)?,
                // SAFETY: page and frames were written just now, are mapped behind the instance's
                // address 0, and only this thread uses them.
                Some(twin) => unsafe {
                    twin(self.page.backing().base().cast(), self.instance.memory().address(0));
                },
            }
            for (index, mbuf) in chunk.iter_mut().enumerate() {
                let kept = self.page.take(index, mbuf, frame_bytes);
                undecided += usize::from(!kept || self.page.verdict(index) > 3);
            }
        }
        let elapsed_ns = clock::to_ns(clock::cycles() - started);
        match undecided {
            0 => Ok(elapsed_ns),
            _ => Err(Error::new(ErrorCode::Descriptor, format!("{undecided} without a verdict"))),
        }
    }
}

fn fill(region: &Region, frame: u32, packets: &[Vec<u8>]) -> Mbuf {
    let bytes = &packets[frame as usize % packets.len()];
    let mbuf = Mbuf {
        frame,
        offset: limits::HEADROOM_BYTES as u16,
        length: bytes.len() as u16,
        ..Mbuf::default()
    };
    // SAFETY: headroom and length lie within the frame (the caller has checked), nobody else has
    // it.
    unsafe { region.data(&mbuf).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    mbuf
}
