//! Classic BPF, as McCanne and Jacobson describe it (USENIX Winter 1993) and libpcap makes it:
//! instructions are decoded and checked once, and run over packets.

/// Words of scratch memory (BPF_MEMWORDS).
const MEMORY_WORDS: usize = 16;

/// One instruction, as libpcap and the kernel lay it out (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What.
    pub code: u16,
    /// Instructions to skip when a test is true.
    pub jt: u8,
    /// And when it is false.
    pub jf: u8,
    /// Its number.
    pub k: u32,
}

/// An instruction that is known and allowed. `A` is the accumulator, `X` the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A = so many bytes of the packet, from `at` or from X + `at`.
    Load {
        bytes: u8,
        at: u32,
        indexed: bool,
    },
    /// A = the packet's length.
    Length,
    Number(u32),
    Recall(u8),
    /// X = a number, memory, the packet's length.
    IndexNumber(u32),
    IndexRecall(u8),
    IndexLength,
    /// X = bytes of the IPv4 header that begins at `at`.
    IndexHeader(u32),
    Store(u8),
    StoreIndex(u8),
    /// A = A `math` number, or X where there is none.
    Compute(Math, Option<u32>),
    Negate,
    Jump(u16),
    /// On to `yes` or `no`, indexes.
    Branch {
        test: Test,
        with: Option<u32>,
        yes: u16,
        no: u16,
    },
    /// The number, or A.
    Return(Option<u32>),
    ToIndex,
    FromIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Math {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    Xor,
    Left,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

/// Checks every instruction. Jumps go forward only, so what passes here ends after at most as many
/// steps as there are instructions.
pub(super) fn decode(instructions: &[Instruction]) -> Result<Vec<Op>, String> {
    let mut ops = Vec::with_capacity(instructions.len());
    for (index, instruction) in instructions.iter().enumerate() {
        let wrong = |problem: &str| format!("instruction {index}, {instruction:x?}: {problem}");
        let op = decode_one(index, instruction).map_err(wrong)?;
        let targets = match op {
            Op::Jump(to) => [to, to],
            Op::Branch { yes, no, .. } => [yes, no],
            _ => [0, 0],
        };
        if targets.iter().any(|&to| usize::from(to) >= instructions.len()) {
            return Err(wrong("a jump out of the filter"));
        }
        ops.push(op);
    }
    match ops.last() {
        Some(Op::Return(_)) => Ok(ops),
        _ => Err("the last instruction is no return".into()),
    }
}

fn decode_one(index: usize, instruction: &Instruction) -> Result<Op, &'static str> {
    let Instruction { code, jt, jf, k } = *instruction;
    let target = |skip: u32| {
        let to = (index as u64).saturating_add(1).saturating_add(skip.into());
        u16::try_from(to).map_err(|_| "a jump out of the filter")
    };
    let place = || match usize::try_from(k) {
        Ok(place) if place < MEMORY_WORDS => Ok(place as u8),
        _ => Err("memory that there is not"),
    };
    // Bit 3 says whether the other operand is X.
    let operand = (code & 0x08 == 0).then_some(k);
    Ok(match code {
        0x20 => Op::Load { bytes: 4, at: k, indexed: false },
        0x28 => Op::Load { bytes: 2, at: k, indexed: false },
        0x30 => Op::Load { bytes: 1, at: k, indexed: false },
        0x40 => Op::Load { bytes: 4, at: k, indexed: true },
        0x48 => Op::Load { bytes: 2, at: k, indexed: true },
        0x50 => Op::Load { bytes: 1, at: k, indexed: true },
        0x80 => Op::Length,
        0x00 => Op::Number(k),
        0x60 => Op::Recall(place()?),
        0x01 => Op::IndexNumber(k),
        0x61 => Op::IndexRecall(place()?),
        0x81 => Op::IndexLength,
        0xB1 => Op::IndexHeader(k),
        0x02 => Op::Store(place()?),
        0x03 => Op::StoreIndex(place()?),
        0x84 => Op::Negate,
        // libpcap's `protochain` loops, which could keep an lcore for long.
        0x05 if k >> 31 == 1 => return Err("a jump backwards, as `protochain` makes it"),
        0x05 => Op::Jump(target(k)?),
        0x06 => Op::Return(Some(k)),
        0x16 => Op::Return(None),
        0x07 => Op::ToIndex,
        0x87 => Op::FromIndex,
        _ if code & 0x07 == 0x04 => Op::Compute(math(code, operand)?, operand),
        _ if code & 0x07 == 0x05 => {
            let test = test(code)?;
            Op::Branch { test, with: operand, yes: target(jt.into())?, no: target(jf.into())? }
        }
        _ => return Err("unknown"),
    })
}

fn math(code: u16, operand: Option<u32>) -> Result<Math, &'static str> {
    let math = match code & !0x0F {
        0x00 => Math::Add,
        0x10 => Math::Subtract,
        0x20 => Math::Multiply,
        0x30 => Math::Divide,
        0x40 => Math::Or,
        0x50 => Math::And,
        0x60 => Math::Left,
        0x70 => Math::Right,
        0x90 => Math::Modulo,
        0xA0 => Math::Xor,
        _ => return Err("unknown"),
    };
    match (math, operand) {
        (Math::Divide | Math::Modulo, Some(0)) => Err("a division by 0"),
        (Math::Left | Math::Right, Some(32..)) => Err("a shift of 32 bits or more"),
        _ => Ok(math),
    }
}

fn test(code: u16) -> Result<Test, &'static str> {
    match code & !0x0F {
        0x10 => Ok(Test::Equal),
        0x20 => Ok(Test::Greater),
        0x30 => Ok(Test::GreaterOrEqual),
        0x40 => Ok(Test::AnyBit),
        _ => Err("unknown"),
    }
}

/// What the filter returns: 0 for a packet that nobody wants, as for one that is too short for what
/// it asks of it.
///
/// # Safety
/// `captured` bytes at `data` are readable.
pub(super) unsafe fn run(ops: &[Op], data: *const u8, captured: usize, length: u32) -> u32 {
    let (mut accumulator, mut index, mut memory) = (0u32, 0u32, [0u32; MEMORY_WORDS]);
    // SAFETY: the caller's promise.
    let load = |at: u64, bytes: u8| unsafe { load(data, captured, at, bytes) };
    let mut next = 0;
    loop {
        let op = ops[next];
        next += 1;
        match op {
            Op::Load { bytes, at, indexed } => {
                let at = u64::from(at) + if indexed { u64::from(index) } else { 0 };
                let Some(value) = load(at, bytes) else { return 0 };
                accumulator = value;
            }
            Op::Length => accumulator = length,
            Op::Number(number) => accumulator = number,
            Op::Recall(place) => accumulator = memory[usize::from(place)],
            Op::IndexNumber(number) => index = number,
            Op::IndexRecall(place) => index = memory[usize::from(place)],
            Op::IndexLength => index = length,
            Op::IndexHeader(at) => {
                let Some(value) = load(at.into(), 1) else { return 0 };
                index = (value & 15) << 2;
            }
            Op::Store(place) => memory[usize::from(place)] = accumulator,
            Op::StoreIndex(place) => memory[usize::from(place)] = index,
            Op::Compute(math, operand) => {
                let Some(value) = compute(math, accumulator, operand.unwrap_or(index)) else {
                    return 0;
                };
                accumulator = value;
            }
            Op::Negate => accumulator = accumulator.wrapping_neg(),
            Op::Jump(to) => next = to.into(),
            Op::Branch { test, with, yes, no } => {
                let holds = holds(test, accumulator, with.unwrap_or(index));
                next = if holds { yes } else { no }.into();
            }
            Op::Return(number) => return number.unwrap_or(accumulator),
            Op::ToIndex => index = accumulator,
            Op::FromIndex => accumulator = index,
        }
    }
}

/// `None` when it divides by 0.
#[inline]
fn compute(math: Math, a: u32, b: u32) -> Option<u32> {
    Some(match math {
        Math::Add => a.wrapping_add(b),
        Math::Subtract => a.wrapping_sub(b),
        Math::Multiply => a.wrapping_mul(b),
        Math::Divide => a.checked_div(b)?,
        Math::Modulo => a.checked_rem(b)?,
        Math::And => a & b,
        Math::Or => a | b,
        Math::Xor => a ^ b,
        Math::Left => a.checked_shl(b).unwrap_or(0),
        Math::Right => a.checked_shr(b).unwrap_or(0),
    })
}

#[inline]
fn holds(test: Test, a: u32, b: u32) -> bool {
    match test {
        Test::Equal => a == b,
        Test::Greater => a > b,
        Test::GreaterOrEqual => a >= b,
        Test::AnyBit => a & b != 0,
    }
}

/// Bytes in network order; `None` outside the packet.
///
/// # Safety
/// As [`run`].
#[inline]
unsafe fn load(data: *const u8, captured: usize, at: u64, bytes: u8) -> Option<u32> {
    if at + u64::from(bytes) > captured as u64 {
        return None;
    }
    // SAFETY: at + bytes lie within what is readable; reads of packets are unaligned.
    unsafe {
        let data = data.add(at as usize);
        Some(match bytes {
            1 => u32::from(data.read()),
            2 => u32::from(u16::from_be(data.cast::<u16>().read_unaligned())),
            _ => u32::from_be(data.cast::<u32>().read_unaligned()),
        })
    }
}
