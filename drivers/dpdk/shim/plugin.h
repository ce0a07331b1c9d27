// What engine and plugin agree on: the C side of native/abi/src/plugin.rs. Every offset is compared
// with Rust's by a test (drivers/dpdk/tests/layout.rs).
#ifndef WIRELET_PLUGIN_H
#define WIRELET_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRELET_MAGIC = 0x4b504457, // "WDPK", little endian.
    WIRELET_VERSION = 3,
    WIRELET_MESSAGE_BYTES = 1024,
    WIRELET_XSTATS_MAX = 10,
    WIRELET_XSTAT_NAME_BYTES = 64,
    WIRELET_BURST_MAX = 256,
    WIRELET_PACKET_BYTES_MIN = 14,
};

struct wirelet_pool;
struct wirelet_port;
struct wirelet_queue;

// native/packet/src/mbuf.rs
struct wirelet_mbuf {
    uint32_t frame;
    uint16_t length;
    uint16_t offset;
    uint16_t reserved;
    uint16_t port;
    uint8_t scratch;
    uint8_t flags;
    uint16_t egress;
    uint32_t hash;
    uint32_t mark;
    uint64_t timestamp_ns;
};

// native/abi/src/descriptor.rs
enum {
    WIRELET_IP_CHECKSUM_GOOD = 1 << 0,
    WIRELET_L4_CHECKSUM_GOOD = 1 << 1,
    WIRELET_HASH_VALID = 1 << 2,
};

struct wirelet_frame_calls {
    bool (*take)(const void *owner, void *cache, uint32_t *frames, uint32_t count);
    void (*give)(const void *owner, void *cache, const uint32_t *frames, uint32_t count);
    uint32_t (*free)(const void *owner);
};

struct wirelet_pool_config {
    uint8_t *base;
    uint64_t bytes;
    uint64_t page_bytes;
    uint32_t frames;
    uint32_t frame_bytes;
    uint32_t cached;
    int32_t node;
    const void *owner;
    struct wirelet_frame_calls calls;
};

struct wirelet_port_config {
    const char *devargs;
    struct wirelet_pool *pool;
    uint16_t port;
    uint16_t queues;
    uint16_t rx_descriptors;
    uint16_t tx_descriptors;
    uint16_t mtu;
    uint8_t promiscuous;
    uint8_t linearize;
    uint8_t fast_free;
    uint8_t timestamps;
    uint8_t reserved[10];
};

struct wirelet_port_info {
    uint16_t queues;
    uint16_t rx_descriptors;
    uint16_t tx_descriptors;
    uint8_t mac[6];
    uint32_t mtu;
    uint32_t fast_free;
    uint32_t xstat_count;
    char driver[64];
    char xstats[WIRELET_XSTATS_MAX][WIRELET_XSTAT_NAME_BYTES];
    uint32_t rss;
    char pci[20];
    char interface[16];
};

struct wirelet_port_stats {
    uint64_t link_up;
    uint64_t link_mbps;
    uint64_t mtu;
    uint64_t promiscuous;
    uint64_t rx_missed;
    uint64_t rx_errors;
    uint64_t rx_no_frame;
    uint64_t tx_errors;
    uint64_t removed;
    uint64_t xstats[WIRELET_XSTATS_MAX];
};

struct wirelet_queue_stats {
    uint64_t too_short;
    uint64_t too_long;
    uint64_t unsupported;
    uint64_t drop_bytes;
    uint64_t linearized;
    uint64_t tags_restored;
};

struct wirelet_passed {
    uint16_t shortest;
    uint16_t longest;
    uint32_t packets;
    uint32_t sent;
    uint32_t reserved;
    uint64_t bytes;
    uint64_t sent_bytes;
};

// What a flow says.
enum {
    WIRELET_FLOW_TAGS = 1 << 0,
    WIRELET_FLOW_VLAN = 1 << 1,
    WIRELET_FLOW_ETHER_TYPE = 1 << 2,
    WIRELET_FLOW_PROTOCOL = 1 << 3,
    WIRELET_FLOW_SOURCE_PORT = 1 << 4,
    WIRELET_FLOW_DESTINATION_PORT = 1 << 5,
    WIRELET_FLOW_MARK = 1 << 6,
    WIRELET_FLOW_QUEUE = 1 << 7,
    WIRELET_FLOW_DROP = 1 << 8,
};

struct wirelet_flow {
    uint8_t source[16];
    uint8_t source_mask[16];
    uint8_t destination[16];
    uint8_t destination_mask[16];
    uint32_t rule;
    uint32_t mark;
    uint16_t queue;
    uint16_t vlan;
    uint16_t ether_type;
    uint16_t source_ports[2];
    uint16_t destination_ports[2];
    uint16_t says;
    uint8_t tags;
    uint8_t ip;
    uint8_t protocol;
    uint8_t reserved[5];
};

struct wirelet_table {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes;
    uint32_t mbuf_bytes;
    uint32_t pool_config_bytes;
    uint32_t port_config_bytes;
    uint32_t port_info_bytes;
    uint32_t port_stats_bytes;
    uint32_t queue_stats_bytes;
    uint32_t passed_bytes;
    uint32_t flow_bytes;
    uint32_t reserved;
    const char *(*dpdk)(void);
    int (*start)(int argc, char **argv, bool tee, char *message);
    void (*stop)(void);
    bool (*register_thread)(void);
    void (*unregister_thread)(void);
    int (*open_pool)(const struct wirelet_pool_config *, struct wirelet_pool **, char *message);
    uint64_t (*close_pool)(struct wirelet_pool *);
    int (*open_port)(const struct wirelet_port_config *, struct wirelet_port **,
                     struct wirelet_port_info *, char *message);
    void (*close_port)(struct wirelet_port *);
    void (*read_port)(struct wirelet_port *, struct wirelet_port_stats *);
    struct wirelet_queue *(*queue)(struct wirelet_port *, uint16_t index);
    uint16_t (*rx_burst)(struct wirelet_queue *, void *cache, struct wirelet_mbuf *, uint16_t);
    uint16_t (*tx_burst)(struct wirelet_queue *, void *cache, const struct wirelet_mbuf *,
                         uint16_t);
    bool (*tx_pending)(struct wirelet_queue *);
    void (*tx_cleanup)(struct wirelet_queue *, void *cache);
    void (*read_queue)(const struct wirelet_queue *, struct wirelet_queue_stats *);
    uint16_t (*pass_burst)(struct wirelet_queue *, struct wirelet_queue *to, void *cache,
                           struct wirelet_mbuf *, uint16_t, struct wirelet_passed *);
    int (*take_flows)(struct wirelet_port *, const struct wirelet_flow *, uint32_t count,
                      bool *counted, char *message);
    void (*read_hits)(struct wirelet_port *, uint64_t *hits, uint32_t count);
};

#endif
