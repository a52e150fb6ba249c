//! TCP options as bytes (RFC 9293 3.1, 7323, 2018). The walk is bounded and survives anything (OPT-2..5);
//! what an option means on which segment is decided elsewhere.

use super::checksum::{Sum, WordSum};
use super::seq::Seq;

const EOL: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
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

/// Blocks of octets that were received above the acknowledgment: left edge, and the number after the last octet
/// (SACK-2). At most four.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SackBlocks {
    blocks: [(Seq, Seq); 4],
    len: u8,
}

impl SackBlocks {
    /// No block.
    pub const NONE: SackBlocks = SackBlocks { blocks: [(Seq(0), Seq(0)); 4], len: 0 };

    /// Most blocks in one header.
    pub const MAX: usize = 4;

    /// Adds a block; what is too much is left out.
    pub fn push(&mut self, left: Seq, right: Seq) {
        if let Some(place) = self.blocks.get_mut(usize::from(self.len)) {
            *place = (left, right);
            self.len += 1;
        }
    }

    /// The blocks, in the order in which they were sent.
    pub fn as_slice(&self) -> &[(Seq, Seq)] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// There is no block.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// At most the first `count` blocks.
    #[must_use]
    pub const fn first(mut self, count: usize) -> Self {
        if (self.len as usize) > count {
            self.len = count as u8;
        }
        self
    }

    /// Bytes that the option takes with its padding (OPT-8); 0 without a block.
    pub const fn option_len(&self) -> usize {
        if self.len == 0 { 0 } else { 4 + 8 * self.len as usize }
    }
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
    /// SACK blocks.
    pub sack: SackBlocks,
    /// The walk met an impossible length and stopped (OPT-4).
    pub broken: bool,
}

/// Reads the options between the fixed header and the text.
#[inline]
pub fn parse(bytes: &[u8]) -> Options {
    usual(bytes).unwrap_or_else(|| walk(bytes))
}

const TIMED: u32 = head(NOP, NOP, TIMESTAMPS, 10);
const PERMITTED_TIMED: u32 = head(SACK_PERMITTED, 2, TIMESTAMPS, 10);
const PERMITTED: u32 = head(NOP, NOP, SACK_PERMITTED, 2);
const SCALE: u32 = head(NOP, WINDOW_SCALE, 3, 0);
const SIZE: u32 = head(MSS, 4, 0, 0);

/// What nearly all segments carry, padded to words as [`words`] and other hosts write it; `None` says nothing of what
/// is there. Blocks are left to the walk.
fn usual(bytes: &[u8]) -> Option<Options> {
    let mut options = Options::default();
    let (mut rest, []) = bytes.as_chunks::<4>() else { return None };
    while let Some((word, behind)) = rest.split_first() {
        let word = u32::from_be_bytes(*word);
        rest = behind;
        if matches!(word, TIMED | PERMITTED_TIMED) {
            let ([val, ecr], behind) = rest.split_first_chunk()?;
            let [val, ecr] = [val, ecr].map(|word| u32::from_be_bytes(*word));
            options.timestamps = options.timestamps.or(Some(Timestamps { val, ecr }));
            options.sack_permitted |= word == PERMITTED_TIMED;
            rest = behind;
        } else if word & 0xffff_0000 == SIZE {
            options.mss = options.mss.or(Some(word as u16));
        } else if word & 0xffff_ff00 == SCALE {
            options.window_scale = options.window_scale.or(Some(word as u8));
        } else if word == PERMITTED {
            options.sack_permitted = true;
        } else {
            return None;
        }
    }
    Some(options)
}

/// As [`parse`], into a place that is lent, with the sum of the bytes and of what stands before them: at once none,
/// timestamps alone as RFC 7323 recommends them, and a SYN's as we and others write them; `None` says nothing of what is
/// there.
#[inline(always)]
pub fn read_usual(bytes: &[u8], before: WordSum, options: &mut Options) -> Option<Sum> {
    let (be, ne) = (u32::from_be_bytes, u32::from_ne_bytes);
    match bytes.as_chunks::<4>() {
        ([], []) => {
            *options = Options::default();
            Some(before.sum())
        }
        (&[first, val, ecr], []) if be(first) == TIMED => {
            let timestamps = Some(Timestamps { val: be(val), ecr: be(ecr) });
            *options = Options { timestamps, ..Options::default() };
            Some((before + WordSum::of(&[first, val, ecr].map(ne))).sum())
        }
        (&[size, timed, val, ecr, scale], [])
            if be(size) & 0xffff_0000 == SIZE
                && be(timed) == PERMITTED_TIMED
                && be(scale) & 0xffff_ff00 == SCALE =>
        {
            *options = Options {
                mss: Some(be(size) as u16),
                window_scale: Some(be(scale) as u8),
                sack_permitted: true,
                timestamps: Some(Timestamps { val: be(val), ecr: be(ecr) }),
                ..Options::default()
            };
            Some((before + WordSum::of(&[size, timed, val, ecr, scale].map(ne))).sum())
        }
        _ => Some(before.sum() + read_others(bytes, options)?),
    }
}

#[inline(never)]
fn read_others(bytes: &[u8], options: &mut Options) -> Option<Sum> {
    *options = usual(bytes)?;
    Some(Sum::of(bytes))
}

fn walk(bytes: &[u8]) -> Options {
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
        //= SACK-2
        (SACK, value) if options.sack.is_empty() && value.len().is_multiple_of(8) => {
            let (blocks, _) = value.as_chunks::<8>();
            for [a, b, c, d, e, f, g, h] in blocks {
                let left = u32::from_be_bytes([*a, *b, *c, *d]);
                let right = u32::from_be_bytes([*e, *f, *g, *h]);
                options.sack.push(Seq(left), Seq(right));
            }
        }
        _ => {}
    }
}

/// Options as they stand in a header: 32-bit words in memory's order, since all are padded to four bytes.
pub type Words = arrayvec::ArrayVec<u32, { LEN_MAX / 4 }>;

/// Options as they will stand in a header: those of nearly all segments in words of a known number, so that to write them
/// takes neither a loop nor a look at each option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// There are none.
    None,
    /// Timestamps alone.
    Timestamps([u32; 3]),
    /// All that a SYN can say.
    Syn([u32; 5]),
    /// Anything else: see [`words`].
    Other,
}

impl Layout {
    /// The layout of options.
    #[inline(always)]
    pub fn of(options: &Options) -> Layout {
        if !options.sack.is_empty() {
            return Layout::Other;
        }
        match (options.mss, options.window_scale, options.sack_permitted, options.timestamps) {
            (None, None, false, None) => Layout::None,
            (None, None, false, Some(Timestamps { val, ecr })) => {
                Layout::Timestamps([TIMED, val, ecr].map(u32::to_be))
            }
            (Some(mss), Some(shift), true, Some(Timestamps { val, ecr })) => {
                let (size, scale) = (SIZE | u32::from(mss), SCALE | u32::from(shift));
                Layout::Syn([size, PERMITTED_TIMED, val, ecr, scale].map(u32::to_be))
            }
            _ => Layout::Other,
        }
    }
}

/// Options in the order of OPT-7 (with SYN) or OPT-8 (without). `options.broken` is not looked at.
#[inline]
pub fn words(options: &Options) -> Words {
    let mut out = Words::new();
    let mut put = |word: u32| {
        // What does not fit is left out; callers see to it that all fits.
        let _ = out.try_push(word.to_be());
    };
    if let Some(mss) = options.mss {
        put(head(MSS, 4, 0, 0) | u32::from(mss));
    }
    if let Some(timestamps) = options.timestamps {
        //= OPT-7
        //= OPT-8
        let before = if options.sack_permitted { [SACK_PERMITTED, 2] } else { [NOP, NOP] };
        put(head(before[0], before[1], TIMESTAMPS, 10));
        put(timestamps.val);
        put(timestamps.ecr);
    }
    if let Some(shift) = options.window_scale {
        put(head(NOP, WINDOW_SCALE, 3, shift));
    }
    if options.sack_permitted && options.timestamps.is_none() {
        put(head(NOP, NOP, SACK_PERMITTED, 2));
    }
    if !options.sack.is_empty() {
        sack(&options.sack, &mut out);
    }
    out
}

const fn head(a: u8, b: u8, c: u8, d: u8) -> u32 {
    u32::from_be_bytes([a, b, c, d])
}

fn sack(blocks: &SackBlocks, out: &mut Words) {
    //= OPT-8
    if blocks.option_len() > 4 * out.remaining_capacity() {
        return;
    }
    out.push(head(NOP, NOP, SACK, (blocks.option_len() - 2) as u8).to_be());
    out.extend(blocks.as_slice().iter().flat_map(|(left, right)| [left.0.to_be(), right.0.to_be()]));
}

/// Writes words in their place.
#[inline]
pub fn put(to: &mut [u8], words: &[u32]) {
    super::put_words(to, words);
}

/// Writes options as [`words`] has them, and returns their length in bytes.
pub fn emit(options: &Options, to: &mut [u8; LEN_MAX]) -> usize {
    let words = words(options);
    put(to, &words);
    4 * words.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mss(mss: u16) -> Options {
        Options { mss: Some(mss), ..Options::default() }
    }

    #[test]
    fn options_of_a_known_layout_are_those_of_the_general_way() {
        let mut rng = crate::base::rng::Rng::new(3);
        let mut seen = [0; 4];
        for _ in 0..40_000 {
            let mut some = |one_in: u32| (rng.below(one_in) == 0).then(|| rng.next_u64() as u32);
            let (timestamps, syn) = (some(2), some(2).is_some());
            let mut maybe = |one_in| if syn { some(2) } else { some(one_in) };
            let mut options = Options {
                mss: maybe(8).map(|mss| mss as u16),
                window_scale: maybe(8).map(|shift| (shift % 15) as u8),
                sack_permitted: maybe(8).is_some(),
                timestamps: timestamps.map(|val| Timestamps { val, ecr: val.rotate_left(9) }),
                ..Options::default()
            };
            if let Some(left) = some(8) {
                options.sack.push(Seq(left), Seq(left) + 9);
            }
            let words = words(&options);
            let (number, found) = match Layout::of(&options) {
                Layout::None => (0, Words::new()),
                Layout::Timestamps(words) => (1, words.into_iter().collect()),
                Layout::Syn(words) => (2, words.into_iter().collect()),
                Layout::Other => (3, words.clone()),
            };
            assert_eq!(found, words, "{options:?}");
            seen[number] += 1;
        }
        assert!(seen.iter().all(|count| *count > 500), "{seen:?}");
    }

    fn sack(blocks: &[(u32, u32)]) -> Options {
        let mut options = Options::default();
        blocks.iter().for_each(|(left, right)| options.sack.push(Seq(*left), Seq(*right)));
        options
    }

    fn broken() -> Options {
        Options { broken: true, ..Options::default() }
    }

    /// The vectors, and what OPT-3 and OPT-5 add.
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
        //= VEC-OPT-1..16
        let ts = Options { timestamps: Some(Timestamps { val: 1000, ecr: 0 }), ..Options::default() };
        let scale = |shift| Options { window_scale: Some(shift), ..Options::default() };
        let rows: &[(&str, &[u8], Options)] = &[
            ("VEC-OPT-1", &[2, 4, 5, 0xb4], mss(1460)),
            ("VEC-OPT-2", &[1, 3, 3, 7], scale(7)),
            ("VEC-OPT-3", &[3, 3, 15], scale(15)),
            ("VEC-OPT-4", &[4, 2], Options { sack_permitted: true, ..Options::default() }),
            ("VEC-OPT-5", &[1, 1, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0], ts),
            ("VEC-OPT-6", &[1, 1, 5, 10, 0, 0, 0x13, 0x88, 0, 0, 0x17, 0x70], sack(&[(5000, 6000)])),
            ("VEC-OPT-7", &[5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4], sack(&[(1, 2), (3, 4)])),
            ("VEC-OPT-8", &[5, 11, 0, 0, 0, 1, 0, 0, 0, 2, 9], Options::default()),
            ("VEC-OPT-9", &[2, 0], broken()),
            ("VEC-OPT-10", &[2, 1], broken()),
            ("VEC-OPT-11", &[2, 3, 5, 0xb4], broken()),
            ("VEC-OPT-12", &[1, 1, 2, 6], broken()),
            ("VEC-OPT-13", &[0, 0xff, 0xff, 0xff], Options::default()),
            ("VEC-OPT-14", &[0xfd, 4, 0xab, 0xcd, 2, 4, 5, 0xb4], mss(1460)),
            // Neither the user timeout option nor TFO is served: they are skipped.
            ("VEC-OPT-15", &[0x1c, 4, 0x80, 5, 0x1c, 4, 0, 0x64, 2, 4, 5, 0xb4], mss(1460)),
            ("VEC-OPT-16", &[0x22, 2, 0x22, 5, 1, 2, 3, 2, 4, 5, 0xb4], mss(1460)),
            ("a lone kind at the end", &[2], broken()),
            ("odd offset", &[1, 2, 4, 5, 0xb4, 1, 1, 1], mss(1460)),
            ("first one counts", &[2, 4, 5, 0xb4, 2, 4, 0, 1], mss(1460)),
            ("wrong length is skipped", &[3, 4, 9, 9, 2, 4, 5, 0xb4], mss(1460)),
            ("nothing", &[], Options::default()),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(parse(bytes), *expected, "{name}");
            assert_eq!(walk(bytes), *expected, "{name}");
        }
    }

    /// Whole options, parts of them and their neighbours, in any order.
    #[test]
    fn the_usual_options_are_what_the_walk_finds() {
        const PIECES: [&[u8]; 15] = [
            &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 9, 1, 3, 3, 7],
            &[1, 1, 8, 10, 0, 0, 3, 0xe8, 1, 1, 4, 2],
            &[4, 2, 8, 10, 2, 4, 5, 0xb4, 0, 0, 0, 7],
            &[1, 1, 8, 10],
            &[2, 4, 5, 0xb4],
            &[2, 4, 0, 1],
            &[1, 3, 3, 7],
            &[1, 3, 3, 15],
            &[1, 1, 4, 2],
            &[1, 1, 1, 1],
            &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            &[3, 3, 7, 0],
            &[2, 3, 5, 0xb4],
            &[0, 0, 0, 0],
            &[1],
        ];
        let mut rng = crate::base::rng::Rng::new(3);
        let (mut taken, mut left) = (0, 0);
        // What the place held before must not show.
        let mut options = Options::default();
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..rng.below(5) {
                bytes.extend(PIECES[rng.below(PIECES.len() as u32) as usize]);
            }
            bytes.truncate(if rng.below(8) == 0 { rng.below(41) as usize } else { LEN_MAX });
            match read_usual(&bytes, WordSum::of(&[7, 9]), &mut options) {
                Some(sum) => {
                    assert_eq!(options, walk(&bytes), "{bytes:?}");
                    assert_eq!(sum.fold(), (WordSum::of(&[16]).sum() + Sum::of(&bytes)).fold(), "{bytes:?}");
                    taken += 1;
                }
                None => left += 1,
            }
        }
        assert!(taken > 1_000 && left > 1_000, "{taken} {left}");
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
            ..Options::default()
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
        for bits in 0..32u8 {
            let mut options = Options {
                mss: (bits & 1 != 0).then_some(536),
                window_scale: (bits & 2 != 0).then_some(14),
                sack_permitted: bits & 4 != 0,
                timestamps: (bits & 8 != 0).then_some(Timestamps { val: 1, ecr: 2 }),
                ..Options::default()
            };
            if bits & 16 != 0 {
                options.sack.push(Seq(7), Seq(9));
            }
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
