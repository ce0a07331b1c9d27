// What devices did with a packet before it arrived: VLAN tags that they took out, and times by a
// clock of their own.
#include <string.h>
#include <time.h>

#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

#include "shim.h"

enum {
    TAG_BYTES = 4,
    ADDRESSES_BYTES = 12,
    // A device's clock is read so often for one reference; the shortest reading counts.
    READINGS = 4,
    // Between the first two references: the least that tells how fast it runs.
    FIRST_RATE_NS = 10 * 1000 * 1000,
};
static const uint64_t SECOND_NS = UINT64_C(1000000000);

// Puts one tag behind the MAC addresses. The bytes before the packet are headroom.
static void insert_tag(struct rte_mbuf *mbuf, uint16_t type, uint16_t tci) {
    uint8_t *from = rte_pktmbuf_mtod(mbuf, uint8_t *);
    const uint8_t tag[TAG_BYTES] = { type >> 8, (uint8_t)type, tci >> 8, (uint8_t)tci };
    memmove(from - TAG_BYTES, from, ADDRESSES_BYTES);
    memcpy(from - TAG_BYTES + ADDRESSES_BYTES, tag, TAG_BYTES);
    mbuf->data_off -= TAG_BYTES;
    mbuf->data_len += TAG_BYTES;
    mbuf->pkt_len += TAG_BYTES;
}

// rte_vlan_insert refuses mbufs with external buffers, which all of ours are.
bool wirelet_restore_tags(struct rte_mbuf *mbuf, uint64_t offload) {
    const bool inner = offload & RTE_MBUF_F_RX_VLAN_STRIPPED;
    const bool outer = offload & RTE_MBUF_F_RX_QINQ_STRIPPED;
    const unsigned bytes = (inner + outer) * TAG_BYTES;
    if (mbuf->data_off < bytes || mbuf->data_len > UINT16_MAX - bytes) return false;
    if (inner) insert_tag(mbuf, RTE_ETHER_TYPE_VLAN, mbuf->vlan_tci);
    if (outer) insert_tag(mbuf, RTE_ETHER_TYPE_QINQ, mbuf->vlan_tci_outer);
    return true;
}

static uint64_t now_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

// Which unit a driver stamps packets in, where that is known. DPDK leaves it to them.
enum wirelet_unit wirelet_unit_of(const char *driver) {
    // The times of the capture file.
    if (strcmp(driver, "net_pcap") == 0) return WIRELET_MICROSECONDS;
    // The kernel's, since 24.11.
    if (strcmp(driver, "net_af_packet") == 0) return WIRELET_NANOSECONDS;
    return WIRELET_TICKS;
}

// What the device's clock shows, and what ours did in the middle of the reading.
static bool read_both(uint16_t port_id, struct wirelet_reference *out) {
    uint64_t shortest = UINT64_MAX;
    for (int reading = 0; reading < READINGS; reading++) {
        uint64_t ticks, start_ns = now_ns(CLOCK_MONOTONIC);
        if (rte_eth_read_clock(port_id, &ticks) != 0) return false;
        const uint64_t wall_ns = now_ns(CLOCK_REALTIME), end_ns = now_ns(CLOCK_MONOTONIC);
        if (end_ns - start_ns >= shortest) continue;
        shortest = end_ns - start_ns;
        out->ticks = ticks;
        out->monotonic_ns = start_ns + shortest / 2;
        out->wall_ns = wall_ns - shortest / 2;
    }
    return true;
}

// A new reference, and how fast the clock ran since the first one.
void wirelet_read_clock(struct wirelet_clock *clock, uint16_t port_id) {
    struct wirelet_reference now = { 0 };
    if (clock->unit != WIRELET_TICKS || !read_both(port_id, &now)) return;
    const struct wirelet_reference *first = &clock->first;
    // It was set, or it wrapped around.
    if (now.ticks <= first->ticks) clock->first = now;
    const uint64_t ticks = now.ticks - first->ticks;
    const uint64_t ns = now.monotonic_ns - first->monotonic_ns;
    uint64_t rate = clock->scale.rate;
    if (ticks > 0) rate = (uint64_t)(((unsigned __int128)ns << 32) / ticks);
    // Odd while it is written; the lcores that read it never wait.
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&clock->scale.ticks, now.ticks, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->scale.wall_ns, now.wall_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->scale.rate, rate, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELEASE);
}

int wirelet_start_clock(struct wirelet_clock *clock, const char *driver, uint16_t port_id,
                        bool wanted, char *message) {
    clock->unit = wirelet_unit_of(driver);
    if (clock->unit == WIRELET_TICKS && !wanted) return 0;
    const int offset = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, NULL);
    const int bit = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, NULL);
    if (offset < 0 || bit < 0) {
        // No driver of this process stamps packets.
        if (!wanted) return 0;
        return wirelet_failed(message, ENOTSUP, "%s does not stamp packets (`timestamps`)", driver);
    }
    if (clock->unit == WIRELET_TICKS) {
        if (!read_both(port_id, &clock->first)) {
            return wirelet_failed(message, ENOTSUP, "%s has no clock to read (`timestamps`)",
                                  driver);
        }
        nanosleep(&(struct timespec){ .tv_nsec = FIRST_RATE_NS }, NULL);
        wirelet_read_clock(clock, port_id);
    }
    clock->flag = UINT64_C(1) << bit;
    clock->offset = offset;
    return 0;
}

// An lcore's own copy. One that is being written is left for the next burst.
void wirelet_follow_clock(struct wirelet_queue *queue) {
    const struct wirelet_clock *clock = queue->clock;
    const uint32_t sequence = __atomic_load_n(&clock->sequence, __ATOMIC_ACQUIRE);
    if (sequence % 2 != 0) return;
    const struct wirelet_scale scale = {
        .ticks = __atomic_load_n(&clock->scale.ticks, __ATOMIC_RELAXED),
        .wall_ns = __atomic_load_n(&clock->scale.wall_ns, __ATOMIC_RELAXED),
        .rate = __atomic_load_n(&clock->scale.rate, __ATOMIC_RELAXED),
    };
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&clock->sequence, __ATOMIC_RELAXED) != sequence) return;
    queue->scale = scale;
    queue->clock_sequence = sequence;
}

// Nanoseconds since the epoch of a stamp; `wall_ns`, the host's time of the burst, where the stamp
// makes no sense.
uint64_t wirelet_stamp_ns(const struct wirelet_queue *queue, const struct rte_mbuf *mbuf,
                          uint64_t wall_ns) {
    const struct wirelet_clock *clock = queue->clock;
    const uint64_t stamp = *RTE_MBUF_DYNFIELD(mbuf, clock->offset, const rte_mbuf_timestamp_t *);
    if (clock->unit == WIRELET_MICROSECONDS) return stamp * 1000;
    if (clock->unit == WIRELET_NANOSECONDS) return stamp;
    const int64_t ticks = (int64_t)(stamp - queue->scale.ticks);
    const int64_t since = (int64_t)(((__int128)ticks * queue->scale.rate) >> 32);
    const uint64_t stamp_ns = queue->scale.wall_ns + (uint64_t)since;
    const uint64_t apart = stamp_ns > wall_ns ? stamp_ns - wall_ns : wall_ns - stamp_ns;
    return apart < 10 * SECOND_NS ? stamp_ns : wall_ns;
}
