//! Which NUMA node memory comes from (set_mempolicy(2), get_mempolicy(2)).

use std::ptr;

/// Bits of a set of nodes: as many as a kernel can be built for.
const NODES_MAX: usize = 1024;
const BITS: usize = libc::c_ulong::BITS as usize;

/// Flags of get_mempolicy (linux/mempolicy.h), which the libc crate does not have.
const MPOL_F_NODE: libc::c_ulong = 1 << 0;
const MPOL_F_ADDR: libc::c_ulong = 1 << 1;

type Nodes = [libc::c_ulong; NODES_MAX / BITS];

/// As long as it lives, memory that this thread makes the kernel allocate comes from one node as
/// long as that has some: a preference, so that it never fails for that. Where the kernel has no
/// such call, or this process may not use it (containers), nothing happens.
pub(crate) struct Preferred {
    /// The policy before.
    before: Option<(libc::c_int, Nodes)>,
}

impl Preferred {
    /// From `node`; from anywhere when there is none.
    pub(crate) fn node(node: Option<u32>) -> Preferred {
        let Some(node) = node.map(|node| node as usize).filter(|&node| node < NODES_MAX) else {
            return Preferred { before: None };
        };
        let (mut mode, mut before, mut nodes): (_, Nodes, Nodes) =
            (0, [0; NODES_MAX / BITS], [0; NODES_MAX / BITS]);
        nodes[node / BITS] |= 1 << (node % BITS);
        let (null, no_flags) = (ptr::null_mut::<libc::c_void>(), 0);
        // SAFETY: the kernel writes a number and NODES_MAX bits, for which there is room.
        let known = unsafe {
            let mask = before.as_mut_ptr();
            libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, mask, NODES_MAX, null, no_flags)
        };
        let changed = known == 0 && set(libc::MPOL_PREFERRED, &nodes);
        Preferred { before: changed.then_some((mode, before)) }
    }
}

impl Drop for Preferred {
    fn drop(&mut self) {
        if let Some((mode, nodes)) = &self.before {
            set(*mode, nodes);
        }
    }
}

fn set(mode: libc::c_int, nodes: &Nodes) -> bool {
    let none = nodes.iter().all(|&word| word == 0);
    // The kernel takes one bit less than it is told.
    let (mask, bits) = if none { (ptr::null(), 0) } else { (nodes.as_ptr(), NODES_MAX + 1) };
    // SAFETY: the kernel reads NODES_MAX bits of a live array, or none.
    unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) == 0 }
}

/// Node of the memory at `address`; `None` where the kernel does not say.
pub(crate) fn node_of(address: *const u8) -> Option<u32> {
    let mut node: libc::c_int = -1;
    let flags = MPOL_F_NODE | MPOL_F_ADDR;
    let null = ptr::null_mut::<libc::c_ulong>();
    // SAFETY: the kernel writes one number; it looks `address` up and touches nothing there.
    let status =
        unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut node, null, 0, address, flags) };
    (status == 0).then(|| u32::try_from(node).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::{Backing, Pages};

    fn policy() -> libc::c_int {
        let mut mode: libc::c_int = -1;
        let null = ptr::null_mut::<libc::c_void>();
        // SAFETY: as above, without a mask.
        let status =
            unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, null, 0, null, 0) };
        assert_eq!(status, 0);
        mode
    }

    #[test]
    fn the_threads_policy_is_preferred_and_then_what_it_was() {
        if !std::path::Path::new("/sys/devices/system/node/node0").exists() {
            return;
        }
        let before = policy();
        let preferred = Preferred::node(Some(0));
        assert_eq!(policy(), libc::MPOL_PREFERRED);
        let backing = Backing::new("wirelet-test", 3 << 20, Pages::Small).expect("3 MiB");
        drop(preferred);
        assert_eq!(policy(), before);
        assert_eq!(node_of(backing.base()), Some(0));
    }

    #[test]
    fn a_node_that_is_not_there_changes_nothing() {
        let before = policy();
        for node in [None, Some(1023), Some(1024), Some(u32::MAX)] {
            let _preferred = Preferred::node(node);
            assert_eq!(policy(), before, "{node:?}");
        }
        assert_eq!(node_of(ptr::null()), None);
    }
}
