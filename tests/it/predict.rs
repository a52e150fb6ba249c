//! Law 3: with header prediction and without, the same happens.

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::tcp::Ctx;
use dpdk_tcp::tcp::arrives::synchronized::Room;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::output::Budget;
use dpdk_tcp::tcp::recovery::Recovery;
use dpdk_tcp::tcp::segment::SegmentOut;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::tcp::tcb::{Seed, Tcb};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{Flags, Segment};
use dpdk_tcp::wire::tcp_options::{Options, SackBlocks, Timestamps};

const ROOM: Room = Room { accept_full: false, octets: 1 << 20 };

/// A connection and its record, fed with the prediction on or off.
struct Side {
    cfg: Config,
    tcb: Tcb,
    rec: Recovery,
}

impl Side {
    fn arrives(&mut self, segment: &Segment, now: Instant) -> String {
        let ctx = Ctx { now, cfg: &self.cfg };
        let out = self.tcb.segment_arrives(segment, ROOM, Some(&mut self.rec), ctx);
        let mut left = Burst::<SegmentOut>::new();
        if self.tcb.state() != State::Closed {
            self.tcb.output(
                Some(&mut self.rec),
                ctx,
                Budget { segments: 8, text_max: 0 },
                &SackBlocks::default(),
                &mut left,
            );
        }
        format!("{out:?} {left:?} {:?} {:?}", self.tcb, self.rec)
    }
}

fn established(prediction: bool, options: Options, now: Instant) -> Side {
    let cfg = Config { prediction, receive_buffer: 4_000, ..Config::default() };
    let ctx = Ctx { now, cfg: &cfg };
    let syn =
        Segment { seq: Seq(u32::MAX - 2_000), flags: Flags::SYN, wnd: 0xffff, options, ..Segment::default() };
    let seed = Seed {
        iss: Seq(u32::MAX - 1_000),
        ts_offset: 0,
        mtu: 1_500,
        path_mtu: 1_500,
        ip_header: 20,
        settings: &cfg.settings,
    };
    let mut tcb = Tcb::open_passive(&syn, seed, ctx);
    let mut rec = Recovery::default();
    let ack = Segment {
        seq: syn.seq + 1,
        ack: seed.iss + 1,
        flags: Flags::ACK,
        wnd: 0xffff,
        options: Options { timestamps: options.timestamps, ..Options::default() },
        ..Segment::default()
    };
    tcb.output(None, ctx, Budget { segments: 8, text_max: 0 }, &SackBlocks::default(), &mut Burst::new());
    let out = tcb.segment_arrives(&ack, ROOM, None, ctx);
    assert!(out.opened);
    rec.attach(&tcb, ctx);
    Side { cfg, tcb, rec }
}

/// Mostly what comes in order, with everything else around it.
fn draw(rng: &mut Rng, tcb: &Tcb, timestamps: bool) -> Segment {
    let near = |rng: &mut Rng, base: Seq| match rng.below(8) {
        0 => base - rng.below(3),
        1 => base + rng.below(3),
        2 => base + rng.below(5_000),
        _ => base,
    };
    let flags = match rng.below(12) {
        0 => Flags(rng.below(256) as u8),
        1 => Flags::ACK | Flags::FIN,
        2..=4 => Flags::ACK | Flags::PSH,
        _ => Flags::ACK,
    };
    let ts = Timestamps { val: 1_000 + rng.below(40) - 2, ecr: rng.below(2_000) };
    let text_len = if rng.below(2) == 0 { 0 } else { rng.below(1_500) as u16 };
    let acknowledged = if rng.below(2) == 0 { tcb.snd.una } else { tcb.snd.nxt };
    Segment {
        seq: near(rng, tcb.rcv.nxt),
        ack: near(rng, acknowledged),
        flags,
        wnd: if rng.below(6) == 0 { 0 } else { rng.below(0x1_0000) as u16 },
        text_len,
        options: Options {
            timestamps: (timestamps && rng.below(20) > 0).then_some(ts),
            ..Options::default()
        },
        ..Segment::default()
    }
}

#[test]
fn prediction_is_not_observable() {
    //= PAWS-5
    let mut in_order = 0;
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let timestamps = seed % 2 == 0;
        let offered = Options {
            mss: Some(1_460),
            sack_permitted: seed % 3 == 0,
            timestamps: timestamps.then_some(Timestamps { val: 1_000, ecr: 0 }),
            ..Options::default()
        };
        let mut now = Instant(1_000_000);
        let [mut with, mut without] = [true, false].map(|prediction| established(prediction, offered, now));
        for _ in 0..60 {
            now = Instant(now.0 + u64::from(rng.below(3_000)));
            if rng.below(4) == 0 {
                let octets = 1 + rng.below(3_000);
                for side in [&mut with, &mut without] {
                    let _ = side.tcb.send(octets);
                }
            }
            let segment = draw(&mut rng, &with.tcb, timestamps);
            in_order += u32::from(segment.seq == with.tcb.rcv.nxt);
            assert_eq!(
                with.arrives(&segment, now),
                without.arrives(&segment, now),
                "seed {seed}: {segment:?}"
            );
            if with.tcb.state() == State::Closed {
                break;
            }
        }
    }
    assert!(in_order > 2_000, "{in_order}");
}
