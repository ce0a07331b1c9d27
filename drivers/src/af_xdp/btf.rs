//! Finds a kernel function in the kernel's own type information (BTF): programs call such functions
//! by the number of their type. `Documentation/bpf/btf.rst`.

use std::fs;

const KERNEL: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
const TYPE_BYTES: usize = 12;
const KIND_FUNCTION: u32 = 12;

/// The type number of the kernel's function `name`; `None` where there is no such function, or no
/// BTF to look in.
pub(super) fn kernel_function(name: &str) -> Option<i32> {
    find_function(&fs::read(KERNEL).ok()?, name)
}

fn find_function(btf: &[u8], name: &str) -> Option<i32> {
    let header = |at: usize| read_u32(btf, at).map(|value| value as usize);
    if u16::from_ne_bytes(*btf.first_chunk()?) != MAGIC {
        return None;
    }
    let (length, types_at, types_bytes) = (header(4)?, header(8)?, header(12)?);
    let (strings_at, strings_bytes) = (header(16)?, header(20)?);
    let part = |at: usize, bytes: usize| {
        let start = length.checked_add(at)?;
        btf.get(start..start.checked_add(bytes)?)
    };
    let (types, strings) = (part(types_at, types_bytes)?, part(strings_at, strings_bytes)?);
    let is_name = |offset: u32| {
        let rest = strings.get(offset as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    };
    // Number 0 is void.
    let (mut at, mut number) = (0, 1);
    while let Some(info) = read_u32(types, at + 4) {
        let kind = (info >> 24) & 0x1f;
        if kind == KIND_FUNCTION && is_name(read_u32(types, at)?) {
            return Some(number);
        }
        at += TYPE_BYTES + trailing_bytes(kind, info & 0xffff)?;
        number += 1;
    }
    None
}

/// What follows a type of that kind with `members` members; `None` for kinds of the future.
fn trailing_bytes(kind: u32, members: u32) -> Option<usize> {
    let members = members as usize;
    Some(match kind {
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Struct, union, data section, 64-bit enumeration.
        4 | 5 | 15 | 19 => members * 12,
        // Enumeration, parameters of a function.
        6 | 13 => members * 8,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types are (name's offset, kind, members, trailing words).
    fn btf(types: &[(u32, u32, u32, usize)], strings: &[u8]) -> Vec<u8> {
        let mut section = Vec::new();
        for (name, kind, members, words) in types {
            section.extend([*name, kind << 24 | members, 0].map(u32::to_ne_bytes).concat());
            section.extend(vec![0; words * 4]);
        }
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let length = section.len() as u32;
        bytes.extend([24, 0, length, length, strings.len() as u32].map(u32::to_ne_bytes).concat());
        [&bytes, section.as_slice(), strings].concat()
    }

    #[test]
    fn functions_are_counted_past_types_of_every_length() {
        let strings = b"\0get\0get_more\0";
        let types = [
            (0, 1, 0, 1),
            (1, 4, 3, 9),
            (0, 13, 2, 4),
            (5, 12, 0, 0),
            (0, 19, 2, 6),
            (0, 3, 0, 3),
            (1, 12, 0, 0),
        ];
        let bytes = btf(&types, strings);
        assert_eq!(find_function(&bytes, "get_more"), Some(4));
        assert_eq!(find_function(&bytes, "get"), Some(7));
        assert_eq!(find_function(&bytes, "ge"), None);
        for end in 0..bytes.len() {
            let _ = find_function(&bytes[..end], "get");
        }
        assert_eq!(find_function(&btf(&[(0, 31, 0, 0), (1, 12, 0, 0)], strings), "get"), None);
    }

    #[test]
    fn this_kernel_has_the_function_that_every_kernel_with_btf_has() {
        if std::path::Path::new(KERNEL).exists() {
            assert!(kernel_function("schedule").is_some_and(|number| number > 0));
        }
        assert_eq!(kernel_function("wirelet_is_not_in_the_kernel"), None);
    }
}
