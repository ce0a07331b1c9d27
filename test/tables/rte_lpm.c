// DPDK's rte_lpm as a peer of LpmTable: the same prefixes, the same addresses.
//
//   rte_lpm <prefixes> <samples>     prints `<bits of addresses> <ns/lookup>`, a sample a line
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_lpm.h>

enum { PREFIXES_MAX = 1 << 20, GROUPS_MAX = 1 << 14, LOOKUPS = 1 << 14, CALLS = 4 };

static void die(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

/// Time of this thread on its CPU, as native/engine/examples/lookups takes it.
static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

static struct rte_lpm *read_prefixes(const char *path) {
    struct rte_lpm_config config = { .max_rules = PREFIXES_MAX, .number_tbl8s = GROUPS_MAX };
    struct rte_lpm *lpm = rte_lpm_create("routes", SOCKET_ID_ANY, &config);
    FILE *file = fopen(path, "r");
    if (!lpm || !file) die("no table, or no prefixes");
    uint32_t address, length, value;
    while (fscanf(file, "%u %u %u", &address, &length, &value) == 3) {
        if (rte_lpm_add(lpm, address, length, value) != 0) die("rte_lpm_add");
    }
    fclose(file);
    return lpm;
}

/// The same loop as sum_routes in native/engine/examples/lookups/sums.rs.
static uint64_t sum_routes(struct rte_lpm *lpm, uint32_t bits, uint32_t state) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        uint32_t value;
        state = state * 1664525 + 1013904223;
        uint32_t address = (state >> (32 - bits)) * 0x9E3779B1;
        sum += rte_lpm_lookup(lpm, address, &value) == 0 ? value : UINT32_MAX;
    }
    return sum;
}

int main(int argc, char **argv) {
    char *eal[] = { argv[0], "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci",
                    "-m", "256", "--log-level=error", NULL };
    if (argc != 3) die("usage: rte_lpm <prefixes> <samples>");
    if (rte_eal_init(8, eal) < 0) die("rte_eal_init");
    struct rte_lpm *lpm = read_prefixes(argv[1]);
    volatile uint64_t kept = sum_routes(lpm, 32, 1);
    for (int sample = 0; sample < atoi(argv[2]); sample++) {
        for (int which = 0; which < 2; which++) {
            uint32_t bits = which == 0 ? 32 : 11;
            double started = cpu_ns();
            for (uint32_t call = 0; call < CALLS; call++) {
                kept += sum_routes(lpm, bits, 1 + sample * CALLS + call);
            }
            printf("%u %.4f\n", bits, (cpu_ns() - started) / ((double)CALLS * LOOKUPS));
        }
    }
    return 0;
}
