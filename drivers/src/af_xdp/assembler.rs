//! An assembler for eBPF: instructions as 64-bit words, jumps to labels that are placed later.
//!
//! Only what our XDP program needs. Encoding: RFC 9669, BPF Instruction Set Architecture.

/// A register: r0 result, r1 to r5 arguments (lost by calls), r6 to r9 kept, r10 end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R6 = 6,
    R7,
    R8,
    R9,
    R10,
}

/// Bytes of a load or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Size {
    Word = 0x00,
    Half = 0x08,
    Byte = 0x10,
    Double = 0x18,
}

/// When a jump is taken; comparisons are of 64 bits and unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum When {
    Equal = 0x10,
    Greater = 0x20,
    NotEqual = 0x50,
    Less = 0xa0,
}

/// A place in the program that jumps lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

// Classes (low three bits of the opcode), RFC 9669 section 2.3.
const LOAD_IMMEDIATE: u8 = 0x00;
const LOAD: u8 = 0x01;
const STORE_IMMEDIATE: u8 = 0x02;
const STORE: u8 = 0x03;
const ALU_32: u8 = 0x04;
const JUMP: u8 = 0x05;
const ALU_64: u8 = 0x07;
/// Addressing of regular loads and stores.
const MEMORY: u8 = 0x60;
/// The second operand is a register, not the immediate.
const REGISTER: u8 = 0x08;
const ADD: u8 = 0x00;
const AND: u8 = 0x50;
const MOVE: u8 = 0xb0;
/// Byte swap to big-endian.
const TO_BIG_ENDIAN: u8 = 0xd8;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
/// Source of a call: the immediate is a type's number, not a helper's.
const KERNEL_FUNCTION: u8 = 2;
/// Source of a 64-bit immediate load: the immediate is a map's descriptor.
const MAP_BY_DESCRIPTOR: u8 = 1;

#[derive(Clone, Copy, Debug)]
struct Instruction {
    opcode: u8,
    /// Destination in the low four bits, source in the high ones.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    /// As the kernel reads it (struct bpf_insn) on a little-endian machine and on a big-endian one.
    fn encode(self) -> [u8; 8] {
        let registers = match cfg!(target_endian = "big") {
            true => self.registers.rotate_left(4),
            false => self.registers,
        };
        let [o0, o1] = self.offset.to_ne_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_ne_bytes();
        [self.opcode, registers, o0, o1, i0, i1, i2, i3]
    }
}

/// A program that is being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    instructions: Vec<Instruction>,
    /// Where each label was placed.
    labels: Vec<Option<usize>>,
    /// Jumps, and the labels they lead to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A label that is placed later.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places `label` before the next instruction.
    ///
    /// # Panics
    /// When it has a place.
    pub(super) fn place(&mut self, label: Label) {
        let place = self.labels[label.0].replace(self.instructions.len());
        assert!(place.is_none(), "a label stands in two places");
    }

    /// `to = from`.
    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(ALU_64 | REGISTER | MOVE, to, from, 0, 0);
    }

    /// `to = value`, sign-extended to 64 bits.
    pub(super) fn set(&mut self, to: Register, value: i32) {
        self.push(ALU_64 | MOVE, to, Register::R0, 0, value);
    }

    /// `to += value`.
    pub(super) fn add(&mut self, to: Register, value: i32) {
        self.push(ALU_64 | ADD, to, Register::R0, 0, value);
    }

    /// `to &= mask`.
    pub(super) fn and(&mut self, to: Register, mask: i32) {
        self.push(ALU_64 | AND, to, Register::R0, 0, mask);
    }

    /// The low 16 bits of `register`, from network order or to it; the rest becomes zero.
    pub(super) fn swap_16(&mut self, register: Register) {
        self.push(ALU_32 | TO_BIG_ENDIAN, register, Register::R0, 0, 16);
    }

    /// `to = *(from + offset)`, zero-extended.
    pub(super) fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) {
        self.push(LOAD | MEMORY | size as u8, to, from, offset, 0);
    }

    /// `*(to + offset) = from`.
    pub(super) fn store(&mut self, size: Size, to: Register, offset: i16, from: Register) {
        self.push(STORE | MEMORY | size as u8, to, from, offset, 0);
    }

    /// `*(to + offset) = value`.
    pub(super) fn store_value(&mut self, size: Size, to: Register, offset: i16, value: i32) {
        self.push(STORE_IMMEDIATE | MEMORY | size as u8, to, Register::R0, offset, value);
    }

    /// `to =` the map that descriptor `map` stands for.
    pub(super) fn load_map(&mut self, to: Register, map: i32) {
        let registers = (MAP_BY_DESCRIPTOR << 4) | to as u8;
        let opcode = LOAD_IMMEDIATE | Size::Double as u8;
        let first = Instruction { opcode, registers, offset: 0, immediate: map };
        let second = Instruction { opcode: 0, registers: 0, offset: 0, immediate: 0 };
        self.instructions.extend([first, second]);
    }

    /// Goes on at `label`.
    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP, Register::R0, Register::R0, 0, 0);
    }

    /// Goes on at `label` when `left` compares so with `value`.
    pub(super) fn jump_if(&mut self, left: Register, when: When, value: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP | when as u8, left, Register::R0, 0, value);
    }

    /// Goes on at `label` when `left` compares so with `right`.
    pub(super) fn jump_if_register(
        &mut self,
        left: Register,
        when: When,
        right: Register,
        label: Label,
    ) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP | REGISTER | when as u8, left, right, 0, 0);
    }

    /// Calls the kernel's helper of that number (`enum bpf_func_id`).
    pub(super) fn call(&mut self, helper: i32) {
        self.push(JUMP | CALL, Register::R0, Register::R0, 0, helper);
    }

    /// Calls the function of the kernel with that number of BTF type (a kfunc).
    pub(super) fn call_kernel(&mut self, function: i32) {
        let registers = KERNEL_FUNCTION << 4;
        let opcode = JUMP | CALL;
        self.instructions.push(Instruction { opcode, registers, offset: 0, immediate: function });
    }

    /// Returns r0.
    pub(super) fn exit(&mut self) {
        self.push(JUMP | EXIT, Register::R0, Register::R0, 0, 0);
    }

    /// The program's bytes.
    ///
    /// # Panics
    /// When a jump leads to a label without a place, or 32,768 instructions away.
    pub(super) fn finish(mut self) -> Vec<[u8; 8]> {
        for (at, label) in &self.jumps {
            let place = self.labels[label.0].expect("every label that is jumped to has a place");
            let distance = place as isize - *at as isize - 1;
            let offset = i16::try_from(distance).expect("a jump within 32,768 instructions");
            self.instructions[*at].offset = offset;
        }
        self.instructions.into_iter().map(Instruction::encode).collect()
    }

    fn push(&mut self, opcode: u8, to: Register, from: Register, offset: i16, immediate: i32) {
        let registers = ((from as u8) << 4) | to as u8;
        self.instructions.push(Instruction { opcode, registers, offset, immediate });
    }
}

#[cfg(test)]
mod tests {
    use super::Register::{R0, R1, R2, R6, R10};
    use super::*;

    fn hex(assemble: impl FnOnce(&mut Assembler)) -> String {
        let mut assembler = Assembler::default();
        assemble(&mut assembler);
        let words = assembler.finish();
        let word = |word: &[u8; 8]| word.iter().map(|byte| format!("{byte:02x}")).collect();
        words.iter().map(word).collect::<Vec<String>>().join(" ")
    }

    /// Bytes as clang writes them for the statement beside them (`llvm-objdump -d`).
    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_have_the_kernels_bytes() {
        assert_eq!(hex(|it| it.copy(R6, R1)), "bf16000000000000", "r6 = r1");
        assert_eq!(hex(|it| it.set(R0, 2)), "b700000002000000", "r0 = 2");
        assert_eq!(hex(|it| it.set(R0, -1)), "b7000000ffffffff", "r0 = -1");
        assert_eq!(hex(|it| it.add(R1, 14)), "070100000e000000", "r1 += 14");
        assert_eq!(hex(|it| it.and(R1, 15)), "570100000f000000", "r1 &= 15");
        assert_eq!(hex(|it| it.swap_16(R1)), "dc01000010000000", "r1 = be16 r1");
        let load = |it: &mut Assembler| it.load(Size::Half, R1, R2, 12);
        assert_eq!(hex(load), "69210c0000000000", "r1 = *(u16 *)(r2 + 12)");
        let store = |it: &mut Assembler| it.store(Size::Double, R10, -8, R1);
        assert_eq!(hex(store), "7b1af8ff00000000", "*(u64 *)(r10 - 8) = r1");
        let store = |it: &mut Assembler| it.store_value(Size::Word, R10, -4, 7);
        assert_eq!(hex(store), "620afcff07000000", "*(u32 *)(r10 - 4) = 7");
        let map = |it: &mut Assembler| it.load_map(R1, 5);
        assert_eq!(hex(map), "1811000005000000 0000000000000000", "r1 = 5 ll (map)");
        assert_eq!(hex(|it| it.call(51)), "8500000033000000", "call 51");
        assert_eq!(hex(|it| it.call_kernel(258)), "8520000002010000", "call 258 (kernel)");
        assert_eq!(hex(Assembler::exit), "9500000000000000", "exit");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn jumps_count_from_the_next_instruction() {
        let code = hex(|it| {
            let (again, end) = (it.label(), it.label());
            it.place(again);
            it.jump_if(R1, When::Equal, 6, end);
            it.jump_if_register(R1, When::Greater, R2, end);
            it.jump(again);
            it.place(end);
            it.exit();
        });
        let expected = "1501020006000000 2d21010000000000 0500fdff00000000 9500000000000000";
        assert_eq!(code, expected);
    }

    #[test]
    #[should_panic(expected = "two places")]
    fn a_label_stands_in_one_place() {
        let mut assembler = Assembler::default();
        let label = assembler.label();
        assembler.place(label);
        assembler.place(label);
    }
}
