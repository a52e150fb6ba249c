#define _GNU_SOURCE
#include "shim.h"

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

uint16_t dt_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
	return rte_eth_rx_burst(port, queue, frames, n);
}

uint16_t dt_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
	return rte_eth_tx_burst(port, queue, frames, n);
}

uint16_t dt_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n)
{
	return rte_eth_tx_prepare(port, queue, frames, n);
}

int dt_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **frames, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(pool, frames, n);
}

void dt_free_bulk(struct rte_mbuf **frames, unsigned int n)
{
	rte_pktmbuf_free_bulk(frames, n);
}

unsigned int dt_ring_dequeue_burst(struct rte_ring *ring, void **objects, unsigned int n)
{
	return rte_ring_dequeue_burst(ring, objects, n, NULL);
}

void dt_free(struct rte_mbuf *frame)
{
	rte_pktmbuf_free(frame);
}

int dt_linearize(struct rte_mbuf *frame)
{
	return rte_pktmbuf_linearize(frame);
}

int dt_chain(struct rte_mbuf *head, struct rte_mbuf *tail)
{
	return rte_pktmbuf_chain(head, tail);
}

uint64_t dt_rdtsc(void)
{
	return rte_rdtsc();
}

uint64_t dt_tsc_hz(void)
{
	return rte_get_tsc_hz();
}

int dt_errno(void)
{
	return rte_errno;
}

unsigned int dt_lcore_id(void)
{
	return rte_lcore_id();
}

int dt_link_get(uint16_t port, uint32_t *speed_mbps, uint8_t *up)
{
	struct rte_eth_link link = { 0 };
	int rc = rte_eth_link_get_nowait(port, &link);

	*speed_mbps = link.link_speed;
	*up = link.link_status;
	return rc;
}

const char *dt_devargs_name(const struct rte_devargs *devargs)
{
	return devargs->name;
}

const char *dt_devargs_args(const struct rte_devargs *devargs)
{
	return devargs->args;
}

typedef void (*line_sink)(uint32_t level, const char *text, size_t len);

static ssize_t sink_write(void *cookie, const char *text, size_t len)
{
	line_sink *sink = cookie;

	(*sink)((uint32_t)rte_log_cur_msg_loglevel(), text, len);
	return (ssize_t)len;
}

FILE *dt_log_stream(line_sink write)
{
	static line_sink sink;
	const cookie_io_functions_t calls = { .write = sink_write };
	FILE *stream;

	sink = write;
	stream = fopencookie(&sink, "w", calls);
	if (stream != NULL)
		setvbuf(stream, NULL, _IOLBF, 0);
	return stream;
}
