//! A connection with a known round trip and a hand-made receiver of what it sends.

use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::congestion::Algorithm;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, SackBlocks, Timestamps};

use crate::expect::Sent;
use crate::reach::{PEER_PORT, Peer, Seg, Setup, World};
use crate::states::plain;
use dpdk_tcp::wire::seq::Seq;

/// Octets of a full segment in all these worlds.
pub const MSS: u32 = 1_000;

/// The round trip.
pub const RTT_MS: u64 = 100;

/// A connection in ESTABLISHED whose peer took one round trip to answer.
pub struct Lab {
    pub world: World,
    pub peer: Peer,
    /// Where numbering of octets begins.
    pub base: Seq,
    pub timestamps: bool,
}

/// What the peer offers besides an MSS.
#[derive(Clone, Copy, Default)]
pub struct Offer {
    pub sack: bool,
    pub timestamps: bool,
    pub ecn: bool,
}

pub const SACK: Offer = Offer { sack: true, timestamps: false, ecn: false };

impl Lab {
    /// One segment has been sent and acknowledged after [`RTT_MS`], so that there is a round-trip time. Reno,
    /// since its windows are plain numbers.
    pub fn new(offer: Offer) -> Lab {
        let mut setup = Setup::default();
        setup.cfg.congestion = Algorithm::Reno;
        Lab::with(setup, offer)
    }

    pub fn with(setup: Setup, offer: Offer) -> Lab {
        let mut world = World::with(setup);
        let options = Options {
            mss: Some(if offer.timestamps { MSS as u16 + 12 } else { MSS as u16 }),
            sack_permitted: offer.sack,
            timestamps: offer.timestamps.then_some(Timestamps { val: 1, ecr: 0 }),
            ..plain()
        };
        let ask = if offer.ecn { Flags::ECE | Flags::CWR } else { Flags::default() };
        world.inject(&[crate::reach::seg(Flags::SYN | ask, Seq(5_000), Seq(0)).options(options)]);
        let syn_ack = world.one().segment;
        let peer = Peer { port: PEER_PORT, seq: Seq(5_001), ack: syn_ack.seq + 1 };
        let mut lab = Lab { world, peer, base: peer.ack, timestamps: offer.timestamps };
        lab.world.pass_ms(RTT_MS);
        let echo = syn_ack.options.timestamps.map(|ts| ts.val);
        let third = lab.ack_of(0, &[], echo);
        lab.world.inject(&[third]);
        lab.world.told();
        lab
    }

    /// The application sends `segments` full segments; what leaves at once.
    pub fn send(&mut self, segments: u32) -> Vec<u32> {
        self.world.call(|conn| {
            let text: Vec<u8> = (0..segments * MSS).map(|n| n as u8).collect();
            assert_eq!(conn.send(&text), text.len());
        });
        self.sent()
    }

    /// Numbers of the segments that left since the last look, in full segments from the beginning.
    pub fn sent(&mut self) -> Vec<u32> {
        let base = self.base;
        self.world.sent().iter().filter(|s| !s.text.is_empty()).map(|s| number(s, base)).collect()
    }

    /// The acknowledgment of `upto` segments with blocks of segments, echoing `echo`.
    pub fn ack_of(&self, upto: u32, blocks: &[(u32, u32)], echo: Option<u32>) -> Seg {
        let mut sack = SackBlocks::default();
        blocks.iter().for_each(|(l, r)| sack.push(self.base + l * MSS, self.base + r * MSS));
        let timestamps = self.timestamps.then(|| Timestamps { val: 2, ecr: echo.unwrap_or(0) });
        let mut seg = self.peer.seg(Flags::ACK).options(Options { sack, timestamps, ..Options::default() });
        seg.ack = self.base + upto * MSS;
        seg
    }

    /// Such an acknowledgment arrives; what leaves because of it.
    pub fn ack(&mut self, upto: u32, blocks: &[(u32, u32)]) -> Vec<u32> {
        let seg = self.ack_of(upto, blocks, None);
        self.world.inject(&[seg]);
        self.sent()
    }

    /// What leaves within so many milliseconds, and after how many.
    pub fn watch(&mut self, ms: u64) -> Vec<(u64, u32)> {
        let base = self.base;
        let seen = self.world.watch_ms(ms);
        seen.iter().filter(|(_, s)| !s.text.is_empty()).map(|(at, s)| (*at, number(s, base))).collect()
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.world.count(counter)
    }
}

fn number(sent: &Sent, base: Seq) -> u32 {
    let offset = sent.segment.seq.since(base);
    assert_eq!(offset % MSS, 0, "segments are whole: {:?}", sent.segment);
    offset / MSS
}
