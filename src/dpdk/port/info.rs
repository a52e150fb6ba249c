//! Ports before they are configured: which there are, and what they can do.

use std::ffi::{CStr, c_char};

use dpdk_sys::rte_eth_dev_info;

use crate::base::burst::BURST_MAX;
use crate::dpdk::eal::{Eal, port_id};
use crate::dpdk::error::PortError;
use crate::dpdk::offload::Offloads;

/// Descriptors of a queue, where the driver does not prefer more: a flood of small frames must fit while the
/// loop is busy elsewhere.
const DESCRIPTORS: u16 = 1_024;
/// Buffers of the largest segment that a port is to cut.
pub(super) const TSO_FRAMES_MAX: usize = 16;
/// Most queues of one port that can be taken: one bit each.
const QUEUES_MAX: u16 = 64;

/// What is known of a port before it is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortInfo {
    /// Its index.
    pub id: u16,
    /// Its device's name: `net_tap0`, or a PCI address.
    pub name: String,
    /// Its driver's name.
    pub driver: String,
    /// Its NUMA node; -1 when that is unknown.
    pub socket: i32,
    /// Receive descriptors that a queue will have.
    pub rx_descriptors: u16,
    /// Transmit descriptors that a queue will have.
    pub tx_descriptors: u16,
    /// Most queues each way.
    pub queues_max: u16,
    /// Work that it offers to take over.
    pub(super) offered: Offloads,
    /// Most buffers of a frame that it sends; `u16::MAX` where it knows no limit.
    pub(super) tx_buffers_max: u16,
    /// Largest IP packet that its frames can carry, in bytes.
    pub(super) mtu_max: u16,
}

impl PortInfo {
    /// Buffers of segments that wait until the port takes them to be cut; 0 where it cuts none.
    pub fn frames_to_cut(&self) -> u32 {
        let frames =
            if self.offered.tso() { TSO_FRAMES_MAX.min(usize::from(self.tx_buffers_max)) } else { 0 };
        (frames * BURST_MAX) as u32
    }
}

/// All ports that EAL found, in the order of their indices.
pub fn ports(_eal: &Eal) -> Vec<PortInfo> {
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        // SAFETY: EAL is started; any index may be asked for. Owner 0 is nobody: ports that a bond or a
        // fail-safe device has taken are left out.
        let id = unsafe { dpdk_sys::rte_eth_find_next_owned_by(next, 0) };
        let Some(id) = u16::try_from(id).ok().filter(|id| u32::from(*id) < dpdk_sys::DT_MAX_PORTS) else {
            return found;
        };
        found.extend(probe(id));
        next = id + 1;
    }
}

/// The port with this index (from 0) or device name.
///
/// # Errors
/// There is no such port; the sentence names those that are there.
pub fn find(eal: &Eal, wanted: &str) -> Result<PortInfo, PortError> {
    let all = ports(eal);
    if all.is_empty() {
        return Err(PortError::NoPort);
    }
    let index = wanted.parse().ok();
    let found = all
        .iter()
        .find(|port| port.name == wanted || Some(port.id) == index || port_id(wanted) == Some(port.id));
    found.cloned().ok_or_else(|| {
        let known = all.iter().map(|port| format!("{} ({})", port.id, port.name)).collect::<Vec<_>>();
        PortError::Unknown { wanted: wanted.to_owned(), known: known.join(", ") }
    })
}

fn probe(id: u16) -> Option<PortInfo> {
    let mut raw = rte_eth_dev_info::default();
    let mut name = [0 as c_char; dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize];
    // SAFETY: the port exists, and both places are as large as DPDK says they must be.
    let (rc, socket) = unsafe {
        let rc = dpdk_sys::rte_eth_dev_info_get(id, &mut raw)
            | dpdk_sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr());
        (rc, dpdk_sys::rte_eth_dev_socket_id(id))
    };
    if rc != 0 {
        return None;
    }
    let mut rx_descriptors = DESCRIPTORS.max(raw.default_rxportconf.ring_size);
    let mut tx_descriptors = DESCRIPTORS.max(raw.default_txportconf.ring_size);
    // SAFETY: the port exists; both places are read and written during the call only. Where it fails the
    // numbers stay, and the queue's own setup says what is wrong with them.
    unsafe { dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &mut rx_descriptors, &mut tx_descriptors) };
    // What max_rx_pktlen counts beside the packet: the link header and the check sequence.
    let by_frame = raw.max_rx_pktlen.saturating_sub(14 + 4).min(u32::from(u16::MAX)) as u16;
    Some(PortInfo {
        id,
        name: c_text(name.as_ptr()),
        driver: c_text(raw.driver_name),
        socket,
        rx_descriptors,
        tx_descriptors,
        queues_max: raw.max_rx_queues.min(raw.max_tx_queues).min(QUEUES_MAX),
        tx_buffers_max: match raw.tx_desc_lim.nb_seg_max {
            0 => u16::MAX,
            max => max,
        },
        offered: Offloads::within(raw.rx_offload_capa, raw.tx_offload_capa),
        mtu_max: raw.max_mtu.min(by_frame),
    })
}

/// A string of DPDK's or of an array of ours; both end in a zero byte and live through the call.
fn c_text(text: *const c_char) -> String {
    if text.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: not null; see above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
