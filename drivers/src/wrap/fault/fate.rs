//! What becomes of each packet: a function of the seed and of the packets before it.

use wirelet_abi::Error;

use crate::Spec;

/// Others that may pass a reordered packet.
const PASSED_MAX: u64 = 8;

/// What the spec asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    loss: f64,
    duplicate: f64,
    corrupt: f64,
    reorder: f64,
    delay_ns: u64,
    jitter_ns: u64,
    /// 0 for as fast as it goes.
    pub(super) rate_bits: u64,
}

impl Plan {
    pub(super) fn parse(spec: &Spec) -> Result<Plan, Error> {
        Ok(Plan {
            loss: spec.fraction("loss")?,
            duplicate: spec.fraction("duplicate")?,
            corrupt: spec.fraction("corrupt")?,
            reorder: spec.fraction("reorder")?,
            delay_ns: spec.duration_ns("delay")?,
            jitter_ns: spec.duration_ns("jitter")?,
            rate_bits: spec.number("rate", 0, 0..=1_000_000_000_000)?,
        })
    }
}

/// One packet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) lost: bool,
    pub(super) duplicated: bool,
    /// The bit to change, counted from a random number that is longer than any packet.
    pub(super) corrupt_bit: Option<u64>,
    /// Packets that pass it before it leaves.
    pub(super) passed_by: u64,
    pub(super) delay_ns: u64,
}

/// The fates of a direction's packets, in their order.
#[derive(Clone, Debug)]
pub(super) struct Fates {
    plan: Plan,
    state: u64,
}

impl Fates {
    pub(super) fn new(plan: Plan, seed: u64) -> Fates {
        Fates { plan, state: seed }
    }

    /// As many random numbers for each packet, whatever the plan is: to change one option changes
    /// nothing for the others.
    pub(super) fn next(&mut self) -> Fate {
        let plan = self.plan;
        let lost = self.chance(plan.loss);
        let duplicated = self.chance(plan.duplicate);
        let corrupt = self.chance(plan.corrupt);
        let bit = self.random();
        let reordered = self.chance(plan.reorder);
        let passed_by = 1 + self.random() % PASSED_MAX;
        let jitter_ns = match self.random() {
            random if plan.jitter_ns > 0 => random % plan.jitter_ns,
            _ => 0,
        };
        Fate {
            lost,
            duplicated,
            corrupt_bit: corrupt.then_some(bit),
            passed_by: if reordered { passed_by } else { 0 },
            delay_ns: plan.delay_ns + jitter_ns,
        }
    }

    fn chance(&mut self, part: f64) -> bool {
        // 53 bits are what an f64 holds: 0 never happens, 1 always does.
        ((self.random() >> 11) as f64) < part * (1u64 << 53) as f64
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(options: &str, seed: u64) -> Vec<Fate> {
        let spec: Spec = format!("fault({options}):null:").parse().expect("a spec");
        let mut fates = Fates::new(Plan::parse(&spec).expect("a plan"), seed);
        (0..10_000).map(|_| fates.next()).collect()
    }

    #[test]
    fn parts_are_about_what_was_asked_for() {
        let all = fates("loss=1%,duplicate=0.02,corrupt=5%,reorder=10%,jitter=1ms", 7);
        let count = |test: fn(&Fate) -> bool| all.iter().filter(|fate| test(fate)).count();
        assert!((70..130).contains(&count(|fate| fate.lost)));
        assert!((160..240).contains(&count(|fate| fate.duplicated)));
        assert!((440..560).contains(&count(|fate| fate.corrupt_bit.is_some())));
        assert!((900..1100).contains(&count(|fate| fate.passed_by > 0)));
        assert!(all.iter().all(|fate| fate.passed_by <= 8 && fate.delay_ns < 1_000_000));
        assert!(
            (400..600).contains(&(all.iter().map(|fate| fate.delay_ns).sum::<u64>() / 10_000_000))
        );
    }

    #[test]
    fn never_and_always_are_exact() {
        assert!(fates("", 1).iter().all(|fate| !fate.lost && fate.passed_by == 0));
        assert!(fates("loss=100%", 1).iter().all(|fate| fate.lost));
    }

    #[test]
    fn the_seed_decides_and_options_do_not_disturb_each_other() {
        assert_eq!(fates("loss=5%", 3), fates("loss=5%", 3));
        assert_ne!(fates("loss=5%", 3), fates("loss=5%", 4));
        let lost = |options| fates(options, 3).iter().map(|fate| fate.lost).collect::<Vec<_>>();
        assert_eq!(lost("loss=5%"), lost("loss=5%,corrupt=50%,reorder=50%,jitter=1ms"));
    }
}
