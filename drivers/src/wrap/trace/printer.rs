//! The thread that makes lines of packets.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::ring::{Consumer, Producer, ring};
use wirelet_packet::{Mbuf, Region, Waker};

use super::line::line;

/// Bytes of a packet that a line is made of: all headers of usual packets.
const GLIMPSE_BYTES: usize = 128;
/// Glimpses that wait for the thread.
const RING: usize = 1024;
/// Time that closing gives the thread for the lines that wait.
const CLOSE: Duration = Duration::from_secs(2);
/// It looks around at least this often.
const SLEEP_MS: i32 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Rx,
    Tx,
}

/// The beginning of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glimpse {
    timestamp_ns: u64,
    direction: Direction,
    length: u16,
    bytes: [u8; GLIMPSE_BYTES],
}

impl Glimpse {
    pub(super) fn of(
        region: &Region,
        mbuf: &Mbuf,
        direction: Direction,
        timestamp_ns: u64,
    ) -> Glimpse {
        let mut bytes = [0; GLIMPSE_BYTES];
        let length = usize::from(mbuf.length).min(GLIMPSE_BYTES);
        // SAFETY: the packet lies within its frame (the engine's invariant), and whoever calls
        // owns the frame; the array has room.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(region.data(mbuf), length) };
        Glimpse { timestamp_ns, direction, length: mbuf.length, bytes }
    }
}

/// The lcore's end.
#[derive(Debug)]
pub(super) struct Printer {
    glimpses: Option<Producer<Glimpse>>,
    waker: Arc<Waker>,
    errors: mpsc::Receiver<Error>,
    /// What lines go to, for messages.
    name: String,
}

impl Printer {
    /// Starts a thread for each of a port's queues; they share a file.
    ///
    /// # Errors
    /// `WIRELET_E_OUTPUT`.
    pub(super) fn start(
        path: Option<&Path>,
        port: u16,
        queues: usize,
    ) -> Result<Vec<Printer>, Error> {
        let name = path.map_or("standard error".into(), |path| path.display().to_string());
        let failed = |error: io::Error| output_error(&name, &error);
        let file = match path {
            // Appended: threads that share it write whole lines.
            Some(path) => OpenOptions::new().create(true).append(true).open(path),
            None => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        };
        let file = file.map_err(failed)?;
        let start = |_| {
            let (producer, consumer) = ring(RING);
            let (sender, errors) = mpsc::channel();
            let waker = Arc::new(Waker::new().map_err(failed)?);
            let file = file.try_clone().map_err(failed)?;
            let thread = Thread { consumer, waker: Arc::clone(&waker), file, port };
            let told = name.clone();
            let body = move || {
                if let Err(error) = thread.run() {
                    // Nobody listens any more when the device was closed meanwhile.
                    let _ = sender.send(output_error(&told, &error));
                }
            };
            let thread = std::thread::Builder::new().name("wirelet-trace".into()).spawn(body);
            thread.map_err(failed)?;
            Ok(Printer { glimpses: Some(producer), waker, errors, name: name.clone() })
        };
        (0..queues).map(start).collect()
    }

    /// False when the thread is too far behind.
    pub(super) fn push(&mut self, glimpse: Glimpse) -> bool {
        self.glimpses.as_mut().is_some_and(|glimpses| glimpses.push(&[glimpse]) == 1)
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    pub(super) fn take_error(&mut self) -> Option<Error> {
        self.errors.try_recv().ok()
    }

    /// Lets the thread write what waits, and end. A thread that can't write is left alone.
    ///
    /// # Errors
    /// `WIRELET_E_OUTPUT` when lines could not be written.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        if self.glimpses.take().is_none() {
            return Ok(());
        }
        self.waker.wake();
        match self.errors.recv_timeout(CLOSE) {
            Ok(error) => Err(error),
            // The thread has ended.
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let error = io::Error::from(io::ErrorKind::TimedOut);
                Err(output_error(&self.name, &error))
            }
        }
    }
}

fn output_error(name: &str, error: &io::Error) -> Error {
    Error::new(ErrorCode::OutputFailed, format!("{name}: {error}"))
}

/// The other end.
struct Thread {
    consumer: Consumer<Glimpse>,
    waker: Arc<Waker>,
    file: File,
    port: u16,
}

impl Thread {
    fn run(mut self) -> io::Result<()> {
        let empty = Glimpse {
            timestamp_ns: 0,
            direction: Direction::Rx,
            length: 0,
            bytes: [0; GLIMPSE_BYTES],
        };
        let (mut glimpses, mut text) = ([empty; 64], String::new());
        loop {
            // Asked before it is emptied: what was pushed before the end is seen.
            let ended = self.consumer.is_abandoned();
            let count = self.consumer.pop(&mut glimpses);
            if count == 0 {
                if ended {
                    return Ok(());
                }
                self.wait();
                continue;
            }
            text.clear();
            for glimpse in &glimpses[..count] {
                self.print(&mut text, glimpse);
            }
            self.file.write_all(text.as_bytes())?;
        }
    }

    fn print(&self, text: &mut String, glimpse: &Glimpse) {
        let ns = glimpse.timestamp_ns;
        let (seconds, us) = (ns / 1_000_000_000 % 86_400, ns / 1000 % 1_000_000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let direction = match glimpse.direction {
            Direction::Rx => "rx",
            Direction::Tx => "tx",
        };
        let length = usize::from(glimpse.length);
        let packet = line(&glimpse.bytes[..length.min(GLIMPSE_BYTES)], length);
        // A string takes everything.
        let _ = std::fmt::Write::write_fmt(
            text,
            format_args!(
                "{hours:02}:{minutes:02}:{seconds:02}.{us:06} {} {direction} {packet}\n",
                self.port
            ),
        );
    }

    /// Sleeps until it is woken; looks once more after it has said so.
    fn wait(&self) {
        self.waker.announce();
        if self.consumer.is_empty() && !self.consumer.is_abandoned() {
            let mut poll = libc::pollfd { fd: self.waker.fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd that lives during the call.
            unsafe { libc::poll(&raw mut poll, 1, SLEEP_MS) };
        }
        self.waker.awake();
    }
}
