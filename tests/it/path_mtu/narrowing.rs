//! Paths that become narrow while data flows, in seeded worlds with another TCP at the far end: with a router that
//! says so, and with one that swallows what is too big.

use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::stats::counters::Counter;

use crate::differential::net::{Net, Terms};
use crate::differential::task::Plan;
use crate::reach::Setup;
use crate::smol::Habits;

const WORLDS: u64 = 60;
const NARROW: [u16; 7] = [552, 576, 1_006, 1_024, 1_280, 1_400, 1_492];

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u32) as usize]
}

/// A world that becomes narrow after a while, and what was counted until all was delivered.
fn narrowing(seed: u64, tells_mtu: bool) -> [u64; 3] {
    let mut rng = Rng::new(seed);
    let wide = Faults {
        loss_ppm: pick(&mut rng, &[0, 0, 10_000]),
        delay_us: pick(&mut rng, &[100, 5_000, 30_000]),
        jitter_us: pick(&mut rng, &[0, 500]),
        ..Faults::default()
    };
    let setup = Setup { seed, mtu: pick(&mut rng, &[1_500, 9_000]), faults: [wide; 2], ..Setup::default() };
    let habits = Habits {
        receive_buffer: pick(&mut rng, &[16_384, 65_535]),
        send_buffer: 16_384,
        timestamps: rng.below(2) == 0,
        nagle: true,
        ack_delay_ms: 10,
    };
    let terms = Terms { setup, habits, at_once: 3, port_uses: 1, body: 20_000 };
    let plans = (0..6).map(|n| match n % 3 {
        0 => Plan::Chargen { octets: 200_000, abort: false },
        1 => Plan::Http { requests: 4 },
        _ => Plan::Echo { octets: 40_000, half_close: true },
    });
    let mut net = Net::new(terms, plans.collect());
    net.run_for_us(u64::from(rng.below(400_000)));
    net.set_faults_of_ours(Faults { mtu: pick(&mut rng, &NARROW), tells_mtu, ..wide });
    net.run();
    let counters = net.counters.clone();
    net.assert_quiet();
    [Counter::PathMtuChanged, Counter::BlackHoles, Counter::PathMtuProbes]
        .map(|counter| counters.get(counter))
}

fn all(tells_mtu: bool) -> [u64; 3] {
    let mut sums = [0; 3];
    for seed in 0..WORLDS {
        for (sum, more) in sums.iter_mut().zip(narrowing(seed, tells_mtu)) {
            *sum += more;
        }
    }
    sums
}

#[test]
fn everything_arrives_when_the_path_narrows_and_says_so() {
    //= PMTU-1
    //= PMTU-5
    let [changed, black_holes, _] = all(true);
    assert!(changed > WORLDS, "{changed} changes");
    assert_eq!(black_holes, 0, "every report was heeded in time");
}

#[test]
fn everything_arrives_when_the_path_narrows_in_silence() {
    //= PLPMTUD-1
    //= PLPMTUD-6
    let [_, black_holes, probes] = all(false);
    // How often there is text enough behind a probe depends on how bursts fall.
    assert!(black_holes > WORLDS / 2 && probes > WORLDS / 3, "{black_holes} black holes, {probes} probes");
}
