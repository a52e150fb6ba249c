//! Random arrivals, made against a stack that takes bursts of 32 and replayed in the other cuts. A peer can only
//! acknowledge what it had seen before the round. Octets that draw an answer and segments that end a connection
//! do not share a round and a port: whether an answer leaves before a reset arrives is a race on any wire.

use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::wire::tcp_options::Options;

use super::*;
use crate::reach::seg;

const PORTS: std::ops::Range<u16> = 50_000..50_005;
const ROUNDS: usize = 25;

/// What the peer believes of one of its ports.
#[derive(Clone, Copy)]
struct Belief {
    port: u16,
    seq: Seq,
    /// The last it has seen of us, and what it can acknowledge.
    ack: Seq,
    /// The SYN-ACK of its last SYN acknowledges this.
    expected: Seq,
    timestamps: bool,
}

fn letters(rng: &mut Rng, alphabet: &[u8]) -> Vec<u8> {
    (0..1 + rng.below(40)).map(|_| alphabet[rng.below(alphabet.len() as u32) as usize]).collect()
}

impl Belief {
    fn seg(&self, flags: Flags, now_ms: u32) -> Seg {
        let segment = seg(flags, self.seq, self.ack).from_port(self.port);
        if self.timestamps { segment.ts(now_ms, 0) } else { segment }
    }

    /// A SYN beyond everything sent before.
    fn syn(&mut self, rng: &mut Rng, now_ms: u32) -> Seg {
        self.seq += 100_000 + rng.below(1 << 20);
        self.timestamps = rng.below(2) == 0;
        let options = Options { mss: Some(1_000), sack_permitted: rng.below(2) == 0, ..Options::default() };
        let syn = seg(Flags::SYN, self.seq, Seq(0)).from_port(self.port).options(options);
        self.seq += 1;
        self.expected = self.seq;
        if self.timestamps { syn.ts(now_ms, 0) } else { syn }
    }

    /// Text in order, before or behind it.
    fn text(&mut self, rng: &mut Rng, text: &[u8], now_ms: u32) -> Seg {
        let mut segment = self.seg(Flags::ACK, now_ms).text(text);
        match rng.below(6) {
            0 => segment.seq = segment.seq - (1 + rng.below(50)),
            1 => segment.seq += 1 + rng.below(50),
            _ => self.seq += text.len() as u32,
        }
        segment
    }

    fn fin(&mut self, now_ms: u32) -> Seg {
        let fin = self.seg(Flags::ACK | Flags::FIN, now_ms);
        self.seq += 1;
        fin
    }

    /// What a peer that talks sends.
    fn talk(&mut self, rng: &mut Rng, now_ms: u32) -> Seg {
        match rng.below(20) {
            0..4 => self.seg(Flags::ACK, now_ms),
            4..14 => {
                let text = letters(rng, b"abcdefghijklmnopqrstuvwxyz");
                self.text(rng, &text, now_ms)
            }
            14 => self.text(rng, b"C", now_ms),
            15 => self.fin(now_ms),
            16 => Seg { ack: self.ack + (1 << 29), ..self.seg(Flags::ACK, now_ms) },
            17 => Seg { seq: self.seq + (1 << 29), ..self.seg(Flags::ACK, now_ms).text(b"far") },
            18 => self.seg(Flags::PSH, now_ms).text(b"no ack"),
            _ => self.seg(Flags::ACK, now_ms.wrapping_sub(1 << 24)).text(b"old time"),
        }
    }

    /// What a peer that comes and goes sends; nothing of it draws an octet.
    fn churn(&mut self, rng: &mut Rng, now_ms: u32) -> Seg {
        match rng.below(14) {
            0..3 => self.syn(rng, now_ms),
            3 => self.seg(Flags::RST, now_ms),
            4 => Seg { seq: self.seq + 1 + rng.below(100), ..self.seg(Flags::RST, now_ms) },
            5 => Seg { seq: self.seq + (1 << 29), ..self.seg(Flags::RST | Flags::ACK, now_ms) },
            6 => self.seg(Flags::SYN | Flags::ACK, now_ms),
            7 => self.fin(now_ms),
            8 => self.text(rng, b"F", now_ms),
            9 => self.text(rng, b"X", now_ms),
            10..12 => {
                let text = letters(rng, b"0123456789");
                self.text(rng, &text, now_ms)
            }
            _ => self.seg(Flags::ACK, now_ms),
        }
    }
}

/// What the peer learns from what it has seen: everything that it can acknowledge.
fn learn(belief: &mut Belief, seen: &Seen) {
    if let Some((seq, _)) = seen.syns.iter().find(|(_, ack)| Seq(*ack) == belief.expected) {
        belief.ack = Seq(*seq) + 1;
    }
    let syns = seen.syns.iter().map(|(seq, _)| Seq(*seq) + 1);
    let text = seen.text.keys().map(|seq| Seq(*seq) + 1);
    let fins = seen.fins.iter().map(|seq| Seq(*seq) + 1);
    for seq in syns.chain(text).chain(fins) {
        // Earlier connections of the port lie below or far away.
        if seq.after(belief.ack) && seq.since(belief.ack) < 1 << 20 {
            belief.ack = seq;
        }
    }
}

fn script(seed: u64) -> Vec<Round> {
    let mut rng = Rng::new(seed);
    let mut rig = Rig::new(CUTS[0]);
    let belief = |port| Belief { port, seq: Seq(1_000), ack: Seq(0), expected: Seq(0), timestamps: false };
    let mut beliefs: Vec<_> = PORTS.map(belief).collect();
    (0..ROUNDS)
        .map(|_| {
            let after_ms = [1, 30, 600, 2_500, 61_000][rng.below(5) as usize];
            rig.wait(after_ms);
            let now_ms = rig.stack.clock.now().millis() as u32;
            let talks: Vec<bool> = beliefs.iter().map(|_| rng.below(3) > 0).collect();
            let segments = (0..1 + rng.below(32))
                .map(|_| {
                    let who = rng.below(beliefs.len() as u32) as usize;
                    let belief = &mut beliefs[who];
                    if talks[who] { belief.talk(&mut rng, now_ms) } else { belief.churn(&mut rng, now_ms) }
                })
                .collect();
            let round = Round { after_ms: 0, segments };
            rig.play(&round);
            let seen = std::mem::take(&mut rig.seen);
            for belief in &mut beliefs {
                if let Some(seen) = seen.get(&belief.port) {
                    learn(belief, seen);
                }
            }
            Round { after_ms, ..round }
        })
        .collect()
}

#[test]
fn random_arrivals_mean_the_same_in_every_cut() {
    let mut opened = 0;
    for seed in 0..100 {
        let rounds = script(seed);
        let played = std::panic::catch_unwind(|| same_in_every_cut(&rounds));
        let all = played.unwrap_or_else(|failure| {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(failure)
        });
        opened +=
            all.last().unwrap().events.values().flatten().filter(|event| **event == Event::Open).count();
    }
    assert!(opened > 300, "only {opened} connections were opened");
}
