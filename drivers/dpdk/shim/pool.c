// A mempool whose objects are the frames of a region.
//
// One rte_mbuf for each frame, with the same number, its buffer pinned to the frame. "Free in the
// mempool" and "free in the region" are the same thing: the mempool's operations take frames from
// the region's stock and give them back to it. So a frame that came in by DPDK may leave by any
// device and the other way round, and neither side has to be told.
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#include "shim.h"

__thread void *wirelet_cache;

static int alloc(struct rte_mempool *mempool) {
    mempool->pool_data = mempool->pool_config;
    return 0;
}

static void release(struct rte_mempool *mempool) {
    mempool->pool_data = NULL;
}

static int enqueue(struct rte_mempool *mempool, void *const *objects, unsigned count) {
    enum { AT_ONCE = 64 };
    struct wirelet_pool *pool = mempool->pool_data;
    if (!pool->ready) return 0;
    uint32_t frames[AT_ONCE];
    for (unsigned first = 0; first < count; first += AT_ONCE) {
        unsigned some = RTE_MIN(count - first, (unsigned)AT_ONCE);
        for (unsigned i = 0; i < some; i++) {
            frames[i] = wirelet_frame_of(&pool->frames, objects[first + i]);
        }
        pool->config.calls.give(pool->config.owner, wirelet_cache, frames, some);
    }
    __atomic_fetch_sub(&pool->held, count, __ATOMIC_RELAXED);
    return 0;
}

// All or nothing, as mempools do it.
static int dequeue(struct rte_mempool *mempool, void **objects, unsigned count) {
    struct wirelet_pool *pool = mempool->pool_data;
    if (!pool->ready) return -ENOBUFS;
    // Frame numbers are written to the upper half of the array that pointers go to: number i is
    // read before pointer i is written over it, and pointers before i end below it.
    uint32_t *frames = (uint32_t *)objects + count;
    if (!pool->config.calls.take(pool->config.owner, wirelet_cache, frames, count)) {
        return -ENOBUFS;
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t frame;
        memcpy(&frame, (uint8_t *)frames + i * sizeof(frame), sizeof(frame));
        struct rte_mbuf *mbuf = pool->mbufs[frame];
        memcpy((uint8_t *)objects + i * sizeof(mbuf), &mbuf, sizeof(mbuf));
    }
    __atomic_fetch_add(&pool->held, count, __ATOMIC_RELAXED);
    return 0;
}

static unsigned get_count(const struct rte_mempool *mempool) {
    const struct wirelet_pool *pool = mempool->pool_data;
    return pool == NULL ? 0 : pool->config.calls.free(pool->config.owner);
}

static const struct rte_mempool_ops operations = {
    .name = "wirelet",
    .alloc = alloc,
    .free = release,
    .enqueue = enqueue,
    .dequeue = dequeue,
    .get_count = get_count,
};

RTE_MEMPOOL_REGISTER_OPS(operations)

// The last clone of a frame's packet was freed: its own mbuf is free, too.
static void free_pinned(void *buffer, void *opaque) {
    struct rte_mbuf *mbuf = opaque;
    (void)buffer;
    rte_mbuf_ext_refcnt_set(mbuf->shinfo, 1);
    mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
    mbuf->next = NULL;
    mbuf->nb_segs = 1;
    rte_mbuf_raw_free(mbuf);
}

static void init_mbuf(struct rte_mempool *mempool, void *opaque, void *object, unsigned frame) {
    struct wirelet_pool *pool = opaque;
    struct rte_mbuf *mbuf = object;
    memset(mbuf, 0, mempool->elt_size);
    mbuf->buf_addr = pool->config.base + (size_t)frame * pool->config.frame_bytes;
    rte_mbuf_iova_set(mbuf, wirelet_bus_address(pool, (uint64_t)frame * pool->config.frame_bytes));
    mbuf->buf_len = (uint16_t)pool->config.frame_bytes;
    mbuf->data_off = RTE_PKTMBUF_HEADROOM;
    mbuf->pool = mempool;
    mbuf->nb_segs = 1;
    mbuf->port = RTE_MBUF_PORT_INVALID;
    mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
    rte_mbuf_refcnt_set(mbuf, 1);
    // Behind the mbuf, not at the end of the frame, where a guest could write it.
    mbuf->shinfo = (struct rte_mbuf_ext_shared_info *)(mbuf + 1);
    mbuf->shinfo->free_cb = free_pinned;
    mbuf->shinfo->fcb_opaque = mbuf;
    rte_mbuf_ext_refcnt_set(mbuf->shinfo, 1);
    pool->mbufs[frame] = mbuf;
}

static int populate_on(struct wirelet_pool *pool, int node) {
    static unsigned number;
    char name[RTE_MEMPOOL_NAMESIZE];
    struct wirelet_pool_config *config = &pool->config;
    snprintf(name, sizeof(name), "wirelet%u", __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
    struct rte_mempool *mempool = rte_mempool_create_empty(
        name, config->frames, sizeof(struct rte_mbuf) + sizeof(struct rte_mbuf_ext_shared_info),
        config->cached, sizeof(struct rte_pktmbuf_pool_private), node, 0);
    if (mempool == NULL) return -rte_errno;
    pool->mempool = mempool;
    struct rte_pktmbuf_pool_private private = {
        .mbuf_data_room_size = (uint16_t)config->frame_bytes,
        .flags = RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF,
    };
    int error = rte_mempool_set_ops_byname(mempool, operations.name, pool);
    if (error < 0) return error;
    rte_pktmbuf_pool_init(mempool, &private);
    error = rte_mempool_populate_default(mempool);
    if (error < 0) return error;
    if (mempool->populated_size != config->frames) return -ENOMEM;
    rte_mempool_obj_iter(mempool, init_mbuf, pool);
    return 0;
}

// Headers on the node of the frames; anywhere when EAL has no memory there.
static int populate(struct wirelet_pool *pool) {
    int error = populate_on(pool, pool->config.node);
    if (error >= 0 || pool->config.node == SOCKET_ID_ANY) return error;
    rte_mempool_free(pool->mempool);
    pool->mempool = NULL;
    return populate_on(pool, SOCKET_ID_ANY);
}

static void destroy(struct wirelet_pool *pool) {
    // A mempool that is freed takes all its objects out first: they are the region's.
    pool->ready = false;
    rte_mempool_free(pool->mempool);
    wirelet_close_bus(pool);
    free(pool->mbufs);
    free(pool);
}

int wirelet_open_pool(const struct wirelet_pool_config *config, struct wirelet_pool **out,
                      char *message) {
    wirelet_log_clear();
    struct wirelet_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) return wirelet_failed(message, ENOMEM, "a pool");
    pool->config = *config;
    pool->frames = (struct wirelet_frames){
        .base = config->base,
        .bytes = (uint64_t)config->frames * config->frame_bytes,
        .reciprocal = ((UINT64_C(1) << 32) * 64 + config->frame_bytes - 1) / config->frame_bytes,
    };
    pool->mbufs = calloc(config->frames, sizeof(*pool->mbufs));
    int error = pool->mbufs == NULL ? -ENOMEM : wirelet_open_bus(pool);
    if (error == 0) error = populate(pool);
    if (error < 0) {
        wirelet_failed(message, error, "%u mbufs in DPDK's memory", config->frames);
        destroy(pool);
        return error;
    }
    error = wirelet_register_bus(pool);
    if (error < 0) {
        wirelet_failed(message, error, "to register the region's memory");
        destroy(pool);
        return error;
    }
    pool->ready = true;
    *out = pool;
    return 0;
}

void wirelet_flush_cache(struct wirelet_pool *pool, unsigned lcore_id) {
    struct rte_mempool_cache *cache = rte_mempool_default_cache(pool->mempool, lcore_id);
    if (cache != NULL) rte_mempool_cache_flush(cache, pool->mempool);
}

uint64_t wirelet_close_pool(struct wirelet_pool *pool) {
    // All ports are closed, so no lcore looks at its cache.
    for (unsigned lcore_id = 0; lcore_id < RTE_MAX_LCORE; lcore_id++) {
        wirelet_flush_cache(pool, lcore_id);
    }
    if (pool->held != 0) return (uint64_t)llabs(pool->held);
    rte_extmem_unregister(pool->config.base, pool->config.bytes);
    destroy(pool);
    return 0;
}
