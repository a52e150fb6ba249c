//! IPv4 reassembly (RFC 791 3.2, RFC 1122 3.3.2): fragments in, whole packets out. What waits is bounded in bytes,
//! datagrams and fragments (LIM-9), all of it allocated at start; no fragment may overlap another (IP4-7). Who
//! sends the ICMP errors, and how many, is not decided here.

use crate::base::bytes::{CHUNK, Pool, Queue};
use crate::base::drop_reason::DropReason;
use crate::base::hash;
use crate::base::list::IndexList;
use crate::base::slab::Slab;
use crate::base::time::{Instant, Tick};
use crate::wire::icmpv4;
use crate::wire::ipv4::{self, Fragment, Ipv4Packet, PACKET_MAX};
use crate::wire::tcp;

/// Least bytes of memory: one datagram of any size, in as many pieces as are usual.
const BYTES_MIN: usize = 128 << 10;
/// Bytes that a header has at most.
const IP_HEADER_MAX: usize = 60;
/// Bytes of payload that an ICMP error quotes (ICMP4-6).
const QUOTED: usize = icmpv4::QUOTE_MAX - IP_HEADER_MAX;
const NONE: u32 = u32::MAX;
const CE: u8 = 0b11;
const NOT_ECT: u8 = 0b00;

/// Bounds of what waits for its missing pieces (LIM-9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of memory for payload, at its true cost: each fragment takes whole chunks of 512. At least 128 KiB.
    pub bytes: usize,
    /// Datagrams; at least 1.
    pub datagrams: u32,
    /// Fragments of one datagram; at least 2.
    pub fragments_each: u32,
    /// Milliseconds from the first fragment that arrives until what there is of a datagram is thrown away; RFC
    /// 1122 3.3.2 wants a fixed value of 60,000 to 120,000.
    pub timeout_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        //= LIM-9
        Limits { bytes: 4 << 20, datagrams: 1_024, fragments_each: 64, timeout_ms: 60_000 }
    }
}

impl Limits {
    /// Bytes of memory that a reassembly with these limits takes.
    pub fn memory(&self) -> usize {
        let limits = self.clamped();
        let chunks = limits.bytes.div_ceil(CHUNK);
        let datagram = Slab::<Datagram>::slot_bytes() + IndexList::link_bytes() + 2 * size_of::<u32>();
        Pool::memory(limits.bytes)
            + chunks * Slab::<Piece>::slot_bytes()
            + limits.datagrams as usize * datagram
    }

    fn clamped(&self) -> Limits {
        Limits {
            bytes: self.bytes.max(BYTES_MIN),
            datagrams: self.datagrams.clamp(1, 1 << 20),
            fragments_each: self.fragments_each.max(2),
            timeout_ms: self.timeout_ms,
        }
    }
}

/// What the fragments of one datagram have in common (RFC 791 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key {
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    id: u16,
}

/// One fragment's payload.
#[derive(Debug)]
struct Piece {
    offset: u32,
    text: Queue,
    next: u32,
}

impl Piece {
    fn end(&self) -> u32 {
        self.offset + self.text.len()
    }
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    deadline: Tick,
    /// The next datagram of the same bucket.
    next: u32,
    /// The chain of its fragments, and how many there are.
    pieces: u32,
    count: u32,
    /// Bytes of payload so far, and in all once the last fragment came.
    received: u32,
    len: Option<u32>,
    /// A bit for each ECN codepoint seen.
    ecn: u8,
    /// The first fragment's header; empty until it comes.
    header: [u8; IP_HEADER_MAX],
    header_len: u8,
    /// Nothing of it is used any more, for this reason.
    refused: Option<DropReason>,
}

/// How a fragment agrees with what came before it.
enum Fit {
    New,
    Duplicate,
    Contradiction,
    TooMany,
}

/// A datagram whose time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expired {
    /// The first fragment was there, so that its sender may be told (ICMP 11/1, RFC 792).
    pub first: Option<Quote>,
}

/// The beginning of a packet, for an ICMP error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    header: [u8; IP_HEADER_MAX],
    header_len: u8,
    payload: [u8; QUOTED],
    payload_len: u8,
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
}

impl Quote {
    /// The packet as far as it is quoted.
    pub fn packet(&self) -> Ipv4Packet<'_> {
        Ipv4Packet {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            ttl: self.header[8],
            tos: self.header[1],
            fragment: None,
            header: self.header.get(..usize::from(self.header_len)).unwrap_or_default(),
            payload: self.payload.get(..usize::from(self.payload_len)).unwrap_or_default(),
        }
    }
}

/// Fragments that wait for the rest of their datagrams.
pub struct Reassembly {
    limits: Limits,
    secret: hash::Key,
    pool: Pool,
    pieces: Slab<Piece>,
    datagrams: Slab<Datagram>,
    buckets: Vec<u32>,
    /// All datagrams, the oldest first.
    by_age: IndexList,
}

impl Reassembly {
    /// A reassembly with all its memory. `secret` decides places in a table and nothing else (ATK-21).
    pub fn new(limits: &Limits, secret: hash::Key) -> Self {
        let limits = limits.clamped();
        let pool = Pool::new(limits.bytes);
        Reassembly {
            limits,
            secret,
            pieces: Slab::new(pool.chunks()),
            pool,
            datagrams: Slab::new(limits.datagrams),
            buckets: vec![NONE; limits.datagrams.next_power_of_two() as usize],
            by_age: IndexList::new(limits.datagrams),
        }
    }

    /// Datagrams that wait, those that are only remembered as refused included.
    pub fn len(&self) -> u32 {
        self.datagrams.len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Chunks of memory in use.
    pub fn buffers_in_use(&self) -> u32 {
        self.pool.chunks() - self.pool.free_chunks()
    }

    /// Takes a fragment that is for us. When it completes its datagram, the whole packet is written to the front
    /// of `whole`, which must have room for 65535 bytes, and its length is returned. `lost` is called once for
    /// each fragment that is thrown away, be it this one or an older one.
    pub fn fragment_arrives(
        &mut self,
        packet: &Ipv4Packet<'_>,
        now: Instant,
        whole: &mut [u8],
        lost: &mut impl FnMut(DropReason),
    ) -> Option<usize> {
        let fragment = packet.fragment?;
        //= IP4-7
        //= ATK-33
        if !is_possible(packet, fragment) {
            lost(DropReason::FragmentMalformed);
            return None;
        }
        let key = Key {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            id: fragment.id,
        };
        let index = self.find(&key).or_else(|| self.begin(key, now, lost))?;
        if let Some(reason) = self.datagrams.get(index).and_then(|datagram| datagram.refused) {
            lost(reason);
            return None;
        }
        match self.fit(index, packet, fragment) {
            Fit::New => {}
            Fit::Duplicate => {
                lost(DropReason::FragmentDuplicate);
                return None;
            }
            Fit::Contradiction => {
                lost(DropReason::FragmentsContradict);
                self.refuse(index, DropReason::FragmentsContradict, lost);
                return None;
            }
            Fit::TooMany => {
                lost(DropReason::FragmentsTooMany);
                self.refuse(index, DropReason::FragmentsTooMany, lost);
                return None;
            }
        }
        if !self.make_room(index, packet.payload.len(), lost) {
            lost(DropReason::FragmentEvicted);
            return None;
        }
        self.keep(index, packet, fragment);
        self.complete(index, whole, lost)
    }

    /// Takes the oldest datagram away if its time is over. To be called until it returns nothing.
    pub fn expire(&mut self, now: Tick, lost: &mut impl FnMut(DropReason)) -> Option<Expired> {
        //= IP4-5
        let index = self.by_age.first()?;
        let datagram = self.datagrams.get(index).filter(|datagram| datagram.deadline.is_due(now))?;
        let first = (datagram.refused.is_none() && datagram.header_len > 0).then(|| self.quote(datagram));
        self.forget(index, DropReason::FragmentExpired, lost);
        Some(Expired { first: first.flatten() })
    }

    /// The start of the first fragment. Nothing for an ICMP message other than an echo request, since errors are
    /// never answered by errors (ICMP4-3).
    fn quote(&self, datagram: &Datagram) -> Option<Quote> {
        let first = self.pieces_of(datagram).find(|piece| piece.offset == 0)?;
        let mut payload = [0; QUOTED];
        let payload_len = self.pool.copy_out(&first.text, 0, &mut payload) as u8;
        //= ICMP4-3
        let silent = datagram.key.protocol == ipv4::PROTOCOL_ICMP && !icmpv4::is_echo_request(&payload);
        (!silent).then_some(Quote {
            header: datagram.header,
            header_len: datagram.header_len,
            payload,
            payload_len,
            source: datagram.key.source,
            destination: datagram.key.destination,
            protocol: datagram.key.protocol,
        })
    }

    fn bucket(&self, key: &Key) -> usize {
        let mut message = [0; 11];
        message[..4].copy_from_slice(&key.source);
        message[4..8].copy_from_slice(&key.destination);
        message[8] = key.protocol;
        message[9..].copy_from_slice(&key.id.to_be_bytes());
        hash::siphash13(&self.secret, &message) as usize & (self.buckets.len() - 1)
    }

    fn find(&self, key: &Key) -> Option<u32> {
        let mut index = *self.buckets.get(self.bucket(key))?;
        while let Some(datagram) = self.datagrams.get(index) {
            if datagram.key == *key {
                return Some(index);
            }
            index = datagram.next;
        }
        None
    }

    /// A place for a new datagram; the oldest goes where there is none (LIM-9).
    fn begin(&mut self, key: Key, now: Instant, lost: &mut impl FnMut(DropReason)) -> Option<u32> {
        //= LIM-9
        if self.datagrams.len() == self.datagrams.capacity()
            && let Some(oldest) = self.by_age.first()
        {
            self.forget(oldest, DropReason::FragmentEvicted, lost);
        }
        let bucket = self.bucket(&key);
        let datagram = Datagram {
            key,
            deadline: Tick::after_ms(now, self.limits.timeout_ms),
            next: self.buckets.get(bucket).copied().unwrap_or(NONE),
            pieces: NONE,
            count: 0,
            received: 0,
            len: None,
            ecn: 0,
            header: [0; IP_HEADER_MAX],
            header_len: 0,
            refused: None,
        };
        let index = self.datagrams.insert(datagram).ok()?;
        if let Some(head) = self.buckets.get_mut(bucket) {
            *head = index;
        }
        self.by_age.push_back(index);
        Some(index)
    }

    fn pieces_of<'a>(&'a self, datagram: &Datagram) -> impl Iterator<Item = &'a Piece> {
        let next = |piece: &&Piece| self.pieces.get(piece.next);
        std::iter::successors(self.pieces.get(datagram.pieces), next)
    }

    fn fit(&self, index: u32, packet: &Ipv4Packet<'_>, fragment: Fragment) -> Fit {
        let Some(datagram) = self.datagrams.get(index) else { return Fit::Contradiction };
        let start = u32::from(fragment.offset);
        let end = start + packet.payload.len() as u32;
        let ends_elsewhere = match datagram.len {
            Some(len) => end > len || fragment.more == (end == len),
            None => !fragment.more && self.pieces_of(datagram).any(|piece| piece.end() >= end),
        };
        // RFC 3168 5.3: a congested packet out of which a piece is not ECN-capable was not sent by anybody.
        let ecn = datagram.ecn | ecn_bit(packet);
        let ecn_differs = ecn & (1 << CE) != 0 && ecn & (1 << NOT_ECT) != 0;
        if ends_elsewhere || ecn_differs {
            return Fit::Contradiction;
        }
        let mut overlapping =
            self.pieces_of(datagram).filter(|piece| piece.offset < end && start < piece.end());
        match overlapping.next() {
            None if datagram.count >= self.limits.fragments_each => Fit::TooMany,
            None => Fit::New,
            // A network may deliver twice.
            Some(same) if same.offset == start && self.pool.equals(&same.text, packet.payload) => {
                Fit::Duplicate
            }
            Some(_) => Fit::Contradiction,
        }
    }

    /// Nothing of this datagram is used, now or later (RFC 5722 says so for IPv6, and why).
    fn refuse(&mut self, index: u32, reason: DropReason, lost: &mut impl FnMut(DropReason)) {
        self.free_pieces(index, reason, lost);
        if let Some(datagram) = self.datagrams.get_mut(index) {
            datagram.refused = Some(reason);
        }
    }

    /// Memory for a payload; the oldest datagrams go for it. False when `index` itself was among them.
    fn make_room(&mut self, index: u32, len: usize, lost: &mut impl FnMut(DropReason)) -> bool {
        //= LIM-9
        while self.pool.room() < len {
            let Some(oldest) = self.by_age.first() else { return false };
            self.forget(oldest, DropReason::FragmentEvicted, lost);
            if oldest == index {
                return false;
            }
        }
        true
    }

    fn keep(&mut self, index: u32, packet: &Ipv4Packet<'_>, fragment: Fragment) {
        let Some(datagram) = self.datagrams.get_mut(index) else { return };
        let mut text = Queue::default();
        self.pool.push(&mut text, packet.payload);
        let piece = Piece { offset: u32::from(fragment.offset), text, next: datagram.pieces };
        match self.pieces.insert(piece) {
            Ok(place) => datagram.pieces = place,
            // Does not happen: every piece has a chunk, and there are as many places as chunks.
            Err(mut piece) => return self.pool.clear(&mut piece.text),
        }
        datagram.count += 1;
        datagram.received += text.len();
        datagram.ecn |= ecn_bit(packet);
        if !fragment.more {
            datagram.len = Some(u32::from(fragment.offset) + text.len());
        }
        if fragment.offset == 0
            && let Some(header) = datagram.header.get_mut(..packet.header.len())
        {
            header.copy_from_slice(packet.header);
            datagram.header_len = packet.header.len() as u8;
        }
    }

    /// Joins a datagram of which all is there: without overlaps, that is when the lengths add up.
    fn complete(&mut self, index: u32, whole: &mut [u8], lost: &mut impl FnMut(DropReason)) -> Option<usize> {
        let datagram = self.datagrams.get(index)?;
        let payload_len = datagram.len.filter(|len| *len == datagram.received)? as usize;
        let header_len = usize::from(datagram.header_len);
        let total = header_len + payload_len;
        if total > PACKET_MAX || whole.len() < total {
            // The first fragment's options make the whole longer than any packet.
            self.forget(index, DropReason::FragmentMalformed, lost);
            return None;
        }
        for piece in self.pieces_of(datagram) {
            let at = header_len + piece.offset as usize;
            self.pool.copy_out(&piece.text, 0, whole.get_mut(at..at + piece.text.len() as usize)?);
        }
        let header = whole.get_mut(..header_len)?;
        header.copy_from_slice(datagram.header.get(..header_len)?);
        let congested = datagram.ecn & (1 << CE) != 0;
        let ecn = if congested { CE } else { datagram.header[1] };
        let is_whole = ipv4::make_whole(header, total as u16, ecn);
        self.forget(index, DropReason::FragmentExpired, &mut |_| {});
        is_whole.then_some(total)
    }

    fn free_pieces(&mut self, index: u32, reason: DropReason, lost: &mut impl FnMut(DropReason)) {
        let Some(datagram) = self.datagrams.get_mut(index) else { return };
        datagram.count = 0;
        let mut next = std::mem::replace(&mut datagram.pieces, NONE);
        while let Some(mut piece) = self.pieces.remove(next) {
            self.pool.clear(&mut piece.text);
            lost(reason);
            next = piece.next;
        }
    }

    /// Takes a datagram out of everything.
    fn forget(&mut self, index: u32, reason: DropReason, lost: &mut impl FnMut(DropReason)) {
        self.free_pieces(index, reason, lost);
        self.by_age.remove(index);
        let Some(gone) = self.datagrams.remove(index) else { return };
        let bucket = self.bucket(&gone.key);
        let Some(head) = self.buckets.get_mut(bucket) else { return };
        if *head == index {
            *head = gone.next;
            return;
        }
        let mut at = *head;
        while let Some(before) = self.datagrams.get_mut(at) {
            if before.next == index {
                before.next = gone.next;
                return;
            }
            at = before.next;
        }
    }
}

fn ecn_bit(packet: &Ipv4Packet<'_>) -> u8 {
    1 << (packet.tos & 0b11)
}

/// What a fragment must be whatever the others are: some bytes, a multiple of eight of them unless it is the
/// last, none beyond what a packet can hold, and the TCP header in one piece (RFC 1858 3).
fn is_possible(packet: &Ipv4Packet<'_>, fragment: Fragment) -> bool {
    let len = packet.payload.len();
    let end = packet.header.len() + usize::from(fragment.offset) + len;
    if len == 0 || end > PACKET_MAX || (fragment.more && !len.is_multiple_of(8)) {
        return false;
    }
    if packet.protocol != ipv4::PROTOCOL_TCP {
        return true;
    }
    match fragment.offset {
        0 => tcp::header_len(packet.payload).is_some_and(|header| header.max(tcp::HEADER_LEN) <= len),
        offset => usize::from(offset) >= tcp::HEADER_LEN,
    }
}

#[cfg(test)]
mod tests;
