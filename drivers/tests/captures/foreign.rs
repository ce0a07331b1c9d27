//! Capture files as other tools and machines write them: both byte orders, every block and magic.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use wirelet_drivers::{CaptureReader, Record};

/// What a file should give, in order: a packet with its time, or the name of a drop reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Packet(u64, Vec<u8>),
    Dropped(&'static str),
}

/// Writes numbers in one byte order.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    pub bytes: Vec<u8>,
    pub big: bool,
}

impl Bytes {
    pub fn u16(&mut self, value: u16) -> &mut Bytes {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    pub fn u32(&mut self, value: u32) -> &mut Bytes {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    pub fn u64(&mut self, value: u64) -> &mut Bytes {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        self
    }

    pub fn raw(&mut self, bytes: &[u8]) -> &mut Bytes {
        self.bytes.extend(bytes);
        self
    }
}

/// A pcap file of any variant.
#[derive(Clone, Copy, Debug)]
pub struct PcapVariant {
    pub big: bool,
    pub magic: u32,
    pub minor: u16,
    pub link_type: u32,
}

impl PcapVariant {
    pub fn write(&self, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut file = Bytes { big: self.big, ..Bytes::default() };
        file.u32(self.magic).u16(2).u16(self.minor).u32(0).u32(0).u32(65535).u32(self.link_type);
        for (timestamp_ns, bytes) in packets {
            let fraction = timestamp_ns % 1_000_000_000 / self.unit_ns();
            file.u32((timestamp_ns / 1_000_000_000) as u32).u32(fraction as u32);
            let (captured, original) = (bytes.len() as u32, bytes.len() as u32 + 7);
            match self.minor {
                0..=2 => file.u32(original).u32(captured),
                3 if captured % 2 == 0 => file.u32(original).u32(captured),
                _ => file.u32(captured).u32(original),
            };
            if self.magic == 0xA1B2_CD34 {
                file.u64(0);
            }
            file.raw(bytes);
        }
        file.bytes
    }

    pub fn unit_ns(&self) -> u64 {
        if self.magic == 0xA1B2_3C4D { 1 } else { 1000 }
    }

    pub fn outcomes(&self, packets: &[(u64, Vec<u8>)]) -> Vec<Outcome> {
        let outcome = |(timestamp_ns, bytes): &(u64, Vec<u8>)| match self.link_type & 0xFFFF {
            1 => Outcome::Packet(timestamp_ns / self.unit_ns() * self.unit_ns(), bytes.clone()),
            _ => Outcome::Dropped("link_type"),
        };
        packets.iter().map(outcome).collect()
    }
}

/// Blocks of a pcapng file.
#[derive(Clone, Debug)]
pub enum Block {
    Section { big: bool },
    Interface { link_type: u16, snaplen: u32, tsresol: Option<u8>, tsoffset: i64 },
    Enhanced { interface: u32, units: u64, bytes: Vec<u8> },
    Obsolete { interface: u16, units: u64, bytes: Vec<u8> },
    Simple { bytes: Vec<u8> },
    Other { kind: u32, length: usize },
}

pub fn write_blocks(blocks: &[Block]) -> Vec<u8> {
    let (mut file, mut big) = (Vec::new(), false);
    for block in blocks {
        if let Block::Section { big: order } = block {
            big = *order;
        }
        let (kind, body) = block_body(block, big);
        let total = body.bytes.len().next_multiple_of(4) as u32 + 12;
        let mut framed = Bytes { big, ..Bytes::default() };
        framed.u32(kind).u32(total).raw(&body.bytes);
        framed.bytes.resize(total as usize - 4, 0);
        framed.u32(total);
        file.extend(framed.bytes);
    }
    file
}

fn block_body(block: &Block, big: bool) -> (u32, Bytes) {
    let mut body = Bytes { big, ..Bytes::default() };
    let kind = match block {
        Block::Section { .. } => {
            body.u32(0x1A2B_3C4D).u16(1).u16(0).u64(u64::MAX);
            0x0A0D_0D0A
        }
        Block::Interface { link_type, snaplen, tsresol, tsoffset } => {
            body.u16(*link_type).u16(0).u32(*snaplen).u16(2).u16(3).raw(b"eth\0");
            if let Some(tsresol) = tsresol {
                body.u16(9).u16(1).raw(&[*tsresol, 0, 0, 0]);
            }
            if *tsoffset != 0 {
                body.u16(14).u16(8).u64(*tsoffset as u64);
            }
            body.u32(0);
            1
        }
        Block::Enhanced { interface, units, bytes } => {
            body.u32(*interface).u32((units >> 32) as u32).u32(*units as u32);
            body.u32(bytes.len() as u32).u32(bytes.len() as u32 + 9).raw(bytes);
            body.bytes.resize(body.bytes.len().next_multiple_of(4), 0);
            // A comment, and its end.
            body.u16(1).u16(2).raw(b"hi\0\0").u32(0);
            6
        }
        Block::Obsolete { interface, units, bytes } => {
            body.u16(*interface).u16(0xFFFF).u32((units >> 32) as u32).u32(*units as u32);
            body.u32(bytes.len() as u32).u32(bytes.len() as u32).raw(bytes);
            2
        }
        Block::Simple { bytes } => {
            body.u32(bytes.len() as u32).raw(bytes);
            3
        }
        Block::Other { kind, length } => {
            body.bytes.resize(*length, 0xEE);
            *kind
        }
    };
    (kind, body)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

/// Everything a file gives, as its reader says it.
pub fn read_all(path: &Path) -> Result<Vec<Outcome>, wirelet_abi::Error> {
    let mut reader = CaptureReader::open(path)?;
    let mut outcomes = Vec::new();
    while let Some(record) = reader.next_record() {
        outcomes.push(match record {
            Record::Packet { timestamp_ns, bytes, .. } => {
                Outcome::Packet(timestamp_ns, bytes.to_vec())
            }
            Record::Dropped { reason, .. } => Outcome::Dropped(reason.name()),
        });
    }
    assert!(reader.next_record().is_none() && reader.take_error().is_none());
    Ok(outcomes)
}

/// A file that goes with its handle.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(ending: &str) -> TempFile {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wirelet-capture-{}-{number}{ending}", std::process::id());
        TempFile(std::env::temp_dir().join(name))
    }

    pub fn with(bytes: &[u8]) -> TempFile {
        let file = TempFile::new("");
        std::fs::write(&file.0, bytes).expect("a file in the temporary folder");
        file
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
