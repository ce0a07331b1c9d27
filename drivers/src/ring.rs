//! `ring:name`: two ports of the same appliance, joined by a ring in each direction.
//!
//! Joins lcores, and pipelines one behind the other. Packets cross without being copied: both ends
//! have the same region.
//!
//! | option | default | |
//! |---|---|---|
//! | `size` | 1024 | packets in each direction, a power of two; what the first port says holds |

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::ring::{Consumer, Producer, ring};
use wirelet_packet::{FrameCache, Mbuf, Region, Waker};

use crate::{Device, DeviceStats, Idle, OpenContext, Spec};

const SIZE_DEFAULT: u64 = 1024;
const SIZE_MAX: u64 = 1 << 20;

/// Ring ports of an appliance that were opened, by name. One for all [`crate::open`] calls of the
/// appliance; ask [`Rings::finish`] when every port is open.
#[derive(Default)]
pub struct Rings {
    ends: BTreeMap<String, End>,
}

/// What stands under a name.
enum End {
    /// The second port's device, until that port is opened.
    Waits(Box<RingDevice>),
    Joined,
}

impl Rings {
    /// Checks that every ring has two ports.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC`, naming a ring that has one.
    pub fn finish(&self) -> Result<(), Error> {
        let alone = self.ends.iter().find(|(_, end)| matches!(end, End::Waits(_)));
        match alone {
            None => Ok(()),
            Some((name, _)) => Err(Error::new(
                ErrorCode::DeviceSpec,
                format!("`ring:{name}`: only one port has this ring; it joins two"),
            )),
        }
    }
}

/// What goes in one direction, as both ends see it.
#[derive(Default)]
struct Direction {
    /// Wakes the lcore that receives.
    waker: OnceLock<Arc<Waker>>,
    /// Nobody receives any more.
    closed: AtomicBool,
    /// The receiver's end after it has closed, so that the sender can take back what it pushed
    /// meanwhile: without this those frames would be lost. Only `close` locks it.
    rest: Mutex<Option<Consumer<Mbuf>>>,
}

impl Direction {
    fn take_rest(&self) -> Option<Consumer<Mbuf>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One end of a ring.
struct RingDevice {
    region: Arc<Region>,
    port: u16,
    outgoing: Option<Producer<Mbuf>>,
    to_peer: Arc<Direction>,
    incoming: Option<Consumer<Mbuf>>,
    from_peer: Arc<Direction>,
    tx_errors: u64,
}

/// Opens one end; the second one of a name is joined to the first.
pub(crate) fn open(
    spec: &Spec,
    context: &OpenContext,
    rings: &mut Rings,
) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["size"])?;
    let size = spec.number("size", SIZE_DEFAULT, 2..=SIZE_MAX)? as usize;
    let name = spec.target.as_str();
    if name.is_empty() {
        return Err(spec.invalid("a ring needs a name, `ring:name`"));
    }
    let device = match rings.ends.remove(name) {
        None => {
            let (first, second) = pair(context, size);
            rings.ends.insert(name.into(), End::Waits(Box::new(second)));
            first
        }
        Some(End::Waits(second)) => {
            rings.ends.insert(name.into(), End::Joined);
            if !Arc::ptr_eq(&second.region, &context.region) {
                return Err(spec.invalid("its ports belong to two tenants"));
            }
            RingDevice { port: context.port, ..*second }
        }
        Some(End::Joined) => {
            rings.ends.insert(name.into(), End::Joined);
            return Err(spec.invalid("a third port of this ring; it joins two"));
        }
    };
    Ok(vec![Box::new(device)])
}

fn pair(context: &OpenContext, size: usize) -> (RingDevice, RingDevice) {
    let (there, back) = (Arc::new(Direction::default()), Arc::new(Direction::default()));
    let (outgoing, peers_incoming) = ring(size);
    let (peers_outgoing, incoming) = ring(size);
    let first = RingDevice {
        region: Arc::clone(&context.region),
        port: context.port,
        outgoing: Some(outgoing),
        to_peer: Arc::clone(&there),
        incoming: Some(incoming),
        from_peer: Arc::clone(&back),
        tx_errors: 0,
    };
    let second = RingDevice {
        region: Arc::clone(&context.region),
        port: context.port,
        outgoing: Some(peers_outgoing),
        to_peer: back,
        incoming: Some(peers_incoming),
        from_peer: there,
        tx_errors: 0,
    };
    (first, second)
}

impl Device for RingDevice {
    fn rx_burst(&mut self, _frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        let Some(incoming) = &mut self.incoming else { return 0 };
        let count = incoming.pop(burst);
        for mbuf in &mut burst[..count] {
            (mbuf.port, mbuf.egress, mbuf.mark, mbuf.scratch) = (self.port, 0, 0, 0);
        }
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        let closed = self.to_peer.closed.load(Ordering::Relaxed);
        let Some(outgoing) = self.outgoing.as_mut().filter(|_| !closed) else {
            frames.give_burst(burst);
            self.tx_errors += burst.len() as u64;
            return burst.len();
        };
        let count = outgoing.push(burst);
        if count > 0
            && let Some(waker) = self.to_peer.waker.get()
        {
            waker.wake();
        }
        count
    }

    fn internal(&self) -> bool {
        true
    }

    fn in_flight(&self) -> usize {
        self.incoming.as_ref().map_or(0, Consumer::len)
    }

    fn stats(&self, stats: &mut DeviceStats) {
        *stats = DeviceStats {
            tx_errors: self.tx_errors,
            link_up: !self.to_peer.closed.load(Ordering::Relaxed),
            ..DeviceStats::default()
        };
    }

    fn set_waker(&mut self, waker: Arc<Waker>) {
        // A second lcore for the same end would be a bug of the engine; the first stays.
        let _ = self.from_peer.waker.set(waker);
    }

    fn idle(&self) -> Idle {
        Idle::Waker
    }

    fn finished(&self) -> bool {
        // Abandoned first: what was pushed before the peer closed is seen by the second look.
        self.incoming.as_ref().is_none_or(|ring| ring.is_abandoned() && ring.is_empty())
    }

    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error> {
        if let Some(mut incoming) = self.incoming.take() {
            self.from_peer.closed.store(true, Ordering::Relaxed);
            drain(&mut incoming, frames);
            let mut rest = self.from_peer.rest.lock().unwrap_or_else(PoisonError::into_inner);
            *rest = Some(incoming);
        }
        self.outgoing = None;
        if let Some(mut rest) = self.to_peer.take_rest() {
            drain(&mut rest, frames);
        }
        if let Some(waker) = self.to_peer.waker.get() {
            waker.wake();
        }
        Ok(())
    }
}

fn drain(ring: &mut Consumer<Mbuf>, frames: &mut FrameCache) {
    let mut burst = [Mbuf::default(); 64];
    loop {
        match ring.pop(&mut burst) {
            0 => return,
            count => frames.give_burst(&burst[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::testing::{Rig, stats};

    #[test]
    fn two_ports_are_joined_and_a_third_is_refused() {
        let mut rig = Rig::new(64);
        let mut left = rig.open("ring:a", 1);
        let error = rig.rings.finish().expect_err("one port is no ring");
        assert!(error.message.contains("`ring:a`: only one port"), "{error}");
        let mut right = rig.open("ring:a", 2);
        assert_eq!(rig.rings.finish(), Ok(()));
        let error = rig.try_open("ring:a", 3, 1).err().expect("a third port");
        assert!(error.message.contains("a third port"), "{error}");

        assert!(rig.send(&mut *left, 5, &[1; 20]) && rig.send(&mut *right, 6, &[2; 20]));
        assert_eq!((left.in_flight(), right.in_flight()), (1, 1));
        let burst = rig.burst(&mut *right, 9);
        assert_eq!((burst[0].port, burst.len()), (2, 1));
        rig.frames.give_burst(&burst);
        assert_eq!(rig.receive(&mut *left), [(6, vec![2; 20])]);
        rig.close([left, right]);
    }

    #[test]
    fn a_region_of_another_tenant_is_refused() {
        let (mut one, mut other) = (Rig::new(64), Rig::new(64));
        let left = one.open("ring:a", 1);
        std::mem::swap(&mut one.rings, &mut other.rings);
        let error = other.try_open("ring:a", 2, 1).err().expect("two tenants");
        assert!(error.message.contains("two tenants"), "{error}");
        one.close([left]);
    }

    #[test]
    fn pushing_wakes_the_peers_lcore() {
        let mut rig = Rig::new(64);
        let (mut left, mut right) = (rig.open("ring:a", 1), rig.open("ring:a", 2));
        let waker = Arc::new(Waker::new().expect("an eventfd"));
        right.set_waker(Arc::clone(&waker));
        waker.announce();
        assert!(rig.send(&mut *left, 0, &[0; 60]));
        let mut poll = readable(&waker);
        assert!(poll());
        rig.close([left, right]);
    }

    /// Whether the waker's descriptor is readable, without a dependency for poll(2).
    fn readable(waker: &Waker) -> impl FnMut() -> bool {
        use std::os::fd::BorrowedFd;
        // SAFETY: the waker outlives the borrow: it is the test's.
        let fd = unsafe { BorrowedFd::borrow_raw(waker.fd()) };
        let mut file = std::fs::File::from(fd.try_clone_to_owned().expect("a descriptor"));
        move || std::io::Read::read(&mut file, &mut [0; 8]).is_ok()
    }

    #[test]
    fn a_closed_peer_costs_packets_but_no_frame() {
        let mut rig = Rig::new(64);
        let (mut left, mut right) = (rig.open("ring:a?size=4", 1), rig.open("ring:a", 2));
        let taken = (0..9).filter(|_| rig.send(&mut *left, 0, &[1; 20])).count();
        assert_eq!(taken, 4);
        right.close(&mut rig.frames).expect("closes");
        assert!(rig.send(&mut *left, 0, &[1; 20]), "nobody reads: taken and counted");
        assert_eq!(stats(&*left).tx_errors, 1);
        assert!(left.finished() && !stats(&*left).link_up);
        rig.close([left]);
    }

    /// The moment that threads hardly ever meet: the sender has looked before the peer closed, and
    /// pushes after it has.
    #[test]
    fn what_is_pushed_into_a_closed_ring_is_taken_back() {
        let mut rig = Rig::new(64);
        let context = OpenContext { region: Arc::clone(&rig.region), port: 1, queues: 1 };
        let (mut left, mut right) = pair(&context, 4);
        right.close(&mut rig.frames).expect("closes");
        let mbuf = Mbuf { frame: rig.frames.take().expect("a frame"), ..Mbuf::default() };
        assert_eq!(left.outgoing.as_mut().expect("open").push(&[mbuf]), 1);
        rig.close([Box::new(left) as Box<dyn Device>]);
    }

    #[test]
    fn packets_cross_lcores_and_frames_pushed_while_the_peer_closes_come_home() {
        for _ in 0..20 {
            let mut rig = Rig::new(2048);
            let (mut left, mut right) = (rig.open("ring:a?size=64", 1), rig.open("ring:a", 2));
            let (mut far_frames, received) = (rig.region.cache(), AtomicUsize::new(0));
            let mut sent = 0;
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut burst = [Mbuf::default(); 16];
                    while received.load(Ordering::Relaxed) < 1000 {
                        let count = right.rx_burst(&mut far_frames, &mut burst);
                        far_frames.give_burst(&burst[..count]);
                        received.fetch_add(count, Ordering::Relaxed);
                        if count == 0 {
                            std::thread::yield_now();
                        }
                    }
                    right.close(&mut far_frames).expect("closes");
                });
                while stats(&*left).tx_errors < 10 {
                    match rig.send(&mut *left, 0, &[1; 20]) {
                        true => sent += 1,
                        false => std::thread::yield_now(),
                    }
                }
            });
            assert!(sent >= 1010);
            drop(right);
            rig.close([left]);
        }
    }
}
