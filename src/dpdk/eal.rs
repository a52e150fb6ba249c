//! DPDK's environment: started once in a process, cleaned up when the last pool and port that were made with
//! it are gone. Knows which virtual devices were asked for and fails where one of them did not appear.

use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::cable::Cable;
use super::console::Quiet;
use super::error::{EalError, errno, strerror};
use super::{diagnosis, log};

/// EAL's own names for the program; what it prints begins with it.
const PROGRAM: &CStr = c"dpdk-tcp";

/// EAL has been started in this process, whether or not that succeeded.
static STARTED: AtomicBool = AtomicBool::new(false);

/// A device of `--vdev`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vdev {
    /// Its name, such as `net_tap0`.
    pub name: String,
    /// What stood after the first comma.
    pub args: String,
}

/// What all clones of an [`Eal`] share.
#[derive(Debug)]
struct Inner {
    vdevs: Vec<Vdev>,
    cables: Mutex<Vec<Arc<Cable>>>,
    /// Indices of ports that somebody configured and did not close yet.
    claimed: Mutex<Vec<u16>>,
}

/// The running environment. Clones are the same one; with the last of them it is cleaned up.
#[derive(Clone, Debug)]
pub struct Eal {
    inner: Arc<Inner>,
}

impl Eal {
    /// Starts EAL with its options, without a program name and without `--`. The calling thread becomes the main
    /// lcore and is pinned to its CPU, and so are threads that it starts later: start helpers before.
    ///
    /// While EAL starts (0.1 s and more), stdout and stderr of the whole process are led away from the terminal,
    /// and DPDK's log stays away for good; with the option `--log-level` both are shown.
    ///
    /// # Errors
    /// One sentence for each known cause; afterwards the process cannot try again.
    pub fn init(options: Vec<String>) -> Result<Eal, EalError> {
        let talkative = options.iter().any(|option| option.starts_with("--log-level"));
        let mut words = vec![PROGRAM.to_owned()];
        for option in options {
            let word = CString::new(option.as_str()).map_err(|_| EalError::ZeroByte(option.clone()))?;
            words.push(word);
        }
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::AlreadyStarted);
        }
        log::capture(talkative);
        let mark = log::mark();
        let argv = Argv::new(words);
        let quiet = if talkative { None } else { Quiet::begin() };
        // SAFETY: argc and argv describe an array of strings that ends with a null pointer; array and strings
        // live as long as the process, as EAL keeps pointers into both. STARTED lets no second call through.
        let consumed = unsafe { dpdk_sys::rte_eal_init(argv.count, argv.words) };
        let number = errno();
        let console = quiet.map(Quiet::end).unwrap_or_default();
        if consumed < 0 {
            return Err(diagnosis::diagnose(&log::since(mark), &console, number));
        }
        // From here on dropping `eal` cleans up.
        let eal = Eal {
            inner: Arc::new(Inner { vdevs: vdevs(), cables: Mutex::default(), claimed: Mutex::default() }),
        };
        let unused = argv.after(consumed);
        if !unused.is_empty() {
            return Err(EalError::UnusedWords(unused.join(" ")));
        }
        let absent = eal.inner.vdevs.iter().find(|vdev| port_id(&vdev.name).is_none());
        match absent {
            Some(vdev) => Err(diagnosis::device_absent(&log::since(mark), &vdev.name)),
            None => Ok(eal),
        }
    }

    /// The DPDK that runs, such as `DPDK 22.11.11`. With shared libraries it may be a later one than the
    /// program was built against.
    pub fn version() -> String {
        // SAFETY: returns a string of DPDK's own that ends in a zero byte and never changes.
        unsafe { CStr::from_ptr(dpdk_sys::rte_version()) }.to_string_lossy().into_owned()
    }

    /// The devices of `--vdev`, in order.
    pub fn vdevs(&self) -> &[Vdev] {
        &self.inner.vdevs
    }

    /// Frames lie on hugepages: EAL was not told to do without.
    pub fn has_hugepages(&self) -> bool {
        // SAFETY: EAL was started, which is when this was decided; it is only read.
        unsafe { dpdk_sys::rte_eal_has_hugepages() != 0 }
    }

    /// Cleans up now. Pages and run-time files are given back; EAL cannot be started again.
    ///
    /// # Errors
    /// Ports or pools are still in use (then the last of them cleans up), or EAL could not let go of something.
    pub fn cleanup(self) -> Result<(), EalError> {
        let Some(inner) = Arc::into_inner(self.inner) else { return Err(EalError::StillInUse) };
        let rc = inner.end();
        // Its drop must not clean up a second time.
        std::mem::forget(inner);
        if rc < 0 { Err(EalError::Cleanup { reason: strerror(rc) }) } else { Ok(()) }
    }

    /// Lets the environment stay as it is for the rest of the process: somebody still has frames of its memory.
    pub(super) fn keep_for_ever(&self) {
        std::mem::forget(self.clone());
    }

    /// Takes a port; false when somebody has it.
    pub(super) fn claim_port(&self, port: u16) -> bool {
        let mut claimed = self.inner.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let free = !claimed.contains(&port);
        if free {
            claimed.push(port);
        }
        free
    }

    pub(super) fn release_port(&self, port: u16) {
        self.inner.claimed.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != port);
    }

    pub(super) fn add_cable(&self, cable: Arc<Cable>) {
        self.inner.cables.lock().unwrap_or_else(PoisonError::into_inner).push(cable);
    }

    /// The cable that a port is an end of.
    pub(super) fn cable_of(&self, port: u16) -> Option<Arc<Cable>> {
        let cables = self.inner.cables.lock().unwrap_or_else(PoisonError::into_inner);
        cables.iter().find(|cable| cable.ports().contains(&port)).cloned()
    }

    pub(super) fn forget_cable(&self, cable: &Arc<Cable>) {
        let mut cables = self.inner.cables.lock().unwrap_or_else(PoisonError::into_inner);
        cables.retain(|other| !Arc::ptr_eq(other, cable));
    }
}

impl Inner {
    fn end(&self) -> i32 {
        // Cables whose ports were never closed: their rings go with EAL's memory, and its ports still know them.
        std::mem::forget(std::mem::take(&mut *self.cables.lock().unwrap_or_else(PoisonError::into_inner)));
        // SAFETY: EAL was started, and this is called once: by the only owner, from `cleanup` or from `drop`.
        // Pools and ports hold an Eal each, so none of them is left.
        unsafe { dpdk_sys::rte_eal_cleanup() }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

/// A copy of the arguments that lives as long as the process: EAL keeps pointers into it, and moves its words.
struct Argv {
    count: i32,
    words: *mut *mut c_char,
}

impl Argv {
    fn new(words: Vec<CString>) -> Argv {
        let mut pointers: Vec<*mut c_char> = words.into_iter().map(CString::into_raw).collect();
        let count = i32::try_from(pointers.len()).unwrap_or(i32::MAX);
        pointers.push(std::ptr::null_mut());
        Argv { count, words: pointers.leak().as_mut_ptr() }
    }

    /// The words that EAL did not use, given the index of the last one that it did.
    fn after(&self, consumed: i32) -> Vec<String> {
        (consumed.saturating_add(1)..self.count)
            .map(|index| {
                // SAFETY: index is below count, and EAL only changes the order of the words: each place up to
                // count holds a pointer to a string that was leaked in `new` (or to the program's name).
                let word = unsafe { CStr::from_ptr(*self.words.add(index as usize)) };
                word.to_string_lossy().into_owned()
            })
            .collect()
    }
}

fn vdevs() -> Vec<Vdev> {
    let mut found = Vec::new();
    let mut cursor = std::ptr::null();
    loop {
        // SAFETY: EAL is started; the cursor is null or what the call before returned, and nobody else changes
        // the list of devices between the calls.
        cursor = unsafe { dpdk_sys::rte_devargs_next(c"vdev".as_ptr(), cursor) };
        if cursor.is_null() {
            return found;
        }
        // SAFETY: the cursor points to an entry of EAL's list; both strings end in a zero byte and live with it.
        let (name, args) =
            unsafe { (text(dpdk_sys::dt_devargs_name(cursor)), text(dpdk_sys::dt_devargs_args(cursor))) };
        found.push(Vdev { name, args });
    }
}

/// # Safety
/// `string` is null or points to a string that ends in a zero byte.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// The index of the port with this device name.
pub(super) fn port_id(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let mut id = 0;
    // SAFETY: a string that ends in a zero byte, and a place for the answer; both outlive the call.
    let rc = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut id) };
    (rc == 0).then_some(id)
}
