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
    if (wirelet_frame_of(&queue->pool->frames, mbuf) == UINT32_MAX) {
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

// Rare, too: a driver took VLAN tags out of the packet. A program finds a packet as it was on the
// wire, whatever the device. True when they are in it again.
static __rte_noinline bool restore(struct wirelet_queue *queue, struct rte_mbuf *mbuf,
                                   uint64_t offload) {
    if (wirelet_restore_tags(mbuf, offload)) {
        queue->stats.tags_restored++;
        return true;
    }
    queue->stats.unsupported++;
    queue->stats.drop_bytes += rte_pktmbuf_pkt_len(mbuf);
    rte_pktmbuf_free(mbuf);
    return false;
}

static inline uint64_t flags_of(uint64_t offload) {
    uint64_t flags = 0;
    if ((offload & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD) {
        flags |= WIRELET_IP_CHECKSUM_GOOD;
    }
    if ((offload & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
        flags |= WIRELET_L4_CHECKSUM_GOOD;
    }
    if (offload & RTE_MBUF_F_RX_RSS_HASH) flags |= WIRELET_HASH_VALID;
    return flags;
}

// An engine's mbuf as four words, and back: whoever reads it next reads words, and a word that was
// written in parts has to wait for the cache (a failed store-to-load forward, some 12 cycles).
struct words {
    uint64_t place;
    uint64_t origin;
    uint64_t hash;
    uint64_t timestamp_ns;
} __attribute__((may_alias));
static const uint64_t TAKEN_OUT = RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED;
#define SHIFT(field) (8 * (offsetof(struct wirelet_mbuf, field) % 8))
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "SHIFT counts from the low end");

// Makes what was received the engine's; returns how many of them are packets of ours.
static __rte_always_inline uint16_t deliver(struct wirelet_queue *queue, struct rte_mbuf **mbufs,
                                            uint16_t received, struct wirelet_mbuf *out) {
    // Copies: what is stored below could otherwise have changed them, to the compiler.
    const struct wirelet_frames frames = queue->pool->frames;
    const uint64_t origin = (uint64_t)queue->port << SHIFT(port);
    const uint64_t now_ns = received == 0 ? 0 : wall_ns();
    const uint64_t stamped = queue->clock->flag;
    if (unlikely(queue->clock->sequence != queue->clock_sequence)) wirelet_follow_clock(queue);
    struct words *next = (struct words *)out;
    for (uint16_t i = 0; i < received; i++) {
        struct rte_mbuf *mbuf = mbufs[i];
        const uint64_t offload = mbuf->ol_flags;
        const uint32_t frame = wirelet_frame_of(&frames, mbuf);
        bool odd = mbuf->nb_segs != 1 || mbuf->data_len < WIRELET_PACKET_BYTES_MIN ||
                   frame == UINT32_MAX;
        if (unlikely(odd) && !mend(queue, mbuf)) continue;
        uint64_t flags = 0, hash = 0, timestamp_ns = now_ns;
        if (unlikely(offload != RTE_MBUF_F_EXTERNAL)) {
            // Some drivers clear it, and the mbuf may go back to the mempool by any way.
            mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
            flags = flags_of(offload);
            if (flags & WIRELET_HASH_VALID) hash = mbuf->hash.rss;
            if (offload & stamped) timestamp_ns = wirelet_stamp_ns(queue, mbuf, now_ns);
            // Nothing but our own flows asks a device for marks.
            if (offload & RTE_MBUF_F_RX_FDIR_ID) {
                hash |= (uint64_t)mbuf->hash.fdir.hi << SHIFT(mark);
            }
            if (unlikely(offload & TAKEN_OUT) && !restore(queue, mbuf, offload)) continue;
        }
        next->place = frame | (uint64_t)mbuf->data_len << SHIFT(length) |
                      (uint64_t)mbuf->data_off << SHIFT(offset);
        next->origin = origin | flags << SHIFT(flags);
        next->hash = hash;
        next->timestamp_ns = timestamp_ns;
        next++;
    }
    const uint16_t kept = (uint16_t)(next - (struct words *)out);
    queue->held -= kept;
    return kept;
}

uint16_t wirelet_rx_burst(struct wirelet_queue *queue, void *cache, struct wirelet_mbuf *out,
                          uint16_t count) {
    struct rte_mbuf *mbufs[WIRELET_BURST_MAX];
    // Looked up once: in a library that was opened late, its address costs a call.
    void **current = &wirelet_cache;
    *current = cache;
    count = RTE_MIN(count, (uint16_t)WIRELET_BURST_MAX);
    const uint16_t received = rte_eth_rx_burst(queue->port_id, queue->index, mbufs, count);
    const uint16_t kept = deliver(queue, mbufs, received, out);
    *current = NULL;
    return kept;
}

// Whether all of them may leave by another queue as they are; adds up their bytes. No branch and no
// comparison per packet: a sign bit in `lengths` or a bit in `odd` stays.
static inline bool all_plain(const struct rte_mempool *mempool, struct rte_mbuf **mbufs,
                             uint16_t count, struct wirelet_passed *passed) {
    const int32_t shortest = passed->shortest, longest = passed->longest;
    uint64_t bytes = 0, odd = 0, offload = 0;
    int32_t lengths = 0;
    for (uint16_t i = 0; i < count; i++) {
        const struct rte_mbuf *mbuf = mbufs[i];
        const int32_t length = mbuf->data_len;
        bytes += (uint32_t)length;
        lengths |= (length - shortest) | (longest - length);
        offload |= mbuf->ol_flags;
        odd |= (mbuf->nb_segs ^ 1u) | ((uintptr_t)mbuf->pool ^ (uintptr_t)mempool);
    }
    passed->bytes = bytes;
    if (odd != 0 || lengths < 0 || (offload & TAKEN_OUT) != 0) return false;
    if (offload == RTE_MBUF_F_EXTERNAL) return true;
    for (uint16_t i = 0; i < count; i++) mbufs[i]->ol_flags = RTE_MBUF_F_EXTERNAL;
    return true;
}

uint16_t wirelet_pass_burst(struct wirelet_queue *queue, struct wirelet_queue *to, void *cache,
                            struct wirelet_mbuf *out, uint16_t count,
                            struct wirelet_passed *passed) {
    struct rte_mbuf *mbufs[WIRELET_BURST_MAX];
    void **current = &wirelet_cache;
    *current = cache;
    count = RTE_MIN(count, (uint16_t)WIRELET_BURST_MAX);
    const uint16_t received = rte_eth_rx_burst(queue->port_id, queue->index, mbufs, count);
    uint16_t kept = 0;
    passed->packets = 0;
    if (received == 0) {
        // The usual answer to a poll.
    } else if (unlikely(!all_plain(queue->pool->mempool, mbufs, received, passed))) {
        kept = deliver(queue, mbufs, received, out);
    } else {
        const uint16_t sent = rte_eth_tx_burst(to->port_id, to->index, mbufs, received);
        passed->packets = received;
        passed->sent = sent;
        passed->sent_bytes = passed->bytes;
        for (uint16_t i = sent; i < received; i++) passed->sent_bytes -= mbufs[i]->data_len;
        rte_pktmbuf_free_bulk(mbufs + sent, received - sent);
    }
    *current = NULL;
    return kept;
}

uint16_t wirelet_tx_burst(struct wirelet_queue *queue, void *cache, const struct wirelet_mbuf *in,
                          uint16_t count) {
    struct rte_mbuf *const *const headers = queue->pool->mbufs;
    const struct words *next = (const struct words *)in;
    const uint16_t port_id = queue->port_id;
    struct rte_mbuf *mbufs[WIRELET_BURST_MAX];
    void **current = &wirelet_cache;
    *current = cache;
    count = RTE_MIN(count, (uint16_t)WIRELET_BURST_MAX);
    for (uint16_t i = 0; i < count; i++) {
        // Everything that a driver reads is written here, all of it in one cache line: programs
        // and other devices have moved the packet, and know nothing of this header.
        const uint64_t place = next[i].place;
        struct rte_mbuf *mbuf = headers[(uint32_t)place];
        mbuf->data_off = (uint16_t)(place >> SHIFT(offset));
        mbuf->port = port_id;
        mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
        mbuf->pkt_len = (uint16_t)(place >> SHIFT(length));
        mbuf->data_len = (uint16_t)(place >> SHIFT(length));
        mbufs[i] = mbuf;
    }
    const uint16_t sent = rte_eth_tx_burst(port_id, queue->index, mbufs, count);
    *current = NULL;
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
