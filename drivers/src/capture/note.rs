//! Options of pcapng blocks: what a capture says of interfaces and packets beside their bytes.

use super::Precision;

/// Room for all options of a block.
pub(super) const NOTE_BYTES: usize = 320;
/// A name of so many characters fits, whatever they are.
pub(super) const NAME_CHARS_MAX: usize = 64;
const COMMENT_BYTES_MAX: usize = 256;

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Into the appliance.
    In = 1,
    /// Out of it.
    Out = 2,
}

/// What is said of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note<'a> {
    pub(crate) direction: Direction,
    /// Nothing when it is empty; cut off after 256 bytes.
    pub(crate) comment: &'a str,
}

impl Note<'_> {
    /// Writes its options (pcapng draft, sections 3.5 and 4.3); returns their bytes.
    pub(super) fn write(&self, to: &mut [u8; NOTE_BYTES]) -> usize {
        let mut options = Options { to, at: 0 };
        // epb_flags; opt_comment.
        options.push(2, &(self.direction as u32).to_ne_bytes());
        if !self.comment.is_empty() {
            options.push(1, cut(self.comment, COMMENT_BYTES_MAX).as_bytes());
        }
        options.end()
    }
}

/// The options of an interface (section 4.2); none where the defaults hold.
pub(super) fn interface_options(
    to: &mut [u8; NOTE_BYTES],
    name: Option<&str>,
    precision: Precision,
) -> usize {
    let mut options = Options { to, at: 0 };
    if let Some(name) = name {
        // if_name.
        options.push(2, name.as_bytes());
    }
    if precision == Precision::Nanoseconds {
        // if_tsresol.
        options.push(9, &[9]);
    }
    if options.at == 0 { 0 } else { options.end() }
}

struct Options<'a> {
    to: &'a mut [u8; NOTE_BYTES],
    at: usize,
}

impl Options<'_> {
    fn push(&mut self, code: u16, value: &[u8]) {
        let to = &mut self.to[self.at..];
        to[..2].copy_from_slice(&code.to_ne_bytes());
        to[2..4].copy_from_slice(&(value.len() as u16).to_ne_bytes());
        to[4..4 + value.len()].copy_from_slice(value);
        self.at += 4 + value.len().next_multiple_of(4);
    }

    /// opt_endofopt: four zeros, which are there.
    fn end(self) -> usize {
        self.at + 4
    }
}

/// The first bytes of a text, whole characters only.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_direction_and_comment() {
        let mut bytes = [0; NOTE_BYTES];
        let length = Note { direction: Direction::Out, comment: "drop!" }.write(&mut bytes);
        let (code, five) = (1u16.to_ne_bytes(), 5u16.to_ne_bytes());
        let flags = [2u16.to_ne_bytes(), 4u16.to_ne_bytes(), [2, 0], [0, 0]].concat();
        let comment = [&code[..], &five, b"drop!\0\0\0", &[0; 4]].concat();
        assert_eq!(bytes[..length], [flags, comment].concat());
        let length = Note { direction: Direction::In, comment: "" }.write(&mut bytes);
        assert_eq!((length, bytes[4]), (12, 1));
    }

    #[test]
    fn the_longest_ones_fit() {
        let mut bytes = [0; NOTE_BYTES];
        let comment = "\u{20AC}".repeat(1000);
        let length = Note { direction: Direction::In, comment: &comment }.write(&mut bytes);
        assert_eq!(length, 8 + 4 + 256 + 4);
        let name = "\u{1F600}".repeat(NAME_CHARS_MAX);
        let length = interface_options(&mut bytes, Some(&name), Precision::Nanoseconds);
        assert_eq!(length, 4 + 256 + 8 + 4);
        assert_eq!(interface_options(&mut bytes, None, Precision::Microseconds), 0);
    }
}
