//! Ports: finding them, configuring them with all checksum work that they offer, starting and closing them.

mod info;
mod state;

pub use info::{PortInfo, find, ports};
pub use state::{Description, Link, PortStats};

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use dpdk_sys::{rte_eth_conf, rte_eth_stats, rte_ether_addr};

use super::eal::Eal;
use super::error::{PortError, strerror};
use super::mempool::{Kept, Mempool};
use super::offload::Offloads;
use super::queue::Queue;
use super::{diagnosis, log};
use crate::link::{Caps, Tso};
use crate::stats::counters::Counters;
use crate::stats::losses::Losses;

/// The MTU that any Ethernet carries.
const MTU_ETHERNET: u16 = 1_500;
/// Devices that carry what they are given, though they cannot be told how much that is: both ends lie in one
/// process, or agree on buffers by themselves, or nobody listens.
const MTU_BY_AGREEMENT: [&str; 3] = ["net_ring", "net_memif", "net_null"];
/// Most octets of text of a segment that a port is to cut: half of what a packet could hold, so that one
/// connection does not fill a transmit ring; fewer where buffers are small.
const TSO_TEXT_MAX: usize = 32_000;
/// Ethernet, IP and TCP headers at their longest.
const HEADERS_MAX: usize = 14 + 20 + 60;
/// Frames that net_af_xdp keeps a queue after its close: its fill ring and a batch of completions (seen).
const AF_XDP_KEEPS: u32 = 2_048 + 32;
/// Frames that a memif client with zero copy keeps: its ring and a batch (seen).
const MEMIF_KEEPS: u32 = 1_024 + 32;

/// How a port is to be configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// Queues each way, at least 1.
    pub queues: u16,
    /// Largest IP packet in bytes; `None` leaves what the device has.
    pub mtu: Option<u16>,
    /// Takes the work that the port offers.
    pub offloads: bool,
    /// That includes cutting large segments.
    pub tso: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        PortConfig { queues: 1, mtu: None, offloads: true, tso: true }
    }
}

/// The error of a step, with the driver's words since `mark` or what the error number means.
fn driver_error(info: &PortInfo, step: &'static str, mark: u64, rc: i32) -> PortError {
    let reason = diagnosis::first_words(&log::since(mark)).unwrap_or_else(|| strerror(rc));
    let cure = match (info.driver.as_str(), step) {
        ("net_memif", "started") => "start the other end with role=server first",
        ("net_af_xdp" | "net_af_packet" | "net_pcap", _) => {
            "look whether its interface is still there and up"
        }
        _ => "look whether another program uses the device, and at the guide of its driver",
    };
    PortError::Driver { port: info.name.clone(), driver: info.driver.clone(), step, reason, cure }
}

/// A unicast, locally administered address (bit 1 of the first byte set, bit 0 clear) for a port whose device
/// has none, such as net_ring: `02:64:74:63` and the port's index.
const fn generated_mac(id: u16) -> [u8; 6] {
    let [high, low] = id.to_be_bytes();
    [0x02, 0x64, 0x74, 0x63, high, low]
}

/// What a port and its queues hold together. The port is closed when the last of them goes.
#[derive(Debug)]
pub(super) struct PortShared {
    info: PortInfo,
    pool: Arc<Mempool>,
    started: AtomicBool,
    closed: AtomicBool,
    /// A bit for each queue that was given out.
    taken: AtomicU64,
    eal: Eal,
}

impl PortShared {
    pub fn id(&self) -> u16 {
        self.info.id
    }

    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    fn link(&self) -> Link {
        let (mut speed_mbps, mut up) = (0, 0);
        // SAFETY: the port is open; both places are written during the call only.
        let rc = unsafe { dpdk_sys::dt_link_get(self.id(), &mut speed_mbps, &mut up) };
        Link { up: rc == 0 && up != 0, speed_mbps }
    }

    fn stats(&self) -> PortStats {
        let mut raw = rte_eth_stats::default();
        // SAFETY: the port is open; the place is written during the call only.
        if unsafe { dpdk_sys::rte_eth_stats_get(self.id(), &mut raw) } != 0 {
            return PortStats::default();
        }
        PortStats {
            rx_frames: raw.ipackets,
            tx_frames: raw.opackets,
            rx_bytes: raw.ibytes,
            tx_bytes: raw.obytes,
            losses: Losses {
                rx_missed: raw.imissed,
                rx_no_frame: raw.rx_nombuf,
                rx_errors: raw.ierrors,
                tx_errors: raw.oerrors,
            },
        }
    }

    /// Stops and closes the device, once.
    fn shut(&self) -> Result<(), PortError> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let (id, mark) = (self.info.id, log::mark());
        // SAFETY: the port exists and nobody polls it: each queue holds this struct, and it is dropped or the
        // caller has made sure that it is the only owner.
        let stopped =
            if self.started.load(Ordering::SeqCst) { unsafe { dpdk_sys::rte_eth_dev_stop(id) } } else { 0 };
        // SAFETY: as above; the port is stopped, and is not used after this.
        let closed = unsafe { dpdk_sys::rte_eth_dev_close(id) };
        if let Some(cable) = self.eal.cable_of(id)
            && cable.end_closed(id)
        {
            self.eal.forget_cable(&cable);
        }
        self.eal.release_port(id);
        match (stopped, closed) {
            (0, 0) => Ok(()),
            (0, rc) => Err(driver_error(&self.info, "closed", mark, rc)),
            (rc, _) => Err(driver_error(&self.info, "stopped", mark, rc)),
        }
    }
}

impl Drop for PortShared {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; `Port::close` is for those who want to.
        let _ = self.shut();
    }
}

/// A port, seen from outside of its loop.
#[derive(Clone, Debug)]
pub struct Watch {
    port: Weak<PortShared>,
}

impl Watch {
    /// Its link and its counts now; nothing once it is closed. Must not be under way while it is being closed:
    /// [`Port::close`] would find it in use.
    pub fn look(&self) -> Option<(Link, PortStats)> {
        let port = self.port.upgrade()?;
        Some((port.link(), port.stats()))
    }
}

/// A configured port.
#[derive(Debug)]
pub struct Port {
    shared: Arc<PortShared>,
    queues: u16,
    mac: [u8; 6],
    mtu: u16,
    offloads: Offloads,
}

impl Port {
    /// Configures a port and its queues, which take their frames from `pool`.
    ///
    /// # Errors
    /// The driver refuses, has too few queues, or cannot carry packets of the MTU.
    pub fn configure(
        eal: &Eal,
        info: &PortInfo,
        config: PortConfig,
        pool: &Arc<Mempool>,
    ) -> Result<Port, PortError> {
        if config.queues == 0 || config.queues > info.queues_max {
            let reason = "the device has fewer";
            return Err(PortError::Queue { port: info.name.clone(), queue: config.queues, reason });
        }
        if let Some(mtu) = config.mtu.filter(|mtu| *mtu > pool.mtu_max()) {
            return Err(PortError::Mtu {
                port: info.name.clone(),
                driver: info.driver.clone(),
                asked: mtu,
                fits: MTU_ETHERNET,
                reason: "the buffers of its pool are shorter".to_owned(),
            });
        }
        let offloads = match (config.offloads, config.tso) {
            (true, true) if tso(info, pool.buffer_room(), 0).is_some() => info.offered,
            (true, _) => info.offered.without_tso(),
            (false, _) => Offloads::default(),
        };
        if !eal.claim_port(info.id) {
            return Err(PortError::Claimed { port: info.name.clone() });
        }
        // From here on an error closes the port and releases it.
        let shared = Arc::new(PortShared {
            info: info.clone(),
            pool: pool.clone(),
            started: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            eal: eal.clone(),
        });
        configure_device(info, config, offloads)?;
        set_up_queues(info, config.queues, pool)?;
        if let Some(kept) = kept_by(eal, info, config.queues) {
            pool.expect_kept(kept);
        }
        let mtu = match config.mtu {
            Some(mtu) if agrees(info) => mtu,
            _ => mtu_of(info.id),
        };
        Ok(Port { mac: address(info), mtu, shared, queues: config.queues, offloads })
    }

    /// Starts the device: frames flow from here on.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn start(&mut self) -> Result<(), PortError> {
        let mark = log::mark();
        // SAFETY: the port is configured and its queues are set up.
        let rc = unsafe { dpdk_sys::rte_eth_dev_start(self.id()) };
        if rc != 0 {
            return Err(driver_error(&self.shared.info, "started", mark, rc));
        }
        self.shared.started.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// A queue pair, each number once. Drops for which the device layer is the reason are counted in
    /// `counters`, by the loop that uses the queue.
    ///
    /// # Errors
    /// There is no such queue, or it was taken, or the port is not started.
    pub fn queue(&self, number: u16, counters: Arc<Counters>) -> Result<Queue, PortError> {
        let refuse = |reason| PortError::Queue { port: self.shared.info.name.clone(), queue: number, reason };
        if number >= self.queues {
            return Err(refuse("it was configured with fewer"));
        }
        if !self.shared.started.load(Ordering::SeqCst) {
            return Err(refuse("it is not started"));
        }
        let bit = 1 << number;
        if self.shared.taken.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
            return Err(refuse("it was taken before"));
        }
        Ok(Queue::new(self.shared.clone(), number, self.caps(), counters))
    }

    /// The port's index.
    pub fn id(&self) -> u16 {
        self.shared.info.id
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.shared.info.name
    }

    /// The driver's name.
    pub fn driver(&self) -> &str {
        &self.shared.info.driver
    }

    /// What the port does.
    pub fn caps(&self) -> Caps {
        Caps {
            mac: self.mac,
            mtu: self.mtu,
            tx_ip_checksum: self.offloads.tx_ip_checksum(),
            tx_tcp_checksum: self.offloads.tx_tcp_checksum(),
            rx_checksum: self.offloads.rx_checksum(),
            tso: if self.offloads.tso() {
                tso(&self.shared.info, self.shared.pool.buffer_room(), self.mtu)
            } else {
                None
            },
        }
    }

    /// The state of the link now, without waiting.
    pub fn link(&self) -> Link {
        self.shared.link()
    }

    /// The device's own counts; zeros where it has none.
    pub fn stats(&self) -> PortStats {
        self.shared.stats()
    }

    /// A look at the port from another thread, for as long as it is open.
    pub fn watch(&self) -> Watch {
        Watch { port: Arc::downgrade(&self.shared) }
    }

    /// A line for the banner: name, driver, address, MTU, link and offloads taken.
    pub fn describe(&self) -> Description {
        Description {
            name: self.shared.info.name.clone(),
            driver: self.shared.info.driver.clone(),
            mac: self.mac,
            mtu: self.mtu,
            link: self.link(),
            offloads: self.offloads,
        }
    }

    /// Stops and closes the device, which returns its frames. All its queues must have been dropped before.
    ///
    /// # Errors
    /// A queue is still in use (then the last one closes the port), or the driver refuses.
    pub fn close(self) -> Result<(), PortError> {
        match Arc::into_inner(self.shared) {
            Some(shared) => shared.shut(),
            None => Err(PortError::StillInUse),
        }
    }
}

/// `rte_eth_dev_configure` and the MTU.
fn configure_device(info: &PortInfo, config: PortConfig, offloads: Offloads) -> Result<(), PortError> {
    let before = mtu_of(info.id);
    // What is agreed upon elsewhere is not the device's business; net_memif would refuse to hear of it.
    let mtu = config.mtu.filter(|_| !agrees(info)).unwrap_or(before);
    let refuse = |reason: String, fits: u16| PortError::Mtu {
        port: info.name.clone(),
        driver: info.driver.clone(),
        asked: mtu,
        fits,
        reason,
    };
    if mtu > info.mtu_max {
        return Err(refuse("its frames are shorter".to_owned(), info.mtu_max));
    }
    let mut conf = rte_eth_conf::default();
    conf.rxmode.mtu = u32::from(mtu);
    conf.rxmode.offloads = offloads.rx;
    conf.txmode.offloads = offloads.tx;
    let mark = log::mark();
    // SAFETY: the port exists and is not started; `conf` is read during the call only.
    let rc = unsafe { dpdk_sys::rte_eth_dev_configure(info.id, config.queues, config.queues, &conf) };
    if rc != 0 {
        return Err(driver_error(info, "configured", mark, rc));
    }
    if mtu == before {
        return Ok(());
    }
    // SAFETY: the port is configured.
    match unsafe { dpdk_sys::rte_eth_dev_set_mtu(info.id, mtu) } {
        0 => Ok(()),
        // A device without the call sends what it is given; less than it can carry is no risk.
        rc if rc == -libc::ENOTSUP && mtu <= before => Ok(()),
        rc => Err(refuse(strerror(rc), before.min(MTU_ETHERNET))),
    }
}

fn set_up_queues(info: &PortInfo, queues: u16, pool: &Mempool) -> Result<(), PortError> {
    let socket = info.socket as u32;
    for number in 0..queues {
        let mark = log::mark();
        // SAFETY: the port is configured with at least this many queues; a null configuration means the driver's
        // own. The pool outlives the port, whose shared part holds it.
        let rc = unsafe {
            let rx = dpdk_sys::rte_eth_rx_queue_setup(
                info.id,
                number,
                info.rx_descriptors,
                socket,
                std::ptr::null(),
                pool.as_ptr(),
            );
            if rx != 0 {
                rx
            } else {
                dpdk_sys::rte_eth_tx_queue_setup(
                    info.id,
                    number,
                    info.tx_descriptors,
                    socket,
                    std::ptr::null(),
                )
            }
        };
        if rc != 0 {
            return Err(driver_error(info, "configured", mark, rc));
        }
    }
    Ok(())
}

fn agrees(info: &PortInfo) -> bool {
    MTU_BY_AGREEMENT.contains(&info.driver.as_str())
}

/// The segments that a port can cut, in buffers of `room` bytes and into packets of at most `mtu`.
fn tso(info: &PortInfo, room: u16, mtu: u16) -> Option<Tso> {
    let all = TSO_TEXT_MAX + HEADERS_MAX;
    let wanted = all.div_ceil(usize::from(room).max(1));
    let frames = wanted.min(usize::from(info.tx_buffers_max)).min(info::TSO_FRAMES_MAX);
    let text_max = (frames * usize::from(room)).min(all).saturating_sub(HEADERS_MAX);
    // net_tap counts the link header too when it compares with the MTU, and then takes no more frames at all.
    let link = if info.driver == "net_tap" { 0 } else { 14 };
    let tso = Tso { text_max: text_max as u16, frame_max: mtu.saturating_add(link), frames };
    // Less than two full packets are not worth it.
    (info.offered.tso() && text_max >= 2 * usize::from(mtu)).then_some(tso)
}

/// The frames that a driver is known to keep when it is closed.
fn kept_by(eal: &Eal, info: &PortInfo, queues: u16) -> Option<Kept> {
    let args = eal.vdevs().iter().find(|vdev| vdev.name == info.name).map_or("", |vdev| vdev.args.as_str());
    let (mbufs, why) = match info.driver.as_str() {
        "net_af_xdp" => (AF_XDP_KEEPS * u32::from(queues), "in the kernel's fill and completion rings"),
        "net_memif" if args.contains("zero-copy=yes") => {
            (MEMIF_KEEPS * u32::from(queues), "in its zero-copy ring")
        }
        _ => return None,
    };
    Some(Kept { device: info.name.clone(), mbufs, why })
}

/// The port's address. Where the device has none, it gets a generated one; where it cannot be told, it is made
/// promiscuous, so that frames for that address arrive all the same.
fn address(info: &PortInfo) -> [u8; 6] {
    let mut found = rte_ether_addr::default();
    // SAFETY: the port exists; the place is written during the call only.
    let rc = unsafe { dpdk_sys::rte_eth_macaddr_get(info.id, &mut found) };
    if rc == 0 && found.addr_bytes != [0; 6] {
        return found.addr_bytes;
    }
    let mut made = rte_ether_addr { addr_bytes: generated_mac(info.id) };
    // SAFETY: the port exists; the address is read during the calls only. A device that can do neither has no
    // filter for addresses at all.
    unsafe {
        if dpdk_sys::rte_eth_dev_default_mac_addr_set(info.id, &mut made) != 0 {
            dpdk_sys::rte_eth_promiscuous_enable(info.id);
        }
    }
    made.addr_bytes
}

fn mtu_of(id: u16) -> u16 {
    let mut mtu = MTU_ETHERNET;
    // SAFETY: the port exists; the place is written during the call only, and stays as it is where that fails.
    unsafe { dpdk_sys::rte_eth_dev_get_mtu(id, &mut mtu) };
    mtu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_addresses_are_unicast_local_and_differ() {
        let [a, b] = [generated_mac(0), generated_mac(259)];
        assert!(a[0] & 1 == 0 && a[0] & 2 == 2);
        assert_eq!(b[4..], [1, 3]);
        assert_ne!(a, b);
    }
}
