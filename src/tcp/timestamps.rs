//! Timestamps and PAWS (RFC 7323): comparing, ageing, measuring.

use crate::base::time::Instant;

/// `a` is older than `b` (PAWS-2). Two values exactly 2^31 apart are not older than each other.
pub const fn older(a: u32, b: u32) -> bool {
    let distance = b.wrapping_sub(a);
    distance != 0 && distance < 1 << 31
}

/// Our clock for TSval: 1 ms ticks (TS-9) and the connection's offset (TS-10).
pub const fn clock(now: Instant, offset: u32) -> u32 {
    (now.millis() as u32).wrapping_add(offset)
}

/// The round trip in milliseconds that an echo shows, if it echoes a value that we can have sent: not from the
/// future and not from before the connection (TS-15).
pub const fn round_trip_ms(now: Instant, offset: u32, ecr: u32, age_ms: u32) -> Option<u32> {
    let passed = clock(now, offset).wrapping_sub(ecr);
    if passed <= age_ms { Some(passed) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_is_serial() {
        //= PAWS-2
        //= VEC-PAWS-1..8
        // TS.Recent, SEG.TSval, segment is older.
        let rows = [
            (0x64, 0x64, false),
            (0x64, 0x65, false),
            (0x64, 0x63, true),
            (0xffff_fff0, 0x05, false),
            (0x05, 0xffff_fff0, true),
            (0, 0x7fff_ffff, false),
            (0, 0x8000_0001, true),
            (0, 0x8000_0000, false),
        ];
        for (recent, val, expected) in rows {
            assert_eq!(older(val, recent), expected, "{recent:x} {val:x}");
        }
    }

    #[test]
    fn an_echo_outside_what_we_sent_measures_nothing() {
        //= TS-15
        let now = Instant::from_millis(10_000);
        assert_eq!(round_trip_ms(now, 7, clock(Instant::from_millis(9_970), 7), 5_000), Some(30));
        assert_eq!(round_trip_ms(now, 7, clock(Instant::from_millis(10_001), 7), 5_000), None);
        assert_eq!(round_trip_ms(now, 7, clock(Instant::from_millis(4_999), 7), 5_000), None);
    }
}
