//! Reassembly against a model that keeps every byte of every datagram apart, and its rules one by one.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::base::rng::Rng;

const SOURCE: [u8; 4] = [198, 18, 0, 2];
const OURS: [u8; 4] = [198, 18, 0, 1];
const UDP: u8 = 17;

/// A fragment to be sent.
#[derive(Clone, Debug)]
struct Frag {
    protocol: u8,
    id: u16,
    offset: u16,
    more: bool,
    tos: u8,
    options: usize,
    payload: Vec<u8>,
}

fn frag(id: u16, offset: u16, more: bool, payload: &[u8]) -> Frag {
    Frag { protocol: UDP, id, offset, more, tos: 0, options: 0, payload: payload.to_vec() }
}

impl Frag {
    fn bytes(&self) -> Vec<u8> {
        let header_len = 20 + self.options;
        let place = (self.offset / 8) | (u16::from(self.more) << 13);
        let mut bytes = vec![1; header_len];
        bytes[0] = 0x40 | (header_len / 4) as u8;
        bytes[1] = self.tos;
        bytes[2..4].copy_from_slice(&((header_len + self.payload.len()) as u16).to_be_bytes());
        bytes[4..6].copy_from_slice(&self.id.to_be_bytes());
        bytes[6..8].copy_from_slice(&place.to_be_bytes());
        bytes[8..10].copy_from_slice(&[64, self.protocol]);
        bytes[12..16].copy_from_slice(&SOURCE);
        bytes[16..20].copy_from_slice(&OURS);
        bytes.extend(&self.payload);
        bytes
    }
}

/// The reassembly with what it lost so far.
struct Bench {
    reassembly: Reassembly,
    lost: Vec<DropReason>,
    now: Instant,
    whole: Vec<u8>,
}

impl Bench {
    fn new(limits: Limits) -> Bench {
        Bench {
            reassembly: Reassembly::new(&limits, [7; 16]),
            lost: Vec::new(),
            now: Instant::from_millis(5_000),
            whole: vec![0xee; PACKET_MAX],
        }
    }

    /// The whole packet, if this fragment completes one.
    fn send(&mut self, frag: &Frag) -> Option<Vec<u8>> {
        let bytes = frag.bytes();
        let packet = ipv4::parse(&bytes, true).unwrap();
        let lost = &mut |reason| self.lost.push(reason);
        let len = self.reassembly.fragment_arrives(&packet, self.now, &mut self.whole, lost)?;
        Some(self.whole[..len].to_vec())
    }

    /// Its payload.
    #[track_caller]
    fn payload(&mut self, frag: &Frag) -> Option<Vec<u8>> {
        let whole = self.send(frag)?;
        let packet = ipv4::parse(&whole, false).expect("a whole packet with a right checksum");
        assert_eq!((packet.fragment, packet.source, packet.destination), (None, SOURCE, OURS));
        assert_eq!(packet.protocol, frag.protocol);
        Some(packet.payload.to_vec())
    }

    fn lost(&mut self) -> Vec<DropReason> {
        std::mem::take(&mut self.lost)
    }

    fn expire_after_ms(&mut self, ms: u32) -> Vec<Option<Quote>> {
        self.now = Instant(self.now.0 + u64::from(ms) * 1_000);
        let mut all = Vec::new();
        let lost = &mut |reason| self.lost.push(reason);
        while let Some(expired) = self.reassembly.expire(self.now.tick(), lost) {
            all.push(expired.first);
        }
        all
    }

    #[track_caller]
    fn assert_empty(&self) {
        assert!(self.reassembly.is_empty());
        assert_eq!(self.reassembly.buffers_in_use(), 0);
        assert_eq!(self.reassembly.pieces.len(), 0);
        assert!(self.reassembly.buckets.iter().all(|head| *head == NONE));
    }
}

fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn pieces_in_any_order_make_the_whole() {
    //= IP4-5
    let data = octets(3_000);
    let pieces = [
        frag(1, 0, true, &data[..1_000]),
        frag(1, 1_000, true, &data[1_000..2_000]),
        frag(1, 2_000, false, &data[2_000..]),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut bench = Bench::new(Limits::default());
        assert_eq!(bench.payload(&pieces[order[0]]), None);
        assert_eq!(bench.payload(&pieces[order[1]]), None);
        assert_eq!(bench.payload(&pieces[order[2]]).as_ref(), Some(&data), "{order:?}");
        assert_eq!(bench.lost(), []);
        bench.assert_empty();
    }
}

#[test]
fn the_largest_packet_fits_and_nothing_larger() {
    //= IP4-5
    //= IP4-7
    //= ATK-33
    let data = octets(65_515);
    let mut bench = Bench::new(Limits { bytes: 0, ..Limits::default() });
    for offset in (0..65_515).step_by(1_480) {
        let end = (offset + 1_480).min(data.len());
        let whole =
            bench.payload(&frag(9, offset as u16, end < data.len(), &data[usize::from(offset as u16)..end]));
        assert_eq!(whole.is_some(), end == data.len());
        assert!(whole.is_none_or(|whole| whole == data));
    }
    bench.assert_empty();
    // The ping of death: a last piece that ends at 65535 + 1 - 20.
    assert_eq!(bench.send(&frag(1, 65_512, false, &[0; 4])), None);
    assert_eq!(bench.send(&frag(1, 65_528, false, &[0; 1_000])), None);
    assert_eq!(bench.lost(), [DropReason::FragmentMalformed; 2]);
    // Options of the first piece that the others do not have.
    let mut first = frag(2, 0, true, &data[..8]);
    first.options = 40;
    bench.send(&first);
    for at in (8..65_504).step_by(8_187 * 8) {
        let end = (at + 8_187 * 8).min(65_504);
        bench.send(&frag(2, at as u16, true, &data[at..end]));
    }
    assert_eq!(bench.send(&frag(2, 65_504, false, &[1; 11])), None);
    assert_eq!(bench.lost(), [DropReason::FragmentMalformed; 3]);
    bench.assert_empty();
}

#[test]
fn impossible_fragments_are_named_and_change_nothing() {
    //= IP4-7
    //= ATK-33
    let mut bench = Bench::new(Limits::default());
    let tcp = |offset, len: usize, header: u8| {
        let mut payload = vec![0; len];
        if len > 12 {
            payload[12] = header << 4;
        }
        Frag { protocol: ipv4::PROTOCOL_TCP, ..frag(1, offset, true, &payload) }
    };
    let cases = [
        frag(1, 0, true, &[]),
        frag(1, 8, false, &[]),
        frag(1, 0, true, &[0; 12]),
        // The TCP header in two pieces.
        tcp(0, 8, 5),
        tcp(0, 16, 5),
        tcp(0, 24, 7),
        tcp(8, 64, 5),
        tcp(16, 64, 5),
    ];
    for (n, case) in cases.iter().enumerate() {
        assert_eq!(bench.send(case), None);
        assert_eq!(bench.lost(), [DropReason::FragmentMalformed], "case {n}");
    }
    bench.assert_empty();
    for good in [tcp(0, 24, 5), tcp(24, 8, 0)] {
        bench.send(&good);
    }
    assert_eq!((bench.lost(), bench.reassembly.len()), (vec![], 1));
}

#[test]
fn an_overlap_ends_the_datagram_for_good() {
    //= IP4-7
    //= ATK-33
    let data = octets(64);
    // The teardrop; one byte more; other bytes in the same place; a second end; a piece behind the end.
    let seconds = [
        frag(1, 24, false, &data[..8]),
        frag(1, 8, true, &data[..32]),
        frag(1, 16, true, &data[..16]),
        frag(1, 8, false, &data[..16]),
    ];
    for second in seconds {
        let mut bench = Bench::new(Limits::default());
        bench.send(&frag(1, 0, true, &data[..8]));
        bench.send(&frag(1, 16, true, &data[16..32]));
        assert_eq!(bench.send(&second), None);
        assert_eq!(bench.lost(), [DropReason::FragmentsContradict; 3], "{second:?}");
        assert_eq!(bench.reassembly.buffers_in_use(), 0);
        // What follows cannot begin the datagram again.
        bench.send(&frag(1, 0, true, &data[..8]));
        assert_eq!(bench.send(&frag(1, 8, false, &data[..8])), None);
        assert_eq!(bench.lost(), [DropReason::FragmentsContradict; 2]);
        assert_eq!(bench.expire_after_ms(60_001), [None], "and nobody is told");
        bench.assert_empty();
    }
    let mut bench = Bench::new(Limits::default());
    bench.send(&frag(1, 32, false, &data[..8]));
    for wrong in [frag(1, 40, true, &data[..8]), frag(1, 48, false, &data[..8])] {
        assert_eq!(bench.send(&wrong), None);
    }
    assert_eq!(bench.lost(), [DropReason::FragmentsContradict; 3]);
}

#[test]
fn a_piece_that_comes_twice_is_ignored() {
    let data = octets(40);
    let mut bench = Bench::new(Limits::default());
    let first = frag(1, 0, true, &data[..32]);
    bench.send(&first);
    bench.send(&first);
    assert_eq!(bench.lost(), [DropReason::FragmentDuplicate]);
    assert_eq!(bench.payload(&frag(1, 32, false, &data[32..])), Some(data));
}

#[test]
fn congestion_of_any_piece_is_that_of_the_whole() {
    for (codes, expected) in [
        ([2, 2], Some(2)),
        ([2, 3], Some(3)),
        ([3, 1], Some(3)),
        ([0, 0], Some(0)),
        ([0, 3], None),
        ([3, 0], None),
    ] {
        let mut bench = Bench::new(Limits::default());
        let part = |n: usize| Frag { tos: 0xb8 | codes[n], ..frag(1, 8 * n as u16, n == 0, &[0; 8]) };
        assert_eq!(bench.send(&part(0)), None);
        let whole = bench.send(&part(1));
        assert_eq!(whole.map(|whole| whole[1]), expected.map(|ecn: u8| 0xb8 | ecn), "{codes:?}");
        let lost = usize::from(expected.is_none()) * 2;
        assert_eq!(bench.lost(), vec![DropReason::FragmentsContradict; lost]);
    }
}

#[test]
fn time_runs_from_the_first_piece_that_came() {
    //= IP4-5
    let mut bench = Bench::new(Limits::default());
    bench.send(&frag(1, 8, true, &[1; 8]));
    assert_eq!(bench.expire_after_ms(59_000), []);
    bench.send(&frag(1, 0, true, &[2; 8]));
    bench.send(&frag(2, 8, true, &[1; 8]));
    assert_eq!(bench.expire_after_ms(999), []);
    let told = bench.expire_after_ms(2);
    assert_eq!(told.len(), 1);
    let quote = told[0].expect("the first fragment was there");
    assert_eq!(quote.packet().header, &frag(1, 0, true, &[2; 8]).bytes()[..20], "as it came");
    assert_eq!(quote.packet().payload, [2; 8]);
    assert_eq!(bench.lost(), [DropReason::FragmentExpired; 2]);
    // Without its first fragment a datagram goes in silence, and so does an ICMP error.
    let mut error = frag(3, 0, true, &[3, 1, 0, 0, 0, 0, 0, 0]);
    error.protocol = ipv4::PROTOCOL_ICMP;
    bench.send(&error);
    let mut echo = frag(4, 0, true, &[8, 0, 0, 0, 0, 0, 0, 0]);
    echo.protocol = ipv4::PROTOCOL_ICMP;
    bench.send(&echo);
    let told: Vec<_> = bench.expire_after_ms(60_001).iter().map(Option::is_some).collect();
    assert_eq!(told, [false, false, true]);
    bench.assert_empty();
}

#[test]
fn the_oldest_datagram_makes_room() {
    //= LIM-9
    let limits = Limits { datagrams: 3, ..Limits::default() };
    let mut bench = Bench::new(limits);
    for id in 0..4 {
        bench.send(&frag(id, 0, true, &[0; 8]));
    }
    assert_eq!((bench.lost(), bench.reassembly.len()), (vec![DropReason::FragmentEvicted], 3));
    assert_eq!(bench.payload(&frag(0, 8, false, &[1; 8])), None, "it was the first");
    assert_eq!(bench.lost(), [DropReason::FragmentEvicted]);
    assert!(bench.payload(&frag(2, 8, false, &[1; 8])).is_some());
    // Bytes: each of these takes a chunk, and there are 256 of them.
    let mut bench = Bench::new(Limits { bytes: BYTES_MIN, ..Limits::default() });
    for id in 0..257 {
        bench.send(&frag(id, 0, true, &[0; 8]));
    }
    assert_eq!(bench.lost(), [DropReason::FragmentEvicted]);
    assert!(bench.payload(&frag(1, 8, false, &[1; 8])).is_none(), "the next one makes room for itself");
    assert_eq!(bench.lost(), [DropReason::FragmentEvicted; 2]);
    assert!(bench.payload(&frag(2, 8, false, &[1; 600])).is_none());
    assert!(bench.payload(&frag(256, 8, false, &[1; 8])).is_some());
}

#[test]
fn a_datagram_in_too_many_pieces_is_refused() {
    //= LIM-9
    let mut bench = Bench::new(Limits::default());
    for n in 0..64 {
        assert_eq!(bench.send(&frag(1, n * 8, true, &[0; 8])), None);
    }
    assert_eq!(bench.lost(), []);
    assert_eq!(bench.send(&frag(1, 64 * 8, false, &[0; 8])), None);
    assert_eq!(bench.lost(), [DropReason::FragmentsTooMany; 65]);
    assert_eq!(bench.reassembly.buffers_in_use(), 0);
}

/// What the model knows of a datagram.
#[derive(Default)]
struct Model {
    frags: Vec<Frag>,
    refused: Option<DropReason>,
    since: Instant,
}

impl Model {
    fn len(&self) -> Option<usize> {
        let last = self.frags.iter().find(|frag| !frag.more)?;
        Some(usize::from(last.offset) + last.payload.len())
    }

    /// The bytes of all positions; more than one for a position never happens.
    fn payload(&self) -> Option<Vec<u8>> {
        let len = self.len()?;
        let mut bytes = vec![None; len];
        for frag in &self.frags {
            for (at, byte) in frag.payload.iter().enumerate() {
                assert_eq!(bytes[usize::from(frag.offset) + at].replace(*byte), None);
            }
        }
        bytes.into_iter().collect()
    }

    fn judge(&self, new: &Frag, most: usize) -> Result<(), DropReason> {
        let range = |frag: &Frag| {
            let start = usize::from(frag.offset);
            start..start + frag.payload.len()
        };
        let twice =
            |old: &&Frag| range(old) == range(new) && old.payload == new.payload && old.more == new.more;
        if self.frags.iter().any(|old| twice(&old)) {
            return Err(DropReason::FragmentDuplicate);
        }
        let overlap = self.frags.iter().any(|old| range(new).any(|at| range(old).contains(&at)));
        let behind = self.len().is_some_and(|len| range(new).end > len || !new.more);
        let before = !new.more && self.frags.iter().any(|old| range(old).end > range(new).start);
        if overlap || behind || before {
            return Err(DropReason::FragmentsContradict);
        }
        if self.frags.len() >= most { Err(DropReason::FragmentsTooMany) } else { Ok(()) }
    }
}

/// A random fragment of a few datagrams, mostly ones that fit together.
fn random_frag(rng: &mut Rng) -> Frag {
    let id = rng.below(6) as u16;
    let unit = 8 * (1 + usize::from(id % 3) * 40);
    let count = 2 + usize::from(id);
    let n = rng.below(count as u32) as usize;
    let mut more = n + 1 < count;
    let mut len = if more { unit } else { unit - 3 };
    let mut offset = n * unit;
    let mut salt = id as usize;
    match rng.below(60) {
        0 => offset += 8,
        1 => len += 8,
        2 => more = !more,
        3 => salt += 1,
        _ => {}
    }
    // What begins at 0 and ends its datagram is no fragment.
    more |= offset == 0;
    if more {
        len = len.next_multiple_of(8);
    }
    let payload: Vec<u8> = (offset..offset + len).map(|at| (at / 3 + salt) as u8).collect();
    frag(id, offset as u16, more, &payload)
}

/// Fragments in, by the model. Returns what it makes of this one.
fn model_send(
    models: &mut BTreeMap<u16, Model>,
    frag: &Frag,
    now: Instant,
    limits: &Limits,
    lost: &mut VecDeque<DropReason>,
) -> Option<Vec<u8>> {
    let model = models.entry(frag.id).or_insert_with(|| Model { since: now, ..Model::default() });
    if let Some(reason) = model.refused {
        lost.push_back(reason);
        return None;
    }
    match model.judge(frag, limits.fragments_each as usize) {
        Ok(()) => model.frags.push(frag.clone()),
        Err(DropReason::FragmentDuplicate) => {
            lost.push_back(DropReason::FragmentDuplicate);
            return None;
        }
        Err(reason) => {
            lost.extend(std::iter::repeat_n(reason, model.frags.len() + 1));
            model.refused = Some(reason);
            model.frags.clear();
            return None;
        }
    }
    let payload = model.payload()?;
    models.remove(&frag.id);
    Some(payload)
}

#[test]
fn random_fragments_meet_the_same_fate_as_in_the_model() {
    //= IP4-5
    //= IP4-7
    let limits = Limits { fragments_each: 5, timeout_ms: 2_000, ..Limits::default() };
    let (mut wholes, mut refusals, mut expiries) = (0, 0, 0);
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let mut bench = Bench::new(limits);
        let mut models: BTreeMap<u16, Model> = BTreeMap::new();
        for _ in 0..120 {
            let frag = random_frag(&mut rng);
            let mut lost = VecDeque::new();
            let expected = model_send(&mut models, &frag, bench.now, &limits, &mut lost);
            wholes += u32::from(expected.is_some());
            refusals += u32::from(lost.len() > 1);
            assert_eq!(bench.payload(&frag), expected, "seed {seed}: {frag:?}");
            assert_eq!(bench.lost(), Vec::from(lost), "seed {seed}: {frag:?}");
            let ms = rng.below(40);
            let told = bench.expire_after_ms(ms);
            let due = |model: &Model| bench.now.millis() - model.since.millis() >= 2_000;
            let over: Vec<u16> = models.iter().filter(|(_, model)| due(model)).map(|(id, _)| *id).collect();
            let gone: Vec<Model> = over.iter().filter_map(|id| models.remove(id)).collect();
            let first = |model: &&Model| model.frags.iter().any(|frag| frag.offset == 0);
            assert_eq!(told.len(), gone.len());
            assert_eq!(told.iter().flatten().count(), gone.iter().filter(first).count());
            let pieces: usize = gone.iter().map(|model| model.frags.len()).sum();
            assert_eq!(bench.lost(), vec![DropReason::FragmentExpired; pieces]);
            expiries += gone.len();
            assert_eq!(bench.reassembly.len() as usize, models.len());
        }
        bench.expire_after_ms(2_001);
        bench.assert_empty();
    }
    assert!(wholes > 1_000 && refusals > 100 && expiries > 100, "{wholes} {refusals} {expiries}");
}

#[test]
fn random_floods_stay_within_the_limits() {
    //= LIM-9
    //= ATK-33
    let limits = Limits { bytes: BYTES_MIN, datagrams: 20, fragments_each: 64, timeout_ms: 60_000 };
    let mut rng = Rng::new(3);
    let mut bench = Bench::new(limits);
    let (mut sent, mut used, mut lost) = (0, 0, 0);
    for _ in 0..30_000 {
        let len = 8 * (1 + rng.below(200) as usize);
        let offset = 8 * (rng.below(8_000) as u16);
        let frag = frag(rng.below(40) as u16, offset, rng.below(20) != 0, &vec![rng.next_u64() as u8; len]);
        sent += 1;
        let before = bench.reassembly.pieces.len();
        if bench.send(&frag).is_some() {
            used += before + 1 - bench.reassembly.pieces.len();
        }
        lost += bench.lost().len() as u32;
        bench.now = Instant(bench.now.0 + 1_000);
        assert!(bench.reassembly.len() <= 20);
        // Every fragment was used, was lost once, or waits.
        assert_eq!(sent, used + lost + bench.reassembly.pieces.len());
    }
    bench.expire_after_ms(60_001);
    bench.assert_empty();
}
