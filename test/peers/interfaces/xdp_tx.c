// A peer that needs no user space: sends every packet of an interface back by it (XDP_TX).
//
//   xdp_tx <interface>      until it is killed; the program goes with the process
#include <linux/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>


enum { XDP_FLAGS_DRIVER = 1 << 2 };

static int bpf(int command, union bpf_attr *attributes) {
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

int main(int argc, char **argv) {
    struct bpf_insn code[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_TX },
        { .code = BPF_JMP | BPF_EXIT },
    };
    unsigned int interface = argc == 2 ? if_nametoindex(argv[1]) : 0;
    if (!interface) {
        fprintf(stderr, "usage: xdp_tx <interface>\n");
        return 2;
    }
    union bpf_attr attributes = { 0 };
    attributes.prog_type = BPF_PROG_TYPE_XDP;
    attributes.insns = (uintptr_t)code;
    attributes.insn_cnt = sizeof(code) / sizeof(*code);
    attributes.license = (uintptr_t) "Apache-2.0";
    int program = bpf(BPF_PROG_LOAD, &attributes);
    if (program < 0) {
        perror("BPF_PROG_LOAD");
        return 1;
    }
    memset(&attributes, 0, sizeof(attributes));
    attributes.link_create.prog_fd = program;
    attributes.link_create.target_ifindex = interface;
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags = XDP_FLAGS_DRIVER;
    if (bpf(BPF_LINK_CREATE, &attributes) < 0) {
        perror("BPF_LINK_CREATE");
        return 1;
    }
    pause();
    return 0;
}
