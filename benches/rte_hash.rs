//! DPDK's own hash table, `rte_hash`, as a peer in benches; on pages like those of all other tables.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr;

use dpdk_tcp::base::pages;
use dpdk_tcp::dpdk::eal::Eal;

/// Keys looked up at once.
pub const BULK: usize = 32;
/// A key of the length for which DPDK compares fastest.
pub type Key = [u8; 16];

const HUGE_PAGE: usize = 2 << 20;

/// A table, and the memory that it stands in.
pub struct RteHash {
    table: *mut dpdk_sys::rte_hash,
    _memory: Vec<u8>,
    _eal: Eal,
}

impl RteHash {
    /// An empty table for so many keys. Starts EAL, which a process can do once.
    pub fn new(entries: u32) -> RteHash {
        let options = ["--no-huge", "--no-shconf", "-m", "64", "--no-pci", "--no-telemetry", "-l", "0"];
        let eal = Eal::init(options.map(str::to_owned).to_vec()).unwrap();
        // Buckets of 8 keys for a power of two of them, the keys themselves, and the list of those that are free.
        let bytes = entries.next_power_of_two() as usize * 16 + entries as usize * 32 + (64 << 20);
        let memory = pages::vec(bytes.next_multiple_of(HUGE_PAGE) + HUGE_PAGE, |_| 0u8);
        let begin = memory.as_ptr().align_offset(HUGE_PAGE);
        let len = bytes.next_multiple_of(HUGE_PAGE);
        let name = c"bench".as_ptr();
        let mut parameters = dpdk_sys::rte_hash_parameters {
            name,
            entries,
            key_len: size_of::<Key>() as u32,
            hash_func_init_val: 0x1234_5678,
            ..Default::default()
        };
        // SAFETY: EAL is started. The heap's memory is `len` bytes from a page boundary on within `memory`, which lives
        // as long as the table does and is used by nobody else; DPDK copies the parameters.
        let table = unsafe {
            assert_eq!(dpdk_sys::rte_malloc_heap_create(name), 0, "a heap");
            let heap = memory.as_ptr().add(begin).cast_mut().cast::<c_void>();
            let added = dpdk_sys::rte_malloc_heap_memory_add(name, heap, len, ptr::null_mut(), 0, HUGE_PAGE);
            assert_eq!(added, 0, "memory for the heap");
            parameters.socket_id = dpdk_sys::rte_malloc_heap_get_socket(name);
            dpdk_sys::rte_hash_create(&parameters)
        };
        assert!(!table.is_null(), "a table of {entries} keys");
        RteHash { table, _memory: memory, _eal: eal }
    }

    /// Adds a key; its position.
    pub fn add(&mut self, key: &Key) -> i32 {
        // SAFETY: a live table, used by one thread, and a key of the length that it was made for.
        unsafe { dpdk_sys::rte_hash_add_key(self.table, key.as_ptr().cast()) }
    }

    /// The positions of keys; negative for those that are not there.
    #[inline]
    pub fn lookup(&self, keys: &[Key; BULK]) -> [i32; BULK] {
        let mut pointers = keys.each_ref().map(|key| key.as_ptr().cast::<c_void>());
        let mut positions = [0; BULK];
        // SAFETY: a live table that nobody changes meanwhile, and as many keys and places as are said.
        unsafe {
            let (keys, count) = (pointers.as_mut_ptr(), BULK as u32);
            dpdk_sys::rte_hash_lookup_bulk(self.table, keys, count, positions.as_mut_ptr());
        }
        positions
    }
}

impl Drop for RteHash {
    fn drop(&mut self) {
        // SAFETY: the table is live, and nobody uses it any more.
        unsafe { dpdk_sys::rte_hash_free(self.table) }
    }
}
