// librte_bpf as a peer: the filter, JIT-compiled, called per packet and its answers applied to the
// burst, as librte_bpf's own receive callback does (bpf_pkt.c: run, then keep or drop).
//
//   rte_bpf <filter.o> <packets> <burst> <samples>      prints one ns/packet per line
#include <string.h>

#include <rte_bpf.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "packets.h"

enum { BURST_MAX = 256, PASSES = 64 };

static struct rte_mbuf *resident[RESIDENT];

static uint64_t pass(const struct rte_bpf_jit *jit, const struct rte_bpf *bpf, uint32_t burst) {
    uint64_t kept = 0;
    for (uint32_t first = 0; first < RESIDENT; first += burst) {
        uint32_t count = RTE_MIN(burst, RESIDENT - first);
        struct rte_mbuf *packets[BURST_MAX], *dropped[BURST_MAX];
        uint64_t answer[BURST_MAX];
        memcpy(packets, resident + first, count * sizeof(*packets));
        for (uint32_t i = 0; i < count; i++) {
            void *data = rte_pktmbuf_mtod(packets[i], void *);
            answer[i] = jit->func ? jit->func(data) : rte_bpf_exec(bpf, data);
        }
        uint32_t keep = 0, drop = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (answer[i] != 0) packets[keep++] = packets[i];
            else dropped[drop++] = packets[i];
        }
        // The frames stay resident; a driver would free `dropped` here.
        __asm__ volatile("" : : "r"(packets), "r"(dropped) : "memory");
        kept += keep;
    }
    return kept;
}

int main(int argc, char **argv) {
    char *eal[] = { argv[0], "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci",
                    "-m", "128", "--log-level=error", NULL };
    if (argc != 5) die("usage: rte_bpf <filter.o> <packets> <burst> <samples>");
    if (rte_eal_init(8, eal) < 0) die("rte_eal_init");
    struct packets *packets = read_packets(argv[2]);
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("peer", RESIDENT + 64, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    if (!pool) die("pool");
    for (uint32_t i = 0; i < RESIDENT; i++) {
        uint32_t from = i % packets->count;
        resident[i] = rte_pktmbuf_alloc(pool);
        memcpy(rte_pktmbuf_append(resident[i], packets->length[from]), packets->bytes[from],
               packets->length[from]);
    }
    struct rte_bpf_prm parameters = {
        .prog_arg = { .type = RTE_BPF_ARG_PTR, .size = RTE_MBUF_DEFAULT_DATAROOM },
    };
    struct rte_bpf *bpf = rte_bpf_elf_load(&parameters, argv[1], ".text");
    if (!bpf) {
        fprintf(stderr, "rte_bpf_elf_load: %s\n", rte_strerror(rte_errno));
        return 1;
    }
    struct rte_bpf_jit jit = { 0 };
    if (rte_bpf_get_jit(bpf, &jit) != 0 || !jit.func) {
        fprintf(stderr, "no JIT\n");
        return 1;
    }
    uint32_t burst = atoi(argv[3]);
    if (burst < 1 || burst > BURST_MAX) die("burst");
    uint64_t kept = pass(&jit, bpf, burst);
    fprintf(stderr, "kept %lu of %d\n", kept, RESIDENT);
    for (int sample = 0; sample < atoi(argv[4]); sample++) {
        double started = now_ns();
        for (int i = 0; i < PASSES; i++) kept += pass(&jit, bpf, burst);
        printf("%.4f\n", (now_ns() - started) / ((double)PASSES * RESIDENT));
    }
    rte_bpf_destroy(bpf);
    return 0;
}
