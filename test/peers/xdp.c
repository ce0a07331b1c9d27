// The kernel's XDP JIT as a peer, through BPF_PROG_TEST_RUN: the kernel runs the filter `REPEAT`
// times over each packet. What it measures is the filter alone, on one warm packet: no driver, no
// descriptors, no bursts.
//
//   xdp <filter.bin> <packets> <samples>      prints one ns/packet per line
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "packets.h"

enum { REPEAT = 20000, PACKETS = 16 };

static int bpf(int command, union bpf_attr *attributes) {
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int load(const char *path) {
    static uint8_t code[1 << 16];
    static char log[1 << 16];
    FILE *file = fopen(path, "rb");
    size_t bytes = file ? fread(code, 1, sizeof(code), file) : 0;
    if (bytes == 0) die(path);
    fclose(file);
    union bpf_attr attributes = { 0 };
    attributes.prog_type = BPF_PROG_TYPE_XDP;
    attributes.insns = (uintptr_t)code;
    attributes.insn_cnt = bytes / 8;
    attributes.license = (uintptr_t) "Apache-2.0";
    attributes.log_buf = (uintptr_t)log;
    attributes.log_size = sizeof(log);
    attributes.log_level = 1;
    int program = bpf(BPF_PROG_LOAD, &attributes);
    if (program < 0) {
        fprintf(stderr, "BPF_PROG_LOAD: %s\n%s", strerror(errno), log);
        exit(errno == EPERM ? 77 : 1);
    }
    return program;
}

int main(int argc, char **argv) {
    if (argc != 4) die("usage: xdp <filter.bin> <packets> <samples>");
    struct packets *packets = read_packets(argv[2]);
    int program = load(argv[1]);
    for (int sample = 0; sample < atoi(argv[3]); sample++) {
        double started = now_ns();
        for (uint32_t i = 0; i < PACKETS; i++) {
            uint32_t from = i % packets->count;
            union bpf_attr attributes = { 0 };
            attributes.test.prog_fd = program;
            attributes.test.data_in = (uintptr_t)packets->bytes[from];
            attributes.test.data_size_in = packets->length[from];
            attributes.test.repeat = REPEAT;
            if (bpf(BPF_PROG_TEST_RUN, &attributes) < 0) die("BPF_PROG_TEST_RUN");
        }
        printf("%.4f\n", (now_ns() - started) / ((double)PACKETS * REPEAT));
    }
    return 0;
}
