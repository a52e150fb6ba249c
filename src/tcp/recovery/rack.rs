//! RACK: what was sent long enough before something that was delivered is lost (RFC 8985 6). Times are microseconds
//! modulo 2^32.

use super::scoreboard::{Loss, Piece, Scoreboard, is_later};
use crate::wire::seq::Seq;

/// Segments delivered above a hole that make an end of waiting for reordering (RFC 8985 DupThresh, SR-1).
//= SR-1
const DUP_THRESH: u32 = 3;

/// Recoveries for which a widened reordering window is kept (RACK-7).
const REO_WND_PERSIST: u8 = 16;

/// Time after which the smallest round trip is looked for anew (RACK-4), in microseconds.
const MIN_RTT_WINDOW_US: u32 = 300_000_000;

/// The smallest round trip of the last five to ten minutes.
#[derive(Clone, Copy, Debug, Default)]
struct MinRtt {
    now_us: u32,
    before_us: u32,
    since_us: u32,
}

impl MinRtt {
    fn take(&mut self, rtt_us: u32, now_us: u32) {
        //= RACK-4
        if self.now_us == 0 || now_us.wrapping_sub(self.since_us) > MIN_RTT_WINDOW_US {
            self.before_us = self.now_us;
            self.now_us = rtt_us.max(1);
            self.since_us = now_us;
        }
        self.now_us = self.now_us.min(rtt_us.max(1));
    }

    /// The smallest round trip in microseconds; 0 before the first.
    fn get(self) -> u32 {
        if self.before_us == 0 { self.now_us } else { self.now_us.min(self.before_us) }
    }
}

/// What [`Rack::detect`] must know besides its own record.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The time, in microseconds modulo 2^32.
    pub now_us: u32,
    /// The smoothed round trip in microseconds.
    pub srtt_us: u32,
    /// Loss recovery is under way.
    pub in_recovery: bool,
    /// Segments that the peer said it has above a hole.
    pub sacked_segments: u32,
}

/// The record of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rack {
    /// The delivered segment that was sent last: when, and where it ends.
    latest: Option<(u32, Seq)>,
    /// Its round trip.
    rtt_us: u32,
    /// The highest number delivered.
    fack: Option<Seq>,
    min_rtt: MinRtt,
    reordering: bool,
    /// The reordering window in quarters of the smallest round trip, less one.
    widened: u8,
    persist: u8,
    /// The end of the round trip in which the window was widened last.
    widened_until: Option<Seq>,
}

impl Rack {
    /// Nothing is in flight any more: times and numbers of what was would be compared with those of another age.
    pub fn idle(&mut self) {
        self.latest = None;
        self.fack = None;
    }

    /// A segment was delivered (RFC 8985 6.2 step 2). `echo_is_older`: the timestamp that the acknowledgment
    /// echoes is older than the segment's last transmission.
    pub fn delivered(&mut self, piece: Piece, echo_is_older: bool, now_us: u32) {
        self.look_for_reordering(piece);
        //= RACK-3
        let rtt_us = now_us.wrapping_sub(piece.sent_us);
        if piece.repeated && (echo_is_older || rtt_us < self.min_rtt.get()) {
            return;
        }
        self.min_rtt.take(rtt_us, now_us);
        self.rtt_us = rtt_us;
        if self.latest.is_none_or(|(sent_us, end)| sent_after((piece.sent_us, piece.end), (sent_us, end))) {
            self.latest = Some((piece.sent_us, piece.end));
        }
    }

    fn look_for_reordering(&mut self, piece: Piece) {
        //= RACK-5
        match self.fack {
            Some(fack) if piece.end.at_or_before(fack) => {
                self.reordering |= piece.end.before(fack) && !piece.repeated;
            }
            _ => self.fack = Some(piece.end),
        }
    }

    /// Something that was taken for lost had only been late.
    pub fn saw_reordering(&mut self) {
        self.reordering = true;
    }

    /// The peer reports that something came twice: the window was too narrow. At most once in a round trip, which
    /// ends when `snd_nxt` is acknowledged.
    pub fn duplicate_reported(&mut self, una: Seq, snd_nxt: Seq) {
        //= RACK-7
        //= DSACK-5
        if self.widened_until.is_some_and(|until| until.after(una)) {
            return;
        }
        self.widened_until = Some(snd_nxt);
        self.widened = self.widened.saturating_add(1);
        self.persist = REO_WND_PERSIST;
    }

    /// A recovery is over.
    pub fn recovered(&mut self) {
        //= RACK-7
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.widened = 0;
        }
    }

    /// How much longer than the round trip a segment may take, in microseconds.
    pub fn reorder_window_us(&self, c: Circumstances) -> u32 {
        //= RACK-6
        if !self.reordering && (c.in_recovery || c.sacked_segments >= DUP_THRESH) {
            return 0;
        }
        let quarters = u64::from(self.widened) + 1;
        let window = quarters * u64::from(self.min_rtt.get()) / 4;
        u32::try_from(window).unwrap_or(u32::MAX).min(c.srtt_us)
    }

    /// Marks what is lost (RFC 8985 6.2 step 5). Returns it, and after how many microseconds to look again.
    pub fn detect(&self, board: &mut Scoreboard, c: Circumstances) -> (Loss, Option<u32>) {
        //= RACK-8
        let Some(latest) = self.latest else { return (Loss::default(), None) };
        let patience = self.rtt_us.saturating_add(self.reorder_window_us(c));
        let mut again = None;
        let loss = board.lose(|piece| {
            if !sent_after(latest, (piece.sent_us, piece.end)) {
                return false;
            }
            let age = c.now_us.wrapping_sub(piece.sent_us);
            if age >= patience {
                return true;
            }
            again = again.max(Some(patience - age));
            false
        });
        (loss, again)
    }

    /// Marks what a retransmission timeout takes for lost: the first segment, and what is old enough.
    pub fn detect_on_timeout(&self, board: &mut Scoreboard, c: Circumstances, first_len: u32) -> Loss {
        //= RACK-9
        let first = board.lose_first(first_len);
        let patience = self.rtt_us.saturating_add(self.reorder_window_us(c));
        let rest = board.lose(|piece| c.now_us.wrapping_sub(piece.sent_us) >= patience);
        Loss { octets: first.octets + rest.octets, repeated: first.repeated || rest.repeated }
    }
}

/// RFC 8985 6.2: `a` was sent after `b`; of segments sent at once the one that ends later.
fn sent_after(a: (u32, Seq), b: (u32, Seq)) -> bool {
    //= RACK-2
    is_later(a.0, b.0) || (a.0 == b.0 && a.1.after(b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u32 = 1_000;

    /// Four segments of 100 octets, sent at 0, 1, 2, 3 ms, the smallest round trip being 100 ms.
    fn four_sent() -> (Scoreboard, Rack) {
        let (mut board, mut rack) = (Scoreboard::default(), Rack::default());
        board.reset(Seq(0));
        let before = Piece { start: Seq(u32::MAX), end: Seq(0), sent_us: 0, repeated: false };
        rack.delivered(before, false, 100 * MS);
        for n in 0..4 {
            board.append(Seq((n + 1) * 100), 1_000_000 + n * MS, 1);
        }
        (board, rack)
    }

    fn at(ms: u32, in_recovery: bool, sacked_segments: u32) -> Circumstances {
        Circumstances { now_us: 1_000_000 + ms * MS, srtt_us: 100 * MS, in_recovery, sacked_segments }
    }

    fn sack(board: &mut Scoreboard, rack: &mut Rack, n: u32, c: Circumstances) {
        board.sack(Seq(n * 100), Seq(n * 100 + 100), |piece| rack.delivered(piece, false, c.now_us));
    }

    #[test]
    fn the_third_delivered_segment_ends_the_wait() {
        //= RACK-6
        //= RACK-8
        // VEC-RACK-1.
        let (mut board, mut rack) = four_sent();
        for (ms, n, window, left) in [(101, 1, 25, Some(24)), (102, 2, 25, Some(23)), (103, 3, 0, None)] {
            let c = at(ms, false, n);
            sack(&mut board, &mut rack, n, c);
            assert_eq!(rack.reorder_window_us(c), window * MS);
            let (loss, again) = rack.detect(&mut board, c);
            assert_eq!(again, left.map(|ms| ms * MS), "after {ms} ms");
            assert_eq!(loss.octets, if left.is_none() { 100 } else { 0 });
        }
        assert_eq!(board.first_lost().unwrap().start, Seq(0));
    }

    #[test]
    fn a_network_that_reorders_gets_a_quarter_of_a_round_trip_more() {
        //= RACK-5
        //= RACK-7
        // VEC-RACK-2.
        let (mut board, mut rack) = four_sent();
        rack.saw_reordering();
        for n in 1..4 {
            let c = at(100 + n, false, n);
            sack(&mut board, &mut rack, n, c);
            assert_eq!(rack.detect(&mut board, c).0.octets, 0);
        }
        assert_eq!(rack.detect(&mut board, at(124, false, 3)).1, Some(MS));
        assert_eq!(rack.detect(&mut board, at(125, false, 3)).0.octets, 100);
        // A report of a duplicate widens it, once in a round trip.
        for round in 1..4 {
            let (una, nxt) = (Seq(round * 1_000), Seq(round * 1_000 + 1_000));
            rack.duplicate_reported(una, nxt);
            rack.duplicate_reported(una, nxt + 500);
        }
        assert_eq!(rack.reorder_window_us(at(200, false, 3)), 100 * MS);
        (0..16).for_each(|_| rack.recovered());
        assert_eq!(rack.reorder_window_us(at(200, false, 3)), 25 * MS);
    }

    #[test]
    fn a_segment_delivered_below_another_is_reordering_unless_it_was_sent_again() {
        //= RACK-5
        for (again, seen) in [(false, 25 * MS), (true, 0)] {
            let (mut board, mut rack) = four_sent();
            if again {
                board.sent_again(Seq(100), Seq(200), 1_000_000 + 50 * MS);
            }
            sack(&mut board, &mut rack, 3, at(103, false, 1));
            sack(&mut board, &mut rack, 1, at(160, false, 2));
            assert_eq!(rack.reorder_window_us(at(160, true, 3)), seen);
        }
    }

    #[test]
    fn a_round_trip_that_may_be_the_first_transmissions_is_not_taken() {
        //= RACK-3
        let (mut board, mut rack) = four_sent();
        board.sent_again(Seq(0), Seq(100), 1_000_000 + 90 * MS);
        // Too soon for the second transmission; then the echo says so.
        for echo_is_older in [false, true] {
            let now_us = 1_000_000 + if echo_is_older { 300 } else { 101 } * MS;
            let mut old = board.clone();
            old.acknowledge(Seq(100), |piece| rack.delivered(piece, echo_is_older, now_us));
            assert_eq!(rack.latest, Some((0, Seq(0))));
        }
        board.acknowledge(Seq(100), |piece| rack.delivered(piece, false, 1_000_000 + 195 * MS));
        assert_eq!(rack.latest, Some((1_000_000 + 90 * MS, Seq(100))));
        assert_eq!(rack.rtt_us, 105 * MS);
    }

    #[test]
    fn a_timeout_takes_the_first_and_the_old_for_lost() {
        //= RACK-9
        let (mut board, rack) = four_sent();
        board.append(Seq(500), 1_000_000 + 950 * MS, 1);
        let loss = rack.detect_on_timeout(&mut board, at(1_000, false, 0), 100);
        assert_eq!(loss.octets, 400);
        assert_eq!(rack.detect_on_timeout(&mut board, at(1_000, false, 0), 100).octets, 0);
    }

    #[test]
    fn the_smallest_round_trip_is_forgotten_after_a_while() {
        //= RACK-4
        let mut min = MinRtt::default();
        min.take(100, 0);
        min.take(200, 1_000);
        assert_eq!(min.get(), 100);
        for n in 1..=2 {
            min.take(200, n * (MIN_RTT_WINDOW_US + 1_000));
        }
        assert_eq!(min.get(), 200);
    }
}
