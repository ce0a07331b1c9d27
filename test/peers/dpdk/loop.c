// What DPDK's own code does with the same packets, on the same driver: a loop over two ports that
// forwards (io), routes as DPDK's l3fwd does (rte_lpm), or filters in a callback of librte_bpf's.
//
//   loop <EAL arguments> -- <work> <file> <ms> <burst> <buffers> <descriptors>
//
// Works: io, l3fwd (four lookups at once), l3fwd-one (a lookup a packet), l3fwd-verify (as the
// last, and the header checksum is verified), filter. File: routes, `address length hop` a line;
// or the filter's ELF object. Prints one JSON line: packets received, sent by each port, and time.
#include <immintrin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_bpf_ethdev.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_lpm.h>
#include <rte_mbuf.h>

enum { PORTS = 2, BURST_MAX = 256, CACHE = 256, DATA_BYTES = 2240, LCORE = 1, WARM_MS = 300 };
enum { RULES_MAX = 1 << 17, GROUPS_MAX = 1 << 13, NO_HOP = PORTS };

enum work { IO, L3FWD, L3FWD_ONE, L3FWD_VERIFY, FILTER, WORKS };
static const char *const names[WORKS] = { "io", "l3fwd", "l3fwd-one", "l3fwd-verify", "filter" };

static enum work work;
static uint32_t burst;
static struct rte_lpm *routes;
static struct rte_ether_addr next_hops[PORTS], own[PORTS];
static volatile bool stop;
static uint64_t cpu_ns, wall_ns;

static void die(const char *why) {
    fprintf(stderr, "%s: %s\n", why, rte_strerror(rte_errno));
    exit(1);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static inline void transmit(uint16_t port, struct rte_mbuf **packets, uint16_t count) {
    uint16_t sent = count ? rte_eth_tx_burst(port, 0, packets, count) : 0;
    if (sent < count) rte_pktmbuf_free_bulk(packets + sent, count - sent);
}

static inline struct rte_ipv4_hdr *ipv4_of(struct rte_mbuf *packet) {
    return rte_pktmbuf_mtod_offset(packet, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
}

/// What l3fwd checks of RFC 1812, 5.2.2, in software: it leaves the checksum to the NIC.
static inline bool is_good(const struct rte_mbuf *packet, bool verify) {
    const struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ethernet + 1);
    if (ethernet->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4)) return false;
    if (packet->data_len < sizeof(*ethernet) + sizeof(*ip)) return false;
    if (ip->version_ihl >> 4 != 4 || (ip->version_ihl & 15) < 5) return false;
    if (rte_be_to_cpu_16(ip->total_length) < sizeof(*ip)) return false;
    return !verify || rte_raw_cksum(ip, sizeof(*ip)) == 0xffff;
}

static inline void rewrite(struct rte_mbuf *packet, uint32_t hop) {
    struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(packet, struct rte_ether_hdr *);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);
    ethernet->dst_addr = next_hops[hop];
    ethernet->src_addr = own[hop];
    ip->time_to_live--;
    // RFC 1141: the word with the time to live is 0x0100 less.
    uint32_t sum = ip->hdr_checksum + RTE_BE16(0x0100);
    ip->hdr_checksum = sum + (sum >= 0xffff);
}

static inline uint32_t find(struct rte_mbuf *packet) {
    uint32_t hop;
    uint32_t address = rte_be_to_cpu_32(ipv4_of(packet)->dst_addr);
    return rte_lpm_lookup(routes, address, &hop) == 0 ? hop : NO_HOP;
}

static inline void find_four(struct rte_mbuf **packets, uint32_t *hops) {
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i addresses = _mm_set_epi32(ipv4_of(packets[3])->dst_addr, ipv4_of(packets[2])->dst_addr,
                                      ipv4_of(packets[1])->dst_addr, ipv4_of(packets[0])->dst_addr);
    rte_lpm_lookupx4(routes, _mm_shuffle_epi8(addresses, swap), hops, NO_HOP);
}

static inline void route(struct rte_mbuf **packets, uint16_t count, enum work how) {
    struct rte_mbuf *out[PORTS][BURST_MAX];
    uint16_t filled[PORTS] = { 0 };
    uint32_t hops[BURST_MAX + 4];
    uint16_t i = 0;
    if (how == L3FWD) {
        for (; i + 4 <= count; i += 4) find_four(packets + i, hops + i);
    }
    for (; i < count; i++) hops[i] = find(packets[i]);
    for (i = 0; i < count; i++) {
        if (hops[i] >= PORTS || !is_good(packets[i], how == L3FWD_VERIFY)) {
            rte_pktmbuf_free(packets[i]);
            continue;
        }
        rewrite(packets[i], hops[i]);
        out[hops[i]][filled[hops[i]]++] = packets[i];
    }
    for (uint16_t port = 0; port < PORTS; port++) transmit(port, out[port], filled[port]);
}

static inline __attribute__((always_inline)) void loop(enum work how) {
    struct rte_mbuf *packets[BURST_MAX];
    while (!stop) {
        for (uint16_t port = 0; port < PORTS; port++) {
            uint16_t count = rte_eth_rx_burst(port, 0, packets, burst);
            if (count == 0) continue;
            if (how == IO || how == FILTER) transmit(port ^ 1, packets, count);
            else route(packets, count, how);
        }
    }
}

static int on_lcore(void *nothing) {
    (void)nothing;
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    switch (work) {
    case L3FWD: loop(L3FWD); break;
    case L3FWD_ONE: loop(L3FWD_ONE); break;
    case L3FWD_VERIFY: loop(L3FWD_VERIFY); break;
    // A filter is in the receive call, so its loop is that of io.
    default: loop(IO); break;
    }
    cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall_ns = clock_ns(CLOCK_MONOTONIC) - wall;
    return 0;
}

static void run(uint32_t ms) {
    stop = false;
    if (rte_eal_remote_launch(on_lcore, NULL, LCORE) != 0) die("lcore 1");
    rte_delay_us_sleep(ms * 1000);
    stop = true;
    rte_eal_wait_lcore(LCORE);
}

static void load_routes(const char *path) {
    struct rte_lpm_config config = { .max_rules = RULES_MAX, .number_tbl8s = GROUPS_MAX };
    routes = rte_lpm_create("routes", SOCKET_ID_ANY, &config);
    FILE *file = fopen(path, "r");
    if (!routes || !file) die(path);
    uint32_t address, length, hop;
    while (fscanf(file, "%u %u %u", &address, &length, &hop) == 3) {
        if (hop >= PORTS || rte_lpm_add(routes, address, length, hop) != 0) die("rte_lpm_add");
    }
    fclose(file);
    for (int port = 0; port < PORTS; port++) {
        next_hops[port] = (struct rte_ether_addr){ { 2, 0, 0, 0, port, 2 } };
        own[port] = (struct rte_ether_addr){ { 2, 0, 0, 0, port, 1 } };
    }
}

/// Before anything is timed: every packet of a burst has a hop, and a right checksum afterwards.
static void prove_routes(void) {
    struct rte_mbuf *packets[BURST_MAX];
    uint16_t count = rte_eth_rx_burst(0, 0, packets, burst);
    for (uint16_t i = 0; i < count; i++) {
        uint32_t hops[4], hop = find(packets[i]);
        struct rte_mbuf *same[4] = { packets[i], packets[i], packets[i], packets[i] };
        find_four(same, hops);
        if (hop >= PORTS || hops[0] != hop || hops[3] != hop) die("a packet has no hop, or two");
        rewrite(packets[i], hop);
        if (!is_good(packets[i], true)) die("a checksum is wrong");
    }
    if (count == 0) die("nothing received");
    rte_pktmbuf_free_bulk(packets, count);
}

static void load_filter(const char *path) {
    struct rte_bpf_prm parameters = {
        .prog_arg = { .type = RTE_BPF_ARG_PTR, .size = RTE_MBUF_DEFAULT_DATAROOM },
    };
    for (uint16_t port = 0; port < PORTS; port++) {
        const uint32_t flags = RTE_BPF_ETH_F_JIT;
        if (rte_bpf_eth_rx_elf_load(port, 0, &parameters, path, ".text", flags) != 0) {
            die("rte_bpf_eth_rx_elf_load");
        }
    }
}

static void open_port(uint16_t port, uint16_t descriptors, struct rte_mempool *pool) {
    const struct rte_eth_conf config = { 0 };
    if (rte_eth_dev_configure(port, 1, 1, &config) != 0) die("configure");
    const int any = SOCKET_ID_ANY;
    if (rte_eth_rx_queue_setup(port, 0, descriptors, any, NULL, pool) != 0) die("rx queue");
    if (rte_eth_tx_queue_setup(port, 0, descriptors, any, NULL) != 0) die("tx queue");
    if (rte_eth_dev_start(port) != 0) die("start");
}

static void report(const struct rte_eth_stats *before) {
    uint64_t received = 0, sent[PORTS];
    for (uint16_t port = 0; port < PORTS; port++) {
        struct rte_eth_stats stats;
        rte_eth_stats_get(port, &stats);
        received += stats.ipackets - before[port].ipackets;
        sent[port] = stats.opackets - before[port].opackets;
    }
    printf("{\"packets\":%lu,\"sent\":[%lu,%lu],\"cpuNs\":%lu,\"ns\":%lu}\n", received, sent[0],
           sent[1], cpu_ns, wall_ns);
}

int main(int argc, char **argv) {
    int taken = rte_eal_init(argc, argv);
    if (taken < 0) die("rte_eal_init");
    argv += taken;
    if (argc - taken != 7) die("usage: loop <EAL> -- work file ms burst buffers descriptors");
    for (work = 0; work < WORKS && strcmp(argv[1], names[work]) != 0;) work++;
    burst = atoi(argv[4]);
    if (work == WORKS || burst < 1 || burst > BURST_MAX) die("work, or burst");
    uint32_t buffers = atoi(argv[5]);
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("peer", buffers, CACHE, 0, DATA_BYTES, SOCKET_ID_ANY);
    if (!pool || rte_eth_dev_count_avail() != PORTS) die("pool, or two --vdev");
    for (uint16_t port = 0; port < PORTS; port++) open_port(port, atoi(argv[6]), pool);
    if (work == FILTER) load_filter(argv[2]);
    else if (work != IO) load_routes(argv[2]);
    if (routes) prove_routes();
    run(WARM_MS);
    struct rte_eth_stats before[PORTS];
    for (uint16_t port = 0; port < PORTS; port++) rte_eth_stats_get(port, &before[port]);
    run(atoi(argv[3]));
    report(before);
    rte_eal_cleanup();
    return 0;
}
