//! Writes capture files of either format, in the machine's byte order.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use wirelet_abi::{Error, ErrorCode};

use super::note::{NAME_CHARS_MAX, NOTE_BYTES, Note, interface_options};

/// Bytes that are collected before they are written: one write(2) for some thousand packets.
const CHUNK_BYTES: usize = 256 << 10;
/// Room for the longest packet behind a chunk that is almost full, so that it never grows.
const CHUNK_ROOM: usize = CHUNK_BYTES + (u16::MAX as usize) + 64 + NOTE_BYTES;
const SNAPLEN: u32 = 256 << 10;

/// Which format a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// draft-ietf-opsawg-pcap.
    Pcap,
    /// draft-ietf-opsawg-pcapng.
    PcapNg,
}

/// How fine timestamps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 10^-6 seconds.
    Microseconds,
    /// 10^-9 seconds.
    Nanoseconds,
}

impl Format {
    /// The format that the ending of a file's name asks for: `.pcapng` or `.pcapng.gz`, else pcap.
    pub fn of_path(path: &Path) -> Format {
        let name = path.to_string_lossy();
        match name.trim_end_matches(".gz").ends_with(".pcapng") {
            true => Format::PcapNg,
            false => Format::Pcap,
        }
    }
}

/// A capture file that is being written.
///
/// Packets are collected and written in chunks. A chunk that can't be written as a whole is taken
/// back from the file, so that what it holds always ends with a whole packet, and each of its
/// packets counts as lost; later chunks are tried again.
///
/// A file whose name ends in `.gz` gets one gzip member per chunk, so that the same holds there.
///
/// ```no_run
/// # use wirelet_drivers::{CaptureWriter, Format, Precision};
/// let (format, precision) = (Format::Pcap, Precision::Nanoseconds);
/// let mut writer = CaptureWriter::create("out.pcap".as_ref(), format, precision)?;
/// writer.write(1_700_000_000_000_000_000, &[0; 60]);
/// writer.close()?;
/// # Ok::<(), wirelet_abi::Error>(())
/// ```
#[derive(Debug)]
pub struct CaptureWriter {
    path: PathBuf,
    file: File,
    format: Format,
    precision: Precision,
    /// Name of the interface, in a pcapng file.
    interface: Option<String>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    chunk: Vec<u8>,
    packets_in_chunk: u64,
    /// The file's header still is to be written: as part of the first chunk that can be.
    headed: bool,
    /// Bytes of the file that hold whole chunks.
    written_bytes: u64,
    lost_packets: u64,
    error: Option<Error>,
    reported: bool,
}

impl CaptureWriter {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// `WIRELET_E_OUTPUT` when it can't be created.
    pub fn create(
        path: &Path,
        format: Format,
        precision: Precision,
    ) -> Result<CaptureWriter, Error> {
        Self::create_with(path, format, precision, None)
    }

    /// Creates a pcapng file whose interface has a name, for [`Self::write_noted`].
    ///
    /// # Errors
    /// `WIRELET_E_OUTPUT` when it can't be created.
    pub(crate) fn create_named(path: &Path, interface: &str) -> Result<CaptureWriter, Error> {
        let interface = Some(interface.chars().take(NAME_CHARS_MAX).collect());
        Self::create_with(path, Format::PcapNg, Precision::Nanoseconds, interface)
    }

    fn create_with(
        path: &Path,
        format: Format,
        precision: Precision,
        interface: Option<String>,
    ) -> Result<CaptureWriter, Error> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|error| output_error(path, &error))?;
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let mut writer = CaptureWriter {
            path: path.into(),
            file,
            format,
            precision,
            interface,
            gzip,
            chunk: Vec::with_capacity(CHUNK_ROOM),
            packets_in_chunk: 0,
            headed: false,
            written_bytes: 0,
            lost_packets: 0,
            error: None,
            reported: false,
        };
        writer.begin_chunk();
        Ok(writer)
    }

    /// Adds a packet of at most 65,535 bytes with its time in ns since the epoch. What pcap's 32
    /// bits of seconds can't hold becomes the last second that they can.
    ///
    /// # Panics
    /// When it is longer.
    pub fn write(&mut self, timestamp_ns: u64, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).expect("a packet of at most 65,535 bytes");
        // SAFETY: a slice is readable for its length.
        unsafe { self.write_raw(timestamp_ns, bytes.as_ptr(), length) }
    }

    /// The same for a packet in a frame: no reference is made to bytes that a guest may see.
    ///
    /// # Safety
    /// From `data` on, `length` bytes can be read.
    #[inline]
    pub unsafe fn write_raw(&mut self, timestamp_ns: u64, data: *const u8, length: u16) {
        match self.format {
            Format::Pcap => {
                self.push_record_header(timestamp_ns, length);
                // SAFETY: the caller says so.
                unsafe { self.push_raw(data, length.into()) };
            }
            // SAFETY: the caller says so.
            Format::PcapNg => unsafe {
                self.push_block(timestamp_ns, data, (length, length), &[]);
            },
        }
        self.end_packet();
    }

    /// A packet of `length` bytes, of which `captured` are kept, with its direction and a comment.
    /// The file must be one of [`Self::create_named`].
    ///
    /// # Safety
    /// From `data` on, `captured` bytes can be read.
    pub(crate) unsafe fn write_noted(
        &mut self,
        timestamp_ns: u64,
        data: *const u8,
        (captured, length): (u16, u16),
        note: &Note<'_>,
    ) {
        assert!(self.format == Format::PcapNg && captured <= length);
        let mut options = [0; NOTE_BYTES];
        let bytes = note.write(&mut options);
        // SAFETY: the caller says so.
        unsafe { self.push_block(timestamp_ns, data, (captured, length), &options[..bytes]) };
        self.end_packet();
    }

    fn end_packet(&mut self) {
        self.packets_in_chunk += 1;
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush();
        }
    }

    /// # Safety
    /// From `data` on, `length` bytes can be read.
    #[inline]
    unsafe fn push_raw(&mut self, data: *const u8, length: usize) {
        let start = self.chunk.len();
        self.chunk.reserve(length);
        // SAFETY: the caller says that `length` bytes can be read; the room for them was just
        // reserved behind the chunk's bytes, and is full when the length says so.
        unsafe {
            self.chunk.as_mut_ptr().add(start).copy_from_nonoverlapping(data, length);
            self.chunk.set_len(start + length);
        }
    }

    /// Writes what is collected. Failures show in [`Self::lost_packets`] and [`Self::take_error`].
    pub fn flush(&mut self) {
        if self.packets_in_chunk > 0 || !self.headed {
            self.write_chunk();
        }
    }

    /// Packets that could not be written.
    pub fn lost_packets(&self) -> u64 {
        self.lost_packets
    }

    /// The first failure, once.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// `WIRELET_E_OUTPUT` when something could not be written and nobody took that error yet.
    pub fn close(&mut self) -> Result<(), Error> {
        self.flush();
        self.take_error().map_or(Ok(()), Err)
    }

    fn begin_chunk(&mut self) {
        self.chunk.clear();
        self.packets_in_chunk = 0;
        if !self.headed {
            match self.format {
                Format::Pcap => self.push_pcap_header(),
                Format::PcapNg => self.push_section(),
            }
        }
    }

    fn write_chunk(&mut self) {
        match self.try_write() {
            Ok(bytes) => {
                self.written_bytes += bytes;
                self.headed = true;
            }
            Err(error) => {
                self.lost_packets += self.packets_in_chunk;
                self.take_back();
                if !self.reported {
                    self.reported = true;
                    self.error = Some(output_error(&self.path, &error));
                }
            }
        }
        self.begin_chunk();
    }

    fn try_write(&mut self) -> io::Result<u64> {
        let Some(gzip) = &mut self.gzip else {
            self.file.write_all(&self.chunk)?;
            return Ok(self.chunk.len() as u64);
        };
        gzip.write_all(&self.chunk)?;
        gzip.try_finish()?;
        let member = std::mem::take(gzip.get_mut());
        *gzip = GzEncoder::new(Vec::with_capacity(member.len()), Compression::fast());
        self.file.write_all(&member)?;
        Ok(member.len() as u64)
    }

    /// Cuts off the part of a chunk that was written. What is no regular file (a pipe, /dev/full)
    /// refuses; its reader sees a record that is cut off.
    fn take_back(&mut self) {
        use std::io::Seek;
        if self.file.set_len(self.written_bytes).is_ok() {
            let _ = self.file.seek(io::SeekFrom::Start(self.written_bytes));
        }
    }

    /// Section 4 of the pcap draft.
    fn push_pcap_header(&mut self) {
        let magic: u32 = match self.precision {
            Precision::Microseconds => 0xA1B2_C3D4,
            Precision::Nanoseconds => 0xA1B2_3C4D,
        };
        self.push_u32(magic);
        self.push_u16(2);
        self.push_u16(4);
        self.push_u32(0);
        self.push_u32(0);
        self.push_u32(SNAPLEN);
        self.push_u32(super::ETHERNET);
    }

    /// Section 5 of the pcap draft.
    #[inline]
    fn push_record_header(&mut self, timestamp_ns: u64, length: u16) {
        let (seconds, nanoseconds) = (timestamp_ns / 1_000_000_000, timestamp_ns % 1_000_000_000);
        let fraction = match self.precision {
            Precision::Microseconds => nanoseconds / 1000,
            Precision::Nanoseconds => nanoseconds,
        };
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.push_words([seconds, fraction as u32, length.into(), length.into()]);
    }

    /// Sections 4.1 and 4.2 of the pcapng draft: one section, one interface.
    fn push_section(&mut self) {
        self.push_u32(0x0A0D_0D0A);
        self.push_u32(28);
        self.push_u32(0x1A2B_3C4D);
        self.push_u16(1);
        self.push_u16(0);
        self.chunk.extend_from_slice(&u64::MAX.to_ne_bytes());
        self.push_u32(28);
        let mut options = [0; NOTE_BYTES];
        let bytes = interface_options(&mut options, self.interface.as_deref(), self.precision);
        let total = 20 + bytes as u32;
        self.push_u32(1);
        self.push_u32(total);
        self.push_u16(super::ETHERNET as u16);
        self.push_u16(0);
        self.push_u32(SNAPLEN);
        self.chunk.extend_from_slice(&options[..bytes]);
        self.push_u32(total);
    }

    /// Section 4.3 of the pcapng draft.
    ///
    /// # Safety
    /// From `data` on, `captured` bytes can be read.
    #[inline]
    unsafe fn push_block(
        &mut self,
        timestamp_ns: u64,
        data: *const u8,
        (captured, length): (u16, u16),
        options: &[u8],
    ) {
        let units = match self.precision {
            Precision::Microseconds => timestamp_ns / 1000,
            Precision::Nanoseconds => timestamp_ns,
        };
        let bytes = usize::from(captured);
        let padding = bytes.next_multiple_of(4) - bytes;
        let total = (32 + bytes + padding + options.len()) as u32;
        let (captured, length) = (captured.into(), length.into());
        self.push_words([6, total, 0, (units >> 32) as u32, units as u32, captured, length]);
        // SAFETY: the caller says so.
        unsafe { self.push_raw(data, bytes) };
        self.chunk.extend_from_slice(&[0; 3][..padding]);
        self.chunk.extend_from_slice(options);
        self.push_u32(total);
    }

    /// One copy for all words of a header.
    #[inline]
    fn push_words<const N: usize>(&mut self, words: [u32; N]) {
        self.chunk.extend_from_slice(words.map(u32::to_ne_bytes).as_flattened());
    }

    fn push_u16(&mut self, value: u16) {
        self.chunk.extend_from_slice(&value.to_ne_bytes());
    }

    fn push_u32(&mut self, value: u32) {
        self.chunk.extend_from_slice(&value.to_ne_bytes());
    }
}

fn output_error(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::OutputFailed, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn written(name: &str, format: Format, precision: Precision) -> Vec<u8> {
        let folder = Folder::new();
        let path = folder.path(name);
        let mut writer = CaptureWriter::create(&path, format, precision).expect("created");
        writer.write(0x1_0000_0001 * 1_000_000_000 + 5_999, &[7; 5]);
        writer.close().expect("written");
        std::fs::read(path).expect("read")
    }

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().expect("4"))).collect()
    }

    #[test]
    fn a_pcap_file_is_as_the_draft_says() {
        let file = written("a.pcap", Format::Pcap, Precision::Microseconds);
        assert_eq!(words(&file[..24])[..], [0xA1B2_C3D4, 2 | 4 << 16, 0, 0, 262_144, 1]);
        assert_eq!(words(&file[24..40]), [u32::MAX, 5, 5, 5], "seconds end at 2^32 - 1");
        assert_eq!(file[40..], [7; 5]);
        let file = written("a.pcap", Format::Pcap, Precision::Nanoseconds);
        assert_eq!((words(&file[..4]), words(&file[28..32])), (vec![0xA1B2_3C4D], vec![5_999]));
    }

    #[test]
    fn a_pcapng_file_is_as_the_draft_says() {
        let file = written("a.pcapng", Format::PcapNg, Precision::Nanoseconds);
        assert_eq!(words(&file[..8]), [0x0A0D_0D0A, 28]);
        assert_eq!(words(&file[28..60]), [1, 32, 1, 262_144, 9 | 1 << 16, 9, 0, 32]);
        let time = 0x1_0000_0001 * 1_000_000_000u64 + 5_999;
        let header = [6, 40, 0, (time >> 32) as u32, time as u32, 5, 5];
        assert_eq!(words(&file[60..88]), header);
        assert_eq!(file[88..96], [7, 7, 7, 7, 7, 0, 0, 0]);
        assert_eq!(words(&file[96..]), [40]);
    }

    #[test]
    fn the_name_tells_the_format() {
        for (name, format) in [
            ("a.pcap", Format::Pcap),
            ("a.pcapng", Format::PcapNg),
            ("a.pcapng.gz", Format::PcapNg),
            ("a.pcap.gz", Format::Pcap),
            ("a", Format::Pcap),
        ] {
            assert_eq!(Format::of_path(name.as_ref()), format, "{name}");
        }
    }
}
