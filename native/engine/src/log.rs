//! A program's log: rate limited, so that a flood costs a counter and no more.

use wirelet_abi::limits;
use wirelet_packet::clock;

use crate::event::{EventSender, LogLine, What};

const SECOND_NS: u64 = 1_000_000_000;

/// Where one instance's lines go.
#[derive(Debug)]
pub struct LogWriter {
    events: EventSender,
    program: u16,
    /// Start of the second being counted, and lines in it.
    second_ns: u64,
    lines: u32,
    lost: u64,
}

impl LogWriter {
    /// A log of program number `program`.
    pub fn new(events: EventSender, program: u16) -> LogWriter {
        LogWriter { events, program, second_ns: 0, lines: 0, lost: 0 }
    }

    /// Sends one line of at most 256 bytes from the program's own memory.
    pub fn write(&mut self, start: *const u8, bytes: usize) {
        assert!(bytes <= limits::LOG_LINE_BYTES_MAX, "the caller cuts");
        let now_ns = clock::now_ns();
        if now_ns - self.second_ns > SECOND_NS {
            (self.second_ns, self.lines) = (now_ns, 0);
        }
        if self.lines == limits::LOG_LINES_PER_SECOND_MAX {
            self.lost += 1;
            return;
        }
        self.lines += 1;
        let mut text = [0; limits::LOG_LINE_BYTES_MAX];
        // SAFETY: the caller has checked that `bytes` bytes from `start` are the program's own and
        // mapped; `text` has room for them and is ours.
        unsafe { start.copy_to_nonoverlapping(text.as_mut_ptr(), bytes) };
        self.events.send(What::Log(LogLine { program: self.program, bytes: bytes as u16, text }));
    }

    /// Lines over the limit since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}
