//! Asking for neighbours before there is anything to send (`Worker::resolve`).

use std::net::IpAddr;

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::worker::Resolution::{self, Asking, Failed, NoRoute, Resolved};

use super::{ask, says, seen, strangers};
use crate::reach::{OURS, PEER_MAC, PEERS, Setup, World};

const GATEWAY: [u8; 4] = [198, 18, 0, 254];
const FAR: [u8; 4] = [203, 0, 113, 9];

fn resolve(world: &mut World, remote: [u8; 4]) -> Resolution {
    let now = world.clock.now();
    world.worker.resolve(IpAddr::V4(remote.into()), now)
}

/// The addresses that were asked for since the last look.
fn asked(world: &mut World) -> Vec<[u8; 4]> {
    seen(world).iter().map(|seen| seen.arp().1.target).collect()
}

#[test]
fn a_neighbour_is_asked_for_until_it_answers() {
    let mut world = strangers();
    assert_eq!(resolve(&mut world, PEERS), Asking);
    world.pass_ms(1);
    assert_eq!((resolve(&mut world, PEERS), asked(&mut world)), (Asking, vec![PEERS]));
    world.pass_ms(1_100);
    assert_eq!((resolve(&mut world, PEERS), asked(&mut world)), (Asking, vec![PEERS]));
    assert!(ask(&mut world, &says(PEERS, PEER_MAC)).is_empty(), "nothing has waited");
    assert_eq!(resolve(&mut world, PEERS), Resolved);
    world.pass_ms(5_000);
    assert_eq!((resolve(&mut world, PEERS), asked(&mut world).len()), (Resolved, 0));
    world.assert_quiet();
}

#[test]
fn three_requests_without_an_answer_fail_and_it_may_be_tried_again() {
    //= ARP-3
    let mut world = strangers();
    for round in 0..3 {
        let (mut requests, mut ms) = (0, 0);
        while resolve(&mut world, PEERS) == Asking {
            world.pass_ms(1);
            ms += 1;
            requests += asked(&mut world).len();
            assert!(ms < 10_000, "round {round}");
        }
        assert_eq!((resolve(&mut world, PEERS), requests), (Failed, 3));
        assert!((2_900..3_100).contains(&ms), "{ms}");
        // Whoever looks twice a second cannot miss it, whatever is swept meanwhile.
        world.pass_ms(900);
        assert_eq!(resolve(&mut world, PEERS), Failed);
        world.pass_ms(200);
        assert_eq!(asked(&mut world).len(), 0);
    }
    assert_eq!(world.dropped(DropReason::NeighbourUnresolved), 0, "no frame has waited");
}

#[test]
fn beyond_the_link_the_gateway_is_asked_for_and_without_one_there_is_no_way() {
    let mut world = strangers();
    for nowhere in [FAR, OURS, [198, 18, 0, 255], [224, 0, 0, 1]] {
        assert_eq!(resolve(&mut world, nowhere), NoRoute, "{nowhere:?}");
    }
    let now = world.clock.now();
    assert_eq!(world.worker.resolve("2001:db8::1".parse().unwrap(), now), NoRoute);
    let mut world = World::with(Setup { gateway: Some(GATEWAY), ..Setup::default() });
    assert_eq!((resolve(&mut world, PEERS), resolve(&mut world, FAR)), (Resolved, Asking));
    world.pass_ms(1);
    assert_eq!(asked(&mut world), [GATEWAY]);
    ask(&mut world, &says(GATEWAY, PEER_MAC));
    assert_eq!(resolve(&mut world, FAR), Resolved);
    assert_eq!(world.worker.resolve("2001:db8::1".parse().unwrap(), now), NoRoute);
}
