//! TCP options as bytes (RFC 9293 3.1, 7323, 2018). The walk is bounded and survives anything (OPT-2..5);
//! what an option means on which segment is decided elsewhere.

const EOL: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMPS: u8 = 8;

/// Most bytes of options that a header can hold (HDR-2).
pub const LEN_MAX: usize = 40;

/// A timestamps option (RFC 7323 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub val: u32,
    /// TSecr: the echo.
    pub ecr: u32,
}

/// The options that we understand. Of one that comes twice the first counts (OPT-5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Maximum segment size as sent.
    pub mss: Option<u16>,
    /// Window scale shift as sent; may be above 14 (WS-5).
    pub window_scale: Option<u8>,
    /// SACK-permitted was there.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// The walk met an impossible length and stopped (OPT-4).
    pub broken: bool,
}

/// Reads the options between the fixed header and the text.
pub fn parse(bytes: &[u8]) -> Options {
    let mut options = Options::default();
    let mut rest = bytes;
    while let Some((&kind, after_kind)) = rest.split_first() {
        if kind == EOL {
            break;
        }
        if kind == NOP {
            rest = after_kind;
            continue;
        }
        let length = after_kind.first().map_or(0, |l| usize::from(*l));
        let (Some((option, next)), true) = (rest.split_at_checked(length), length >= 2) else {
            options.broken = true;
            break;
        };
        take(&mut options, kind, option.get(2..).unwrap_or_default());
        rest = next;
    }
    options
}

/// Takes one option's value; a known kind with a wrong length is skipped (OPT-3).
fn take(options: &mut Options, kind: u8, value: &[u8]) {
    match (kind, value) {
        (MSS, &[high, low]) => {
            options.mss.get_or_insert(u16::from_be_bytes([high, low]));
        }
        (WINDOW_SCALE, &[shift]) => {
            options.window_scale.get_or_insert(shift);
        }
        (SACK_PERMITTED, &[]) => options.sack_permitted = true,
        (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
            options.timestamps.get_or_insert(Timestamps {
                val: u32::from_be_bytes([a, b, c, d]),
                ecr: u32::from_be_bytes([e, f, g, h]),
            });
        }
        _ => {}
    }
}

/// Writes options in the order of OPT-7 (with SYN) or OPT-8 (without), padded to four bytes, and returns
/// their length. `options.broken` is not looked at.
pub fn emit(options: &Options, to: &mut [u8; LEN_MAX]) -> usize {
    let mut out = Writer { to, at: 0 };
    if let Some(mss) = options.mss {
        out.put(&[MSS, 4]);
        out.put(&mss.to_be_bytes());
    }
    match (options.timestamps, options.sack_permitted) {
        (Some(timestamps), true) => {
            out.put(&[SACK_PERMITTED, 2]);
            out.timestamps(timestamps);
            out.window_scale(options.window_scale);
        }
        (Some(timestamps), false) => {
            out.put(&[NOP, NOP]);
            out.timestamps(timestamps);
            out.window_scale(options.window_scale);
        }
        (None, permitted) => {
            out.window_scale(options.window_scale);
            if permitted {
                out.put(&[NOP, NOP, SACK_PERMITTED, 2]);
            }
        }
    }
    out.at
}

struct Writer<'a> {
    to: &'a mut [u8; LEN_MAX],
    at: usize,
}

impl Writer<'_> {
    /// All that is ever put is at most 20 bytes, so that it always fits.
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.to.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }

    fn timestamps(&mut self, timestamps: Timestamps) {
        self.put(&[TIMESTAMPS, 10]);
        self.put(&timestamps.val.to_be_bytes());
        self.put(&timestamps.ecr.to_be_bytes());
    }

    fn window_scale(&mut self, shift: Option<u8>) {
        if let Some(shift) = shift {
            self.put(&[NOP, WINDOW_SCALE, 3, shift]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mss(mss: u16) -> Options {
        Options { mss: Some(mss), ..Options::default() }
    }

    fn broken() -> Options {
        Options { broken: true, ..Options::default() }
    }

    /// VEC-OPT-1..5, 9..14, and what OPT-3 and OPT-5 add.
    #[test]
    fn options_are_read_as_the_vectors_say() {
        //= MUST-4
        //= MUST-6
        //= MUST-7
        //= MUST-64
        //= MUST-68
        //= OPT-2
        //= OPT-3
        //= OPT-4
        //= OPT-5
        let ts = Options { timestamps: Some(Timestamps { val: 1000, ecr: 0 }), ..Options::default() };
        let scale = |shift| Options { window_scale: Some(shift), ..Options::default() };
        let rows: &[(&str, &[u8], Options)] = &[
            ("VEC-OPT-1", &[2, 4, 5, 0xb4], mss(1460)),
            ("VEC-OPT-2", &[1, 3, 3, 7], scale(7)),
            ("VEC-OPT-3", &[3, 3, 15], scale(15)),
            ("VEC-OPT-4", &[4, 2], Options { sack_permitted: true, ..Options::default() }),
            ("VEC-OPT-5", &[1, 1, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0], ts),
            ("VEC-OPT-9", &[2, 0], broken()),
            ("VEC-OPT-10", &[2, 1], broken()),
            ("VEC-OPT-11", &[2, 3, 5, 0xb4], broken()),
            ("VEC-OPT-12", &[1, 1, 2, 6], broken()),
            ("VEC-OPT-13", &[0, 0xff, 0xff, 0xff], Options::default()),
            ("VEC-OPT-14", &[0xfd, 4, 0xab, 0xcd, 2, 4, 5, 0xb4], mss(1460)),
            ("a lone kind at the end", &[2], broken()),
            ("odd offset", &[1, 2, 4, 5, 0xb4, 1, 1, 1], mss(1460)),
            ("first one counts", &[2, 4, 5, 0xb4, 2, 4, 0, 1], mss(1460)),
            ("wrong length is skipped", &[3, 4, 9, 9, 2, 4, 5, 0xb4], mss(1460)),
            ("nothing", &[], Options::default()),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(parse(bytes), *expected, "{name}");
        }
    }

    #[test]
    fn a_syn_carries_its_options_in_the_agreed_order() {
        //= OPT-7
        //= MUST-69
        let full = Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { val: 1000, ecr: 0 }),
            broken: false,
        };
        let mut bytes = [0; LEN_MAX];
        assert_eq!(emit(&full, &mut bytes), 20);
        assert_eq!(bytes[..20], [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0, 1, 3, 3, 7]);
        let plain = Options { timestamps: None, ..full };
        assert_eq!(emit(&plain, &mut bytes), 12);
        assert_eq!(bytes[..12], [2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2]);
    }

    #[test]
    fn every_combination_is_aligned_and_read_back() {
        for bits in 0..16u8 {
            let options = Options {
                mss: (bits & 1 != 0).then_some(536),
                window_scale: (bits & 2 != 0).then_some(14),
                sack_permitted: bits & 4 != 0,
                timestamps: (bits & 8 != 0).then_some(Timestamps { val: 1, ecr: 2 }),
                broken: false,
            };
            let mut bytes = [0; LEN_MAX];
            let len = emit(&options, &mut bytes);
            assert_eq!(len % 4, 0, "{options:?}");
            assert_eq!(parse(&bytes[..len]), options);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..41)) {
            //= ATK-31
            let _ = parse(&bytes);
        }
    }
}
