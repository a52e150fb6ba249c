//! Many short connections through a bad network: handshakes and closes that are lost, doubled and overtaken.

use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::stats::counters::Counter;

use super::app::{Conduct, OURS, THEIRS};
use super::host::{self, Host, Setup};
use super::{PATIENCE, Role, expect_end, in_namespace, kernel, ours, setup};
use crate::faults::Faults;
use crate::socket::{self, Dial};
use crate::text::Text;

const COUNT: usize = 400;
const LEN: usize = 3_000;

/// The kernel's end of one connection; who closes first differs from one to the next.
fn serve(stream: &TcpStream, number: usize) {
    if number.is_multiple_of(2) {
        Text::new(THEIRS).send(stream, LEN);
        stream.shutdown(Shutdown::Write).unwrap();
        Text::new(OURS).expect(stream, LEN);
        expect_end(stream);
    } else {
        Text::new(OURS).expect(stream, LEN);
        expect_end(stream);
        Text::new(THEIRS).send(stream, LEN);
    }
}

fn connections(host: &Host, role: Role) {
    let dial = Dial { patience: Some(PATIENCE), ..Dial::default() };
    match role {
        Role::Server => thread::scope(|scope| {
            for number in 0..COUNT {
                scope.spawn(move || serve(&dial.connect(ours()).unwrap(), number));
            }
        }),
        Role::Client => {
            let listener = socket::listen(kernel(), dial, COUNT as i32).unwrap();
            host.open_together(COUNT, kernel(), Conduct::send(LEN));
            thread::scope(|scope| {
                for number in 0..COUNT {
                    let (stream, _) = listener.accept().unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    scope.spawn(move || serve(&stream, number));
                }
            });
        }
    }
}

fn crowd(role: Role) {
    let faults = Faults {
        loss_ppm: 50_000,
        duplicate_ppm: 50_000,
        corrupt_ppm: 10_000,
        hold_ppm: 100_000,
        hold_us: 5_000,
        mark_ppm: 0,
    };
    // Room for all of them at once: a SYN cookie whose ACK is lost leaves nothing that could be sent again.
    let limits = Limits { connections: 4_096, backlog: COUNT as u32, ..host::limits() };
    let host = Setup { faults, limits, ..setup(Conduct::send(LEN)) }.start();
    connections(&host, role);
    for place in 0..COUNT {
        let seen = host.wait_closed(place, CloseReason::Finished);
        assert_eq!((seen.sent, seen.received, seen.wrong_at), (LEN, LEN, None));
    }
    assert_eq!((host.begun(), host.count(Counter::CookiesSent)), (COUNT, 0));
    assert_eq!(host.count(Counter::Finished), COUNT as u64);
    // TIME-WAIT records end by themselves.
    thread::sleep(Duration::from_millis(1_100));
    host.stop();
}

#[test]
fn many_kernel_clients_are_served() {
    in_namespace("roles::crowd::many_kernel_clients_are_served", || crowd(Role::Server));
}

#[test]
fn many_clients_of_ours_are_served_by_a_kernel() {
    in_namespace("roles::crowd::many_clients_of_ours_are_served_by_a_kernel", || crowd(Role::Client));
}
