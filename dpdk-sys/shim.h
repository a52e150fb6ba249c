/*
 * What Rust cannot reach by itself: functions that DPDK defines as static inline (a burst a call, so that the
 * call costs nothing a packet), macros over thread-local variables, constants made by RTE_BIT64, and the places
 * of those fields of struct rte_mbuf that wander between unnamed structs and unions from release to release.
 * No logic lives here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <rte_devargs.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

/* Bursts. */
uint16_t dt_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n);
uint16_t dt_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n);
uint16_t dt_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n);
int dt_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **frames, unsigned int n);
void dt_free_bulk(struct rte_mbuf **frames, unsigned int n);
unsigned int dt_ring_dequeue_burst(struct rte_ring *ring, void **objects, unsigned int n);

/* One frame. */
void dt_free(struct rte_mbuf *frame);
int dt_linearize(struct rte_mbuf *frame);
int dt_chain(struct rte_mbuf *head, struct rte_mbuf *tail);

/* The clock and what is thread-local. */
uint64_t dt_rdtsc(void);
uint64_t dt_tsc_hz(void);
int dt_errno(void);
unsigned int dt_lcore_id(void);

/* Structures whose fields are bit-fields or in unnamed unions. */
int dt_link_get(uint16_t port, uint32_t *speed_mbps, uint8_t *up);
const char *dt_devargs_name(const struct rte_devargs *devargs);
const char *dt_devargs_args(const struct rte_devargs *devargs);

/* A stdio stream that gives each line to `write`, together with the line's log level. */
FILE *dt_log_stream(void (*write)(uint32_t level, const char *text, size_t len));

/* Offsets into struct rte_mbuf, in bytes. */
enum {
	DT_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),     /* void * */
	DT_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),     /* uint16_t */
	DT_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),         /* uint16_t */
	DT_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),       /* uint16_t */
	DT_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),     /* uint64_t */
	DT_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),       /* uint32_t */
	DT_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),     /* uint16_t */
	DT_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),       /* uint16_t */
	DT_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload), /* uint64_t */
	DT_MBUF_SIZE = sizeof(struct rte_mbuf),
	DT_TX_L3_LEN_SHIFT = RTE_MBUF_L3_LEN_OFS,
	DT_TX_L4_LEN_SHIFT = RTE_MBUF_L4_LEN_OFS,
	DT_TX_TSO_SEGSZ_SHIFT = RTE_MBUF_TSO_SEGSZ_OFS
};

/* Flags of one frame. */
static const uint64_t DT_RX_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t DT_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t DT_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t DT_RX_L4_CKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t DT_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t DT_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t DT_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t DT_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t DT_TX_IP_CKSUM = RTE_MBUF_F_TX_IP_CKSUM;
static const uint64_t DT_TX_TCP_CKSUM = RTE_MBUF_F_TX_TCP_CKSUM;
static const uint64_t DT_TX_TCP_SEG = RTE_MBUF_F_TX_TCP_SEG;
static const uint64_t DT_FOREIGN_BUFFER = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;

/* Offloads of a port. */
static const uint64_t DT_PORT_RX_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t DT_PORT_RX_TCP_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t DT_PORT_TX_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t DT_PORT_TX_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t DT_PORT_TX_TCP_TSO = RTE_ETH_TX_OFFLOAD_TCP_TSO;
static const uint64_t DT_PORT_TX_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint32_t DT_MAX_PORTS = RTE_MAX_ETHPORTS;
