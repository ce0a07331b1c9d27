// The table, and EAL.
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_version.h>

#include "shim.h"

static int start(int argc, char **argv, bool tee, char *message) {
    wirelet_log_start(tee);
    if (rte_eal_init(argc, argv) >= 0) return 0;
    return wirelet_failed(message, rte_errno, "EAL does not start");
}

static void stop(void) {
    rte_eal_cleanup();
}

static bool register_thread(void) {
    // An lcore of EAL's own would be one that it started.
    return rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0;
}

static struct wirelet_queue *queue(struct wirelet_port *port, uint16_t index) {
    return index < port->queues ? &port->queue[index] : NULL;
}

static void read_queue(const struct wirelet_queue *queue, struct wirelet_queue_stats *stats) {
    *stats = queue->stats;
}

static const struct wirelet_table table = {
    .magic = WIRELET_MAGIC,
    .version = WIRELET_VERSION,
    .bytes = sizeof(struct wirelet_table),
    .mbuf_bytes = sizeof(struct wirelet_mbuf),
    .pool_config_bytes = sizeof(struct wirelet_pool_config),
    .port_config_bytes = sizeof(struct wirelet_port_config),
    .port_info_bytes = sizeof(struct wirelet_port_info),
    .port_stats_bytes = sizeof(struct wirelet_port_stats),
    .queue_stats_bytes = sizeof(struct wirelet_queue_stats),
    .passed_bytes = sizeof(struct wirelet_passed),
    .flow_bytes = sizeof(struct wirelet_flow),
    .dpdk = rte_version,
    .start = start,
    .stop = stop,
    .register_thread = register_thread,
    .unregister_thread = rte_thread_unregister,
    .open_pool = wirelet_open_pool,
    .close_pool = wirelet_close_pool,
    .open_port = wirelet_open_port,
    .close_port = wirelet_close_port,
    .read_port = wirelet_read_port,
    .queue = queue,
    .rx_burst = wirelet_rx_burst,
    .tx_burst = wirelet_tx_burst,
    .tx_pending = wirelet_tx_pending,
    .tx_cleanup = wirelet_tx_cleanup,
    .read_queue = read_queue,
    .pass_burst = wirelet_pass_burst,
    .take_flows = wirelet_take_flows,
    .read_hits = wirelet_read_hits,
};

const struct wirelet_table *wirelet_shim_table(void) {
    return &table;
}

// What Rust compares with its own, in the order of plugin.h.
#define AT(type, field) offsetof(struct wirelet_##type, field)
const uint64_t wirelet_shim_offsets[] = {
    AT(mbuf, frame), AT(mbuf, length), AT(mbuf, offset), AT(mbuf, reserved), AT(mbuf, port),
    AT(mbuf, scratch), AT(mbuf, flags), AT(mbuf, egress), AT(mbuf, hash), AT(mbuf, mark),
    AT(mbuf, timestamp_ns),
    AT(pool_config, base), AT(pool_config, bytes), AT(pool_config, page_bytes),
    AT(pool_config, frames), AT(pool_config, frame_bytes), AT(pool_config, cached),
    AT(pool_config, node), AT(pool_config, owner), AT(pool_config, calls),
    AT(port_config, devargs), AT(port_config, pool), AT(port_config, port),
    AT(port_config, queues), AT(port_config, rx_descriptors), AT(port_config, tx_descriptors),
    AT(port_config, mtu), AT(port_config, promiscuous), AT(port_config, linearize),
    AT(port_config, fast_free), AT(port_config, timestamps), AT(port_config, reserved),
    AT(port_info, queues), AT(port_info, rx_descriptors), AT(port_info, tx_descriptors),
    AT(port_info, mac), AT(port_info, mtu), AT(port_info, fast_free), AT(port_info, xstat_count),
    AT(port_info, driver), AT(port_info, xstats), AT(port_info, rss),
    AT(port_info, pci), AT(port_info, interface),
    AT(port_stats, link_up), AT(port_stats, link_mbps), AT(port_stats, mtu),
    AT(port_stats, promiscuous), AT(port_stats, rx_missed), AT(port_stats, rx_errors),
    AT(port_stats, rx_no_frame), AT(port_stats, tx_errors), AT(port_stats, removed),
    AT(port_stats, xstats),
    AT(queue_stats, too_short), AT(queue_stats, too_long), AT(queue_stats, unsupported),
    AT(queue_stats, drop_bytes), AT(queue_stats, linearized), AT(queue_stats, tags_restored),
    AT(passed, shortest), AT(passed, longest), AT(passed, packets), AT(passed, sent),
    AT(passed, reserved), AT(passed, bytes), AT(passed, sent_bytes),
    AT(flow, source), AT(flow, source_mask), AT(flow, destination), AT(flow, destination_mask),
    AT(flow, rule), AT(flow, mark), AT(flow, queue), AT(flow, vlan), AT(flow, ether_type),
    AT(flow, source_ports), AT(flow, destination_ports), AT(flow, says), AT(flow, tags),
    AT(flow, ip), AT(flow, protocol), AT(flow, reserved),
};
const uint64_t wirelet_shim_offset_count = RTE_DIM(wirelet_shim_offsets);

_Static_assert(sizeof(struct wirelet_mbuf) == 32, "native/packet/src/mbuf.rs");
_Static_assert(RTE_PKTMBUF_HEADROOM == 128, "HEADROOM_BYTES of native/abi/src/limits.rs");
_Static_assert(RTE_CACHE_LINE_SIZE % 8 == 0, "arrays of queues are aligned to cache lines");
