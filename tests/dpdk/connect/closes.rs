//! Every way to close, as the peer sees it.

use super::peer::{self, End, Server, Service};
use super::{PORT, TARGET, against, connect, count};
use crate::lab;

const RAW: &[&str] = &["--talk", "raw", "--reply-size", "200", "--concurrency", "4"];

/// So many connections, all of which end like this at the server, and by this name at the client.
#[track_caller]
fn all(service: Service, ours: &[&str], end: End, way: &str) {
    const COUNT: u64 = 60;
    let (left, seen) = against(service, &[RAW, ours, &["--connections", "60"]].concat());
    left.assert_closed(COUNT, &[(way, COUNT)]);
    assert_eq!((seen.len() as u64, count(&seen, end)), (COUNT, COUNT), "{way}: {seen:?}");
}

#[test]
fn each_way_to_close_is_the_one_that_the_peer_sees() {
    lab::in_namespace("connect::closes::each_way_to_close_is_the_one_that_the_peer_sees", || {
        super::tap();
        all(peer::answer, &["--close", "fin"], End::TheirFin, "fin");
        all(peer::answer_and_close, &["--close", "peer"], End::OurFin, "peer");
        all(peer::answer, &["--close", "rst"], End::TheirReset, "rst");
        all(peer::answer_behind_the_end, &["--close", "half-close"], End::TheirFin, "half_close");
    });
}

#[test]
fn an_abandoned_connection_is_still_open_at_the_peer() {
    lab::in_namespace("connect::closes::an_abandoned_connection_is_still_open_at_the_peer", || {
        super::tap();
        let server = Server::start(&[PORT], peer::answer);
        let ours = [&[TARGET, "--connections", "40", "--close", "abandon"], RAW].concat();
        let left = connect(&ours);
        left.assert_closed(40, &[("abandon", 40)]);
        assert_eq!(server.level(), 40);
        let seen = server.stop(40);
        assert_eq!((seen.len(), count(&seen, End::Left)), (40, 40));
    });
}

#[test]
fn weights_are_kept_to_one() {
    lab::in_namespace("connect::closes::weights_are_kept_to_one", || {
        super::tap();
        let ours = [RAW, &["--connections", "60", "--close", "fin=2,rst=1"]].concat();
        let (left, seen) = against(peer::answer, &ours);
        left.assert_closed(60, &[("fin", 40), ("rst", 20)]);
        assert_eq!((count(&seen, End::TheirFin), count(&seen, End::TheirReset)), (40, 20));
    });
}

#[test]
fn a_reply_that_ends_with_the_connection_is_closed_by_the_peer() {
    lab::in_namespace("connect::closes::a_reply_that_ends_with_the_connection_is_closed_by_the_peer", || {
        super::tap();
        let (left, seen) = against(peer::answer_and_close, &["--talk", "raw", "--connections", "40"]);
        left.assert_closed(40, &[("peer", 40)]);
        assert_eq!(count(&seen, End::OurFin), 40);
        assert_eq!(left.account().octets_received, 40 * peer::ANSWER as u64);
    });
}

#[test]
fn a_peer_that_closes_in_the_middle_breaks_the_connection() {
    lab::in_namespace("connect::closes::a_peer_that_closes_in_the_middle_breaks_the_connection", || {
        super::tap();
        for (service, why) in
            [(peer::stop_short as Service, "short_reply"), (peer::reset as Service, "reset")]
        {
            let (left, seen) = against(service, &[RAW, &["--connections", "40"]].concat());
            let account = left.account();
            assert_eq!((account.established, seen.len()), (40, 40));
            assert_eq!(account.broken, super::named(&[(why, 40)]));
        }
    });
}
