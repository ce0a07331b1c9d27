// What the parts of the shim share.
#ifndef WIRELET_SHIM_H
#define WIRELET_SHIM_H

#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "plugin.h"

// Where frames lie, to find the number of one by its address.
struct wirelet_frames {
    const uint8_t *base;
    // Of all of them.
    uint64_t bytes;
    // ceil(2^32 * 64 / bytes of a frame).
    uint64_t reciprocal;
};

// A frame and its rte_mbuf have the same number. All native state lies in the mempool's objects,
// which no guest maps; the frames hold nothing but bytes of packets.
struct wirelet_pool {
    struct wirelet_pool_config config;
    struct rte_mempool *mempool;
    // By frame.
    struct rte_mbuf **mbufs;
    struct wirelet_frames frames;
    // Where devices see each page of the region; a window of their own, or physical memory.
    rte_iova_t *pages;
    uint32_t page_count;
    bool physical;
    // First address of the window.
    uint64_t bus_address;
    // Frames that DPDK has: taken by the mempool or sent, and neither given back nor received.
    int64_t held;
    // Open ports whose devices read and write the frames by themselves.
    uint32_t dma_ports;
    // From when it is populated to when it is freed: before and after, objects are only counted.
    bool ready;
};

// What a driver writes into the field for times.
enum wirelet_unit {
    // Of a clock that it tells to whom asks.
    WIRELET_TICKS,
    // Since the epoch.
    WIRELET_MICROSECONDS,
    WIRELET_NANOSECONDS,
};

// One moment by three clocks.
struct wirelet_reference {
    uint64_t ticks;
    uint64_t monotonic_ns;
    uint64_t wall_ns;
};

// From ticks to nanoseconds since the epoch.
struct wirelet_scale {
    uint64_t ticks;
    uint64_t wall_ns;
    // Nanoseconds of a tick, times 2^32.
    uint64_t rate;
};

// A device's clock. EAL's thread writes it ten times a second, lcores copy it.
struct wirelet_clock {
    enum wirelet_unit unit;
    // Where in an mbuf the time is, and the flag that says so; no flag: nobody stamps.
    int offset;
    uint64_t flag;
    struct wirelet_reference first;
    uint32_t sequence;
    struct wirelet_scale scale;
};

struct wirelet_queue {
    // Read for each burst.
    struct wirelet_pool *pool;
    uint16_t port_id;
    uint16_t index;
    uint16_t port;
    uint16_t tx_descriptors;
    bool linearize;
    const struct wirelet_clock *clock;
    struct wirelet_scale scale;
    uint32_t clock_sequence;
    // Packets that left for DPDK less those that came from it; `held` of the pool without atomics.
    int64_t held;
    struct wirelet_queue_stats stats;
} __rte_cache_aligned;

// What the device carries out, and the rule that each is a part of.
struct wirelet_flow_handles {
    struct rte_flow **handles;
    uint32_t *rules;
    uint32_t count;
    bool counted;
};

struct wirelet_port {
    struct wirelet_pool *pool;
    struct rte_device *device;
    uint16_t id;
    uint16_t queues;
    bool dma_mapped;
    // Set by EAL's interrupt thread.
    bool removed;
    // Of the kernel, that a software driver is on; 0 for none.
    unsigned interface;
    uint32_t xstat_count;
    uint64_t xstat_ids[WIRELET_XSTATS_MAX];
    struct wirelet_clock clock;
    struct wirelet_flow_handles flows;
    struct wirelet_queue queue[];
};

// What the burst call under way on this thread was given.
extern __thread void *wirelet_cache;

void wirelet_log_start(bool tee);
// Forgets what was logged so far.
void wirelet_log_clear(void);
// Writes `what`, the error and what was logged about it; returns `error`.
int wirelet_failed(char *message, int error, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

int wirelet_open_pool(const struct wirelet_pool_config *, struct wirelet_pool **, char *message);
uint64_t wirelet_close_pool(struct wirelet_pool *);
// Frames that the calling thread's cache of the mempool holds go back.
void wirelet_flush_cache(struct wirelet_pool *, unsigned lcore_id);

// Where devices see the region's pages, before its mbufs are made.
int wirelet_open_bus(struct wirelet_pool *);
void wirelet_close_bus(struct wirelet_pool *);
// Of the byte at `offset` of the region.
uint64_t wirelet_bus_address(const struct wirelet_pool *, uint64_t offset);
int wirelet_register_bus(const struct wirelet_pool *);
int wirelet_map_for_dma(struct wirelet_port *, char *message);
void wirelet_unmap_for_dma(struct wirelet_port *);

int wirelet_open_port(const struct wirelet_port_config *, struct wirelet_port **,
                      struct wirelet_port_info *, char *message);
void wirelet_close_port(struct wirelet_port *);
void wirelet_read_port(struct wirelet_port *, struct wirelet_port_stats *);
void wirelet_choose_xstats(struct wirelet_port *, struct wirelet_port_info *);

int wirelet_take_flows(struct wirelet_port *, const struct wirelet_flow *, uint32_t count,
                       bool *counted, char *message);
void wirelet_read_hits(struct wirelet_port *, uint64_t *hits, uint32_t count);
void wirelet_drop_flows(struct wirelet_port *);

uint16_t wirelet_rx_burst(struct wirelet_queue *, void *, struct wirelet_mbuf *, uint16_t);
uint16_t wirelet_tx_burst(struct wirelet_queue *, void *, const struct wirelet_mbuf *, uint16_t);
uint16_t wirelet_pass_burst(struct wirelet_queue *, struct wirelet_queue *to, void *,
                            struct wirelet_mbuf *, uint16_t, struct wirelet_passed *);
// Puts tags back that a driver took out; false where the frame has no room for them.
bool wirelet_restore_tags(struct rte_mbuf *, uint64_t offload);

enum wirelet_unit wirelet_unit_of(const char *driver);
int wirelet_start_clock(struct wirelet_clock *, const char *driver, uint16_t port_id, bool wanted,
                        char *message);
void wirelet_read_clock(struct wirelet_clock *, uint16_t port_id);
void wirelet_follow_clock(struct wirelet_queue *);
uint64_t wirelet_stamp_ns(const struct wirelet_queue *, const struct rte_mbuf *, uint64_t wall_ns);

bool wirelet_tx_pending(struct wirelet_queue *);
void wirelet_tx_cleanup(struct wirelet_queue *, void *);

// Number of the frame that `mbuf` is of, or UINT32_MAX when it is of none.
static inline uint32_t wirelet_frame_of(const struct wirelet_frames *frames,
                                        const struct rte_mbuf *mbuf) {
    uint64_t at = (uint64_t)((const uint8_t *)mbuf->buf_addr - frames->base);
    if (unlikely(at >= frames->bytes)) return UINT32_MAX;
    // Exact: `at` and the bytes of a frame are multiples of 64, and at / 64 is below 2^23.
    return (uint32_t)(((at >> 6) * frames->reciprocal) >> 32);
}

#endif
