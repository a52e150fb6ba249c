//! The usual frame, read at once at fixed places: for our own address, IPv4 without options and in one piece, TCP with
//! the usual options, and nothing wrong with it. Nothing is refused here: what is not usual, or not right, is for
//! `classify`, which knows all that a frame can be and names the reasons. What is seen here is what that would see.

use super::classify::{self, Ingress};
use crate::flow::key::Key;
use crate::link::{RxChecksums, Verdict};
use crate::wire::ethernet::Mac;
use crate::wire::tcp::Segment;
use crate::wire::usual::{self as headers, Endpoints, KnownGood};

/// Reads the segment in a usual frame for this station into a place that is lent; gives its endpoints, and where its text
/// begins in the frame.
#[inline(always)]
pub(super) fn read(
    frame: &[u8],
    verdicts: RxChecksums,
    station: Mac,
    segment: &mut Segment,
) -> Option<(Endpoints, u16)> {
    if verdicts.ip == Verdict::Bad || verdicts.l4 == Verdict::Bad {
        return None;
    }
    let known_good = KnownGood { ip: verdicts.ip == Verdict::Good, tcp: verdicts.l4 == Verdict::Good };
    headers::read(frame, station, known_good, segment)
}

/// The name of the connection between endpoints one of which is an address of ours, and the other may be a host's.
#[inline(always)]
pub(super) fn key(endpoints: &Endpoints, ingress: Ingress<'_>) -> Option<Key> {
    let Endpoints { source, destination, ports } = *endpoints;
    let local = ingress.locals.find_v4_at(ingress.interface, destination)?;
    // No address of ours is a group's, but it may be another subnet's broadcast address.
    let usual = !ingress.locals.is_directed_broadcast(destination)
        && !ingress.locals.is_directed_broadcast(source)
        && ingress.locals.find_v4(source).is_none();
    usual.then(|| classify::key(source, ports, local))
}

#[cfg(test)]
mod tests;
