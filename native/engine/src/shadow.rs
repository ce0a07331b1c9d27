//! A shadow run: the running program and a candidate over the same sampled packets, from the same
//! copy of the state, off the lcores. Nothing of either run is kept (docs/design/swap.md).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wirelet_abi::{Error, ErrorCode, Verdict, limits};
use wirelet_packet::ring::Consumer;

use crate::fault::Fault;
use crate::program::{Program, ProgramConfig};
use crate::runner::{Answered, Given, Runner};
use crate::sampler::{SAMPLE_BYTES, Sample, Sampler, sampler};
use crate::state::{ProgramState, StateTable};
use crate::swap::Changes;
use crate::table::{Table, TableCopy};

/// Differences that are kept with their packets; all are counted.
const EXAMPLES_MAX: usize = 64;
/// Between two looks at the samples.
const PAUSE: Duration = Duration::from_millis(2);
/// A candidate that has faulted so often is known well enough; each fault costs a new instance, and
/// packets come faster than those.
const FAULTS_MAX: u64 = 64;
/// How long what was sampled may take to run after the time is over.
const REST: Duration = Duration::from_secs(1);

/// What to run beside what.
#[derive(Clone, Debug)]
pub struct ShadowConfig {
    /// The candidate; it goes by the name of the program that it is to replace.
    pub candidate: ProgramConfig,
    /// How long.
    pub duration: Duration,
    /// One flow in so many.
    pub one_in: u32,
}

/// A packet that the two answered differently; the running program first.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Where.
    pub lcore: usize,
    /// Port it came in by.
    pub port: u16,
    /// As both got it.
    pub packet: Vec<u8>,
    /// What they made of it.
    pub answers: [Answered; 2],
}

/// What a shadow run found.
#[derive(Clone, Debug, Default)]
pub struct ShadowReport {
    /// Packets that both ran over.
    pub sampled: u64,
    /// Packets that should have been sampled and found no room.
    pub lost: u64,
    /// Packets that were answered differently.
    pub differences: u64,
    /// The first of them.
    pub examples: Vec<Difference>,
    /// Faults of the two.
    pub faults: [u64; 2],
    /// The candidate's first fault, and the packet's place in its burst.
    pub fault: Option<(Fault, Option<usize>)>,
}

const EMPTY: Sample = Sample { length: 0, port: 0, mark: 0, now_ns: 0, bytes: [0; SAMPLE_BYTES] };

/// One lcore's pair, and where its packets come from.
struct Pair {
    lcore: usize,
    runners: [Runner; 2],
    samples: Consumer<Sample>,
}

/// Runs `config` beside the program of its name. The lock is held only at the beginning and at the
/// end, so swaps and rebuilds go on meanwhile.
///
/// # Errors
/// `WIRELET_E_CONFIG_UNKNOWN_PROGRAM`; what loading the candidate returns, table shapes included;
/// `WIRELET_E_STATE` when the program was swapped meanwhile, or the appliance does not run.
pub fn run(changes: &Mutex<Changes>, config: ShadowConfig) -> Result<ShadowReport, Error> {
    let lock = || changes.lock().unwrap_or_else(PoisonError::into_inner);
    let (slot, program, mut pairs) = begin(&mut lock(), &config)?;
    let control = Arc::clone(&lock().control);
    let mut report = ShadowReport::default();
    let until = Instant::now() + config.duration;
    let mut result = Ok(());
    while Instant::now() < until && result.is_ok() && report.faults[1] < FAULTS_MAX {
        result = control.check_all_run().and_then(|()| run_all(&mut pairs, &mut report, until));
        std::thread::sleep(PAUSE);
    }
    let ended = end(&mut lock(), slot, &program, pairs.len(), &mut report);
    // What was sampled until then counts too, as far as it gets.
    result.and_then(|()| run_all(&mut pairs, &mut report, Instant::now() + REST))?;
    report.lost += pairs.iter_mut().map(Pair::discard).sum::<u64>();
    ended.map(|()| report)
}

fn run_all(pairs: &mut [Pair], report: &mut ShadowReport, until: Instant) -> Result<(), Error> {
    pairs.iter_mut().try_for_each(|pair| pair.run(report, until))
}

fn begin(
    changes: &mut MutexGuard<'_, Changes>,
    config: &ShadowConfig,
) -> Result<(usize, Arc<Program>, Vec<Pair>), Error> {
    let (slot, program) = changes.program(&config.candidate.name)?;
    let mut pairs = Vec::new();
    for lcore in 0..changes.places.len() {
        let result = begin_on(changes, config, (slot, &program), lcore);
        match result {
            Ok(pair) => pairs.push(pair),
            Err(error) => {
                // The lcores before this one sample already.
                let mut unused = ShadowReport::default();
                let _ = end(changes, slot, &program, lcore, &mut unused);
                return Err(error);
            }
        }
    }
    Ok((slot, program, pairs))
}

/// Copies the state of one lcore at a boundary, and samples from that very boundary on.
fn begin_on(
    changes: &mut Changes,
    config: &ShadowConfig,
    (slot, program): (usize, &Arc<Program>),
    lcore: usize,
) -> Result<Pair, Error> {
    let tables = program.state.tables().clone();
    let mut copies = Vec::new();
    for table in tables.iter().filter(|table| !table.wanted.shape.shared) {
        let from = &table.tables[lcore];
        copies.push(TableCopy::new(Arc::clone(from), Arc::new(from.twin()?))?);
    }
    for copy in &mut copies {
        changes.copy_ahead(slot, lcore, copy)?;
    }
    let (sampler, samples) = sampler(config.one_in);
    let mut sampler = Some(sampler);
    let tracked = changes.tracked(slot, lcore, &copies);
    let copies = changes.control.at_boundary(lcore, {
        let mut copies = Some(copies);
        move |lcore| {
            let finish = |copy: &mut TableCopy| copy.finish(crate::migrate::GROUPS_PER_BOUNDARY);
            if !copies.iter_mut().flatten().all(finish) {
                return None;
            }
            for (windows, index) in &tracked {
                windows.track(*index, false);
            }
            std::mem::swap(&mut lcore.slots[slot].sampler, &mut sampler);
            copies.take()
        }
    })?;
    let snapshot: Vec<Arc<Table>> = copies.iter().map(|copy| Arc::clone(copy.to())).collect();
    let runners = runners(config, program, &tables, &snapshot);
    runners.map(|runners| Pair { lcore, runners, samples })
}

/// The running program on the snapshot itself, the candidate on a copy of it.
fn runners(
    config: &ShadowConfig,
    program: &Arc<Program>,
    tables: &[StateTable],
    snapshot: &[Arc<Table>],
) -> Result<[Runner; 2], Error> {
    let with = |own: &[Arc<Table>]| {
        let mut own = own.iter();
        let mut table = |table: &StateTable| match table.wanted.shape.shared {
            true => Arc::clone(&table.tables[0]),
            false => Arc::clone(own.next().expect("one copy for each table of its own")),
        };
        let held = tables.iter().map(|held| held.on_one_lcore(table(held))).collect();
        ProgramState::with_tables(held)
    };
    let second = snapshot.iter().map(copy_of).collect::<Result<Vec<_>, _>>()?;
    let current = Runner::of(Arc::new(program.with_state(with(snapshot)?)))?;
    let candidate = Program::new(config.candidate.clone(), with(&second)?)?;
    Ok([current, Runner::of(Arc::new(candidate))?])
}

fn copy_of(table: &Arc<Table>) -> Result<Arc<Table>, Error> {
    let copy = Arc::new(table.twin()?);
    let mut copying = TableCopy::new(Arc::clone(table), Arc::clone(&copy))?;
    copying.copy_all();
    let copied = copying.finish(usize::MAX);
    assert!(copied, "nobody writes a snapshot");
    Ok(copy)
}

/// Takes the samplers back.
fn end(
    changes: &mut Changes,
    slot: usize,
    program: &Arc<Program>,
    lcores: usize,
    report: &mut ShadowReport,
) -> Result<(), Error> {
    for lcore in 0..lcores {
        let sampler: Option<Box<Sampler>> = changes
            .control
            .at_boundary(lcore, move |lcore| Some(lcore.slots[slot].sampler.take()))?;
        report.lost += sampler.map_or(0, |sampler| sampler.lost);
    }
    let current = changes.slots.get(slot).and_then(Option::as_ref);
    if !current.is_some_and(|current| Arc::ptr_eq(current, program)) {
        let message = format!("{} was swapped meanwhile", program.config.name);
        return Err(Error::new(ErrorCode::State, message));
    }
    Ok(())
}

impl Pair {
    /// Runs what has arrived, burst by burst as the lcore had it. A candidate that is slower than
    /// packets come would never be done, so this ends at `until`.
    fn run(&mut self, report: &mut ShadowReport, until: Instant) -> Result<(), Error> {
        let mut samples = vec![EMPTY; limits::BURST_MAX];
        while Instant::now() < until && report.faults[1] < FAULTS_MAX {
            let count = self.samples.pop(&mut samples);
            if count == 0 {
                return Ok(());
            }
            for burst in samples[..count].chunk_by(|a, b| a.now_ns == b.now_ns) {
                self.run_burst(burst, report)?;
            }
        }
        Ok(())
    }

    /// Throws away what has arrived and says how many packets that was.
    fn discard(&mut self) -> u64 {
        let mut samples = vec![EMPTY; limits::BURST_MAX];
        let counts = std::iter::from_fn(|| Some(self.samples.pop(&mut samples)));
        counts.take_while(|&count| count > 0).map(|count| count as u64).sum()
    }

    fn run_burst(&mut self, burst: &[Sample], report: &mut ShadowReport) -> Result<(), Error> {
        let given: Vec<Given<'_>> = burst.iter().map(given).collect();
        let [current, candidate] = &mut self.runners;
        let now_ns = burst[0].now_ns;
        let current = current.run_at(&given, now_ns)?;
        let candidate = candidate.run_at(&given, now_ns)?;
        report.sampled += burst.len() as u64;
        report.faults[0] += u64::from(current.fault.is_some());
        report.faults[1] += u64::from(candidate.fault.is_some());
        report.fault = report.fault.take().or(candidate.fault);
        for (index, answers) in current.packets.into_iter().zip(candidate.packets).enumerate() {
            if same(&answers.0, &answers.1) {
                continue;
            }
            report.differences += 1;
            if report.examples.len() < EXAMPLES_MAX {
                let Given { bytes, port, .. } = given[index];
                let (packet, answers) = (bytes.to_vec(), answers.into());
                report.examples.push(Difference { lcore: self.lcore, port, packet, answers });
            }
        }
        Ok(())
    }
}

fn given(sample: &Sample) -> Given<'_> {
    let bytes = &sample.bytes[..usize::from(sample.length)];
    Given { bytes, port: sample.port, mark: sample.mark }
}

/// The port of a redirect says nothing when there is none, nor do the bytes of a dropped packet.
fn same(a: &Answered, b: &Answered) -> bool {
    let egress = a.verdict != Some(Verdict::Redirect) || a.egress == b.egress;
    let gone = a.verdict == Some(Verdict::Drop);
    a.verdict == b.verdict && egress && (gone || a.mark == b.mark && a.bytes == b.bytes)
}
