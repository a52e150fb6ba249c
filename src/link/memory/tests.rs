//! Order, fullness, two threads, and that no frame is lost.

use super::*;
use crate::link::stash::STASH;

fn numbered(end: &mut MemoryQueue, number: u32) -> MemoryFrame {
    let mut frame = end.alloc().expect("a frame");
    frame.set_len(60);
    frame.bytes_mut()[..4].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &MemoryFrame) -> u32 {
    u32::from_be_bytes(*frame.bytes().first_chunk().unwrap())
}

fn burst(end: &mut MemoryQueue, numbers: std::ops::Range<u32>) -> Burst<MemoryFrame> {
    numbers.map(|n| numbered(end, n)).collect()
}

fn received(end: &mut MemoryQueue, limit: usize) -> Vec<u32> {
    let mut frames = Burst::new();
    end.rx_burst(&mut frames, limit);
    frames.iter().map(number).collect()
}

#[test]
fn frames_arrive_in_order_and_where_they_were_written() {
    let (mut a, mut b) = pair(Plan::default());
    let mut frames = burst(&mut a, 0..40);
    let sent: Vec<_> = frames.iter().map(|frame| (number(frame), frame.bytes().as_ptr())).collect();
    a.tx_burst(&mut frames);
    assert!(frames.is_empty());
    b.rx_burst(&mut frames, 64);
    let arrived: Vec<_> = frames.iter().map(|frame| (number(frame), frame.bytes().as_ptr())).collect();
    assert_eq!(arrived, sent, "the same memory in the same order");
    b.tx_burst(&mut frames);
    assert_eq!(received(&mut a, 64), (0..40).collect::<Vec<_>>());
    assert!(received(&mut a, 64).is_empty() && received(&mut b, 64).is_empty());
}

#[test]
fn a_full_ring_takes_less_and_the_rest_waits_in_order() {
    let (mut a, mut b) = pair(Plan { slots: 8, ..Plan::default() });
    let mut frames = burst(&mut a, 0..12);
    a.tx_burst(&mut frames);
    assert_eq!(frames.iter().map(number).collect::<Vec<_>>(), [8, 9, 10, 11]);
    a.tx_burst(&mut frames);
    assert_eq!(frames.len(), 4, "nothing was taken out");
    assert_eq!(received(&mut b, 3), [0, 1, 2]);
    a.tx_burst(&mut frames);
    assert_eq!(frames.iter().map(number).collect::<Vec<_>>(), [11]);
    assert_eq!(received(&mut b, 64), (3..11).collect::<Vec<_>>());
    a.tx_burst(&mut frames);
    assert_eq!((frames.len(), received(&mut b, 64)), (0, vec![11]));
}

#[test]
fn no_more_is_received_than_asked_for_or_than_fits() {
    let (mut a, mut b) = pair(Plan::default());
    a.tx_burst(&mut burst(&mut b, 0..64));
    let mut frames = burst(&mut b, 100..160);
    b.rx_burst(&mut frames, 64);
    assert_eq!(frames[60..].iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(received(&mut b, 0), [0; 0]);
    assert_eq!(received(&mut b, 1), [4]);
    assert_eq!(received(&mut b, 64).len(), 59);
}

#[test]
fn an_exhausted_pool_gives_none_until_a_frame_is_back() {
    let (mut a, mut b) = pair(Plan { frames: 50, ..Plan::default() });
    let pool = a.pool();
    let mut held: Vec<_> = std::iter::from_fn(|| a.alloc()).collect();
    assert_eq!((held.len(), pool.capacity(), pool.in_use()), (50, 50, 50));
    assert!(b.alloc().is_none());
    held.pop();
    assert_eq!(pool.in_use(), 49, "dropping gives back");
    let frame = b.alloc();
    assert!(frame.is_some() && a.alloc().is_none());
    held.extend(frame);
    // A stash is the own end's until there is too much in it.
    for frame in held.drain(..) {
        a.recycle(frame);
    }
    assert!(b.alloc().is_none(), "50 frames fit into a stash");
    drop(a);
    assert!(b.alloc().is_some());
}

#[test]
fn a_stash_keeps_what_came_last_and_returns_the_rest() {
    let (mut a, _b) = pair(Plan { frames: 200, ..Plan::default() });
    let pool = a.pool();
    let frames: Vec<_> = (0..150).map(|n| numbered(&mut a, n)).collect();
    let last = frames[149].0.as_ref().unwrap().bytes.as_ptr();
    frames.into_iter().for_each(|frame| a.recycle(frame));
    assert!((REFILL..=STASH).contains(&pool.in_use()), "{}", pool.in_use());
    let frame = a.alloc().unwrap();
    assert_eq!(frame.0.as_ref().unwrap().bytes.as_ptr(), last, "the last one is the next");
    assert_eq!((frame.bytes().len(), frame.rx_checksums()), (0, RxChecksums::default()));
}

#[test]
fn every_frame_is_back_when_both_ends_are_gone() {
    let (mut a, mut b) = pair(Plan::default());
    let pool = a.pool();
    let mut frames = burst(&mut a, 0..30);
    a.tx_burst(&mut frames);
    let mut frames = burst(&mut b, 0..20);
    b.tx_burst(&mut frames);
    let held = numbered(&mut b, 1);
    drop(a);
    drop(b);
    assert_eq!(pool.in_use(), 1, "the rings' and the stashes' frames are back");
    drop(held);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_frame_may_outlive_its_pool() {
    let (mut a, b) = pair(Plan::default());
    let frame = numbered(&mut a, 7);
    drop((a, b));
    assert_eq!(number(&frame), 7);
}

#[test]
fn only_sums_that_the_link_was_asked_for_arrive_as_verified() {
    let asked = TxOffload { ip_checksum: true, tcp_checksum: true, ..TxOffload::default() };
    let good = RxChecksums { ip: Verdict::Good, l4: Verdict::Good };
    let (mut a, mut b) = pair(Plan { checksums: Checksums::Marked, ..Plan::default() });
    let caps = a.caps();
    assert!(caps.tx_ip_checksum && caps.tx_tcp_checksum && caps.rx_checksum && caps.tso.is_none());
    let mut frames = burst(&mut a, 0..2);
    frames[0].set_tx_offload(asked);
    a.tx_burst(&mut frames);
    b.rx_burst(&mut frames, 64);
    assert_eq!([0, 1].map(|n| frames[n].rx_checksums()), [good, RxChecksums::default()]);
    frames[0].reset();
    assert_eq!(frames[0].rx_checksums(), RxChecksums::default(), "an answer does not inherit it");
    let (software, _) = pair(Plan::default());
    let caps = software.caps();
    assert!(!caps.tx_ip_checksum && !caps.tx_tcp_checksum && !caps.rx_checksum);
}

#[test]
fn frames_hold_the_largest_packet_and_ends_have_their_own_addresses() {
    for (mtu, capacity) in [(68, USUAL), (1_500, USUAL), (2_034, USUAL), (2_035, JUMBO), (9_000, JUMBO)] {
        let (mut a, b) = pair(Plan { mtu, frames: 4, ..Plan::default() });
        let mut frame = a.alloc().unwrap();
        assert_eq!((frame.capacity(), a.caps().mtu), (capacity, mtu));
        frame.set_len(usize::MAX);
        assert_eq!((frame.bytes().len(), frame.total_len()), (capacity, capacity));
        let (ours, theirs) = (a.caps().mac, b.caps().mac);
        assert!(ours != theirs && ours[0] & 3 == 2 && theirs[0] & 3 == 2);
    }
    let (mut a, _b) = pair(Plan { mtu: u16::MAX, frames: 2, ..Plan::default() });
    let frame = a.alloc().unwrap();
    assert!(frame.capacity() >= usize::from(u16::MAX) + ETHERNET);
}

#[test]
fn a_link_of_nothing_is_a_link_of_one() {
    let (mut a, mut b) = pair(Plan { frames: 0, slots: 0, ..Plan::default() });
    a.tx_burst(&mut burst(&mut b, 5..6));
    assert_eq!(received(&mut b, 64), [5]);
}

/// One thread sends numbers and gets each back; the other answers in the frames that it received.
#[test]
fn two_threads_exchange_every_frame_in_order() {
    const COUNT: u32 = 100_000;
    let (mut a, mut b) = pair(Plan { slots: 64, frames: 300, ..Plan::default() });
    let pool = a.pool();
    let echo = std::thread::spawn(move || {
        let (mut waiting, mut echoed) = (Burst::new(), 0);
        while echoed < COUNT || !waiting.is_empty() {
            let mut frames = Burst::new();
            b.rx_burst(&mut frames, waiting.remaining_capacity().min(32));
            echoed += frames.len() as u32;
            for frame in frames {
                let n = number(&frame);
                b.recycle(frame);
                waiting.push(numbered(&mut b, n + 1));
            }
            b.tx_burst(&mut waiting);
            if waiting.is_empty() {
                std::thread::yield_now();
            }
        }
    });
    let (mut sent, mut seen, mut waiting) = (0, 0, Burst::new());
    while seen < COUNT {
        while sent < COUNT && !waiting.is_full() && sent - seen < 200 {
            waiting.push(numbered(&mut a, sent));
            sent += 1;
        }
        a.tx_burst(&mut waiting);
        let mut frames = Burst::new();
        a.rx_burst(&mut frames, 64);
        if frames.is_empty() {
            std::thread::yield_now();
        }
        for frame in frames {
            assert_eq!(number(&frame), seen + 1);
            seen += 1;
            a.recycle(frame);
        }
    }
    echo.join().unwrap();
    drop(a);
    assert_eq!(pool.in_use(), 0, "every frame is back");
}
