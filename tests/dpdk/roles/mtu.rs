//! MTUs of 576 and 1500 octets, the same at both ends and not: what is agreed, and that no packet is longer than
//! either end takes.

use super::app::Conduct;
use super::host::Setup;
use super::options::Info;
use super::{ROLES, connect, exchange, in_namespace, setup, weather};
use crate::lab::{self, TAP};
use crate::socket::Dial;

const ETHERNET: usize = 14;
/// Headers of IPv4 and TCP, and the timestamps that each segment has.
const HEADERS: u64 = 20 + 20 + 12;

fn transfers(ours: u16, theirs: u16) {
    const LEN: usize = 500_000;
    let conduct = Conduct::send(LEN);
    let host = Setup { faults: weather(), mtu: ours, ..setup(conduct) }.start();
    lab::run(&format!("ip link set {TAP} mtu {theirs}"));
    let least = ours.min(theirs);
    for role in ROLES {
        let pair = connect(&host, role, conduct, Dial::default());
        let info = Info::of(&pair);
        assert_eq!(info.number("mss"), Some(u64::from(least) - HEADERS), "{role:?} {ours} {theirs}");
        exchange(&host, &pair, LEN, LEN);
    }
    let [received, sent] = host.stop();
    let longest = usize::from(least) + ETHERNET;
    assert_eq!((received.longest, sent.longest), (longest, longest));
}

#[test]
fn both_ends_have_1500() {
    in_namespace("roles::mtu::both_ends_have_1500", || transfers(1_500, 1_500));
}

#[test]
fn both_ends_have_576() {
    in_namespace("roles::mtu::both_ends_have_576", || transfers(576, 576));
}

#[test]
fn ours_is_576_and_the_kernel_s_1500() {
    in_namespace("roles::mtu::ours_is_576_and_the_kernel_s_1500", || transfers(576, 1_500));
}

#[test]
fn ours_is_1500_and_the_kernel_s_576() {
    in_namespace("roles::mtu::ours_is_1500_and_the_kernel_s_576", || transfers(1_500, 576));
}
