//! The scoreboard against a record of every octet.

use super::*;
use crate::base::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Octet {
    sacked: bool,
    lost: bool,
    repeated: bool,
}

/// A scoreboard and what it should say, one entry an octet.
struct Both {
    board: Scoreboard,
    octets: Vec<Octet>,
    base: Seq,
    now: u32,
}

impl Both {
    fn new(base: Seq) -> Self {
        let mut board = Scoreboard::default();
        board.reset(base);
        Both { board, octets: Vec::new(), base, now: u32::MAX - 500 }
    }

    fn send(&mut self, len: u32) {
        self.now = self.now.wrapping_add(10);
        self.octets.resize(self.octets.len() + len as usize, Octet::default());
        self.board.append(self.base + self.octets.len() as u32, self.now, 1);
    }

    fn agree(&self) {
        assert_eq!(self.board.invariants(), Ok(()));
        let count = |which: fn(&Octet) -> bool| self.octets.iter().filter(|o| which(o)).count() as u32;
        assert_eq!(self.board.sacked(), count(|o| o.sacked), "delivered");
        assert_eq!(self.board.lost(), count(|o| o.lost), "lost");
        assert_eq!(self.board.end(), self.base + self.octets.len() as u32);
    }
}

#[test]
fn marks_follow_a_record_of_every_octet() {
    //= SACK-6
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut both = Both::new(Seq(rng.below(2) * (u32::MAX - 300)));
        for _ in 0..60 {
            let len = both.octets.len() as u32;
            let (a, b) = (rng.below(len + 1), rng.below(len + 1));
            let (from, to) = (a.min(b), a.max(b));
            let (left, right) = (both.base + from, both.base + to);
            let range = from as usize..to as usize;
            match rng.below(6) {
                0 | 1 => both.send(1 + rng.below(50)),
                2 => {
                    let fresh = both.octets[range.clone()].iter().filter(|o| !o.sacked).count() as u32;
                    let mut told = 0;
                    assert_eq!(both.board.sack(left, right, |piece| told += piece.len()), fresh);
                    assert_eq!(told, fresh);
                    for octet in &mut both.octets[range] {
                        (octet.sacked, octet.lost) = (true, false);
                    }
                }
                3 => {
                    both.now = both.now.wrapping_add(10);
                    both.board.sent_again(left, right, both.now);
                    for octet in &mut both.octets[range] {
                        (octet.lost, octet.repeated) = (false, true);
                    }
                }
                4 => {
                    let fresh = both.octets[..to as usize].iter().filter(|o| !o.sacked).count() as u32;
                    assert_eq!(both.board.acknowledge(right, |_| {}), fresh);
                    both.octets.drain(..to as usize);
                    both.base = right;
                }
                _ => {
                    let loss = both.board.lose_first(to);
                    let (mut octets, mut repeated) = (0, false);
                    for octet in &mut both.octets[..to as usize] {
                        if !octet.sacked && !octet.lost {
                            octet.lost = true;
                            octets += 1;
                            repeated |= octet.repeated;
                        }
                    }
                    assert_eq!(loss, Loss { octets, repeated });
                }
            }
            both.agree();
        }
    }
}

#[test]
fn an_acknowledgment_that_ends_before_a_delivered_octet_is_reneging() {
    //= SACK-9
    let mut both = Both::new(Seq(100));
    both.send(300);
    both.board.sack(Seq(200), Seq(300), |_| {});
    both.board.acknowledge(Seq(150), |_| {});
    assert!(!both.board.is_reneged());
    both.board.acknowledge(Seq(200), |_| {});
    assert!(both.board.is_reneged());
    both.board.nothing_sacked();
    assert!(!both.board.is_reneged());
    assert_eq!(both.board.pipe(), 200);
}

#[test]
fn what_does_not_fit_makes_the_record_coarser_and_never_wrong() {
    //= SACK-11
    //= ATK-11
    // Every second octet is reported: far more holes than there are runs.
    let mut both = Both::new(Seq(u32::MAX - 1_000));
    for _ in 0..2_000 {
        both.send(1);
    }
    for n in (1..2_000).step_by(2) {
        let left = both.base + n;
        both.board.sack(left, left + 1, |_| {});
        assert_eq!(both.board.invariants(), Ok(()));
    }
    assert!(both.board.sacked() > 30 && both.board.sacked() < 1_000);
    assert_eq!(both.board.pipe() + both.board.sacked(), 2_000);
    // Sending goes on, new octets and old ones in pieces.
    for n in 0..500 {
        both.send(1);
        both.board.lose(|_| true);
        let from = both.base + (n * 3);
        both.board.sent_again(from, from + 1, both.now);
        assert_eq!(both.board.invariants(), Ok(()));
    }
    assert_eq!(both.board.end(), both.base + 2_500);
    let sacked = both.board.sacked();
    assert_eq!(both.board.acknowledge(both.base + 2_500, |_| {}) + sacked, 2_500);
}

#[test]
fn what_leaves_together_is_one_run() {
    let mut board = Scoreboard::default();
    board.reset(Seq(0));
    for n in 1..=1_000 {
        board.append(Seq(n * 10), n, 100);
    }
    assert_eq!(board.runs.len(), 11);
    let last = board.around(Seq(9_999)).unwrap();
    assert_eq!((last.end, last.sent_us), (Seq(10_000), 1_000));
}
