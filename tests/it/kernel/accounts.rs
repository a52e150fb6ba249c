//! Our client against our server: every profile and close policy, with equal counts at both ends.

use dpdk_tcp::kernel::client::{Client, ClientError, Plan};
use dpdk_tcp::kernel::server::Serve;
use dpdk_tcp::load::closing::{Close, Closes};
use dpdk_tcp::load::schedule::{Launches, Share};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::stats::account::{Broken, Tally, Way};
use dpdk_tcp::stats::interval::Interval;
use dpdk_tcp::stats::latency::Phase;

use super::rig::{
    CRR, GET, GET_CLOSE, MS, SECOND, all_closed, closed_loop, open_loop, plan, run_against, run_with, serve,
    times,
};

const COUNT: u64 = 100;

/// Both accounts of a closed loop of 8 against our server.
#[track_caller]
fn meet(service: Serve, talk: Talk, close: Close) -> (Tally, Tally) {
    let (mut server, target) = serve(service);
    let client = run_against(plan(&closed_loop(COUNT, 8), target, talk, close), &mut server);
    assert_eq!(server.accept_failures(), 0);
    assert_eq!(server.account().established, COUNT);
    (*client.account(), *server.account())
}

/// What both ends say of `COUNT` connections whose data all arrived.
#[track_caller]
fn meet_and_compare(service: Serve, talk: Talk, close: Close, way: Way, servers_way: Option<Way>) {
    let (client, server) = meet(service, talk, close);
    all_closed(&client, way, COUNT);
    assert_eq!(client.octets_sent, server.octets_received, "{talk:?} {close:?}");
    assert_eq!(client.octets_received, server.octets_sent, "{talk:?} {close:?}");
    assert_eq!(client.octets_sent, COUNT * u64::from(talk.requests) * talk.request_len());
    assert_eq!(client.requests, COUNT * u64::from(talk.requests));
    if talk.reply != Reply::None {
        assert_eq!(client.replies, client.requests);
    }
    match servers_way {
        Some(way) => all_closed(&server, way, COUNT),
        None => assert_eq!(server.broken[Broken::Reset as usize], COUNT, "{server:?}"),
    }
}

#[test]
fn connections_without_a_word_end_as_planned_at_both_ends() {
    meet_and_compare(Serve::Discard, Talk::SILENT, Close::Fin, Way::Fin, Some(Way::Peer));
    meet_and_compare(Serve::Echo, Talk::SILENT, Close::HalfClose, Way::HalfClose, Some(Way::Peer));
    meet_and_compare(Serve::Reply, Talk::SILENT, Close::Rst, Way::Rst, None);
}

#[test]
fn request_and_reply_end_as_planned_at_both_ends() {
    // The server's FIN is in the segment of its reply.
    meet_and_compare(Serve::Reply, CRR, Close::Peer, Way::Peer, Some(Way::Fin));
    meet_and_compare(Serve::Reply, CRR, Close::HalfClose, Way::HalfClose, Some(Way::Peer));
    let same =
        Talk { request: Request::Payload { len: 3_000, seed: Some(5) }, reply: Reply::Same, requests: 1 };
    meet_and_compare(Serve::Echo, same, Close::Fin, Way::Fin, Some(Way::Peer));
    meet_and_compare(Serve::Echo, same, Close::HalfClose, Way::HalfClose, Some(Way::Peer));
    meet_and_compare(Serve::Echo, same, Close::Rst, Way::Rst, None);
}

#[test]
fn who_really_closed_first_decides_where_we_wanted_to() {
    let (client, server) = meet(Serve::Reply, CRR, Close::Fin);
    assert_eq!(client.closed_all(), COUNT);
    assert_eq!(client.closed[Way::Peer as usize] + client.closed[Way::Fin as usize], COUNT);
    assert!(client.closed[Way::Peer as usize] >= COUNT / 2, "the FIN comes with the reply: {client:?}");
    assert_eq!(server.closed_all(), COUNT);
}

#[test]
fn http_is_asked_once_or_often_and_closed_by_either_end() {
    let talk = |request, requests| Talk { request: Request::Whole(request), reply: Reply::Http, requests };
    meet_and_compare(Serve::Http, talk(GET, 5), Close::Fin, Way::Fin, Some(Way::Peer));
    meet_and_compare(Serve::Http, talk(GET_CLOSE, 1), Close::Peer, Way::Peer, Some(Way::Fin));
    meet_and_compare(Serve::Http, talk(GET, 2), Close::HalfClose, Way::HalfClose, Some(Way::Peer));
    meet_and_compare(Serve::Http, talk(GET, 1), Close::Rst, Way::Rst, None);
}

#[test]
fn streams_of_megabytes_go_up_and_back_whole() {
    let payload = |len, seed| Request::Payload { len, seed };
    let up = Talk { request: payload(1_000_000, None), reply: Reply::None, requests: 1 };
    meet_and_compare(Serve::Discard, up, Close::Fin, Way::Fin, Some(Way::Peer));
    meet_and_compare(Serve::Discard, up, Close::HalfClose, Way::HalfClose, Some(Way::Peer));
    let both = Talk { request: payload(200_000, Some(7)), reply: Reply::Same, requests: 3 };
    meet_and_compare(Serve::Echo, both, Close::Fin, Way::Fin, Some(Way::Peer));
}

#[test]
fn a_stream_down_ends_after_its_octets() {
    let down = Talk { request: Request::Whole(b""), reply: Reply::Octets(500_000), requests: 1 };
    for (close, way) in [(Close::Fin, Way::Fin), (Close::Rst, Way::Rst)] {
        let (client, server) = meet(Serve::Chargen, down, close);
        all_closed(&client, way, COUNT);
        assert_eq!(client.replies, COUNT);
        assert!(client.octets_received >= COUNT * 500_000);
        assert!(server.octets_sent >= client.octets_received);
        // The server may be sending when our reset or our FIN comes, and what it sends is answered by a reset.
        assert_eq!(server.closed_all() + server.broken[Broken::Reset as usize], COUNT, "{server:?}");
    }
}

#[test]
fn a_reply_that_comes_before_the_request_is_sent_ends_no_request() {
    let talk = Talk {
        request: Request::Payload { len: 8_000_000, seed: None },
        reply: Reply::Octets(300),
        requests: 1,
    };
    let (mut server, target) = serve(Serve::Reply);
    let client = run_against(plan(&closed_loop(4, 4), target, talk, Close::Peer), &mut server);
    all_closed(client.account(), Way::Peer, 4);
    all_closed(server.account(), Way::Fin, 4);
    assert_eq!(server.account().octets_received, 32_000_000);
}

#[test]
fn a_closed_loop_holds_exactly_its_number() {
    let (mut server, target) = serve(Serve::Reply);
    let count = 3_000;
    let client = Client::new(plan(&closed_loop(count, 50), target, CRR, Close::Peer)).unwrap();
    let mut passes = 0;
    let client = run_with(client, |now_ns, client| {
        let _ = server.pass(now_ns);
        if client.account().attempted < count {
            assert_eq!(client.connections(), 50);
            passes += 1;
        }
    });
    all_closed(client.account(), Way::Peer, count);
    assert!(passes > 10);
}

#[test]
fn an_open_loop_launches_rate_times_duration_and_measures_each() {
    let (mut server, target) = serve(Serve::Reply);
    let schedule = open_loop(1_000.0, SECOND / 2);
    let mut client = run_against(plan(&schedule, target, CRR, Close::Peer), &mut server);
    all_closed(client.account(), Way::Peer, 500);
    for phase in [Phase::Syn, Phase::Established, Phase::FirstByte, Phase::LastByte] {
        assert_eq!(client.latencies().of(phase).len(), 500, "{}", phase.name());
    }
    assert_eq!(client.latencies().of(Phase::Closed).len(), 0, "the kernel does not tell");
    let mut interval = Interval::default();
    client.fill(&mut interval);
    assert_eq!((interval.account, interval.connections), (*client.account(), 0));
    std::mem::swap(client.latencies(), &mut interval.latencies);
    assert_eq!((client.latencies().of(Phase::Syn).len(), interval.latencies.of(Phase::Syn).len()), (0, 500));
}

#[test]
fn a_stall_of_the_loop_is_in_the_latencies_and_a_ramp_is_not() {
    let (mut server, target) = serve(Serve::Discard);
    let mut schedule = open_loop(1_000.0, SECOND);
    schedule.stages[0].ramp_ns = SECOND;
    let mut client = Client::new(plan(&schedule, target, Talk::SILENT, Close::Fin)).unwrap();
    // The clock stands still for the kernel, but goes on for the client: 200 ms pass between two turns.
    let mut now_ns = 0;
    while !client.is_done() {
        now_ns += if now_ns == 1_500 * MS { 200 * MS } else { MS / 10 };
        for _ in 0..20 {
            let _ = (client.pass(now_ns), server.pass(now_ns));
        }
    }
    all_closed(client.account(), Way::Fin, 1_500);
    let established = client.latencies().of(Phase::Established);
    assert_eq!(established.len(), 1_000, "without the ramp's 500");
    assert!((198 * MS..202 * MS).contains(&established.max()), "{}", established.max());
    let late = established.count_between(MS, 300 * MS);
    assert!((195..=201).contains(&late), "{late}");
    assert_eq!(client.latencies().of(Phase::Closed).len(), 1_000);
}

#[test]
fn ways_to_close_come_by_their_weights() {
    let (mut server, target) = serve(Serve::Echo);
    let talk = Talk { reply: Reply::Same, ..CRR };
    let weights = [(Close::Fin, 7), (Close::Rst, 2), (Close::HalfClose, 1)];
    let plan = Plan {
        closes: Closes::weighted(&weights).unwrap(),
        ..plan(&closed_loop(200, 10), target, talk, Close::Fin)
    };
    let client = run_against(plan, &mut server);
    let ways = [Way::Fin, Way::Rst, Way::HalfClose].map(|way| client.account().closed[way as usize]);
    assert_eq!(ways, [140, 40, 20]);
    assert_eq!(server.account().broken[Broken::Reset as usize], 40);
    assert_eq!(server.account().closed[Way::Peer as usize], 160);
}

#[test]
fn several_loops_share_one_run() {
    let (mut server, target) = serve(Serve::Reply);
    let schedule = closed_loop(101, 10);
    let mut clients: Vec<_> = (0..3)
        .map(|index| {
            let launches = Launches::new(&schedule, Share { index, of: 3 });
            Client::new(Plan { launches, ..plan(&schedule, target, CRR, Close::Peer) }).unwrap()
        })
        .collect();
    let clock = super::rig::Clock::start();
    while !clients.iter().all(Client::is_done) {
        let now_ns = clock.ns();
        clients.iter_mut().for_each(|client| {
            let _ = client.pass(now_ns);
        });
        let _ = server.pass(now_ns);
    }
    let whole = clients.iter().fold(Tally::default(), |sum, client| sum.plus(client.account()));
    all_closed(&whole, Way::Peer, 101);
}

#[test]
fn who_thinks_and_holds_takes_its_time() {
    let (mut server, target) = serve(Serve::Echo);
    let talk = Talk { reply: Reply::Same, requests: 3, ..CRR };
    let mut plan = plan(&closed_loop(20, 20), target, talk, Close::Fin);
    plan.times.think_ns = 30 * MS;
    plan.times.hold_ns = 50 * MS;
    let mut first_end_ns = None;
    let mut client = run_with(Client::new(plan).unwrap(), |now_ns, client| {
        let _ = server.pass(now_ns);
        if client.account().closed_all() > 0 {
            first_end_ns.get_or_insert(now_ns);
        }
    });
    all_closed(client.account(), Way::Fin, 20);
    let last_byte = client.latencies().of(Phase::LastByte);
    assert!((59 * MS..SECOND).contains(&last_byte.min()), "{}", last_byte.min());
    assert!((110 * MS..SECOND).contains(&first_end_ns.unwrap()), "{first_end_ns:?}");
}

#[test]
fn a_connection_is_held_until_its_time_or_the_end_of_the_run() {
    let (mut server, target) = serve(Serve::Discard);
    for hold_ns in [50 * MS, 25 * SECOND] {
        let mut plan = plan(&open_loop(100.0, SECOND / 5), target, Talk::SILENT, Close::Fin);
        plan.times.hold_ns = hold_ns;
        let mut first_end_ns = None;
        let client = run_with(Client::new(plan).unwrap(), |now_ns, client| {
            let _ = server.pass(now_ns);
            if client.account().closed_all() > 0 {
                first_end_ns.get_or_insert(now_ns);
            }
        });
        all_closed(client.account(), Way::Fin, 20);
        let first_end_ns = first_end_ns.unwrap();
        assert!((hold_ns.min(200 * MS)..20 * SECOND).contains(&first_end_ns), "{first_end_ns}");
    }
}

#[test]
fn a_client_that_is_stopped_finishes_what_is_open() {
    let (mut server, target) = serve(Serve::Echo);
    let mut plan = plan(&open_loop(1_000.0, 60 * SECOND), target, Talk::SILENT, Close::Fin);
    plan.times.hold_ns = 20 * SECOND;
    let mut client = Client::new(plan).unwrap();
    let clock = super::rig::Clock::start();
    while client.account().established < 100 {
        let now_ns = clock.ns();
        let _ = (client.pass(now_ns), server.pass(now_ns));
    }
    client.stop();
    let client = run_with(client, |now_ns, _| {
        let _ = server.pass(now_ns);
    });
    assert_eq!(client.account().closed[Way::Fin as usize], client.account().attempted);
    assert!((100..200).contains(&client.account().attempted));
}

#[test]
fn nobody_is_left_without_a_word() {
    let (_server, target) = serve(Serve::Echo);
    let closes = Closes::weighted(&[(Close::Fin, 9), (Close::Abandon, 1)]).unwrap();
    let plan = Plan { closes, times: times(), ..plan(&closed_loop(1, 1), target, CRR, Close::Fin) };
    let refused = Client::new(plan).err().unwrap();
    assert!(matches!(refused, ClientError::Abandon));
    assert!(refused.to_string().starts_with("a kernel socket cannot be left without a word"));
}
