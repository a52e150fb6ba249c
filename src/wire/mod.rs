//! Bytes on the wire: every layout is read and written here, once, and nothing else is known.

#![forbid(unsafe_code)]

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmp_error;
pub mod icmpv4;
pub mod ipv4;
pub mod seq;
pub mod tcp;
pub mod tcp_options;
pub mod usual;

/// Writes words that are in memory's order already, as far as there is room.
#[inline]
fn put_words(to: &mut [u8], words: &[u32]) {
    for (place, word) in to.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_ne_bytes();
    }
}
