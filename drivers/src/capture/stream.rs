//! A file as a stream of bytes, unpacked when it is gzip, through one buffer of fixed size.
//!
//! Read with read(2), never mapped: a file that somebody truncates while we read must end early,
//! not kill the process with SIGBUS.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// Room for the longest record and its headers, and enough to make read(2) cheap: it costs about
/// 0.1 ns a byte from the page cache, whatever the file says this never grows.
pub(super) const BUFFER_BYTES: usize = 512 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

enum Input {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
    /// Between two passes, while the file is handed from one to the next.
    Gone,
}

/// Why no more bytes come.
#[derive(Debug)]
pub(super) enum Ending {
    /// The file is over.
    Over,
    /// The file is over, but its gzip stream is not.
    CutOff,
    /// What is there is no gzip stream any more.
    Damaged,
    /// The kernel's error.
    Failed(io::Error),
}

pub(super) struct Stream {
    input: Input,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ending: Option<Ending>,
}

impl Stream {
    /// Opens `path` and looks whether it is gzip.
    pub(super) fn open(path: &Path) -> io::Result<Stream> {
        let file = File::open(path)?;
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        let mut stream =
            Stream { input: Input::Plain(file), buffer, start: 0, end: 0, ending: None };
        stream.detect_gzip()?;
        Ok(stream)
    }

    /// Back to the first byte of the file.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        let mut file = match std::mem::replace(&mut self.input, Input::Gone) {
            Input::Plain(file) => file,
            Input::Gzip(decoder) => decoder.into_inner().into_inner(),
            Input::Gone => return Err(io::ErrorKind::NotFound.into()),
        };
        file.seek(SeekFrom::Start(0))?;
        self.input = Input::Plain(file);
        (self.start, self.end, self.ending) = (0, 0, None);
        self.detect_gzip()
    }

    /// The descriptor's file, for its identity.
    pub(super) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        match &self.input {
            Input::Plain(file) => file.metadata(),
            Input::Gzip(decoder) => decoder.get_ref().get_ref().metadata(),
            Input::Gone => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Sees to it that `bytes` bytes stand in the buffer and returns how many do: fewer only at the
    /// end. `bytes` must not exceed [`BUFFER_BYTES`].
    #[inline]
    pub(super) fn fill(&mut self, bytes: usize) -> usize {
        if self.end - self.start < bytes {
            self.refill(bytes);
        }
        (self.end - self.start).min(bytes)
    }

    /// The bytes that stand in the buffer, from the stream's place on.
    #[inline]
    pub(super) fn peek(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Moves on by `bytes` that stand in the buffer; returns where in the buffer they begin.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> usize {
        assert!(bytes <= self.end - self.start);
        let start = self.start;
        self.start += bytes;
        start
    }

    /// Bytes that `take` passed, valid until the next `fill`.
    #[inline]
    pub(super) fn taken(&self, start: usize, length: usize) -> &[u8] {
        &self.buffer[start..start + length]
    }

    /// Moves on by `bytes`, however many; returns how many of them were there.
    pub(super) fn skip(&mut self, bytes: usize) -> usize {
        let mut left = bytes;
        while left > 0 {
            let count = self.fill(left.min(BUFFER_BYTES));
            if count == 0 {
                break;
            }
            self.take(count);
            left -= count;
        }
        bytes - left
    }

    /// Why no more bytes came; `None` while they do.
    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    fn detect_gzip(&mut self) -> io::Result<()> {
        let is_gzip = self.fill(2) == 2 && self.peek()[..2] == GZIP_MAGIC;
        if let Some(Ending::Failed(error)) = &self.ending {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        if !is_gzip {
            return Ok(());
        }
        let Input::Plain(mut file) = std::mem::replace(&mut self.input, Input::Gone) else {
            unreachable!("a stream starts plain");
        };
        file.seek(SeekFrom::Start(0))?;
        let reader = BufReader::with_capacity(64 << 10, file);
        self.input = Input::Gzip(Box::new(MultiGzDecoder::new(reader)));
        (self.start, self.end, self.ending) = (0, 0, None);
        Ok(())
    }

    #[cold]
    fn refill(&mut self, bytes: usize) {
        assert!(bytes <= self.buffer.len());
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < bytes && self.ending.is_none() {
            let room = &mut self.buffer[self.end..];
            let result = match &mut self.input {
                Input::Plain(file) => file.read(room),
                Input::Gzip(decoder) => decoder.read(room),
                Input::Gone => Ok(0),
            };
            match result {
                Ok(0) => self.ending = Some(Ending::Over),
                Ok(count) => self.end += count,
                Err(error) => self.ending = self.ending_of(error),
            }
        }
    }

    /// What an error means; `None` for one that only asks to try again.
    fn ending_of(&self, error: io::Error) -> Option<Ending> {
        let gzip = matches!(self.input, Input::Gzip(_));
        match error.kind() {
            io::ErrorKind::Interrupted => None,
            io::ErrorKind::UnexpectedEof if gzip => Some(Ending::CutOff),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if gzip => {
                Some(Ending::Damaged)
            }
            _ => Some(Ending::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::testing::Folder;

    /// 1.3 MB, plain and packed: more than the buffer holds.
    fn streams(folder: &Folder) -> [Stream; 2] {
        let bytes: Vec<u8> = (0..1_300_000u32).map(|byte| (byte / 7) as u8).collect();
        std::fs::write(folder.path("plain"), &bytes).expect("written");
        let file = File::create(folder.path("packed")).expect("created");
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(&bytes).expect("packed");
        encoder.finish().expect("packed");
        ["plain", "packed"].map(|name| Stream::open(&folder.path(name)).expect("opens"))
    }

    #[test]
    fn bytes_come_in_order_whether_they_are_taken_or_skipped() {
        let folder = Folder::new();
        for mut stream in streams(&folder) {
            for _ in 0..2 {
                assert_eq!(stream.fill(3), 3);
                let start = stream.take(3);
                assert_eq!(stream.taken(start, 3), [0, 0, 0]);
                assert_eq!(stream.skip(1_000_000), 1_000_000);
                assert_eq!(stream.fill(200_000), 200_000);
                assert_eq!(stream.peek()[..9], [9, 9, 9, 10, 10, 10, 10, 10, 10]);
                stream.take(200_000);
                assert_eq!((stream.fill(99_998), stream.skip(1 << 30)), (99_997, 99_997));
                assert!(matches!(stream.ending(), Some(Ending::Over)));
                stream.rewind().expect("a regular file");
            }
        }
    }
}
