// A device that carries out rte_flow rules, in front of any driver: preloaded, it takes the place of
// DPDK's own functions of these names, and sorts what the driver receives. It reads patterns as
// rte_flow.h explains them, knows nothing of who wrote them, and finds headers as a NIC would.
//
// FLOWS_REFUSE: a rule of this priority is refused. FLOWS_FULL: all are, while there is a file of
// this name. FLOWS_COUNT=no: COUNT is refused. FLOWS_LOG: at the end of each port, a line with flows
// created, destroyed and left is added to this file.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_byteorder.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>

enum { ITEMS_MAX = 8, FLOWS_MAX = 512, HEADER_BYTES = 64 };

struct item {
    enum rte_flow_item_type type;
    // As they are on the wire.
    bool any;
    uint8_t spec[HEADER_BYTES], last[HEADER_BYTES], mask[HEADER_BYTES];
};

struct rte_flow {
    bool used;
    uint32_t priority;
    struct item items[ITEMS_MAX];
    unsigned count;
    bool drops, marks, counts, untagged;
    uint32_t mark;
    uint64_t hits;
};

static struct rte_flow flows[FLOWS_MAX];
static unsigned created, destroyed;
static const struct rte_eth_rxtx_callback *listening;

// Bytes of a header that patterns compare, and where they are in the struct: at its start.
static size_t header_bytes(enum rte_flow_item_type type) {
    switch (type) {
    case RTE_FLOW_ITEM_TYPE_ETH: return 14;
    case RTE_FLOW_ITEM_TYPE_VLAN: return 4;
    case RTE_FLOW_ITEM_TYPE_IPV4: return 20;
    case RTE_FLOW_ITEM_TYPE_IPV6: return 40;
    case RTE_FLOW_ITEM_TYPE_UDP: return 8;
    case RTE_FLOW_ITEM_TYPE_TCP: return 20;
    case RTE_FLOW_ITEM_TYPE_SCTP: return 12;
    default: return 0;
    }
}

static int refuse(struct rte_flow_error *error, const char *why) {
    rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, why);
    return -ENOTSUP;
}

static bool fits(const struct item *item, const uint8_t *header, size_t bytes) {
    for (size_t i = 0; !item->any && i < bytes;) {
        // Ports are compared as numbers, because they may be a range; the rest bit by bit.
        bool ports = item->type == RTE_FLOW_ITEM_TYPE_UDP ||
                     item->type == RTE_FLOW_ITEM_TYPE_TCP ||
                     item->type == RTE_FLOW_ITEM_TYPE_SCTP;
        if (ports) {
            unsigned port = header[i] << 8 | header[i + 1];
            unsigned first = item->spec[i] << 8 | item->spec[i + 1];
            unsigned last = item->last[i] << 8 | item->last[i + 1];
            bool asked = item->mask[i] != 0 || item->mask[i + 1] != 0;
            if (asked && (port < first || port > last)) return false;
            i += 2;
        } else {
            if ((header[i] ^ item->spec[i]) & item->mask[i]) return false;
            i++;
        }
    }
    return true;
}

static bool is_tag(uint16_t type) {
    return type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ;
}

// Whether the packet has the headers that the flow lists, one behind the other, with those values.
static bool meets(const struct rte_flow *flow, const uint8_t *packet, size_t length) {
    size_t at = 0, ip_end = length;
    uint16_t type = packet[12] << 8 | packet[13];
    int protocol = -1;
    if (flow->untagged && is_tag(type)) return false;
    for (unsigned i = 0; i < flow->count; i++) {
        const struct item *item = &flow->items[i];
        const uint8_t *header = packet + at;
        size_t bytes = header_bytes(item->type);
        bool ends = i + 1 == flow->count;
        if (item->type == RTE_FLOW_ITEM_TYPE_ETH) {
            if (!fits(item, header, bytes)) return false;
            at = 14;
        } else if (item->type == RTE_FLOW_ITEM_TYPE_VLAN) {
            if (!is_tag(type) || at + 4 > length || !fits(item, header, bytes)) return false;
            type = header[2] << 8 | header[3];
            at += 4;
        } else if (item->type == RTE_FLOW_ITEM_TYPE_IPV4) {
            if (type != RTE_ETHER_TYPE_IPV4 || at + 20 > length) return false;
            if (!fits(item, header, bytes)) return false;
            protocol = (header[6] & 0x1f) | header[7] ? -1 : header[9];
            ip_end = RTE_MIN(length, at + (header[2] << 8 | header[3]));
            at += (header[0] & 0xf) * 4;
        } else if (item->type == RTE_FLOW_ITEM_TYPE_IPV6) {
            if (type != RTE_ETHER_TYPE_IPV6 || at + 40 > length) return false;
            if (!fits(item, header, bytes)) return false;
            // Extension headers are not looked past.
            protocol = header[6];
            at += 40;
        } else {
            int wanted = item->type == RTE_FLOW_ITEM_TYPE_UDP   ? 17
                         : item->type == RTE_FLOW_ITEM_TYPE_TCP ? 6
                                                                : 132;
            if (protocol != wanted || at + 4 > ip_end || !ends || !fits(item, header, 4)) {
                return false;
            }
        }
    }
    return true;
}

static uint16_t sort(uint16_t port, uint16_t queue, struct rte_mbuf *packets[], uint16_t count,
                     uint16_t most, void *user) {
    (void)port, (void)queue, (void)most, (void)user;
    uint16_t kept = 0;
    for (uint16_t i = 0; i < count; i++) {
        struct rte_mbuf *mbuf = packets[i];
        struct rte_flow *first = NULL;
        for (unsigned at = 0; at < FLOWS_MAX; at++) {
            struct rte_flow *flow = &flows[at];
            // Of two with one priority either may decide: here the later one.
            if (!flow->used || (first != NULL && flow->priority > first->priority)) continue;
            if (meets(flow, rte_pktmbuf_mtod(mbuf, uint8_t *), mbuf->data_len)) first = flow;
        }
        if (first != NULL) first->hits++;
        if (first != NULL && first->drops) {
            rte_pktmbuf_free(mbuf);
            continue;
        }
        if (first != NULL && first->marks) {
            mbuf->ol_flags |= RTE_MBUF_F_RX_FDIR | RTE_MBUF_F_RX_FDIR_ID;
            mbuf->hash.fdir.hi = first->mark;
        }
        packets[kept++] = mbuf;
    }
    return kept;
}

static int read_pattern(struct rte_flow *flow, const struct rte_flow_item *items,
                        struct rte_flow_error *error) {
    for (; items->type != RTE_FLOW_ITEM_TYPE_END; items++) {
        size_t bytes = header_bytes(items->type);
        if (bytes == 0 || flow->count == ITEMS_MAX) return refuse(error, "an unknown item");
        struct item *item = &flow->items[flow->count++];
        *item = (struct item){ .type = items->type, .any = items->spec == NULL };
        if (item->any != (items->mask == NULL)) return refuse(error, "half a pattern");
        if (item->any) continue;
        memcpy(item->spec, items->spec, bytes);
        memcpy(item->mask, items->mask, bytes);
        memcpy(item->last, items->last == NULL ? items->spec : items->last, bytes);
        if (items->type != RTE_FLOW_ITEM_TYPE_ETH) continue;
        const struct rte_flow_item_eth *eth = items->spec, *mask = items->mask;
        flow->untagged = mask->has_vlan && !eth->has_vlan;
    }
    return 0;
}

static int read_actions(struct rte_flow *flow, const struct rte_flow_action *actions,
                        struct rte_flow_error *error) {
    bool ends = false;
    for (; actions->type != RTE_FLOW_ACTION_TYPE_END; actions++) {
        const char *count = getenv("FLOWS_COUNT");
        switch (actions->type) {
        case RTE_FLOW_ACTION_TYPE_MARK:
            flow->marks = true;
            flow->mark = ((const struct rte_flow_action_mark *)actions->conf)->id;
            break;
        case RTE_FLOW_ACTION_TYPE_COUNT:
            if (count != NULL) return refuse(error, "it does not count");
            flow->counts = true;
            break;
        case RTE_FLOW_ACTION_TYPE_DROP:
            flow->drops = ends = true;
            break;
        case RTE_FLOW_ACTION_TYPE_QUEUE:
            if (((const struct rte_flow_action_queue *)actions->conf)->index != 0) {
                return refuse(error, "it has one queue");
            }
            ends = true;
            break;
        default: return refuse(error, "an unknown action");
        }
    }
    return ends ? 0 : refuse(error, "it does not say where packets go");
}

int rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr,
                      const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
                      struct rte_flow_error *error) {
    (void)port;
    struct rte_flow flow = { 0 };
    const char *refused = getenv("FLOWS_REFUSE");
    const char *full = getenv("FLOWS_FULL");
    if (full != NULL && access(full, F_OK) == 0) return refuse(error, "no room in the device");
    if (refused != NULL && attr->priority == (uint32_t)atoi(refused)) {
        return refuse(error, "no room in the device");
    }
    int status = read_pattern(&flow, pattern, error);
    return status < 0 ? status : read_actions(&flow, actions, error);
}

struct rte_flow *rte_flow_create(uint16_t port, const struct rte_flow_attr *attr,
                                 const struct rte_flow_item pattern[],
                                 const struct rte_flow_action actions[],
                                 struct rte_flow_error *error) {
    if (rte_flow_validate(port, attr, pattern, actions, error) < 0) return NULL;
    struct rte_flow *flow = flows;
    while (flow->used) flow++;
    memset(flow, 0, sizeof(*flow));
    flow->priority = attr->priority;
    read_pattern(flow, pattern, error);
    read_actions(flow, actions, error);
    flow->used = true;
    created++;
    if (listening == NULL) listening = rte_eth_add_rx_callback(port, 0, sort, NULL);
    return flow;
}

int rte_flow_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *error) {
    (void)error;
    flow->used = false;
    destroyed++;
    // Its port closes now, and another one may be opened.
    if (created == destroyed) {
        rte_eth_remove_rx_callback(port, 0, listening);
        listening = NULL;
    }
    const char *path = getenv("FLOWS_LOG");
    FILE *file = path == NULL ? NULL : fopen(path, "w");
    if (file == NULL) return 0;
    fprintf(file, "%u created, %u destroyed\n", created, destroyed);
    fclose(file);
    return 0;
}

int rte_flow_flush(uint16_t port, struct rte_flow_error *error) {
    for (unsigned at = 0; at < FLOWS_MAX; at++) {
        if (flows[at].used) rte_flow_destroy(port, &flows[at], error);
    }
    return 0;
}

int rte_flow_query(uint16_t port, struct rte_flow *flow, const struct rte_flow_action *action,
                   void *data, struct rte_flow_error *error) {
    (void)port;
    if (action->type != RTE_FLOW_ACTION_TYPE_COUNT || !flow->counts) {
        return refuse(error, "nothing to ask");
    }
    struct rte_flow_query_count *query = data;
    query->hits_set = 1;
    query->hits = flow->hits;
    return 0;
}
