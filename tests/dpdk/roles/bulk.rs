//! Much data both ways, at several rates of loss with reordering, duplication and corruption, the kernel at either
//! end. Each transfer says how fast it was.

use std::env;
use std::time::Instant;

use dpdk_tcp::stats::counters::Counter;

use super::app::Conduct;
use super::host::Setup;
use super::{Role, connect, exchange, in_namespace, setup};
use crate::faults::Faults;
use crate::socket::Dial;

/// Sets how many million octets each transfer moves, in the environment.
const MEGABYTES: &str = "DPDK_TCP_BULK_MB";

/// Octets of each transfer: fewer in the gate than in a full run.
fn len(usual: usize) -> usize {
    env::var(MEGABYTES).map_or(usual, |words| words.parse::<usize>().unwrap() * 1_000_000)
}

/// So much loss, and frames that others overtake, come twice or come wrong.
fn faults(loss_ppm: u32) -> Faults {
    // A corrupt frame is a lost one: none where nothing is to be lost.
    let corrupt_ppm = loss_ppm.min(2_000);
    Faults { loss_ppm, duplicate_ppm: 2_000, corrupt_ppm, hold_ppm: 10_000, hold_us: 2_000, mark_ppm: 0 }
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Us,
    Kernel,
    Both,
}

/// One connection with us in this role that carries `len` octets from each sender, and ends with both FINs.
fn transfer(role: Role, loss_ppm: u32, from: From, len: usize) {
    let (ours, theirs) = match from {
        From::Us => (len, 0),
        From::Kernel => (0, len),
        From::Both => (len, len),
    };
    let conduct = Conduct::send(ours);
    let conduct = if ours == 0 { Conduct::TAKE } else { conduct };
    let host = Setup { faults: faults(loss_ppm), ..setup(conduct) }.start();
    let pair = connect(&host, role, conduct, Dial::default());
    let started = Instant::now();
    exchange(&host, &pair, ours, theirs);
    let took = started.elapsed().as_secs_f64();
    let [repeated, expired] =
        [Counter::Retransmissions, Counter::RtoExpired].map(|counter| host.count(counter));
    drop(pair);
    let [received, sent] = host.stop();
    println!(
        "# {len} octets from each sender in {took:.2} s, {:.1} Mbit/s; we sent {repeated} segments again, after \
         {expired} RTOs; {} of {} frames to us and {} of {} from us were lost or corrupt",
        len as f64 * 8e-6 / took,
        received.lost + received.corrupted,
        received.came,
        sent.lost + sent.corrupted,
        sent.came
    );
}

macro_rules! transfers {
    ($($name:ident: $role:ident, $loss_ppm:literal, $from:ident, $usual:literal;)*) => {
        $(#[test]
        fn $name() {
            in_namespace(concat!("roles::bulk::", stringify!($name)), || {
                transfer(Role::$role, $loss_ppm, From::$from, len($usual));
            });
        })*
    };
}

transfers! {
    as_a_server_we_send_without_loss: Server, 0, Us, 100_000_000;
    as_a_server_we_send_at_1_percent: Server, 10_000, Us, 100_000_000;
    as_a_server_we_send_at_5_percent: Server, 50_000, Us, 5_000_000;
    as_a_server_we_receive_without_loss: Server, 0, Kernel, 100_000_000;
    as_a_server_we_receive_at_1_percent: Server, 10_000, Kernel, 100_000_000;
    as_a_server_we_receive_at_5_percent: Server, 50_000, Kernel, 5_000_000;
    as_a_client_we_send_without_loss: Client, 0, Us, 100_000_000;
    as_a_client_we_send_at_1_percent: Client, 10_000, Us, 100_000_000;
    as_a_client_we_send_at_5_percent: Client, 50_000, Us, 5_000_000;
    as_a_client_we_receive_without_loss: Client, 0, Kernel, 100_000_000;
    as_a_client_we_receive_at_1_percent: Client, 10_000, Kernel, 100_000_000;
    as_a_client_we_receive_at_5_percent: Client, 50_000, Kernel, 5_000_000;
    both_send_at_1_percent: Server, 10_000, Both, 100_000_000;
    both_send_at_5_percent: Client, 50_000, Both, 5_000_000;
}
