//! SYN cookies (RFC 4987 3.6): when the half-open queue is full, what a listener would have to remember of a SYN
//! goes into the numbers of the SYN-ACK, and comes back with the third ACK. No memory is taken before it proves
//! itself.
//!
//! The sequence number carries 5 bits of a counter that steps every 64 s, 3 bits of an index into a table of
//! segment sizes, and 24 bits of a keyed hash over both endpoints, the counter, the client's number and the index.
//! The key is made of the whole counter. Window scale, SACK and ECN ride in the low six bits of TSval.
//!
//! A segment that overtook the third ACK has another number, and so proves nothing. It must not be reset either,
//! or the client would lose what the third ACK is about to open: what names a counter of now is only dropped.
//! One forged or stray segment in sixteen does so too. Bits of the hash without the client's number would tell
//! those, but each would be missing where a segment out of order must not pass for the third ACK.

use super::config::Config;
use super::segment::SegmentOut;
use super::settings::Settings;
use super::tcb::{Seed, Tcb};
use super::{Ctx, timestamps, window};
use crate::base::hash::{Key, siphash24, siphash24_short};
use crate::base::time::Instant;
use crate::wire::seq::Seq;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::tcp_options::{Options, Timestamps};

/// How long a counter value is used for new cookies; one is good for this and the next (SYNC-3).
const COUNTER_US: u64 = 64_000_000;
/// For so long after the last cookie was sent, acknowledgments are tested (SYNC-7).
pub const GOOD_FOR_US: u64 = 2 * COUNTER_US;
/// Segment sizes that a cookie can name (SYNC-4).
const MSS_TABLE: [u16; 8] = [48, 536, 1220, 1300, 1440, 1460, 4312, 8960];

const MAC_BITS: u32 = 24;
const MSS_BITS: u32 = 3;
const COUNTER_BITS: u32 = 5;
/// In the low bits of TSval: the shift, or this for none.
const NO_SCALE: u32 = 15;
const SACK_BIT: u32 = 1 << 4;
const ECN_BIT: u32 = 1 << 5;
const CARRIED: u32 = 0x3f;

/// Both endpoints in wire order.
pub type Tuple<'a> = &'a [u8];

fn counter(now: Instant) -> u64 {
    now.micros() / COUNTER_US
}

/// The key of one counter value, which lasts a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CounterKey {
    counter: u64,
    key: Key,
}

impl CounterKey {
    /// The key of a counter value.
    fn of(secret: &Key, counter: u64) -> CounterKey {
        //= SYNC-3
        let mut key = [0; 16];
        key[..8].copy_from_slice(&siphash24_short(secret, &(2 * counter).to_le_bytes()).to_le_bytes());
        key[8..].copy_from_slice(&siphash24_short(secret, &(2 * counter + 1).to_le_bytes()).to_le_bytes());
        CounterKey { counter, key }
    }

    /// The key of now.
    pub fn at(secret: &Key, now: Instant) -> CounterKey {
        CounterKey::of(secret, counter(now))
    }

    /// Becomes the key of now, which it was until a minute ago at most.
    #[inline]
    pub fn renew(&mut self, secret: &Key, now: Instant) {
        if self.counter != counter(now) {
            self.make_anew(secret, now);
        }
    }

    #[cold]
    fn make_anew(&mut self, secret: &Key, now: Instant) {
        *self = CounterKey::at(secret, now);
    }
}

#[inline]
fn mac(CounterKey { counter, key }: &CounterKey, tuple: Tuple<'_>, client: Seq, mss_index: u32) -> u32 {
    //= SYNC-2
    if let Ok(v4) = <&[u8; 12]>::try_from(tuple) {
        let mut message = [0; 20];
        message[..12].copy_from_slice(v4);
        message[12..16].copy_from_slice(&client.0.to_le_bytes());
        message[16..].copy_from_slice(&((*counter as u32) << MSS_BITS | mss_index).to_le_bytes());
        return siphash24_short(key, &message) as u32 & ((1 << MAC_BITS) - 1);
    }
    long_mac(*counter, key, tuple, client, mss_index)
}

#[cold]
fn long_mac(counter: u64, key: &Key, tuple: Tuple<'_>, client: Seq, mss_index: u32) -> u32 {
    let mut message = arrayvec::ArrayVec::<u8, 56>::new();
    message.extend(tuple.iter().copied().take(36));
    message.extend(counter.to_le_bytes());
    message.extend(client.0.to_le_bytes());
    message.extend(mss_index.to_le_bytes());
    siphash24(key, &message) as u32 & ((1 << MAC_BITS) - 1)
}

/// The cookie for a client that counts from `client` and takes segments of `mss`.
#[inline]
pub fn make(key: &CounterKey, tuple: Tuple<'_>, client: Seq, mss: Option<u16>) -> Seq {
    //= SYNC-4
    let offered = mss.filter(|mss| *mss != 0).unwrap_or(536);
    let index = MSS_TABLE.iter().rposition(|entry| *entry <= offered).unwrap_or(0) as u32;
    let low = key.counter as u32 & ((1 << COUNTER_BITS) - 1);
    let mac = mac(key, tuple, client, index);
    Seq(low << (MSS_BITS + MAC_BITS) | index << MAC_BITS | mac)
}

/// What an acknowledgment proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The cookie, for a peer that takes segments of this size.
    Good(u16),
    /// Nothing, but its counter is one of now: it may have overtaken the segment that follows the SYN.
    Ahead,
    /// Nothing.
    Bad,
}

/// Looks at a cookie that came back in a segment whose number is `client` plus one.
pub fn check(secret: &Key, now: Instant, tuple: Tuple<'_>, client: Seq, cookie: Seq) -> Proof {
    //= SYNC-3
    //= SYNC-6
    let current = counter(now);
    let age = (current as u32).wrapping_sub(cookie.0 >> (MSS_BITS + MAC_BITS)) & ((1 << COUNTER_BITS) - 1);
    let Some(made) = current.checked_sub(u64::from(age)).filter(|_| age <= 1) else { return Proof::Bad };
    let index = cookie.0 >> MAC_BITS & ((1 << MSS_BITS) - 1);
    // One comparison of whole words: its time says nothing about how much was right.
    let wrong = mac(&CounterKey::of(secret, made), tuple, client, index) ^ (cookie.0 & ((1 << MAC_BITS) - 1));
    match MSS_TABLE.get(index as usize) {
        Some(mss) if wrong == 0 => Proof::Good(*mss),
        _ => Proof::Ahead,
    }
}

/// TSval with what the SYN offered in its low bits; never later than the clock.
fn carry(clock: u32, offered: &Options, ecn: bool, cfg: &Config) -> u32 {
    //= SYNC-5
    let scale = offered.window_scale.filter(|_| cfg.window_scale);
    let bits = scale.map_or(NO_SCALE, |shift| u32::from(shift.min(window::SHIFT_MAX)))
        | if offered.sack_permitted && cfg.sack { SACK_BIT } else { 0 }
        | if ecn { ECN_BIT } else { 0 };
    let value = clock & !CARRIED | bits;
    if timestamps::older(clock, value) { value.wrapping_sub(CARRIED + 1) } else { value }
}

fn asks_for_ecn(syn: &Segment, cfg: &Config) -> bool {
    cfg.ecn && syn.flags.has(Flags::ECE | Flags::CWR)
}

/// What stands behind the options of a SYN-ACK.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// What the connection starts with.
    pub settings: &'a Settings,
    /// The interface's MTU.
    pub mtu: u16,
    /// Length of the fixed IP header: 20 or 40.
    pub ip_header: u16,
}

/// The SYN-ACK whose number is a cookie, at `clock` on the connection's timestamp clock. Without timestamps in the SYN
/// there is no place for more than the segment size.
#[inline(always)]
pub fn syn_ack(syn: &Segment, cookie: Seq, offer: Offer<'_>, clock: u32, cfg: &Config) -> SegmentOut {
    let carries = syn.options.timestamps.filter(|_| cfg.timestamps);
    let ecn = carries.is_some() && asks_for_ecn(syn, cfg);
    let buffer = offer.settings.receive_buffer(cfg);
    let options = Options {
        mss: Some(super::mss::announced(offer.mtu, offer.ip_header, cfg)),
        window_scale: (carries.is_some() && cfg.window_scale && syn.options.window_scale.is_some())
            .then(|| window::shift_of(buffer, cfg)),
        sack_permitted: carries.is_some() && cfg.sack && syn.options.sack_permitted,
        timestamps: carries.map(|ts| Timestamps { val: carry(clock, &syn.options, ecn, cfg), ecr: ts.val }),
        ..Options::default()
    };
    SegmentOut {
        seq: cookie,
        ack: syn.seq + 1,
        flags: Flags::SYN | Flags::ACK | Flags::when(ecn, Flags::ECE),
        wnd: buffer.min(0xffff) as u16,
        options,
        ..SegmentOut::default()
    }
}

impl Tcb {
    /// The half-open connection that a proven third ACK stands for; the ACK itself is still to arrive.
    pub fn open_by_cookie(ack: &Segment, mss: u16, seed: Seed<'_>, ctx: Ctx<'_>) -> Tcb {
        //= SYNC-6
        //= CLD-6
        let carried = ack.options.timestamps.filter(|_| ctx.cfg.timestamps);
        let bits = carried.map_or(NO_SCALE, |ts| ts.ecr & CARRIED);
        let scale = bits & 0xf;
        let ecn = bits & ECN_BIT != 0;
        let syn = Segment {
            seq: ack.seq - 1,
            flags: Flags::SYN | Flags::when(ecn, Flags::ECE | Flags::CWR),
            wnd: ack.wnd,
            options: Options {
                mss: Some(mss),
                window_scale: (scale != NO_SCALE).then_some(scale as u8),
                sack_permitted: bits & SACK_BIT != 0,
                timestamps: carried,
                ..Options::default()
            },
            ..Segment::default()
        };
        let mut tcb = Tcb::open_passive(&syn, seed, ctx);
        tcb.syn_ack_was_sent();
        tcb
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::config::Config;

    const KEY: Key = [5; 16];
    const TUPLE: &[u8] = &[198, 18, 0, 1, 198, 18, 0, 2, 0, 80, 156, 64];

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_cookie_names_the_largest_size_not_above_the_offer() {
        //= SYNC-4
        let rows = [(None, 536), (Some(0), 536), (Some(1), 48), (Some(1459), 1440), (Some(1460), 1460)];
        for (offered, named) in rows.into_iter().chain([(Some(9_000), 8960), (Some(65_535), 8960)]) {
            let cookie = make(&CounterKey::at(&KEY, at(100)), TUPLE, Seq(7), offered);
            assert_eq!(check(&KEY, at(100), TUPLE, Seq(7), cookie), Proof::Good(named), "{offered:?}");
        }
    }

    #[test]
    fn a_cookie_is_good_for_one_to_two_minutes_and_for_its_endpoints() {
        //= SYNC-3
        //= SYNC-6
        let cookie = make(&CounterKey::at(&KEY, at(64 * 40)), TUPLE, Seq(7), Some(1460));
        for (second, good) in [(0, true), (63, true), (127, true), (128, false), (64 * 32, false)] {
            let found = check(&KEY, at(64 * 40 + second), TUPLE, Seq(7), cookie);
            assert_eq!(found == Proof::Good(1460), good, "after {second} s");
        }
        let mut other = TUPLE.to_vec();
        other[11] ^= 1;
        assert_eq!(check(&KEY, at(64 * 40), &other, Seq(7), cookie), Proof::Ahead);
        assert_eq!(check(&KEY, at(64 * 40), TUPLE, Seq(8), cookie), Proof::Ahead);
        assert_eq!(check(&[6; 16], at(64 * 40), TUPLE, Seq(7), cookie), Proof::Ahead);
        assert_eq!(check(&KEY, at(64 * 40), TUPLE, Seq(7), cookie + (2 << 27)), Proof::Bad);
    }

    #[test]
    fn no_segment_out_of_order_passes_for_the_third_ack() {
        //= SYNC-6
        let cookie = make(&CounterKey::at(&KEY, at(100)), TUPLE, Seq(7), Some(1460));
        let others = (8..100_000).map(|client| check(&KEY, at(100), TUPLE, Seq(client), cookie));
        assert!(others.into_iter().all(|proof| proof == Proof::Ahead));
    }

    #[test]
    fn guessed_cookies_are_refused() {
        //= ATK-2
        let mut rng = crate::base::rng::Rng::new(3);
        let guess = |rng: &mut crate::base::rng::Rng| Seq(rng.next_u64() as u32);
        let is_good = |cookie| matches!(check(&KEY, at(9_000), TUPLE, Seq(7), cookie), Proof::Good(_));
        let good = (0..100_000).filter(|_| is_good(guess(&mut rng))).count();
        assert!(good <= 2, "{good} of 100000 guesses; 2^24 are needed for 16 of 16 million");
    }

    #[test]
    fn timestamps_carry_what_was_offered_and_never_run_ahead() {
        //= SYNC-5
        let cfg = Config::default();
        for clock in [0, 1, 63, 64, 0x8000_0000, u32::MAX] {
            for (shift, sack, ecn) in [(None, false, false), (Some(7), true, false), (Some(20), true, true)] {
                let offered = Options { window_scale: shift, sack_permitted: sack, ..Options::default() };
                let value = carry(clock, &offered, ecn, &cfg);
                assert!(!timestamps::older(clock, value) && clock.wrapping_sub(value) < 128);
                assert_eq!(value & 0xf, shift.map_or(15, |s: u8| u32::from(s.min(14))));
                assert_eq!((value & SACK_BIT != 0, value & ECN_BIT != 0), (sack, ecn));
            }
        }
    }
}
