//! Two ports joined in memory: what one sends the other receives, frame by frame, without a copy. For tests and
//! benches, where both ends live in one process.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys::{RING_F_SC_DEQ, RING_F_SP_ENQ, rte_ring};

use super::eal::Eal;
use super::error::{PortError, errno, strerror};

/// Two crossed rings. Ring `n` is the one that port `n` of the pair receives from.
#[derive(Debug)]
pub(super) struct Cable {
    ports: [u16; 2],
    rings: [Ring; 2],
    closed: Mutex<[bool; 2]>,
}

#[derive(Debug)]
struct Ring(NonNull<rte_ring>);

// SAFETY: an rte_ring may be used from several threads; at most one of them receives and one sends, which is
// what a port with one queue each way does.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    fn create(name: &str, slots: u32) -> Result<Ring, String> {
        let name = CString::new(name).map_err(|_| "a zero byte in its name".to_owned())?;
        // SAFETY: EAL is started; the name ends in a zero byte and is copied.
        let ring =
            unsafe { dpdk_sys::rte_ring_create(name.as_ptr(), slots, -1, RING_F_SP_ENQ | RING_F_SC_DEQ) };
        NonNull::new(ring).map(Ring).ok_or_else(|| strerror(errno()))
    }

    /// Frees the frames in the ring. Only for whoever is its only receiver.
    fn drain(&self) {
        let mut frames = [std::ptr::null_mut(); 32];
        loop {
            // SAFETY: the ring is valid as long as self, and the array has as many places as are asked for.
            let n = unsafe { dpdk_sys::dt_ring_dequeue_burst(self.0.as_ptr(), frames.as_mut_ptr(), 32) };
            if n == 0 {
                return;
            }
            // SAFETY: the first n places hold frames that a port has sent, and nobody else owns them now.
            unsafe { dpdk_sys::dt_free_bulk(frames.as_mut_ptr().cast(), n) };
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.drain();
        // SAFETY: both ports are closed or were never made, so nobody refers to the ring.
        unsafe { dpdk_sys::rte_ring_free(self.0.as_ptr()) }
    }
}

impl Cable {
    /// The ports at its ends.
    pub fn ports(&self) -> [u16; 2] {
        self.ports
    }

    /// Tells that a port at one end is closed, and frees the frames that nobody will receive any more. True
    /// when both ends are closed.
    pub fn end_closed(&self, port: u16) -> bool {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        for end in 0..2 {
            if self.ports[end] == port {
                closed[end] = true;
            }
            // Its receiver is gone, so that this is the only one now; the other end may still send.
            if closed[end] {
                self.rings[end].drain();
            }
        }
        *closed == [true, true]
    }
}

/// Makes two ports, named `net_ring_NAMEa` and `net_ring_NAMEb`, that are joined by a cable of `slots` frames
/// each way (a power of two; one slot stays empty). They are configured and used like any other port, with one
/// queue each way, and their frames are freed when both are closed.
///
/// # Errors
/// The name is taken or longer than 16 bytes, the slots are not a power of two, or memory is short.
pub fn create_ring_pair(eal: &Eal, name: &str, slots: u32) -> Result<[u16; 2], PortError> {
    let failed = |reason: String| PortError::Cable { name: name.to_owned(), reason };
    let rings = [
        Ring::create(&format!("{name}a_rx"), slots).map_err(failed)?,
        Ring::create(&format!("{name}b_rx"), slots).map_err(failed)?,
    ];
    let mut ports = [0; 2];
    for (end, (port, letter)) in ports.iter_mut().zip(["a", "b"]).enumerate() {
        let port_name = CString::new(format!("{name}{letter}")).map_err(|cause| failed(cause.to_string()))?;
        let (rx, tx) = ([rings[end].0.as_ptr()], [rings[1 - end].0.as_ptr()]);
        // SAFETY: EAL is started; the name is copied, and both arrays have the one element that is announced.
        let id =
            unsafe { dpdk_sys::rte_eth_from_rings(port_name.as_ptr(), rx.as_ptr(), 1, tx.as_ptr(), 1, 0) };
        // A first port whose second could not be made stays without a user; its rings are leaked with it, as it
        // still refers to them.
        if id < 0 {
            let reason = strerror(errno());
            if end > 0 {
                std::mem::forget(rings);
            }
            return Err(failed(reason));
        }
        *port = u16::try_from(id).map_err(|_| failed("its number is too large".to_owned()))?;
    }
    eal.add_cable(Arc::new(Cable { ports, rings, closed: Mutex::new([false; 2]) }));
    Ok(ports)
}
