//! What simulations, the fuzz target and the tidiness test found, as short stories of their own.

use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::reach::{PEER_PORT, Setup, Told, World};

const ACK: Flags = Flags::ACK;

#[test]
fn a_window_closed_beyond_a_hole_is_opened_by_whoever_acknowledges_more() {
    //= COM-16
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    let mut beyond = peer.seg(ACK).text(b"x").wnd(0);
    beyond.seq += 100;
    world.inject(&[beyond]);
    world.sent();
    world.call(|conn| assert_eq!(conn.send(b"ab"), 2));
    world.silent();
    world.pass_ms(1_100);
    world.one().seq(peer.ack).text(b"a");
    assert_eq!(world.count(Counter::Probes), 1);
    // The peer repeats what is missing; it stands below what told the closed window.
    let mut repeated = peer.seg(ACK).text(b"y").wnd(1_000);
    repeated.ack = peer.ack + 1;
    world.inject(&[repeated]);
    let sent = world.sent();
    assert!(sent.iter().any(|sent| sent.text == b"b"), "the rest follows at once: {sent:?}");
}

#[test]
fn a_connection_that_found_no_memory_is_told_when_there_is_some() {
    let mut setup = Setup::default();
    setup.limits.buffers = 4_096;
    let mut world = World::with(setup);
    let hog = world.establish(PEER_PORT);
    static PIECE: [u8; 512] = [7; 512];
    world.call(|conn| (0..8).for_each(|_| assert!(conn.send_static(&PIECE))));
    let sent: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert_eq!(sent, 4_096);
    world.establish(PEER_PORT + 1);
    world.call(|conn| assert_eq!(conn.send(b"hungry"), 0));
    world.pass_ms(5);
    assert_eq!(world.told(), []);
    let mut acknowledged = hog.seg(ACK);
    acknowledged.ack = hog.ack + 4_096;
    world.probe.0.borrow_mut().next = None;
    world.inject(&[acknowledged]);
    // The one whose data was acknowledged, and the hungry one.
    assert_eq!(world.told(), [Told::Writable, Told::Writable]);
    world.call(|conn| assert_eq!(conn.send(b"hungry"), 6));
}

#[test]
fn connections_that_hoard_memory_leave_some_for_others() {
    //= ATK-12
    //= LIM-5
    let mut setup = Setup::default();
    setup.limits.buffers = 256 << 10;
    let mut world = World::with(setup);
    for port in 0..40 {
        // None of them reads, and each is sent all that the stack takes.
        world.establish(PEER_PORT + port);
        world.call(|conn| assert!(conn.send(&[7; 200_000]) > 0));
        world.sent();
    }
    let (client, _) = world.half_open(50_000, Seq(7), Options::default());
    world.inject(&[client.seg(ACK).text(&[b'x'; 1_400])]);
    assert!(world.told().contains(&Told::Data(vec![b'x'; 1_400])));
    world.call(|conn| assert!(conn.send(b"an answer of some length") > 20));
}
