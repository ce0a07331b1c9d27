// The data path: rte_mbufs to the engine's mbufs and back. Neither way copies a byte of a packet.
#include <time.h>

#include <rte_ethdev.h>

#include "shim.h"

static uint64_t wall_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// Rare: packets of several segments, runts, and what is not of our frames. True when it became a
// packet of one segment in a frame of ours.
static __rte_noinline bool mend(struct wirelet_queue *queue, struct rte_mbuf *mbuf) {
    uint32_t bytes = rte_pktmbuf_pkt_len(mbuf);
    struct wirelet_queue_stats *stats = &queue->stats;
    if (wirelet_frame_of(queue->pool, mbuf) == UINT32_MAX) {
        stats->unsupported++;
    } else if (bytes < WIRELET_PACKET_BYTES_MIN) {
        stats->too_short++;
    } else if (mbuf->nb_segs > 1 && !queue->linearize) {
        stats->unsupported++;
    } else if (mbuf->nb_segs > 1 && rte_pktmbuf_linearize(mbuf) != 0) {
        stats->too_long++;
    } else {
        stats->linearized++;
        return true;
    }
    stats->drop_bytes += bytes;
    rte_pktmbuf_free(mbuf);
    return false;
}

static inline uint8_t flags_of(uint64_t offload) {
    uint8_t flags = 0;
    if ((offload & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD) {
        flags |= WIRELET_IP_CHECKSUM_GOOD;
    }
    if ((offload & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
        flags |= WIRELET_L4_CHECKSUM_GOOD;
    }
    if (offload & RTE_MBUF_F_RX_RSS_HASH) flags |= WIRELET_HASH_VALID;
    return flags;
}

uint16_t wirelet_rx_burst(struct wirelet_queue *queue, void *cache, struct wirelet_mbuf *out,
                          uint16_t count) {
    const struct wirelet_pool *pool = queue->pool;
    struct rte_mbuf *mbufs[WIRELET_BURST_MAX];
    wirelet_cache = cache;
    count = RTE_MIN(count, (uint16_t)WIRELET_BURST_MAX);
    uint16_t received = rte_eth_rx_burst(queue->port_id, queue->index, mbufs, count);
    uint16_t kept = 0;
    uint64_t timestamp_ns = received == 0 ? 0 : wall_ns();
    for (uint16_t i = 0; i < received; i++) {
        struct rte_mbuf *mbuf = mbufs[i];
        uint64_t offload = mbuf->ol_flags;
        uint32_t frame = wirelet_frame_of(pool, mbuf);
        bool odd = mbuf->nb_segs != 1 || mbuf->data_len < WIRELET_PACKET_BYTES_MIN ||
                   frame == UINT32_MAX;
        if (unlikely(odd) && !mend(queue, mbuf)) continue;
        // Some drivers clear it, and the mbuf may go back to the mempool by any way.
        if (!(offload & RTE_MBUF_F_EXTERNAL)) mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
        out[kept++] = (struct wirelet_mbuf){
            .frame = frame,
            .length = mbuf->data_len,
            .offset = mbuf->data_off,
            .port = queue->port,
            .flags = flags_of(offload),
            .hash = offload & RTE_MBUF_F_RX_RSS_HASH ? mbuf->hash.rss : 0,
            .timestamp_ns = timestamp_ns,
        };
    }
    wirelet_cache = NULL;
    queue->held -= kept;
    return kept;
}

uint16_t wirelet_tx_burst(struct wirelet_queue *queue, void *cache, const struct wirelet_mbuf *in,
                          uint16_t count) {
    struct rte_mbuf *mbufs[WIRELET_BURST_MAX];
    uint16_t sent = 0;
    wirelet_cache = cache;
    count = RTE_MIN(count, (uint16_t)WIRELET_BURST_MAX);
    for (uint16_t i = 0; i < count; i++) {
        // Everything that a driver reads is written here: programs and other devices have moved
        // the packet, and know nothing of this header.
        struct rte_mbuf *mbuf = queue->pool->mbufs[in[i].frame];
        mbuf->data_off = in[i].offset;
        rte_mbuf_refcnt_set(mbuf, 1);
        mbuf->nb_segs = 1;
        mbuf->port = queue->port_id;
        mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
        mbuf->pkt_len = in[i].length;
        mbuf->data_len = in[i].length;
        mbufs[i] = mbuf;
    }
    sent = rte_eth_tx_burst(queue->port_id, queue->index, mbufs, count);
    wirelet_cache = NULL;
    queue->held += sent;
    return sent;
}

bool wirelet_tx_pending(struct wirelet_queue *queue) {
    // From the tail on and around the ring: the descriptor before it is that of the last packet.
    uint16_t last = queue->tx_descriptors - 1;
    int status = rte_eth_tx_descriptor_status(queue->port_id, queue->index, last);
    return status == RTE_ETH_TX_DESC_FULL;
}

void wirelet_tx_cleanup(struct wirelet_queue *queue, void *cache) {
    wirelet_cache = cache;
    rte_eth_tx_done_cleanup(queue->port_id, queue->index, 0);
    wirelet_cache = NULL;
}
