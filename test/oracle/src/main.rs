//! What etherparse, an independent decoder, sees in packets: the oracle of
//! `runtime/test/oracle.test.ts`. Packets on stdin, each a length (u32, little endian) and that
//! many bytes; on stdout a line of JSON for each. Views of headers have the names and fields that
//! `runtime/test/oracle/index.ts` gives them; `facts`, `total` and `lax` are for the test's rules.

mod decode;
mod json;

use std::io::{self, BufRead, BufReader, BufWriter, Error, ErrorKind, Write};

/// Bytes of the longest packet: what IPv4 can have, and a frame around it.
const PACKET_BYTES_MAX: usize = 65_600;

fn main() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut packet = [0; PACKET_BYTES_MAX];
    while let Some(bytes) = read_packet(&mut input, &mut packet)? {
        writeln!(output, "{}", decode::describe(&packet[..bytes]))?;
    }
    output.flush()
}

/// The next packet's length, with its bytes at the front of `packet`; none when the input ends.
fn read_packet(
    input: &mut impl BufRead,
    packet: &mut [u8; PACKET_BYTES_MAX],
) -> io::Result<Option<usize>> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let bytes = u32::from_le_bytes(length) as usize;
    let Some(room) = packet.get_mut(..bytes) else {
        return Err(Error::new(ErrorKind::InvalidData, format!("a packet of {bytes} bytes")));
    };
    input.read_exact(room)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_until_the_end() {
        let mut packet = [0; PACKET_BYTES_MAX];
        let mut input: &[u8] = &[1, 0, 0, 0, 9, 0, 0, 0, 0];
        assert_eq!(read_packet(&mut input, &mut packet).unwrap(), Some(1));
        assert_eq!(packet[0], 9);
        assert_eq!(read_packet(&mut input, &mut packet).unwrap(), Some(0));
        assert_eq!(read_packet(&mut input, &mut packet).unwrap(), None);
    }

    #[test]
    fn a_length_too_long_or_cut_off_is_an_error() {
        let mut packet = [0; PACKET_BYTES_MAX];
        let kind = |mut input: &[u8], packet: &mut _| {
            read_packet(&mut input, packet).map_err(|error| error.kind())
        };
        assert_eq!(kind(&[255; 8], &mut packet), Err(ErrorKind::InvalidData));
        assert_eq!(kind(&[2, 0, 0, 0, 1], &mut packet), Err(ErrorKind::UnexpectedEof));
        assert_eq!(kind(&[2, 0], &mut packet), Err(ErrorKind::UnexpectedEof));
    }
}
