// Rules in hardware: flows to rte_flow, all of them or none.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

#include "shim.h"

// Ethernet, two tags, IP, transport, end.
enum { ITEMS_MAX = 6 };
// Mark, count, what becomes of the packet, end.
enum { ACTIONS_MAX = 4 };
enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

// A pattern and all that it points to.
struct pattern {
    struct rte_flow_item items[ITEMS_MAX];
    uint32_t count;
    struct rte_flow_item_eth eth, eth_mask;
    struct rte_flow_item_vlan vlan[2], vlan_mask[2];
    struct rte_flow_item_ipv4 ipv4, ipv4_mask;
    struct rte_flow_item_ipv6 ipv6, ipv6_mask;
    // UDP's, TCP's and SCTP's headers all begin with the ports, and these with the headers.
    union ports {
        struct rte_flow_item_udp udp;
        struct rte_flow_item_tcp tcp;
        struct rte_flow_item_sctp sctp;
        rte_be16_t source_destination[2];
    } ports, ports_last, ports_mask;
};

struct actions {
    struct rte_flow_action items[ACTIONS_MAX];
    struct rte_flow_action_mark mark;
    struct rte_flow_action_count count;
    struct rte_flow_action_queue queue;
    struct rte_flow_action_rss rss;
    uint16_t queues[RTE_MAX_QUEUES_PER_PORT];
};

static bool says(const struct wirelet_flow *flow, uint16_t what) {
    return (flow->says & what) != 0;
}

// An item without a mask stands for any packet that has such a header.
static struct rte_flow_item *add(struct pattern *pattern, enum rte_flow_item_type type,
                                 const void *spec, const void *mask) {
    struct rte_flow_item *item = &pattern->items[pattern->count++];
    *item = (struct rte_flow_item){ .type = type, .spec = spec, .mask = mask };
    return item;
}

// `ETH / IPV4` is of packets without a tag, and `ETH` alone is of all (rte_flow.h).
static void add_link(struct pattern *pattern, const struct wirelet_flow *flow) {
    uint8_t tags = says(flow, WIRELET_FLOW_TAGS) ? flow->tags : 0;
    bool typed = says(flow, WIRELET_FLOW_ETHER_TYPE);
    if (says(flow, WIRELET_FLOW_TAGS) && tags == 0 && !typed && flow->ip == 0) {
        pattern->eth_mask.has_vlan = 1;
        add(pattern, RTE_FLOW_ITEM_TYPE_ETH, &pattern->eth, &pattern->eth_mask);
    } else if (typed && tags == 0) {
        pattern->eth.hdr.ether_type = rte_cpu_to_be_16(flow->ether_type);
        pattern->eth_mask.hdr.ether_type = RTE_BE16(0xffff);
        add(pattern, RTE_FLOW_ITEM_TYPE_ETH, &pattern->eth, &pattern->eth_mask);
    } else {
        add(pattern, RTE_FLOW_ITEM_TYPE_ETH, NULL, NULL);
    }
    for (uint8_t tag = 0; tag < RTE_MIN(tags, 2); tag++) {
        struct rte_flow_item_vlan *vlan = &pattern->vlan[tag], *mask = &pattern->vlan_mask[tag];
        if (tag == 0 && says(flow, WIRELET_FLOW_VLAN)) {
            vlan->hdr.vlan_tci = rte_cpu_to_be_16(flow->vlan);
            mask->hdr.vlan_tci = RTE_BE16(0x0fff);
        }
        if (typed && tag == tags - 1) {
            vlan->hdr.eth_proto = rte_cpu_to_be_16(flow->ether_type);
            mask->hdr.eth_proto = RTE_BE16(0xffff);
        }
        bool any = mask->hdr.vlan_tci == 0 && mask->hdr.eth_proto == 0;
        // Without a mask DPDK takes its default, which is the whole number.
        add(pattern, RTE_FLOW_ITEM_TYPE_VLAN, any ? NULL : vlan, any ? NULL : mask);
    }
}

static void add_ip(struct pattern *pattern, const struct wirelet_flow *flow, bool protocol) {
    if (flow->ip == 4) {
        struct rte_flow_item_ipv4 *spec = &pattern->ipv4, *mask = &pattern->ipv4_mask;
        memcpy(&spec->hdr.src_addr, flow->source, 4);
        memcpy(&mask->hdr.src_addr, flow->source_mask, 4);
        memcpy(&spec->hdr.dst_addr, flow->destination, 4);
        memcpy(&mask->hdr.dst_addr, flow->destination_mask, 4);
        spec->hdr.next_proto_id = protocol ? flow->protocol : 0;
        mask->hdr.next_proto_id = protocol ? 0xff : 0;
        bool any = mask->hdr.src_addr == 0 && mask->hdr.dst_addr == 0 && !protocol;
        add(pattern, RTE_FLOW_ITEM_TYPE_IPV4, any ? NULL : spec, any ? NULL : mask);
    } else if (flow->ip == 6) {
        static const uint8_t none[16];
        struct rte_flow_item_ipv6 *spec = &pattern->ipv6, *mask = &pattern->ipv6_mask;
        memcpy(&spec->hdr.src_addr, flow->source, 16);
        memcpy(&mask->hdr.src_addr, flow->source_mask, 16);
        memcpy(&spec->hdr.dst_addr, flow->destination, 16);
        memcpy(&mask->hdr.dst_addr, flow->destination_mask, 16);
        spec->hdr.proto = protocol ? flow->protocol : 0;
        mask->hdr.proto = protocol ? 0xff : 0;
        bool any = memcmp(flow->source_mask, none, 16) == 0 &&
                   memcmp(flow->destination_mask, none, 16) == 0 && !protocol;
        add(pattern, RTE_FLOW_ITEM_TYPE_IPV6, any ? NULL : spec, any ? NULL : mask);
    }
}

static void add_ports(struct pattern *pattern, const struct wirelet_flow *flow) {
    enum rte_flow_item_type type = flow->protocol == PROTOCOL_UDP   ? RTE_FLOW_ITEM_TYPE_UDP
                                   : flow->protocol == PROTOCOL_TCP ? RTE_FLOW_ITEM_TYPE_TCP
                                                                    : RTE_FLOW_ITEM_TYPE_SCTP;
    const uint16_t *ranges[2] = { flow->source_ports, flow->destination_ports };
    const uint16_t said[2] = { WIRELET_FLOW_SOURCE_PORT, WIRELET_FLOW_DESTINATION_PORT };
    bool is_range = false;
    for (int end = 0; end < 2; end++) {
        if (!says(flow, said[end])) continue;
        pattern->ports.source_destination[end] = rte_cpu_to_be_16(ranges[end][0]);
        pattern->ports_last.source_destination[end] = rte_cpu_to_be_16(ranges[end][1]);
        pattern->ports_mask.source_destination[end] = RTE_BE16(0xffff);
        is_range |= ranges[end][0] != ranges[end][1];
    }
    struct rte_flow_item *item = add(pattern, type, &pattern->ports, &pattern->ports_mask);
    if (is_range) item->last = &pattern->ports_last;
}

static void build(struct pattern *pattern, const struct wirelet_flow *flow) {
    memset(pattern, 0, sizeof(*pattern));
    bool ports = says(flow, WIRELET_FLOW_SOURCE_PORT | WIRELET_FLOW_DESTINATION_PORT);
    add_link(pattern, flow);
    // An item of the transport says the protocol, too.
    add_ip(pattern, flow, says(flow, WIRELET_FLOW_PROTOCOL) && !ports);
    if (ports) add_ports(pattern, flow);
    add(pattern, RTE_FLOW_ITEM_TYPE_END, NULL, NULL);
}

// Every flow ends where its packets go: one without an end would leave them to the flows behind it.
static void decide(struct actions *actions, const struct wirelet_flow *flow,
                   const struct wirelet_port *port, bool counted) {
    memset(actions, 0, sizeof(*actions));
    struct rte_flow_action *next = actions->items;
    if (says(flow, WIRELET_FLOW_MARK)) {
        actions->mark.id = flow->mark;
        *next++ = (struct rte_flow_action){ RTE_FLOW_ACTION_TYPE_MARK, &actions->mark };
    }
    if (counted) {
        *next++ = (struct rte_flow_action){ RTE_FLOW_ACTION_TYPE_COUNT, &actions->count };
    }
    actions->queue.index = says(flow, WIRELET_FLOW_QUEUE) ? flow->queue : 0;
    if (says(flow, WIRELET_FLOW_DROP)) {
        *next++ = (struct rte_flow_action){ RTE_FLOW_ACTION_TYPE_DROP, NULL };
    } else if (says(flow, WIRELET_FLOW_QUEUE) || port->queues == 1) {
        *next++ = (struct rte_flow_action){ RTE_FLOW_ACTION_TYPE_QUEUE, &actions->queue };
    } else {
        // As without rules: spread over all queues.
        actions->rss.queue_num = port->queues;
        actions->rss.queue = actions->queues;
        for (uint16_t queue = 0; queue < port->queues; queue++) actions->queues[queue] = queue;
        *next++ = (struct rte_flow_action){ RTE_FLOW_ACTION_TYPE_RSS, &actions->rss };
    }
    *next = (struct rte_flow_action){ RTE_FLOW_ACTION_TYPE_END, NULL };
}

static int create(struct wirelet_port *port, const struct wirelet_flow *flow, uint32_t priority,
                  bool counted, struct rte_flow_error *error) {
    struct pattern pattern;
    struct actions actions;
    const struct rte_flow_attr attributes = { .ingress = 1, .priority = priority };
    build(&pattern, flow);
    decide(&actions, flow, port, counted);
    memset(error, 0, sizeof(*error));
    int status = rte_flow_validate(port->id, &attributes, pattern.items, actions.items, error);
    if (status < 0) return status;
    struct rte_flow *handle =
        rte_flow_create(port->id, &attributes, pattern.items, actions.items, error);
    if (handle == NULL) return rte_errno > 0 ? -rte_errno : -EINVAL;
    port->flows.handles[port->flows.count] = handle;
    port->flows.rules[port->flows.count++] = flow->rule;
    return 0;
}

void wirelet_drop_flows(struct wirelet_port *port) {
    struct wirelet_flow_handles *flows = &port->flows;
    struct rte_flow_error error;
    for (uint32_t i = flows->count; i-- > 0;) {
        // What can't be destroyed alone goes with the flush.
        if (rte_flow_destroy(port->id, flows->handles[i], &error) < 0) {
            rte_flow_flush(port->id, &error);
            break;
        }
    }
    free(flows->handles);
    free(flows->rules);
    memset(flows, 0, sizeof(*flows));
}

static bool is_tap(const struct wirelet_port *port) {
    struct rte_eth_dev_info device;
    return rte_eth_dev_info_get(port->id, &device) == 0 &&
           strcmp(device.driver_name, "net_tap") == 0;
}

// The tap driver's filters for packets without a tag are met by those with one, too, and it
// compares the wrong bits of a VLAN's number. So a rule must not look at tags: of such a one there
// are flows for both kinds, and it does no harm which of them a packet meets.
static bool looks_at_tags(const struct wirelet_flow *flows, uint32_t count, uint32_t which) {
    const struct wirelet_flow *flow = &flows[which];
    if (says(flow, WIRELET_FLOW_VLAN)) return true;
    if (!says(flow, WIRELET_FLOW_TAGS) || flow->tags != 0) return false;
    for (uint32_t i = which + 1; i < count && flows[i].rule == flow->rule; i++) {
        if (flows[i].ip == flow->ip && flows[i].tags == 1) return false;
    }
    return true;
}

// All of them, or none and which one the device does not take.
static int try_all(struct wirelet_port *port, const struct wirelet_flow *flows, uint32_t count,
                   bool counted, char *message) {
    wirelet_log_clear();
    port->flows = (struct wirelet_flow_handles){
        .handles = calloc(count, sizeof(*port->flows.handles)),
        .rules = calloc(count, sizeof(*port->flows.rules)),
        .counted = counted,
    };
    int status = port->flows.handles == NULL || port->flows.rules == NULL ? -ENOMEM : 0;
    bool tap = is_tap(port);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        if (tap && looks_at_tags(flows, count, i)) {
            const char *text = "rule %u is about VLAN tags, which net_tap mixes up";
            status = wirelet_failed(message, -ENOTSUP, text, flows[i].rule);
            break;
        }
        struct rte_flow_error error;
        // Behind the tap the kernel takes either packets with a tag or those without for each
        // priority. A rule's flows meet different packets: their order among them is free.
        uint32_t priority = tap ? i : flows[i].rule;
        status = create(port, &flows[i], priority, counted, &error);
        if (status == 0) continue;
        const char *why = error.message == NULL ? "no reason given" : error.message;
        wirelet_failed(message, status, "the driver refuses rule %u: %s", flows[i].rule, why);
    }
    if (status < 0) wirelet_drop_flows(port);
    return status;
}

int wirelet_take_flows(struct wirelet_port *port, const struct wirelet_flow *flows, uint32_t count,
                       bool *counted, char *message) {
    *counted = true;
    int status = try_all(port, flows, count, true, message);
    if (status == 0) return 0;
    *counted = false;
    return try_all(port, flows, count, false, message);
}

void wirelet_read_hits(struct wirelet_port *port, uint64_t *hits, uint32_t count) {
    const struct rte_flow_action action = { RTE_FLOW_ACTION_TYPE_COUNT, NULL };
    memset(hits, 0, count * sizeof(*hits));
    for (uint32_t i = 0; port->flows.counted && i < port->flows.count; i++) {
        struct rte_flow_query_count query = { 0 };
        struct rte_flow_error error;
        int status =
            rte_flow_query(port->id, port->flows.handles[i], &action, &query, &error);
        if (status < 0 || !query.hits_set || port->flows.rules[i] >= count) continue;
        hits[port->flows.rules[i]] += query.hits;
    }
}
