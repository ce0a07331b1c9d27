//! Why a packet did not leave: a closed list, the same in native code, metrics and docs.

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+
        $variant:ident = $value:literal, $name:literal, $edge:literal;
    )*) => {
        /// Why a packet was dropped. Every packet that is not forwarded counts under one of these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ $variant = $value,)* }

        impl DropReason {
            /// All reasons; the index is the discriminant.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant,)*];

            /// Its name in JSON, metrics and docs.
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)* }
            }

            /// Whether a device drops for this reason before any program sees the packet.
            pub const fn at_edge(self) -> bool {
                match self { $(DropReason::$variant => $edge,)* }
            }

            /// One sentence for the docs.
            pub const fn doc(self) -> &'static str {
                match self { $(DropReason::$variant => concat!($($doc,)+).trim_ascii(),)* }
            }
        }
    };
}

drop_reasons! {
    /// A program's verdict was drop.
    Program = 0, "program", false;
    /// A program faulted on this packet: trap, missed deadline or a descriptor that lies.
    Fault = 1, "fault", false;
    /// The program that should have seen it is being rebuilt after a fault, or is quarantined.
    ProgramDown = 2, "program_down", false;
    /// A program returned without deciding it.
    Undecided = 3, "undecided", false;
    /// It passed, but no `forward` pairs the port it came in by with another.
    NoForward = 4, "no_forward", false;
    /// A redirect named a port that does not exist or that the program may not use, or a flood had
    /// no port to go to.
    RedirectInvalid = 5, "redirect_invalid", false;
    /// The verdict was punt, but the config names no port to punt to, and the host has no handler.
    PuntUnset = 6, "punt_unset", false;
    /// The ring to another lcore was full: the one that owns the port of departure, or the flow.
    HandoverFull = 7, "handover_full", false;
    /// The device's transmit queue was full.
    TxFull = 8, "tx_full", false;
    /// The device could not send: link down, disk full, device gone.
    TxError = 9, "tx_error", false;
    /// Longer at departure than the MTU of its port allows.
    TxTooLong = 10, "tx_too_long", false;
    /// Shorter at departure than an Ethernet header.
    TxTooShort = 11, "tx_too_short", false;
    /// Still inside when the appliance stopped and the drain time was over.
    Stopped = 12, "stopped", false;
    /// Longer on arrival than a frame has room for.
    TooLong = 13, "too_long", true;
    /// Shorter on arrival than an Ethernet header.
    TooShort = 14, "too_short", true;
    /// No free frame when it arrived.
    NoFrame = 15, "no_frame", true;
    /// Of a link type that is not Ethernet (capture files).
    LinkType = 16, "link_type", true;
    /// Cut off by the end of the file (capture files).
    Truncated = 17, "truncated", true;
    /// A record that contradicts itself (capture files), or a checksum the device found wrong.
    Corrupt = 18, "corrupt", true;
    /// A packet the device can't represent: GSO, scattered, an offload nobody negotiated.
    Unsupported = 19, "unsupported", true;
    /// Lost on purpose, by the `fault` wrapper.
    Impaired = 20, "impaired", true;
    /// No free frame for a copy of it that a flood sends.
    NoCopyFrame = 21, "no_copy_frame", false;
    /// Punted to the host, whose handler is behind.
    PuntFull = 22, "punt_full", false;
    /// A rule of the port that it came in by says so.
    Rule = 23, "rule", false;
}

const _: () = {
    let mut index = 0;
    while index < DropReason::ALL.len() {
        assert!(DropReason::ALL[index] as usize == index);
        index += 1;
    }
    assert!(DropReason::ALL.len() <= crate::limits::DROP_REASONS_MAX);
};
