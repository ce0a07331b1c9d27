//! What becomes of the packets of a burst, one by one: written down only while somebody asks, a
//! trace or a device that takes notes.

use std::fmt::Write;

use wirelet_abi::limits::BURST_MAX;
use wirelet_abi::verdict::FLOOD;
use wirelet_abi::{DropReason, Verdict};
use wirelet_packet::Mbuf;

use crate::burst::{Burst, GONE};

/// No program, or no port.
const NONE: u16 = u16::MAX;
/// In `scratch` of a packet that is gone: the host's handler has it. No reason has this number.
pub const TO_HOST: u8 = u8::MAX;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing yet.
    Open,
    /// All programs let it pass, or the program that is named.
    Passed,
    /// A program sent it to a port.
    Redirected,
    /// A program sent it to all other ports: some copies may be dropped on their way.
    Flooded,
    /// A program left it to who takes punted packets.
    Punted,
    /// It is gone.
    Dropped(DropReason),
    /// It came in by a port, and is on its way out.
    CameIn,
}

/// What became of a packet, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What.
    pub what: What,
    /// Slot of the program that decided it.
    program: u16,
    /// Port that it leaves by, or came in by.
    port: u16,
    /// Another lcore sends it, or does not.
    handed_over: bool,
}

/// Names of ports and of programs by slot.
pub trait Names {
    /// A port's.
    fn port(&self, port: usize) -> &str;
    /// A program's.
    fn program(&self, slot: usize) -> &str;
}

impl Fate {
    /// Nobody has decided.
    pub const OPEN: Fate = Fate { what: What::Open, program: NONE, port: NONE, handed_over: false };

    /// `what`, decided by the program of a slot.
    pub fn by_program(what: What, slot: usize) -> Fate {
        Fate { what, program: slot as u16, ..Fate::OPEN }
    }

    /// On its way out; it came in by `port`.
    pub fn came_in(port: u16) -> Fate {
        Fate { what: What::CameIn, port, ..Fate::OPEN }
    }

    /// Dropped by a rule.
    pub fn refused() -> Fate {
        Fate { what: What::Dropped(DropReason::Rule), ..Fate::OPEN }
    }

    /// Dropped on its way to `port`.
    pub fn not_sent(port: u16) -> Fate {
        Fate { what: What::Dropped(DropReason::TxFull), port, ..Fate::OPEN }
    }

    /// What a program made of the packet `mbuf` that does not pass any more: [`crate::pipeline`]
    /// leaves the reason or the verdict in `scratch`.
    pub fn of_decided(mbuf: &Mbuf, slot: usize) -> Fate {
        let what = if mbuf.egress == GONE && mbuf.scratch == TO_HOST {
            What::Punted
        } else if mbuf.egress == GONE {
            let reason = DropReason::ALL.get(usize::from(mbuf.scratch));
            What::Dropped(*reason.expect("only reasons are left there"))
        } else if mbuf.egress == FLOOD {
            What::Flooded
        } else if mbuf.scratch == Verdict::Punt as u8 {
            What::Punted
        } else {
            What::Redirected
        };
        let port = if what == What::Flooded { NONE } else { mbuf.egress };
        Fate { what, program: slot as u16, port, handed_over: false }
    }

    /// The verdict that this is, or `fault`, or nothing.
    pub fn verdict(&self) -> &'static str {
        match self.what {
            What::Open | What::CameIn => "",
            What::Passed => Verdict::Pass.name(),
            What::Redirected | What::Flooded => Verdict::Redirect.name(),
            What::Punted => Verdict::Punt.name(),
            What::Dropped(DropReason::Fault) => "fault",
            What::Dropped(_) => Verdict::Drop.name(),
        }
    }

    /// Slot of the program that decided it.
    pub fn program(&self) -> Option<usize> {
        (self.program != NONE).then_some(self.program.into())
    }

    /// Says it, `dropped by guard`, at the end of `text`.
    pub fn describe(&self, names: &dyn Names, text: &mut String) {
        let by = self.program().map(|slot| names.program(slot));
        let to = (self.port < GONE).then(|| names.port(self.port.into()));
        // A string takes everything.
        let _ = match (self.what, by, to) {
            (What::Open, ..) => Ok(()),
            (What::CameIn, _, to) => write!(text, "came in by {}", to.unwrap_or_default()),
            (What::Dropped(DropReason::Program), Some(by), _) => write!(text, "dropped by {by}"),
            (What::Dropped(DropReason::Fault), Some(by), _) => write!(text, "fault in {by}"),
            (What::Dropped(reason), Some(by), _) => {
                write!(text, "dropped: {} by {by}", reason.name())
            }
            (What::Dropped(reason), None, Some(to)) => {
                write!(text, "dropped: {} to {to}", reason.name())
            }
            (What::Dropped(reason), None, None) => write!(text, "dropped: {}", reason.name()),
            (What::Passed, Some(by), _) => write!(text, "passed by {by}"),
            (What::Passed, None, to) => write!(text, "forwarded to {}", to.unwrap_or_default()),
            (What::Punted, by, None) => {
                write!(text, "punted to the host by {}", by.unwrap_or_default())
            }
            (What::Flooded, by, _) => write!(text, "flooded by {}", by.unwrap_or_default()),
            (What::Redirected | What::Punted, by, to) => {
                let how = if self.what == What::Punted { "punted" } else { "redirected" };
                let (to, by) = (to.unwrap_or_default(), by.unwrap_or_default());
                write!(text, "{how} to {to} by {by}")
            }
        };
        if self.handed_over {
            text.push_str(", by another lcore");
        }
    }
}

/// Of every packet of a burst.
pub struct Fates {
    /// Somebody asks.
    pub on: bool,
    of: [Fate; BURST_MAX],
}

impl Default for Fates {
    fn default() -> Self {
        Fates { on: false, of: [Fate::OPEN; BURST_MAX] }
    }
}

impl Fates {
    /// Of a packet's place in its burst.
    pub fn of(&self, place: usize) -> Fate {
        self.of[place]
    }

    /// `count` packets have come in, and somebody asks.
    pub fn begin(&mut self, count: usize) {
        self.of[..count].fill(Fate::OPEN);
    }

    /// A program has decided the packet at `place`.
    pub fn decided(&mut self, place: usize, fate: Fate) {
        self.of[place] = fate;
    }

    /// All programs have run. From here on packets are copied about: each gets its place with it.
    #[cold]
    pub fn number(burst: &mut Burst) {
        for (place, mbuf) in burst.mbufs[..burst.count].iter_mut().enumerate() {
            mbuf.scratch = place as u8;
        }
    }

    /// Packets have left by a port, or gone to the lcore that has it.
    #[cold]
    pub fn left(&mut self, packets: &[Mbuf], port: u16, handed_over: bool) {
        for mbuf in packets {
            let fate = &mut self.of[usize::from(mbuf.scratch)];
            match fate.what {
                What::Flooded => continue,
                What::Open => fate.what = What::Passed,
                _ => {}
            }
            (fate.port, fate.handed_over) = (port, handed_over);
        }
    }

    /// A packet was dropped on its way to `port`.
    #[cold]
    pub fn dropped(&mut self, mbuf: &Mbuf, reason: DropReason, port: Option<u16>) {
        let fate = &mut self.of[usize::from(mbuf.scratch)];
        if fate.what != What::Flooded {
            let (what, port) = (What::Dropped(reason), port.unwrap_or(NONE));
            *fate = Fate { what, port, ..Fate::OPEN };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl Names for Two {
        fn port(&self, port: usize) -> &str {
            ["lan", "wan"][port]
        }
        fn program(&self, slot: usize) -> &str {
            ["guard", "nat"][slot]
        }
    }

    fn text(fate: Fate) -> String {
        let mut text = String::new();
        fate.describe(&Two, &mut text);
        text
    }

    #[test]
    fn a_fate_says_who_and_where_to() {
        let decided = |egress, scratch| {
            text(Fate::of_decided(&Mbuf { egress, scratch, ..Mbuf::default() }, 1))
        };
        assert_eq!(decided(GONE, DropReason::Program as u8), "dropped by nat");
        assert_eq!(decided(GONE, DropReason::Fault as u8), "fault in nat");
        assert_eq!(decided(GONE, DropReason::Undecided as u8), "dropped: undecided by nat");
        assert_eq!(decided(1, Verdict::Redirect as u8), "redirected to wan by nat");
        assert_eq!(decided(0, Verdict::Punt as u8), "punted to lan by nat");
        assert_eq!(decided(GONE, TO_HOST), "punted to the host by nat");
        assert_eq!(decided(FLOOD, Verdict::Redirect as u8), "flooded by nat");
        assert_eq!(text(Fate::by_program(What::Passed, 0)), "passed by guard");
        assert_eq!(text(Fate::came_in(0)), "came in by lan");
        assert_eq!(text(Fate::not_sent(1)), "dropped: tx_full to wan");
        assert_eq!(text(Fate::OPEN), "");
    }

    #[test]
    fn a_packet_keeps_its_place_until_it_has_left() {
        let (mut fates, mut burst) = (Fates::default(), Burst::new());
        burst.begin(4);
        fates.begin(4);
        let redirected = Mbuf { egress: 1, scratch: Verdict::Redirect as u8, ..Mbuf::default() };
        fates.decided(1, Fate::of_decided(&redirected, 0));
        Fates::number(&mut burst);
        fates.left(&[burst.mbufs[2], burst.mbufs[1]], 1, false);
        fates.left(&burst.mbufs[3..4], 1, true);
        fates.dropped(&burst.mbufs[0], DropReason::NoForward, None);
        // A copy that finds no room is not the packet.
        fates.decided(2, Fate::of_decided(&Mbuf { egress: FLOOD, ..redirected }, 0));
        fates.left(&burst.mbufs[2..3], 0, false);
        fates.dropped(&burst.mbufs[2], DropReason::TxFull, Some(1));
        let texts = [0, 1, 2, 3].map(|place| text(fates.of(place)));
        let expected = [
            "dropped: no_forward",
            "redirected to wan by guard",
            "flooded by guard",
            "forwarded to wan, by another lcore",
        ];
        assert_eq!(texts, expected);
    }
}
