use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_packet::RegionConfig;

use super::*;
use crate::fate::What;

const ALL: Wanted = Wanted { filter: None, every: 1, snap: 2048 };

struct Rig {
    region: Arc<Region>,
    packets: Vec<Mbuf>,
}

impl Rig {
    /// `count` packets of 60 bytes, each full of its number.
    fn new(count: usize) -> Rig {
        let config = RegionConfig { frames: 64, ..RegionConfig::default() };
        let rig = Rig { region: Region::new(config).expect("a region"), packets: Vec::new() };
        let mbuf = |frame: usize| Mbuf {
            frame: frame as u32,
            length: 60,
            offset: HEADROOM_BYTES as u16,
            port: 3,
            ..Mbuf::default()
        };
        let packets: Vec<Mbuf> = (0..count).map(mbuf).collect();
        (0..count).for_each(|index| rig.fill(&packets[index], index as u8));
        Rig { packets, ..rig }
    }

    fn fill(&self, mbuf: &Mbuf, byte: u8) {
        // SAFETY: 60 bytes within a frame that nobody else has.
        unsafe { self.region.data(mbuf).write_bytes(byte, mbuf.length.into()) };
    }

    fn see(&self, tracer: &mut Tracer) {
        let packets = self.packets.iter().enumerate();
        let packets = packets.map(|(place, mbuf)| (place as u8, mbuf));
        tracer.see(&self.region, packets, (Moment::Rx, 5));
    }
}

fn all(viewer: &mut Viewer) -> Vec<(Copied, Vec<u8>)> {
    let mut seen = Vec::new();
    viewer.view(usize::MAX, |copied, bytes| seen.push((*copied, bytes.to_vec())));
    seen
}

#[test]
fn copies_come_with_their_packets_fates() {
    let rig = Rig::new(3);
    let (mut tracer, mut viewer) = tracer(1, Wanted { snap: 20, ..ALL });
    rig.see(&mut tracer);
    assert!(all(&mut viewer).is_empty(), "nobody knows yet what becomes of them");
    tracer.tell(&|place| Fate::by_program(What::Passed, place));
    let seen = all(&mut viewer);
    assert_eq!(seen.len(), 3);
    for (index, (copied, bytes)) in seen.iter().enumerate() {
        assert_eq!((copied.length, copied.port, copied.timestamp_ns), (60, 3, 5));
        assert_eq!(
            (bytes.as_slice(), copied.fate.program()),
            (&[index as u8; 20][..], Some(index))
        );
    }
}

#[test]
fn a_reader_that_is_slow_costs_copies_and_each_is_counted() {
    let rig = Rig::new(50);
    let (mut tracer, mut viewer) = tracer(1, ALL);
    for _ in 0..30 {
        rig.see(&mut tracer);
        tracer.tell(&|_| Fate::OPEN);
    }
    assert_eq!((viewer.lost(), all(&mut viewer).len()), (1500 - 1024, 1024));
    rig.see(&mut tracer);
    tracer.tell(&|_| Fate::OPEN);
    assert_eq!((viewer.lost(), all(&mut viewer).len()), (1500 - 1024, 50));
}

#[test]
fn what_a_program_changes_is_seen_before_and_after() {
    let rig = Rig::new(3);
    let (mut tracer, mut viewer) = tracer(1, ALL);
    for round in 0..1000 {
        (0..3).for_each(|index| rig.fill(&rig.packets[index], index as u8));
        rig.see(&mut tracer);
        rig.fill(&rig.packets[1], 0xEE);
        // The third is gone, and its frame has another owner.
        rig.fill(&rig.packets[2], 0xFF);
        let packet = |place: usize| (place < 2).then(|| &rig.packets[place]);
        tracer.tell_after(&rig.region, &packet, &|_| Fate::by_program(What::Passed, 0));
        let seen = all(&mut viewer);
        let shown: Vec<_> = seen
            .iter()
            .map(|(copied, bytes)| (copied.moment, copied.fate.what, bytes[0]))
            .collect();
        let expected = [
            (Moment::Rx, What::Passed, 0),
            (Moment::Before, What::Open, 1),
            (Moment::Rx, What::Passed, 0xEE),
            (Moment::Rx, What::Passed, 2),
        ];
        assert_eq!(shown, expected, "round {round}");
    }
    assert_eq!(viewer.lost(), 0, "no copy has gone astray");
}

#[test]
fn filter_and_sampling_choose() {
    let rig = Rig::new(9);
    // ldb [0]; jgt #3; ret #1; ret #0
    let code = [(0x30, 0, 0, 0), (0x25, 0, 1, 3), (0x06, 0, 0, 1), (0x06, 0, 0, 0)];
    let instruction = |(code, jt, jf, k)| wirelet_drivers::Instruction { code, jt, jf, k };
    let filter = Some(Filter::new(&code.map(instruction)).expect("a filter"));
    let (mut tracer, mut viewer) = tracer(1, Wanted { filter, every: 2, ..ALL });
    rig.see(&mut tracer);
    tracer.tell(&|_| Fate::OPEN);
    let first: Vec<u8> = all(&mut viewer).iter().map(|(_, bytes)| bytes[0]).collect();
    assert_eq!(first, [4, 6, 8]);
}

#[test]
fn traces_of_one_place_see_it_each() {
    let rig = Rig::new(2);
    let mut list = None;
    let mut viewers: Vec<Viewer> = Vec::new();
    for id in 1..=3 {
        let (tracer, viewer) = tracer(id, ALL);
        insert(&mut list, tracer);
        viewers.push(viewer);
    }
    let mut counts = |list: &mut Option<Box<Tracer>>| {
        if let Some(tracer) = list {
            rig.see(tracer);
            tracer.tell(&|_| Fate::OPEN);
        }
        viewers.iter_mut().map(|viewer| all(viewer).len()).collect::<Vec<_>>()
    };
    assert_eq!(counts(&mut list), [2, 2, 2]);
    assert_eq!(remove(&mut list, 2).map(|tracer| tracer.id), Some(2));
    assert!(remove(&mut list, 2).is_none());
    assert_eq!(counts(&mut list), [2, 0, 2]);
    assert!(remove(&mut list, 3).is_some() && remove(&mut list, 1).is_some() && list.is_none());
    assert_eq!(counts(&mut list), [0, 0, 0]);
}
