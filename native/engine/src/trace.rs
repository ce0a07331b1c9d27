//! Traces of a port or of a program, while packets flow (docs/design/trace.md): tracers are put on
//! the lcores by errands, what they copy is taken here, and they are fetched back at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use wirelet_abi::{Error, ErrorCode};

use crate::control::Control;
use crate::fate::Names;
use crate::lcore::Lcore;
use crate::roster::Roster;
use crate::swap::Changes;
use crate::tracer::{self, Copied, Tracer, Viewer, Wanted, tracer};

/// Traces of an appliance at a time: each costs its lcores the filter for each packet.
const TRACES_MAX: usize = 8;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// What comes in and leaves by a port.
    Port(usize),
    /// What goes through a program, by its name.
    Program(String),
}

/// A list of an lcore that tracers are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Rx(usize),
    Tx(usize),
    Slot(usize),
}

impl Place {
    fn list(self, lcore: &mut Lcore) -> &mut Option<Box<Tracer>> {
        match self {
            Place::Rx(port) => &mut lcore.ports[port].trace_rx,
            Place::Tx(port) => &mut lcore.ports[port].trace_tx,
            Place::Slot(slot) => &mut lcore.slots[slot].tracer,
        }
    }
}

/// One tracer on one lcore, and where its copies arrive.
struct Part {
    lcore: usize,
    place: Place,
    viewer: Viewer,
}

/// A packet of a trace.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Where.
    pub lcore: usize,
    /// What was copied, and what became of it.
    pub copied: Copied,
    /// Its first bytes.
    pub bytes: Vec<u8>,
}

/// A trace that is on the lcores until it is ended.
pub struct Trace {
    changes: Arc<Mutex<Changes>>,
    control: Arc<Control>,
    id: u64,
    parts: Vec<Part>,
    /// Slot and name of the program that is traced.
    program: Option<(usize, String)>,
    roster: Arc<RwLock<Roster>>,
}

impl Trace {
    /// Puts it on all lcores that have the target.
    ///
    /// # Errors
    /// `WIRELET_E_CONFIG_UNKNOWN_PROGRAM`, `WIRELET_E_TRACE` for a port that there is not or more
    /// traces than there may be, `WIRELET_E_STATE` when the appliance does not run.
    pub fn start(
        changes: &Arc<Mutex<Changes>>,
        target: &Target,
        wanted: &Wanted,
    ) -> Result<Trace, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        assert!(wanted.every > 0);
        let mut guard = changes.lock().unwrap_or_else(PoisonError::into_inner);
        let control = Arc::clone(&guard.control);
        let lcores = guard.places.len();
        let (program, places) = match target {
            Target::Program(name) => {
                let (slot, _) = guard.program(name)?;
                (Some((slot, name.clone())), vec![Place::Slot(slot)])
            }
            Target::Port(port) if *port < 64 && control.ports >> port & 1 == 1 => {
                (None, vec![Place::Rx(*port), Place::Tx(*port)])
            }
            Target::Port(port) => {
                return Err(Error::new(ErrorCode::Trace, format!("there is no port {port}")));
            }
        };
        if guard.traces >= TRACES_MAX {
            let message = format!("{TRACES_MAX} traces run already");
            return Err(Error::new(ErrorCode::Trace, message));
        }
        guard.traces += 1;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let changes = Arc::clone(changes);
        let roster = Arc::clone(&guard.roster);
        let mut trace = Trace { changes, control, id, parts: Vec::new(), program, roster };
        let put = |trace: &mut Trace, lcore: usize, place: Place| {
            if !trace.has(lcore, place)? {
                return Ok(());
            }
            let (tracer, viewer) = tracer(id, wanted.clone());
            let mut tracer = Some(tracer);
            trace.control.at_boundary(lcore, move |lcore| {
                let tracer = tracer.take()?;
                tracer::insert(place.list(lcore), tracer);
                Some(())
            })?;
            trace.parts.push(Part { lcore, place, viewer });
            Ok(())
        };
        let pairs = (0..lcores).flat_map(|lcore| places.iter().map(move |&place| (lcore, place)));
        let result = { pairs }.try_for_each(|(lcore, place)| put(&mut trace, lcore, place));
        drop(guard);
        if let Err(error) = result {
            trace.end();
            return Err(error);
        }
        Ok(trace)
    }

    /// Whether packets can come by there on an lcore: by flow affinity, some that another lcore has
    /// received.
    fn has(&self, lcore: usize, place: Place) -> Result<bool, Error> {
        let Place::Tx(port) = place else { return Ok(true) };
        let has = move |lcore: &mut Lcore| Some(lcore.ports[port].device.is_some());
        self.control.at_boundary(lcore, has)
    }

    /// Packets that wait, at most `max`, by their time.
    pub fn take(&mut self, max: usize) -> Vec<Traced> {
        let mut packets = Vec::new();
        for Part { lcore, viewer, .. } in &mut self.parts {
            let lcore = *lcore;
            viewer.view(max - packets.len(), |copied, bytes| {
                packets.push(Traced { lcore, copied: *copied, bytes: bytes.to_vec() });
            });
        }
        packets.sort_by_key(|packet| packet.copied.timestamp_ns);
        packets
    }

    /// Packets that matched and found no room so far.
    pub fn lost(&self) -> u64 {
        self.parts.iter().map(|part| part.viewer.lost()).sum()
    }

    /// Whether nothing comes any more: it was ended, its lcores have, or its program was taken out.
    pub fn is_over(&self) -> bool {
        let ended = |part: &Part| self.control.lcores[part.lcore].ended.load(Ordering::Acquire);
        let roster = self.roster.read().unwrap_or_else(PoisonError::into_inner);
        let gone = self.program.as_ref().is_some_and(|(slot, name)| roster.name(*slot) != name);
        self.id == 0 || gone || self.parts.iter().all(ended)
    }

    /// Who decided what became of a packet, empty for nobody, and what that was: `dropped by
    /// guard`. `ports` are names.
    pub fn describe(&self, packet: &Traced, ports: &[String]) -> (String, String) {
        let roster = &*self.roster.read().unwrap_or_else(PoisonError::into_inner);
        let fate = &packet.copied.fate;
        let (names, mut note) = (TraceNames { ports, roster }, String::new());
        fate.describe(&names, &mut note);
        (fate.program().map_or(String::new(), |slot| names.program(slot).into()), note)
    }

    /// Takes it from the lcores; what was copied until then can still be taken. Lcores that have
    /// ended have nothing left to take it from.
    pub fn end(&mut self) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.id;
        if std::mem::replace(&mut self.id, 0) == 0 {
            return;
        }
        for Part { lcore, place, .. } in &self.parts {
            let place = *place;
            // Freed here, not on the lcore.
            let _ = self
                .control
                .at_boundary(*lcore, move |lcore| Some(tracer::remove(place.list(lcore), id)));
        }
        changes.traces -= 1;
    }
}

struct TraceNames<'a> {
    ports: &'a [String],
    roster: &'a Roster,
}

impl Names for TraceNames<'_> {
    fn port(&self, port: usize) -> &str {
        self.ports.get(port).map_or("", String::as_str)
    }

    fn program(&self, slot: usize) -> &str {
        self.roster.name(slot)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.end();
    }
}
