//! The flows of one queue, and the packets that belong to them.

use wirelet_abi::Error;

use super::plan::{Plan, Prefix, Sizes};
use super::template::{FlowHeader, Shape, minimum_bytes};
use crate::Spec;
use crate::stamp::{STAMP_BYTES, Stamp};

/// Templates are copied in pieces of a cache line: no call, no loop over bytes.
const PIECE: usize = 64;
/// Bits of a stamp's flow that are the flow's; the rest is the port.
const FLOW_BITS: u32 = 16;
/// First TCP or UDP port of flows.
const PORT_FIRST: u32 = 1024;

/// One queue's flows: numbers `queue`, `queue + queues`, ... of the generator's.
pub(super) struct Flows {
    flows: Box<[Flow]>,
    /// Each flow's first bytes, `stride` apart, zeros behind its headers.
    templates: Box<[[u8; PIECE]]>,
    pieces: usize,
    sizes: Sizes,
    /// All packets have the size of their templates, which are finished.
    fixed: bool,
    seed: u64,
}

struct Flow {
    stamp: u32,
    sequence: u32,
    /// Bytes of its shortest packet.
    minimum: u16,
    shape: Shape,
}

impl Flows {
    pub(super) fn new(
        spec: &Spec,
        plan: &Plan,
        room: usize,
        (port, queue, queues): (u16, u32, u32),
    ) -> Result<Flows, Error> {
        let numbers: Vec<u32> = (queue..plan.flows).step_by(queues as usize).collect();
        let build = |&number: &u32| header(plan, number).build();
        let starts: Vec<(Vec<u8>, Shape)> = numbers.iter().map(build).collect();
        let longest = starts.iter().map(|(start, _)| start.len()).max().unwrap_or(0);
        if minimum_bytes(longest) > room {
            return Err(spec.invalid("its packets are longer than a frame's data room"));
        }
        let pieces = longest.div_ceil(PIECE);
        let fixed = plan.sizes.fixed();
        let mut templates = vec![[0; PIECE]; pieces * numbers.len()];
        let mut flows = Vec::with_capacity(numbers.len());
        for (index, (start, shape)) in starts.iter().enumerate() {
            let template = templates[index * pieces..][..pieces].as_flattened_mut();
            template[..start.len()].copy_from_slice(start);
            let minimum = minimum_bytes(start.len()) as u16;
            if let Some(size) = fixed {
                shape.finish(template, usize::from(size.max(minimum)));
            }
            let stamp = u32::from(port) << FLOW_BITS | numbers[index];
            flows.push(Flow { stamp, sequence: 0, minimum, shape: *shape });
        }
        Ok(Flows {
            flows: flows.into(),
            templates: templates.into(),
            pieces,
            sizes: plan.sizes.clone(),
            fixed: fixed.is_some(),
            seed: plan.seed,
        })
    }

    /// Writes packet `number`, due at `due_ns`, to `data` and returns its length. Which flow it
    /// belongs to and how long it is follow from seed and number alone.
    ///
    /// # Safety
    /// From `data` on there is the data room of a frame, and nobody else uses it.
    #[inline]
    pub(super) unsafe fn write(&mut self, data: *mut u8, number: u64, due_ns: u64) -> u16 {
        let random = mix(self.seed.wrapping_add(number.wrapping_mul(GOLDEN)));
        let index = (u64::from(random as u32) * self.flows.len() as u64) >> 32;
        let index = index as usize;
        let flow = &mut self.flows[index];
        let length = self.sizes.pick((random >> 32) as u32).max(flow.minimum);
        let template = &self.templates[index * self.pieces..][..self.pieces];
        let (head, check) = Stamp { flow: flow.stamp, sequence: flow.sequence, due_ns }.to_words();
        flow.sequence = flow.sequence.wrapping_add(1);
        let end = usize::from(length) - STAMP_BYTES;
        let copied = self.pieces * PIECE;
        // SAFETY: templates and packets are no longer than the data room (checked when the flows
        // were made), which the caller says is ours alone; patches lie within the template. So no
        // byte written here is elsewhere.
        unsafe {
            for (piece, bytes) in template.iter().enumerate() {
                data.add(piece * PIECE).cast::<[u8; PIECE]>().write_unaligned(*bytes);
            }
            if copied < end {
                data.add(copied).write_bytes(0, end - copied);
            }
            if !self.fixed {
                for (at, value) in flow.shape.patches(template.as_flattened(), length.into()) {
                    data.add(at).cast::<u16>().write_unaligned(value.to_be());
                }
            }
            data.add(end).cast::<u128>().write_unaligned(head);
            data.add(end + 16).cast::<u16>().write_unaligned(check);
        }
        length
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's last step (Steele, Lea, Flood 2014): every bit of the result depends on every bit.
#[inline]
fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

/// Headers of flow `number`. Ports count up with it, so that no two flows are the same.
fn header(plan: &Plan, number: u32) -> FlowHeader<'_> {
    let [source, destination, high, low] =
        [1, 2, 3, 4].map(|step| mix(plan.seed ^ mix(u64::from(number) << 3 | step)));
    let wide = u128::from(high) << 64 | u128::from(low);
    let protocol = plan.protocols[number as usize % plan.protocols.len()];
    let name = number as usize / plan.protocols.len() % plan.names.len();
    let is_dns = matches!(protocol, super::Protocol::Dns | super::Protocol::Dns6);
    FlowHeader {
        protocol,
        destination_mac: plan.destination_mac,
        source_mac: plan.source_mac,
        vlan: plan.vlan,
        source: plan.source.host(source as u32).into(),
        destination: plan.destination.host(destination as u32).into(),
        source6: plan.source6.host(wide).into(),
        destination6: plan.destination6.host(wide.rotate_left(32)).into(),
        source_port: (PORT_FIRST + number % (0x1_0000 - PORT_FIRST)) as u16,
        destination_port: if is_dns { 53 } else { 9 },
        name: &plan.names[name],
    }
}

impl Prefix<u32> {
    fn host(&self, random: u32) -> u32 {
        self.base | (random & self.host_mask)
    }
}

impl Prefix<u128> {
    fn host(&self, random: u128) -> u128 {
        self.base | (random & self.host_mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_flows_are_the_same_and_hosts_stay_within_their_prefix() {
        let spec: Spec = "gen:?flows=3000&protocols=udp,tcp&src=10.0.0.0/30&dst=10.1.0.1"
            .parse()
            .expect("a spec");
        let region = wirelet_packet::Region::new(Default::default()).expect("a region");
        let context = crate::OpenContext { region, port: 0, queues: 1 };
        let plan = Plan::parse(&spec, &context).unwrap_or_else(|error| panic!("{error}"));
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..plan.flows {
            let header = header(&plan, number);
            assert_eq!(header.source.octets()[..3], [10, 0, 0]);
            assert!(header.source.octets()[3] < 4);
            assert_eq!(header.destination.octets(), [10, 1, 0, 1]);
            assert!(seen.insert(header.build().0), "flow {number}");
        }
    }

    #[test]
    fn a_headers_length_that_no_frame_can_hold_is_refused() {
        let spec: Spec = "gen:?protocols=dns".parse().expect("a spec");
        let region = wirelet_packet::Region::new(Default::default()).expect("a region");
        let context = crate::OpenContext { region, port: 0, queues: 1 };
        let plan = Plan::parse(&spec, &context).unwrap_or_else(|error| panic!("{error}"));
        assert!(Flows::new(&spec, &plan, 80, (0, 0, 1)).is_err());
        assert!(Flows::new(&spec, &plan, 2112, (0, 0, 1)).is_ok());
    }
}
