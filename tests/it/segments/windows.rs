//! The receive window: trimming, zero windows, scaling, and that nothing offered is taken back.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use super::matrix::octets;
use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World};
use crate::states::{Reached, Start, plain, reach_with};

const ACK: Flags = Flags::ACK;

/// A stack whose receive buffer is small, in a state of which the peer's numbers wrap.
fn small_buffer(octets: u32, state: State) -> Reached {
    let cfg = Config { receive_buffer: octets, ..Config::default() };
    reach_with(Start::BelowWrap.of(Setup { cfg, ..Setup::default() }), Seq(0xffff_fc18), state)
}

/// An application that takes nothing, and a window that the peer has filled.
fn zero_window() -> Reached {
    let mut reached = small_buffer(2_000, State::Established);
    reached.world.probe.0.borrow_mut().take = Some(0);
    for _ in 0..2 {
        reached.world.inject(&[reached.peer.seg(ACK).text(&[7; 1_000])]);
        reached.peer.seq += 1_000;
    }
    let last = reached.world.sent().pop().unwrap();
    assert_eq!((last.segment.ack, last.segment.wnd), (reached.peer.seq, 0));
    reached.world.told();
    reached
}

#[test]
fn what_lies_beyond_the_window_is_cut_off() {
    //= X-5
    //= VEC-ACC-1
    let mut reached = small_buffer(2_000, State::Established);
    // 2100 octets and a FIN for a window of 2000, in two segments, the first of which was seen before.
    reached.world.inject(&[reached.peer.seg(ACK).text(&octets(0, 1_000))]);
    reached.world.told();
    reached.world.probe.0.borrow_mut().take = Some(0);
    reached.world.inject(&[reached.peer.seg(ACK | Flags::FIN).text(&[1; 1_450])]);
    reached.world.inject(&[reached.peer.seg(ACK | Flags::FIN).text(&[1; 1_450])]);
    let acks: Vec<_> = reached.world.sent().iter().map(|sent| sent.segment.ack).collect();
    assert_eq!(acks.last(), Some(&(reached.peer.seq + 1_451)));
    assert_eq!(reached.world.state(PEER_PORT), State::CloseWait);

    let mut reached = small_buffer(1_000, State::Established);
    reached.world.probe.0.borrow_mut().take = Some(0);
    reached.world.inject(&[reached.peer.seg(ACK | Flags::FIN).text(&[1; 1_200])]);
    reached.world.one().ack(reached.peer.seq + 1_000);
    assert_eq!(reached.world.state(PEER_PORT), State::Established);
    reached.world.call(|conn| assert_eq!(conn.unread(), 1_000));
}

#[test]
fn a_segment_that_covers_the_whole_window_is_trimmed_at_both_ends() {
    //= X-5
    //= WS-9
    // (950,500) for a window of 100 at 1000: VEC-ACC-1 as this project reads it.
    let mut reached = small_buffer(100, State::Established);
    let wide = reached.peer.seg(ACK).text(&octets(0, 500));
    let wide = Seg { seq: wide.seq - 50, ..wide };
    reached.world.inject(&[wide]);
    reached.world.one().ack(reached.peer.seq + 100);
    assert_eq!(reached.world.told(), [Told::Data(octets(50, 150))]);
}

#[test]
fn the_first_copy_of_an_octet_wins() {
    //= X-5
    //= ATK-32
    let mut reached = small_buffer(65_535, State::Established);
    let (mut stream, mut at) = (Vec::new(), 0);
    let true_text = octets(0, 3_000);
    for (from, to) in [(0, 700), (300, 900), (0, 1_500), (1_499, 1_501), (1_000, 3_000)] {
        let mut text = true_text[from..to].to_vec();
        text[..at.max(from) - from].fill(b'!');
        for piece in text.chunks(1_400).enumerate() {
            let mut segment = reached.peer.seg(ACK).text(piece.1);
            segment.seq += (from + piece.0 * 1_400) as u32;
            reached.world.inject(&[segment]);
        }
        at = to;
    }
    for told in reached.world.told() {
        if let Told::Data(data) = told {
            stream.extend(data);
        }
    }
    assert_eq!(stream, true_text);
}

#[test]
fn a_closed_window_still_takes_acknowledgment_urgent_pointer_and_reset() {
    //= COM-4
    //= EST-5
    //= MUST-66
    //= ZWP-3
    //= MAY-8
    let mut reached = zero_window();
    reached.world.call(|conn| assert_eq!(conn.send(b"ours"), 4));
    reached.world.one().seq(reached.peer.ack).text(b"ours");
    let mut probe = reached.peer.seg(ACK | Flags::URG).text(b"?");
    (probe.ack, probe.up, probe.wnd) = (reached.peer.ack + 4, 100, 777);
    reached.world.inject(&[probe]);
    let answer = reached.world.one();
    answer.flags(ACK).seq(reached.peer.ack + 4).ack(reached.peer.seq);
    assert_eq!(answer.segment.wnd, 0);
    assert_eq!(reached.world.dropped(DropReason::OutsideWindow), 1, "the octet that was not taken");
    assert_eq!(reached.world.told(), [Told::Writable, Told::Urgent(2_100), Told::Data(vec![])]);
    reached.world.call(|conn| assert_eq!(conn.unacknowledged(), 0));
    reached.world.inject(&[reached.peer.seg(Flags::RST)]);
    reached.world.silent();
    assert_eq!(reached.world.told(), [Told::Closed(CloseReason::Reset)]);
}

#[test]
fn an_acknowledgment_behind_the_peer_s_own_probe_counts_though_our_window_is_closed() {
    //= COM-4
    //= DBT-13
    // Both windows are closed, and both sides have an octet out as a probe: the peer's SND.NXT stands one above
    // our RCV.NXT. If its acknowledgments were not taken, neither side would learn that the other has opened.
    let mut reached = zero_window();
    reached.world.inject(&[reached.peer.seg(ACK).wnd(0)]);
    reached.world.call(|conn| assert_eq!(conn.send(b"waiting"), 7));
    reached.world.silent();
    reached.world.inject(&[reached.peer.seg(ACK).text(b"?").wnd(0)]);
    reached.world.one().ack(reached.peer.seq);
    reached.peer.seq += 1;
    reached.world.inject(&[reached.peer.seg(ACK).wnd(1_000)]);
    let sent = reached.world.sent();
    assert!(sent.iter().any(|sent| sent.text == b"waiting"), "{sent:?}");
}

#[test]
fn every_probe_of_a_closed_window_is_answered() {
    //= ZWP-3
    //= ZWP-6
    //= MUST-37
    let mut reached = zero_window();
    for _ in 0..20 {
        reached.world.pass_ms(100);
        reached.world.inject(&[reached.peer.seg(ACK).text(b"?")]);
        let answer = reached.world.one();
        assert_eq!((answer.segment.ack, answer.segment.wnd), (reached.peer.seq, 0));
    }
}

#[test]
fn a_window_opens_only_by_what_is_worth_it() {
    //= MUST-39
    //= SWS-4
    //= SWS-5
    //= SHLD-14
    let mut reached = zero_window();
    // Half of 2000 is less than a segment of 1460: the edge moves by 1000 or not at all.
    for (taken, wnd) in [(600, 0), (399, 0), (1, 1_000), (999, 1_000), (1, 2_000)] {
        {
            let mut script = reached.world.probe.0.borrow_mut();
            script.take = Some(taken);
            let probe = reached.world.probe.0.clone();
            let once = move |_: &mut dpdk_tcp::engine::api::Conn<'_>| probe.borrow_mut().take = Some(0);
            script.next = Some(Box::new(once));
        }
        reached.world.call(|conn| conn.resume());
        reached.world.sent();
        // An old octet draws an acknowledgment that says what is offered now.
        let old = reached.peer.seg(ACK).text(b"?");
        reached.world.inject(&[Seg { seq: old.seq - 1, ..old }]);
        assert_eq!(reached.world.one().segment.wnd, wnd, "{taken} more taken");
    }
}

/// The field of the segment that answers `text` octets, and the right edge behind it.
fn answer(world: &mut World, peer: &mut Peer, text: usize, shift: u8) -> (u16, Seq) {
    world.inject(&[peer.seg(ACK).text(&vec![5; text])]);
    peer.seq += text as u32;
    let sent = world.one();
    sent.ack(peer.seq);
    (sent.segment.wnd, sent.segment.ack + (u32::from(sent.segment.wnd) << shift))
}

#[test]
fn windows_are_scaled_after_the_handshake_and_never_retracted() {
    //= WS-1
    //= WS-2
    //= WS-3
    //= WS-4
    //= WS-8
    //= WS-11
    //= SHLD-14
    //= X-4
    //= REC-1
    //= VEC-WS-4
    // 262144 octets need a shift of 3, and the SYN-ACK's field is not scaled.
    let mut world = World::new();
    let options = Options { window_scale: Some(7), ..plain() };
    let (mut peer, syn_ack) = world.establish_with(options, 1_000);
    assert_eq!((syn_ack.segment.options.window_scale, syn_ack.segment.wnd), (Some(3), 65_535));
    let mut edge = peer.seq + 65_535;
    world.probe.0.borrow_mut().take = Some(0);
    // Not more than are acknowledged at once.
    for n in 0..16 {
        let (field, next) = answer(&mut world, &mut peer, 1_001 + n, 3);
        assert!(next.at_or_after(edge), "the edge moved back at {n}");
        assert!(field > 0);
        edge = next;
    }
    world.probe.0.borrow_mut().take = None;
    world.call(|conn| conn.resume());
    let open = world.one();
    assert_eq!(u32::from(open.segment.wnd) << 3, 262_144, "all of it is offered again");
}

#[test]
fn a_peer_s_window_is_scaled_by_its_shift_but_not_on_its_syn() {
    //= WS-3
    //= WS-4
    //= WS-5
    //= ATK-29
    //= VEC-WS-1
    // A shift of 15 counts as 14. 1 << 14 octets may be in flight, if the congestion window allows.
    for (shift, field, room) in [(0, 3_000, 3_000), (2, 1_000, 4_000), (14, 1, 14_600), (15, 1, 14_600)] {
        let mut world = World::new();
        let options = Options { window_scale: Some(shift), ..plain() };
        world.establish_with(options, field);
        world.call(|conn| assert_eq!(conn.send(&[9; 40_000]), 40_000));
        let flight: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
        let full = room / 1_460 * 1_460;
        let least = if room == 14_600 { 14_600 } else { full };
        assert!(flight >= least && flight <= room, "shift {shift}: {flight} of {room}");
    }
}

#[test]
fn without_an_offer_windows_are_not_scaled() {
    //= WS-1
    //= WS-2
    //= WS-6
    //= VEC-WS-5
    // Seen from the passive side, and a shift on a segment without SYN.
    let mut world = World::new();
    let (peer, syn_ack) = world.establish_with(plain(), 4_000);
    assert_eq!(syn_ack.segment.options.window_scale, None);
    let late = peer.seg(ACK).wnd(3_000).options(Options { window_scale: Some(4), ..Options::default() });
    world.inject(&[late]);
    world.call(|conn| assert_eq!(conn.send(&[9; 40_000]), 40_000));
    let flight: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert!(flight <= 3_000, "{flight}");
    let mut off = Setup::default();
    off.cfg.window_scale = false;
    let mut world = World::with(off);
    let (_, syn_ack) = world.establish_with(Options { window_scale: Some(7), ..plain() }, 1_000);
    assert_eq!(syn_ack.segment.options.window_scale, None);
}

#[test]
fn data_is_not_acknowledged_that_could_not_be_kept() {
    //= ATK-43
    let mut setup = Setup::default();
    setup.limits.buffers = 2_048;
    let mut world = World::with(setup);
    let peer = world.establish(PEER_PORT);
    world.probe.0.borrow_mut().take = Some(0);
    let mut seq = peer.seq;
    for _ in 0..6 {
        let mut segment = peer.seg(ACK).text(&[3; 1_000]);
        segment.seq = seq;
        world.inject(&[segment]);
        seq = world.sent().pop().unwrap().segment.ack;
    }
    assert!(world.dropped(DropReason::NoBuffer) > 0);
    let held = seq.since(peer.seq);
    assert!((1_000..=2_048).contains(&held), "{held}");
    world.told();
    world.probe.0.borrow_mut().take = None;
    world.call(|conn| conn.resume());
    let Some(Told::Data(data)) = world.told().pop() else { panic!("data") };
    assert_eq!(data.len() as u32, held);
}
