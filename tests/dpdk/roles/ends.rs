//! Ends of connections: half-closed ones with data after the FIN, resets from either side, both at once; and what
//! keeps a connection alive, or tells that it is dead.

use std::io::{ErrorKind, Read as _, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::settings::KeepAlive;
use dpdk_tcp::tcp::state::State;

use super::app::{Conduct, OURS, THEIRS, When};
use super::host::Setup;
use super::{Pair, ROLES, connect, expect_end, in_namespace, setup, weather};
use crate::faults::Faults;
use crate::lab;
use crate::socket::{self, Dial};
use crate::text::Text;

const LEN: usize = 300_000;

#[test]
fn we_send_after_the_kernel_s_fin() {
    //= MAY-1
    in_namespace("roles::ends::we_send_after_the_kernel_s_fin", || {
        let conduct = Conduct { begin: When::AfterPeer, fin: When::AfterPeer, ..Conduct::send(LEN) };
        let host = Setup { faults: weather(), ..setup(conduct) }.start();
        for role in ROLES {
            let pair = connect(&host, role, conduct, Dial::default());
            thread::sleep(Duration::from_millis(20));
            assert_eq!(host.seen(pair.place).sent, 0);
            pair.stream.shutdown(Shutdown::Write).unwrap();
            Text::new(OURS).expect(&pair.stream, LEN);
            expect_end(&pair.stream);
            host.wait_closed(pair.place, CloseReason::Finished);
        }
        host.stop();
    });
}

#[test]
fn the_kernel_sends_after_our_fin() {
    //= MAY-1
    in_namespace("roles::ends::the_kernel_sends_after_our_fin", || {
        let conduct = Conduct::send(0);
        let host = Setup { faults: weather(), ..setup(conduct) }.start();
        for role in ROLES {
            let pair = connect(&host, role, conduct, Dial::default());
            expect_end(&pair.stream);
            Text::new(THEIRS).send(&pair.stream, LEN);
            host.wait(pair.place, "all data", |seen| seen.received == LEN);
            assert_eq!(host.state(&pair), Some(State::FinWait2));
            pair.stream.shutdown(Shutdown::Write).unwrap();
            let seen = host.wait_closed(pair.place, CloseReason::Finished);
            assert_eq!((seen.received, seen.wrong_at), (LEN, None));
        }
        host.stop();
    });
}

#[test]
fn a_reset_from_the_kernel_is_told_as_one() {
    in_namespace("roles::ends::a_reset_from_the_kernel_is_told_as_one", || {
        let conduct = Conduct::send(LEN);
        let host = Setup { ..setup(conduct) }.start();
        for role in ROLES {
            // Idle after some data; in the middle of our data; and with unread data, which a close resets.
            for reads in [LEN, 10_000, 0] {
                let pair = connect(&host, role, conduct, Dial::default());
                Text::new(OURS).expect(&pair.stream, reads);
                if reads > 0 {
                    socket::reset_on_close(&pair.stream);
                } else {
                    pair.stream.peek(&mut [0]).unwrap();
                }
                drop(pair.stream);
                host.wait_closed(pair.place, CloseReason::Reset);
            }
        }
        host.stop();
    });
}

#[test]
fn an_abort_of_ours_is_a_reset_for_the_kernel() {
    in_namespace("roles::ends::an_abort_of_ours_is_a_reset_for_the_kernel", || {
        let host = setup(Conduct::IDLE).start();
        for role in ROLES {
            let Pair { place, mut stream } = connect(&host, role, Conduct::IDLE, Dial::default());
            stream.write_all(b"some words").unwrap();
            host.wait(place, "words", |seen| seen.received == 10);
            host.call(place, |conn| conn.abort());
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            host.wait_closed(place, CloseReason::Aborted);
        }
        host.stop();
    });
}

#[test]
fn a_close_with_unread_data_is_a_reset_for_the_kernel() {
    //= SHLD-3
    in_namespace("roles::ends::a_close_with_unread_data_is_a_reset_for_the_kernel", || {
        let conduct = Conduct { read: super::app::Read::Nothing, ..Conduct::IDLE };
        let host = setup(conduct).start();
        for role in ROLES {
            let Pair { place, mut stream } = connect(&host, role, conduct, Dial::default());
            stream.write_all(b"some words").unwrap();
            lab::wait_until("words", || host.unread(place) == 10);
            host.call(place, |conn| conn.close());
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            host.wait_closed(place, CloseReason::Aborted);
        }
        host.stop();
    });
}

#[test]
fn both_may_close_at_once() {
    //= MUST-10
    in_namespace("roles::ends::both_may_close_at_once", || {
        let host = setup(Conduct::IDLE).start();
        for role in ROLES {
            let pair = connect(&host, role, Conduct::IDLE, Dial::default());
            let own = pair.stream.local_addr().unwrap();
            // A long wire: both FINs are on it at once.
            let slow = Faults { hold_ppm: 1_000_000, hold_us: 400_000, ..Faults::default() };
            host.set_faults([slow; 2]);
            host.call(pair.place, |conn| conn.shutdown());
            pair.stream.shutdown(Shutdown::Write).unwrap();
            lab::wait_until("CLOSING", || host.state(&pair) == Some(State::Closing));
            lab::wait_until("CLOSING at the kernel's end", || {
                !lab::run(&format!("ss -tnH state closing src {own}")).is_empty()
            });
            host.wait_closed(pair.place, CloseReason::Finished);
            host.set_faults([Faults::default(); 2]);
            expect_end(&pair.stream);
        }
        host.stop();
    });
}

#[test]
fn urgent_data_is_announced_and_stays_in_its_place() {
    //= MUST-31
    //= MUST-32
    in_namespace("roles::ends::urgent_data_is_announced_and_stays_in_its_place", || {
        let host = Setup { faults: weather(), ..setup(Conduct::TAKE) }.start();
        for role in ROLES {
            let pair = connect(&host, role, Conduct::TAKE, Dial::default());
            let text = Text::new(THEIRS);
            text.send(&pair.stream, 100_000);
            socket::send_urgent(&pair.stream, &text.from(100_000)[..50]);
            let mut stream = &pair.stream;
            stream.write_all(&text.from(100_050)[..1_000]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            expect_end(&pair.stream);
            let seen = host.wait_closed(pair.place, CloseReason::Finished);
            assert_eq!((seen.received, seen.wrong_at), (101_050, None));
            assert!(seen.urgent.is_some_and(|left| left > 0 && left <= 100_050), "{seen:?}");
        }
        host.stop();
    });
}

#[test]
fn a_kernel_that_asks_whether_we_are_alive_is_answered() {
    in_namespace("roles::ends::a_kernel_that_asks_whether_we_are_alive_is_answered", || {
        let host = setup(Conduct::ECHO).start();
        for role in ROLES {
            let Pair { place, mut stream } = connect(&host, role, Conduct::ECHO, Dial::default());
            socket::keep_alive(&stream, 2);
            thread::sleep(Duration::from_secs(5));
            let mut answer = [0; 5];
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello");
            // And one that gets no answers gives up.
            let deaf = Faults { loss_ppm: 1_000_000, ..Faults::default() };
            host.set_faults([Faults::default(), deaf]);
            assert_eq!(stream.read(&mut answer).unwrap_err().kind(), ErrorKind::TimedOut);
            // It says so by a reset.
            host.wait_closed(place, CloseReason::Reset);
            host.set_faults([Faults::default(); 2]);
        }
        host.stop();
    });
}

#[test]
fn we_ask_a_kernel_whether_it_is_alive_and_give_up_when_it_says_nothing() {
    //= MUST-25
    //= MUST-26
    in_namespace("roles::ends::we_ask_a_kernel_whether_it_is_alive_and_give_up_when_it_says_nothing", || {
        let host = setup(Conduct::IDLE).start();
        for role in ROLES {
            let pair = connect(&host, role, Conduct::IDLE, Dial::default());
            let before = host.count(Counter::KeepAlives);
            // The kernel answers one such segment in 500 ms, and no more.
            host.call(pair.place, |conn| conn.set_keep_alive(KeepAlive::new(800, 200, 4)));
            thread::sleep(Duration::from_millis(3_000));
            // Each was answered, so that there was no second one.
            let asked = host.count(Counter::KeepAlives) - before;
            assert!((2..=3).contains(&asked), "{asked}");
            assert_eq!(host.seen(pair.place).closed, None);
            let deaf = Faults { loss_ppm: 1_000_000, ..Faults::default() };
            host.set_faults([deaf, Faults::default()]);
            host.wait_closed(pair.place, CloseReason::Silent);
            host.set_faults([Faults::default(); 2]);
        }
        host.stop();
    });
}

#[test]
fn a_kernel_finds_our_urgent_octet() {
    //= MUST-30
    //= MUST-62
    in_namespace("roles::ends::a_kernel_finds_our_urgent_octet", || {
        let host = setup(Conduct::IDLE).start();
        for role in ROLES {
            let Pair { place, mut stream } = connect(&host, role, Conduct::IDLE, Dial::default());
            host.call(place, |conn| {
                assert_eq!(conn.send(b"words "), 6);
                assert_eq!(conn.send_urgent(b"now!"), 4);
                assert_eq!(conn.send(b" and later"), 10);
                conn.shutdown();
            });
            // The kernel takes the last urgent octet out of the stream.
            lab::wait_until("an urgent octet", || socket::receive_urgent(&stream) == Some(b'!'));
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"words now and later");
            drop(stream);
            host.wait_closed(place, CloseReason::Finished);
        }
        host.stop();
    });
}
