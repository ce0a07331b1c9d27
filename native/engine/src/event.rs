//! What lcores tell the host: log lines, faults, devices that fail. A bounded channel; what nobody
//! takes is counted as lost, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use wirelet_abi::{Error, limits};
use wirelet_packet::clock;

use crate::fault::Fault;

const EVENTS_MAX: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The lcore it happened on.
    pub lcore: u32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "an lcore must not allocate to send a line")]
pub enum What {
    /// A program wrote a line. Plain data: sending one allocates nothing.
    Log(LogLine),
    /// A program faulted.
    Fault(Box<FaultReport>),
    /// A device failed.
    Device {
        /// The port's number.
        port: u16,
        /// Why.
        error: Error,
    },
    /// A port's link went down, or is up again. The port goes on.
    Link {
        /// The port's number.
        port: u16,
        /// Whether it is up now.
        up: bool,
    },
    /// A port's device, which had ended with an error, is there again and works.
    Reopened {
        /// The port's number.
        port: u16,
    },
    /// A port's packets cross between NUMA nodes.
    Placement {
        /// The port's number.
        port: u16,
        /// What is where.
        message: Box<str>,
    },
    /// The lcore itself failed: a bug of ours.
    Lcore(Error),
    /// State that was kept can't be read.
    State(Error),
    /// Faults brought the generation before back.
    Rollback {
        /// The program that faulted.
        program: u16,
        /// The generation that runs now; 0 when the rollback failed.
        to: u32,
        /// Why.
        message: String,
    },
    /// A program is not rebuilt any more on this lcore.
    Quarantine {
        /// The program's number.
        program: u16,
    },
}

/// A line of a program's log.
#[derive(Clone, Copy, Debug)]
pub struct LogLine {
    /// The program's number.
    pub program: u16,
    /// Bytes of `text` that are used.
    pub bytes: u16,
    /// UTF-8, as far as the program kept to it.
    pub text: [u8; limits::LOG_LINE_BYTES_MAX],
}

/// Everything known of a fault.
#[derive(Clone, Debug)]
pub struct FaultReport {
    /// The program's number.
    pub program: u16,
    /// The pipeline's generation.
    pub generation: u32,
    /// What and where.
    pub fault: Fault,
    /// The packet being worked on, as it was after the fault; empty when there was none.
    pub packet: Vec<u8>,
}

/// The writing end, one per lcore and program.
#[derive(Clone, Debug)]
pub struct EventSender {
    sender: SyncSender<Event>,
    lost: Arc<AtomicU64>,
    lcore: u32,
}

/// The reading end.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
    sender: EventSender,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, receiver) = sync_channel(EVENTS_MAX);
        Events { receiver, sender: EventSender { sender, lost: Arc::default(), lcore: 0 } }
    }
}

impl Events {
    /// A writing end for `lcore`.
    pub fn sender(&self, lcore: u32) -> EventSender {
        EventSender { lcore, ..self.sender.clone() }
    }

    /// Takes what has happened since the last call, oldest first.
    pub fn take(&self) -> Vec<Event> {
        self.receiver.try_iter().take(EVENTS_MAX).collect()
    }

    /// Events that were lost because nobody took them.
    pub fn lost(&self) -> u64 {
        self.sender.lost.load(Ordering::Relaxed)
    }
}

impl EventSender {
    /// Reports a fault without a packet: while loading.
    pub fn fault(&self, slot: usize, generation: u32, fault: Fault) {
        let report = FaultReport { program: slot as u16, generation, fault, packet: Vec::new() };
        self.send(What::Fault(Box::new(report)));
    }

    /// Sends, or counts as lost. Takes no lock and does not wait: the channel is an array, and its
    /// reader polls, so there is never a waiter to be woken.
    pub fn send(&self, what: What) {
        let event = Event { time_ns: clock::now_ns(), lcore: self.lcore, what };
        if self.sender.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
