// The reference filter for librte_bpf and, with -DXDP, for the kernel: UDP to port 53 from
// 10.0.0.0/8 is dropped, the rest passes. `udp53/index.ts` is the same filter for Wirelet.
#include <stdint.h>

#define BE16(value) ((uint16_t)(((value) >> 8) | (((value) & 0xff) << 8)))

struct ethernet {
    uint8_t addresses[12];
    uint16_t type;
} __attribute__((packed));

struct ipv4 {
    uint8_t version_ihl, tos;
    uint16_t length, id, fragment;
    uint8_t ttl, protocol;
    uint16_t checksum;
    uint8_t source[4], destination[4];
} __attribute__((packed));

struct udp {
    uint16_t source, destination, length, checksum;
} __attribute__((packed));

#ifdef XDP
struct context {
    uint32_t data, data_end, data_meta, ifindex, queue, egress;
};
enum { DROP = 1, PASS = 2 };
// The verifier demands bounds before every load; librte_bpf's filters are given a length instead.
#define NEED(end_of) if ((const void *)(end_of) > end) return PASS

__attribute__((section("xdp"), used)) int filter(struct context *context) {
    const void *end = (const void *)(long)context->data_end;
    const struct ethernet *ethernet = (const void *)(long)context->data;
#else
enum { DROP = 0, PASS = 1 };
#define NEED(end_of)

uint64_t filter(const void *packet) {
    const struct ethernet *ethernet = packet;
#endif
    const struct ipv4 *ipv4 = (const void *)(ethernet + 1);
    NEED(ipv4 + 1);
    if (ethernet->type != BE16(0x0800) || ipv4->version_ihl >> 4 != 4) return PASS;
    if (ipv4->protocol != 17 || (ipv4->fragment & BE16(0x1fff)) != 0) return PASS;
    uint32_t header_bytes = (ipv4->version_ihl & 15) * 4;
    if (header_bytes < sizeof(*ipv4)) return PASS;
    const struct udp *udp = (const void *)((const uint8_t *)ipv4 + header_bytes);
    NEED(udp + 1);
    if (udp->destination != BE16(53)) return PASS;
    return ipv4->source[0] == 10 ? DROP : PASS;
}

#ifdef XDP
__attribute__((section("license"), used)) char license_text[] = "Apache-2.0";
#endif
