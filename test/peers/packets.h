// Packets as run.js writes them: u32 count, then per packet u16 length and bytes, little endian; and
// the clock and output that both peers share.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RESIDENT = 4096, PACKET_BYTES_MAX = 2048 };

struct packets {
    uint32_t count;
    uint16_t length[RESIDENT];
    uint8_t bytes[RESIDENT][PACKET_BYTES_MAX];
};

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline struct packets *read_packets(const char *path) {
    struct packets *packets = calloc(1, sizeof(*packets));
    FILE *file = fopen(path, "rb");
    if (!packets || !file || fread(&packets->count, 4, 1, file) != 1) die(path);
    if (packets->count == 0 || packets->count > RESIDENT) die("count");
    for (uint32_t i = 0; i < packets->count; i++) {
        if (fread(&packets->length[i], 2, 1, file) != 1) die(path);
        if (packets->length[i] > PACKET_BYTES_MAX) die("length");
        if (fread(packets->bytes[i], packets->length[i], 1, file) != 1) die(path);
    }
    fclose(file);
    return packets;
}

static inline double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}
