//! Latencies against delays that are known: those of the wire, and those of a server that answers after a time of its
//! own.

use dpdk_tcp::load::closing::Close;
use dpdk_tcp::stats::latency::Phase;

use super::hostile::{ACK, Answers, FIN, OK, SYN, say};
use super::lab::{Lab, STEP_US, Scripted, back, setup, tuples};
use super::{HTTP, plan};
use crate::expect::Sent;
use dpdk_tcp::load::tuples::Ports;

const CONNECTIONS: u64 = 10;
/// How long the server needs for the first octets of its reply, and for the rest.
const FIRST_US: u64 = 2_500;
const REST_US: u64 = 3_700;

fn server(sent: &Sent, answers: &mut Answers) {
    if sent.segment.flags.has(SYN) {
        say(answers, &back(sent, SYN | ACK));
    } else if !sent.text.is_empty() {
        let (head, body) = OK.split_at(10);
        let mut rest = back(sent, ACK).text(body);
        rest.seq += head.len() as u32;
        answers.push((FIRST_US, back(sent, ACK).text(head).frame()));
        answers.push((REST_US, rest.frame()));
    } else if sent.segment.flags.has(FIN) {
        say(answers, &back(sent, FIN | ACK));
    }
}

#[test]
fn every_phase_takes_as_long_as_the_wire_and_the_server_do() {
    for delay_us in [10, 1_000, 100_000] {
        let mut setup = setup();
        setup.faults.iter_mut().for_each(|faults| faults.delay_us = delay_us);
        let mut lab = Lab::with(plan(HTTP, Close::Fin, 1, CONNECTIONS), &setup, tuples(Ports::EPHEMERAL));
        let mut peer = Scripted::new(server);
        lab.run(&mut peer, 60_000);
        let latencies = lab.latencies().clone();
        let round_trip = 2 * u64::from(delay_us);
        let expected = [
            (Phase::Syn, round_trip, 2),
            (Phase::Established, round_trip, 2),
            (Phase::FirstByte, 2 * round_trip + FIRST_US, 4),
            (Phase::LastByte, 2 * round_trip + REST_US, 4),
            (Phase::Closed, round_trip, 2),
        ];
        for (phase, us, legs) in expected {
            let histogram = latencies.of(phase);
            assert_eq!(histogram.len(), CONNECTIONS, "{}", phase.name());
            // Either end may look a step late at what has come, and three digits are kept.
            let (least, most) = (us * 1_000, (us + legs * STEP_US) * 1_000);
            let (min, max) = (histogram.min(), histogram.max());
            let name = phase.name();
            assert!(min >= histogram.lowest_equivalent(least), "{name} over {delay_us}: {min} < {least}");
            assert!(max <= histogram.highest_equivalent(most), "{name} over {delay_us}: {max} > {most}");
        }
        assert_eq!(lab.quiet(peer).closed_all(), CONNECTIONS);
    }
}
