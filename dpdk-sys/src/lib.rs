//! Raw bindings to the parts of DPDK that `dpdk-tcp` calls, and all of its linking. Everything here is unsafe
//! to use and says nothing of how: the safe side is `dpdk_tcp::dpdk`, which is the only caller but for a bench and a test.
//!
//! The bindings are made at build time from the headers of the DPDK that is installed (22.11 LTS or newer) and
//! carry DPDK's own names; DPDK's API guide documents them. What DPDK defines as `static inline`, as a macro or
//! as a bit-field comes through the shim (`shim.h`, `shim.c`), whose names begin with `dt_` and `DT_`:
//!
//! | Name | DPDK's |
//! |---|---|
//! | `dt_rx_burst`, `dt_tx_burst` | `rte_eth_rx_burst`, `rte_eth_tx_burst` |
//! | `dt_alloc_bulk`, `dt_free_bulk`, `dt_free` | `rte_pktmbuf_alloc_bulk`, `rte_pktmbuf_free_bulk`, `rte_pktmbuf_free` |
//! | `dt_linearize` | `rte_pktmbuf_linearize` |
//! | `dt_ring_dequeue_burst` | `rte_ring_dequeue_burst` |
//! | `dt_rdtsc`, `dt_tsc_hz` | `rte_rdtsc`, `rte_get_tsc_hz` |
//! | `dt_errno`, `dt_lcore_id` | `rte_errno`, `rte_lcore_id()` |
//! | `dt_link_get` | `rte_eth_link_get_nowait`, speed in Mbit/s and state |
//! | `dt_devargs_name`, `dt_devargs_args` | fields of `struct rte_devargs` |
//! | `dt_log_stream` | a stream for `rte_openlog_stream` that calls back with each line |
//! | `DT_MBUF_*` | offsets of fields of `struct rte_mbuf`, in bytes |
//! | `DT_RX_*`, `DT_TX_*` | `RTE_MBUF_F_RX_*`, `RTE_MBUF_F_TX_*`, and shifts into `tx_offload` |
//! | `DT_PORT_*` | `RTE_ETH_RX_OFFLOAD_*`, `RTE_ETH_TX_OFFLOAD_*` |

/// The generated part, in a module of its own so that its exceptions from the lints end with it.
mod bindings {
    #![allow(
        missing_docs,
        non_camel_case_types,
        non_snake_case,
        non_upper_case_globals,
        unsafe_op_in_unsafe_fn,
        unused_qualifications,
        reason = "generated from C headers"
    )]
    #![allow(clippy::all, reason = "generated from C headers")]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;
