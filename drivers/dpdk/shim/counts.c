// What a port counts: DPDK's own eight numbers, and of the driver's those that tell most.
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "shim.h"

// The first pass takes names that tell of trouble, the second whatever is left.
static const char *const trouble[] = { "err", "drop", "miss", "discard", "crc", "no_", "fail" };

// These are what `rte_eth_stats` has, in the names of xstats.
static const char *const general[] = {
    "rx_good_packets", "tx_good_packets", "rx_good_bytes", "tx_good_bytes",
    "rx_missed_errors", "rx_errors", "tx_errors", "rx_mbuf_allocation_errors",
};

static bool tells_trouble(const char *name) {
    for (size_t i = 0; i < RTE_DIM(trouble); i++) {
        if (strstr(name, trouble[i]) != NULL) return true;
    }
    return false;
}

// Those of one queue (`rx_q0_packets`) would be too many.
static bool is_of_a_queue(const char *name) {
    const char *queue = strstr(name, "_q");
    return queue != NULL && isdigit((unsigned char)queue[2]);
}

static bool is_general(const char *name) {
    for (size_t i = 0; i < RTE_DIM(general); i++) {
        if (strcmp(name, general[i]) == 0) return true;
    }
    return is_of_a_queue(name);
}

static void add(struct wirelet_port *port, struct wirelet_port_info *info, const char *name,
                uint64_t id) {
    if (info->xstat_count == WIRELET_XSTATS_MAX) return;
    port->xstat_ids[info->xstat_count] = id;
    snprintf(info->xstats[info->xstat_count++], WIRELET_XSTAT_NAME_BYTES, "%s", name);
}

void wirelet_choose_xstats(struct wirelet_port *port, struct wirelet_port_info *info) {
    int count = rte_eth_xstats_get_names(port->id, NULL, 0);
    if (count <= 0) return;
    struct rte_eth_xstat_name *names = calloc(count, sizeof(*names));
    if (names == NULL) return;
    if (rte_eth_xstats_get_names(port->id, names, count) == count) {
        for (int pass = 0; pass < 2; pass++) {
            for (int id = 0; id < count; id++) {
                const char *name = names[id].name;
                if (is_general(name) || tells_trouble(name) != (pass == 0)) continue;
                add(port, info, name, id);
            }
        }
    }
    port->xstat_count = info->xstat_count;
    free(names);
}

// A software driver's interface, as the kernel sees it: net_af_packet does not follow its link
// before 24.11, and none tells when somebody deletes it or moves it to another network namespace.
static void look_at_interface(const struct wirelet_port *port, struct wirelet_port_stats *stats) {
    struct ifreq request = { .ifr_ifindex = (int)port->interface };
    if (port->interface == 0) return;
    int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0) return;
    if (ioctl(socket_fd, SIOCGIFNAME, &request) < 0) {
        stats->removed = errno == ENODEV || errno == ENXIO;
    } else if (ioctl(socket_fd, SIOCGIFFLAGS, &request) == 0) {
        stats->link_up = (request.ifr_flags & IFF_RUNNING) != 0;
    }
    close(socket_fd);
}

void wirelet_read_port(struct wirelet_port *port, struct wirelet_port_stats *stats) {
    struct rte_eth_stats counts = { 0 };
    struct rte_eth_link link = { 0 };
    uint16_t mtu = 0;
    memset(stats, 0, sizeof(*stats));
    if (rte_eth_link_get_nowait(port->id, &link) == 0) {
        stats->link_up = link.link_status == RTE_ETH_LINK_UP;
        bool known = stats->link_up && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN;
        stats->link_mbps = known ? link.link_speed : 0;
    }
    if (rte_eth_dev_get_mtu(port->id, &mtu) == 0) stats->mtu = mtu;
    stats->promiscuous = rte_eth_promiscuous_get(port->id) == 1;
    if (rte_eth_stats_get(port->id, &counts) == 0) {
        stats->rx_missed = counts.imissed;
        stats->rx_errors = counts.ierrors;
        stats->rx_no_frame = counts.rx_nombuf;
        stats->tx_errors = counts.oerrors;
    }
    if (port->clock.flag != 0) wirelet_read_clock(&port->clock, port->id);
    look_at_interface(port, stats);
    // Few drivers tell the latter.
    stats->removed |= __atomic_load_n(&port->removed, __ATOMIC_RELAXED) ||
                      rte_eth_dev_is_removed(port->id) == 1;
    if (stats->removed) stats->link_up = 0;
    if (port->xstat_count > 0) {
        rte_eth_xstats_get_by_id(port->id, port->xstat_ids, stats->xstats, port->xstat_count);
    }
}
