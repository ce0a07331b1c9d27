//! A program on the calling thread: tests, tools, Workers. The same page, checks and faults as on
//! an lcore.

use std::sync::Arc;

use wirelet_abi::stats::ProgramBlock;
use wirelet_abi::{BurstHeader, Error, ErrorCode, Verdict, limits, verdict};
use wirelet_packet::{Mbuf, Region, RegionConfig, clock};

use crate::burst::{Burst, BurstPage};
use crate::event::{Events, What};
use crate::fault::Fault;
use crate::log::LogWriter;
use crate::program::{Instance, Places, Program, ProgramConfig};
use crate::state::ProgramState;

/// A program, and room for one burst.
pub struct Runner {
    program: Arc<Program>,
    instance: Option<Instance>,
    places: Places,
    page: BurstPage,
    region: Arc<Region>,
    events: Events,
    /// What it did.
    pub stats: ProgramBlock,
}

/// One packet before a run.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Port it came in by.
    pub port: u16,
    /// The 32 bits it carries.
    pub mark: u32,
}

/// One packet after a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// `None`: undecided, or its descriptor lies.
    pub verdict: Option<Verdict>,
    /// Port of a redirect.
    pub egress: u16,
    /// The 32 bits it carries.
    pub mark: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A burst after a run.
pub struct Run {
    /// As many as went in.
    pub packets: Vec<Answered>,
    /// What went wrong, and which packet was being worked on.
    pub fault: Option<(Fault, Option<usize>)>,
}

impl Runner {
    /// Checks, compiles and loads a program.
    ///
    /// # Errors
    /// As [`Program::new`] and [`Program::instantiate`].
    pub fn new(config: ProgramConfig) -> Result<Runner, Error> {
        Self::of(Arc::new(Program::new(config, ProgramState::new(1)?)?))
    }

    /// Loads a program with the state that it has.
    ///
    /// # Errors
    /// As [`Program::instantiate`].
    pub fn of(program: Arc<Program>) -> Result<Runner, Error> {
        let frames = RegionConfig {
            frames: limits::BURST_MAX,
            frame_bytes: limits::FRAME_BYTES_MAX,
            hugepages: false,
            node: None,
        };
        let (region, page) = (Region::new(frames)?, BurstPage::new()?);
        let places = Places {
            burst_page: Arc::clone(page.backing()),
            region: Arc::clone(&region),
            lcore: 0,
        };
        let (events, stats) = (Events::default(), ProgramBlock::default());
        let mut runner = Runner { program, instance: None, places, page, region, events, stats };
        runner.load().map_err(|fault| fault.error)?;
        Ok(runner)
    }

    /// A fresh instance; counters go on.
    fn load(&mut self) -> Result<(), Fault> {
        let log = LogWriter::new(self.events.sender(0), 0);
        self.instance = Some(self.program.instantiate_first(&self.places, log)?);
        Ok(())
    }

    /// Puts another version in the program's place. It gets counters and tables as they are, with
    /// more room or longer values where it asks for those; when it fails, the old one stays.
    ///
    /// # Errors
    /// As [`Program::new`] and [`Program::instantiate`]; `WIRELET_E_TABLE_SCHEMA`.
    pub fn swap(&mut self, config: ProgramConfig) -> Result<(), Error> {
        let program = Arc::new(Program::new(config, Arc::clone(&self.program.state))?);
        let log = LogWriter::new(self.events.sender(0), 0);
        let instance = program.instantiate_first(&self.places, log).map_err(|fault| fault.error)?;
        self.program = program;
        self.instance = Some(instance);
        Ok(())
    }

    /// Runs one burst. After a fault the next run has a fresh instance.
    ///
    /// # Errors
    /// `WIRELET_E_CONFIG_LIMIT` for no or too many packets, or one that is longer than a frame.
    pub fn run(&mut self, packets: &[(&[u8], u16)]) -> Result<Run, Error> {
        let given = |&(bytes, port): &(_, _)| Given { bytes, port, mark: 0 };
        self.run_at(&packets.iter().map(given).collect::<Vec<_>>(), clock::now_ns())
    }

    /// As [`Runner::run`], at a time of the monotonic clock.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_at(&mut self, packets: &[Given<'_>], now_ns: u64) -> Result<Run, Error> {
        if self.instance.is_none() {
            self.load().map_err(|fault| fault.error)?;
        }
        let mut frames = self.region.cache();
        let mut burst = self.fill(packets, &mut frames)?;
        let header = BurstHeader {
            count: packets.len() as u32,
            lcore: 0,
            generation: 1,
            flags: 0,
            now_ns,
            reserved: [0; 5],
        };
        let live = &burst.live[..burst.live_count];
        self.page.write(&self.region, &header, &burst.mbufs[..burst.count], live);
        let result = self.instance.as_mut().expect("loaded above").run();
        let mut run = Run { packets: Vec::new(), fault: None };
        if let Err(fault) = result {
            let undecided = |index: &usize| self.page.verdict(*index) == verdict::UNDECIDED;
            run.fault = Some((fault, (0..packets.len()).find(undecided)));
        }
        for index in 0..packets.len() {
            let mbuf = &mut burst.mbufs[index];
            let answered = self.answer(index, mbuf);
            if answered.is_none() && run.fault.is_none() {
                let message = "outside its frame, or verdict unknown".to_string();
                run.fault = Some((Fault::lie(message), Some(index)));
            }
            let bytes = bytes_of(&self.region, mbuf);
            run.packets.push(answered.unwrap_or(Answered {
                verdict: None,
                egress: 0,
                mark: 0,
                bytes,
            }));
        }
        frames.give_burst(&burst.mbufs[..burst.count]);
        if run.fault.is_some() {
            self.instance = None;
        }
        Ok(run)
    }

    fn fill(
        &self,
        packets: &[Given<'_>],
        frames: &mut wirelet_packet::FrameCache,
    ) -> Result<Burst, Error> {
        let longest = packets.iter().map(|given| given.bytes.len()).max().unwrap_or(0);
        if packets.is_empty()
            || packets.len() > limits::BURST_MAX
            || longest > self.region.data_room()
        {
            let message = format!("a burst of {} packets, up to {longest} bytes", packets.len());
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
        let mut burst = Burst::new();
        for (mbuf, Given { bytes, port, mark }) in burst.mbufs.iter_mut().zip(packets) {
            *mbuf = Mbuf {
                frame: frames.take().expect("a burst's frames are all free between runs"),
                offset: limits::HEADROOM_BYTES as u16,
                length: bytes.len() as u16,
                port: *port,
                mark: *mark,
                ..Mbuf::default()
            };
            // SAFETY: headroom and length lie within the frame (checked above), which is ours.
            unsafe {
                let data = self.region.data(mbuf);
                data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
        burst.begin(packets.len());
        Ok(burst)
    }

    fn answer(&self, index: usize, mbuf: &mut Mbuf) -> Option<Answered> {
        let byte = self.page.verdict(index);
        let verdict = Verdict::from_byte(byte);
        let lies = verdict.is_none() && byte != verdict::UNDECIDED;
        if !self.page.take(index, mbuf, self.region.frame_bytes() as u32) || lies {
            return None;
        }
        let bytes = bytes_of(&self.region, mbuf);
        Some(Answered { verdict, egress: self.page.egress(index), mark: mbuf.mark, bytes })
    }

    /// The program's counters.
    pub fn counters(&self) -> Vec<(String, u64)> {
        self.program.state.read_counters()
    }

    /// The program's state: its tables are read and written there, between two runs.
    pub fn state(&self) -> &Arc<ProgramState> {
        &self.program.state
    }

    /// Log lines since the last call.
    pub fn logs(&self) -> Vec<String> {
        let line = |event| match event {
            What::Log(line) => {
                Some(String::from_utf8_lossy(&line.text[..usize::from(line.bytes)]).into_owned())
            }
            _ => None,
        };
        self.events.take().into_iter().filter_map(|event| line(event.what)).collect()
    }
}

fn bytes_of(region: &Region, mbuf: &Mbuf) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(mbuf.length)];
    // SAFETY: offset + length lie within the frame (checked whenever they change), which is ours.
    unsafe { region.data(mbuf).copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
    bytes
}
