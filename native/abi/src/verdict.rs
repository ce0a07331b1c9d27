//! What a program says of a packet.

/// A program's decision. The discriminant is what stands in the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// On to the next program; behind the last one, out by the port that `forward` pairs.
    Pass = 0,
    /// Freed, counted as a drop with reason `program`.
    Drop = 1,
    /// Out by the port in `egress`, past the programs that follow.
    Redirect = 2,
    /// To the port or handler that the config's `punt` names.
    Punt = 3,
}

/// What the engine presets: a packet the program has not decided yet.
pub const UNDECIDED: u8 = 0xFF;

/// `egress` of a redirect to every port that the program may redirect to, but the port of arrival.
pub const FLOOD: u16 = 0xFFFE;

impl Verdict {
    /// All verdicts; the index is the discriminant.
    pub const ALL: [Verdict; 4] = [Verdict::Pass, Verdict::Drop, Verdict::Redirect, Verdict::Punt];

    /// The verdict a byte stands for, `None` for any other byte.
    #[inline]
    pub const fn from_byte(byte: u8) -> Option<Verdict> {
        match byte {
            0 => Some(Verdict::Pass),
            1 => Some(Verdict::Drop),
            2 => Some(Verdict::Redirect),
            3 => Some(Verdict::Punt),
            _ => None,
        }
    }

    /// Its name in JSON, metrics and docs.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
            Verdict::Redirect => "redirect",
            Verdict::Punt => "punt",
        }
    }
}

const _: () = {
    assert!(FLOOD as usize >= crate::limits::PORTS_MAX);
    let mut index = 0;
    while index < Verdict::ALL.len() {
        assert!(Verdict::ALL[index] as usize == index);
        index += 1;
    }
};
