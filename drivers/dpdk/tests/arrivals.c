// Packets as only hardware brings them, through the shim itself: chains of segments, offload flags,
// a flag that a driver has cleared, an mbuf of a stranger. A memory ring hands over whatever it is
// given. arrivals.rs compiles and runs this; it ends with 0 when all is as it should be.
#define _GNU_SOURCE
#include <assert.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "../shim/shim.h"

enum { FRAMES = 512, FRAME_BYTES = 2240, PORT = 5 };

static uint8_t *memory;
static bool used[FRAMES];
static unsigned used_count;

static bool take(const void *owner, void *cache, uint32_t *frames, uint32_t count) {
    (void)owner, (void)cache;
    if (used_count + count > FRAMES) return false;
    for (uint32_t frame = 0, taken = 0; taken < count; frame++) {
        if (used[frame]) continue;
        used[frame] = true;
        frames[taken++] = frame;
    }
    used_count += count;
    return true;
}

static void give(const void *owner, void *cache, const uint32_t *frames, uint32_t count) {
    (void)owner, (void)cache;
    for (uint32_t i = 0; i < count; i++) {
        assert(frames[i] < FRAMES && used[frames[i]]);
        used[frames[i]] = false;
    }
    used_count -= count;
}

static uint32_t left(const void *owner) {
    (void)owner;
    return FRAMES - used_count;
}

static struct wirelet_port *open_port(struct wirelet_pool *pool, bool linearize) {
    struct wirelet_port_config config = {
        .devargs = "net_ring0",
        .pool = pool,
        .port = PORT,
        .queues = 1,
        .rx_descriptors = 64,
        .tx_descriptors = 64,
        .linearize = linearize,
    };
    struct wirelet_port_info info;
    struct wirelet_port *port = NULL;
    char message[WIRELET_MESSAGE_BYTES];
    int status = wirelet_open_port(&config, &port, &info, message);
    if (status != 0) fprintf(stderr, "%s\n", message);
    assert(status == 0);
    return port;
}

static struct rte_mbuf *segment(struct rte_mempool *mempool, uint16_t bytes, uint8_t value) {
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(mempool);
    assert(mbuf != NULL);
    memset(rte_pktmbuf_append(mbuf, bytes), value, bytes);
    return mbuf;
}

static struct rte_mbuf *chain(struct rte_mempool *mempool, uint16_t each, unsigned count) {
    struct rte_mbuf *head = segment(mempool, each, 0);
    for (unsigned i = 1; i < count; i++) {
        assert(rte_pktmbuf_chain(head, segment(mempool, each, (uint8_t)i)) == 0);
    }
    return head;
}

// Sends one mbuf as it is, and receives what becomes of it: 1 and the packet, or 0.
static uint16_t cross(struct wirelet_port *port, struct rte_mbuf *mbuf, struct wirelet_mbuf *out) {
    // What the shim did not send it has not counted.
    unsigned ours = mbuf->pool == port->pool->mempool ? mbuf->nb_segs : 0;
    assert(rte_eth_tx_burst(port->id, 0, &mbuf, 1) == 1);
    uint16_t count = wirelet_rx_burst(&port->queue[0], NULL, out, 32);
    assert(count <= 1 && (count == 0 || ours > 0));
    return count;
}

static void free_frame(struct wirelet_port *port, const struct wirelet_mbuf *packet) {
    port->queue[0].held++;
    rte_pktmbuf_free(port->pool->mbufs[packet->frame]);
}

static void segments(struct wirelet_pool *pool) {
    struct wirelet_port *port = open_port(pool, true);
    struct wirelet_queue_stats *stats = &port->queue[0].stats;
    struct wirelet_mbuf packet;
    unsigned before = used_count;
    // Three of 500 bytes fit into one frame.
    assert(cross(port, chain(pool->mempool, 500, 3), &packet) == 1);
    assert(packet.length == 1500 && stats->linearized == 1);
    const uint8_t *data = memory + packet.frame * FRAME_BYTES + packet.offset;
    for (unsigned i = 0; i < 1500; i++) assert(data[i] == i / 500);
    free_frame(port, &packet);
    // Three of 1,000 don't; two of 5 are a runt, two of 7 are not.
    assert(cross(port, chain(pool->mempool, 1000, 3), &packet) == 0 && stats->too_long == 1);
    assert(cross(port, chain(pool->mempool, 5, 2), &packet) == 0 && stats->too_short == 1);
    assert(stats->drop_bytes == 3010);
    assert(cross(port, chain(pool->mempool, 7, 2), &packet) == 1 && packet.length == 14);
    free_frame(port, &packet);
    wirelet_flush_cache(pool, rte_lcore_id());
    assert(used_count == before && stats->linearized == 2);
    wirelet_close_port(port);
    port = open_port(pool, false);
    assert(cross(port, chain(pool->mempool, 500, 3), &packet) == 0);
    assert(port->queue[0].stats.unsupported == 1);
    wirelet_close_port(port);
}

static void flags(struct wirelet_pool *pool) {
    struct wirelet_port *port = open_port(pool, true);
    struct wirelet_mbuf packet;
    static const struct {
        uint64_t offload;
        uint8_t flags;
    } cases[] = {
        { 0, 0 },
        { RTE_MBUF_F_EXTERNAL, 0 },
        { RTE_MBUF_F_RX_IP_CKSUM_GOOD, WIRELET_IP_CHECKSUM_GOOD },
        { RTE_MBUF_F_RX_IP_CKSUM_BAD, 0 },
        { RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_BAD, 0 },
        { RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_EXTERNAL, WIRELET_L4_CHECKSUM_GOOD },
        { RTE_MBUF_F_RX_L4_CKSUM_BAD, 0 },
        { RTE_MBUF_F_RX_RSS_HASH, WIRELET_HASH_VALID },
    };
    for (unsigned i = 0; i < RTE_DIM(cases); i++) {
        struct rte_mbuf *mbuf = segment(pool->mempool, 60, 1);
        mbuf->ol_flags = cases[i].offload;
        mbuf->hash.rss = 0x12345678;
        assert(cross(port, mbuf, &packet) == 1);
        assert(packet.flags == cases[i].flags && packet.port == PORT);
        assert(packet.hash == (packet.flags & WIRELET_HASH_VALID ? 0x12345678 : 0));
        // However it came: to the mempool it is pinned to its frame.
        assert(mbuf->ol_flags == RTE_MBUF_F_EXTERNAL && RTE_MBUF_HAS_PINNED_EXTBUF(mbuf));
        free_frame(port, &packet);
    }
    wirelet_close_port(port);
}

// Tags that a driver took out are in the packet again, outermost first.
static void tags(struct wirelet_pool *pool) {
    struct wirelet_port *port = open_port(pool, true);
    struct wirelet_queue_stats *stats = &port->queue[0].stats;
    static const uint8_t addresses[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    static const struct {
        uint64_t offload;
        unsigned bytes;
        uint8_t tags[8];
    } cases[] = {
        { RTE_MBUF_F_RX_VLAN, 0, { 0 } },
        { RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED, 4, { 0x81, 0, 0x61, 0x23 } },
        { RTE_MBUF_F_RX_QINQ_STRIPPED, 4, { 0x88, 0xa8, 0x02, 0x34 } },
        { RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED, 8,
          { 0x88, 0xa8, 0x02, 0x34, 0x81, 0, 0x61, 0x23 } },
    };
    struct wirelet_mbuf packet;
    for (unsigned i = 0; i < RTE_DIM(cases); i++) {
        struct rte_mbuf *mbuf = segment(pool->mempool, 60, 0xa5);
        memcpy(rte_pktmbuf_mtod(mbuf, void *), addresses, sizeof(addresses));
        mbuf->ol_flags |= cases[i].offload;
        mbuf->vlan_tci = 0x6123;
        mbuf->vlan_tci_outer = 0x0234;
        assert(cross(port, mbuf, &packet) == 1);
        const uint8_t *data = memory + packet.frame * FRAME_BYTES + packet.offset;
        assert(packet.length == 60 + cases[i].bytes && packet.offset == 128 - cases[i].bytes);
        assert(memcmp(data, addresses, 12) == 0);
        assert(memcmp(data + 12, cases[i].tags, cases[i].bytes) == 0);
        for (unsigned at = 12 + cases[i].bytes; at < packet.length; at++) assert(data[at] == 0xa5);
        assert(stats->tags_restored == i);
        free_frame(port, &packet);
    }
    // Without room for it: no packet that a program could see as it was.
    wirelet_flush_cache(pool, rte_lcore_id());
    unsigned before = used_count;
    struct rte_mbuf *mbuf = segment(pool->mempool, 60, 1);
    rte_pktmbuf_prepend(mbuf, 126);
    mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
    assert(cross(port, mbuf, &packet) == 0 && stats->unsupported == 1 && stats->drop_bytes == 186);
    wirelet_flush_cache(pool, rte_lcore_id());
    assert(used_count == before);
    wirelet_close_port(port);
}

// A clock that counts 2.5 ticks a nanosecond, from anywhere; the linker takes this one instead of
// DPDK's. No software driver has one.
static uint64_t clock_offset, clock_reads;
static int clock_error;

static uint64_t ns_by(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int rte_eth_read_clock(uint16_t port_id, uint64_t *ticks) {
    (void)port_id;
    clock_reads++;
    *ticks = clock_offset + ns_by(CLOCK_MONOTONIC) / 2 * 5;
    return clock_error;
}

// Nanoseconds that the time of a packet is off, which a driver stamped `ago_ns` ago.
static int64_t off_ns(struct wirelet_port *port, uint64_t flag, int offset, uint64_t ago_ns) {
    struct wirelet_mbuf packet;
    struct rte_mbuf *mbuf = segment(port->pool->mempool, 60, 1);
    mbuf->ol_flags |= flag;
    const uint64_t then_ns = ns_by(CLOCK_REALTIME) - ago_ns;
    const uint64_t ticks = clock_offset + (ns_by(CLOCK_MONOTONIC) - ago_ns) / 2 * 5;
    *RTE_MBUF_DYNFIELD(mbuf, offset, rte_mbuf_timestamp_t *) = ticks;
    assert(cross(port, mbuf, &packet) == 1);
    free_frame(port, &packet);
    return (int64_t)(packet.timestamp_ns - then_ns);
}

static void times(struct wirelet_pool *pool) {
    struct wirelet_port *port = open_port(pool, true);
    struct wirelet_clock *clock = &port->clock;
    char message[WIRELET_MESSAGE_BYTES];
    int offset;
    uint64_t flag;
    // Nobody has registered the field: nobody stamps.
    assert(wirelet_start_clock(clock, "net_ring", port->id, true, message) < 0);
    assert(strstr(message, "does not stamp") != NULL && clock->flag == 0);
    assert(rte_mbuf_dyn_rx_timestamp_register(&offset, &flag) == 0);
    // Not asked for: a stamp is not looked at.
    assert(wirelet_start_clock(clock, "net_ring", port->id, false, message) == 0);
    assert(clock->flag == 0 && clock_reads == 0);
    assert(off_ns(port, flag, offset, 1000000000) >= 1000000000);
    clock_error = -ENOTSUP;
    assert(wirelet_start_clock(clock, "net_ring", port->id, true, message) < 0);
    assert(strstr(message, "no clock to read") != NULL);
    clock_error = 0;
    assert(wirelet_start_clock(clock, "net_ring", port->id, true, message) == 0);
    assert(clock->flag == flag);
    // A second ago by the device, to a tenth of it: this machine may be busy.
    assert(llabs(off_ns(port, flag, offset, 1000000000)) < 100000000);
    // The clock is set back and forth: the next reference follows, and stale ones do no harm.
    clock_offset += UINT64_C(1) << 50;
    assert(off_ns(port, flag, offset, 1000000000) >= 1000000000);
    for (int reference = 0; reference < 2; reference++) {
        clock->first = (struct wirelet_reference){ .ticks = UINT64_MAX };
        wirelet_read_clock(clock, port->id);
        assert(llabs(off_ns(port, flag, offset, 1000000000)) < 100000000);
    }
    // A reference that is being written is left alone.
    const struct wirelet_scale before = port->queue[0].scale;
    clock->sequence++;
    clock->scale.rate = 0;
    assert(llabs(off_ns(port, flag, offset, 0)) < 100000000);
    assert(memcmp(&before, &port->queue[0].scale, sizeof(before)) == 0);
    clock->unit = WIRELET_MICROSECONDS;
    struct rte_mbuf mbuf;
    *RTE_MBUF_DYNFIELD(&mbuf, offset, rte_mbuf_timestamp_t *) = 12345;
    assert(wirelet_stamp_ns(&port->queue[0], &mbuf, 1) == 12345000);
    clock->unit = WIRELET_NANOSECONDS;
    assert(wirelet_stamp_ns(&port->queue[0], &mbuf, 1) == 12345);
    wirelet_close_port(port);
}

static void strangers(struct wirelet_pool *pool) {
    struct wirelet_port *port = open_port(pool, true);
    struct rte_mempool *other = rte_pktmbuf_pool_create("other", 63, 0, 0, 2176, SOCKET_ID_ANY);
    struct wirelet_mbuf packet;
    assert(other != NULL);
    assert(cross(port, segment(other, 60, 1), &packet) == 0);
    assert(port->queue[0].stats.unsupported == 1 && rte_mempool_avail_count(other) == 63);
    wirelet_close_port(port);
    rte_mempool_free(other);
}

// A driver that clones (multicast, segmentation) frees original and clone in any order.
static void clones(struct wirelet_pool *pool) {
    struct rte_mempool *other = rte_pktmbuf_pool_create("clones", 63, 0, 0, 0, SOCKET_ID_ANY);
    assert(other != NULL);
    unsigned before = used_count;
    for (int round = 0; round < 2; round++) {
        struct rte_mbuf *mbuf = segment(pool->mempool, 60, 1);
        struct rte_mbuf *clone = rte_pktmbuf_clone(mbuf, other);
        assert(clone != NULL && clone->buf_addr == mbuf->buf_addr);
        rte_pktmbuf_free(round == 0 ? mbuf : clone);
        rte_pktmbuf_free(round == 0 ? clone : mbuf);
        wirelet_flush_cache(pool, rte_lcore_id());
        assert(used_count == before && rte_mempool_avail_count(other) == 63);
    }
    rte_mempool_free(other);
}

// An IOMMU of 39 bits must know every address, and no two regions may have the same.
static void addresses(const struct wirelet_pool *pool, const struct wirelet_pool_config *config) {
    struct wirelet_pool_config other = *config;
    struct wirelet_pool *second = NULL;
    char message[WIRELET_MESSAGE_BYTES];
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        uint64_t address = rte_mbuf_iova_get(pool->mbufs[frame]);
        assert(address == pool->bus_address + frame * (uint64_t)FRAME_BYTES);
        assert(address + FRAME_BYTES <= UINT64_C(1) << 39);
    }
    assert(posix_memalign((void **)&other.base, 4096, other.bytes) == 0);
    // A node without memory: its headers are elsewhere then.
    other.node = 7;
    uint64_t had = 0;
    for (int round = 0; round < 2; round++) {
        assert(wirelet_open_pool(&other, &second, message) == 0);
        assert(llabs((int64_t)(second->bus_address - pool->bus_address)) >= 1 << 30);
        assert(round == 0 || second->bus_address == had);
        had = second->bus_address;
        assert(wirelet_close_pool(second) == 0);
    }
    free(other.base);
}

// Without an IOMMU: EAL's mode, and physical addresses of pages, the last page first in memory.
enum { HUGE_PAGE = 2 << 20, HUGE_PAGES = 3 };
static uint8_t *huge;
static bool physical_mode, readable;

enum rte_iova_mode rte_eal_iova_mode(void) {
    if (physical_mode) return RTE_IOVA_PA;
    enum rte_iova_mode (*real)(void);
    *(void **)&real = dlsym(RTLD_NEXT, "rte_eal_iova_mode");
    return real();
}

rte_iova_t rte_mem_virt2iova(const void *address) {
    if (huge == NULL) return RTE_BAD_IOVA;
    size_t at = (size_t)((const uint8_t *)address - huge);
    size_t page = at / HUGE_PAGE;
    assert(page < HUGE_PAGES);
    if (!readable) return page == 0 ? 0x1000 : 0;
    return (HUGE_PAGES - page) * (rte_iova_t)HUGE_PAGE + at % HUGE_PAGE;
}

// What a device without an IOMMU is told: a frame's place in its own hugepage, or nothing at all.
static void physical(const struct wirelet_pool_config *config) {
    struct wirelet_pool_config other = *config;
    struct wirelet_pool *pool = NULL;
    char message[WIRELET_MESSAGE_BYTES];
    other.bytes = HUGE_PAGES * HUGE_PAGE;
    assert(posix_memalign((void **)&huge, HUGE_PAGE, other.bytes) == 0);
    other.base = huge;
    physical_mode = true;
    const struct {
        uint32_t frame_bytes;
        uint64_t page_bytes;
        bool readable, physical;
    } cases[] = {
        { 8192, HUGE_PAGE, true, true },
        // A frame would lie in two pages; the kernel moves small pages; it tells no addresses.
        { FRAME_BYTES, HUGE_PAGE, true, false },
        { 4096, 4096, true, false },
        { 8192, HUGE_PAGE, false, false },
    };
    for (unsigned i = 0; i < RTE_DIM(cases); i++) {
        other.frame_bytes = cases[i].frame_bytes;
        other.page_bytes = cases[i].page_bytes;
        readable = cases[i].readable;
        assert(wirelet_open_pool(&other, &pool, message) == 0);
        assert(pool->physical == cases[i].physical);
        for (uint32_t frame = 0; pool->physical && frame < FRAMES; frame++) {
            const uint8_t *place = huge + (size_t)frame * other.frame_bytes;
            const struct rte_mbuf *mbuf = pool->mbufs[frame];
            assert(mbuf->buf_addr == place);
            assert(rte_mbuf_iova_get(mbuf) == rte_mem_virt2iova(place));
        }
        assert(wirelet_close_pool(pool) == 0);
    }
    physical_mode = false;
    free(huge);
}

int main(int argc, char **argv) {
    char *eal[] = { argv[0], "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci",
                    "-m", "64", NULL };
    (void)argc;
    if (rte_eal_init(7, eal) < 0) return 2;
    size_t bytes = RTE_ALIGN_CEIL(FRAMES * FRAME_BYTES, 4096);
    assert(posix_memalign((void **)&memory, 4096, bytes) == 0);
    struct wirelet_pool_config config = {
        .base = memory,
        .bytes = bytes,
        .page_bytes = 4096,
        .frames = FRAMES,
        .frame_bytes = FRAME_BYTES,
        .cached = 32,
        .calls = { take, give, left },
    };
    struct wirelet_pool *pool = NULL;
    char message[WIRELET_MESSAGE_BYTES];
    assert(wirelet_open_pool(&config, &pool, message) == 0);
    addresses(pool, &config);
    physical(&config);
    segments(pool);
    flags(pool);
    tags(pool);
    times(pool);
    strangers(pool);
    clones(pool);
    assert(wirelet_close_pool(pool) == 0 && used_count == 0);
    return 0;
}
