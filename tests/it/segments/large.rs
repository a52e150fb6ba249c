//! Segments that a device cuts into packets: the wire must not tell whether it did (OFF-1, OFF-2).

use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::expect::{Out, read};
use crate::reach::{PEER_PORT, Peer, Seg, Setup, World, seg};

const ACK: Flags = Flags::ACK;

fn world(tso: bool, cfg: Config) -> World {
    World::with(Setup { tso, cfg, ..Setup::default() })
}

/// A connection with all options, ECN too, and a window of 4 MiB.
fn open(world: &mut World, mss: u16) -> Peer {
    let options = Options {
        mss: Some(mss),
        window_scale: Some(8),
        sack_permitted: true,
        timestamps: Some(Timestamps { val: 1, ecr: 0 }),
        ..Options::default()
    };
    let mut syn = seg(Flags::SYN | Flags::ECE | Flags::CWR, Seq(0x1fff_ff00), Seq(0));
    syn.options = options;
    world.inject(&[syn.clone()]);
    let peer = Peer { port: PEER_PORT, seq: syn.seq + 1, ack: world.one().segment.seq + 1 };
    world.inject(&[peer.seg(ACK).ts(2, 0).wnd(0x4000)]);
    world.told();
    peer
}

/// The frames, verified, without what a device may choose: the IPv4 identification, and so the header's checksum.
/// Also the number after the last octet that they carry, if they carry any.
fn wire(world: &mut World) -> (Vec<Vec<u8>>, Option<Seq>) {
    let mut frames = world.drain_frames();
    let mut end: Option<Seq> = None;
    for frame in &mut frames {
        if let Out::Tcp(sent) = read(frame) {
            let this = sent.segment.end();
            end = Some(end.map_or(this, |end| end.later(this)));
        }
        frame[18..20].fill(0);
        frame[24..26].fill(0);
    }
    (frames, end)
}

#[test]
fn a_device_that_cuts_segments_cannot_be_told_from_one_that_does_not() {
    //= OFF-1
    //= OFF-2
    let mut large = 0;
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mss = [1_460, 1_460, 536, 100][rng.below(4) as usize];
        let cfg = Config { ecn: seed % 2 == 0, ..Config::default() };
        let mut worlds = [world(false, cfg.clone()), world(true, cfg)];
        let [mut peer, other] = [0, 1].map(|n| open(&mut worlds[n], mss));
        assert_eq!((peer.seq, peer.ack), (other.seq, other.ack));
        let mut sent = 0;
        for step in 0..40u32 {
            let (kind, amount) = (rng.below(8), rng.below(60_000));
            let flags = ACK | Flags::when(rng.below(9) == 0, Flags::ECE);
            let mut ack = Seg { ack: peer.ack + rng.below(sent + 1), ..peer.seg(flags) };
            if rng.below(3) == 0 {
                // Something was lost: later octets are reported, the first ones are not.
                let (left, right) = (peer.ack + rng.below(sent + 1), peer.ack + rng.below(sent + 1));
                ack.ack = peer.ack;
                ack.options.sack.push(left.earlier(right), left.later(right));
            }
            let ack = ack.ts(3 + step, 0).wnd([0x4000, 0x4000, 300, 3][rng.below(4) as usize]);
            let frames = worlds.each_mut().map(|world| {
                match kind {
                    0..3 => world.call(move |conn| {
                        conn.send(&vec![step as u8; amount as usize]);
                    }),
                    3 if step > 35 => world.call(|conn| conn.shutdown()),
                    3 => world.pass_ms(u64::from(amount / 40)),
                    _ => world.inject(std::slice::from_ref(&ack)),
                }
                wire(world)
            });
            assert!(frames[0] == frames[1], "seed {seed}, step {step}");
            if kind >= 4 && ack.ack.after(peer.ack) {
                sent -= ack.ack.since(peer.ack);
                peer.ack = ack.ack;
            }
            let end = frames[0].1.unwrap_or(peer.ack);
            sent = if end.after(peer.ack + sent) { end.since(peer.ack) } else { sent };
        }
        assert_eq!(worlds[0].count(Counter::LargeSegments), 0);
        large += worlds[1].count(Counter::LargeSegments);
    }
    assert!(large > 300, "{large} large segments");
}

/// Four full segments and the FIN, as they went.
fn ends_with_fin(world: &mut World) -> Vec<(usize, Flags)> {
    world.call(|conn| {
        assert_eq!(conn.send(&[2; 4 * 1_448]), 4 * 1_448);
        conn.shutdown();
    });
    world.sent().iter().map(|sent| (sent.text.len(), sent.segment.flags)).collect()
}

#[test]
fn what_belongs_to_one_packet_is_on_one_packet() {
    //= OFF-2
    //= ECN-9
    let mut world = world(true, Config { ecn: true, ..Config::default() });
    let peer = open(&mut world, 1_460);
    let last = ACK | Flags::PSH | Flags::FIN;
    assert_eq!(ends_with_fin(&mut world), [(1_448, ACK), (1_448, ACK), (1_448, ACK), (1_448, last)]);
    assert_eq!(world.count(Counter::LargeSegments), 1);
    let mut world = self::world(true, Config { ecn: true, ..Config::default() });
    open(&mut world, 1_460);
    world.call(|conn| assert_eq!(conn.send(&[1; 3 * 1_448]), 3 * 1_448));
    world.drain_frames();
    // Of three in flight one is acknowledged with a mark; the window halves and then opens again.
    for (octets, flags) in [(1_448, ACK | Flags::ECE), (3 * 1_448, ACK)] {
        world.inject(&[Seg { ack: peer.ack + octets, ..peer.seg(flags) }.ts(3, 0).wnd(0x4000)]);
    }
    let sent = ends_with_fin(&mut world);
    assert_eq!(sent[..2], [(1_448, ACK | Flags::CWR), (1_448, ACK)]);
    assert!(sent.len() > 1 && sent[1..].iter().all(|(_, flags)| !flags.has(Flags::CWR)));
    assert_eq!(world.count(Counter::LargeSegments), 2);
}

#[test]
fn each_packet_of_urgent_data_points_to_its_end() {
    //= OFF-2
    //= MUST-30
    let mut world = world(true, Config::default());
    let peer = open(&mut world, 1_460);
    world.call(|conn| assert_eq!(conn.send_urgent(&[1; 3 * 1_448]), 3 * 1_448));
    let end = peer.ack + 3 * 1_448;
    let sent: Vec<_> = world.sent().into_iter().filter(|sent| !sent.text.is_empty()).collect();
    assert_eq!(sent.len(), 3);
    for sent in sent {
        assert_eq!(sent.segment.seq + u32::from(sent.segment.up), end);
    }
}
