//! Token buckets that bound how much we say (CLD-5, BA-9, ICMP4-7, LIM-11, LIM-12).

use super::time::Instant;

/// A token bucket: `per_second` on average, `burst` at once.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    per_second: u32,
    burst: u32,
    /// Tokens, in millionths, so that a microsecond of refill at one a second is exact.
    micro_tokens: u64,
    refilled: Instant,
}

impl TokenBucket {
    /// A full bucket. A rate of 0 never refills: after `burst` uses it is silent.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        TokenBucket { per_second, burst, micro_tokens: burst as u64 * 1_000_000, refilled: Instant::ZERO }
    }

    /// Fewer than half of the tokens are left.
    pub fn is_scarce(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.micro_tokens < u64::from(self.burst) * 500_000
    }

    fn refill(&mut self, now: Instant) {
        let passed_us = now.since_us(self.refilled);
        if passed_us > 0 {
            let gained = passed_us.saturating_mul(u64::from(self.per_second));
            self.micro_tokens =
                self.micro_tokens.saturating_add(gained).min(u64::from(self.burst) * 1_000_000);
            self.refilled = now;
        }
    }

    /// Takes one token; false when there is none.
    #[must_use]
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let granted = self.micro_tokens >= 1_000_000;
        if granted {
            self.micro_tokens -= 1_000_000;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_grants_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(10, 3);
        let start = Instant::from_millis(5);
        assert_eq!((0..9).filter(|_| bucket.take(start)).count(), 3);
        assert!(!bucket.take(Instant::from_millis(104)));
        assert!(bucket.take(Instant::from_millis(105)));
        let later = Instant::from_millis(60_000);
        assert_eq!((0..9).filter(|_| bucket.take(later)).count(), 3);
    }
}
