//! What the program does, natively.

use std::collections::HashMap;
use std::hint::black_box;

use crate::LOOKUPS;
use crate::dir24::Dir24;
use crate::keys::{Flow, FlowKey, SameHash};

/// As the program's.
pub fn next(state: u32) -> u32 {
    state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}

#[inline(never)]
pub fn sum_numbers(map: &HashMap<u32, u64, SameHash>, bits: u32, base: u32, start: u32) -> u32 {
    let (mut sum, mut state) = (0u64, start);
    for _ in 0..LOOKUPS {
        state = next(state);
        let id = (state >> (32 - bits)) + base;
        sum += map.get(&id).copied().unwrap_or(1);
    }
    black_box(sum) as u32
}

#[inline(never)]
pub fn touch_flows(
    map: &mut HashMap<FlowKey, Flow, SameHash>,
    bits: u32,
    base: u32,
    start: u32,
) -> u32 {
    let (mut sum, mut state) = (0u64, start);
    for _ in 0..LOOKUPS {
        state = next(state);
        let id = (state >> (32 - bits)) + base;
        if let Some(flow) = map.get_mut(&FlowKey::of(id)) {
            flow.packets += 1;
            flow.bytes += 64;
            sum += flow.packets;
        }
    }
    black_box(sum) as u32
}

#[inline(never)]
pub fn sum_routes(routes: &Dir24, bits: u32, start: u32) -> u32 {
    let (mut sum, mut state) = (0u64, start);
    for _ in 0..LOOKUPS {
        state = next(state);
        sum += u64::from(routes.find((state >> (32 - bits)).wrapping_mul(0x9E37_79B1)));
    }
    black_box(sum) as u32
}
