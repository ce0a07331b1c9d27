// A port of DPDK's: found or plugged, configured, started, read, and all the way back.
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "shim.h"

// Bytes of an Ethernet header and a VLAN tag before the MTU.
enum { OVERHEAD_BYTES = 18 };

// Rounds of bursts that are thrown away before a port stops: more than any queue holds.
enum { DRAIN_ROUNDS = 1024 };

// Which ports one of ours has.
static bool taken[RTE_MAX_ETHPORTS];

// What the kernel has a device on the PCI bus bound to; "" where it is none, or to nothing.
static void bound_to(const char *name, char *driver, size_t room) {
    char path[PATH_MAX], link[PATH_MAX];
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", name);
    ssize_t length = readlink(path, link, sizeof(link) - 1);
    link[RTE_MAX(length, 0)] = 0;
    const char *last = strrchr(link, '/');
    snprintf(driver, room, "%s", last == NULL ? "" : last + 1);
}

static int not_plugged(const char *devargs, const char *name, int error, char *message) {
    char driver[64];
    bound_to(name, driver, sizeof(driver));
    // mlx4 and mlx5 work through the kernel's driver.
    if (driver[0] == 0 || strcmp(driver, "vfio-pci") == 0 || strncmp(driver, "mlx", 3) == 0) {
        return wirelet_failed(message, error, "DPDK can't plug `%s`", devargs);
    }
    return wirelet_failed(message, error,
                          "DPDK can't plug `%s`, which is bound to %s; bind it to vfio-pci",
                          devargs, driver);
}

// The port that the device in `devargs` has; plugs it when it is not there.
static int find(const char *devargs, uint16_t *id, char *message) {
    char name[RTE_ETH_NAME_MAX_LEN];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(devargs, ","), devargs);
    if (rte_eth_dev_get_port_by_name(name, id) == 0) return 0;
    int error = rte_dev_probe(devargs);
    // A device that is plugged but has no port (closed by another) is what EEXIST means.
    if (error < 0) return not_plugged(devargs, name, error, message);
    if (rte_eth_dev_get_port_by_name(name, id) == 0) return 0;
    struct rte_dev_iterator iterator;
    uint16_t found = RTE_MAX_ETHPORTS;
    if (rte_eth_iterator_init(&iterator, devargs) == 0) {
        found = rte_eth_iterator_next(&iterator);
        if (found != RTE_MAX_ETHPORTS) rte_eth_iterator_cleanup(&iterator);
    }
    if (found == RTE_MAX_ETHPORTS) {
        return wirelet_failed(message, ENODEV, "`%s` is plugged, but it is no port", devargs);
    }
    *id = found;
    return 0;
}

static struct rte_eth_conf configuration(const struct wirelet_port_config *config,
                                         const struct rte_eth_dev_info *device,
                                         uint16_t queues) {
    // Never VLAN_STRIP: programs see packets as they were on the wire.
    uint64_t offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM;
    // Drivers whose unit is known stamp in software. On some NICs it costs the vector receive path.
    if (config->timestamps || wirelet_unit_of(device->driver_name) != WIRELET_TICKS) {
        offloads |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
    }
    struct rte_eth_conf conf = { 0 };
    uint32_t mtu = config->mtu == 0 ? RTE_ETHER_MTU : config->mtu;
    conf.rxmode.mtu = RTE_MIN(RTE_MAX(mtu, (uint32_t)device->min_mtu), (uint32_t)device->max_mtu);
    conf.rxmode.offloads = device->rx_offload_capa & offloads;
    if (queues > 1 && device->flow_type_rss_offloads != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf =
            device->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
        conf.rxmode.offloads |= device->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
    }
    // All mbufs of a region are of one mempool, are never shared and never chained: every queue
    // may free them without a look at them.
    if (config->fast_free) {
        conf.txmode.offloads = device->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    }
    return conf;
}

static int set_up_queues(const struct wirelet_port_config *config,
                         const struct rte_eth_dev_info *device, const struct rte_eth_conf *conf,
                         struct wirelet_port_info *info, uint16_t id, char *message) {
    int socket = rte_eth_dev_socket_id(id);
    for (uint16_t queue = 0; queue < info->queues; queue++) {
        struct rte_eth_rxconf rx = device->default_rxconf;
        struct rte_eth_txconf tx = device->default_txconf;
        rx.offloads = conf->rxmode.offloads;
        tx.offloads = conf->txmode.offloads;
        int error = rte_eth_rx_queue_setup(id, queue, info->rx_descriptors, socket, &rx,
                                           config->pool->mempool);
        if (error < 0) return wirelet_failed(message, error, "receive queue %u", queue);
        error = rte_eth_tx_queue_setup(id, queue, info->tx_descriptors, socket, &tx);
        if (error < 0) return wirelet_failed(message, error, "transmit queue %u", queue);
    }
    return 0;
}

// As many queues as are asked for and work.
static uint16_t queues_of(const struct wirelet_port_config *config,
                          const struct rte_eth_dev_info *device) {
    // It says two. It can't spread over them (no RSS), and most of its NICs have only one: what is
    // given to the other one to send never leaves (seen on an 82540EM).
    if (strcmp(device->driver_name, "net_e1000_em") == 0) return 1;
    return RTE_MIN(config->queues, RTE_MIN(device->max_rx_queues, device->max_tx_queues));
}

static int configure(const struct wirelet_port_config *config, uint16_t id,
                     struct wirelet_port_info *info, char *message) {
    struct rte_eth_dev_info device;
    int error = rte_eth_dev_info_get(id, &device);
    if (error < 0) return wirelet_failed(message, error, "what it can do");
    snprintf(info->driver, sizeof(info->driver), "%s", device.driver_name);
    info->queues = queues_of(config, &device);
    if (info->queues == 0) {
        return wirelet_failed(message, ENOTSUP, "it has %u receive and %u transmit queues",
                              device.max_rx_queues, device.max_tx_queues);
    }
    struct rte_eth_conf conf = configuration(config, &device, info->queues);
    info->rss = conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS;
    info->fast_free = conf.txmode.offloads != 0;
    error = rte_eth_dev_configure(id, info->queues, info->queues, &conf);
    if (error < 0) return wirelet_failed(message, error, "to configure it");
    info->rx_descriptors = config->rx_descriptors;
    info->tx_descriptors = config->tx_descriptors;
    error = rte_eth_dev_adjust_nb_rx_tx_desc(id, &info->rx_descriptors, &info->tx_descriptors);
    if (error < 0) return wirelet_failed(message, error, "its descriptors");
    if (config->mtu != 0) {
        error = rte_eth_dev_set_mtu(id, config->mtu);
        // Drivers without such a call have taken it from the configuration.
        if (error < 0 && error != -ENOTSUP) {
            return wirelet_failed(message, error, "an MTU of %u", config->mtu);
        }
    }
    return set_up_queues(config, &device, &conf, info, id, message);
}

// Its MTU must leave no packet that a frame has no room for: a driver would chain frames.
static int check_mtu(const struct wirelet_port_config *config, uint16_t id,
                     struct wirelet_port_info *info, char *message) {
    uint16_t mtu = 0;
    int error = rte_eth_dev_get_mtu(id, &mtu);
    if (error < 0) return wirelet_failed(message, error, "its MTU");
    uint32_t room = config->pool->config.frame_bytes - RTE_PKTMBUF_HEADROOM - OVERHEAD_BYTES;
    info->mtu = mtu;
    if (mtu <= room) return 0;
    return wirelet_failed(message, EMSGSIZE, "its MTU is %u, and frames have room for %u; `mtu=%u`",
                          mtu, room, RTE_MIN(room, (uint32_t)RTE_ETHER_MTU));
}

static int start(const struct wirelet_port_config *config, uint16_t id,
                 struct wirelet_port_info *info, char *message) {
    struct rte_ether_addr mac = { 0 };
    int error = configure(config, id, info, message);
    if (error < 0) return error;
    error = check_mtu(config, id, info, message);
    if (error < 0) return error;
    error = rte_eth_dev_start(id);
    if (error < 0) return wirelet_failed(message, error, "to start it");
    // What can't be promiscuous (a file, a ring) receives everything anyway.
    if (config->promiscuous) rte_eth_promiscuous_enable(id);
    if (rte_eth_macaddr_get(id, &mac) == 0) memcpy(info->mac, mac.addr_bytes, sizeof(info->mac));
    return 0;
}

// The kernel asks for a device back (`device_del`, a slot's button): vfio-pci tells EAL's interrupt
// thread, and whoever looks at the port finds it removed. The kernel waits until the port is closed.
static void asked_back(const char *name, enum rte_dev_event_type event, void *opaque) {
    struct wirelet_port *port = opaque;
    (void)name;
    if (event == RTE_DEV_EVENT_REMOVE) __atomic_store_n(&port->removed, true, __ATOMIC_RELAXED);
}

static void unwatch(struct wirelet_port *port) {
    const char *name = rte_dev_name(port->device);
    // While the callback runs it can't be taken away; it is a store.
    while (rte_dev_event_callback_unregister(name, asked_back, port) == -EAGAIN) rte_pause();
}

static void unplug(struct wirelet_port *port) {
    unwatch(port);
    rte_eth_dev_stop(port->id);
    wirelet_unmap_for_dma(port);
    rte_eth_dev_close(port->id);
    taken[port->id] = false;
    rte_dev_remove(port->device);
    // Closing frees frames into this thread's cache.
    if (rte_lcore_id() != LCORE_ID_ANY) wirelet_flush_cache(port->pool, rte_lcore_id());
}

// What tells that it is there, and there again when it was taken out.
static void name_place(const struct wirelet_port *port, struct wirelet_port_info *info) {
    const char *bus = rte_bus_name(rte_dev_bus(port->device));
    if (strcmp(bus, "pci") == 0) {
        snprintf(info->pci, sizeof(info->pci), "%s", rte_dev_name(port->device));
    }
    // Without one it stays empty.
    if (port->interface != 0) if_indextoname(port->interface, info->interface);
}

int wirelet_open_port(const struct wirelet_port_config *config, struct wirelet_port **out,
                      struct wirelet_port_info *info, char *message) {
    wirelet_log_clear();
    struct rte_eth_dev_info device;
    uint16_t id;
    int error = find(config->devargs, &id, message);
    if (error < 0) return error;
    if (taken[id]) return wirelet_failed(message, EBUSY, "`%s` is a port already", config->devargs);
    error = rte_eth_dev_info_get(id, &device);
    if (error < 0) return wirelet_failed(message, error, "what it is");
    size_t bytes = sizeof(struct wirelet_port) + config->queues * sizeof(struct wirelet_queue);
    struct wirelet_port *port = NULL;
    // Queues are aligned to cache lines.
    if (posix_memalign((void **)&port, RTE_CACHE_LINE_SIZE, bytes) != 0) return -ENOMEM;
    memset(port, 0, bytes);
    port->pool = config->pool;
    port->device = device.device;
    port->id = id;
    // A NIC whose kernel driver stays may have its interface moved away, and goes on.
    const bool software = strcmp(rte_bus_name(rte_dev_bus(device.device)), "vdev") == 0;
    port->interface = software ? device.if_index : 0;
    taken[id] = true;
    memset(info, 0, sizeof(*info));
    rte_dev_event_callback_register(rte_dev_name(port->device), asked_back, port);
    error = wirelet_map_for_dma(port, message);
    if (error == 0) error = start(config, id, info, message);
    if (error == 0) {
        error = wirelet_start_clock(&port->clock, info->driver, id, config->timestamps, message);
    }
    if (error < 0) {
        unplug(port);
        free(port);
        return error;
    }
    port->queues = info->queues;
    for (uint16_t index = 0; index < info->queues; index++) {
        port->queue[index] = (struct wirelet_queue){
            .pool = config->pool,
            .port_id = id,
            .index = index,
            .port = config->port,
            .tx_descriptors = info->tx_descriptors,
            .linearize = config->linearize != 0,
            .clock = &port->clock,
        };
    }
    name_place(port, info);
    wirelet_choose_xstats(port, info);
    *out = port;
    return 0;
}

// What was received and nobody took: a memory ring, for one, frees nothing when it closes.
static void drain(struct wirelet_port *port) {
    struct rte_mbuf *mbufs[WIRELET_BURST_MAX];
    for (uint16_t index = 0; index < port->queues; index++) {
        for (int round = 0; round < DRAIN_ROUNDS; round++) {
            uint16_t count = rte_eth_rx_burst(port->id, index, mbufs, WIRELET_BURST_MAX);
            if (count == 0) break;
            rte_pktmbuf_free_bulk(mbufs, count);
        }
    }
}

void wirelet_close_port(struct wirelet_port *port) {
    struct wirelet_pool *pool = port->pool;
    wirelet_drop_flows(port);
    drain(port);
    unplug(port);
    for (uint16_t index = 0; index < port->queues; index++) {
        __atomic_fetch_add(&pool->held, port->queue[index].held, __ATOMIC_RELAXED);
    }
    free(port);
}
