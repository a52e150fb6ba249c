//! Small windows, and windows that stay closed for seconds, at either end and with either end as the sender.

use std::thread;
use std::time::Duration;

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::config::Config;

use super::app::{Conduct, OURS, Read, THEIRS};
use super::host::Setup;
use super::{ROLES, connect, exchange, expect_end, in_namespace, setup, weather};
use crate::socket::Dial;
use crate::text::Text;

#[test]
fn a_kernel_with_small_buffers_gets_and_gives_everything() {
    in_namespace("roles::windows::a_kernel_with_small_buffers_gets_and_gives_everything", || {
        const LEN: usize = 200_000;
        let conduct = Conduct::send(LEN);
        let host = Setup { faults: weather(), ..setup(conduct) }.start();
        for role in ROLES {
            for size in [2_304, 4_608, 9_000] {
                let dial = Dial { receive_buffer: Some(size), send_buffer: Some(size), ..Dial::default() };
                let pair = connect(&host, role, conduct, dial);
                exchange(&host, &pair, LEN, LEN);
            }
        }
        host.stop();
    });
}

#[test]
fn with_small_buffers_of_our_own_everything_comes_as_well() {
    in_namespace("roles::windows::with_small_buffers_of_our_own_everything_comes_as_well", || {
        const LEN: usize = 200_000;
        let conduct = Conduct::send(LEN);
        let cfg = Config { receive_buffer: 4_000, ..setup(conduct).cfg };
        let host = Setup { faults: weather(), cfg, ..setup(conduct) }.start();
        for role in ROLES {
            let pair = connect(&host, role, conduct, Dial::default());
            exchange(&host, &pair, LEN, LEN);
        }
        host.stop();
    });
}

#[test]
fn a_kernel_that_does_not_read_for_seconds_finds_everything_afterwards() {
    //= MUST-36
    //= MUST-37
    in_namespace(
        "roles::windows::a_kernel_that_does_not_read_for_seconds_finds_everything_afterwards",
        || {
            const LEN: usize = 400_000;
            let conduct = Conduct::send(LEN);
            let host = Setup { faults: weather(), ..setup(conduct) }.start();
            for role in ROLES {
                let before = host.count(Counter::Probes);
                let dial = Dial { receive_buffer: Some(8_192), ..Dial::default() };
                let pair = connect(&host, role, conduct, dial);
                // Longer than the first two probes' timeouts.
                thread::sleep(Duration::from_secs(4));
                assert!(host.count(Counter::Probes) > before, "no probe: {:?}", host.seen(pair.place));
                exchange(&host, &pair, LEN, 0);
            }
            host.stop();
        },
    );
}

#[test]
fn a_kernel_waits_for_us_to_read_and_nothing_is_lost() {
    //= MUST-34
    in_namespace("roles::windows::a_kernel_waits_for_us_to_read_and_nothing_is_lost", || {
        const LEN: usize = 5_000_000;
        let conduct = Conduct { read: Read::Nothing, ..Conduct::TAKE };
        let host = Setup { faults: weather(), ..setup(conduct) }.start();
        for role in ROLES {
            let pair = connect(&host, role, conduct, Dial::default());
            thread::scope(|scope| {
                scope.spawn(|| exchange(&host, &pair, 0, LEN));
                thread::sleep(Duration::from_secs(4));
                let unread = host.unread(pair.place);
                let most = Config::default().receive_buffer as usize;
                // The window is closed: less than a segment is left of it.
                assert!(unread <= most && unread > most - 1_460, "{unread}");
                assert_eq!(host.seen(pair.place).received, 0);
                host.read(pair.place, Read::Compare);
            });
        }
        host.stop();
    });
}

#[test]
fn two_that_read_nothing_at_first_do_not_wait_for_each_other_for_ever() {
    in_namespace(
        "roles::windows::two_that_read_nothing_at_first_do_not_wait_for_each_other_for_ever",
        || {
            const LEN: usize = 1_000_000;
            let conduct = Conduct { read: Read::Nothing, ..Conduct::send(LEN) };
            let host = Setup { faults: weather(), ..setup(conduct) }.start();
            for role in ROLES {
                let dial = Dial { receive_buffer: Some(8_192), ..Dial::default() };
                let pair = connect(&host, role, conduct, dial);
                thread::scope(|scope| {
                    scope.spawn(|| Text::new(THEIRS).send(&pair.stream, LEN));
                    thread::sleep(Duration::from_secs(3));
                    host.read(pair.place, Read::Compare);
                    Text::new(OURS).expect(&pair.stream, LEN);
                    expect_end(&pair.stream);
                });
                drop(pair.stream);
                let seen = host.wait_closed(pair.place, CloseReason::Finished);
                assert_eq!((seen.received, seen.wrong_at), (LEN, None));
            }
            host.stop();
        },
    );
}
